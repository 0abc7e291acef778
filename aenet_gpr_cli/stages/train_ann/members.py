"""Members of a committee: trained with checkpoints, stored with their learning curves, put together again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.ann.execution.surroundings import Processes, Snapshot, State
from aenet_gpr_cli.ann.potential.ann_model import ANNModel, join
from aenet_gpr_cli.ann.training import FailedMembers, TrainingResult
from aenet_gpr_cli.ann.training_settings import Loss, Training
from aenet_gpr_cli.errors import InterruptedRun, NumericalError, ResourceError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact, publish
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.fields import write_field
from aenet_gpr_cli.io.artefacts.stored_anns import read_ann, write_ann
from aenet_gpr_cli.stages.shared.context import GO_ON, Context, log
from aenet_gpr_cli.structures import FloatArray
from aenet_gpr_cli.text import rounded

BEHIND = 5.0  # times the error of most members on the training data
_OF_ERRORS = ("form", "per", "alpha", "balance")  # keys of the loss that say what it measures
Keep = Callable[[Snapshot], None]
Trainer = Callable[[tuple[int, ...], State | None, Keep], TrainingResult]


@dataclass(frozen=True, slots=True)
class Committee:
    """Trained members and how they got there.

    Attributes
    ----------
    members : tuple of int
        Numbers of the members, in the order of the arrays.
    model : ANNModel
    training_loss, validation_loss : ndarray of shape (n_steps, n_members), dimensionless
        NaN after a member has stopped, and where nothing was held out.
    """

    members: tuple[int, ...]
    model: ANNModel
    training_loss: FloatArray
    validation_loss: FloatArray

    def select(self, positions: Sequence[int]) -> Committee:
        """Return some members, by their positions."""
        index = np.asarray(positions, int)
        return Committee(
            tuple(self.members[i] for i in positions),
            self.model.select(positions),
            self.training_loss[:, index],
            self.validation_loss[:, index],
        )


def join_committees(parts: Sequence[Committee]) -> Committee:
    """Put members together, in the order of their numbers.

    Parameters
    ----------
    parts : sequence of Committee
        Each member in one of them only.

    Raises
    ------
    InputError
        If they were trained on other data.
    """
    steps = max(len(part.training_loss) for part in parts)
    together = Committee(
        tuple(member for part in parts for member in part.members),
        join([part.model for part in parts]),
        np.concatenate([_padded(part.training_loss, steps) for part in parts], axis=1),
        np.concatenate([_padded(part.validation_loss, steps) for part in parts], axis=1),
    )
    return together.select(np.argsort(together.members).tolist())


def write_committee(file: h5py.File, committee: Committee, mode: str) -> None:
    """Store a committee and its learning curves in an artefact.

    Parameters
    ----------
    mode : str
        How it was trained.
    """
    write_ann(file.create_group("model"), committee.model)
    file.attrs["mode"] = mode
    file.attrs["members"] = np.array(committee.members, int)
    history = file.create_group("history")
    write_field(history, "training_loss", committee.training_loss)
    write_field(history, "validation_loss", committee.validation_loss)


def read_committee(path: Path) -> Committee:
    """Read a committee and its learning curves."""
    with open_artefact(path, "train-ann") as file:
        return Committee(
            tuple(int(member) for member in file.attrs["members"]),
            read_ann(file["model"]),
            file["history/training_loss"][()],
            file["history/validation_loss"][()],
        )


@dataclass(frozen=True, slots=True)
class ErrorCurves:
    """Errors of a committee while it was trained: the losses, with a unit.

    Attributes
    ----------
    training, validation : ndarray of shape (n_steps, n_members), meV
        On the structures trained on and held out; NaN after a member has stopped, and where nothing was.
    quantity : str
        What they are, with the unit.
    """

    training: FloatArray
    validation: FloatArray
    quantity: str


def read_error_curves(path: Path) -> ErrorCurves:
    """Read the learning curves of a committee."""
    with open_artefact(path, "train-ann") as file:
        config = json.loads(file.attrs["config"])
        losses = [file[f"history/{part}_loss"][()] for part in ("training", "validation")]
        energy_scale = float(file["model"].attrs["energy_scale"])
    given = {key: config["loss"][key] for key in _OF_ERRORS if key in config["loss"]}  # older ones have fewer
    settings = Training(mode=config["mode"], optimiser=config["optimiser"], loss=Loss(**given))
    what, unit = settings.error_words
    errors = [settings.loss.error_of(values, energy_scale) for values in losses]
    return ErrorCurves(errors[0], errors[1], f"{what} ({unit})")


@dataclass(frozen=True, slots=True)
class Work:
    """Members that are to be trained.

    Attributes
    ----------
    trainer : callable
        Called with members, state or None, and what `ann.training.train` calls between steps.
    members : sequence of int
    checkpoint : Checkpoint
        Prepared. It is kept up to date, and left to the caller when all is done.
    seconds : float
        Time between checkpoints.
    mode : str
        Stored with members that are finished when others fail.
    processes : Processes
        The first one alone writes.
    """

    trainer: Trainer
    members: Sequence[int]
    checkpoint: Checkpoint
    seconds: float
    mode: str
    processes: Processes


def train_members(work: Work, context: Context) -> tuple[Committee, float]:
    """Train members, continuing from what the checkpoint holds.

    Returns
    -------
    wall_time : float, s
        Of earlier, interrupted runs of the same job.

    Raises
    ------
    InterruptedRun
        If the context asked to stop; the state is in the checkpoint.
    NumericalError
        If members fail; those that do not are in the checkpoint.
    """
    checkpoint = work.checkpoint
    parts = [read_committee(path) for path in checkpoint.finished()]
    have = {member for part in parts for member in part.members}
    missing = tuple(member for member in work.members if member not in have)
    keeper, state = _go_on(work, missing)
    work.processes.wait()  # all have read the state before one replaces it
    if parts:
        log.info("members %s are finished; training %s", _listed(sorted(have)), _listed(missing))
    if not missing:  # killed between the last member and the output
        return join_committees(parts), keeper.earlier
    try:
        result = work.trainer(missing, state, keeper)
    except FailedMembers as failure:
        if keeper.writes:
            _keep_the_others(checkpoint, missing, failure, work.mode, keeper.wall_time)
        raise NumericalError(f"{failure}. The other members are kept in {checkpoint.folder}") from failure
    if not result.finished:
        keeper.save(result.state)
        raise InterruptedRun(f"after {keeper.wall_time:.0f} s of training. {GO_ON}")
    committee = Committee(missing, result.model, result.training_loss, result.validation_loss)
    return join_committees([*parts, committee]), keeper.earlier


def say_left_behind(committee: Committee, form: str) -> None:
    """Warn of members whose errors on the training data are far larger than those of most.

    Parameters
    ----------
    form : str
        Of the loss, see `Loss`.
    """
    last = np.array([curve[np.isfinite(curve)][-1] for curve in committee.training_loss.T])
    times = (last / np.median(last)) ** (1.0 if form == "rmse" else 0.5)
    for member, ratio in zip(committee.members, times, strict=True):
        if ratio > BEHIND:
            log.warning(
                "member %d errs %s times as much on its training data as most do, which spoils the mean: "
                "raise levenberg_marquardt.iterations, take another seed, or leave it out (members, counted "
                "from 0, of predict, evaluate, md and properties)",
                member,
                rounded(ratio, 2),
            )


class _Keeper:
    """Writes the state of the training into the checkpoint every so many seconds, in the first process."""

    def __init__(self, work: Work, members: tuple[int, ...], earlier: float) -> None:
        self.checkpoint, self.seconds, self.earlier = work.checkpoint, work.seconds, earlier
        self.part = tuple(map(str, members))
        self.writes = work.processes.rank == 0
        self._started = self._last = time.perf_counter()

    @property
    def wall_time(self) -> float:
        """Seconds so far, with those of earlier runs."""
        return self.earlier + time.perf_counter() - self._started

    def save(self, state: State) -> None:
        """Write a state."""
        if not self.writes:
            return
        self.checkpoint.save_state(self.part, state, self.wall_time)

    def __call__(self, snapshot: Snapshot) -> None:
        """Write the present state if it is time; without space, go on and say so."""
        if not self.writes or time.perf_counter() - self._last < self.seconds:
            return
        try:
            self.save(snapshot())
        except ResourceError as error:
            log.warning("no checkpoint: %s", error)
        self._last = time.perf_counter()


def _go_on(work: Work, missing: tuple[int, ...]) -> tuple[_Keeper, State | None]:
    checkpoint = work.checkpoint
    saved = checkpoint.load_state()
    if saved is None or saved.part != tuple(map(str, missing)):
        return _Keeper(work, missing, checkpoint.seconds_of_finished()), None
    log.info("going on from %s, after %.0f s of training", checkpoint.folder, saved.wall_time)
    return _Keeper(work, missing, saved.wall_time), saved.arrays


def _keep_the_others(
    checkpoint: Checkpoint, members: tuple[int, ...], failure: FailedMembers, mode: str, wall_time: float
) -> None:
    result = failure.result
    positions = [i for i, member in enumerate(members) if member not in failure.members]
    if positions:
        everyone = Committee(members, result.model, result.training_loss, result.validation_loss)
        kept = everyone.select(positions)
        part = tuple(map(str, kept.members))
        with publish(checkpoint.path_of(part), checkpoint.job_of(part)) as file:
            write_committee(file, kept, mode)
            file.attrs["wall_time_s"] = wall_time
    checkpoint.drop_state()


def _padded(curve: FloatArray, steps: int) -> FloatArray:
    return np.pad(curve, ((0, steps - len(curve)), (0, 0)), constant_values=np.nan)


def _listed(members: Sequence[int]) -> str:
    return ", ".join(map(str, members))
