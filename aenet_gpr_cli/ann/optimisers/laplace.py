"""Posterior of the weights about a minimum (Laplace's approximation), and energies of left-out structures.

With decays and noise τ of `evidence_decay`, found again where the optimiser stops (its own may be on their
way), weights are Gaussian about the minimum with the covariance τ H⁻¹, H = JᵀJ + decay (MacKay, Neural
Comput. 4, 448 (1992)). To leave a structure out, its rows J_G with all
that descends from it are taken away; to first order the residuals and variances of these rows become

    ρ' = ρ + K S (1 - S K S)⁻¹ S ρ,   C' = τ (K + K S (1 - S K S)⁻¹ S K),   K = J_G H⁻¹ J_Gᵀ

with S the roots of their weights, which is exact for a model that is linear in its weights, with the decays
kept. A structure that was held out has S = 0. What leaving out changes, ρ' - ρ, is that of the minimum of the
linear model: near an interpolation 1 - S K S is small, and a step that the optimiser has not made would
become an error. It is added to the residual of the network as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from scipy.linalg import solve_triangular
from torch import Tensor

from aenet_gpr_cli.ann.curvature.jacobian_numba import compiled_rows
from aenet_gpr_cli.ann.curvature.jacobian_torch import tensor_rows
from aenet_gpr_cli.ann.curvature.linearise import fewer_rows, linearise
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.loss.loss_terms import WeightedBatch
from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.network.backend import CompiledPasses
from aenet_gpr_cli.ann.optimisers.evidence_decay import SETTLED, Evidence, groups
from aenet_gpr_cli.structures import FloatArray, IntArray

ENOUGH = 20  # structures held out from which they calibrate; else training structures are left out
MOST = 100  # structures that are left out, evenly from all
STEPS = 10  # of decays and noise to agree with each other
SMALLEST = 1e-14  # decay to begin with, relative to the largest diagonal of JᵀJ
BLOCK = 2048  # copies of a structure whose rows are held at a time
SINGULAR = 1e-9  # added to 1 - S K S: rows that no other determines


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Structures on which σ is compared with errors.

    Attributes
    ----------
    groups : tuple of ndarray of int
        A reference each, followed by its copies where it was trained on.
    held_out : bool
        Whether training never saw them.
    """

    groups: tuple[IntArray, ...]
    held_out: bool

    @classmethod
    def of(cls, data: TrainingSet, inside: IntArray, outside: IntArray, again: bool) -> LeftOut:
        """Choose structures: those held out, if they are enough, else of those trained on.

        Parameters
        ----------
        inside, outside : ndarray of int
            Structures trained on and held out.
        again : bool
            Whether those trained on can be left out, which needs `Laplace`.
        """
        held = outside[outside < data.n_references]
        if len(held) >= ENOUGH or not again:
            return cls(tuple(held[i : i + 1] for i in range(len(held))), True)
        copies: dict[str, list[int]] = {}
        for i in range(data.n_references, len(data)):
            copies.setdefault(data.parents[i], []).append(i)
        known = inside[inside < data.n_references]
        chosen = known[_evenly(len(known))]
        return cls(tuple(np.array([i, *copies.get(data.parents[i], [])], int) for i in chosen), False)

    @classmethod
    def alone(cls, references: IntArray) -> LeftOut:
        """Leave out references that were trained on without copies."""
        return cls(tuple(references[i : i + 1] for i in _evenly(len(references))), False)


@dataclass(frozen=True, slots=True)
class Laplace:
    """Posterior of one member, in the units of the network.

    Attributes
    ----------
    factor : ndarray of shape (n_weights, n_weights)
        L with L Lᵀ = H/τ, the inverse covariance of the weights; lower triangle.
    errors : ndarray of shape (n_left_out,)
        Predicted less reference energies, of the structures left out.
    variances : ndarray of shape (n_left_out,)
    decay : ndarray of shape (n_groups,)
        As it was found, see `evidence_decay`.
    noise : float
        τ.
    """

    factor: FloatArray
    errors: FloatArray
    variances: FloatArray
    decay: FloatArray
    noise: float


def laplace(
    objective: Objective,
    flat: Tensor,
    decay: Tensor,
    train: Tensor,
    smallest_noise: float,
    left_out: LeftOut,
) -> Laplace | None:
    """Return the posterior of a member.

    Parameters
    ----------
    objective : Objective
        Of this member alone, with mean-square loss, float64.
    flat : tensor of shape (1, n_weights)
    decay : tensor of shape (1, n_groups)
    train : tensor of int, ascending
        Structures that were trained on.
    smallest_noise : float
        See `evidence_decay.Evidence`.

    Returns
    -------
    Laplace or None
        None where H is not positive definite. Without left-out structures if energies are not in the loss, or
        are spread over several processes.

    Notes
    -----
    Time: that of one linearisation, n_weights² multiplications per row of a left-out structure, and up to ten
    inversions.
    """
    places, by_rows = groups(objective.architecture, flat.device), fewer_rows(objective, train)
    curvature, gradient = linearise(objective, flat, train, places, by_rows=by_rows)
    evidence = Evidence.of(objective, train, 1, smallest_noise)
    loss, largest = curvature.losses.sum(0), curvature.diagonal.max()
    decay = decay.clamp_min(SMALLEST * float(largest))
    for _ in range(STEPS):
        old, determined = decay, curvature.determined(evidence.damping(curvature, decay)).by_group
        noise, found = evidence.most_probable(determined, flat, loss, evidence.n_rows, evidence.spread)
        # what is switched off has no weights to be judged by
        decay = torch.where(torch.isfinite(found) & (found > 0.0), torch.minimum(found, largest), old)
        if bool(((decay <= SETTLED * old) & (old <= SETTLED * decay)).all()):
            break
    factor, tau = curvature.factor(evidence.damping(curvature, decay)), float(noise)
    del curvature  # as large as the factor, or larger
    if not factor.found[0] or not 0.0 < tau < np.inf:
        return None
    shift = -factor.solve(gradient + decay[:, places] * flat)[0]
    lower = _without_upper(factor.tensor[0].cpu().numpy())
    lower /= np.sqrt(tau)
    errors = np.zeros((0, 2))
    if objective.loss.alpha < 1.0 and objective.processes.size == 1:
        errors = _energies_left_out(objective, flat, shift, train, lower, tau, left_out)
    return Laplace(lower, errors[:, 0], errors[:, 1], decay[0].cpu().numpy(), tau)


