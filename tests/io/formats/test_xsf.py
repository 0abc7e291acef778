"""ænet's XSF dialect: nothing lost on the way out and in, nothing wrong let in."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats.xsf import (
    MAX_BYTES,
    SYMBOLS,
    decode_xsf,
    format_xsf,
    parse_xsf,
    read_xsf,
    write_xsf,
)
from aenet_gpr_cli.structures import Structure

MOLECULE = """# total energy =   0.0054794417442388 eV

ATOMS
H    -0.50000000000000    0.00000000000000    0.00000000000000    -24.0    0.5    0.25
O     0.50000000000000    0.00000000000000    0.00000000000000     24.0   -0.5   -0.25
"""
CRYSTAL = """# total energy = -16.5 eV
CRYSTAL
PRIMVEC
 10.0 0.0 0.0
 0.0 11.0 0.0
 0.0 0.5 32.0
PRIMCOORD
 3 1
Li 0.0 0.0 1.0 0.1 0.2 0.3
Li 1.0 0.0 1.0 0.1 0.2 0.3
C  2.0 0.0 1.0 0.1 0.2 0.3
"""

finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def structures(draw: st.DrawFn) -> Structure:
    n = draw(st.integers(1, 6))
    numbers = arrays(np.float64, (n, 3), elements=finite)
    pbc = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    noise = draw(arrays(np.float64, (3, 3), elements=st.floats(-0.3, 0.3)))
    return Structure(
        species=tuple(draw(st.lists(st.sampled_from(SYMBOLS), min_size=n, max_size=n))),
        positions=draw(numbers),
        cell=7.0 * np.eye(3) + noise if any(pbc) else None,
        pbc=pbc,
        energy=draw(st.none() | finite),
        forces=draw(st.none() | numbers),
        name="random",
    )


def bits(array: np.ndarray | None) -> bytes | None:
    return None if array is None else array.tobytes()


@given(structures())
@settings(max_examples=200, deadline=None)
def test_round_trip_is_bit_exact(structure: Structure) -> None:
    again = parse_xsf(format_xsf(structure), structure.name)
    assert (again.species, again.pbc, again.name) == (structure.species, structure.pbc, structure.name)
    assert bits(again.positions) == bits(structure.positions)
    assert bits(again.forces) == bits(structure.forces)
    assert bits(again.cell) == bits(structure.cell)
    assert (again.energy is None) == (structure.energy is None)
    if structure.energy is not None:
        assert np.float64(again.energy).tobytes() == np.float64(structure.energy).tobytes()


_words = st.sampled_from(
    (
        *(
            "ATOMS",
            "CRYSTAL",
            "PRIMVEC",
            "PRIMCOORD",
            "SLAB",
            "\n",
            "\n\n",
            " ",
            "H",
            "Li",
            "1.0",
            "2 1",
            "nan",
            "#",
        ),
        *(
            "# total energy = ",
            "# total energy = 1 eV",
            "cohesive energy = 2",
            "1e999",
            "1_0",
            "-",
            "١",
            "\t",
        ),
    )
)


@given(st.lists(_words | st.text(max_size=5), max_size=60).map(" ".join))
@settings(max_examples=300, deadline=1000, suppress_health_check=[HealthCheck.too_slow])
def test_garbage_gives_a_structure_or_an_input_error(text: str) -> None:
    message = ""
    try:
        structure = parse_xsf(text, "garbage")
        message = "" if np.isfinite(structure.positions).all() else "not finite"
    except InputError as error:
        message = re.sub(r"^garbage:\d+: expected .+, got .+", "", str(error))
    assert message == ""


@given(st.binary(max_size=400))
def test_random_bytes_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^bytes"):
        parse_xsf(decode_xsf(data, "bytes"), "bytes")


@given(st.integers(0, len(CRYSTAL) - 30))
def test_a_truncated_periodic_file_is_always_noticed(length: int) -> None:
    # 30 characters cut into the last line deeply enough to lose a column; a lost digit cannot be noticed.
    with pytest.raises(InputError, match=r"^cut:\d+: expected .+, got .+"):
        parse_xsf(CRYSTAL[:length], "cut")


def test_long_lines_take_linear_time() -> None:
    nasty = [
        "total energy =" * 20_000,
        "1" * 300_000,
        "total" + " " * 300_000,
        "ATOMS " * 50_000,
        "#" * 300_000,
    ]
    start = time.perf_counter()
    for text in nasty:
        with pytest.raises(InputError):
            parse_xsf(text, "x")
        with pytest.raises(InputError):
            parse_xsf(f"ATOMS\nH 0 0 {text}", "x")
    assert time.perf_counter() - start < 5.0  # quadratic behaviour would take minutes


def test_molecule() -> None:
    structure = parse_xsf(MOLECULE, "m")
    assert structure.species == ("H", "O")
    assert structure.energy == 0.0054794417442388
    assert structure.cell is None
    assert structure.pbc == (False, False, False)
    np.testing.assert_array_equal(structure.positions, [[-0.5, 0, 0], [0.5, 0, 0]])
    np.testing.assert_array_equal(structure.forces, [[-24.0, 0.5, 0.25], [24.0, -0.5, -0.25]])


def test_crystal_has_lattice_vectors_as_rows() -> None:
    structure = parse_xsf(CRYSTAL, "c")
    np.testing.assert_array_equal(structure.cell, [[10, 0, 0], [0, 11, 0], [0, 0.5, 32]])
    assert structure.pbc == (True, True, True)
    assert structure.n_atoms == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CRYSTAL\n", "SLAB\n"),
        ("CRYSTAL\n", "POLYMER\n"),
        ("CRYSTAL\n", ""),
        ("CRYSTAL\n", "crystal\n\n# a comment\n"),
        ("CRYSTAL\nPRIMVEC", "CRYSTAL PRIMVEC"),
        ("PRIMCOORD\n 3 1", "PRIMCOORD 3 1"),
        ("PRIMCOORD\n 3 1", "primcoord\n\n  3"),
        ("Li 1.0", "\n  # between atoms\n\n\tLi 1.0"),
        ("\n", "\r\n"),
        ("# total energy", "# made by X, cutoff 10: Total  Energy"),
        ("10.0 0.0", "1.0D+01 0.0d0"),
        ("Li", "3"),
        ("2.0 0.0 1.0 0.1 0.2 0.3", "2.0 0.0 1.0 0.1 0.2 0.3   # fixed"),
        ("PRIMVEC", "CONVVEC\n1 0 0\n0 1 0\n0 0 1\nPRIMVEC"),
        ("# total energy = -16.5 eV", "\ufeff# total energy = -16.5 eV # cohesive energy = 3 eV"),
    ],
)
def test_layout_does_not_matter(old: str, new: str) -> None:
    assert old in CRYSTAL
    text = decode_xsf(CRYSTAL.replace(old, new).encode(), "c")
    assert format_xsf(parse_xsf(text, "c")) == format_xsf(parse_xsf(CRYSTAL, "c"))


def test_energy_may_stand_at_the_end_and_sections_in_another_order() -> None:
    energy, rest = CRYSTAL.split("\n", 1)
    marker, vectors, atoms = rest[:8], rest[8 : rest.index("PRIMCOORD")], rest[rest.index("PRIMCOORD") :]
    text = atoms + vectors + marker + energy
    assert format_xsf(parse_xsf(text, "c")) == format_xsf(parse_xsf(CRYSTAL, "c"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" 3 1\n", " 4 1\n", "x:11: expected 4 atoms, got 3"),
        (" 3 1\n", " 2 1\n", "x:11: expected 2 atoms, got 3"),
        ("PRIMCOORD\n 3 1\n", "PRIMCOORD\n", "x:8: expected the number of atoms after PRIMCOORD, got 'Li"),
        ("2.0 0.0 1.0 0.1 0.2 0.3", "2.0 0.0 1.0", "x:11: expected 7 columns as in line 9, got 4"),
        ("2.0 0.0 1.0 0.1 0.2 0.3", "2.0 0.0 1.0 0.1 0.2", "x:11: expected 4 columns .* or 7 .*, got 6: 'C"),
        (
            "2.0 0.0 1.0 0.1 0.2 0.3",
            "2.0 0.0 1.0 0.1 0.2 0.3 T",
            "x:11: expected 4 columns .* or 7 .*, got 8",
        ),
        ("C  2.0", "C  nan", "x:11: expected a finite number, got 'nan'"),
        ("C  2.0", "C  -Infinity", "x:11: expected a finite number, got '-Infinity'"),
        ("C  2.0", "C  1e999", "x:11: expected a finite number, got '1e999'"),
        ("C  2.0", "C  1_0", "x:11: expected a finite number, got '1_0'"),
        ("C  2.0", "C  *****", r"x:11: expected a finite number, got '\*\*\*\*\*'"),
        ("C  2.0", "Qx 2.0", "x:11: expected an element symbol or atomic number, got 'Qx'$"),
        ("C  2.0", "LI 2.0", "x:11: .* got 'LI' .did you mean Li.?"),
        ("C  2.0", "0  2.0", "x:11: expected an element symbol or atomic number, got '0'"),
        ("C  2.0", "119 2.0", "x:11: expected an element symbol or atomic number, got '119'"),
        ("-16.5 eV", "nan eV", "x:1: expected a finite number, got 'nan'"),
        ("-16.5 eV", "eV", "x:1: expected a finite number, got 'eV'"),
        (
            "-16.5 eV",
            "-16.5 Hartree",
            "x:1: expected the total energy of the structure in eV, got the unit Hartree",
        ),
        (
            "-16.5 eV",
            "-16.5 eV\n# total energy = -16 eV",
            "x:2: expected one total energy .*, got another, -16 eV",
        ),
        ("total energy", "cohesive energy", "x:1: expected '# total energy = .*not a total energy"),
        ("PRIMVEC\n 10.0 0.0 0.0\n", "PRIMVEC\n", "x:5: expected 3 lattice vectors after PRIMVEC, got 2"),
        (" 10.0 0.0 0.0\n", " 10.0 0.0\n", "x:4: expected 3 numbers in a lattice vector, got '10.0 0.0'"),
        (
            " 10.0 0.0 0.0\n",
            " 0.0 22.0 0.0\n",
            "x:4: expected three independent lattice vectors, got a cell without",
        ),
        ("CRYSTAL", "WATER", "x:2: expected a keyword .*, got 'WATER'"),
        ("CRYSTAL", "CRYSTAL\n1.0", "x:3: expected a keyword after CRYSTAL, got '1.0'"),
    ],
)
def test_bad_content_names_the_line(old: str, new: str, message: str) -> None:
    assert old in CRYSTAL
    with pytest.raises(InputError, match=f"^{message}") as caught:
        parse_xsf(CRYSTAL.replace(old, new, 1), "x")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x:1: expected an XSF structure, got an empty file"),
        (" \n\n", "x:1: expected an XSF structure, got an empty file"),
        ("# total energy = 1 eV\n", "x:1: expected an XSF structure, got only comments"),
        ("ATOMS\n", "x:1: expected at least one atom after ATOMS, got none"),
        (
            "CRYSTAL\nPRIMVEC\n1 0 0\n0 1 0\n0 0 1\n",
            "x:5: expected a section ATOMS or PRIMCOORD, got the end of",
        ),
        (
            "PRIMCOORD\n1 1\nH 0 0 0\n",
            "x:3: expected PRIMVEC with three lattice vectors, got a periodic structure",
        ),
        (
            "CRYSTAL\nATOMS\nH 0 0 0\n",
            "x:3: expected PRIMVEC with three lattice vectors, got a periodic structure",
        ),
        (MOLECULE + MOLECULE, "x:8: expected one structure per file, got a second section ATOMS"),
        ("ANIMSTEPS 2\n" + CRYSTAL, "x:1: expected PRIMCOORD 1 to 2 .* for ANIMSTEPS, got 0 of them"),
        ("PRIMVEC\n1 0 0\n0 1 0\n0 0 1\nPRIMCOORD\n" + "9" * 9999, "x:6: expected 9{20} atoms, got 0"),
        ("%PDF-1.4 binary-ish", "x:1: expected a keyword .*, got '%PDF-1.4 binary-ish'"),
    ],
)
def test_incomplete_text_says_what_is_missing(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        parse_xsf(text, "x")


def test_missing_labels_are_none() -> None:
    structure = parse_xsf("# no energy here\nATOMS\nH 0 0 0\n", "x")
    assert structure.energy is None
    assert structure.forces is None


def test_molecule_keyword_allows_primcoord_without_vectors() -> None:
    assert parse_xsf("MOLECULE\nPRIMCOORD\n1 1\nH 0 0 0\n", "x").pbc == (False, False, False)


def test_partial_periodicity_survives_although_aenet_knows_none() -> None:
    slab = parse_xsf(CRYSTAL.replace("CRYSTAL", "# pbc = T T F\nSLAB"), "x")
    assert slab.pbc == (True, True, False)
    assert "SLAB" in format_xsf(slab)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": np.array([[np.nan, 0, 0]])}, "finite"),
        ({"energy": np.inf}, "finite"),
        ({"species": ("Xx",)}, "element symbols, got Xx"),
        ({"pbc": (True, True, True)}, "lattice vectors"),
    ],
)
def test_writer_refuses_what_the_reader_would_refuse(change: dict, message: str) -> None:
    arguments = {"species": ("H",), "positions": np.zeros((1, 3)), "name": "bad"} | change
    with pytest.raises(InputError, match=f"^bad: expected .*{message}"):
        format_xsf(Structure(**arguments))


def test_files(tmp_path: Path) -> None:
    structure = parse_xsf(CRYSTAL, "a.xsf")
    write_xsf(structure, tmp_path / "a.xsf")
    assert [path.name for path in tmp_path.iterdir()] == ["a.xsf"]
    assert format_xsf(read_xsf(tmp_path / "a.xsf")) == format_xsf(structure)
    assert read_xsf(tmp_path / "a.xsf").name == "a.xsf"
    assert read_xsf(tmp_path / "a.xsf", "set/a.xsf").name == "set/a.xsf"


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        write_xsf(parse_xsf(MOLECULE, "m"), tmp_path / "no_folder" / "a.xsf")
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="expected a file to write, got a folder"):
        write_xsf(parse_xsf(MOLECULE, "m"), tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone.xsf: expected a readable XSF file"):
        read_xsf(tmp_path / "gone.xsf")
    (tmp_path / "binary.xsf").write_bytes(b"\x00\x01ATOMS")
    with pytest.raises(InputError, match=r"binary.xsf: expected an XSF file .plain text., got binary data"):
        read_xsf(tmp_path / "binary.xsf")
    with pytest.raises(InputError, match="at most 64 MiB"):
        decode_xsf(b" " * (MAX_BYTES + 1), "big.xsf")


def test_old_encodings_in_comments_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.xsf").write_bytes(b"# lengths in \xc5\n" + MOLECULE.encode())
    assert read_xsf(tmp_path / "a.xsf").n_atoms == 2


def test_a_thousand_files_take_well_under_a_second() -> None:
    atoms = "\n".join(
        f"C {i}.96922558 6.48526046 12.31588939 0.1341125118 -0.110961346 -0.14586" for i in range(20)
    )
    text = f"# total energy = -18642.1746127225014789 eV\n\nATOMS\n{atoms}\n"
    start = time.perf_counter()
    for _ in range(1000):
        parse_xsf(text, "x")
    assert time.perf_counter() - start < 2.0  # about 0.15 s; the rest allows for a busy machine


@pytest.mark.published
@pytest.mark.parametrize(("name", "n_atoms"), [("h2", 2), ("ec-dimer", 20), ("li-ec", 46)])
def test_published_files_survive_a_round_trip(published, name: str, n_atoms: int) -> None:
    from aenet_gpr_cli.io.formats.sources import read_sources

    for structure in read_sources([published(name) / "train_set.zip"])[:20]:
        again = parse_xsf(format_xsf(structure), structure.name)
        assert structure.n_atoms == n_atoms
        assert again.energy == structure.energy
        assert bits(again.positions) == bits(structure.positions)
        assert bits(again.forces) == bits(structure.forces)
