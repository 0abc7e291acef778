"""The loss of a committee on a training set, and its exact gradient, batch by batch.

Joins networks, data, forces and loss; the optimisers only see this. Members share the batch. Structures are
numbered as in the whole training set; each process works on those that it holds, and sums and gradients are
over all processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from aenet_gpr_cli.ann.data.batches import Batch, TensorData
from aenet_gpr_cli.ann.data.force_targets import BatchForces, ForceData
from aenet_gpr_cli.ann.execution.portions import Pieces
from aenet_gpr_cli.ann.execution.surroundings import Processes
from aenet_gpr_cli.ann.loss.loss_terms import SelectedForces, Shares, Sums, WeightedBatch
from aenet_gpr_cli.ann.network.architecture import Architecture
from aenet_gpr_cli.ann.network.backend import Passes
from aenet_gpr_cli.ann.network.tensor_passes import Pass
from aenet_gpr_cli.ann.training_settings import Loss
from aenet_gpr_cli.structures import IntArray


@dataclass(slots=True)
class Errors:
    """Errors of the members on a batch, with what their derivatives need.

    ``energy`` of shape (n_members, n_batch) is already divided (per atom or structure); ``force`` of
    shape (n_members, n_components); ``passes``, ``sensitivities`` and ``gradients`` per species.
    """

    sums: Sums
    energy: Tensor
    force: Tensor
    passes: list[Pass]
    sensitivities: list[list[Tensor]]
    gradients: list[Tensor]
    forces: BatchForces | None


@dataclass(frozen=True, slots=True)
class Objective:
    """Loss and gradient on the structures of a training set.

    Attributes
    ----------
    architecture : Architecture
    data : TensorData
    forces : ForceData or None
        None for energy-only training.
    loss : Loss
        With ``alpha`` 0 in energy-only training.
    block_size : int
        Structures evaluated at a time where the batch is the whole set; less where they do not fit.
    passes : Passes
    processes : Processes
    emphasis : tensor of shape (n_members, n_kinds), or None
        Factors on the squares of residuals, by `loss_terms.KINDS`, beyond what ``loss`` says; None: 1.
    energy_scale : float, eV
        Of one in the units of the network.
    error_words : tuple of str
        What the error that the loss stands for is, and its unit.
    """

    architecture: Architecture
    data: TensorData
    forces: ForceData | None
    loss: Loss
    block_size: int
    passes: Passes
    processes: Processes
    emphasis: Tensor | None = None
    energy_scale: float = 1.0
    error_words: tuple[str, str] = ("error", "meV per structure")

    def error_text(self, loss: float) -> str:
        """Say how large an error a loss, in the units of the network, stands for."""
        error = self.loss.error_of(loss, self.energy_scale)
        said = f"{error:.0f}" if error >= 100.0 else f"{error:.3g}"
        what, unit = self.error_words
        return f"{what} {said} {unit}"

    def for_members(self, members: IntArray) -> Objective:
        """Return the objective of some of the members only, where they have weights of their own."""
        weights, emphasis = self.data.weights, self.emphasis
        rows = torch.as_tensor(members, device=weights.device)
        if emphasis is not None:
            emphasis = emphasis[rows]
        if len(weights) == 1:
            return self if emphasis is None else replace(self, emphasis=emphasis)
        return replace(self, data=replace(self.data, weights=weights[rows]), emphasis=emphasis)

    def divisor(self, n_atoms: Tensor) -> Tensor:
        """Return what the energy errors of structures with so many atoms are divided by."""
        return n_atoms if self.loss.per == "atom" else torch.ones_like(n_atoms)

    def _blocks(self, index: Tensor) -> Iterator[Tensor]:
        """Yield the structures that this process holds in blocks: these decide the order of residuals."""
        for block in self.data.here(index).split(self.block_size):
            if len(block):
                yield block

    def errors(self, flat: Tensor, batch: Batch, order: int) -> Errors:
        """Evaluate the members on a batch.

        Parameters
        ----------
        flat : tensor of shape (n_members, n_weights)
        order : int
            Derivatives of the activation to keep; see `tensor_passes.forward`.
        """
        if self.forces is not None:
            order = max(order, 1)
        passes = [self.passes.forward(flat, s, x, order) for s, x in enumerate(batch.features)]
        energy = sum_species(batch, [p.output for p in passes])
        energy = (energy - batch.energies) / self.divisor(batch.n_atoms)
        sums = Sums(
            (energy.square() * batch.weights).sum(1),
            batch.weights.sum(1),
            *(flat.new_zeros(n) for n in 2 * (len(flat), len(batch.weights))),
        )
        result = Errors(sums, energy, flat.new_zeros(len(flat), 0), passes, [], [], None)
        if self.forces is not None:
            self._force_errors(flat, batch, result)
        return result

    def _force_errors(self, flat: Tensor, batch: Batch, result: Errors) -> None:
        assert self.forces is not None
        result.forces = self.forces.batch(batch)
        if not result.forces.parts:
            return
        for s, state in enumerate(result.passes):
            deltas = self.passes.sensitivities(flat, s, state)
            result.sensitivities.append(deltas)
            result.gradients.append(self.passes.input_gradient(flat, s, deltas))
        predicted = self.forces.contract(batch, result.forces, result.gradients)
        result.force = predicted - result.forces.targets
        square, forces = result.force.square(), result.forces
        result.sums.force = (square * forces.weights).sum(1)
        result.sums.force_weight = forces.weights.sum(1) / 3.0
        result.sums.virial = (square * forces.virial_weights).sum(1)
        result.sums.virial_weight = self.forces.total_weights(self.data, batch.index)[1]

    def gradient(self, flat: Tensor, index: Tensor, out: Tensor) -> Sums:
        """Return the errors on a batch and write the gradient of its loss to ``out``.

        Parameters
        ----------
        flat : tensor of shape (n_members, n_weights)
        index : tensor of int, ascending
            Structures of the batch.
        out : tensor of shape (n_members, n_weights)
            Overwritten.
        """
        batch = self.data.batch(self.data.here(index))
        errors = self.errors(flat, batch, self._full_order)
        sums = errors.sums.over(self.processes)
        energy_factor, force_factor, virial_factor = sums.factors(self.loss)
        force = errors.force
        if errors.forces is not None:
            shared = force_factor * errors.forces.weights + virial_factor * errors.forces.virial_weights
            force = force * shared
        self._pull(flat, batch, errors, energy_factor * errors.energy * batch.weights, force, out.zero_())
        self.processes.add(out)
        return sums

    @property
    def _full_order(self) -> int:
        return 1 if self.forces is None else 2

    def _pull(
        self, flat: Tensor, batch: Batch, errors: Errors, energy: Tensor, force: Tensor, out: Tensor
    ) -> None:
        """Add the weight gradient of sum(energy · errors.energy) + sum(force · errors.force) to ``out``."""
        cotangent = energy / self.divisor(batch.n_atoms)
        directions: list[Tensor] = []
        if self.forces is not None and errors.forces is not None and errors.forces.parts:
            directions = self.forces.expand(batch, errors.forces, force, errors.gradients)
        for s, state in enumerate(errors.passes):
            weight = batch.spread(s, cotangent)
            if directions:
                self.passes.force_gradient(
                    flat, s, state, errors.sensitivities[s], directions[s], weight, out
                )
            else:
                self.passes.energy_gradient(flat, s, state, weight, out)

    def shares(self, index: Tensor) -> Shares:
        """Return what the squared, weighted errors of energies and of force components count in the loss.

        Parameters
        ----------
        index : tensor of int
            Structures of the mean-square loss.
        """
        here, alpha, first = self.data.here(index), self.loss.alpha, self.data.n_references
        energy = (1.0 - alpha) / self.processes.add(self.data.weights[:, here].sum(1, keepdim=True))
        force, virial = torch.zeros_like(energy), torch.zeros_like(energy)
        if self.forces is not None:
            weights = self.processes.add(torch.stack(self.forces.total_weights(self.data, here)))[..., None]
            force = torch.where(weights[0] > 0, 3.0 * alpha / weights[0], 0.0)
            virial = torch.where(weights[1] > 0, self.loss.beta / weights[1], 0.0)
        if self.emphasis is None:
            return Shares(energy, None, force, virial, first)
        of_energy, of_copy, of_force, of_virial = self.emphasis.split(1, dim=1)
        return Shares(of_energy * energy, of_copy * energy, of_force * force, of_virial * virial, first)

    def rows_by_kind(self, index: Tensor) -> Tensor:
        """Return the summed weights of rows, by `loss_terms.KINDS`, of structures over all processes.

        A tensor of shape (n_members or 1, n_kinds).
        """
        here = self.data.here(index)
        weights, copies = self.data.weights[:, here], here >= self.data.n_references
        energies = [weights[:, ~copies].sum(1), weights[:, copies].sum(1)]
        forces = virials = 0.0 * energies[0]
        if self.forces is not None:
            forces, virials = self.forces.total_weights(self.data, here)
        return self.processes.add(torch.stack([*energies, forces, virials], dim=1))

    def weighted_batch(self, index: Tensor, shares: Shares) -> WeightedBatch:
        """Gather structures with the same atoms, with the roots of their `shares`."""
        batch = self.data.batch(index)
        energy_root = (shares.of_energies(index) * batch.weights).sqrt() / self.divisor(batch.n_atoms)
        parts = self.forces.batch(batch).parts if self.forces is not None else []
        if not parts:
            return WeightedBatch(batch, energy_root, None)
        subset, inside, slots = parts[0]  # structures with the same atoms: one subset
        weights = batch.weights[:, inside, None]
        of_forces = (shares.force[..., None] * weights).expand(-1, -1, subset.n_forces)
        of_virials = shares.virial[..., None] * weights * subset.known[slots]
        root = torch.cat([of_forces, of_virials], dim=2).sqrt()
        return WeightedBatch(batch, energy_root, SelectedForces(subset, inside, slots, root))

    def residuals(self, flat: Tensor, index: Tensor) -> Tensor:
        """Return the weighted residuals ρ on the structures held here; ρᵀρ over all is the mean-square loss.

        Parameters
        ----------
        flat : tensor of shape (n_members, n_weights)
        index : tensor of int, ascending

        Returns
        -------
        tensor of shape (n_members, n_residuals)
        """
        parts, shares = [flat.new_zeros(len(flat), 0)], self.shares(index)
        pieces = Pieces(self.block_size)

        def evaluate(some: Tensor) -> tuple[Tensor, Tensor]:
            batch = self.data.batch(some)
            errors = self.errors(flat, batch, 0)
            energy = errors.energy * (shares.of_energies(some) * batch.weights).sqrt()
            if errors.forces is None:
                return energy, energy[:, :0]
            return energy, errors.force * _root(shares, errors.forces)

        for block in self._blocks(index):
            found = [both for _, both in pieces.evaluate(block, evaluate)]
            parts += [energy for energy, _ in found] + [force for _, force in found]
        return torch.cat(parts, dim=1)

    def mean_square(self, residuals: Tensor) -> Tensor:
        """Return the mean-square loss ρᵀρ over all processes, (n_members,), from `residuals`."""
        return self.processes.add(residuals.square().sum(1))

    def pull(self, flat: Tensor, index: Tensor, cotangents: Tensor) -> Tensor:
        """Return Jᵀ cotangents, J the derivative of `residuals` by the weights.

        Parameters
        ----------
        flat : tensor of shape (n_members, n_weights)
        index : tensor of int, ascending
        cotangents : tensor of shape (n_members, n_residuals)

        Returns
        -------
        tensor of shape (n_members, n_weights)
        """
        out, shares, start = torch.zeros_like(flat), self.shares(index), 0
        pieces = Pieces(self.block_size)

        def evaluate(some: Tensor) -> tuple[Tensor, int]:
            batch = self.data.batch(some)
            errors = self.errors(flat, batch, self._full_order)
            n, n_forces = len(some), errors.force.shape[1]
            energy = cotangents[:, start : start + n] * (shares.of_energies(some) * batch.weights).sqrt()
            force = cotangents[:, force_start : force_start + n_forces]
            if errors.forces is not None:
                force = force * _root(shares, errors.forces)
            part = torch.zeros_like(flat)
            self._pull(flat, batch, errors, energy, force, part)
            return part, n_forces

        for block in self._blocks(index):
            force_start = start + len(block)  # behind all energies of the block, see `residuals`
            for some, (part, n_forces) in pieces.evaluate(block, evaluate):
                out += part
                start, force_start = start + len(some), force_start + n_forces
            start = force_start
        return self.processes.add(out)

    def sums(self, flat: Tensor, index: Tensor) -> Sums:
        """Return the squared errors on many structures, ``index`` ascending, in blocks."""
        zero = flat.new_zeros(len(flat))
        total = Sums(*(zero,) * len(fields(Sums)))
        pieces = Pieces(self.block_size)

        def evaluate(some: Tensor) -> Sums:
            return self.errors(flat, self.data.batch(some), 0).sums

        for block in self._blocks(index):
            for _, sums in pieces.evaluate(block, evaluate):
                total = total + sums
        return total.over(self.processes)


def _root(shares: Shares, forces: BatchForces) -> Tensor:
    """Return the roots (n_members or 1, n_components) of what squared components count in the loss."""
    return (shares.force * forces.weights + shares.virial * forces.virial_weights).sqrt()


def sum_species(batch: Batch, outputs: list[Tensor]) -> Tensor:
    """Sum the atomic energies (n_members, n_atoms) of all species into structures (n_members, n_batch)."""
    parts = [batch.sum_atoms(s, values) for s, values in enumerate(outputs)]
    return torch.stack(parts).sum(0)
