"""The loss of training, in the units of the network: (1 - α) · energies + α · forces + β · virials.

Energies: the weighted mean square over all structures, references and copies alike, so that a reference among
M copies counts as one of M + 1. Forces: the mean over the selected components of the references, times three.
Virials: the mean over the structures whose stress is known, and over the six components, as energies are
divided (per atom or structure). Mean squares as in the paper or their square roots as in ænet-PyTorch. An
emphasis gives reference energies, energies of copies, forces and virials a factor each, see `evidence_noise`.
Sums over batches are kept apart from the loss, so that a loss over blocks is the loss over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from aenet_gpr_cli.ann.data.batches import Batch
from aenet_gpr_cli.ann.data.force_targets import ForceSubset
from aenet_gpr_cli.ann.execution.surroundings import Processes
from aenet_gpr_cli.ann.training_settings import Loss


@dataclass(slots=True)
class Sums:
    """Weighted sums of squared errors and of their weights.

    ``energy``, ``force`` and ``virial`` have shape (n_members,), the weights (n_members,) or (1,); a force
    weight of 1 is one atom, three components, a virial weight of 1 one component.
    """

    energy: Tensor
    energy_weight: Tensor
    force: Tensor
    force_weight: Tensor
    virial: Tensor
    virial_weight: Tensor

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.energy + other.energy,
            self.energy_weight + other.energy_weight,
            self.force + other.force,
            self.force_weight + other.force_weight,
            self.virial + other.virial,
            self.virial_weight + other.virial_weight,
        )

    def over(self, processes: Processes) -> Sums:
        """Return the sums over all processes of a data-parallel training."""
        if processes.size == 1:
            return self
        parts = tuple(getattr(self, item.name) for item in fields(self))
        return Sums(*processes.add(torch.stack(torch.broadcast_tensors(*parts))))

    def means(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean squared errors (n_members,) of energies, of forces and of virials."""
        tiny = torch.finfo(self.energy.dtype).tiny
        return (
            self.energy / self.energy_weight.clamp_min(tiny),
            self.force / self.force_weight.clamp_min(tiny),
            self.virial / self.virial_weight.clamp_min(tiny),
        )

    def loss(self, settings: Loss) -> Tensor:
        """Return the loss of each member, (n_members,)."""
        energy, force, virial = self.means()
        if settings.form == "rmse":
            energy, force, virial = energy.sqrt(), force.sqrt(), virial.sqrt()
        return (1.0 - settings.alpha) * energy + settings.alpha * force + settings.beta * virial

    def factors(self, settings: Loss) -> tuple[Tensor, Tensor, Tensor]:
        """Return the factors that turn weight · error into the derivative of the loss.

        Returns
        -------
        tuple of tensors of shape (n_members, 1)
            For energy errors, for force components and for those of virials.
        """
        tiny = torch.finfo(self.energy.dtype).tiny
        weights = (self.energy_weight, self.force_weight, self.virial_weight)
        parts = (1.0 - settings.alpha, settings.alpha, settings.beta)
        result = []
        for share, mean, weight in zip(parts, self.means(), weights, strict=True):
            if share == 0.0:
                result.append(torch.zeros_like(mean)[:, None])
                continue
            # a batch may have no weight for a member, or no forces or virials
            slope = torch.where(weight > 0, 2.0 * share / weight, 0.0).expand_as(mean)
            if settings.form == "rmse":
                slope = slope / (2.0 * mean.sqrt().clamp_min(tiny**0.5))
            result.append(slope[:, None])
        return result[0], result[1], result[2]


KINDS = (
    "reference energies",
    "energies of copies",
    "forces",
    "virials",
)  # of rows, each with a noise of its own


@dataclass(frozen=True, slots=True)
class Shares:
    """What squared, weighted errors count in the loss, by the kind of row.

    ``energy``, ``copy``, ``force`` and ``virial`` of shape (n_members or 1, 1); structures from
    ``n_references`` on are copies, whose share is that of the others where ``copy`` is None.
    """

    energy: Tensor
    copy: Tensor | None
    force: Tensor
    virial: Tensor
    n_references: int

    def of_energies(self, index: Tensor) -> Tensor:
        """Return the shares (n_members or 1, n or 1) of the energies of n structures."""
        if self.copy is None:
            return self.energy
        return torch.where(index < self.n_references, self.energy, self.copy)


@dataclass(frozen=True, slots=True)
class SelectedForces:
    """Of a batch of one subset: places in the batch of the structures with forces, and rows in the subset.

    ``root`` of shape (n_members or 1, n, n_components), that of what each square counts in the loss.
    """

    subset: ForceSubset
    inside: Tensor
    slots: Tensor
    root: Tensor


@dataclass(frozen=True, slots=True)
class WeightedBatch:
    """Structures with the same atoms; ``energy_root`` (n_members or 1, n_batch) as `SelectedForces.root`."""

    batch: Batch
    energy_root: Tensor
    forces: SelectedForces | None

    def rows_of_kinds(self, copies: bool) -> list[tuple[int, Tensor | slice]]:
        """Return which rows are of which of `KINDS`; all energies are of copies, or none is."""
        n = len(self.batch.index)
        kinds: list[tuple[int, Tensor | slice]] = [(int(copies), slice(n))]
        if self.forces is not None:
            width, n_forces = self.forces.subset.targets.shape[1], self.forces.subset.n_forces
            rows = n + torch.arange(len(self.forces.inside) * width).view(-1, width)
            virials = width > n_forces
            kinds.append((2, rows[:, :n_forces].flatten() if virials else slice(n, None)))
            if virials:
                kinds.append((3, rows[:, n_forces:].flatten()))
        return kinds
