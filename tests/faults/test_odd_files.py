"""Files that are unusual, in other units or damaged: the right numbers or one message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats.sources import read_data
from aenet_gpr_cli.structures import Structure
from aenet_gpr_cli.subsystems.reading_rules import ReadingRules

from .conftest import water
from .test_reference_data import split  # noqa: F401 a fixture

COLUMNS = "Properties=species:S:1:pos:R:3:forces:R:3"
HARTREE, BOHR, KCAL = 27.211386245988, 0.529177210903, 4184 / 96485.33212
WATERS = [water(np.random.default_rng(i), f"w{i}") for i in range(8)]


def header(s: Structure, i: int, more: str = 'pbc="F F F"') -> str:
    return f"{COLUMNS} energy={s.energy!r} {more}"


def row(symbol: str, r: np.ndarray, f: np.ndarray) -> str:
    return f"{symbol} {' '.join(map(repr, [*r.tolist(), *f.tolist()]))}"


def text(head=header, line=row, structures=WATERS, forces: float = 1.0, length: float = 1.0) -> str:
    frames = ""
    for i, s in enumerate(structures):
        rows = [
            line(a, length * r, forces * f) for a, r, f in zip(s.species, s.positions, s.forces, strict=True)
        ]
        frames += f"{s.n_atoms}\n{head(s, i)}\n" + "\n".join(rows) + "\n"
    return frames


def fortran(x: float) -> str:
    return f"{x:.15E}".replace("E", "D")


def in_hartree(s, i, units='energy_unit=Hartree force_unit="Hartree/Bohr"'):
    return f'{COLUMNS} energy={s.energy / HARTREE!r} {units} pbc="F F F"'


RIGHT = {
    "Windows": text().replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + text(),
    "tabs": text(line=lambda a, r, f: row(a, r, f).replace(" ", "\t")),
    "Fortran": text(
        lambda s, i: f'{COLUMNS} energy={fortran(s.energy)} pbc="F F F"',
        lambda a, r, f: f"{a} {' '.join(map(fortran, [*r, *f]))}",
    ),
    "extra columns": text(line=lambda a, r, f: row(a, r, f) + " 0.5 name"),
    "no pbc, no lattice": text(lambda s, i: header(s, i, "")),
    "capitals": text(lambda s, i: header(s, i).replace("Properties", "properties")),
    "Energy": text(lambda s, i: header(s, i).replace("energy", "Energy")),
    "energy with unit": text(lambda s, i: f'{COLUMNS} energy="{s.energy!r} eV" pbc="F F F"'),
    "Hartree": text(in_hartree, forces=BOHR / HARTREE),
    "partly Hartree": text(in_hartree, structures=WATERS[:4], forces=BOHR / HARTREE)
    + text(structures=WATERS[4:]),
    "Bohr": text(lambda s, i: header(s, i, "length-unit=Bohr force-unit=eV/Å"), length=1 / BOHR),
    "kcal/mol": text(
        lambda s, i: f"{COLUMNS} energy={s.energy / KCAL!r} energy-unit=kcal/mol force-unit=kcal/mol/Å",
        forces=1 / KCAL,
    ),
    "deuterium": text(line=lambda a, r, f: row("D" if a == "H" else a, r, f)),
    "dynamics": text(
        lambda s, i: header(s, i, f"kinetic_energy=0.{i} total_energy={s.energy + 0.1 * i!r} temperature=300")
    ),
    "left-handed cell": text(lambda s, i: header(s, i, 'Lattice="9 0 0 0 0 9 0 9 0"')),
    "negative cell": text(lambda s, i: header(s, i, 'Lattice="-9 0 0 0 9 0 0 0 9"')),
    "atomic numbers": text(
        lambda s, i: header(s, i).replace("species:S:1", "Z:I:1"),
        lambda a, r, f: row({"O": "8", "H": "1"}[a], r, f),
    ),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_unusual_files_give_the_right_numbers(split, tmp_path, kind):  # noqa: F811
    path = tmp_path / "a.xyz"
    path.write_text(RIGHT[kind], newline="")
    code, said, found = split(path, "--set", "minimum_distance=0")
    assert code == 0, said
    assert sorted(found) == [f"a.xyz#{i}" for i in range(8)]
    for i, s in enumerate(WATERS):
        one = found[f"a.xyz#{i}"]
        assert one.energy == pytest.approx(s.energy, rel=1e-7)
        np.testing.assert_allclose(one.forces, s.forces, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(one.positions - one.positions[0], s.positions - s.positions[0], atol=1e-7)
    assert "forces do not fit" not in said
    if kind == "deuterium":
        assert "isotopes: read D as H, whose energies are the same" in said
    if kind == "partly Hartree":
        assert "some converted from energy_unit=Hartree" in said


def swapped(number: int, old: str, new: str) -> str:
    lines = text().splitlines()
    lines[number] = lines[number].replace(old, new, 1)
    return "\n".join(lines) + "\n"


NO_NUMBER = "expected numbers in the column forces, got"
REFUSED = {
    "stars": (
        text(line=lambda a, r, f: f"{a} {' '.join(map(repr, r.tolist()))} ******** 0.0 0.0"),
        f"frame 0: {NO_NUMBER} '********', which did not fit its column (atom 1)",
    ),
    "decimal comma": (text().replace(".", ","), "expected numbers in the column pos, got '0,"),
    "two energies": (
        text(lambda s, i: f"{COLUMNS} energy={s.energy} energy={s.energy - 1}"),
        "frame 0: expected each key of the header once, got energy twice, with",
    ),
    "NaN energy": (
        text(lambda s, i: f"{COLUMNS} energy={'nan' if i == 3 else s.energy}"),
        "frame 3: expected finite numbers, got NaN or infinity in energy",
    ),
    "infinite force": (
        text(line=lambda a, r, f: row(a, r, f * (np.inf if a == "O" else 1.0))),
        "expected finite numbers, got NaN or infinity in force",
    ),
    "ghosts": (
        text(line=lambda a, r, f: row("X" if a == "O" else a, r, f)),
        "expected atoms of known elements, got 'X'; leave ghost and dummy atoms out",
    ),
    "numbered": (text(line=lambda a, r, f: row(a + "1", r, f)), "expected atoms of known elements, got 'O1'"),
    "flat cell": (text(lambda s, i: header(s, i, 'Lattice="9 0 0 9 0 0 0 0 9"')), "a cell without volume"),
    "periodic without cell": (
        text(lambda s, i: header(s, i, 'pbc="T T T"')),
        "expected a lattice vector for each periodic direction",
    ),
    "unclear units": (
        text(lambda s, i: header(s, i, "units=atomic")),
        "expected energy-unit=..., length-unit=... and force-unit=..., got units='atomic'",
    ),
    "per atom": (
        text(lambda s, i: f"{COLUMNS} energy_per_atom={s.energy / 3!r}"),
        "no key 'energy', but energy_per_atom",
    ),
    "no energies": (
        text(lambda s, i: f"{COLUMNS} energy=0.0"),
        "all energies are exactly zero, while there are forces up to",
    ),
    "plain": (
        text(lambda s, i: "water", lambda a, r, f: row(a, r, f[:0])),
        "8 of 8 without energy (energy=... in the header of extended XYZ",
    ),
    "CP2K": (
        text(lambda s, i: f" i = {i}, time = 0.500, E = -17.16", lambda a, r, f: row(a, r, f[:0])),
        "got a trajectory of CP2K, whose energies (E) are in Hartree",
    ),
    "fractional charges": (
        text(lambda s, i: header(s, i, f"charge=0.{i}")),
        "charge=0.3 in 1, 4 other values: their energies lie on different surfaces",
    ),
    "spin in words": (
        text(lambda s, i: header(s, i, f"spin={'singlet' if i % 2 else 'triplet'}")),
        "expected one multiplicity for all structures of H2O, got multiplicity=1 in 4, multiplicity=3 in 4",
    ),
    "two columns of forces": (
        text(
            lambda s, i: header(s, i).replace("forces:R:3", "forces:R:3:dft_forces:R:3"),
            lambda a, r, f: row(a, r, np.append(f, 2 * f)),
        ),
        "got several that differ: forces, dft_forces; say which with forces_key",
    ),
    "more atoms declared": ("4" + text()[1:], "expected 7 columns, got 1"),
    "negative count": ("-" + text(), "expected the number of atoms, got '-3'"),
    "another alphabet": ("３" + text()[1:], "expected the number of atoms"),
    "empty": ("", "got none: left out 1 of 1 frames, the file holds no structure: a.xyz"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_rightly_is_one_message(split, tmp_path, kind):  # noqa: F811
    path = tmp_path / "a.xyz"
    content, expected = REFUSED[kind]
    path.write_text(content)
    code, said, _ = split(path)
    assert code == 2
    assert said.count("error:") == 1
    assert expected in said


POINTED_OUT = {
    "gradients": (text(forces=-1.0), "the sign is reversed: these are gradients dE/dR"),
    "Hartree/Bohr": (text(forces=BOHR / HARTREE), "they look like Hartree/Bohr, expected eV/Å"),
    "kcal/mol/Å": (text(forces=1 / KCAL), "they look like kcal/mol/Å; or eV/Å beside energies in Hartree"),
    "all in Hartree": (
        text(lambda s, i: in_hartree(s, i, ""), forces=BOHR / HARTREE),
        "Hartree/Bohr beside energies in Hartree",
    ),
    "energies in Hartree": (text(lambda s, i: in_hartree(s, i, "")), "eV/Å beside energies in Hartree"),
    "positions in Bohr": (text(length=1 / BOHR), "positions may be in Bohr (1 Å is 1.89 Bohr), expected Å"),
    "half in Hartree": (
        text(lambda s, i: in_hartree(s, i, ""), structures=WATERS[:4]) + text(structures=WATERS[4:]),
        "energies fall into two groups 1926 eV apart, 4 structures such as",
    ),
    "one went wrong": (
        text(lambda s, i: f"{COLUMNS} energy={s.energy - 1000 * (i == 5)!r}"),
        "eV apart, 1 structures such as a.xyz#5 and 7 such as",
    ),
    "one energy for all": (
        text(lambda s, i: f"{COLUMNS} energy=-2000.1"),
        "all 8 energies are exactly -2000.1 eV, while forces reach",
    ),
    "cohesive and total": (
        text(structures=WATERS[:4])
        + text(lambda s, i: f"{COLUMNS} energy={s.energy + 1990!r}", structures=WATERS[4:]),
        "energies fall into two groups",
    ),
    "forces of some are zero": (
        text(structures=WATERS[:6]) + text(structures=WATERS[6:], forces=0.0),
        "forces of 2 of 8 structures are exactly zero, such as a.xyz#6",
    ),
    "duplicates": (text() + text(structures=WATERS[:3]), "3 pairs of duplicate structures"),
    "duplicates of another functional": (
        text() + text(lambda s, i: f"{COLUMNS} energy={s.energy - 0.4!r}", structures=WATERS[:3]),
        "3 pairs of duplicate structures have different energies, up to 0.4 eV between a.xyz#",
    ),
}


@pytest.mark.parametrize("kind", POINTED_OUT)
def test_what_is_hardly_right_is_pointed_out(split, tmp_path, kind):  # noqa: F811
    path = tmp_path / "a.xyz"
    content, expected = POINTED_OUT[kind]
    path.write_text(content)
    code, said, _ = split(path)
    assert code == 0
    assert expected in said
    if kind != "duplicates":
        path.write_text(text())
        assert expected not in split(path)[1]


def test_files_without_the_key_are_left_out_and_in_the_table(split, tmp_path):  # noqa: F811
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.xyz").write_text(text(lambda s, i: header(s, i).replace("energy", "REF_energy")))
    (folder / "b.xyz").write_text(text(structures=WATERS[:2]))
    code, said, found = split(folder, "--set", "energy_key=REF_energy")
    assert code == 0
    assert len(found) == 8
    assert "0 of 2 frames; energy: none" in said
    assert "left out: 2 × expected the energy_key 'REF_energy', got energy" in said
    code, said, _ = split(folder, "--set", "energy_key=REF_energy", "--set", "incomplete=refuse")
    assert code == 2
    assert "b.xyz: expected the energy_key 'REF_energy', got energy" in said


def test_folders_and_files_that_cannot_be_read_are_told(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    (folder / "closed").mkdir(parents=True)
    (folder / "a.xyz").write_text(text())
    listed, opened = Path.iterdir, Path.open

    def refuse(path, *arguments, **options):
        if path.name in refused:
            raise PermissionError(13, "Permission denied", str(path))
        return (opened if arguments or options else listed)(path, *arguments, **options)

    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    for refused, said in (
        (
            {"closed"},
            "data/closed: expected a readable folder, got: Permission denied; change its permissions",
        ),
        ({"a.xyz"}, "a.xyz: expected a readable file, got: Permission denied"),
    ):
        with pytest.raises(InputError, match=said):
            read_data([folder if "closed" in refused else folder / "a.xyz"], ReadingRules())


@pytest.mark.parametrize(
    ("bad", "good", "why"),
    [
        *((f"{key}=F", f"{key}=T", "") for key in ("scf_converged", "converged_electronic", "dftConverged")),
        ('electronic_converged="false"', 'electronic_converged="true"', ""),
        ("SCF_converged=0", "SCF_converged=1", ""),
        ("scf_unconverged=T", "scf_unconverged=F", ""),
        ("converged=F", "converged=T", "the frame says converged=False"),
        ("converged=0", "converged=1", "the frame says converged=0"),
        ('converged="no"', "", "the frame says converged=no"),
        ("not_converged", "", "the frame says not_converged=True"),
    ],
)
def test_frames_that_say_they_did_not_converge_are_left_out(split, tmp_path, bad, good, why):  # noqa: F811
    path = tmp_path / "a.xyz"
    path.write_text(text(lambda s, i: header(s, i, f'pbc="F F F" {good if i != 2 else bad}')))
    code, said, _ = split(path)
    assert code == 0
    why = why or "the electronic self-consistency was not reached"
    assert f"left out 1 of 8 frames, {why}: a.xyz#2" in said


@pytest.mark.parametrize(
    "words",
    ["ionic_converged=F", "geometry_converged=F", "converged=1e-06", "scf_convergence=0", "converged=-1"],
)
def test_what_does_not_say_that_a_calculation_failed_leaves_nothing_out(split, tmp_path, words):  # noqa: F811
    path = tmp_path / "a.xyz"
    path.write_text(text(lambda s, i: header(s, i, f'pbc="F F F" {words}')))
    code, said, found = split(path)
    assert (code, len(found)) == (0, 8)
    assert "left out" not in said
