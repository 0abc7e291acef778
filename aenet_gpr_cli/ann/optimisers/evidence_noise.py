"""Noises by Bayes' evidence: how much reference energies, energies of copies, forces and virials count.

The squares of the residuals of each kind get a factor, the emphasis. Rows of kind k have the variance τ_k in
units of the loss; at the most probable values (MacKay, Neural Comput. 4, 415 (1992), with several noises)

    τ_k = ρ_kᵀρ_k / (n_k - γ_k),   γ_k = tr (JᵀJ + decay)⁻¹ J_kᵀJ_k

with γ_k the number of weights that the rows of the kind determine. An emphasis that multiplies by τ/τ_k at
every linearisation ends where all kinds have the same variance τ, that of `evidence_decay`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from aenet_gpr_cli.ann.loss.loss_terms import KINDS
from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.optimisers.evidence_decay import CHANGE, SETTLED
from aenet_gpr_cli.structures import IntArray


@dataclass(frozen=True, slots=True)
class Noises:
    """What the estimate of the noises takes from the data.

    Attributes
    ----------
    n_rows : tensor of shape (n_members, n_kinds)
        Rows of each kind, a structure of weight 2 counted twice.
    spread : tensor of shape (n_members, n_kinds)
        Their part of the loss of networks that predict nothing.
    smallest_noise : float
        Bound of √τ_k, relative to the root mean square of the rows of such networks.
    """

    n_rows: Tensor
    spread: Tensor
    smallest_noise: float

    @classmethod
    def of(cls, objective: Objective, train: Tensor, members: int, smallest_noise: float) -> Noises:
        """Look at the training data, with the objective of all members."""
        silent = objective.data.energies.new_zeros(members, objective.architecture.n_weights)
        single = torch.eye(len(KINDS), dtype=silent.dtype, device=silent.device)
        spread = [
            only.mean_square(only.residuals(silent, train))
            for kind in single
            for only in [replace(objective, emphasis=kind.expand(members, -1))]
        ]
        n_rows = objective.rows_by_kind(train).expand(members, -1)
        return cls(n_rows, torch.stack(spread, dim=1), smallest_noise)

    @property
    def kinds(self) -> tuple[int, ...]:
        """Numbers of the kinds that have rows."""
        return tuple(torch.nonzero((self.n_rows > 0).any(0))[:, 0].tolist())

    def emphasis(
        self, losses: Tensor, determined: Tensor, old: Tensor, members: IntArray
    ) -> tuple[Tensor, Tensor]:
        """Return the emphasis to go on with, and which members' has stopped changing.

        Parameters
        ----------
        losses : tensor of shape (n_of_kinds, n_members)
            ρ_kᵀρ_k of `kinds`, with the emphasis ``old``.
        determined : tensor of shape (n_of_kinds, n_members)
            γ_k, with the decays by which the weights were found.
        old : tensor of shape (n_members, n_kinds)
        members : ndarray of int
            Numbers of these members.

        Returns
        -------
        emphasis : tensor of shape (n_members, n_kinds)
            That of the last kind that is there stays.
        settled : tensor of bool, shape (n_members,)
        """
        n_rows, noise = self.n_rows[members], torch.zeros_like(old)
        for kind, loss, weights in zip(self.kinds, losses, determined, strict=True):
            noise[:, kind] = loss / (n_rows[:, kind] - weights).clamp_min(1.0)
        least = self.smallest_noise**2 * old * self.spread[members] / n_rows.clamp_min(1.0)
        noise = torch.maximum(noise, least)
        last = self.kinds[-1]
        factor = noise[:, last : last + 1] / noise
        known = (n_rows > 0) & torch.isfinite(factor) & (factor > 0)
        new = torch.where(known, old * factor.clamp(1.0 / CHANGE, CHANGE), old)
        return new, ((new <= SETTLED * old) & (old <= SETTLED * new)).all(1)
