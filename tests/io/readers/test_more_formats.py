"""CP2K, n2p2 and DeePMD: the same structures as from extended XYZ, in eV and Å, whatever the format has."""

from pathlib import Path

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats.source_files import source_hashes
from aenet_gpr_cli.io.formats.sources import read_data
from aenet_gpr_cli.structures import Structure
from aenet_gpr_cli.subsystems.reading_rules import ReadingRules
from tests.io.frames import outputs

BOHR, HARTREE = outputs.BOHR, outputs.HARTREE


def read(path, **rules):
    return read_data([path], ReadingRules(**rules))


def waters(n=3) -> list[Structure]:
    rng = np.random.default_rng(0)
    first = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    return [
        Structure(
            ("O", "H", "H"),
            first + 0.05 * rng.standard_normal((3, 3)),
            np.diag([8.0, 9, 10]) + 0.1 * rng.standard_normal((3, 3)),
            (True, True, True),
            -2000.0 - i,
            rng.standard_normal((3, 3)),
            stress=0.01 * np.diag([1.0, 2, 3]),
        )
        for i in range(n)
    ]


def n2p2(structures, energy=1.0, length=1.0, comment="", charge: float | None = None) -> str:
    """Write with units of so many eV and Å."""
    text = ""
    for s in structures:
        text += "begin\ncomment " + comment + "\n"
        text += "".join(f"lattice {' '.join(map(repr, (row / length).tolist()))}\n" for row in s.cell)
        for symbol, r, f in zip(s.species, s.positions / length, s.forces * length / energy, strict=True):
            place, force = (" ".join(map(repr, x.tolist())) for x in (r, f))
            text += f"atom {place} {symbol} 0.0 0.0 {force}\n"
        text += f"energy {s.energy / energy!r}\n" + ("" if charge is None else f"charge {charge}\n") + "end\n"
    return text


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.species == other.species
        assert one.pbc == other.pbc
        assert one.energy == pytest.approx(other.energy, rel=1e-9)
        for key in ("positions", "cell", "forces"):
            np.testing.assert_allclose(getattr(one, key), getattr(other, key), rtol=1e-8, atol=1e-9)


def test_n2p2_is_read_in_hartree_and_bohr_unless_it_says_otherwise(tmp_path, caplog):
    path = tmp_path / "input.data"
    path.write_text(n2p2(waters(), HARTREE, BOHR, charge=-1.0))
    found = read(path)
    assert_same(found.structures, waters())
    assert found.structures[0].state == (("charge", -1.0),)
    assert caplog.text.count("no units in the file, read as Hartree and Bohr") == 1
    caplog.clear()
    path.write_text(n2p2(waters(), comment="energy-unit=eV length-unit=Å force-unit=eV/Å"))
    assert_same(read(path).structures, waters())
    assert "Hartree" not in caplog.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("energy -2001", "energy -20 01"), "expected 1 numbers after energy, got 2"),
        (("atom", "atom 1.0"), "expected 8 numbers after atom|expected numbers"),
        (("lattice", "lattce"), "expected atom, lattice, energy, charge, comment or end, got 'lattce"),
        ((" O ", " Qq "), "expected atoms of known elements, got 'Qq'"),
    ],
)
def test_damaged_n2p2_names_the_line(tmp_path, change, said):
    (tmp_path / "input.data").write_text(n2p2(waters(2)).replace(change[0], change[1], 1))
    with pytest.raises(InputError, match=rf"input.data:\d+: .*(?:{said})"):
        read(tmp_path / "input.data")


def test_n2p2_that_ends_within_a_structure_gives_the_others(tmp_path):
    (tmp_path / "input.data").write_text(n2p2(waters(3), HARTREE, BOHR)[:-200])
    found = read(tmp_path / "input.data")
    assert len(found.structures) == 2
    assert found.files[0].left_out[0].why == "cut short"


