"""Sets whose structures do not belong together, or cannot be what they seem, as a user meets them."""

import h5py
import numpy as np
import pytest

from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.io.artefacts.stored_anns import load_ann
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.structure_sets import load_free_atoms, load_split, read_structures
from aenet_gpr_cli.io.files import sha256_of

from .conftest import water
from .test_reference_data import xyz


@pytest.fixture
def split(run_cli, tmp_path):
    def run(*options):
        before = {p: sha256_of(p) for p in tmp_path.glob("*.xyz")}
        code, out, err = run_cli("split", *before, "-o", "split.h5", *options)
        assert {p: sha256_of(p) for p in before} == before
        return code, " ".join((out + err).split())

    return run


def test_charges_of_one_formula_are_refused_by_key(split, tmp_path):
    xyz(tmp_path / "a.xyz", more=" charge=0")
    xyz(tmp_path / "b.xyz", more=" charge=1")
    code, said = split()
    assert code == 2
    assert "expected one charge for all structures of H2O, got charge=0 in 8, charge=1 in 8" in said


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (
            "charge=-1",
            "",
            "expected one charge for all structures of H2O, got charge=-1 in 8, none given in 8",
        ),
        ("total_charge=1", "charge=0", "got charge=0 in 8, charge=1 in 8"),
        ("spin_multiplicity=2", "multiplicity=1", "got multiplicity=1 in 8, multiplicity=2 in 8"),
        ("charge=0", "", "warning: 8 structures do not say their charge, others of the same formula are 0"),
        ("magmom=2.0", "magmom=0.02", "total magnetic moments differ, 0.02 μB in 8, 2 μB in 8"),
        ("charge=1", "charge=1.00000001", ""),
    ],
)
def test_states_that_may_differ_are_told(split, tmp_path, one, other, said):
    xyz(tmp_path / "a.xyz", more=f" {one}")
    xyz(tmp_path / "b.xyz", more=f" {other}")
    code, found = split()
    assert code == (2 if "got" in said else 0), found
    assert said in found
    assert said or "charge" not in found


def test_a_charge_goes_the_way_of_the_structures(run_cli, tmp_path, waters):
    xyz(tmp_path / "ions.xyz", more=" charge=-1")
    keys = ["calculator.name=emt", "write=[xsf,extxyz]"]
    code, _, said = run_cli("label", "ions.xyz", "-o", "l.h5", *(f"--set={key}" for key in keys))
    assert code == 0, said
    assert "structures say charge=-1, which emt is not told" in " ".join(said.split())
    for given in ("l_xsf", "l_structures.extxyz"):
        code, out, err = run_cli("split", "ions.xyz", given, "-o", "s.h5", "--force")
        assert code == 0, out + err
        assert "charge" not in out + err
        code, out, err = run_cli("split", waters, given, "-o", "s.h5", "--force")
        assert code == 2
        assert "got charge=-1 in 8, none given in 12" in " ".join(err.split())


def test_forces_that_are_all_zero_are_refused(split, tmp_path):
    text = xyz(tmp_path / "a.xyz").read_text().splitlines()
    zero = [" ".join(line.split()[:4]) + " 0 0 0" if line[:2] in ("O ", "H ") else line for line in text]
    (tmp_path / "a.xyz").write_text("\n".join(zero) + "\n")
    code, said = split()
    assert code == 2
    assert "all forces are exactly zero, while the energies differ" in said
    assert "check_forces: false" in said
    assert split("--set", "check_forces=false")[0] == 0


@pytest.mark.parametrize(("step", "code"), [(0.0002, 0), (0.0, 2)])
def test_forces_are_zero_by_symmetry_where_only_the_cell_changes(split, tmp_path, step, code):
    """As in the relaxation of the cell of a crystal; in one cell the energies cannot differ."""
    text = ""
    for i in range(4):
        a = 2.715 + step * i
        text += (
            f'2\nLattice="0 {a} {a} {a} 0 {a} {a} {a} 0" pbc="T T T" energy={-300 - 0.001 * i} '
            f"Properties=species:S:1:pos:R:3:forces:R:3\nSi 0 0 0 0 0 0\nSi {a / 2} {a / 2} {a / 2} 0 0 0\n"
        )
    (tmp_path / "a.xyz").write_text(text)
    found, said = split()
    assert found == code
    assert ("all forces are exactly zero" in said) == (code == 2)


def test_a_set_without_test_structures_says_so(split, tmp_path):
    xyz(tmp_path / "a.xyz")
    code, said = split("--set", "train=8")
    assert code == 0
    assert "warning: no subset has test structures" in said


