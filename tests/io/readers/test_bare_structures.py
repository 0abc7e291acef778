"""POSCAR and CIF: the atoms that were written, no labels, and nothing guessed about the elements."""

import gzip
import tarfile
import zipfile

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats.source_files import source_hashes
from aenet_gpr_cli.io.formats.sources import read_data, read_sources
from aenet_gpr_cli.subsystems.label_checks.checks import require_labels
from aenet_gpr_cli.subsystems.reading_rules import ReadingRules


def oblique(seed=0) -> Atoms:
    rng = np.random.default_rng(seed)
    cell = np.diag([5.0, 6.0, 7.0]) + 0.5 * rng.standard_normal((3, 3))
    return Atoms("Cu2OCuH3", cell=cell, pbc=True, scaled_positions=rng.random((7, 3)))


def assert_same(found, atoms, tolerance):
    assert found.species == tuple(atoms.symbols)
    assert found.pbc == (True, True, True)
    assert found.energy is None
    assert found.forces is None
    np.testing.assert_allclose(found.cell, atoms.cell, atol=tolerance)
    np.testing.assert_allclose(found.positions, atoms.positions, atol=tolerance)


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR", "a.vasp", "a.poscar", "SPOSCAR-003", "start.dat"])
@pytest.mark.parametrize("direct", [False, True])
def test_poscar_is_read_as_it_was_written(tmp_path, name, direct):
    atoms = oblique()
    ase.io.write(tmp_path / name, atoms, format="vasp", direct=direct)
    (found,) = read_sources([tmp_path / name])
    assert_same(found, atoms, 1e-12)  # 16 digits


def test_poscar_with_a_scale_constraints_and_velocities(tmp_path):
    lines = [
        "title",
        "-54.0",
        "1 0 0",
        "0 1 0",
        "0 0 2",
        "Cu_pv O/1a2b",
        "1 1",
        "Selective dynamics",
        "Direct",
    ]
    lines += ["0 0 0 F F F", "0.5 0.5 0.5 T T T", "", "0 0 0", "0 0 0"]
    (tmp_path / "start").write_text("\n".join(lines))
    (found,) = read_sources([tmp_path / "start"])
    assert found.species == ("Cu", "O")
    np.testing.assert_allclose(found.cell, np.diag([3.0, 3.0, 6.0]))  # a negative scale is the volume
    np.testing.assert_allclose(found.positions[1], [1.5, 1.5, 3.0])


