"""Training of a committee from labelled structures to a potential: the one entry for the stage.

Energy-only, GPR-ANN, Taylor-ANN, direct force training and both together differ only in the data and in the
key ``mode``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.curvature.linearise import bytes_of_member
from aenet_gpr_cli.ann.data.batches import TensorData, tensor_data
from aenet_gpr_cli.ann.data.force_targets import ForceData, force_components, held_here, select_components
from aenet_gpr_cli.ann.data.normalisation import Normalisation, energy_scaling
from aenet_gpr_cli.ann.data.training_set import (
    FeatureStatistics,
    TrainingSet,
    bootstrap_weights,
    feature_rows,
    feature_statistics,
    validation_split,
)
from aenet_gpr_cli.ann.execution import portions
from aenet_gpr_cli.ann.execution.surroundings import Processes, State, Surroundings, read_blocks
from aenet_gpr_cli.ann.loss.loss_terms import KINDS
from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.network.architecture import Architecture, initial_weights, to_layers
from aenet_gpr_cli.ann.network.backend import CompiledPasses, fastest_passes
from aenet_gpr_cli.ann.optimisers import adamw, course, levenberg_marquardt, phases
from aenet_gpr_cli.ann.optimisers.adamw import Outcome
from aenet_gpr_cli.ann.optimisers.laplace import LeftOut
from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.compositions import Compositions
from aenet_gpr_cli.ann.potential.warm_start import check_start, warm_weights
from aenet_gpr_cli.ann.trained_sigma import trained_sigma, with_laplace
from aenet_gpr_cli.ann.training_settings import Loss, Training
from aenet_gpr_cli.baseline.repulsion import Repulsion, repulsion_of
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.errors import ConfigError, NumericalError
from aenet_gpr_cli.reference_energies import least_squares_energies
from aenet_gpr_cli.structures import FloatArray, IntArray
from aenet_gpr_cli.units import BYTES_PER_GIB

FIRST_TRUST = 1e-3  # in copies, until evidence is there: begun on wrong labels, networks stay rough
LM_MATRIX_MEMORY = 2**30  # bytes of JᵀJ, its factors and copies, for members treated at once


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A trained committee and how it got there.

    Attributes
    ----------
    model : ANNModel
        Best weights of each member.
    training_loss, validation_loss : ndarray of shape (n_steps, n_members), dimensionless
        Per epoch or iteration; NaN after a member has stopped.
    state : dict of str to ndarray
        Give it to `train` again to continue.
    finished : bool
        False if ``stop`` ended the run.
    """

    model: ANNModel
    training_loss: FloatArray
    validation_loss: FloatArray
    state: State
    finished: bool

    def remarks(self, settings: Training) -> tuple[list[str], str]:
        """Return what is to be said of a finished training by Levenberg-Marquardt, and the warning, or "".

        Which members ended early or went on, and why; what the energies of copies count beside those of
        references. The warning names members that had not learnt the data.
        """
        if settings.optimiser != "levenberg_marquardt" or not self.finished:
            return [], ""
        lm = settings.levenberg_marquardt
        words = [course.early_ends(self.state, lm), course.went_on(self.state)]
        if settings.mode == "combined" and settings.loss.balance == "evidence":
            words.append(course.trust_in_copies(self.state))
        return [word for word in words if word], course.not_learnt(self.state)


ADVICE = {
    "adamw": "lower adamw.learning_rate",
    "levenberg_marquardt": "raise levenberg_marquardt.damping, or look for outliers in the data",
}


class FailedMembers(NumericalError):
    """Some members never had a finite loss; the others are trained.

    Attributes
    ----------
    members : tuple of int
        Numbers of those that failed.
    result : TrainingResult
        Of all; the weights of the failed ones mean nothing.
    """

    def __init__(
        self, members: tuple[int, ...], result: TrainingResult, advice: str = ADVICE["adamw"]
    ) -> None:
        numbers = ", ".join(map(str, members))
        super().__init__(f"training: the loss of member {numbers} was never finite; {advice}")
        self.members, self.result = members, result


@dataclass(frozen=True, slots=True)
class Case:
    """One training: data, networks and keys, and which structures are trained on (inside) and held out."""

    data: TrainingSet
    basis: ChebyshevBasis
    settings: Training
    members: tuple[int, ...]
    seed: int
    inside: IntArray
    outside: IntArray

    @property
    def architecture(self) -> Architecture:
        """Shape of the networks."""
        network = self.settings.network
        return Architecture(self.basis.species, self.basis.n_features, network.hidden, network.activation)


