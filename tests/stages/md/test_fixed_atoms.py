"""`md` with fixed atoms: they stay where they are, by the key or by constraints of the file."""

import gzip
from dataclasses import replace

import h5py
import numpy as np
import pytest
from ase.build import fcc111
from ase.constraints import FixAtoms, FixBondLength, FixCartesian, FixScaled
from ase.io import read, write

from aenet_gpr_cli.config.stages.md_config import MdConfig
from aenet_gpr_cli.dynamics.md_record import COLUMNS
from aenet_gpr_cli.errors import ConfigError, InputError, InterruptedRun
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.stages.md import md_stage as stage
from aenet_gpr_cli.stages.md.md_plan import make_plan
from aenet_gpr_cli.stages.md.md_replicas import path_of
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.units import BOLTZMANN
from tests.stages.md.conftest import START
from tests.stages.md.test_md_stage import asked_after

SHORT = MdConfig(time_ps=0.01, timestep_fs=0.25, store_every=10, table_every=1, temperature=100.0, workers=1)
FIXED = (0, 3, 7)


def start_in(folder, constraints, name="start.xyz", momenta=False):
    """The start with constraints of ASE, in a file."""
    atoms = read(START)
    if momenta:
        atoms.set_momenta(np.random.default_rng(0).normal(size=(len(atoms), 3)) * 0.1)
    atoms.set_constraint(constraints)
    write(folder / name, atoms)
    return folder / name


def run(config, model, start, folder, context=None):
    folder.mkdir(exist_ok=True)
    return stage.run(config, model, start, folder / "md.h5", context or Context())


def plan(config, start):
    return make_plan(config, read_sources([start]), start)


def assert_they_stay(path, fixed):
    with h5py.File(path) as file:
        group, n = file["trajectory"], file["trajectory/positions"].shape[1]
        free = np.setdiff1d(np.arange(n), fixed)
        positions, velocities = group["positions"][()], group["velocities"][()]
        assert np.array_equal(
            positions[:, fixed], np.broadcast_to(positions[0, fixed], (len(positions), len(fixed), 3))
        )
        assert np.array_equal(velocities[:, fixed], np.zeros((len(positions), len(fixed), 3)))
        assert (positions[-1, free] != positions[0, free]).any(axis=1).all()
        assert group["fixed_atoms"][()].tolist() == list(fixed)
        return dict(zip(COLUMNS, file["table"][()].T, strict=True))


@pytest.mark.parametrize("momenta", [False, True])
@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
def test_fixed_atoms_of_the_file_stay_where_they_are(model, tmp_path, caplog, ensemble, momenta):
    caplog.set_level("INFO", "aenet_gpr_cli")
    start = start_in(tmp_path, FixAtoms(FIXED), momenta=momenta)
    said = run(replace(SHORT, ensemble=ensemble), model, start, tmp_path / "one")
    assert "3 of 20 atoms fixed" in said.title
    assert f"3 atoms are fixed by constraints of {start}" in caplog.text
    column = assert_they_stay(tmp_path / "one" / "md.h5", FIXED)
    expected = 2.0 * column["kinetic_energy_eV"] / (3 * 17 * BOLTZMANN)
    np.testing.assert_allclose(column["temperature_K"], expected)
    conserved = np.ptp(column["conserved_energy_eV"])
    assert conserved < 0.02 * np.ptp(column["potential_energy_eV"])  # O(dt²) of hydrogen at 0.25 fs
    frames = read(tmp_path / "one" / "md_trajectory.extxyz", ":")
    for frame in frames:
        assert [each.index.tolist() for each in frame.constraints] == [list(FIXED)]
        assert np.abs(frame.get_forces(apply_constraint=False)[list(FIXED)]).min() > 0.0  # as the model says
    # what goes on from there has the same fixed atoms
    assert plan(replace(SHORT, frame=-1), tmp_path / "one" / "md_trajectory.extxyz").fixed == FIXED


def test_an_interrupted_run_with_fixed_atoms_goes_on_along_the_same_path(model, tmp_path):
    start = start_in(tmp_path, FixAtoms(FIXED))
    run(SHORT, model, start, tmp_path / "whole")
    with pytest.raises(InterruptedRun):
        run(SHORT, model, start, tmp_path / "parts", Context(stop=asked_after(17)))
    run(SHORT, model, start, tmp_path / "parts", Context(resume=True))
    one, other = (h5py.File(tmp_path / name / "md.h5") for name in ("whole", "parts"))
    with one, other:
        assert np.array_equal(one["table"][()], other["table"][()], equal_nan=True)
        for name in ("positions", "velocities", "forces", "fixed_atoms"):
            assert np.array_equal(one[f"trajectory/{name}"][()], other[f"trajectory/{name}"][()])


def test_replicas_have_the_fixed_atoms_of_their_frames(model, tmp_path):
    one, two = read(START), read(START)
    one.set_constraint(FixAtoms(FIXED))
    two.set_constraint(FixAtoms([1]))
    write(tmp_path / "start.xyz", [one, two])
    for each_frame, fixed in ((False, (FIXED, FIXED)), (True, (FIXED, (1,)))):
        config, folder = replace(SHORT, replicas=2, each_frame=each_frame), tmp_path / f"{each_frame}"
        said = run(config, model, tmp_path / "start.xyz", folder)
        assert "3 of 20 atoms fixed" in said.title
        for number, own in enumerate(fixed, 1):
            assert_they_stay(path_of(folder / "md.h5", number), own)


