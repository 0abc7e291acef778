"""Reference data that are not what they seem: named, converted, left out or refused, never just taken."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.io import read, write

from aenet_gpr_cli.io.artefacts.structure_sets import read_structures
from aenet_gpr_cli.io.files import sha256_of
from aenet_gpr_cli.io.formats.xsf import write_xsf
from tests.faults.conftest import water

HEADER = 'Properties=species:S:1:pos:R:3:{forces}:R:3 {energy} pbc="F F F"{more}'


def xyz(
    path: Path,
    n: int = 8,
    energy: str = "energy={e!r}",
    forces: str = "forces",
    more: str = "",
    scale: float = 1.0,
    length: float = 1.0,
) -> Path:
    """Write waters; energies and forces are multiplied by `scale`."""
    rng, text = np.random.default_rng(0), ""
    for i in range(n):
        s = water(rng, f"w{i}")
        e = scale * s.energy
        header = HEADER.format(forces=forces, energy=energy.format(e=e, other=e - 5), more=more)
        rows = zip(s.species, (length * s.positions).tolist(), (scale * s.forces).tolist(), strict=True)
        text += f"3\n{header}\n" + "".join(f"{a} {' '.join(map(repr, [*r, *f]))}\n" for a, r, f in rows)
    path.write_text(text)
    return path


@pytest.fixture
def split(run_cli, tmp_path):
    """Return a function that runs ``split``: exit code, what is said, structures. Inputs stay as they are."""

    def run(path: Path, *options: str):
        files = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".h5"]
        before = {p: sha256_of(p) for p in files}
        code, out, err = run_cli("split", path, "-o", "split.h5", "--force", "--set", "train=0.5", *options)
        assert {p: sha256_of(p) for p in files} == before
        said = " ".join((out + err).split())
        assert "Traceback" not in said
        assert "this is a bug" not in said
        found = {}
        if code == 0:
            with h5py.File(tmp_path / "split.h5") as file:
                for part in ("train", "test"):
                    for group in file[part].values():
                        one = read_structures(group)
                        found |= {one.names[i]: one.structure(i) for i in range(len(one))}
                found_definition = file.attrs["energy_definition"]
                said += f" [{found_definition}]"
        return code, said, found

    return run


def vasprun(path: Path, steps: list[int], nelm: int) -> Path:
    """Write a run of H2 in a box; frame i stops after ``steps[i]`` steps, 0.5 eV apart."""
    cell = "<varray name='basis'><v>6 0 0</v><v>0 6 0</v><v>0 0 6</v></varray>"

    def structure(x: float, name: str = "") -> str:
        return (
            f"<structure{name}><crystal>{cell}</crystal>"
            f"<varray name='positions'><v>.1 .1 .1</v><v>{x:.6f} .1 .1</v></varray></structure>"
        )

    def energy(e: float) -> str:
        names = ("e_fr_energy", "e_wo_entrp", "e_0_energy")
        return "<energy>" + "".join(f"<i name='{name}'>{e}</i>" for name in names) + "</energy>"

    text = (
        "<?xml version='1.0'?><modeling><kpoints><varray name='kpointlist'><v>0 0 0</v></varray>"
        "<varray name='weights'><v>1.0</v></varray></kpoints>"
        f"<parameters><i type='int' name='NELM'>{nelm}</i><i name='EDIFF'>0.0001</i></parameters>"
        "<atominfo><array name='atoms'><set>"
        + 2 * "<rc><c>H </c><c>1</c></rc>"
        + "</set></array></atominfo>"
        + structure(0.225, " name='initialpos'")
    )
    for i, n in enumerate(steps):
        e = -6.0 - 0.01 * i
        scf = "".join(f"<scstep>{energy(e + 0.5 * (n - k - 1))}</scstep>" for k in range(n))
        forces = "<varray name='forces'><v>-1 0 0</v><v>1 0 0</v></varray>"
        text += f"<calculation>{scf}{structure(0.22 + 0.003 * i)}{forces}{energy(e)}</calculation>"
    path.write_text(text + "</modeling>")
    return path


def test_calculations_that_did_not_converge_are_left_out_refused_or_kept(split, tmp_path):
    path = vasprun(tmp_path / "vasprun.xml", [3, 3, 4, 3, 4, 3], nelm=4)
    code, said, found = split(path)
    assert code == 0
    why = "the electronic self-consistency was not reached"
    assert f"left out 2 of 6 frames, {why}: vasprun.xml#2, vasprun.xml#4" in said
    assert sorted(found) == [f"vasprun.xml#{i}" for i in (0, 1, 3, 5)]
    code, said, _ = split(path, "--set", "unconverged=refuse")
    assert code == 2
    assert f"(unconverged: refuse), got 2 of 6 with: {why}" in said
    code, said, found = split(path, "--set", "unconverged=keep")
    assert code == 0
    assert len(found) == 6


def test_one_electronic_step_is_enough_where_no_more_were_asked_for(split, tmp_path):
    code, said, found = split(vasprun(tmp_path / "run1_vasprun.xml", [1, 1, 1], nelm=1))
    assert code == 0
    assert len(found) == 3
    assert "left out" not in said


def test_one_definition_of_the_energy_for_all(split, tmp_path):
    rng_frames = xyz(tmp_path / "a.xyz", energy="energy={e!r} free_energy={other!r}").read_text()
    path = tmp_path / "mixed.xyz"
    path.write_text(rng_frames + xyz(tmp_path / "b.xyz").read_text())
    code, said, _ = split(path)
    assert code == 2
    assert "got free_energy (which differs from energy) in 8" in said
    assert "only energy in 8" in said
    code, said, found = split(path, "--set", "energy_key=energy")
    assert code == 0
    assert len(found) == 16
    assert said.endswith("[energy]")
    code, said, found = split(path, "--set", "energy_key=free_energy")
    assert code == 0
    assert len(found) == 8
    assert "left out 8 of 16 frames, no energy" in said


def test_several_energies_in_a_frame_need_a_key(split, tmp_path):
    path = xyz(tmp_path / "both.xyz", energy="energy={e!r} dft_energy={other!r} REF_energy={other!r}")
    code, said, _ = split(path)
    assert code == 2
    assert "got several that differ: energy, dft_energy, REF_energy" in said
    assert "energy_key" in said
    code, said, found = split(path, "--set", "energy_key=REF_energy")
    assert code == 0
    assert "energy: REF_energy, forces: forces" in said
    assert -2006 < found["both.xyz#0"].energy < -2004


@pytest.mark.parametrize(
    ("energy", "forces", "named"),
    [
        ("REF_energy={e!r}", "REF_forces", "energy from REF_energy, forces from REF_forces"),
        ("dft_energy={e!r}", "dft_force", "energy from dft_energy, forces from dft_force"),
        ("energy={e!r}", "force", "forces from force"),
    ],
)
def test_usual_names_of_energy_and_forces_are_found_and_said_once(split, tmp_path, energy, forces, named):
    code, said, found = split(xyz(tmp_path / "ref.xyz", energy=energy, forces=forces))
    assert code == 0
    assert len(found) == 8
    assert said.count(f"{named} (energy_key and forces_key choose others)") == 1
    assert found["ref.xyz#0"].forces is not None


def test_a_key_that_is_not_there_is_answered_with_those_that_are(split, tmp_path):
    code, said, _ = split(xyz(tmp_path / "a.xyz"), "--set", "energy_key=REF_energy")
    assert code == 2
    assert "expected the energy_key 'REF_energy', got energy" in said
    code, said, _ = split(xyz(tmp_path / "a.xyz"), "--set", "forces_key=REF_forces")
    assert code == 2
    assert "expected the forces_key 'REF_forces', got forces" in said


def test_energy_and_forces_are_taken_by_the_names_that_are_given(split, tmp_path):
    path = xyz(tmp_path / "a.xyz", energy="E_dft={e!r} level=3", forces="my_f")
    code, said, found = split(path, "--set", "energy_key=E_dft", "--set", "forces_key=my_f")
    assert code == 0
    assert "8 frames; energy: E_dft, forces: my_f" in said
    plain = xyz(tmp_path / "b.xyz")
    expected = split(plain)[2]["b.xyz#0"]
    assert found["a.xyz#0"].energy == expected.energy
    np.testing.assert_array_equal(found["a.xyz#0"].forces, expected.forces)
    for atoms in (frames := read(path, ":")):
        atoms.info["data"] = {"my_f": atoms.arrays["my_f"]}
    write(tmp_path / "a.traj", frames)
    code, said, found = split(tmp_path / "a.traj", "--set", "energy_key=E_dft", "--set", "forces_key=my_f")
    assert code == 0
    assert "8 frames; energy: E_dft, forces: my_f" in said
    np.testing.assert_array_equal(found["a.traj#0"].forces, expected.forces)


def test_frames_without_finite_numbers_are_named_with_a_way_round(split, tmp_path):
    path = xyz(tmp_path / "a.xyz")
    lines = path.read_text().splitlines(keepends=True)
    for frame in (2, 5):
        words = lines[5 * frame + 3].split()
        lines[5 * frame + 3] = " ".join([*words[:5], "nan", words[6]]) + "\n"
    path.write_text("".join(lines))
    code, said, _ = split(path)
    assert code == 2
    assert (
        "a.xyz, frame 2: expected finite numbers, got NaN or infinity in force, also in frame 5; mend" in said
    )
    assert "converged=F in its header is left out (unconverged: skip)" in said
    for frame in (2, 5):
        lines[5 * frame + 1] = lines[5 * frame + 1].replace("energy=", "converged=F energy=")
    path.write_text("".join(lines))
    code, said, found = split(path)
    assert (code, len(found)) == (0, 6)
    assert "left out 2 of 8 frames, the frame says converged=F" in said


def test_names_that_may_be_meant_are_listed(split, tmp_path):
    path = xyz(tmp_path / "a.xyz", energy="E_dft={e!r} level=3", forces="my_f")
    code, said, _ = split(path, "--set", "energy_key=e_dft", "--set", "forces_key=my_f")
    assert code == 2
    assert "expected the energy_key 'e_dft', got E_dft, level" in said
    code, said, _ = split(path, "--set", "energy_key=E_dft", "--set", "forces_key=f")
    assert code == 2
    assert "expected the forces_key 'f', got my_f" in said
    code, said, _ = split(path)
    assert code == 2
    assert "no key 'energy', but E_dft, level; name the right one as energy_key" in said
    assert "no column 'forces', but my_f; name the right one as forces_key" in said


def test_a_named_key_that_stands_twice_is_refused(split, tmp_path):
    path = xyz(tmp_path / "a.xyz", energy="E_dft={e!r} E_dft={other!r}")
    code, said, _ = split(path, "--set", "energy_key=E_dft")
    assert code == 2
    assert "expected each key of the header once, got E_dft twice" in said


def test_a_key_of_other_bytes_is_stored_as_text(split, tmp_path):
    (tmp_path / "runs").mkdir()
    for i in range(4):
        write_xsf(water(np.random.default_rng(i), f"w{i}"), tmp_path / "runs" / f"w{i}.xsf")
    code, said, found = split(tmp_path / "runs", "--set", r'energy_key="\udcff"')
    assert code == 0, said
    assert len(found) == 4
    assert said.endswith(r"[\xff]")


def test_declared_units_are_converted_or_refused(split, tmp_path):
    _, _, right = split(xyz(tmp_path / "a.xyz"))
    kcal = 1 / 0.0433641
    for more in (
        " energy-unit=kcal/mol force-unit=kcal/mol/angstrom",
        ' energy_units="kcal/mol" forces_units="kcal/mol/Å"',
    ):
        code, said, found = split(xyz(tmp_path / "a.xyz", more=more, scale=kcal))
        assert code == 0
        assert "converted from energy" in said
        np.testing.assert_allclose(found["a.xyz#0"].energy, right["a.xyz#0"].energy, rtol=1e-5)
        np.testing.assert_allclose(found["a.xyz#0"].forces, right["a.xyz#0"].forces, rtol=1e-5, atol=1e-9)
    code, said, _ = split(xyz(tmp_path / "a.xyz", more=" energy-unit=kcal/mol"))
    assert code == 2
    assert "expected the unit of the forces (force-unit=...) beside energy-unit=kcal/mol" in said
    code, said, _ = split(xyz(tmp_path / "a.xyz", more=" energy-unit=foot-pound force-unit=eV/Å"))
    assert code == 2
    assert "expected energy-unit to be eV, Hartree" in said
    assert "'foot-pound'" in said
    code, said, found = split(xyz(tmp_path / "a.xyz", more=" energy-unit=eV force-unit=eV/Angstrom"))
    assert code == 0
    assert found["a.xyz#0"].energy == right["a.xyz#0"].energy


@pytest.mark.parametrize("more", [' stress="0.1 0.2 0.3 0.04 0.05 0.06"', ' REF_virial="1 2 3 4 5 6 7 8 9"'])
def test_a_stress_of_six_or_nine_numbers_is_no_reason_to_refuse(split, tmp_path, more):
    code, _, found = split(xyz(tmp_path / "a.xyz", more=more))
    assert code == 0
    assert len(found) == 8


def test_a_file_that_ends_within_its_last_frame_gives_the_others(split, tmp_path):
    path = xyz(tmp_path / "a.xyz")
    path.write_text(path.read_text()[:-150])
    code, said, found = split(path)
    assert code == 0
    assert len(found) == 7
    assert "left out 1 of 8 frames, cut short" in said
    assert "a.xyz#7" in said
    code, said, _ = split(path, "--set", "incomplete=refuse")
    assert code == 2
    assert "(incomplete: refuse), got 1 of 8 with: cut short" in said


GAUSSIAN = """ Entering Gaussian System, Link 0=g16
                         Input orientation:
 ---------------------------------------------------------------------
 Center     Atomic      Atomic             Coordinates (Angstroms)
 Number     Number       Type             X           Y           Z
 ---------------------------------------------------------------------
      1          1           0        0.000000    0.000000    0.000000
      2          1           0        {x}    0.000000    0.000000
 ---------------------------------------------------------------------
 SCF Done:  E(RB3LYP) = -1.17     A.U. after    9 cycles
 ---------------------------------------------------------------------
 Center     Atomic                   Forces (Hartrees/Bohr)
 Number     Number              X              Y              Z
 ---------------------------------------------------------------------
      1        1        -0.100000000     0.000000000     0.000000000
      2        1         0.100000000     0.000000000     0.000000000
 ---------------------------------------------------------------------
