"""Time in proportion to the data, memory almost independent of it: `make test-scale`."""

import numpy as np
import pytest

from tests.scale.measure_local import N_ATOMS, cells, labels, measure

pytestmark = pytest.mark.scale


def test_the_forces_are_minus_the_slope_of_the_energy():
    made, h = cells(2, np.random.default_rng(1)), 1e-5
    for atom, axis in ((0, 0), (57, 2)):
        energies = []
        for sign in (1, -1):
            moved = made["positions"].copy()
            moved[:, atom, axis] += sign * h
            energies.append(labels(moved, made["cells"])[0])
        slope = (energies[0] - energies[1]) / (2 * h)
        np.testing.assert_allclose(made["forces"][:, atom, axis], -slope, rtol=1e-6, atol=1e-8)


def test_ten_times_the_environments_take_ten_times_the_time_and_hardly_more_memory(tmp_path):
    few, many = (measure(n, tmp_path) for n in (10_000, 100_000))
    assert many.n_environments == pytest.approx(100_000, abs=N_ATOMS)
    assert many.seconds < 15.0 * few.seconds
    # a few times what the structures take; rows would take 3 forces × 400 inducing environments × 8 bytes
    assert many.peak_bytes - few.peak_bytes < 1000 * (many.n_environments - few.n_environments)
