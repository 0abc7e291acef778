from dataclasses import replace

import numpy as np

from aenet_gpr_cli.ann.network.architecture import Architecture
from aenet_gpr_cli.ann.optimisers.restarts import best_candidates
from aenet_gpr_cli.ann.potential.initial_weights import initial_weights
from aenet_gpr_cli.ann.training import train


def test_more_candidates_leave_the_first_as_it_was():
    architecture = Architecture(("H",), 3, (4,), "tanh")
    one, three = initial_weights(architecture, 5, (0, 1)), initial_weights(architecture, 5, (0, 1), 3)
    assert np.array_equal(three[::3], one)
    assert len(np.unique(three[:, 0])) == 6


def test_the_best_candidate_goes_on(data, basis, settings, lm_settings):
    once = replace(settings, optimizer=replace(lm_settings, iterations=2), members=(0, 1))
    several = replace(once, optimizer=replace(once.optimizer, restarts=4, restart_iterations=2))
    alone, best = train(data, basis, once, 1), train(data, basis, several, 1)
    assert (best.state["best_loss"] <= alone.state["best_loss"]).all()
    assert (best.state["best_loss"] < alone.state["best_loss"]).any()
    longer = replace(several, optimizer=replace(several.optimizer, iterations=5))
    result = train(data, basis, longer, 1)
    assert result.model.n_members == 2
    assert np.array_equal(result.training_loss[:2], best.training_loss)
    assert len(result.training_loss) == 5


def test_a_candidate_that_failed_is_never_chosen():
    state = {
        "best_loss": np.array([np.inf, 2.0, np.nan, 1.0]),
        "weights": np.arange(4.0)[:, None],
        "training_loss": np.arange(8.0).reshape(2, 4),
    }
    chosen = best_candidates(state, 2)
    assert chosen["weights"].ravel().tolist() == [1.0, 3.0]
    assert chosen["training_loss"].tolist() == [[1.0, 3.0], [5.0, 7.0]]
