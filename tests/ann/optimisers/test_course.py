"""Networks that are still learning at their last iteration go on; those that do not are named."""

import numpy as np
import pytest

from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.execution.surroundings import Surroundings
from aenet_gpr_cli.ann.optimisers.course import still_learning
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt
from tests.ann.ann_helpers import Forces, changed, molecules

WINDOW = LevenbergMarquardt().window


@pytest.fixture
def smooth():
    """Exact energies and forces, which a network learns as far as it is let."""
    return TrainingSet.collect([molecules(("O", "H", "H"), 24, 3)], [], None)


@pytest.fixture
def few(settings):
    """Too few iterations for that."""
    lm = LevenbergMarquardt(iterations=WINDOW, patience=200)
    forces = Forces(0.3, "components", 2**30)
    return changed(settings, n_members=2, hidden=(6,), optimizer=lm, forces=forces, validation_fraction=0.0)


def limited(settings, **keys):
    return changed(settings, optimizer=changed(settings.levenberg_marquardt, **keys))


def test_a_network_that_still_learns_goes_on_as_if_it_had_been_asked_for(smooth, basis, few):
    result = train(smooth, basis, few, 1)
    extra = result.state["extra"]
    assert extra.max() > 0
    assert extra.max() <= 2 * WINDOW
    assert (extra % WINDOW == 0).all()
    for member, more in enumerate(extra):
        asked = limited(few, iterations=WINDOW + int(more), extension=1.0)
        expected = train(smooth, basis, asked, 1)
        assert not expected.state["extra"].any()
        np.testing.assert_array_equal(result.state["weights"][member], expected.state["weights"][member])
    said, _ = result.remarks(few)
    assert any("went on, up to iteration" in words for words in said)


def test_it_is_told_where_it_may_not_go_on(smooth, basis, few):
    once = train(smooth, basis, limited(few, extension=1.0), 1)
    assert once.training_loss.shape == (WINDOW, 2)
    said, doubt = once.remarks(few)
    assert "had not learnt the training data after 10 iterations" in doubt
    assert not said
    enough = train(smooth, basis, limited(few, iterations=200, window_gain=0.0), 1)
    assert not enough.remarks(few)[1]
    assert not enough.state["extra"].any()


@pytest.mark.parametrize("iterations", [1, 4, WINDOW - 1])
def test_a_training_shorter_than_a_window_is_told_that_it_had_not_learnt(smooth, basis, few, iterations):
    result = train(smooth, basis, limited(few, iterations=iterations), 1)
    assert result.state["iteration"].tolist() == [iterations] * 2
    assert f"had not learnt the training data after {iterations} iterations" in result.remarks(few)[1]


def test_noise_is_nothing_to_learn(basis, few):
    """Networks that end at the noise of the data do not go on."""
    some = molecules(("O", "H", "H"), 150, 3)
    noise = 0.1 * np.ptp(some.energies) * np.random.default_rng(0).standard_normal(150)
    noisy = TrainingSet.collect([changed(some, energies=some.energies + noise, forces=None)], [], None)
    energies = changed(limited(few, iterations=60), forces=None)
    result = train(noisy, basis, energies, 1)
    assert not result.state["extra"].any()
    assert not result.state["learning"].any()


def test_a_stopped_run_goes_on_as_far(smooth, basis, few):
    whole, state, pieces = train(smooth, basis, few, 1), None, 0
    while True:
        budget = iter([False] * 4 + [True])
        part = train(smooth, basis, few, 1, state=state, around=Surroundings(stop=budget.__next__))
        state, pieces = part.state, pieces + 1
        if part.finished:
            break
    assert pieces > 2
    assert np.array_equal(state["extra"], whole.state["extra"])
    assert np.array_equal(state["weights"], whole.state["weights"])
    assert np.array_equal(part.training_loss, whole.training_loss, equal_nan=True)


@pytest.mark.parametrize(
    ("level", "fall", "expected"),
    [
        (0.1, 0.15, True),
        (0.1, 0.05, False),  # far, but it does not move
        (1e-3, 0.4, True),
        (1e-3, 0.3, False),
        (0.5e-4, 0.9, False),  # near enough
        (np.nan, 0.9, False),
    ],
)
def test_the_nearer_the_data_the_faster_it_must_fall(level, fall, expected):
    gain = 1.0 - (1.0 - fall) ** (1.0 / WINDOW)
    state = {
        "iteration": np.array([WINDOW]),
        "weights": np.zeros((1, 3)),
        "training_loss": np.full((WINDOW, 1), 7.0 * level),
        "gain": np.full((WINDOW, 1), gain),
    }
    assert still_learning(state, LevenbergMarquardt(), np.array([7.0])).tolist() == [expected]
