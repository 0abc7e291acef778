"""Forces and energies of varying cells and compositions: right ones are left alone, each fault is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.cluster import Icosahedron
from ase.io import write

from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.shared.many_subsets import Finding
from aenet_gpr_cli.stages.split.force_verdict import Verdict, both
from aenet_gpr_cli.stages.split.forces_by_fit import check_forces_by_fit
from aenet_gpr_cli.stages.split.split_stage import run
from aenet_gpr_cli.structures import StructureSet
from tests.labelled_crystals import labelled

HARTREE, BOHR = 27.211386, 0.529177


def alloys(n: int, seed: int = 0) -> list[StructureSet]:
    """Cu-Au of two sizes and many compositions, strained, expanded, and off the sites."""
    rng = np.random.default_rng(seed)
    by_formula: dict[tuple[int, int], list[Atoms]] = {}
    for k in range(n):
        size, gold = (2, 2, 1 + k % 2), int(rng.integers(0, 9))
        atoms = bulk("Cu", a=3.75, cubic=True).repeat(size)
        atoms.symbols[-gold:] = "Au"
        strain = np.eye(3) * rng.uniform(0.98, 1.03) + rng.normal(0.0, 0.01, (3, 3))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        atoms.rattle(rng.uniform(0.03, 0.12), rng=rng)
        atoms.calc = EMT()
        by_formula.setdefault((len(atoms), gold), []).append(atoms)
    sets = [labelled(frames) for _, frames in sorted(by_formula.items())]
    return [replace(s, names=tuple(f"{k}.xyz#{name}" for name in s.names)) for k, s in enumerate(sets)]


@pytest.fixture(scope="module")
def mixed() -> list[StructureSet]:
    return alloys(40)


@pytest.fixture(scope="module")
def far_apart() -> StructureSet:
    """Clusters of which no two are near."""
    rng, frames = np.random.default_rng(1), []
    for _ in range(30):
        atoms = Icosahedron("Pt", 2)
        atoms.center(vacuum=8.0)
        atoms.rattle(0.3, rng=rng)
        atoms.calc = EMT()
        frames.append(atoms)
    return replace(labelled(frames), cells=None, pbc=(False, False, False), stress=None)


def scaled(sets: list[StructureSet], energies: float = 1.0, forces: float = 1.0) -> list[StructureSet]:
    return [replace(s, energies=energies * s.energies, forces=forces * s.forces) for s in sets]


def said(sets: list[StructureSet]) -> list[Finding]:
    return check_forces_by_fit(sets, "all", 0)


def test_right_ones_are_left_alone(mixed, far_apart):
    assert said(mixed) == []
    assert said([far_apart]) == []


def test_other_origins_of_the_energy_change_nothing(mixed):
    shifted = [
        replace(s, energies=s.energies - 2000.0 * s.species.count("Cu") + 31.0 * s.species.count("Au"))
        for s in mixed
    ]
    assert said(shifted) == []


def test_copies_change_nothing(mixed):
    copies = [s.select(np.repeat(np.arange(len(s)), 2)) for s in mixed]
    assert said(copies) == []
    (found,) = said(scaled(copies, forces=-1.0))
    assert found.kind == "forces sign"


@pytest.mark.parametrize(
    ("energies", "forces", "kind", "words"),
    [
        (1.0, -1.0, "forces sign", "the sign is reversed: these are gradients dE/dR"),
        (1.0 / HARTREE, 1.0, "forces unit", "eV/Å beside energies in Hartree"),
        (1.0, 2.0 * BOHR / HARTREE, "forces unit", "they look like Ry/Bohr"),
        (1.0 / HARTREE, BOHR / HARTREE, "forces unit", "or Hartree/Bohr beside energies in Hartree"),
    ],
)
def test_another_sign_or_unit_is_named(mixed, far_apart, energies, forces, kind, words):
    for sets in (mixed, [far_apart]):
        (found,) = said(scaled(sets, energies, forces))
        assert found.kind == kind
        assert words in found.text
        assert "To change: mend the file" in found.text


def test_energies_per_atom_are_refused(mixed, far_apart):
    for sets in (mixed, [far_apart]):
        with pytest.raises(InputError, match="energies are per atom, expected total energies in eV"):
            said([replace(s, energies=s.energies / s.n_atoms) for s in sets])


def test_forces_that_are_all_zero_are_refused_unless_symmetry_makes_them_so(mixed):
    with pytest.raises(InputError, match="all forces are exactly zero, though in 40 of 40 structures no"):
        said(scaled(mixed, forces=0.0))
    frames = []
    for a in np.linspace(3.4, 4.0, 12):
        atoms = bulk("Cu", a=a, cubic=True)
        atoms.calc = EMT()
        frames.append(atoms)
    assert said(scaled([labelled(frames)], forces=0.0)) == []


def test_some_forces_that_are_zero_are_named(mixed):
    some = [*scaled(mixed[:2], forces=0.0), *mixed[2:]]
    (found,) = said(some)
    assert found.kind == "forces zero"
    assert "are exactly zero though no symmetry makes them so, such as 0.xyz#0" in found.text


def test_forces_of_other_structures_are_told(mixed):
    rng = np.random.default_rng(0)
    other = [replace(s, forces=rng.permuted(s.forces, axis=1)) for s in mixed]
    (found,) = said(other)
    assert found.kind == "forces unexplained"
    assert "forces are hardly those of their structures" in found.text


def test_a_file_with_another_sign_is_named():
    one, other = alloys(24), alloys(24, seed=5)
    first = [replace(s, names=tuple(f"a.xyz#{k}.{n}" for n in range(len(s)))) for k, s in enumerate(one)]
    second = [replace(s, names=tuple(f"b.xyz#{k}.{n}" for n in range(len(s)))) for k, s in enumerate(other)]
    (found,) = said([*first, *scaled(second, forces=-1.0)])
    assert found.kind == "forces part"
    assert "in a part of the structures, such as b.xyz#" in found.text
    assert "the sign is reversed" in found.text


def test_energies_of_other_structures_do_not_follow_the_forces(mixed):
    """Shuffled among all, per atom, as a wrong order of frames has it."""
    per_atom = np.concatenate([s.energies / s.n_atoms for s in mixed])
    shuffled = np.random.default_rng(1).permutation(per_atom)
    ends = np.cumsum([len(s) for s in mixed])[:-1]
    sets = [replace(s, energies=s.n_atoms * e) for s, e in zip(mixed, np.split(shuffled, ends), strict=True)]
    (found,) = said(sets)
    assert found.kind == "forces energies"
    assert "energies do not follow the forces" in found.text
    assert "energies of other structures" in found.text


@pytest.fixture(scope="module")
def vacancies() -> list[StructureSet]:
    """Cells of 27 to 32 atoms, as many as a Hartree has eV."""
    rng, frames = np.random.default_rng(3), {}
    for k in range(24):
        atoms = bulk("Ni", cubic=True).repeat((2, 2, 2))
        del atoms[[int(i) for i in rng.choice(32, k % 6, replace=False)]]
        atoms.rattle(0.08, rng=rng)
        atoms.calc = EMT()
        frames.setdefault(len(atoms), []).append(atoms)
    return [labelled(each) for each in frames.values()]


def test_hartree_in_cells_of_about_27_atoms_is_not_energies_per_atom(vacancies):
    assert said(vacancies) == []
    (found,) = said(scaled(vacancies, 1.0 / HARTREE))
    assert found.kind == "forces unit"
    assert "eV/Å beside energies in Hartree" in found.text
    with pytest.raises(InputError, match="energies are per atom, expected total energies in eV"):
        said([replace(s, energies=s.energies / s.n_atoms) for s in vacancies])


def of_four_elements(n: int) -> list[StructureSet]:
    """Alloys of which a quick fit knows too little: its slope is 0.85."""
    rng, sets = np.random.default_rng(0), []
    for _ in range(n):
        atoms = bulk("Cu", cubic=True, a=3.85).repeat((2, 2, 1))
        atoms.symbols = rng.choice(["Cu", "Au", "Ni", "Pd"], len(atoms))
        atoms.set_cell(atoms.cell * rng.uniform(0.95, 1.05), scale_atoms=True)
        atoms.rattle(rng.uniform(0.02, 0.2), rng=rng)
        atoms.calc = EMT()
        sets.append(labelled([atoms]))
    return sets


def test_a_sign_is_told_where_the_size_of_the_slope_is_none_of_a_unit():
    sets = of_four_elements(40)
    assert said(sets) == []
    (found,) = said(scaled(sets, forces=-1.0))
    assert "the sign is reversed" in found.text


@pytest.mark.parametrize(
    ("factor", "words"), [(-1.0, "the sign is reversed"), (BOHR / HARTREE, "Hartree/Bohr")]
)
def test_a_file_is_compared_with_another_that_is_known_too_little(factor, words):
    """Slopes of 0.7 and 0.7 times a unit: neither is one, their ratio is the unit."""
    every = of_four_elements(40)
    sets = [replace(s, names=(f"{'right' if k < 20 else 'wrong'}.xyz#{k}",)) for k, s in enumerate(every)]
    assert said(sets) == []
    (found,) = said([*sets[:20], *scaled(sets[20:], forces=factor)])
    assert found.kind == "forces part"
    assert words in found.text
    assert "wrong.xyz#" in found.text


def test_of_two_fits_the_weaker_word_counts():
    sign, unknown = (Verdict("sign", "a", "", "", -0.9), Verdict("inconsistent", "b", "", "", -0.8))
    assert both(sign, unknown) is unknown
    assert both(unknown, sign) is unknown
    assert both(sign, replace(unknown, slope=0.8)) is None
    assert both(sign, replace(unknown, slope=-3.0)) is None
    assert both(sign, Verdict("energies", "", "", "")) is None
    assert both(sign, None) is None


def test_few_structures_say_nothing(mixed):
    assert said(scaled(mixed[:2], forces=-1.0)) == []
    assert said([]) == []


def warnings_of_split(sets: list[StructureSet], folder: Path) -> list[str]:
    """Return what `split` says of a file of all frames."""
    frames = []
    for s in sets:
        for k in range(len(s)):
            atoms = Atoms(s.species, s.positions[k], cell=s.cells[k], pbc=s.pbc)
            labels = {"energy": s.energies[k], "forces": s.forces[k], "stress": s.stress[k]}
            atoms.calc = SinglePointCalculator(atoms, **labels)
            frames.append(atoms)
    write(folder / "data.extxyz", frames)
    config = SplitConfig(inputs=("data.extxyz",))
    return list(run(config, folder, folder / "split.h5", Context(dry_run=True)).details)


def test_split_tells_forces_and_not_the_stress_that_was_compared_with_them(mixed, tmp_path):
    assert warnings_of_split(mixed, tmp_path) == []
    (found,) = warnings_of_split(scaled(mixed, forces=-1.0), tmp_path)
    assert found.startswith("warning: all: forces do not fit the energies: the sign is reversed")
    with pytest.raises(InputError, match=r"energies are per atom.*check_forces: false"):
        warnings_of_split([replace(s, energies=s.energies / s.n_atoms) for s in mixed], tmp_path)


def test_split_refuses_energies_per_atom_of_near_structures(tmp_path):
    rng, frames = np.random.default_rng(2), []
    for _ in range(12):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.02, rng=rng)
        atoms.calc = EMT()
        frames.append(atoms)
    near = labelled(frames)
    assert warnings_of_split([near], tmp_path) == []
    with pytest.raises(InputError, match=r"Cu4: energies are per atom.* pairs\)"):
        warnings_of_split([replace(near, energies=near.energies / 4)], tmp_path)
