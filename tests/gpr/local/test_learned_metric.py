"""The learned metric: what it is made of, and what it does where energies vary along few directions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.gpr.local import local_fit
from aenet_gpr_cli.gpr.local.accumulation import Sums, add_up, model_of
from aenet_gpr_cli.gpr.local.environments import environments
from aenet_gpr_cli.gpr.local.learned_metric import NEGLIGIBLE, learned_metric, metric_of
from aenet_gpr_cli.gpr.local.local_fit import choose_design, fit_local
from tests.gpr.local.test_local_process import LEARNED, SMALL, alloy, quiet


def test_squared_distances_are_those_of_the_root_of_the_outer_products():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(2, 50, 6)) * np.array([3.0, 1.0, 1.0, 0.3, 0.1, 0.03])
    outer = gradients.transpose(0, 2, 1) @ gradients
    for found, one in zip(metric_of(outer), outer, strict=True):
        square = found @ found.T
        np.testing.assert_allclose(
            square @ square / np.trace(square @ square), one / np.trace(one), atol=1e-12
        )
        assert np.trace(square) == pytest.approx(6.0)


def test_directions_that_do_not_count_go_and_a_species_without_slopes_keeps_all():
    along = np.array([1.0, 2.0, 0.0, 0.0])
    first = metric_of(np.outer(along, along)[None])[0]
    assert first.shape == (4, 1)
    np.testing.assert_allclose(np.abs(first[:, 0]), 2.0 * along / np.sqrt(5.0), atol=1e-12)
    both = metric_of(np.stack([np.outer(along, along), np.zeros((4, 4))]))
    assert both.shape == (2, 4, 4)
    np.testing.assert_allclose(both[1] @ both[1].T, np.eye(4), atol=1e-12)
    small = np.diag([1.0, (0.1 * NEGLIGIBLE) ** 2, 0.0, 0.0])
    assert metric_of(small[None]).shape == (1, 4, 1)


def test_slopes_are_those_of_the_fitted_process():
    sets = alloy(6, seed=0)
    design = choose_design(sets, replace(SMALL, n_inducing=8), 0, quiet)
    model, _ = model_of(design, add_up(design, sets, Sums(len(design.inducing)), quiet))
    outer, h = np.zeros((2, len(design.scale.mean[0]), len(design.scale.mean[0]))), 1e-5
    for s in sets:
        found = environments(design.basis, design.scale, s, False)
        for x, kind in zip(found.x, found.kinds, strict=True):
            columns = design.inducing.of(kind)
            z, c = design.inducing.z[columns], model.coefficients[columns]
            steps = x + h * np.concatenate([np.eye(len(x)), -np.eye(len(x))])
            energies = np.exp(-0.5 * ((steps[:, None] - z) ** 2).sum(axis=2)) @ c  # length scale 1
            slope = (energies[: len(x)] - energies[len(x) :]) / (2 * h)
            outer[kind] += np.outer(slope, slope)
    for found, expected in zip(learned_metric(design, sets), metric_of(outer), strict=True):
        np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-3)


def test_errors_fall_on_other_structures_of_the_kind():
    training, test = alloy(60, seed=3), alloy(30, seed=4)

    def error(learn: bool) -> float:
        given = replace(LEARNED, n_inducing=60, learn_metric=learn)
        model, _ = fit_local(training, given, 0, quiet)
        assert (model.scale.metric is not None) == learn
        off = [np.abs(model.energies_and_forces(s)[1] - s.forces).mean() for s in test]
        return float(np.mean(off))

    assert error(True) < 0.9 * error(False)


def test_a_metric_that_the_evidence_does_not_favour_is_left(monkeypatch):
    sets = alloy(50, seed=0)

    def blind(design, _):
        # the last feature alone, an angular one of high order
        metric = np.zeros((*design.scale.mean.shape, 1))
        metric[:, -1] = 1.0
        return metric

    monkeypatch.setattr(local_fit, "learned_metric", blind)
    assert fit_local(sets, LEARNED, 0, quiet)[0].scale.metric is None


def test_few_structures_teach_no_metric_for_which_sigma_comes_out_too_small():
    """A metric of five knows those that are left out of the fit: σ was a tenth of the errors of others."""
    model, _ = fit_local(alloy(5, seed=7), replace(LEARNED, n_inducing=None), 0, quiet)
    z = []
    for s in alloy(20, seed=99):
        sigma = np.hypot(model.energy_sigma(s), model.energy_noise(s.n_atoms))
        z.append((model.energies(s) - s.energies) / sigma)
    assert np.sqrt(np.mean(np.square(z))) < 2.0
