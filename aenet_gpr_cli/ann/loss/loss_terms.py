"""The loss of training, in the units of the network: (1 - alpha) · energies + alpha · forces.

Mean squares as in the paper or their square roots as in ænet-PyTorch. Sums over batches are kept apart
from the loss, so that a loss over blocks is the loss over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from aenet_gpr_cli.ann.execution import distributed as parallel


@dataclass(frozen=True, slots=True)
class LossSettings:
    """What is minimised.

    Attributes
    ----------
    form : {"mse", "rmse"}
        Mean squares, or their square roots (ænet-PyTorch). Levenberg-Marquardt takes mean squares only.
    per : {"atom", "structure"}
        Energy error per atom, or of the whole structure.
    alpha : float
        Weight of the forces, 0 to 1; 0 is energy-only training.
    """

    form: Literal["mse", "rmse"]
    per: Literal["atom", "structure"]
    alpha: float

    def divisor(self, n_atoms: Tensor) -> Tensor:
        """Return what an energy error is divided by.

        Parameters
        ----------
        n_atoms : tensor of shape (n_structures,)

        Returns
        -------
        tensor of shape (n_structures,)
        """
        return n_atoms if self.per == "atom" else torch.ones_like(n_atoms)


@dataclass(slots=True)
class Sums:
    """Weighted sums of squared errors and of their weights.

    ``energy`` and ``force`` have shape (n_members,), the weights (n_members,) or (1,); a force weight of 1 is
    one atom, three components.
    """

    energy: Tensor
    energy_weight: Tensor
    force: Tensor
    force_weight: Tensor

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.energy + other.energy,
            self.energy_weight + other.energy_weight,
            self.force + other.force,
            self.force_weight + other.force_weight,
        )

    def over_processes(self) -> Sums:
        """Return the sums over all processes of a data-parallel training."""
        if parallel.size() == 1:
            return self
        parts = (self.energy, self.energy_weight, self.force, self.force_weight)
        return Sums(*parallel.add(torch.stack(torch.broadcast_tensors(*parts))))

    def means(self) -> tuple[Tensor, Tensor]:
        """Return the mean squared errors of energies and forces.

        Returns
        -------
        tuple of tensors of shape (n_members,)
        """
        tiny = torch.finfo(self.energy.dtype).tiny
        return self.energy / self.energy_weight.clamp_min(tiny), self.force / self.force_weight.clamp_min(
            tiny
        )

    def loss(self, settings: LossSettings) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        settings : LossSettings

        Returns
        -------
        tensor of shape (n_members,)
        """
        energy, force = self.means()
        if settings.form == "rmse":
            energy, force = energy.sqrt(), force.sqrt()
        return (1.0 - settings.alpha) * energy + settings.alpha * force

    def factors(self, settings: LossSettings) -> tuple[Tensor, Tensor]:
        """Return the factors that turn weight · error into the derivative of the loss.

        Parameters
        ----------
        settings : LossSettings

        Returns
        -------
        tuple of tensors of shape (n_members, 1)
            For energy errors and for force components.
        """
        tiny = torch.finfo(self.energy.dtype).tiny
        pairs = zip(self.means(), (self.energy_weight, self.force_weight), strict=True)
        result = []
        for share, (mean, weight) in zip((1.0 - settings.alpha, settings.alpha), pairs, strict=True):
            if share == 0.0:
                result.append(torch.zeros_like(mean)[:, None])
                continue
            # a batch may have no weight for a member, or no forces
            slope = torch.where(weight > 0, 2.0 * share / weight, 0.0).expand_as(mean)
            if settings.form == "rmse":
                slope = slope / (2.0 * mean.sqrt().clamp_min(tiny**0.5))
            result.append(slope[:, None])
        return result[0], result[1]