def train(
    data: TrainingSet,
    basis: ChebyshevBasis,
    settings: Training,
    seed: int,
    members: Sequence[int] | None = None,
    state: State | None = None,
    around: Surroundings = Surroundings(),  # noqa: B008 (frozen)
    start: ANNModel | None = None,
) -> TrainingResult:
    """Train a committee of neural-network potentials.

    Parameters
    ----------
    basis : ChebyshevBasis
        Its species must include those of the data.
    seed : int
        Of initial weights (with the number of the member), validation split, batches and force choice.
    members : sequence of int, optional
        Numbers of the members to train; default: all.
    state : dict of str to ndarray or None
        Of an earlier, stopped run with the same data, settings and seed.
    start : ANNModel, optional
        A potential that the members of the same number begin with; others begin anew.

    Raises
    ------
    ConfigError
        If an atomic energy is missing.
    InputError
        If energies, or wanted forces, are missing, the basis lacks a species, or ``start`` has another one.
    FailedMembers
        If the loss of a member was never finite; carries the result of all.
    """
    missing = [s for s in basis.species if s not in (settings.atomic_energies or basis.species)]
    if missing:
        raise ConfigError(f"atomic_energies: expected one for each species, got none for {missing}")
    for subset in data.subsets:
        basis.species_index(subset.species)  # before the work, not after it
    if start is not None:
        check_start(start, basis, settings.network.hidden, settings.network.activation)
    inside, outside = validation_split(data.parents, settings.held_out, seed)
    numbers = tuple(range(settings.n_members) if members is None else members)
    case = Case(data, basis, settings, numbers, seed, inside, outside)
    objective, norm, found = _objective(case, around)
    outcome = _optimise(case, objective, norm, state or _start(case, norm, start), around)
    model = _model(case, outcome, norm, found)
    if outcome.finished:
        left_out = LeftOut.of(data, inside, outside, with_laplace(settings))
        sigma = trained_sigma(objective, settings, outcome.state, inside, left_out, norm.energy_scale)
        model = replace(model, sigma=sigma)
    result = TrainingResult(
        model,
        outcome.training_loss,
        outcome.validation_loss,
        outcome.state,
        outcome.finished,
    )
    failed = np.flatnonzero(~np.isfinite(outcome.state["best_loss"]))
    if outcome.finished and len(failed):
        failures = tuple(numbers[position] for position in failed)
        raise FailedMembers(failures, result, ADVICE[case.settings.optimiser])
    return result


def _model(case: Case, outcome: Outcome, norm: Normalisation, found: FeatureStatistics) -> ANNModel:
    return ANNModel(
        basis=case.basis,
        hidden=case.settings.network.hidden,
        activation=case.settings.network.activation,
        weights=to_layers(case.architecture, outcome.weights),
        feature_mean=norm.feature_mean,
        feature_std=norm.feature_std,
        energy_scale=norm.energy_scale,
        energy_shift=norm.energy_shift,
        atomic_energies=norm.atomic_energies,
        feature_min=found.lowest,
        feature_max=found.highest,
        repulsion=_repulsion(case) if case.settings.baseline == "zbl" else None,
        compositions=Compositions.of(case.basis.species, [s.species for s in case.data.subsets]),
    )


def _repulsion(case: Case) -> Repulsion:
    blocks = (block for s in case.data.subsets for block in read_blocks(s, case.settings.block_size))
    return repulsion_of(case.basis.species, blocks, case.basis.cutoff)


def _objective(case: Case, around: Surroundings) -> tuple[Objective, Normalisation, FeatureStatistics]:
    data, basis, settings = case.data, case.basis, case.settings
    own = _layout(case, around.processes)
    here = data.select(own)
    rows = feature_rows(basis, here, settings.block_size, around.make_rows)
    counts = {s: sum(len(x) * x.species.count(s) for x in here.subsets) for s in basis.species}
    found = feature_statistics(rows, counts, basis.n_features, around.processes)
    reference = settings.atomic_energies or least_squares_energies(data.subsets, basis.species)
    scale, shift = energy_scaling(data.subsets, reference, settings.energy_scaling)
    norm = Normalisation(found.mean, found.std, scale, shift, {s: float(reference[s]) for s in basis.species})
    like = torch.empty(0, dtype=getattr(torch, settings.dtype), device=settings.device)
    weights, position = data.weights[None], np.full(len(data), -1)
    position[own] = np.arange(len(own))
    if settings.bootstrap:
        weights = bootstrap_weights(data, case.inside, case.seed, case.members)
    tensors: TensorData = tensor_data(here, rows, norm, like, weights[:, own], position)
    forces, loss = None, replace(settings.loss, alpha=0.0, beta=0.0)
    if settings.with_forces:
        loss = settings.loss
        forces = _forces(case, around, norm, like, loss, settings.jacobian_memory_gib * BYTES_PER_GIB)
    passes = fastest_passes(case.architecture, like.device)
    objective = Objective(
        case.architecture,
        tensors,
        forces,
        loss,
        settings.block_size,
        passes,
        around.processes,
        energy_scale=scale,
        error_words=settings.error_words,
    )
    return objective, norm, found


