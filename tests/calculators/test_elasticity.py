"""Elastic constants against lattice sums of a pair potential, and energies of strained cells."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from aenet_gpr_cli.calculators.elasticity import (
    elastic_constants,
    equation_of_state,
    is_stable,
    moduli,
    relax,
)
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.units import GPA_PER_EV_PER_CUBIC_ANGSTROM as GPA


def settle(atoms):
    """Relax the atoms of a strained cell."""
    relax(atoms, 1e-5, 10, cell=False)


@pytest.fixture
def argon():
    """Lennard-Jones in its fcc minimum; the cutoff lies between two shells of neighbours."""
    atoms = bulk("Ar", "fcc", a=5.2)
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.0103, rc=9.5, smooth=False)
    relax(atoms, 1e-7, 100)
    return atoms


def lattice_sums(atoms, sigma=3.4, epsilon=0.0103, cutoff=9.5):
    """C11, C12, C44 of pairs: Σ (φ'' - φ'/r) x_a x_b x_c x_d / r² over neighbours, without stress, GPa."""
    steps = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3, indexing="ij"), -1).reshape(-1, 3)
    r = steps @ atoms.cell.array
    d = np.linalg.norm(r, axis=1)
    r, d = r[(d > 0) & (d < cutoff)], d[(d > 0) & (d < cutoff)]
    first = 4 * epsilon * (-12 * sigma**12 / d**13 + 6 * sigma**6 / d**7)
    second = 4 * epsilon * (156 * sigma**12 / d**14 - 42 * sigma**6 / d**8)
    weight = 0.5 * (second - first / d) / d**2 / atoms.cell.volume * GPA
    x, y = r[:, 0] ** 2, r[:, 1] ** 2
    return (weight * x * x).sum(), (weight * x * y).sum()


def test_a_lennard_jones_crystal_has_the_constants_of_its_lattice_sums(argon):
    found = elastic_constants(argon, 1e-3, settle)
    along, across = lattice_sums(argon)
    expected = np.diag([along] * 3 + [across] * 3)
    expected[:3, :3] += across * (1 - np.eye(3))  # Cauchy: C12 = C44
    np.testing.assert_allclose(found, expected, atol=1e-4 * along)
    assert is_stable(found)
    values = moduli(found)
    assert values.bulk_hill == pytest.approx((along + 2 * across) / 3, rel=1e-4)
    assert values.shear_reuss < values.shear_hill < values.shear_voigt


def test_the_equation_of_state_has_the_bulk_modulus_of_the_elastic_constants(argon):
    state = equation_of_state(argon, 0.01, 9, settle)
    assert state.volume == pytest.approx(argon.get_volume(), rel=1e-4)
    assert state.energy == pytest.approx(argon.get_potential_energy(), abs=1e-6)
    along, across = lattice_sums(argon)
    assert state.bulk_modulus == pytest.approx((along + 2 * across) / 3, rel=5e-3)
    assert state.residual < 1e-6


def test_copper_of_effective_medium_theory():
    atoms = bulk("Cu", "fcc", a=3.6)
    atoms.calc = EMT()
    relax(atoms, 1e-6, 100)
    found, h = elastic_constants(atoms, 2e-3, settle), 2e-3
    energies = []
    for step in (-h, 0.0, h):  # second difference of the energy under xx
        moved = atoms.copy()
        moved.calc = EMT()
        moved.set_cell(atoms.cell.array @ np.diag([1 + step, 1, 1]), scale_atoms=True)
        energies.append(moved.get_potential_energy())
    slope = (energies[0] - 2 * energies[1] + energies[2]) / h**2 / atoms.get_volume() * GPA
    assert found[0, 0] == pytest.approx(slope, rel=2e-3)
    assert moduli(found).bulk_hill == pytest.approx(
        equation_of_state(atoms, 0.02, 7, settle).bulk_modulus, rel=0.02
    )


def test_isotropic_constants_give_one_value_of_each_average():
    bulk_modulus, shear = 40.0, 25.0
    constants = np.diag([2.0 * shear] * 3 + [shear] * 3)
    constants[:3, :3] += bulk_modulus - 2.0 * shear / 3.0
    values = moduli(constants)
    assert values.bulk_voigt == pytest.approx(bulk_modulus)
    assert values.bulk_reuss == pytest.approx(bulk_modulus)
    assert values.shear_voigt == pytest.approx(shear)
    assert values.shear_reuss == pytest.approx(shear)
    assert values.young_hill == pytest.approx(9 * bulk_modulus * shear / (3 * bulk_modulus + shear))
    assert values.poisson_hill == pytest.approx(values.young_hill / (2 * shear) - 1)


def test_a_crystal_that_is_not_found_is_an_error(argon):
    argon.set_cell(argon.cell.array * 1.2, scale_atoms=True)
    with pytest.raises(NumericalError, match="equation of state: expected the least energy between"):
        equation_of_state(argon, 0.02, 7, settle)
    with pytest.raises(NumericalError, match="within 1 steps"):
        relax(argon, 1e-6, 1)
