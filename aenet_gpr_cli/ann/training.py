"""Training of a committee from labelled structures to a potential: the one entry for the stage.

Energy-only, GPR-ANN, Taylor-ANN and direct force training differ only in the data and in ``forces``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from aenet_gpr_cli.ann.data.batches import tensor_data
from aenet_gpr_cli.ann.data.force_selection import held_here, select_components
from aenet_gpr_cli.ann.data.force_targets import ForceData, ForceSettings
from aenet_gpr_cli.ann.data.normalisation import EnergyScaling, Normalization, atomic_energies, energy_scaling
from aenet_gpr_cli.ann.data.out_of_core import MakeRows, MemoryRows
from aenet_gpr_cli.ann.data.training_set import (
    FeatureStatistics,
    TrainingSet,
    bootstrap_weights,
    feature_rows,
    feature_statistics,
    validation_split,
)
from aenet_gpr_cli.ann.execution import distributed as parallel
from aenet_gpr_cli.ann.execution import member_threads as side_by_side
from aenet_gpr_cli.ann.loss.loss_terms import LossSettings
from aenet_gpr_cli.ann.loss.objective import Objective
from aenet_gpr_cli.ann.network.architecture import ACTIVATIONS, Architecture
from aenet_gpr_cli.ann.network.backend import CompiledPasses, choose
from aenet_gpr_cli.ann.optimisers import adamw, levenberg_marquardt, restarts
from aenet_gpr_cli.ann.optimisers.adamw import AdamWSettings, Outcome, Snapshot, State
from aenet_gpr_cli.ann.optimisers.levenberg_marquardt import LevenbergMarquardtSettings
from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.initial_weights import initial_weights, to_layers
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.errors import ConfigError, NumericalError
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import FloatArray, IntArray

LM_MATRIX_MEMORY = 2**30  # bytes of JᵀJ, its factors and copies, for members treated at once


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Everything that decides a training, besides data, basis and seed.

    Attributes
    ----------
    hidden : tuple of int
        Units of the hidden layers.
    activation : str
        One of `network.ACTIVATIONS`.
    members : tuple of int
        Numbers of the committee members to train, (0, …, m-1) for all of them.
    optimizer : AdamWSettings or LevenbergMarquardtSettings
    loss : LossSettings
        ``alpha`` counts only with ``forces``.
    forces : ForceSettings or None
        None for energy-only training, also on augmented data.
    validation_fraction : float
        Of the parents, held out for early stopping; their copies go with them.
    atomic_energies : mapping of str to float, eV, or None
        None determines them by least squares.
    energy_scaling : {"range", "std"}
    dtype : {"float64", "float32"}
        Of the training; Levenberg-Marquardt needs float64. The potential is float64 always.
    device : str
        For torch, such as ``cpu`` or ``cuda``.
    block_size : int
        Structures evaluated at a time.
    bootstrap : bool
        Each member draws the parents it trains on with replacement; else all train on the same.
    """

    hidden: tuple[int, ...]
    activation: str
    members: tuple[int, ...]
    optimizer: AdamWSettings | LevenbergMarquardtSettings
    loss: LossSettings
    forces: ForceSettings | None
    validation_fraction: float
    atomic_energies: Mapping[str, float] | None
    energy_scaling: EnergyScaling
    dtype: Literal["float64", "float32"]
    device: str
    block_size: int
    bootstrap: bool = False


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A trained committee and how it got there.

    Attributes
    ----------
    model : ANNModel
        Best weights of each member.
    training_loss, validation_loss : ndarray of shape (n_steps, n_members), dimensionless
        Per epoch or iteration; NaN after a member has stopped.
    training_index, validation_index : ndarray of int
        Structures of the training set that were trained on, and held out.
    state : dict of str to ndarray
        Give it to `train` again to continue.
    finished : bool
        False if ``stop`` ended the run.
    """

    model: ANNModel
    training_loss: FloatArray
    validation_loss: FloatArray
    training_index: IntArray
    validation_index: IntArray
    state: State
    finished: bool


class FailedMembers(NumericalError):
    """Some members never had a finite loss; the others are trained.

    Attributes
    ----------
    members : tuple of int
        Numbers of those that failed.
    result : TrainingResult
        Of all; the weights of the failed ones mean nothing.
    """

    def __init__(self, members: tuple[int, ...], result: TrainingResult) -> None:
        numbers = ", ".join(map(str, members))
        super().__init__(f"training: the loss of member {numbers} was never finite; lower learning_rate")
        self.members, self.result = members, result


def train(
    data: TrainingSet,
    basis: ChebyshevBasis,
    settings: TrainingSettings,
    seed: int,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    state: State | None = None,
    keep: Callable[[Snapshot], None] | None = None,
    make_rows: MakeRows = MemoryRows,
) -> TrainingResult:
    """Train a committee of neural-network potentials.

    Parameters
    ----------
    data : TrainingSet
    basis : ChebyshevBasis
        Its species must include those of the data.
    settings : TrainingSettings
    seed : int
        Of initial weights (with the number of the member), validation split, batches and force choice.
    progress : callable or None
        Called with (done, total, message).
    stop : callable or None
        Polled between epochs or iterations; True ends the run early, resumable.
    state : dict of str to ndarray or None
        Of an earlier, stopped run with the same data, settings and seed.
    keep : callable or None
        Called between epochs or iterations with a function that returns the present state.
    make_rows : callable
        Makes the place where the descriptors of a species are kept, see `streamed.Rows`; default: memory.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ConfigError
        If settings contradict each other.
    InputError
        If energies, or wanted forces, are missing, or the basis does not know a species.
    FailedMembers
        If the loss of a member was never finite; carries the result of all.
    """
    _check(settings, basis)
    for subset in data.subsets:
        basis.species_index(subset.species)  # before the work, not after it
    inside, outside = validation_split(data.parents, settings.validation_fraction, seed)
    architecture = Architecture(basis.species, basis.n_features, settings.hidden, settings.activation)
    objective, norm, found = _objective(data, basis, architecture, settings, inside, outside, seed, make_rows)
    state = state or _start(settings, architecture, seed)
    outcome = _optimise(objective, settings, inside, outside, seed, state, progress, stop, keep)
    model = ANNModel(
        basis=basis,
        hidden=settings.hidden,
        activation=settings.activation,
        weights=to_layers(architecture, outcome.weights),
        feature_mean=norm.feature_mean,
        feature_std=norm.feature_std,
        energy_scale=norm.energy_scale,
        energy_shift=norm.energy_shift,
        atomic_energies=norm.atomic_energies,
        feature_min=found.lowest,
        feature_max=found.highest,
    )
    result = TrainingResult(
        model,
        outcome.training_loss,
        outcome.validation_loss,
        inside,
        outside,
        outcome.state,
        outcome.finished,
    )
    failed = np.flatnonzero(~np.isfinite(outcome.state["best_loss"]))
    if outcome.finished and len(failed):
        raise FailedMembers(tuple(settings.members[position] for position in failed), result)
    return result


def _check(settings: TrainingSettings, basis: ChebyshevBasis) -> None:
    if settings.activation not in ACTIVATIONS:
        raise ConfigError(f"activation: expected one of {ACTIVATIONS}, got {settings.activation!r}")
    missing = [s for s in basis.species if s not in (settings.atomic_energies or basis.species)]
    if missing:
        raise ConfigError(f"atomic_energies: expected one for each species, got none for {missing}")
    if isinstance(settings.optimizer, LevenbergMarquardtSettings):
        if settings.dtype != "float64":
            raise ConfigError("dtype: expected float64 with Levenberg-Marquardt, got float32")
        if settings.loss.form != "mse":
            raise ConfigError("loss.form: expected mse with Levenberg-Marquardt, got rmse")


def _objective(
    data: TrainingSet,
    basis: ChebyshevBasis,
    architecture: Architecture,
    settings: TrainingSettings,
    inside: IntArray,
    outside: IntArray,
    seed: int,
    make_rows: MakeRows,
) -> tuple[Objective, Normalization, FeatureStatistics]:
    own = _layout(data, inside)
    here = data.select(own)
    rows = feature_rows(basis, here, settings.block_size, make_rows)
    counts = {s: sum(len(x) * x.species.count(s) for x in here.subsets) for s in basis.species}
    found = feature_statistics(rows, counts, basis.n_features, settings.device)
    reference = settings.atomic_energies or atomic_energies(data.subsets, basis.species)
    scale, shift = energy_scaling(data.subsets, reference, settings.energy_scaling)
    norm = Normalization(found.mean, found.std, scale, shift, {s: float(reference[s]) for s in basis.species})
    dtype = torch.float64 if settings.dtype == "float64" else torch.float32
    weights, position = data.weights[None], np.full(len(data), -1)
    position[own] = np.arange(len(own))
    if settings.bootstrap:
        weights = bootstrap_weights(data, inside, seed, settings.members)
    tensors = tensor_data(here, rows, norm, dtype, settings.device, weights[:, own], position)
    loss, forces = LossSettings(settings.loss.form, settings.loss.per, 0.0), None
    if settings.forces is not None and settings.forces.fraction > 0.0 and settings.loss.alpha > 0.0:
        loss = settings.loss
        chosen = select_components(data, np.concatenate([inside, outside]), settings.forces, seed)
        chosen = held_here(data, chosen, own)
        forces = ForceData(here, chosen, basis, norm, settings.forces.jacobian_memory, dtype, settings.device)
    passes = choose(architecture, torch.device(settings.device))
    return Objective(architecture, tensors, forces, loss, settings.block_size, passes), norm, found


def _layout(data: TrainingSet, inside: IntArray) -> IntArray:
    """Return the structures of this process: in each subset those trained on first, as one run."""
    mine, held_out, start = np.zeros(len(data), bool), np.ones(len(data), bool), 0
    mine[parallel.share(len(data))] = True
    held_out[inside] = False
    parts = []
    for subset in data.subsets:
        index = start + np.flatnonzero(mine[start : start + len(subset)])
        parts.append(index[np.argsort(held_out[index], kind="stable")])
        start += len(subset)
    return np.concatenate(parts)


def _start(settings: TrainingSettings, architecture: Architecture, seed: int) -> State:
    if isinstance(settings.optimizer, AdamWSettings):
        return adamw.start(initial_weights(architecture, seed, settings.members))
    weights = initial_weights(architecture, seed, settings.members, settings.optimizer.restarts)
    return levenberg_marquardt.start(weights, architecture, settings.optimizer)


def _optimise(
    objective: Objective,
    settings: TrainingSettings,
    inside: IntArray,
    outside: IntArray,
    seed: int,
    state: State,
    progress: Progress | None,
    stop: Callable[[], bool] | None,
    keep: Callable[[Snapshot], None] | None,
) -> Outcome:
    index, held_out = (torch.as_tensor(i, device=settings.device) for i in (inside, outside))
    if isinstance(settings.optimizer, AdamWSettings):
        compiled = isinstance(objective.passes, CompiledPasses)
        with side_by_side.one_thread() if compiled else nullcontext():
            return adamw.minimise(
                objective, index, held_out, settings.optimizer, seed, state, progress, stop, keep
            )
    size = 8 * objective.architecture.n_weights**2
    together = max(1, min(len(settings.members), LM_MATRIX_MEMORY // (4 * size)))
    return restarts.minimise(
        objective,
        index,
        held_out,
        settings.optimizer,
        len(settings.members),
        together,
        state,
        progress,
        stop,
        keep,
    )