def _forces(
    case: Case, around: Surroundings, norm: Normalisation, like: Tensor, loss: Loss, memory: float
) -> ForceData:
    """Choose the forces that ``loss`` asks for, of the structures of this process."""
    data, own = case.data, _layout(case, around.processes)
    drawn = np.concatenate([case.inside, case.outside])
    chosen = select_components(data, drawn, loss, case.seed, case.architecture.n_weights)
    return ForceData(data.select(own), held_here(data, chosen, own), case.basis, norm, memory, loss, like)


def _few_forces(case: Case, around: Surroundings, objective: Objective, norm: Normalisation) -> Objective:
    """Return the objective with so many forces only as determine a network."""
    loss, n_weights, full = case.settings.loss, case.architecture.n_weights, objective.forces
    count = force_components(case.data)
    share = loss.share_of_forces(count, n_weights)
    few = phases.FEW_COMPONENTS * n_weights / max(count, 1)
    if full is None or few > phases.ALMOST_ALL * share:
        return objective
    memory = case.settings.jacobian_memory_gib * BYTES_PER_GIB - full.n_bytes
    fewer, like = replace(loss, force_fraction=few), objective.data.energies
    return replace(objective, forces=_forces(case, around, norm, like, fewer, memory))


def _layout(case: Case, processes: Processes) -> IntArray:
    """Return the structures of this process: in each subset those trained on first, as one run."""
    n = len(case.data)
    mine, held_out, start = np.zeros(n, bool), np.ones(n, bool), 0
    mine[processes.share(n)] = True
    held_out[case.inside] = False
    parts = []
    for subset in case.data.subsets:
        index = start + np.flatnonzero(mine[start : start + len(subset)])
        parts.append(index[np.argsort(held_out[index], kind="stable")])
        start += len(subset)
    return np.concatenate(parts)


def _start(case: Case, norm: Normalisation, start: ANNModel | None) -> State:
    if start is None:
        weights = initial_weights(case.architecture, case.seed, case.members)
    else:
        weights = warm_weights(case.architecture, start, norm, case.seed, case.members)
    if case.settings.optimiser == "adamw":
        return adamw.start(weights)
    state = levenberg_marquardt.start(weights, case.architecture, case.settings.levenberg_marquardt)
    if case.settings.mode == "combined" and case.settings.loss.balance == "evidence":
        state["emphasis"][:, KINDS.index("energies of copies")] = FIRST_TRUST
    return state


def _optimise(
    case: Case, objective: Objective, norm: Normalisation, state: State, around: Surroundings
) -> Outcome:
    settings = case.settings

    def on_device(index: IntArray) -> Tensor:
        return torch.as_tensor(index, device=settings.device)

    data = (objective, on_device(case.inside), on_device(case.outside))
    if settings.optimiser == "adamw":
        compiled = isinstance(objective.passes, CompiledPasses)
        with portions.one_thread() if compiled else nullcontext():
            both = settings.with_copies and settings.with_forces
            apart = int((case.inside < case.data.n_references).sum()) if both else 0
            return adamw.run_adamw(*data, apart, settings.adamw, case.seed, state, around)
    size = bytes_of_member(objective, data[1], 1 if settings.loss.balance == "alpha" else 3)
    together = max(1, min(len(case.members), LM_MATRIX_MEMORY // size))
    lm = settings.levenberg_marquardt
    if settings.mode == "combined" and settings.loss.balance == "evidence" and lm.iterations >= phases.FEWEST:
        few, known = partial(_few_forces, case, around, objective, norm), case.data
        of_data = known.n_references, known.label_error
        return phases.run_in_phases(few, *data, lm, together, *of_data, state, around)
    return levenberg_marquardt.run_levenberg_marquardt(*data, lm, together, state, around)
