"""Structures as users have them: permuted, wrapped, duplicated, overlapping, lonely (cases 8 to 11)."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from ase.build import add_adsorbate, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from aenet_gpr_cli.io.formats.xsf import read_xsf, write_xsf
from aenet_gpr_cli.structures import Structure

from .conftest import WATER, water

ORDER = [1, 0, 2]  # H O H


def permuted(structure, order=ORDER):
    return replace(
        structure,
        species=tuple(structure.species[i] for i in order),
        positions=structure.positions[order],
        forces=structure.forces[order],
    )


def test_permuted_atoms_join_their_subset_and_get_their_order_back(run_cli, tmp_path, waters):
    """Case 8: the order is recorded by split; files written for such a structure are in its own order."""
    for i in (3, 7):
        path = waters / f"w{i}.xsf"
        write_xsf(permuted(read_xsf(path)), path)
    code, out, said = run_cli("split", "runs", "--set", "train=10")
    assert code == 0
    assert (
        "H2O: atoms in another order in runs/w3.xsf, runs/w7.xsf; put into that of runs/w0.xsf"
        in " ".join((out + said).split())
    )
    with h5py.File("split.h5") as file:
        assert list(file["train"]) == ["H2O"]
        orders = {
            name.decode(): order.tolist()
            for part in ("train", "test")
            for name, order in zip(
                file[part]["H2O/names"], file[part]["H2O"].get("atom_orders", []), strict=False
            )
        }
    assert orders["runs/w3.xsf"] == ORDER
    assert orders["runs/w2.xsf"] == [0, 1, 2]

    code, _, said = run_cli("fit-gpr", "split.h5", "--set", "length_scale=1.0", "--set", "power=1.0")
    assert code == 0, said
    code, _, said = run_cli("augment", "split.h5", "gpr.h5", "--set", "write=[xsf]", "--set", "n_copies=1")
    assert code == 0, said
    firsts = {"".join(read_xsf(path).species) for path in tmp_path.glob("augmented_xsf/H2O/*.xsf")}
    assert firsts == {"OHH", "HOH"}

    rng = np.random.default_rng(5)
    asked = water(rng, "x")
    write_xsf(asked, tmp_path / "x.xsf")
    write_xsf(permuted(asked, [2, 0, 1]), tmp_path / "y.xsf")
    code, _, said = run_cli("predict", "gpr.h5", "x.xsf", "y.xsf", "--set", "write=[xsf]")
    assert code == 0, said
    x, y = (read_xsf(path) for path in sorted((tmp_path / "predictions_xsf").iterdir()))
    assert y.species == ("H", "O", "H")
    assert y.energy == pytest.approx(x.energy, abs=1e-9)
    np.testing.assert_allclose(y.forces, x.forces[[2, 0, 1]], atol=1e-9)
    np.testing.assert_allclose(x.forces, asked.forces, atol=0.1)  # a prediction, not zeros
    assert np.abs(x.forces).max() > 0.3


def test_exchanged_equal_atoms_are_told_and_atoms_that_move_are_not(run_cli, tmp_path):
    """Case 55, and what looks like it: the sentence says that both are possible where both are."""
    rng, frames = np.random.default_rng(0), []
    for i in range(12):
        atoms = fcc111("Cu", (2, 2, 3), vacuum=8.0, periodic=True)
        add_adsorbate(atoms, "O", 1.2, "fcc" if i % 3 else "hcp", offset=(i % 2, i // 2 % 2))
        atoms.rattle(0.05, rng=rng)
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.info.clear()
        frames.append(atoms)
    write(tmp_path / "moved.extxyz", frames)
    code, out, said = run_cli("split", "moved.extxyz")
    assert code == 0, said
    assert not any(words in out + said for words in ("another order", "each other's places"))
    order = np.arange(13)
    order[[0, 9]] = 9, 0
    exchanged = frames[5][order]
    results = {"energy": frames[5].calc.results["energy"], "forces": frames[5].calc.results["forces"][order]}
    exchanged.calc = SinglePointCalculator(exchanged, **results)
    write(tmp_path / "exchanged.extxyz", [*frames[:5], exchanged, *frames[6:]])
    code, out, said = run_cli("split", "exchanged.extxyz", "-o", "other.h5")
    assert code == 0, said
    words = " ".join((out + said).split())
    assert "equal atoms at each other's places in exchanged.extxyz" in words
    assert "numbered otherwise, or moved there" in words
    with h5py.File(tmp_path / "other.h5") as file:
        orders = np.concatenate([g["atom_orders"][()] for p in ("train", "test") for g in file[p].values()])
    assert [sorted(np.flatnonzero(o != np.arange(13))) for o in orders if (o != np.arange(13)).any()] == [
        [0, 9]
    ]


def test_atoms_across_a_boundary_are_brought_back_and_jumps_are_told(run_cli, tmp_path):
    """Case 9: the same training data whether atoms were wrapped or not; an atom that moved far is named."""
    rng, cell = np.random.default_rng(1), np.diag([6.0, 6.0, 20.0])
    for i in range(6):
        s = replace(water(rng, f"w{i}"), cell=cell, pbc=(True, True, True))
        wrapped = s.positions - np.floor(s.positions / np.diag(cell)) * np.diag(cell)
        for kind, positions in (("plain", s.positions), ("wrapped", wrapped)):
            (tmp_path / kind / "runs").mkdir(parents=True, exist_ok=True)
            write_xsf(
                replace(s, positions=positions if i else s.positions), tmp_path / kind / f"runs/w{i}.xsf"
            )
    for kind in ("plain", "wrapped"):
        code, out, said = run_cli("split", f"{kind}/runs", "-o", f"{kind}.h5", "--set", "train=6")
        assert code == 0
        assert "far from their place" not in out + said
    assert "atoms shifted by lattice vectors" in said
    with h5py.File("plain.h5") as a, h5py.File("wrapped.h5") as b:
        (group,) = a["train"].values()
        (other,) = b["train"].values()
        np.testing.assert_allclose(group["positions"][()], other["positions"][()], atol=1e-12)

    far = replace(s, positions=s.positions + np.array([[0, 0, 0], [0, 0, 0], [2.9, 0, 0]]))
    write_xsf(far, tmp_path / "wrapped/runs/w9.xsf")
    code, _, said = run_cli("split", "wrapped/runs", "--set", "train=6")
    assert code == 0
    assert "atoms far from their place in the first structure in runs/w9.xsf" in " ".join(said.split())


def test_duplicates_are_named_and_the_fit_reports_its_jitter(run_cli, waters):
    """Case 10: two equal structures make the matrix singular; the jitter is bounded, shown and stored."""
    same = read_xsf(waters / "w1.xsf")
    write_xsf(replace(same, positions=same.positions + 1.5), waters / "copy.xsf")
    code, _, said = run_cli("split", "runs", "--set", "train=13")
    assert code == 0
    assert "1 pairs of duplicate structures: runs/copy.xsf = runs/w1.xsf" in " ".join(said.split())
    keys = ["length_scale=1.0", "power=1.0", "noise_std_energy=1e-12", "noise_std_force=1e-12"]
    code, out, said = run_cli("fit-gpr", "split.h5", *(f"--set={key}" for key in keys))
    assert code == 0, said
    with h5py.File("gpr.h5") as file:
        jitter = float(file["subsets/H2O"].attrs["jitter"])
    assert 0.0 < jitter <= 1e-6
    assert "jitter" in out + said


def test_overlapping_atoms_are_named_and_a_lonely_atom_is_legal(run_cli, tmp_path, waters):
    """Case 11: of a crystal it is a structure; alone in space it fixes the energy of its element."""
    s = read_xsf(waters / "w0.xsf")
    close = s.positions.copy()
    close[2] = close[1] + 0.2
    write_xsf(replace(s, positions=close), waters / "close.xsf")
    for i in range(4):
        cell, pbc = (3.0 + 0.1 * i) * np.eye(3), (True,) * 3
        helium = Structure(("He",), np.zeros((1, 3)), cell, pbc, -79.0 + 0.1 * i, np.zeros((1, 3)))
        write_xsf(helium, waters / f"he{i}.xsf")
    oxygen = Structure(("O",), np.zeros((1, 3)), energy=-430.0, forces=np.zeros((1, 3)))
    write_xsf(oxygen, waters / "o.xsf")
    code, out, said = run_cli("split", "runs", "--set", "train=3", "--set", "count=subset")
    assert code == 0
    said = " ".join((out + said).split())
    assert "H2O: 1 pairs of atoms closer than 0.4 Å: runs/close.xsf (atoms 1 and 2, 0.346 Å)" in said
    assert "1 isolated atoms are not divided; they fix the energies of atoms: O -430 eV" in said
    settings = ["mode=energy_only", "n_members=1", "levenberg_marquardt.iterations=3"]
    code, _, said = run_cli("train-ann", "split.h5", *(f"--set={key}" for key in settings))
    assert code == 0, said
    with h5py.File("ann.h5") as file:
        assert file["model/networks/O"].attrs["atomic_energy"] == -430.0
    code, out, said = run_cli("predict", "ann.h5", "runs/he0.xsf", "runs/o.xsf")
    assert code == 0, said


def test_atoms_at_one_place_are_left_out_by_name_and_named_where_a_process_meets_them(
    run_cli, tmp_path, waters
):
    """The process works on blocks, whose numbers say nothing to the user."""
    s = read_xsf(waters / "w0.xsf")
    twice = s.positions.copy()
    twice[2] = twice[1]
    write_xsf(replace(s, positions=twice), waters / "w4twice.xsf")
    code, out, said = run_cli("split", "runs", "--set", "train=8")
    assert code == 0
    out = " ".join((out + said).split())
    assert "left out 1 of 13 frames, atoms 1 and 2 are at one place: runs/w4twice.xsf" in out
    code, _, said = run_cli("split", "runs", "-o", "s.h5", "--set", "incomplete=refuse")
    assert code == 2
    assert "atoms 1 and 2 are at one place: runs/w4twice.xsf" in " ".join(said.split())
    keys = ["model=full", "length_scale=1.0", "power=1.0", "solver=cholesky"]
    code, _, said = run_cli("fit-gpr", "split.h5", *(f"--set={key}" for key in keys))
    assert code == 0, said
    code, _, said = run_cli("predict", "gpr.h5", "runs")
    assert code == 2
    assert "runs/w4twice.xsf: atoms 1 and 2 are at one place (0 Å); expected distinct atoms" in " ".join(
        said.split()
    )


def test_the_molecule_is_what_the_tests_take_it_for():
    s = water(np.random.default_rng(3), "w")
    h, numeric = 1e-5, np.zeros((3, 3))
    rest = np.linalg.norm(WATER[:, None] - WATER, axis=-1)

    def energy(positions):
        r = np.linalg.norm(positions[:, None] - positions, axis=-1)
        return 5.0 * ((r - rest) ** 2).sum()

    for i, j in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[i, j] = h
        numeric[i, j] = -(energy(s.positions + step) - energy(s.positions - step)) / (2 * h)
    np.testing.assert_allclose(s.forces, numeric, atol=1e-7)
