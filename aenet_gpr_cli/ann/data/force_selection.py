"""The seeded choice of force components for direct force training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aenet_gpr_cli.ann.data.force_targets import ForceSettings
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import IntArray


def select_components(
    data: TrainingSet, indices: IntArray, settings: ForceSettings, seed: int
) -> list[tuple[IntArray, IntArray]]:
    """Choose the force components to train on, seeded.

    Parameters
    ----------
    data : TrainingSet
    indices : ndarray of int
        Structures to draw from; those without forces are passed over.
    settings : ForceSettings
    seed : int

    Returns
    -------
    list of (structures, components)
        Per subset, the structures that have forces, shape (n,), and their components, shape (n, R),
        ascending; component 3·atom + axis.

    Raises
    ------
    InputError
        If no structure has forces.
    """
    stream = np.random.default_rng([seed, 1])
    ends = np.cumsum([len(s) for s in data.subsets])
    known = [
        np.sort(indices[(indices >= end - len(s)) & (indices < end)]) - (end - len(s))
        if s.forces is not None
        else np.empty(0, int)
        for s, end in zip(data.subsets, ends, strict=True)
    ]
    total = sum(len(k) for k in known)
    if total == 0:
        raise InputError("direct force training: expected forces in the reference structures, got none")
    if settings.select == "structures":
        chosen = np.zeros(total, bool)
        chosen[stream.permutation(total)[: max(1, round(settings.fraction * total))]] = True
        splits = np.split(chosen, np.cumsum([len(k) for k in known])[:-1])
        known = [k[mask] for k, mask in zip(known, splits, strict=True)]
    result = []
    for structures, subset in zip(known, data.subsets, strict=True):
        width = 3 * subset.n_atoms
        take = max(1, round(settings.fraction * width)) if settings.select == "components" else width
        keys = stream.random((len(structures), width))
        result.append((structures, np.sort(np.argsort(keys, axis=1)[:, :take], axis=1)))
    return result


def held_here(
    data: TrainingSet, chosen: Sequence[tuple[IntArray, IntArray]], own: IntArray
) -> list[tuple[IntArray, IntArray]]:
    """Return the part of a choice of forces that belongs to the structures of this process.

    Parameters
    ----------
    data : TrainingSet
        Of all processes.
    chosen : list of (structures, components)
        Of `select_components`.
    own : ndarray of int
        Structures held here, subset by subset.

    Returns
    -------
    list of (structures, components)
        Numbered as in ``data.select(own)``.
    """
    result, start = [], 0
    for subset, (structures, components) in zip(data.subsets, chosen, strict=True):
        local = own[(own >= start) & (own < start + len(subset))] - start
        place = np.full(len(subset), -1)
        place[local] = np.arange(len(local))
        order = np.argsort(place[structures], kind="stable")
        order = order[place[structures][order] >= 0]
        result.append((place[structures][order], components[order]))
        start += len(subset)
    return result