def test_the_key_stands_above_the_file(model, tmp_path):
    start = start_in(tmp_path, FixAtoms(FIXED))
    assert plan(replace(SHORT, fixed_atoms=(5, 2, 5)), start).fixed == (2, 5)
    assert plan(replace(SHORT, fixed_atoms=()), start).free is None
    run(replace(SHORT, fixed_atoms=(2,)), model, START, tmp_path / "two")  # XSF has no constraints
    assert_they_stay(tmp_path / "two" / "md.h5", (2,))
    run(replace(SHORT, fixed_atoms=()), model, start, tmp_path / "none")
    run(SHORT, model, start_in(tmp_path, None, "free.xyz"), tmp_path / "free")
    one, other = (h5py.File(tmp_path / name / "md.h5") for name in ("none", "free"))
    with one, other:
        assert "fixed_atoms" not in one["trajectory"]
        assert np.array_equal(one["table"][()], other["table"][()], equal_nan=True)
    assert not read(tmp_path / "none" / "md_trajectory.extxyz").constraints


@pytest.mark.parametrize(
    ("name", "constraints"),
    [
        ("start.xyz", FixAtoms(FIXED)),
        ("start.traj", FixAtoms(FIXED)),
        ("start.db", FixAtoms(FIXED)),
        ("start.traj", [FixAtoms([0]), FixCartesian([3]), FixScaled([-13]), FixCartesian([1], (0, 0, 0))]),
        ("start.xyz", [FixCartesian([0, 3, 7]), FixCartesian([1], (False, False, False))]),
    ],
)
def test_whole_atoms_are_fixed_in_whatever_way(tmp_path, name, constraints):
    assert plan(SHORT, start_in(tmp_path, constraints, name)).fixed == FIXED


def test_selective_dynamics_of_a_poscar_count(tmp_path):
    slab = fcc111("Cu", (2, 2, 2), vacuum=6.0)
    slab.set_constraint(FixAtoms(range(4)))
    write(tmp_path / "POSCAR", slab, format="vasp", direct=True)
    assert "Selective dynamics" in (tmp_path / "POSCAR").read_text()
    assert plan(SHORT, tmp_path / "POSCAR").fixed == (0, 1, 2, 3)


def test_compressed_files_are_looked_into_and_archives_are_told(tmp_path, caplog):
    caplog.set_level("INFO", "aenet_gpr_cli")
    start = start_in(tmp_path, FixAtoms(FIXED))
    packed = tmp_path / "packed.xyz.gz"
    packed.write_bytes(gzip.compress(start.read_bytes()))
    assert plan(SHORT, packed).fixed == FIXED
    assert "not looked at" not in caplog.text
    packed.unlink()
    assert plan(SHORT, tmp_path).free is None
    assert "constraints of folders and archives are not looked at (key fixed_atoms)" in caplog.text


@pytest.mark.parametrize(
    ("name", "constraint", "said"),
    [
        ("start.xyz", FixCartesian([0], (False, False, True)), "FixCartesian along some axes"),
        ("start.traj", FixScaled([0], (True, False, False)), "FixScaled along some axes"),
        ("start.traj", FixBondLength(0, 1), "FixBondLength"),
    ],
)
def test_other_constraints_are_refused_until_the_key_decides(tmp_path, name, constraint, said):
    start = start_in(tmp_path, [FixAtoms([4]), constraint], name)
    with pytest.raises(
        InputError, match=rf"frame 0: expected atoms that are fixed or free .*{said}.*give fixed_atoms"
    ):
        plan(SHORT, start)
    assert plan(replace(SHORT, fixed_atoms=(4,)), start).fixed == (4,)


def test_a_mask_that_cannot_be_read_is_refused(tmp_path):
    start = start_in(tmp_path, FixAtoms(FIXED))
    number, header, *rows = start.read_text().replace("move_mask:L:1", "move_mask:L:2").splitlines()
    rows = [row.replace(" F ", " F F ").replace(" T ", " T T ") for row in rows]
    start.write_text("\n".join([number, header, *rows, ""]))
    with pytest.raises(InputError, match=r"expected constraints as ASE reads them, .*; give fixed_atoms"):
        plan(SHORT, start)


def test_what_fixed_atoms_cannot_be_is_one_message(boxed, tmp_path):
    with pytest.raises(ConfigError, match=r"npt: expected no fixed atoms.* got 1 of 20; fixed_atoms: \[\]"):
        plan(replace(SHORT, ensemble="npt", fixed_atoms=(1,)), boxed)
    assert plan(replace(SHORT, ensemble="npt", fixed_atoms=()), boxed).free is None
    with pytest.raises(InputError, match="fixed_atoms: expected indices from 0 to 19, got 20"):
        plan(replace(SHORT, fixed_atoms=(20,)), START)
    with pytest.raises(ConfigError, match="fixed_atoms: expected an atom that moves, got 20 of 20 by constr"):
        plan(SHORT, start_in(tmp_path, FixAtoms(range(20))))
