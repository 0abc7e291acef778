"""Copies on disk: the same for any number of processes, after a kill, and nothing left of earlier runs."""

# mypy: disable-error-code="call-arg"
# (a star before the last arguments is counted as all of them)

import errno
import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from ase.io import read

from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.errors import ConfigError, InputError, InterruptedRun, ResourceError
from aenet_gpr_cli.io.artefacts import fields as arrays
from aenet_gpr_cli.io.artefacts.structure_sets import augmented_blocks, load_split
from aenet_gpr_cli.io.formats.xsf import read_xsf
from aenet_gpr_cli.stages import collect_stage as collect
from aenet_gpr_cli.stages.augment import augment_block, copy_costs
from aenet_gpr_cli.stages.augment import augment_stage as augment
from aenet_gpr_cli.stages.augment.augment_block import plan_blocks
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.shared.context import Context
from tests.stages.copies import load_augmented
from tests.stages.unfinished import after, assert_same, left_behind, signalled, write_split

KEYS = {"n_copies": 3, "displacement": 0.02, "block_size": 6, "minimum_distance": 0.0, "sigma": "bound"}


def settings(**changes) -> AugmentConfig:
    return build(AugmentConfig, KEYS | changes, "test")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    split = write_split(folder / "split.h5")
    fit_gpr.run(
        FitGprConfig(model="full", length_scale=1.0, power=1.0, permutations="none"),
        split,
        folder / "gpr.h5",
        Context(),
    )
    return split, folder / "gpr.h5"


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "augmented.h5"
    augment.run(settings(), *inputs, output, Context())
    return output


def test_two_processes_make_the_same_copies_bit_for_bit(inputs, whole, tmp_path):
    output = tmp_path / "augmented.h5"
    augment.run(settings(workers=2), *inputs, output, Context())
    assert_same(output, whole, "subsets")
    with h5py.File(output) as a, h5py.File(whole) as b:
        assert a.attrs["fingerprint"] == b.attrs["fingerprint"]  # workers change nothing


@pytest.mark.parametrize("changes", [{}, {"candidates": 3, "sigma": "none"}, {"mode": "adaptive"}])
def test_subsets_by_jobs_of_their_own_give_the_whole(inputs, tmp_path, changes):
    config = settings(n_total=19, species_displacement={} if "mode" in changes else {"N": 0.03}, **changes)
    parts = [["HO"], ["H3N", "H2"], ["H2O"]]
    paths = [tmp_path / f"augmented.{part[0]}.h5" for part in parts]
    for part, path in zip(parts, paths, strict=True):
        table = augment.run(config, *inputs, path, Context(), part)
        assert {row[0] for row in table.rows} == set(part)
    expected = augment.run(config, *inputs, tmp_path / "whole.h5", Context())
    output = tmp_path / "augmented.h5"
    with pytest.raises(InputError, match="subset H2O missing: expected all 4, got 3"):
        collect.run(paths[:2], output, Context())
    table = collect.run(paths, output, Context())
    assert table.rows == expected.rows
    assert_same(output, tmp_path / "whole.h5", "subsets")
    with h5py.File(output) as ours, h5py.File(tmp_path / "whole.h5") as theirs:
        assert set(ours["subsets"]) == set(theirs["subsets"])
        for name, group in theirs["subsets"].items():
            assert set(ours["subsets"][name]) == set(group)
            assert dict(ours["subsets"][name].attrs) == dict(group.attrs)
    assert "up to date" in augment.run(config, *inputs, output, Context()).title


def test_each_subset_tells_how_far_its_copies_went(inputs, whole):
    references, copies = load_split(inputs[0], "train"), load_augmented(whole)
    with h5py.File(whole) as file:
        for name, found in copies.items():
            home = dict(zip(references[name].names, references[name].positions, strict=True))
            moved = found.structures.positions - np.stack([home[parent] for parent in found.parents])
            told = file[f"subsets/{name}"].attrs["rms_displacement"]
            np.testing.assert_allclose(told, np.sqrt(np.mean(moved**2)), rtol=1e-12)
            assert told > 0.0