def _energies_left_out(
    objective: Objective,
    flat: Tensor,
    shift: Tensor,
    train: Tensor,
    factor: FloatArray,
    noise: float,
    left_out: LeftOut,
) -> FloatArray:
    """Return errors and variances, (n_left_out, 2), see `Laplace`; ``shift`` leads to the minimum."""
    data, shares = objective.data, objective.shares(train)
    # rows of weight 1: a resampled member has none of what it did not draw
    plain = replace(objective, data=replace(data, weights=torch.ones_like(data.weights)))
    make = compiled_rows if isinstance(objective.passes, CompiledPasses) else tensor_rows

    def rows_of(members: IntArray) -> tuple[WeightedBatch, Rows, FloatArray]:
        """Return structures, their rows, and what the way to the minimum would change of these."""
        some = data.here(torch.as_tensor(members, device=flat.device))
        batch = plain.weighted_batch(some, shares)
        rows, rho = make(plain, flat, batch)
        change = torch.zeros_like(rho[0]) if left_out.held_out else rows[0] @ shift
        weights = data.weights[0, some].cpu().numpy()
        roots = np.sqrt(np.append(weights, np.full(len(rho[0]) - len(some), weights[0])))
        if left_out.held_out:
            roots = np.zeros_like(roots)
        found = Rows(rows[0].cpu().numpy(), (rho[0] + change).cpu().numpy(), roots)
        return batch, found, change.cpu().numpy()

    result = np.empty((len(left_out.groups), 2))
    for number, group in enumerate(left_out.groups):
        reference, first, change = rows_of(group[:1])  # copies stand apart
        copies = (rows_of(group[i : i + BLOCK])[1] for i in range(1, len(group), BLOCK))
        unit = float(reference.energy_root[0, 0])
        n_rows = len(first.roots) + len(group) - 1
        residual, variance = leave_out(chain([first], copies), n_rows, factor, noise)
        result[number] = (residual - change[0]) / unit, variance / unit**2
    return result


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that are left out together.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_weights)
        J_G, each row of weight 1.
    residuals : ndarray of shape (n_rows,)
    roots : ndarray of shape (n_rows,)
        S, of the weights with which they were trained on.
    """

    rows: FloatArray
    residuals: FloatArray
    roots: FloatArray


def leave_out(blocks: Iterable[Rows], n_rows: int, factor: FloatArray, noise: float) -> tuple[float, float]:
    """Return the residual of the first row, and its variance, when all these rows are left out.

    Parameters
    ----------
    blocks : iterable of Rows
    n_rows : int
        In all. Up to as many as there are weights they are solved for as in the module; more of them by
        1 - A S² Aᵀ with A = (τ H)^(-1/2) J_Gᵀ, which is as large as the weights (Woodbury), block by block.
    factor : ndarray of shape (n_weights, n_weights)
        Of `Laplace`.
    noise : float
        τ.
    """
    if n_rows > len(factor):
        return _leave_many_out(blocks, factor, noise)
    parts = list(blocks)
    rows, residuals, roots = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "residuals", "roots")
    )
    along = _along(rows, factor)
    inner = (along.T @ along) / noise
    rest = (1.0 + SINGULAR) * np.eye(len(rows)) - roots[:, None] * inner * roots
    back = np.linalg.solve(rest, roots * inner[0])
    return (
        float(residuals[0] + back @ (roots * residuals)),
        float(noise * (inner[0, 0] + (roots * inner[0]) @ back)),
    )


def _leave_many_out(blocks: Iterable[Rows], factor: FloatArray, noise: float) -> tuple[float, float]:
    rest, pulled = (1.0 + SINGULAR) * np.eye(len(factor)), np.zeros(len(factor))
    first, residual = np.zeros(0), 0.0
    for block in blocks:
        along = _along(block.rows, factor)
        if not len(first):
            first, residual = along[:, 0].copy(), float(block.residuals[0])
        along *= block.roots
        rest -= (along @ along.T) / noise
        pulled += along @ (block.roots * block.residuals)
    back = np.linalg.solve(rest, first)
    return residual + float(back @ pulled) / noise, float((1.0 + SINGULAR) * (back @ first))


def _along(rows: FloatArray, factor: FloatArray) -> FloatArray:
    """Return √τ (τ H)^(-1/2) J_Gᵀ, (n_weights, n_rows): K is its square over τ."""
    # looking for NaN would take longer than the solution
    return np.asarray(solve_triangular(factor, rows.T, lower=True, check_finite=False))


def _without_upper(square: FloatArray) -> FloatArray:
    """Return a square matrix, with zeros above the diagonal from now on."""
    for i, row in enumerate(square):
        row[i + 1 :] = 0.0
    return square


def _evenly(n: int) -> IntArray:
    return np.unique(np.linspace(0, n - 1, min(n, MOST)).round().astype(int))
