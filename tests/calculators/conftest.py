"""A small committee with random but smooth networks, and structures to move."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis, features
from aenet_gpr_cli.io.formats.aenet_nn import read_nn
from aenet_gpr_cli.io.formats.xsf import read_xsf
from aenet_gpr_cli.structures import StructureSet

AENET = Path(__file__).parents[1] / "data" / "aenet_nn"


def random_committee(n_members=3, species=("C", "H", "O"), seed=0, activation="tanh", spread=1.0, basis=None):
    rng = np.random.default_rng(seed)
    basis = basis or ChebyshevBasis(species, 4.0, 5, 3.0, 3)
    sizes = [basis.n_features, 6, 4, 1]
    weights = {
        s: tuple(rng.normal(size=(n_members, o, i + 1)) / np.sqrt(i + 1) * spread for i, o in pairwise(sizes))
        for s in species
    }
    mean = {s: rng.normal(size=basis.n_features) for s in species}
    std = {s: rng.uniform(1.0, 4.0, basis.n_features) for s in species}
    std[species[0]][1] = 0.0
    energies = {s: -10.0 * (k + 1) for k, s in enumerate(species)}
    return ANNModel(basis, (6, 4), activation, weights, mean, std, 0.5, 0.1, energies)


@pytest.fixture
def committee():
    return random_committee()


@pytest.fixture(scope="session")
def trained():
    """The EC-dimer potential of ænet: smooth, bound, good for dynamics."""
    return read_nn([AENET / f"{symbol}.nn" for symbol in "CHO"])


@pytest.fixture
def dimer():
    found = read_xsf(AENET / "file_0500.xsf")
    return Atoms(found.species, found.positions)


@pytest.fixture
def crystal():
    """Atoms in a skewed cell smaller than the cutoff, periodic in two directions."""
    cell = [[4.1, 0.3, 0.0], [-0.8, 4.4, 0.2], [0.0, 0.0, 12.0]]
    fractions = np.random.default_rng(5).uniform(0.0, 1.0, (9, 3)) * [1, 1, 0.5]
    return Atoms("C3H4O2", scaled_positions=fractions, cell=cell, pbc=(True, True, False))


def as_set(atoms):
    cells = np.array(atoms.cell)[None] if atoms.pbc.any() else None
    return StructureSet(tuple(atoms.symbols), atoms.positions[None], cells, tuple(map(bool, atoms.pbc)))


def with_range(model, atoms):
    """The potential as if it had been trained on these atoms."""
    raw = features(model.basis, as_set(atoms), 1)[0]
    of = {s: raw[[symbol == s for symbol in atoms.symbols]] for s in model.basis.species}
    return replace(
        model,
        feature_min={s: rows.min(0) for s, rows in of.items()},
        feature_max={s: rows.max(0) for s, rows in of.items()},
    )