def test_cif_is_read_with_its_symmetry(tmp_path):
    rutile = crystal(
        ["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.6, 4.6, 2.95, 90, 90, 90]
    )
    text = (
        "data_rutile\n_cell_length_a 4.6\n_cell_length_b 4.6\n_cell_length_c 2.95\n_cell_angle_alpha 90\n"
        "_cell_angle_beta 90\n_cell_angle_gamma 90\n_space_group_IT_number 136\nloop_\n_atom_site_label\n"
        "_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nTi1 0 0 0\nO1 0.305 0.305 0\n"
    )
    for name in ("rutile.cif", "rutile.txt"):
        (tmp_path / name).write_text(text)
        (found,) = read_sources([tmp_path / name])
        assert_same(found, rutile, 1e-9)


def test_cif_in_any_cell_keeps_species_and_distances(tmp_path):
    """A CIF holds lengths and angles: the cell comes back turned."""
    atoms = oblique(1)
    ase.io.write(tmp_path / "a.cif", atoms)
    (found,) = read_sources([tmp_path / "a.cif"])
    back = Atoms(found.species, found.positions, cell=found.cell, pbc=True)
    assert found.species == tuple(atoms.symbols)
    np.testing.assert_allclose(back.cell.cellpar(), atoms.cell.cellpar(), rtol=1e-8)
    distances = [a.get_all_distances(mic=True) for a in (back, atoms)]
    np.testing.assert_allclose(*distances, atol=1e-6)


def test_several_blocks_of_a_cif_are_several_structures(tmp_path):
    ase.io.write(tmp_path / "a.cif", [oblique(0), oblique(1)])
    assert [s.name for s in read_sources([tmp_path / "a.cif"])] == ["a.cif#0", "a.cif#1"]


@pytest.mark.parametrize("name", ["POSCAR", "a.vasp", "start"])
def test_poscar_of_vasp_4_is_refused_whatever_stands_in_its_title_or_beside_it(tmp_path, name):
    ase.io.write(tmp_path / name, oblique(), format="vasp", vasp5=False)
    (tmp_path / "POTCAR").write_text("TITEL = PAW_PBE Au 01Jan2000\n" * 4)
    message = rf"{name}:6: expected the element symbols \(VASP 5\), got numbers of atoms '2 1 1 3'; write"
    with pytest.raises(InputError, match=message):
        read_sources([tmp_path / name])


SITES = "Cu1 Cu 0 0 0 {}\nAu1 Au {} 0.5 0.5 {}\n"
HEAD = (
    "data_x\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_cell_angle_alpha 90\n_cell_angle_beta "
    "90\n_cell_angle_gamma 90\n_space_group_IT_number 1\nloop_\n_atom_site_label\n_atom_site_type_symbol\n"
    "_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n_atom_site_occupancy\n"
)


@pytest.mark.parametrize(
    ("sites", "said"),
    [
        (
            SITES.format(1, 0.5, 0.75),
            "1 of 2 with partial occupancy, e.g. 0.75 Au; write an ordered structure",
        ),
        ("Cu1 Cu 0 0 0 0.7\nAu1 Au 0 0 0 0.3\n", r"2 of 2 with partial occupancy, e.g. 0.7 Cu \+ 0.3 Au"),
        (SITES.format(1, "?", 1), "expected a complete CIF that ASE can read|finite"),
        (
            "Cu1 Cu 0 0 0 1\nCu2 Cu 0.01 0 0 1\n",
            r"expected each atom once, got atoms 0 and 1 at a distance of 0.040 Å",
        ),
    ],
)
def test_cif_whose_atoms_are_not_known_exactly_is_refused(tmp_path, sites, said):
    (tmp_path / "a.cif").write_text(HEAD + sites)
    with pytest.raises(InputError, match=f"a.cif.*(?:{said})"):
        read_sources([tmp_path / "a.cif"])


def test_full_occupancies_are_no_matter(tmp_path):
    (tmp_path / "a.cif").write_text(HEAD + SITES.format("1.0000", 0.5, "1.0(2)"))
    (found,) = read_sources([tmp_path / "a.cif"])
    assert found.species == ("Cu", "Au")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.cif", "not one"),
        ("a.cif", "data_x\n_cell_length_a 3\n"),
        ("POSCAR", ""),
        ("POSCAR", "Cu\n1.0\n1 0 0\n"),
    ],
)
def test_damaged_ones_end_with_one_message(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(
        InputError, match=f"{name}: expected a complete (?:CIF|POSCAR) that ASE can read, got"
    ):
        read_sources([tmp_path / name])


def test_a_truncated_poscar_and_an_unknown_element_are_refused(tmp_path):
    ase.io.write(tmp_path / "POSCAR", oblique())
    text = (tmp_path / "POSCAR").read_text()
    (tmp_path / "POSCAR").write_text("\n".join(text.splitlines()[:-2]))
    with pytest.raises(InputError, match="POSCAR: expected a complete POSCAR"):
        read_sources([tmp_path / "POSCAR"])
    (tmp_path / "POSCAR").write_text(text.replace(" O ", " Qq "))
    with pytest.raises(InputError, match=r"POSCAR: expected a complete POSCAR .*Qq"):
        read_sources([tmp_path / "POSCAR"])


def test_lammps_data_is_named_with_what_converts_it(tmp_path):
    ase.io.write(tmp_path / "a.lmp", oblique(), format="lammps-data", masses=True)
    with pytest.raises(InputError, match=r"got LAMMPS data: .*Z_of_type=\{1: 29\}"):
        read_sources([tmp_path / "a.lmp"])


def test_compressed_and_archived_ones_are_read(tmp_path):
    atoms = oblique()
    ase.io.write(tmp_path / "POSCAR", atoms)
    content = (tmp_path / "POSCAR").read_bytes()
    (tmp_path / "POSCAR.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one/POSCAR", content)
        archive.writestr("two/POSCAR.gz", gzip.compress(content))
    with tarfile.open(tmp_path / "a.tar.xz", "w:xz") as archive:
        archive.add(tmp_path / "POSCAR", "three/start")
    found = read_sources([tmp_path / name for name in ("POSCAR.gz", "a.zip", "a.tar.xz")])
    names = ["POSCAR.gz#0", "a.zip/one/POSCAR#0", "a.zip/two/POSCAR.gz#0", "a.tar.xz/three/start#0"]
    assert [s.name for s in found] == names
    for one in found:
        assert_same(one, atoms, 1e-12)


def test_split_says_that_they_have_no_energies(tmp_path):
    ase.io.write(tmp_path / "POSCAR", oblique())
    found = read_data([tmp_path / "POSCAR"], ReadingRules())
    said = r"1 of 1 without energy .*POSCAR and CIF have neither, `label` calculates them\."
    with pytest.raises(InputError, match=said):
        require_labels(found.structures, energies=True, forces=True)


def fill(folder, *names):
    for k, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".xyz"):
            path.write_text("1\nenergy=-1.0\nH 0 0 0\n")
        elif name.endswith("OUTCAR"):
            path.write_text(" vasp.6.3.0 \n")
        else:
            ase.io.write(path, oblique(k), format="cif" if name.endswith(".cif") else "vasp")
    return folder