"""


@pytest.mark.parametrize("cut", [250, 450, 700, 1000])
def test_outputs_that_end_within_their_last_frame_give_the_others(split, tmp_path, cut):
    (tmp_path / "h2.log").write_text("".join(GAUSSIAN.format(x=f"{x:.6f}") for x in (0.7, 0.72, 0.74))[:-cut])
    code, said, found = split(tmp_path / "h2.log")
    assert code == 0
    assert "left out 1 of 3 frames" in said
    assert sorted(found) == ["h2.log#0", "h2.log#1"]
    path = vasprun(tmp_path / "vasprun.xml", [3, 3, 3], nelm=60)
    path.write_text(path.read_text()[: -cut // 2])
    code, said, found = split(path)
    assert code == 0
    assert len(found) == 3 or "left out 1 of 3 frames, cut short: vasprun.xml#2" in said


def test_a_frame_without_forces_is_left_out_and_the_forces_of_the_others_are_kept(split, tmp_path):
    path = tmp_path / "h2.out"
    path.write_text(
        "* O   R   C   A *\n" + "".join(orca(x, gradient=x < 0.77) for x in (0.74, 0.75, 0.76, 0.78))
        + "ORCA TERMINATED NORMALLY\n"
    )  # fmt: skip
    for options in ((), ("--set", "require_forces=false")):
        code, said, found = split(path, *options)
        assert code == 0
        assert "left out 1 of 4 frames, no forces: h2.out#3" in said
        assert len(found) == 3
        assert all(s.forces is not None for s in found.values())


def orca(x: float, gradient: bool) -> str:
    text = (
        "Number of atoms                             ...      2\n---------------------------------\n"
        f"CARTESIAN COORDINATES (ANGSTROEM)\n-----------------------\n  H  0.0 0.0 0.0\n  H  {x} 0.0 0.0\n\n"
        f"FINAL SINGLE POINT ENERGY        {-1.17 + (x - 0.742) ** 2}\n"
    )
    if not gradient:
        return text
    g = 2 * (x - 0.742) * 0.529177
    return (
        f"{text}ORCA SCF GRADIENT CALCULATION\n------------------\nCARTESIAN GRADIENT\n------------------\n\n"
        f"   1   H   :   {-g:.9f}    0.0    0.0\n   2   H   :   {g:.9f}    0.0    0.0\n\n"
        "ORCA GEOMETRY RELAXATION STEP\n"
    )


ATOMS = "PRIMCOORD{}\n2 1\nH 0 0 0 {f} 0 0\nH {x} 0 0 -{f} 0 0\n"
CELL = "CRYSTAL\nPRIMVEC\n 10 0 0\n 0 10 0\n 0 0 10\n"


def test_xsf_of_several_frames_and_with_other_blocks(split, tmp_path):
    path = tmp_path / "anim.xsf"
    frames = [ATOMS.format(f" {i}", f=0.1 * i, x=0.74 + 0.01 * i) for i in (1, 2, 3)]
    each = "".join(f"# total energy = {-31 - i} eV\n{frame}" for i, frame in enumerate(frames))
    path.write_text("ANIMSTEPS 3\n" + CELL + each)
    code, said, found = split(path)
    assert code == 0
    assert {name: s.energy for name, s in found.items()} == {f"anim.xsf#{i}": -31 - i for i in range(3)}
    assert found["anim.xsf#1"].positions[1, 0] == 0.76
    path.write_text("# total energy = -31 eV\nANIMSTEPS 3\n" + CELL + "".join(frames))
    code, said, _ = split(path)
    assert code == 2
    assert "before the atoms of each of the 3 frames (ANIMSTEPS), got 1" in said
    one = "# total energy = -31 eV\n" + CELL + ATOMS.format("", f=0.1, x=0.75)
    values = "1 1 1\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n1.0\n"
    grid = f"BEGIN_DATAGRID_3D_X\n{values}END_DATAGRID_3D\n"
    grid = f"BEGIN_BLOCK_DATAGRID_3D\nname\n{grid}END_BLOCK_DATAGRID_3D\n"
    path.write_text(one + "CONVCOORD\n2 1\nH 0 0 0\nH 1 0 0\n" + grid)
    code, said, found = split(path)
    assert code == 0
    assert found["anim.xsf"].energy == -31
    path.write_text(one + grid.replace("END_BLOCK_DATAGRID_3D\n", ""))
    code, said, _ = split(path)
    assert code == 2
    assert "expected END_BLOCK_DATAGRID_3D, got the end of the file" in said


def test_files_are_known_by_content_and_compressed(split, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    xyz(folder / "frames.dat", n=2)
    packed = xyz(tmp_path / "tmp.xyz", n=3).read_bytes()
    (folder / "more.xyz.gz").write_bytes(gzip.compress(packed))
    vasprun(folder / "run1_vasprun.xml", [3, 3], nelm=60)
    (folder / "strange.dat").write_text("1 2 3\n")
    (folder / "run.inp.out").write_text(" CP2K| version string: CP2K version 2024.1\n")
    (folder / "README.md").write_text("nothing\n")
    code, said, found = split(folder)
    assert code == 0
    assert len(found) == 7
    assert "2 files not read, their format is not known" in said
    assert "data/strange.dat" in said
    assert "CP2K output without coordinates: dpdata" in said
    assert "README" not in said
    cut = folder / "more.xyz.gz"
    cut.write_bytes(cut.read_bytes()[:-40])
    code, said, _ = split(folder)
    assert code == 2
    assert "more.xyz.gz: expected a complete .gz file" in said


@pytest.mark.parametrize(
    ("symbols", "code"),
    [(("CA", "C", "N"), 2), (("CA", "CL", "LI"), 0), (("Ca", "C", "N"), 0), (("ca", "cl", "o"), 0)],
)
def test_capitals_that_may_be_names_of_atoms_are_refused(split, tmp_path, symbols, code):
    path = tmp_path / "a.xyz"
    rows = "".join(f"{symbol} {2 * i} 0 0 0 0 0\n" for i, symbol in enumerate(symbols))
    path.write_text(f"3\n{HEADER.format(forces='forces', energy='energy=-1.0', more='')}\n{rows}" * 1)
    got, said, found = split(path)
    assert got == code
    if code:
        assert "got 'CA': Ca in capitals, or the name of an atom C in a protein; write the element" in said
    else:
        assert next(iter(found.values())).species[0] == "Ca"


@pytest.mark.parametrize("lattice", ["5 0 0 5 0 0 0 0 5", "0 0 0 0 5 0 0 0 5", "1 2 3"])
def test_a_cell_that_is_none_is_a_message(split, tmp_path, lattice):
    path = tmp_path / "a.xyz"
    path.write_text(
        f'1\nLattice="{lattice}" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1\nH 0 0 0 0 0 0\n'
    )
    code, said, _ = split(path)
    assert code == 2
    assert "a.xyz, frame 0" in said


def test_what_was_read_is_told_in_a_few_lines(split, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(14):
        xyz(folder / f"a{i}.xyz", n=1, energy=f"x{i}_energy={{e!r}} energy={{e!r}}")
    code, said, _found = split(folder)
    assert code == 0
    assert "read data: 14 files, extxyz, 14 frames; energy: energy, forces: forces, eV and Å" in said


def test_numbers_in_other_units_are_pointed_out(split, tmp_path):
    code, said, _ = split(xyz(tmp_path / "a.xyz"))
    assert code == 0
    assert "too long" not in said
    assert "forces above" not in said
    code, said, _ = split(xyz(tmp_path / "a.xyz", scale=51.4))
    assert code == 0
    assert "H2O: forces above 100 eV/Å in " in said
    for factor, what in ((1.8897, "every bond is too long"), (0.48, "every bond is too short")):
        path = xyz(tmp_path / "a.xyz", length=factor)
        code, said, _ = split(path)
        assert code == 0
        assert what in said


def test_forces_are_never_dropped_in_silence(split, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    xyz(folder / "a.xyz")
    xyz(folder / "b.xyz", n=2, forces="velocities")
    code, said, _ = split(folder)
    assert code == 2
    assert "2 of 10 without forces" in said
    code, said, _ = split(folder, "--set", "require_forces=false")
    assert code == 0
    assert "the forces of 8 structures are not used, as 2 of the subset have none" in said


@pytest.mark.parametrize("unit", [None, "eV"])
def test_arrays_of_sgdml_and_rmd17_are_read_in_their_units(split, tmp_path, unit):
    rng = np.random.default_rng(0)
    frames = [water(rng, f"w{i}") for i in range(6)]
    factor = 1.0 if unit else 1 / 0.0433641
    arrays = {
        "R": np.array([s.positions for s in frames]),
        "E": factor * np.array([s.energy for s in frames]),
        "F": factor * np.array([s.forces for s in frames]),
    }
    path = tmp_path / "w.npz"
    if unit:
        np.savez(path, z=np.array([8, 1, 1]), e_unit=unit, r_unit="Ang", **arrays)
    else:
        names = {"R": "coords", "E": "energies", "F": "forces"}
        np.savez(path, nuclear_charges=np.array([8, 1, 1]), **{names[k]: v for k, v in arrays.items()})
    code, said, found = split(path)
    assert code == 0
    assert ("converted from energy_unit=kcal/mol" in said) == (unit is None)
    assert found["w.npz#3"].energy == pytest.approx(frames[3].energy, rel=1e-5)
    np.testing.assert_allclose(found["w.npz#3"].forces, frames[3].forces, rtol=1e-5, atol=1e-9)
    np.savez(path, z=np.array([8, 1, 1]), R=np.array([object()]), E=arrays["E"])
    code, said, _ = split(path)
    assert code == 2
    assert "expected an .npz file of plain arrays" in said
