"""The local process of `fit-gpr`: the rows of a share of the structures, and the fit that all shares give."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.baseline.repulsion import repulsion_of
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.errors import InputError, ResourceError
from aenet_gpr_cli.gpr.left_out_errors import LeftOut, chosen_to_leave_out
from aenet_gpr_cli.gpr.local.accumulation import Design, Sums, add_up, model_of
from aenet_gpr_cli.gpr.local.costs import bytes_of_fit, n_inducing, seconds_of_choice, seconds_of_fit
from aenet_gpr_cli.gpr.local.local_fit import (
    LEFT_OUT,
    choose_design,
    count_rows,
    with_shortest,
)
from aenet_gpr_cli.gpr.local.local_left_out import calibrated, leave_out
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.gpr.subset_lookup import LOCAL
from aenet_gpr_cli.io.artefacts.artefact import Job, open_artefact, publish
from aenet_gpr_cli.io.artefacts.stored_gps import read_design, read_sums, write_local, write_sums
from aenet_gpr_cli.io.artefacts.streaming import open_training
from aenet_gpr_cli.io.artefacts.structure_sets import read_structures, write_structures
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.stages.shared.context import log
from aenet_gpr_cli.structures import AnySet, StructureSet
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import BYTES_PER_GIB, GPA_PER_EV_PER_CUBIC_ANGSTROM, MEV_PER_EV

OTHERS = " (others)"  # after the name of a subset: structures left out that no full process is compared on
SECONDS_BETWEEN_STATES = 60.0  # of the sums; writing one takes less than a second
SAME = 1e-8  # of inducing environments, in units of the spread of a feature: rows of others spoil σ first


@dataclass(frozen=True, slots=True)
class Share:
    """Every n-th structure, beginning with the k-th.

    Attributes
    ----------
    number : int
        k, from 0.
    of : int
        n.
    """

    number: int = 0
    of: int = 1

    @property
    def name(self) -> str:
        """Name of the share of the local process among the parts of a fit."""
        return LOCAL if self.of == 1 else f"{LOCAL} {self.number + 1} of {self.of}"


@dataclass(frozen=True, slots=True)
class LocalTask:
    """What a share is fitted on.

    Attributes
    ----------
    split : Path
        With the structures, which are read block by block.
    names : tuple of str
        All subsets, of which the share takes its part.
    without_full : mapping of str to str
        Those that have no full process, with the reason; the others are compared.
    share : Share
    state : Path
        Where the sums are kept while they are added up.
    job : Job
        What they belong to.
    """

    split: Path
    names: tuple[str, ...]
    without_full: Mapping[str, str]
    share: Share
    state: Path
    job: Job


@dataclass(frozen=True, slots=True)
class LocalShare:
    """Added-up rows of a share, with the structures that the fit will leave out, and its row of the table."""

    design: Design
    sums: Sums
    left_out: Mapping[str, tuple[StructureSet, int]]
    without_full: Mapping[str, str]
    row: tuple[str, ...]

    def write(self, group: h5py.Group) -> None:
        """Store what the fit of all shares needs."""
        _write_sums(group, self.design, self.sums)
        group.attrs["without_full"] = json.dumps(dict(self.without_full))
        for name, (structures, size) in self.left_out.items():
            write_structures(stored := group.create_group(f"left_out/{name}"), structures)
            stored.attrs["of"] = size


@dataclass(frozen=True, slots=True)
class FittedLocal:
    """The fitted local process, its errors on left-out structures by subset, and its row of the table."""

    model: LocalModel
    left_out: Mapping[str, LeftOut]
    row: tuple[str, ...]

    @property
    def note(self) -> str:
        """What it makes of left-out structures, for the user."""
        off = LeftOut.joined(list(self.left_out.values()))
        text = f"local: mean errors of {len(off.energy_errors)} left-out structures: "
        text += f"{rounded(MEV_PER_EV * off.energy_mae)} meV"
        if len(off.force_errors):
            text += f", {rounded(off.force_mae)} eV/Å"
        if len(off.stress_errors):
            text += f", stress {rounded(GPA_PER_EV_PER_CUBIC_ANGSTROM * off.stress_mae)} GPa"
            text += " (trained on, too)" if self.model.noise_virial else " (not trained on)"
        return text

    def write(self, group: h5py.Group) -> None:
        """Store the model."""
        write_local(group, self.model)


def fit_share(config: FitGprConfig, task: LocalTask, progress: Progress) -> LocalShare:
    """Choose the inducing environments on all structures and add up the rows of a share of them.

    Sums that an interrupted run has kept are gone on with.
    """
    with open_training(task.split, task.names) as subsets:
        return _fit_share(config, task, subsets, progress)


def _fit_share(
    config: FitGprConfig, task: LocalTask, subsets: Mapping[str, AnySet], progress: Progress
) -> LocalShare:
    started, sets, share = time.perf_counter(), list(subsets.values()), task.share
    if task.state.exists():
        design, sums = _read_state(task.state)
        log.info("%s: goes on after block %d", share.name, sums.n_blocks)
    else:
        design = with_shortest(choose_design(sets, config.local, config.seed, progress), sets)
        if config.baseline == "zbl":
            known = repulsion_of(design.basis.species, sets, design.basis.cutoff)
            design = replace(design, repulsion=known)
        sums = Sums(len(design.inducing))
    last = begun = time.perf_counter()
    first: list[int] = []

    def keep(sums: Sums) -> None:
        nonlocal last
        if time.perf_counter() - last > SECONDS_BETWEEN_STATES:
            with publish(task.state, task.job) as file:
                _write_sums(file.create_group("state"), design, sums)
            last = time.perf_counter()

    def show(done: int, total: int, message: str) -> None:
        if not first:
            first.append(done)
        rate = (time.perf_counter() - begun) / max(1, done - first[0])
        left = f", {rate * (total - done):.0f} s left" if done > first[0] else ""
        progress(done, total, f"{share.name}: {message}{left}")

    add_up(design, sets, sums, show, (share.number, share.of), keep)
    n_structures = -(-(sum(map(len, sets)) - share.number) // share.of)
    row = (
        share.name,
        str(n_structures),
        str(sums.triangle.n_rows),
        f"{design.basis.kind}, {len(design.inducing)} inducing",
        rounded(design.inducing.length_scale, 4),
        "–",
        "–",
        "qr",
        f"{time.perf_counter() - started:.1f}",
    )
    left_out = left_out_structures(subsets, task.without_full, config.seed)
    return LocalShare(design, sums, left_out, task.without_full, row)


def finish_local(shares: Sequence[h5py.Group], rows: Sequence[Sequence[str]]) -> FittedLocal:
    """Return the process of all shares, calibrated on left-out structures.

    Parameters
    ----------
    shares : sequence of h5py.Group
        As `LocalShare.write` has stored them, all of one fit.
    rows : sequence of sequence of str
        Their rows of the table.

    Raises
    ------
    InputError
        If their inducing environments differ.
    """
    started, design = time.perf_counter(), read_design(shares[0])
    sums = Sums(len(design.inducing))
    for group in shares:
        z = read_design(group).inducing.z
        if z.shape != design.inducing.z.shape or np.abs(z - design.inducing.z).max() > SAME:
            raise InputError(
                "parts of the local process: expected the same inducing environments in all, got others; "
                "make them with the same versions of the libraries, on processors of one kind with as many "
                "threads, or with local.learn_metric: false (rounding changes what a metric learns)"
            )
        sums.merge(read_sums(group))
    model, evidence = model_of(design, sums)
    groups = shares[0]["left_out"]
    left_out = {name: leave_out(model, read_structures(group)) for name, group in groups.items()}
    model = calibrated(model, list(left_out.values()), [int(group.attrs["of"]) for group in groups.values()])
    seconds = sum(float(row[-1]) for row in rows) + time.perf_counter() - started
    row = (
        LOCAL,
        *(str(sum(int(row[column]) for row in rows)) for column in (1, 2)),
        *rows[0][3:5],
        rounded(np.sqrt(model.signal_variance)),
        f"{evidence:.1f}",
        rows[0][7],
        f"{seconds:.1f}",
    )
    return FittedLocal(model, left_out, row)


def left_out_structures(
    subsets: Mapping[str, AnySet], without_full: Collection[str], seed: int
) -> dict[str, tuple[StructureSet, int]]:
    """Return structures that are left out of each subset, and how many they stand for.

    Where there is a full process to compare with, the structures that it leaves out, too, and others apart
    from them, for σ; of the other subsets a share, also where that is none.
    """
    rng = np.random.default_rng([seed, 8])
    share = min(1.0, LEFT_OUT / sum(map(len, subsets.values())))
    found = {}
    for name, subset in subsets.items():
        count = min(len(subset), int(share * len(subset) + rng.random()))
        chosen = np.sort(rng.choice(len(subset), count, replace=False))
        parts = {name: chosen}
        if name not in without_full:
            parts = {name: chosen_to_leave_out(len(subset), seed)}
            more = chosen_to_leave_out(len(subset), seed, count)
            parts[f"{name}{OTHERS}"] = np.setdiff1d(more, parts[name])
            chosen = np.union1d(more, parts[name])
        # of subsets of which none is left out, those alike stand for them
        each = 1.0 / share if name in without_full else len(subset) / len(chosen)
        for part, indices in parts.items():
            if len(indices):
                found[part] = subset.select(indices).in_memory(), round(each * len(indices))
    if not found:
        name, subset = next(iter(subsets.items()))
        found[name] = subset.select(np.array([0])).in_memory(), 1
    return found


def local_gib(config: FitGprConfig, subsets: Mapping[str, StructureSet]) -> float:
    """Return the memory of the local process, GiB, see `bytes_of_fit`."""
    return bytes_of_fit(list(subsets.values()), config.local) / BYTES_PER_GIB


def local_seconds(config: FitGprConfig, subsets: Mapping[str, StructureSet]) -> tuple[float, float]:
    """Return about how long choices, and rows with what is left out of them, take on one core, s."""
    sets = list(subsets.values())
    left_out = min(1.0, LEFT_OUT / sum(map(len, sets)))
    return seconds_of_choice(sets, config.local), (1.0 + left_out) * seconds_of_fit(sets, config.local)


def local_plan(config: FitGprConfig, subsets: Mapping[str, StructureSet], share: Share) -> str:
    """Say what the local process will take; refuse what does not fit.

    Raises
    ------
    ResourceError
        If it needs more than ``max_memory_gib``.
    """
    sets, gib = list(subsets.values()), local_gib(config, subsets)
    needs = (
        f"{sum(map(len, sets))} structures ({count_rows(sets)} rows), about {n_inducing(sets, config.local)} "
        f"inducing environments need {gib:.2f} GiB"
    )
    if gib > config.max_memory_gib:
        raise ResourceError(
            f"{share.name}: {needs}, allowed are {config.max_memory_gib:g} GiB; use fewer (local.n_inducing) "
            "or a larger max_memory_gib"
        )
    of_choice, of_rows = local_seconds(config, subsets)
    seconds = of_choice + of_rows / share.of
    return f"{share.name}: {needs}" + (f" and about {seconds:.0f} s" if seconds >= 1.0 else "")


def _write_sums(group: h5py.Group, design: Design, sums: Sums) -> None:
    write_local(group, design)
    write_sums(group, sums)


def _read_state(path: Path) -> tuple[Design, Sums]:
    with open_artefact(path) as file:
        design = read_design(file["state"])
        sums = Sums(len(design.inducing))
        sums.merge(read_sums(file["state"]))
    return design, sums
