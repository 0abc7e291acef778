"""Left-out errors of the full process in closed form: those of fits without the structures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.descriptor_settings import InverseDistanceSettings
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.left_out_errors import LeftOut, chosen_to_leave_out, ratio
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import predict
from aenet_gpr_cli.gpr.regression.leave_one_out import leave_out
from aenet_gpr_cli.gpr.surrogate import Geometry
from tests.gpr.small_molecule import cholesky, make_set

STRUCTURES = make_set(9, seed=0)


@pytest.mark.parametrize("turned", [False, True], ids=["as they are", "with a net force"])
def test_errors_are_those_of_a_fit_without_the_structure(turned):
    """A net force no invariant model learns: it stays an error."""
    structures = STRUCTURES
    if turned:
        structures = replace(structures, forces=structures.forces + np.array([0.0, 0.02, 0.0]))
    descriptor = Geometry.of(structures, InverseDistanceSettings(1.0)).make_descriptor()
    made = []

    def make_solver(covariance, *noise):
        made.append((covariance, cholesky(covariance, *noise)))
        return made[-1][1]

    def fitted(some):
        return fit(some, descriptor, make_kernel("squared_exponential", 0.8), 1e-4, 1e-4, make_solver)

    model, n = fitted(structures), len(structures)
    which = chosen_to_leave_out(n, seed=0, number=3)
    off = leave_out(structures, *made[0], model.signal_std, which)
    n_components = 3 * structures.n_atoms
    for place, i in enumerate(which):
        energies, forces = predict(
            fitted(structures.select(np.delete(np.arange(n), i))), descriptor, structures.positions[[i]]
        )
        assert off.energy_errors[place] == pytest.approx(
            structures.energies[i] - energies[0], rel=1e-5, abs=1e-7
        )
        np.testing.assert_allclose(
            off.force_errors[place * n_components : (place + 1) * n_components],
            (structures.forces[i] - forces[0]).ravel(),
            atol=1e-6,
        )
    assert 0.05 < np.sqrt(np.mean(off.energy_z**2)) < 20.0


def test_energies_and_forces_count_alike_in_a_comparison():
    one = LeftOut(np.array([0.1, -0.1]), np.array([0.3]), np.zeros(2), np.zeros(1))
    worse_energies = replace(one, energy_errors=4.0 * one.energy_errors)
    worse_forces = replace(one, force_errors=-4.0 * one.force_errors)
    assert ratio(worse_energies, one) == pytest.approx(2.0)
    assert ratio(worse_energies, worse_forces) == pytest.approx(1.0)
    without = replace(one, force_errors=np.zeros(0), force_z=np.zeros(0))
    assert ratio(worse_energies, without) == pytest.approx(4.0)


def test_the_same_structures_are_left_out_everywhere():
    chosen = chosen_to_leave_out(100, seed=3)
    np.testing.assert_array_equal(chosen, chosen_to_leave_out(100, seed=3))
    assert len(set(chosen)) == 30
    assert list(chosen_to_leave_out(3, seed=3)) == [0, 1, 2]