def test_isolated_atoms_fix_energies_and_are_not_divided(run_cli, split, tmp_path):
    rows = [f"1\nProperties=species:S:1:pos:R:3 energy=-{e}\n{s} 0 0 0\n" for s, e in (("H", 13), ("O", 430))]
    (tmp_path / "atoms.xyz").write_text("".join(rows))
    xyz(tmp_path / "a.xyz")
    code, said = split("--set", "train=6")
    assert code == 0
    assert "2 isolated atoms are not divided; they fix the energies of atoms: H -13, O -430 eV" in said
    assert load_free_atoms(tmp_path / "split.h5") == {"H": -13.0, "O": -430.0}
    assert list(load_split(tmp_path / "split.h5", "train")) == ["H2O"]
    code, _, said = run_cli("fit-gpr", "split.h5", "--set", "length_scale=1.0", "--set", "model=full")
    assert code == 0, said
    assert run_cli("augment", "split.h5", "gpr.h5", "--set", "n_copies=2")[0] == 0
    keys = ["mode=gpr", "n_members=1", "levenberg_marquardt.iterations=2", "network.hidden=[2]"]
    code, _, said = run_cli("train-ann", "split.h5", "augmented.h5", *(f"--set={key}" for key in keys))
    assert code == 0, said
    assert "atomic energies are those of isolated atoms: H, O" in said
    assert load_ann(tmp_path / "ann.h5").atomic_energies == {"H": -13.0, "O": -430.0}
    local = "--set=model=local", "--set=local.n_inducing=20", "--set=local.length_scale=20"
    given = ("--set=local.atomic_energies={H: -14.0, O: -2000.0}",)
    for more, energies in (((), [-13.0, -430.0]), (given, [-14.0, -2000.0])):
        assert run_cli("fit-gpr", "split.h5", "-o", "local.h5", "--force", *local, *more)[0] == 0
        model = load_gps(tmp_path / "local.h5")["local"]
        assert isinstance(model, LocalModel)
        np.testing.assert_array_equal(model.atomic_energies, energies)


def test_isolated_atoms_alone_are_refused(split, tmp_path):
    (tmp_path / "atoms.xyz").write_text("1\nProperties=species:S:1:pos:R:3 energy=-13\nH 0 0 0\n")
    code, said = split()
    assert code == 2
    assert "expected structures of several atoms, got isolated atoms only" in said


def test_a_cutoff_below_every_bond_is_refused(run_cli, split, tmp_path):
    xyz(tmp_path / "a.xyz")
    assert split()[0] == 0
    keys = ["mode=energy_only", "network.radial_cutoff=0.5", "network.angular_cutoff=0.5"]
    code, _, said = run_cli("train-ann", "split.h5", *(f"--set={key}" for key in keys))
    assert code == 2
    assert "network.radial_cutoff: no two atoms of the training structures are within 0.5 Å" in said


def test_a_cell_that_drifts_is_one_subset_and_enters_no_full_process(run_cli, split, tmp_path):
    rng, text = np.random.default_rng(0), ""
    for i in range(30):
        s, a = water(rng, f"w{i}"), 9.0 + 0.0009 * i
        head = (
            f'Lattice="{a} 0 0 0 {a} 0 0 0 {a}" Properties=species:S:1:pos:R:3:forces:R:3 energy={s.energy!r}'
        )
        rows = np.hstack([s.positions, s.forces]).tolist()
        lines = [f"{e} {' '.join(map(repr, row))}" for e, row in zip(s.species, rows, strict=True)]
        text += "\n".join(["3", f'{head} pbc="T T T"', *lines]) + "\n"
    (tmp_path / "npt.xyz").write_text(text)
    code, said = split()
    assert code == 0
    assert "the cell varies: 30 structures of H2O have cells that differ by up to 0.0261 Å" in said
    with h5py.File(tmp_path / "split.h5") as file:
        assert list(file["train"]) == list(file["test"]) == ["H2O"]
    code, _, said = run_cli("fit-gpr", "split.h5", "--set", "model=full")
    assert code == 2
    assert "H2O: expected one cell for a full process, got cells that differ by up to 0.02" in said


def test_a_small_cell_is_told_for_what_it_is(run_cli, tmp_path):
    """Exact forces of a cell of 3.6 Å have no net force: it is the distances that miss further images."""
    from ase.build import bulk
    from ase.calculators.emt import EMT
    from ase.io import write

    frames = []
    for seed in range(8):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        frames.append(atoms)
    write(tmp_path / "nvt.xyz", frames)
    code, out, err = run_cli("split", "nvt.xyz", "-o", "split.h5", "--set", "train=6")
    assert code == 0
    assert "net force" not in out + err
    keys = ["--set=length_scale=1.0", "--set=model=full"]
    code, _, err = run_cli("fit-gpr", "split.h5", *keys)
    assert code == 0, err
    said = " ".join(err.split())
    assert (
        "of the forces lie outside what distances of pairs at their nearest image can describe; in a " in said
    )
    assert "small cell further images count too: use descriptor: soap" in said
    assert "net force" not in said


def test_label_keeps_the_stress_and_says_that_xsf_does_not(run_cli, tmp_path):
    from ase.build import bulk
    from ase.io import write

    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    write(tmp_path / "pool.xyz", [atoms])
    keys = ["--set=calculator.name=emt", "--set=write=[xsf,extxyz]"]
    code, out, err = run_cli("label", "pool.xyz", "-o", "l.h5", *keys)
    assert code == 0, err
    assert "the XSF files hold no stress; the artefact and extended XYZ do" in " ".join(out.split())
    stresses = []
    for given in ("l_structures.extxyz", "l_xsf"):
        assert run_cli("split", given, "-o", "s.h5", "--force")[0] == 0
        with h5py.File(tmp_path / "s.h5") as file:
            part = next(part for part in ("train", "test") if len(file[part]))
            group = next(iter(file[part].values()))
            stresses.append(read_structures(group).structure(0).stress)
    with h5py.File(tmp_path / "l.h5") as file:
        stored = read_structures(next(iter(file["subsets"].values()))).structure(0).stress
    np.testing.assert_allclose(stresses[0], stored, atol=1e-7)
    assert stresses[1] is None