def deepmd(folder: Path, structures, sets=1, periodic=True) -> Path:
    (folder / "sys").mkdir(parents=True)
    (folder / "sys" / "type.raw").write_text("1\n0\n0\n")
    (folder / "sys" / "type_map.raw").write_text("H\nO\n")
    if not periodic:
        (folder / "sys" / "nopbc").write_text("")
    for k, part in enumerate(np.array_split(np.arange(len(structures)), sets)):
        here = folder / "sys" / f"set.{k:03d}"
        here.mkdir()
        some = [structures[i] for i in part]
        volumes = np.array([abs(np.linalg.det(s.cell)) for s in some])
        np.save(here / "coord.npy", np.array([s.positions.ravel() for s in some], np.float32))
        np.save(here / "force.npy", np.array([s.forces.ravel() for s in some]))
        np.save(here / "energy.npy", np.array([s.energy for s in some]))
        np.save(here / "box.npy", np.array([s.cell.ravel() for s in some]))
        virials = -volumes[:, None] * np.array([s.stress.ravel() for s in some])
        np.save(here / "virial.npy", virials)
    return folder


@pytest.mark.parametrize("sets", [1, 2])
def test_systems_of_deepmd_are_read_through_all_sets(tmp_path, sets):
    given = waters(5)
    folder = deepmd(tmp_path / "data", given, sets)
    found = read(folder)
    assert [s.name for s in found.structures] == [f"data/sys/type.raw#{i}" for i in range(5)]
    assert not found.unknown
    for one, other in zip(found.structures, given, strict=True):
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-6)
        np.testing.assert_allclose(one.forces, other.forces)
        np.testing.assert_allclose(one.stress, other.stress, rtol=1e-9)
        assert one.energy == other.energy


