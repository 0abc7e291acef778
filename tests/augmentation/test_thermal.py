"""Langevin runs: the right temperature on a harmonic surface, and never beyond the fence."""

import numpy as np

from aenet_gpr_cli.augmentation.random_streams import standard_normal
from aenet_gpr_cli.augmentation.thermal import ThermalSettings, langevin, thermal_shifts
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.units import BOLTZMANN

SPRING = 3.0  # eV/Å²
FREE = np.ones(2, bool)
PARENT = StructureSet(("H", "O"), np.zeros((1, 2, 3)), names=("p",))


def pull(positions):
    return -SPRING * positions


def nowhere(positions):
    return np.zeros(len(positions))


def test_positions_have_the_variance_of_the_temperature():
    settings = ThermalSettings(400.0, 1.0, 300, 0.05, 1.0, 300)
    noise = standard_normal(0, "x", 1500, 6 * 301).reshape(1500, 301, 2, 3)
    ends = langevin(np.zeros((1500, 2, 3)), np.array([1.0, 16.0]), FREE, noise, pull, nowhere, settings)
    expected = BOLTZMANN * 400.0 / SPRING
    found = ends.var(axis=(0, 2))
    # 4,500 samples of each atom: 2 % standard error of a variance
    np.testing.assert_allclose(found, expected, rtol=0.08)


def test_no_run_ends_beyond_the_fence():
    settings = ThermalSettings(2000.0, 1.0, 60, 0.02, 0.3, 5)

    def sigma(positions):
        return np.linalg.norm(positions.reshape(len(positions), -1), axis=1)

    shifts = thermal_shifts(PARENT, 40, 0, np.array([True, False]), pull, sigma, settings)
    size = np.linalg.norm(shifts[0].reshape(40, -1), axis=1)
    assert 0.2 < size.max() <= 0.3
    assert (size > 0.0).sum() > 20  # and they do move
    assert np.abs(shifts[:, :, 1]).max() == 0.0


def test_a_run_depends_on_its_copy_only():
    settings = ThermalSettings(300.0, 1.0, 10, 0.02, 1.0, 5)
    whole = thermal_shifts(PARENT, 6, 3, FREE, pull, nowhere, settings)
    part = thermal_shifts(PARENT, 2, 3, FREE, pull, nowhere, settings, first_copy=3)
    np.testing.assert_array_equal(part[0], whole[0, 3:5])
    assert np.abs(thermal_shifts(PARENT, 6, 4, FREE, pull, nowhere, settings) - whole).min() > 0.0
