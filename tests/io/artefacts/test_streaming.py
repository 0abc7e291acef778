"""Copies and descriptors on disk: training reads what it needs and ends at the same potential."""

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.execution.surroundings import MemoryRows, Surroundings
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.ann.training_settings import AdamW, LevenbergMarquardt, Network, Training
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.fields import write_field
from aenet_gpr_cli.io.artefacts.streaming import GAP, open_augmented
from aenet_gpr_cli.io.scratch import ScratchRows
from aenet_gpr_cli.structures import AugmentedSet, StructureSet

SPECIES = ("O", "H", "H", "O")
N = 300


@pytest.fixture
def copies():
    """Copies of 30 parents, in a cell, with made-up energies."""
    rng = np.random.default_rng(0)
    base = np.array([[0, 0, 0], [0, 0, 1.0], [0.9, 0, -0.2], [0, 2.0, 0.4]])
    positions = base + 0.1 * rng.standard_normal((N, 4, 3))
    energies = -40.0 + np.square(positions - base).sum((1, 2))
    cells = np.tile(9.0 * np.eye(3), (N, 1, 1))
    structures = StructureSet(SPECIES, positions, cells, (True, True, False), energies)
    parents = tuple(f"p{i // 10}" for i in range(N))
    return AugmentedSet(structures, parents, np.arange(N) % 10, rng.uniform(0, 0.01, N), "gpr")


@pytest.fixture
def stored(copies, tmp_path):
    """The copies in an artefact."""
    s = copies.structures
    with publish(tmp_path / "augmented.h5", Job("augment", {}, {})) as file:
        group = file.create_group("subsets/a")
        write_field(group, "pbc", np.array(s.pbc))
        for name, values in (("species", s.species), ("parents", copies.parents), ("sigma", copies.sigma)):
            write_field(group, name, values)
        write_field(group, "copies", copies.copies)
        for name in ("positions", "cells", "energies"):
            write_field(group, name, getattr(s, name))
        group.attrs["label"] = "gpr"
    return tmp_path / "augmented.h5"


@pytest.mark.parametrize("index", [[], [7], [3, 4, 9, 3 + GAP + 9, 0, 299, 298], list(range(N))])
def test_any_structures_are_read_in_any_order(stored, copies, index):
    wanted = np.array(index, int)
    with open_augmented(stored) as sets:
        found = sets["a"].structures.select(wanted).in_memory()
        assert sets["a"].parents == copies.parents
        assert sets["a"].parents[0] is sets["a"].parents[1]
        np.testing.assert_array_equal(sets["a"].sigma, copies.sigma)
    np.testing.assert_array_equal(found.positions, copies.structures.positions[wanted])
    np.testing.assert_array_equal(found.energies, copies.structures.energies[wanted])
    np.testing.assert_array_equal(found.cells, copies.structures.cells[wanted])
    assert found.pbc == copies.structures.pbc


def test_scratch_rows_come_back_rounded_to_float32_and_leave_nothing(tmp_path):
    rng = np.random.default_rng(1)
    blocks = [rng.standard_normal((n, 5)) for n in (3, 0, 4)]
    rows, memory = ScratchRows(tmp_path, 5), MemoryRows(7, 5)
    for block in blocks:
        rows.append(block)
        memory.append(block)
    everything = np.concatenate(blocks)
    np.testing.assert_array_equal(memory.read(1, 6), everything[1:6])
    np.testing.assert_array_equal(rows.read(1, 6), everything[1:6].astype(np.float32))
    assert rows.read(2, 2).shape == (0, 5)
    assert list(tmp_path.iterdir()) == []


OPTIMISERS = [
    {
        "levenberg_marquardt": LevenbergMarquardt(
            iterations=4, regularisation="none", patience=100, tolerance=0.0
        )
    },
    {"optimiser": "adamw", "adamw": AdamW(epochs=4, patience=100, schedule="constant")},
]


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_streamed_training_gives_the_potential_of_training_in_memory(stored, copies, tmp_path, optimiser):
    references = replace(
        copies.structures.select(np.arange(30) * 10), names=tuple(f"p{i}" for i in range(30))
    )
    settings = Training(
        network=Network(hidden=(4,)), n_members=2, validation_fraction=0.2, block_size=64, **optimiser
    )
    basis = ChebyshevBasis(("H", "O"), 4.0, 4, 3.0, 2)
    reads = []

    def kept(n, width):
        rows = ScratchRows(tmp_path, width)
        read = rows.read
        rows.read = lambda start, stop: reads.append(stop - start) or read(start, stop)
        return rows

    whole = train(TrainingSet.collect([references], [copies], 0.01), basis, settings, 1)
    with open_augmented(stored) as sets:
        data = TrainingSet.collect([references], [sets["a"]], 0.01)
        same = train(data, basis, settings, 1)  # positions on disk, descriptors in memory
        far = train(data, basis, settings, 1, around=Surroundings(make_rows=kept))
    assert len(reads) > 20
    for symbol in basis.species:
        for ours, theirs, rounded in zip(*(r.model.weights[symbol] for r in (whole, same, far)), strict=True):
            np.testing.assert_array_equal(theirs, ours)
            np.testing.assert_allclose(rounded, ours, rtol=0, atol=1e-3)
    np.testing.assert_allclose(far.training_loss, whole.training_loss, rtol=1e-3)
