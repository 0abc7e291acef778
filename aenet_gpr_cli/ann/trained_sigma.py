"""σ of a committee that has just been trained: posteriors of its members, and errors that calibrate them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.execution.surroundings import State
from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.optimisers.laplace import Laplace, LeftOut, laplace
from aenet_gpr_cli.ann.potential.network_sigma import NetworkSigma, pack_triangles
from aenet_gpr_cli.ann.training_settings import Training
from aenet_gpr_cli.structures import FloatArray, IntArray


def with_laplace(settings: Training) -> bool:
    """Return whether members get a posterior: it needs the decays of Levenberg-Marquardt."""
    return settings.network_sigma == "laplace" and settings.optimiser == "levenberg_marquardt"


def trained_sigma(
    objective: Objective,
    settings: Training,
    state: State,
    inside: IntArray,
    left_out: LeftOut,
    energy_scale: float,
) -> NetworkSigma | None:
    """Return what σ of a committee needs besides its weights.

    Parameters
    ----------
    objective : Objective
        Of all members.
    state : dict of str to ndarray
        Of the optimiser, at the end.
    inside : ndarray of int
        Structures that were trained on.
    energy_scale : float, eV

    Returns
    -------
    NetworkSigma or None
        None where the settings want none, and where members have no posterior.
    """
    if settings.network_sigma == "none" or not np.isfinite(state["best_loss"]).all():
        return None
    weights = torch.tensor(state["best_weights"], device=objective.data.energies.device)
    if not with_laplace(settings):
        if len(weights) == 1:
            return None
        errors = energy_scale * _held_out_errors(objective, weights, left_out)
        return NetworkSigma(
            np.zeros((len(weights), 0), np.float32), errors, np.zeros_like(errors), left_out.held_out
        )
    train, packed, parts = torch.as_tensor(inside, device=weights.device), [], []
    for member in range(len(weights)):
        found = _posterior(objective, settings, state, weights, member, train, left_out)
        if found is None:
            return None
        packed.append(pack_triangles(found.factor[None])[0])
        parts.append(found)
    return NetworkSigma(
        np.stack(packed),
        energy_scale * np.stack([part.errors for part in parts]),
        energy_scale**2 * np.stack([part.variances for part in parts]),
        left_out.held_out,
    )


def _posterior(
    objective: Objective,
    settings: Training,
    state: State,
    weights: Tensor,
    member: int,
    train: Tensor,
    left_out: LeftOut,
) -> Laplace | None:
    one = objective.for_members(np.array([member]))
    if objective.loss.balance == "evidence":
        emphasis = torch.tensor(state["emphasis"][[member]], device=weights.device)
        one = replace(one, emphasis=emphasis)
    decay = torch.tensor(state["decay"][[member]], device=weights.device)
    noise = settings.levenberg_marquardt.smallest_noise
    return laplace(one, weights[member : member + 1], decay, train, noise, left_out)


def _held_out_errors(objective: Objective, weights: Tensor, left_out: LeftOut) -> FloatArray:
    """Return predicted less reference energies, (n_members, n_held_out), in units of the network."""
    if not left_out.held_out or not left_out.groups or objective.processes.size > 1:
        return np.zeros((len(weights), 0))
    energies_only, parts = replace(objective, forces=None), []
    for group in left_out.groups:
        batch = objective.data.batch(objective.data.here(torch.as_tensor(group, device=weights.device)))
        errors = energies_only.errors(weights.to(objective.data.energies.dtype), batch, 0)
        parts.append((errors.energy * objective.divisor(batch.n_atoms)).double().cpu().numpy())
    return np.concatenate(parts, axis=1)