def test_files_for_other_programs_are_those_of_the_whole(inputs, tmp_path):
    config = settings(write=["xsf", "extxyz"])
    names = ("H2", "H2O", "H3N", "HO")
    for name in names:
        augment.run(config, *inputs, tmp_path / f"part_{name}.h5", Context(), [name])
    assert not list(tmp_path.rglob("*.extxyz")) + list(tmp_path.rglob("*.xsf"))
    augment.run(config, *inputs, tmp_path / "whole.h5", Context())
    collect.run([tmp_path / f"part_{name}.h5" for name in names], tmp_path / "parts.h5", Context())
    written = [sorted((tmp_path / f"{stem}_xsf").rglob("*.xsf")) for stem in ("parts", "whole")]
    written = [
        [*files, tmp_path / f"{stem}_copies.extxyz"] for files, stem in zip(written, ("parts", "whole"))
    ]
    assert len(written[0]) == 4 * 8 * 3 + 1
    for ours, theirs in zip(*written, strict=True):
        assert ours.read_text() == theirs.read_text()


def test_an_unknown_subset_is_named(inputs, tmp_path):
    with pytest.raises(ConfigError, match=r"CO2 not in .*it has H2, H2O, H3N, HO"):
        augment.run(settings(), *inputs, tmp_path / "a.h5", Context(), ["CO2"])


