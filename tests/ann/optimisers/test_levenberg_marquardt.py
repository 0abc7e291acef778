import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann.curvature.row_curvature import RowCurvature
from aenet_gpr_cli.ann.curvature.summed_curvature import SummedCurvature
from aenet_gpr_cli.ann.optimisers import damped_step
from aenet_gpr_cli.ann.optimisers.course import early_ends
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.ann.training import train
from tests.ann.ann_helpers import Forces, changed


@pytest.mark.parametrize("forces", [None, Forces(1.0, "structures", 2**30)])
@pytest.mark.parametrize("scaling", ["identity", "diagonal"])
def test_a_linear_model_is_solved_in_one_step(data, basis, settings, lm_settings, forces, scaling):
    # small damping and weight decay only keep the factorisation regular
    once = changed(lm_settings, iterations=1, damping=1e-10, weight_decay=1e-10, scaling=scaling)
    linear = changed(settings, hidden=(), optimizer=once, forces=forces, validation_fraction=0.0)
    first = train(data, basis, linear, 1)
    more = train(data, basis, changed(linear, optimizer=changed(once, iterations=5)), 1)
    start = train(data, basis, changed(linear, optimizer=changed(once, damping=1e6)), 1)
    gained = start.training_loss[0] - more.training_loss[-1]
    assert (gained > 1e-2 * start.training_loss[0]).all()
    assert (first.training_loss[0] - more.training_loss[-1] < 1e-6 * gained).all()
    energies = predict(first.model, data.subsets[1], False, 8)[0]
    assert energies == pytest.approx(np.tile(energies[0], (3, 1)), abs=1e-2)


@pytest.mark.parametrize("forces", [None, Forces(0.5, "components", 2**30)])
def test_the_loss_never_rises(data, basis, settings, lm_settings, forces):
    long = changed(lm_settings, iterations=25)
    result = train(data, basis, changed(settings, optimizer=long, forces=forces), 1)
    curve = result.training_loss
    rise = np.diff(curve, axis=0)
    assert (rise[~np.isnan(rise)] <= 1e-20).all()  # energies can be met to rounding, where losses scatter
    assert (np.nanmin(curve, axis=0) < 0.05 * curve[0]).all()


def test_hardly_any_step_needs_a_second_factorisation(data, basis, settings, lm_settings, monkeypatch):
    # with the damping shrunk after every step, and no shorter steps, each took two to three
    calls = []
    for form in (SummedCurvature, RowCurvature):
        plain = form.solver
        monkeypatch.setattr(form, "solver", lambda *given, plain=plain: calls.append(1) or plain(*given))
    long = changed(lm_settings, iterations=25, patience=25)
    result = train(data, basis, changed(settings, optimizer=long), 1)
    members = int((~np.isnan(result.training_loss)).sum())
    assert len(calls) < 1.4 * members  # 55 for 42 with one thread, fewer with two


@pytest.mark.parametrize(
    ("ratio", "part", "factor"),
    [
        (1.0, 1.0, 0.1),
        (0.5, 1.0, 1.0 / 3.0),
        (0.1, 1.0, 2.0),
        (1.0, 0.5, 2.0),
        (-3.0, 1.0, 2.0),
        (np.nan, 1.0, 2.0),
    ],
)
def test_the_damping_follows_how_good_the_step_was(ratio, part, factor):
    found = damped_step.factor_of_damping(torch.tensor([ratio]), part)
    assert float(found[0]) == pytest.approx(factor)


def test_weight_decay_makes_smaller_weights(data, basis, settings, lm_settings):
    sizes = []
    for decay in (1e-8, 1e-1):
        optimizer = changed(lm_settings, iterations=15, weight_decay=decay)
        model = train(data, basis, changed(settings, optimizer=optimizer, validation_fraction=0.0), 1).model
        sizes.append(sum(float((w**2).sum()) for layers in model.weights.values() for w in layers))
    assert sizes[1] < 0.5 * sizes[0]


def test_a_run_that_no_longer_gains_ends_and_says_so(data, basis, settings, lm_settings):
    # a linear model is at its minimum after a step; then nothing is gained
    keys = changed(lm_settings, iterations=30, damping=1e-10, weight_decay=1e-8, window=3, window_gain=0.01)
    linear = changed(settings, hidden=(), optimizer=keys, validation_fraction=0.0)
    short = train(data, basis, linear, 1)
    assert len(short.training_loss) == 4  # the step, and three that gain nothing
    assert early_ends(short.state, keys) == (
        "3 of 3 ended early: a training error that fell by less than 1 % in 3 iterations (window_gain)"
    )
    never = changed(keys, window_gain=0.0)
    whole = train(data, basis, changed(linear, optimizer=never), 1)
    assert len(whole.training_loss) > 4
    assert "3 of 3 ended early: a training error that falls no more (tolerance)" in early_ends(
        whole.state, never
    )
    assert np.nanmin(whole.training_loss, axis=0) == pytest.approx(short.training_loss[-1], rel=0.02)
