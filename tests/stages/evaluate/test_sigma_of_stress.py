"""σ of the stress in `evaluate`: z-scores of known components only, and honest on structures left out."""

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.gpr.local.local_fit import fit_local
from aenet_gpr_cli.stages.evaluate.sigma_coverage import Uncertainty, calibration_notes, joined
from aenet_gpr_cli.stages.shared.predictors import Prediction
from tests.gpr.local.test_local_process import alloy
from tests.gpr.local.test_virials import SMALL


def predicted(stress, sigma):
    n = len(sigma)
    return Prediction(np.zeros((1, n)), np.zeros((1, n, 4, 3)), None, stress=stress[None], stress_sigma=sigma)


def test_z_scores_are_those_of_known_components_of_the_lattice():
    one = alloy(1, seed=0)[0]
    flat = one.cells.copy()
    flat[:, :2, 2] = 0.0
    error = np.arange(9.0).reshape(1, 3, 3)
    prediction = predicted(one.stress - 2.0 * (error + error.swapaxes(1, 2)), np.full((1, 3, 3), 2.0))
    six = [0.0, 8.0, 16.0, 12.0, 8.0, 4.0]
    np.testing.assert_allclose(Uncertainty.of(prediction, one).stress_z, six, atol=1e-12)
    slab = replace(one, cells=flat, pbc=(True, True, False))
    np.testing.assert_allclose(Uncertainty.of(prediction, slab).stress_z, [0.0, 8.0, 4.0], atol=1e-12)
    unknown = replace(one, stress=np.full((1, 3, 3), np.nan))
    for without in (unknown, replace(one, stress=None)):
        assert "stress_z_rms" not in Uncertainty.of(prediction, without).metrics()
    both = joined([Uncertainty.of(prediction, one), Uncertainty.of(prediction, unknown)])
    assert both.metrics()["stress_z_rms"] == pytest.approx(np.sqrt(np.mean(np.square(six))))


def test_sigma_of_the_stress_is_of_the_size_of_the_errors():
    model = fit_local(
        alloy(20, seed=3), replace(SMALL, noise_std_virial=None, n_inducing=60), 0, lambda *_: 0
    )[0]
    parts = []
    for s in alloy(12, seed=4):
        noise = model.virial_noise(s.n_atoms) / np.abs(np.linalg.det(s.cells))
        sigma = np.hypot(model.stress_sigma(s), noise[:, None, None])
        parts.append(Uncertainty.of(predicted(model.stresses(s), sigma), s))
    metrics = joined(parts).metrics()
    assert 0.3 < metrics["stress_z_rms"] < 3.0
    assert metrics["stress_coverage_95"] > 0.6
    total = metrics | {"n_structures": 12}
    (note,) = calibration_notes({"gpr": {"total": total}}, "bound")
    assert note.startswith("gpr: σ of the stress covers")


@pytest.mark.parametrize(
    ("mean", "number", "said"), [(-0.85, 12, "too high by a constant"), (0.85, 12, "too low")]
)
def test_errors_of_one_sign_are_told(mean, number, said):
    total = {
        "z_mean": mean,
        "z_rms": 0.86,
        "n_outside_domain": None,
        "energy_sigma": 0.006,
        "coverage_95": 1.0,
    }
    total |= {"n_structures": number, "sigma_rank": None}
    (note,) = calibration_notes({"ann": {"total": total}}, "bound")
    assert "root mean square of errors over σ 0.86" in note
    assert said in note
    for other in ({"z_mean": 0.3}, {"n_structures": 4}):
        (note,) = calibration_notes({"ann": {"total": total | other}}, "bound")
        assert "constant" not in note
