"""σ of structures that a process has not seen, from its training data alone: what is usual for it.

Leaves folds of training structures out of the condition; kernel, noise and signal variance stay.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.surrogate import Surrogate
from aenet_gpr_cli.structures import IntArray

FOLDS = 10
ENOUGH = 20  # left-out structures for a median


def typical_sigma(surrogate: Surrogate, method: str, max_rows: int, seed: int) -> float:
    """Return the median σ of training structures, each predicted without itself.

    Parameters
    ----------
    surrogate : Surrogate
    method : str
        ``bound`` or ``exact``, as in `Surrogate.sigma`.
    max_rows : int
    seed : int
        Of the folds.

    Returns
    -------
    float, eV

    Raises
    ------
    InputError
        If there is a single training structure, or the method is ``none``.
    """
    n = surrogate.model.n_structures
    if n < 2:
        raise InputError(
            "σ of unseen structures: expected at least 2 training structures, got 1; give it in eV"
        )
    order = np.random.default_rng([seed, 4]).permutation(n)
    found: list[float] = []
    for out in np.array_split(order, min(FOLDS, n)):
        sigma = _without(surrogate, out).sigma(method, max_rows)
        if sigma is None:
            raise InputError("σ of unseen structures: expected sigma: bound or exact, got none")
        found += sigma(surrogate.model.training_positions[out]).tolist()
        if len(found) >= ENOUGH:
            break
    return float(np.median(found))


def _without(surrogate: Surrogate, out: IntArray) -> Surrogate:
    """The process conditioned on fewer structures; good for σ only, its weights are still those of all."""
    model = surrogate.model
    kept = np.setdiff1d(np.arange(model.n_structures), out)
    rows = model.training_x.reshape(model.n_structures, model.n_centres, -1)[kept]
    fewer = replace(
        model,
        training_positions=model.training_positions[kept],
        training_x=rows.reshape(-1, model.training_x.shape[1]),
    )
    return Surrogate(fewer, surrogate.geometry)