@pytest.mark.parametrize("size", [5, 24, 100])
def test_read_piece_by_piece_it_is_the_same(whole, size):
    with h5py.File(whole) as file:
        pieces = list(augmented_blocks(file["subsets/H2O"], size))
    everything = load_augmented(whole)["H2O"]
    assert len(pieces) == -(-24 // size)
    assert sum((p.parents for p in pieces), ()) == everything.parents
    for name in ("copies", "sigma"):
        joined = np.concatenate([getattr(p, name) for p in pieces])
        np.testing.assert_array_equal(joined, getattr(everything, name))
    for name in ("positions", "energies"):
        joined = np.concatenate([getattr(p.structures, name) for p in pieces])
        np.testing.assert_array_equal(joined, getattr(everything.structures, name))


def test_adaptive_copies_are_the_same_in_several_processes(inputs, tmp_path):
    config = settings(mode="adaptive", n_copies=2, block_size=4)
    augment.run(config, *inputs, tmp_path / "one.h5", Context())
    augment.run(replace(config, workers=2), *inputs, tmp_path / "two.h5", Context())
    assert_same(tmp_path / "two.h5", tmp_path / "one.h5", "subsets")


def test_stopped_and_run_again(inputs, whole, tmp_path, monkeypatch):
    output, made = tmp_path / "augmented.h5", []
    make = augment.make_block

    def counted(config, sources, block, *rest):
        make(config, sources, block, *rest)
        made.append(block.name)

    monkeypatch.setattr(augment, "make_block", counted)
    with pytest.raises(InterruptedRun):
        augment.run(settings(), *inputs, output, Context(stop=after(9)))
    stopped = len(made)
    assert not output.exists()
    assert 0 < stopped < 16
    augment.run(settings(), *inputs, output, Context())
    assert len(made) == 16  # 4 subsets of 8 × 3 copies in blocks of 6, each made once
    assert_same(output, whole, "subsets")
    assert left_behind(tmp_path) == set()


def test_killed_and_run_again(inputs, whole, tmp_path):
    output = tmp_path / "augmented.h5"
    options = [f"{key}={value}" for key, value in KEYS.items()]
    command = ["augment", *inputs, "-o", output, *(text for option in options for text in ("--set", option))]
    killed = signalled(signal.SIGKILL, "finished_H2O.0000001.h5", 1, "after", *command)
    assert killed.returncode == -signal.SIGKILL
    assert not output.exists()
    augment.run(settings(), *inputs, output, Context())
    assert_same(output, whole, "subsets")
    assert left_behind(tmp_path) == set()


def test_unfinished_work_of_other_settings_is_not_mixed_in(inputs, tmp_path):
    output = tmp_path / "augmented.h5"
    with pytest.raises(InterruptedRun):
        augment.run(settings(), *inputs, output, Context(stop=after(9)))
    with pytest.raises(ConfigError, match="displacement"):
        augment.run(settings(displacement=0.03), *inputs, output, Context())
    table = augment.run(settings(displacement=0.03), *inputs, output, Context(restart=True))
    assert [row[2] for row in table.rows] == ["24"] * 4


def test_a_full_disk_leaves_the_earlier_artefact(inputs, whole, tmp_path, monkeypatch):
    output = tmp_path / "augmented.h5"
    augment.run(settings(), *inputs, output, Context())
    before, append = output.read_bytes(), arrays.append_field

    def full(group, name, values):
        if f".augmented.h5.{os.getpid()}.tmp" in group.file.filename:  # not that of a block
            raise OSError(errno.ENOSPC, "No space left on device")
        append(group, name, values)

    monkeypatch.setattr("aenet_gpr_cli.io.artefacts.structure_sets.append_field", full)
    with pytest.raises(ResourceError, match="free some space") as caught:
        augment.run(settings(n_copies=4), *inputs, output, Context())
    assert caught.value.exit_code == 4
    assert output.read_bytes() == before
    monkeypatch.undo()
    table = augment.run(settings(n_copies=4), *inputs, output, Context())  # goes on with the blocks it has
    assert [row[2] for row in table.rows] == ["32"] * 4
    assert left_behind(tmp_path) == set()


def test_nothing_of_a_larger_run_is_left(inputs, tmp_path):
    output = tmp_path / "copies.h5"
    augment.run(settings(write=["xsf", "extxyz"]), *inputs, output, Context())
    augment.run(settings(write=["xsf", "extxyz"], n_copies=1), *inputs, output, Context())
    assert len(list((tmp_path / "copies_xsf" / "H2O").glob("*.xsf"))) == 8
    assert len(read(tmp_path / "copies_copies.extxyz", ":")) == 32
    assert len(load_augmented(output)["H2O"]) == 8


def test_other_programs_read_the_copies(inputs, tmp_path):
    augment.run(settings(write=["xsf", "extxyz"]), *inputs, tmp_path / "copies.h5", Context())
    copies = load_augmented(tmp_path / "copies.h5")
    frames = read(tmp_path / "copies_copies.extxyz", ":")
    joined = [(s, i) for s in copies.values() for i in range(len(s))]
    assert len(frames) == len(joined)
    for atoms, (subset, i) in zip(frames, joined, strict=True):
        assert tuple(atoms.get_chemical_symbols()) == subset.structures.species
        np.testing.assert_allclose(atoms.positions, subset.structures.positions[i], atol=1e-8)
        assert atoms.get_potential_energy() == pytest.approx(subset.structures.energies[i], abs=1e-8)
        assert "forces" not in atoms.calc.results
        assert (atoms.info["parent"], atoms.info["copy"]) == (subset.parents[i], subset.copies[i])
    first = read_xsf(sorted((tmp_path / "copies_xsf" / "HO").glob("*.xsf"))[0])
    assert first.energy == copies["HO"].structures.energies[0]


def test_a_number_in_total_is_spread_evenly(inputs, tmp_path):
    table = augment.run(settings(n_total=19), *inputs, tmp_path / "a.h5", Context())
    assert [row[2] for row in table.rows] == ["19"] * 4
    parents = load_augmented(tmp_path / "a.h5")["H2O"].parents
    assert sorted({parents.count(p) for p in parents}) == [2, 3]
    assert len(set(parents)) == 8


def test_some_species_go_farther(inputs, tmp_path):
    config = settings(species_displacement={"H": 0.08}, n_copies=200, block_size=2000)
    augment.run(config, *inputs, tmp_path / "a.h5", Context())
    copies = load_augmented(tmp_path / "a.h5")["H2O"]
    references = load_split(inputs[0], "train")["H2O"]
    place = {name: i for i, name in enumerate(references.names)}
    origin = references.positions[[place[p] for p in copies.parents]]
    distance = np.linalg.norm(copies.structures.positions - origin, axis=2)
    assert distance[:, 1:].mean() > 0.1  # three components of 0.08 Å, hydrogen hardly moves the centre
    assert distance[:, 0].mean() < 0.04
    with pytest.raises(ConfigError, match="none has Li"):
        augment.run(settings(species_displacement={"Li": 0.1}), *inputs, tmp_path / "b.h5", Context())


def test_the_most_informative_candidates_spread_out(inputs, tmp_path):
    many = augment.run(settings(candidates=10), *inputs, tmp_path / "many.h5", Context())
    plain = augment.run(settings(), *inputs, tmp_path / "plain.h5", Context())
    assert [row[2] for row in many.rows] == [row[2] for row in plain.rows] == ["24"] * 4
    assert all(float(m[4]) > float(p[4]) for m, p in zip(many.rows, plain.rows, strict=True))  # rms δ


def test_more_sigma_allowed_is_farther(inputs, tmp_path):
    sizes = []
    for target in (1e-6, 1e-4):
        config = settings(mode="adaptive", adaptive={"target_sigma": target, "n_probes": 2})
        table = augment.run(config, *inputs, tmp_path / "a.h5", Context())
        sizes.append([float(row[4]) for row in table.rows])
    # the diatomics end at the room between their structures with either
    assert all(near <= far for near, far in zip(*sizes, strict=True))
    assert sum(near < far for near, far in zip(*sizes, strict=True)) >= 2


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "none"),
        ({"sigma": "exact"}, "exact"),
        ({"sigma": "bound"}, "bound"),
        ({"mode": "adaptive"}, "bound"),
        ({"max_sigma": 0.1}, "bound"),
    ],
)
def test_sigma_is_computed_where_something_uses_it(keys, expected):
    assert replace(settings(**keys), sigma=keys.get("sigma", "auto")).label_sigma == expected


