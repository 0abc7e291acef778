"""Errors of stresses: hand-made cases, components of turned slabs, structures without a stress."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from aenet_gpr_cli.evaluation.error_sums import ErrorSums, error_sums
from aenet_gpr_cli.evaluation.metrics import metrics_from_sums
from aenet_gpr_cli.evaluation.stress_errors import add_stress_errors, pressures, stress_components
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.units import GPA_PER_EV_PER_CUBIC_ANGSTROM as GPA


def crystals(stress, pbc=(True, True, True), cells=None):
    n = len(stress)
    cells = np.tile(5.0 * np.eye(3), (n, 1, 1)) if cells is None else cells
    return StructureSet(("Li",), np.zeros((n, 1, 3)), cells, pbc, energies=np.zeros(n), stress=stress)


def measured(reference, stress):
    sums = error_sums(reference, np.zeros((len(stress), len(reference))), None)
    add_stress_errors(sums, reference, stress)
    return sums


def test_errors_by_hand():
    reference = crystals(np.array([np.diag([1.0, 2.0, 3.0]), np.full((3, 3), np.nan)]) / GPA)
    predicted = reference.stress.copy()
    predicted[0, 0, 0] += 0.3 / GPA
    predicted[0, 1, 2] = predicted[0, 2, 1] = 0.6 / GPA
    predicted[1] = 7.0  # nothing to compare with
    result = metrics_from_sums(measured(reference, predicted[None]))
    assert result["stress_mae_gpa"] == pytest.approx(0.9 / 6)
    assert result["stress_rmse_gpa"] == pytest.approx(np.sqrt((0.09 + 0.36) / 6))
    assert result["stress_max_error_gpa"] == pytest.approx(0.6)
    assert result["pressure_mae_gpa"] == pytest.approx(0.1)
    assert result["pressure_msd_gpa"] is None
    assert result["n_stresses"] == 1


def test_the_spread_of_the_pressure_is_that_over_the_members():
    reference = crystals(np.zeros((1, 3, 3)))
    members = np.array([1.0, -1.0])[:, None, None, None] * np.eye(3) / GPA
    result = metrics_from_sums(measured(reference, members))
    assert result["pressure_mae_gpa"] == pytest.approx(0.0, abs=1e-12)
    assert result["pressure_msd_gpa"] == pytest.approx(np.sqrt(2))


def test_pooled_subsets_count_components():
    rng = np.random.default_rng(0)
    bulk, slab = (
        crystals(rng.normal(size=(4, 3, 3))),
        crystals(rng.normal(size=(3, 3, 3)), (True, True, False)),
    )
    parts = [measured(s, s.stress[None] + 1.0) for s in (bulk, slab)]
    pooled = metrics_from_sums(sum(parts, ErrorSums()))
    assert pooled["stress_mae_gpa"] == pytest.approx(GPA)
    assert pooled["n_stresses"] == 7
    assert sum(parts, ErrorSums()).n_stress_components == 4 * 6 + 3 * 3


def test_a_slab_has_the_components_in_its_plane_however_it_is_turned():
    rng = np.random.default_rng(1)
    cell = np.array([[4.0, 0.0, 0.0], [1.0, 5.0, 0.0], [0.3, 0.2, 20.0]])
    stress = rng.normal(size=(3, 3))
    stress += stress.T
    plain = stress_components(crystals(stress[None], (True, True, False), cell[None]), stress[None])
    np.testing.assert_allclose(plain[0], np.array([stress[0, 0], stress[1, 1], stress[0, 1]]) * GPA)
    assert pressures(plain)[0] == pytest.approx(-(stress[0, 0] + stress[1, 1]) / 2 * GPA)
    turn = Rotation.random(random_state=2).as_matrix()
    turned, cells = (turn @ stress @ turn.T)[None], (cell @ turn.T)[None]
    found = stress_components(crystals(turned, (True, True, False), cells), turned)
    np.testing.assert_allclose(found, plain, rtol=1e-12)


def test_without_stress_nothing_appears():
    result = metrics_from_sums(measured(crystals(np.full((2, 3, 3), np.nan)), np.zeros((1, 2, 3, 3))))
    assert not [key for key in result if "gpa" in key]
