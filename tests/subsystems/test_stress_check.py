"""A stress is compared with energies where cells differ; exact ones are never called wrong."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from aenet_gpr_cli.stages.split.stress_by_fit import check_stress_by_fit
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.label_checks.shears import SHEARS, other_shears
from aenet_gpr_cli.subsystems.label_checks.stress_check import check_stress
from tests.labelled_crystals import labelled

GPA = 160.21766


def strained_copper(n: int, strain: float, shake: float, a: float = 3.61) -> StructureSet:
    """Cells strained and sheared, with atoms off their sites by normal numbers of that width, Å."""
    rng, frames = np.random.default_rng(0), []
    for seed in range(n):
        atoms = bulk("Cu", a=a, cubic=True)
        atoms.set_cell(
            atoms.cell.array @ (np.eye(3) + strain * rng.standard_normal((3, 3))), scale_atoms=True
        )
        atoms.rattle(shake, seed=seed)
        atoms.calc = EMT()
        frames.append(atoms)
    return labelled(frames)


@pytest.fixture(scope="module")
def copper() -> StructureSet:
    """Cells strained by up to a few percent, also sheared, with atoms off their sites."""
    return strained_copper(20, 0.01, 0.03)


@pytest.fixture(scope="module")
def dynamics() -> list[StructureSet]:
    """Atoms off their sites in one cell, as in dynamics at constant volume."""
    frames = []
    for seed in range(30):
        atoms = bulk("Cu", cubic=True) * (2, 2, 1)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        frames.append(atoms)
    return [labelled(frames)]


def test_an_exact_stress_is_never_called_wrong(copper):
    assert check_stress(copper) is None
    wrapped = copper.positions + copper.cells[:, None, 0] * np.arange(-1, 3)[:, None]
    assert check_stress(replace(copper, positions=wrapped)) is None


def test_a_factor_that_anharmonic_forces_explain_is_no_other_unit():
    far = strained_copper(40, 0.04, 0.085, 3.75)
    assert check_stress(far) is None
    turned = str(check_stress(replace(far, stress=-far.stress)))
    assert "it looks like stress in eV/Å³, with the sign of a pressure" in turned
    assert "To change: turn its sign (split.stress_factor: -1 does it)" in turned
    assert "stress in GPa" in str(check_stress(replace(far, stress=GPA * far.stress)))


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (-1.0, "it looks like stress in eV/Å³, with the sign of a pressure"),
        (-1.0, "To change: turn its sign (split.stress_factor: -1 does it); stress_key names another stress"),
        (-GPA, "(stress_unit=GPa) (split.stress_factor: -0.00624151 does it);"),
        (GPA, "To change: declare its unit in the header of the frames (stress_unit=GPa) "),
        (-47.0, "To change: name it virial;"),
        (GPA, "it looks like stress in GPa; "),
        (-10 * GPA, "it looks like stress in kbar, with the sign of a pressure"),
        (47.0, "it looks like a virial in eV; "),
        (3.0, "it differs by an unknown factor"),
    ],
)
def test_another_sign_or_unit_is_named(copper, factor, said):
    assert said in str(check_stress(replace(copper, stress=factor * copper.stress)))


def test_nothing_is_said_without_a_stress_or_different_cells(copper):
    wrong = replace(copper, stress=-copper.stress)
    assert check_stress(replace(wrong, stress=None)) is None
    assert check_stress(replace(wrong, stress=np.full((20, 3, 3), np.nan))) is None
    assert check_stress(replace(wrong, cells=np.repeat(wrong.cells[:1], 20, axis=0))) is None
    noise = np.random.default_rng(1).standard_normal((20, 3, 3))
    assert check_stress(replace(copper, stress=noise + noise.transpose(0, 2, 1))) is None


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (-1.0, "it looks like stress in eV/Å³, with the sign of a pressure"),
        (10 * GPA, "declare its unit in the header of the frames (stress_unit=kbar)"),
        (-188.0, "or name it virial;"),  # 188 Å³ against 160 GPa in an eV/Å³
    ],
)
def test_a_fit_to_energies_and_forces_knows_sign_and_unit_where_no_cell_differs(dynamics, factor, said):
    wrong = [replace(s, stress=factor * s.stress) for s in dynamics]
    assert all(check_stress(s) is None for s in wrong)
    assert said in str(check_stress_by_fit(wrong, 0))


def test_another_sign_or_unit_in_a_part_is_named(dynamics):
    for factor, said in ((-1.0, "with the sign of a pressure"), (GPA, "it looks like stress in GPa")):
        factors = np.where(np.arange(30) < 10, factor, 1.0)[:, None, None]
        text = str(check_stress_by_fit([replace(s, stress=factors * s.stress) for s in dynamics], 0))
        assert "in 10 of 30 structures, such as 0, against a quick fit" in text
        assert said in text


def with_shears(s: StructureSet, order: tuple[int, int, int], factor: float) -> StructureSet:
    """Return the set with yz, xz, xy taken from others of these, and multiplied."""
    stress, places = s.stress.copy(), ((1, 2), (0, 2), (0, 1))
    for k, (i, j) in zip(order, places, strict=True):
        stress[:, i, j] = stress[:, j, i] = factor * s.stress[:, *places[k]]
    return replace(s, stress=stress)


@pytest.mark.parametrize("way", ["near structures", "fit"])
@pytest.mark.parametrize(
    ("order", "factor", "said"),
    [
        ((2, 0, 1), 1.0, "its shears look like xy yz xz ("),  # VASP
        ((2, 1, 0), 1.0, "its shears look like xy xz yz ("),
        ((0, 1, 2), 2.0, "its shears are twice too large, as in a strain of six numbers ("),
        ((2, 0, 1), 2.0, "its shears look like xy yz xz and are twice too large"),
        ((0, 1, 2), 0.5, "its shears are half of what they should be"),
    ],
)
def test_shears_in_another_order_or_doubled_are_named(dynamics, copper, order, factor, said, way):
    if way == "fit":
        assert said in str(check_stress_by_fit([with_shears(dynamics[0], order, factor)], 0))
    else:
        assert said in str(check_stress(with_shears(copper, order, factor)))


def test_shears_say_nothing_where_the_normal_components_do_not_fit():
    """As where a quick fit knows too little: in ten frames of dynamics another order fits by chance."""
    rng = np.random.default_rng(0)
    right = rng.standard_normal((10, 3, 3))
    right += right.transpose(0, 2, 1)
    given = right[:, [1, 2, 0]][:, :, [1, 2, 0]]
    off = ~np.eye(3, dtype=bool)
    assert "look like xz xy yz" in str(other_shears(np.where(off, given, right), right, ""))
    assert other_shears(np.where(off, given, rng.standard_normal((10, 3, 3))), right, "") is None
    assert other_shears(right, right, "") is None


@pytest.mark.parametrize("normal", [0.55, 1.0, 1.8])
@pytest.mark.parametrize("shear", [0.85, 1.0, 1.1])
def test_right_shears_are_right_beside_normal_components_that_a_fit_knows_less_well(normal, shear):
    """In strained alloys a quick fit gave 1.8 times the deviators, and 1.07 times the shears."""
    rng = np.random.default_rng(1)
    right = rng.standard_normal((40, 3, 3))
    right += right.transpose(0, 2, 1)
    off, doubled = ~np.eye(3, dtype=bool), 2.0 * right
    fit = np.where(off, shear, normal) * right + 0.1 * right[:, [1, 2, 0]][:, :, [1, 2, 0]]
    assert other_shears(right, fit, "") is None
    assert "shears are twice too large" in str(other_shears(np.where(off, doubled, right), 0.9 * right, ""))
    if normal >= 1.0:
        assert "shears are twice too large" in str(other_shears(np.where(off, doubled, right), fit, ""))


def test_a_fit_to_energies_and_forces_says_nothing_of_a_right_stress_or_of_too_few(dynamics, copper):
    for right in (dynamics, [copper], [*dynamics, copper]):
        assert check_stress_by_fit(right, 0) is None
    # a small basis shifts the pressure of all alike
    shifted = [replace(s, stress=s.stress - 0.05 * np.eye(3)) for s in dynamics]
    assert check_stress_by_fit(shifted, 0) is None
    few = [replace(s.select([0, 1]), stress=-s.stress[:2]) for s in dynamics]
    assert check_stress_by_fit(few, 0) is None
    without = [replace(s, stress=None) for s in dynamics]
    assert check_stress_by_fit(without, 0) is None


@pytest.mark.parametrize(
    ("unit", "sign", "said"),
    [
        (10 * GPA, -1.0, "looks like stress in kbar, with the sign of a pressure"),
        (10 * GPA, 1.0, "looks like stress in kbar (slope -"),
        (GPA, -1.0, "name it stress, turn its sign and declare its unit in the header"),
        (1.0, 1.0, "looks like stress in eV/Å³ (slope -"),
    ],
)
def test_a_stress_that_is_named_a_virial_is_told(copper, unit, sign, said):
    """What is read is -1/V times the numbers of the file."""
    volumes = np.abs(np.linalg.det(copper.cells))[:, None, None]
    wrong = replace(copper, stress=-sign * unit * copper.stress / volumes)
    assert said in str(check_stress(wrong, named_virial=True))
    assert check_stress(copper, named_virial=True) is None
    turned = str(check_stress(replace(copper, stress=-copper.stress), named_virial=True))
    assert "it looks like stress in eV/Å³, with the sign of a pressure" in turned


def test_copies_of_structures_say_nothing(copper):
    few = copper.select(np.arange(9))
    for copies in (few.select([*range(9), 0, 4, 7]), few.select(np.repeat(np.arange(9), 3))):
        assert check_stress(copies) is None
        nearly = np.random.default_rng(0).normal(0.0, 1e-7, copies.positions.shape)
        assert check_stress(replace(copies, positions=copies.positions + nearly)) is None
    turned = replace(copper, stress=-copper.stress).select([*range(20), 0, 4, 7])
    assert "with the sign of a pressure" in str(check_stress(turned))


@pytest.mark.parametrize(("factor", "told"), [(1.0, True), (-2.0, False), (0.2, False), (4.0, False)])
def test_another_order_of_shears_needs_their_factor(copper, factor, told):
    wrong = copper.stress.copy()
    right = wrong[:, *SHEARS]
    for k, order in enumerate((1, 2, 0)):
        wrong[:, SHEARS[0][k], SHEARS[1][k]] = wrong[:, SHEARS[1][k], SHEARS[0][k]] = right[:, order] / factor
    text = str(other_shears(wrong, copper.stress, "keep it"))
    assert ("look like" in text) == told