def test_beside_files_that_may_have_energies_they_are_not_read(tmp_path):
    """As before: a folder of calculations holds the POSCAR of each, which must not stop `split`."""
    folder = fill(tmp_path / "mixed", "a.xyz", "start.cif", "x/POSCAR", "x/CHGCAR")
    found = read_data([folder], ReadingRules())
    assert [s.name for s in found.structures] == ["mixed/a.xyz#0"]
    assert "2 structures without energies (POSCAR, CIF) not read" in found.warnings()[0]
    assert "mixed/start.cif, mixed/x/POSCAR; name them" in found.warnings()[0]
    before = source_hashes([folder])
    fill(folder, "more/POSCAR")
    assert source_hashes([folder]) == before
    with zipfile.ZipFile(tmp_path / "mixed.zip", "w") as archive:
        archive.write(folder / "a.xyz", "a.xyz")
        archive.writestr("b/POSCAR", "damaged")
    in_archive = read_data([tmp_path / "mixed.zip"], ReadingRules())
    assert [s.name for s in in_archive.structures] == ["mixed.zip/a.xyz#0"]
    assert in_archive.bare == ["mixed.zip/b/POSCAR"]


def test_those_of_a_calculation_that_is_read_are_not_mentioned(tmp_path):
    folder = fill(tmp_path / "runs", "a/POSCAR", "a/CONTCAR", "a/OUTCAR", "b.xyz")
    found = read_data([folder], ReadingRules())
    assert found.bare == []
    assert [item.why for file in found.files for item in file.left_out]  # the OUTCAR is cut


def test_a_folder_of_nothing_else_is_read(tmp_path):
    folder = fill(tmp_path / "pool", "POSCAR-1", "POSCAR-10", "POSCAR-2", "sub/a.cif")
    names = ["POSCAR-1", "POSCAR-2", "POSCAR-10", "sub/a.cif"]
    assert [s.name for s in read_sources([folder])] == [f"pool/{name}#0" for name in names]