def test_exact_sigma_is_refused_where_it_does_not_fit(inputs, tmp_path):
    with pytest.raises(ResourceError, match="use sigma: bound"):
        augment.run(settings(sigma="exact", max_memory_gib=1e-9), *inputs, tmp_path / "a.h5", Context())


def test_copies_tell_how_far_they_are_from_the_training_data(inputs, tmp_path):
    """Against distances of the descriptor, calculated here; and their number in the table."""
    config = settings(displacement=0.15, max_sigma=0.05, write=["extxyz"])
    table = augment.run(config, *inputs, tmp_path / "a.h5", Context())
    references, copies = load_split(inputs[0], "train"), load_augmented(tmp_path / "a.h5")
    for name, row in zip(references, table.rows, strict=True):
        own, given = references[name].positions, copies[name]
        x, new = (_inverse_distances(p) for p in (own, given.structures.positions))
        gaps = np.linalg.norm(x[:, None] - x, axis=2) + 1e9 * np.eye(len(x))
        distance = np.linalg.norm(new[:, None] - x, axis=2).min(axis=1) / gaps.min(axis=1).max()
        np.testing.assert_allclose(given.domain_distance, distance, rtol=1e-5, atol=1e-7)
        assert row[8] == str((distance > 1.0).sum())
    assert sum(int(row[8]) for row in table.rows) > 0
    assert any(int(row[8]) < int(row[2]) for row in table.rows)
    frames = read(tmp_path / "a_copies.extxyz", ":")
    told = np.concatenate([c.domain_distance for c in copies.values()])
    np.testing.assert_allclose([a.info["domain_distance"] for a in frames], told, rtol=1e-6)


def test_taylor_labels_have_no_domain(inputs, tmp_path):
    table = augment.run(settings(method="taylor"), inputs[0], None, tmp_path / "a.h5", Context())
    assert {row[8] for row in table.rows} == {"–"}
    assert all(c.domain_distance is None for c in load_augmented(tmp_path / "a.h5").values())


def _inverse_distances(positions):
    first, second = np.triu_indices(positions.shape[1], 1)
    return 1.0 / np.linalg.norm(positions[:, first] - positions[:, second], axis=2)