def test_a_changed_array_of_deepmd_is_another_source(tmp_path):
    folder = deepmd(tmp_path / "data", waters(3))
    before = source_hashes([folder]), source_hashes([folder / "sys" / "type.raw"])
    np.save(folder / "sys" / "set.000" / "energy.npy", np.zeros(3))
    after = source_hashes([folder]), source_hashes([folder / "sys" / "type.raw"])
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_isolated_systems_of_deepmd_and_damaged_ones(tmp_path):
    found = read(deepmd(tmp_path / "a", waters(2), periodic=False)).structures
    assert all(s.cell is None and s.stress is None for s in found)
    folder = deepmd(tmp_path / "b", waters(2))
    np.save(folder / "sys" / "set.000" / "force.npy", np.zeros((2, 6)))
    with pytest.raises(InputError, match=r"force.npy: expected numbers of shape \(2, 3, 3\)"):
        read(folder)
    np.save(folder / "sys" / "set.000" / "force.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(InputError, match=r"force.npy: expected numbers of shape"):
        read(folder)
    (folder / "sys" / "type_map.raw").write_text("H\n")
    with pytest.raises(InputError, match=r"expected types of the elements in type_map\.raw"):
        read(folder)


@pytest.mark.parametrize("new", [True, False])
def test_single_points_of_cp2k(tmp_path, new):
    path = tmp_path / "run.out"
    path.write_text(outputs.cp2k([True, False, True], new, charge=1))
    found = read(path)
    assert [s.name for s in found.structures] == ["run.out#0", "run.out#2"]
    assert "the electronic self-consistency was not reached" in found.files[0].left_out[0].why
    s = found.structures[1]
    assert s.energy == pytest.approx(-1.168 * HARTREE)
    assert dict(s.state) == {"charge": 1.0, "multiplicity": 1.0}
    np.testing.assert_allclose(s.positions[1], [0.76, 0, 0])
    np.testing.assert_allclose(s.forces[:, 0], np.array([-0.01, 0.01]) * HARTREE / BOHR)
    np.testing.assert_allclose(s.cell, np.diag([5.0, 6, 7]))
    expected = -np.array([[1, 0.1, 0.2], [0.1, 2, 0.3], [0.2, 0.3, 3]]) / 160.21766
    np.testing.assert_allclose(s.stress, expected, rtol=1e-6)


def test_a_relaxation_of_cp2k_gives_its_first_step_only(tmp_path):
    """Energies, forces and cell of the others belong to coordinates that are not in the output."""
    path = tmp_path / "run.out"
    first = outputs.cp2k([True])
    further = outputs.cp2k([False, True]).split(" MODULE QUICKSTEP")[1:]
    steps = "".join(part.partition("\n\n\n")[2].replace("0.01000000", "0.02000000") for part in further)
    path.write_text(first + steps + first.partition(" DFT|")[0].replace("5.000", "5.500"))
    found = read(path)
    assert [s.name for s in found.structures] == ["run.out#0"]
    s = found.structures[0]
    assert s.energy == pytest.approx(-1.17 * HARTREE)
    np.testing.assert_allclose(s.forces[:, 0], np.array([-0.01, 0.01]) * HARTREE / BOHR)
    np.testing.assert_allclose(s.cell, np.diag([5.0, 6, 7]))
    assert [item.name for item in found.files[0].left_out] == ["run.out#1", "run.out#2"]
    assert "a further step, whose coordinates are not in the output" in found.files[0].left_out[0].why


def test_isolated_and_cut_outputs_of_cp2k(tmp_path):
    path = tmp_path / "run.out"
    path.write_text(outputs.cp2k([True, True], periodic="NONE"))
    assert read(path).structures[0].pbc == (False, False, False)
    text = outputs.cp2k([True, True])
    for last in (" ENERGY|", " FORCES|      2"):
        path.write_text(text[: text.rindex(last)])
        found = read(path)
        assert len(found.structures) == 1
        assert found.files[0].left_out[0].why == "cut short"
    path.write_text(text.replace(" FORCES|      2  1.0", " FORCES|      x  1.0", 1))
    with pytest.raises(InputError, match="frame 0: expected forces of the 2 atoms, got those of 1"):
        read(path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "    Psi4: An Open-Source Ab Initio Electronic Structure Package\n",
            "output of Psi4: dpdata (format psi4/out)",
        ),
        (
            "Siesta Version: siesta-4.0\n  *  WELCOME TO SIESTA  *\n",
            "output of SIESTA: dpdata (format siesta/output)",
        ),
        ("     WELCOME TO ABACUS\n", "output of ABACUS: dpdata (format abacus/scf"),
    ],
)
def test_outputs_of_other_codes_are_named_with_what_converts_them(tmp_path, words, said):
    path = tmp_path / "run.out"
    path.write_text(words)
    with pytest.raises(InputError) as error:
        read(path)
    assert said in str(error.value)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.out").write_text(words)
    (tmp_path / "more" / "b.out").write_text(outputs.cp2k([True]))
    assert said in read(tmp_path / "more").warnings()[-1]


def test_frames_of_ase_and_n2p2_may_say_that_they_did_not_converge(tmp_path):
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.db import connect
    from ase.io import write

    frames = []
    for i in range(3):
        atoms = Atoms("H2", [[0, 0, 0], [0.74 + 0.01 * i, 0, 0]])
        atoms.calc = SinglePointCalculator(atoms, energy=-31.0 + i, forces=np.zeros((2, 3)))
        atoms.info["converged"] = i != 1
        frames.append(atoms)
    write(tmp_path / "a.traj", frames)
    with connect(tmp_path / "a.db") as database:
        for atoms in frames:
            database.write(atoms, converged=atoms.info["converged"])
    rows = "".join(f"atom {x} 0 0 H 0 0 {f} 0 0\n" for x, f in ((0, -0.1), (1.4, 0.1)))
    (tmp_path / "input.data").write_text(
        "".join(f"begin\ncomment scf_converged={yes}\n{rows}energy -1.1\nend\n" for yes in "TFT")
    )
    for name in ("a.traj", "a.db", "input.data"):
        found = read(tmp_path / name)
        assert [s.name for s in found.structures] == [f"{name}#0", f"{name}#2"]