def test_blocks_hold_every_copy_once():
    for counts, size, whole in (
        ([3] * 7, 6, False),
        ([4, 4, 3, 3], 4, False),
        ([9, 2, 0], 4, False),
        ([9, 2], 4, True),
    ):
        blocks = plan_blocks("x", counts, size, whole)
        held = [(p, c) for b in blocks for p in range(*b.parents) for c in range(*b.copies)]
        assert held == [(p, c) for p, count in enumerate(counts) for c in range(count)]
        if not whole:
            assert all((b.parents[1] - b.parents[0]) * (b.copies[1] - b.copies[0]) <= size for b in blocks)
        assert len({b.name for b in blocks}) == len(blocks)


@pytest.mark.parametrize("changes", [{}, {"n_copies": 5}, {"mode": "adaptive"}, {"n_total": 23}])
def test_looking_at_the_request_to_stop_changes_no_copy(inputs, tmp_path, monkeypatch, changes):
    """Copies are displaced in pieces, of parents or of the copies of one."""
    config = settings(**{"n_copies": 20, "block_size": 999} | changes)
    augment.run(config, *inputs, tmp_path / "whole.h5", Context())
    monkeypatch.setattr(augment_block, "PIECE", 8)
    augment.run(config, *inputs, tmp_path / "pieces.h5", Context())
    ours, theirs = load_augmented(tmp_path / "whole.h5"), load_augmented(tmp_path / "pieces.h5")
    for name in ours:
        assert ours[name].structures.names == theirs[name].structures.names
        np.testing.assert_allclose(
            ours[name].structures.positions, theirs[name].structures.positions, atol=1e-9
        )


@pytest.mark.parametrize("phase", ["displacing copies", "putting copies together", "writing copies"])
def test_a_request_to_stop_is_obeyed_in_every_phase(inputs, tmp_path, phase):
    asked = []

    def progress(done, total, message):
        asked.extend([message] * (phase in message))

    context = Context(progress, stop=lambda: bool(asked))
    with pytest.raises(InterruptedRun, match=rf"{phase}.* finished before is kept"):
        augment.run(settings(n_copies=20, write=("extxyz",)), *inputs, tmp_path / "a.h5", context)
    assert not (tmp_path / "a.h5").exists()
    assert len(asked) == 1


def test_what_cannot_be_is_refused_before_it_begins(inputs, tmp_path, monkeypatch, caplog):
    with pytest.raises(ResourceError, match=r"lower block_size, candidates or n_copies"):
        augment.run(settings(n_copies=1_000_000, candidates=10_000), *inputs, tmp_path / "a.h5", Context())
    with pytest.raises(ConfigError, match=r"block_size: expected 1000000 blocks at most"):
        augment.run(settings(n_copies=1_000_000, block_size=1), *inputs, tmp_path / "a.h5", Context())
    monkeypatch.setattr(copy_costs.shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000))
    with pytest.raises(ResourceError, match="GiB are free; lower n_copies"):
        augment.run(settings(n_copies=1000), *inputs, tmp_path / "a.h5", Context())
    assert not list(tmp_path.glob("*a.h5*"))


def test_the_forecast_of_space_is_about_what_the_copies_take(inputs, tmp_path):
    config = settings(n_copies=500, block_size=8192)
    augment.run(config, *inputs, tmp_path / "a.h5", Context())
    expected = copy_costs.disk_gib(config, load_split(inputs[0], "train")) * 2**30
    assert 0.5 < expected / (tmp_path / "a.h5").stat().st_size < 2.0


def test_splitting_the_copies_of_a_parent_changes_none(inputs, tmp_path):
    augment.run(settings(n_copies=20, block_size=6), *inputs, tmp_path / "small.h5", Context())
    augment.run(settings(n_copies=20, block_size=999), *inputs, tmp_path / "large.h5", Context())
    ours, theirs = load_augmented(tmp_path / "small.h5"), load_augmented(tmp_path / "large.h5")
    for name in ours:
        np.testing.assert_array_equal(ours[name].structures.positions, theirs[name].structures.positions)
        np.testing.assert_allclose(
            ours[name].structures.energies, theirs[name].structures.energies, rtol=1e-12
        )
        assert ours[name].structures.names == theirs[name].structures.names
