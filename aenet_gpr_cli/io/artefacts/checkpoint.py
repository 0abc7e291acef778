"""Unfinished work beside an output, in the folder ``.NAME.checkpoint``: finished parts, and the state.

Each file in it is an artefact of its own (written whole or not at all, with configuration and input hashes),
so that work of another configuration is never mixed in. The folder goes when the output is published.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.errors import ConfigError, InputError, ResourceError
from aenet_gpr_cli.io.artefacts.artefact import NUMERICS, Job, flat, open_artefact, publish
from aenet_gpr_cli.io.artefacts.side_files import leftovers, remove_leftovers
from aenet_gpr_cli.io.hdf5.locks import lock, lock_of

log = logging.getLogger("aenet_gpr_cli")
STATE = "state.h5"
FOLDER_SUFFIX = ".checkpoint"


@dataclass(frozen=True, slots=True)
class SavedState:
    """The state of an iteration, as it was kept.

    Attributes
    ----------
    part : tuple of str
        Names of what was being worked on.
    arrays : dict of str to ndarray
    wall_time : float, s
        Spent so far, over all interrupted runs.
    """

    part: tuple[str, ...]
    arrays: dict[str, NDArray]
    wall_time: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is kept of an unfinished job.

    Attributes
    ----------
    output : Path
        Where the finished job will be published.
    job : Job
    """

    output: Path
    job: Job

    @property
    def folder(self) -> Path:
        """Folder beside the output."""
        return self.output.with_name(f".{self.output.name}{FOLDER_SUFFIX}")

    def prepare(self, resume: bool, restart: bool) -> None:
        """Make sure that only work of this job is there.

        Parameters
        ----------
        resume : bool
            A damaged file is an error; otherwise it is dropped with a warning.
        restart : bool
            Drop everything.

        Raises
        ------
        ConfigError
            If it is work of another configuration or of other data, or both options are given.
        InputError
            If a file is damaged and ``resume`` is given.
        """
        if resume and restart:
            raise ConfigError("--resume and --restart: expected one of them")
        if restart or _is_done(self.output, self.folder):
            self.discard()
        for path in sorted(self.folder.glob("*.h5")):
            try:
                differences = _differences(path, self.job)
            except InputError as error:
                if resume:
                    raise InputError(f"{error}; --restart starts over") from error
                log.warning("%s: damaged, not used", path)
                path.unlink()
                continue
            if differences:
                raise ConfigError(
                    f"{self.folder} holds unfinished work of another run ({'; '.join(differences)}); "
                    "go back to that configuration and data to finish it, or start over with --restart"
                )

    def path_of(self, part: tuple[str, ...]) -> Path:
        """Return the file that holds, or will hold, finished parts.

        Parameters
        ----------
        part : tuple of str
            No other file holds one of these.
        """
        return self.folder / f"finished_{part[0]}.h5"

    def job_of(self, part: tuple[str, ...]) -> Job:
        """Return the job that has parts of this one as its result."""
        return replace(self.job, part=part, whole=self.job.whole or part)

    def finished(self) -> dict[Path, tuple[str, ...]]:
        """Return the files of finished parts, with the parts."""
        found = {}
        for path in sorted(self.folder.glob("finished_*.h5")):
            with open_artefact(path, self.job.kind) as file:
                found[path] = tuple(json.loads(file.attrs["part"]))
        return found

    def seconds_of_finished(self) -> float:
        """Return the wall time that went into the finished parts, s."""
        seconds = [0.0]
        for path in self.finished():
            with open_artefact(path) as file:
                seconds.append(float(file.attrs["wall_time_s"]))
        return max(seconds)

    def save_state(self, part: tuple[str, ...], arrays: Mapping[str, NDArray], wall_time: float) -> None:
        """Keep a state in place of the one before; a kill in the middle leaves that one.

        Parameters
        ----------
        part : tuple of str
            Names of what is being worked on.
        wall_time : float, s
        """
        job = replace(self.job_of(part), kind=f"{self.job.kind} state")
        with publish(self.folder / STATE, job) as file:
            for name, values in arrays.items():  # what they mean is the optimiser's business: no registry
                file[f"state/{name}"] = np.asarray(values)
            file.attrs["so_far_s"] = wall_time

    def load_state(self) -> SavedState | None:
        """Return the state that was kept last, None without one."""
        path = self.folder / STATE
        if not path.exists():
            return None
        with open_artefact(path, f"{self.job.kind} state") as file:
            arrays = {name: values[()] for name, values in file["state"].items()}
            part = tuple(json.loads(file.attrs["part"]))
            return SavedState(part, arrays, float(file.attrs["so_far_s"]))

    def drop_state(self) -> None:
        """Forget the state, not the finished parts."""
        (self.folder / STATE).unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the folder."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def discard_remains(self) -> None:
        """Remove what a run of this job left that was killed after it had published: lock, files, folder."""
        if not (self.folder.is_dir() or lock_of(self.output).is_file() or leftovers(self.output)):
            return
        with contextlib.suppress(ResourceError, InputError), lock(self.output):  # not those of a live one
            remove_leftovers(self.output)
            if _is_done(self.output, self.folder) or not any(self.folder.glob("*.h5")):
                self.discard()


def describe_differences(
    ours: tuple[Mapping[str, Any], Mapping[str, str]],
    theirs: tuple[Mapping[str, Any], Mapping[str, str]],
    neutral: frozenset[str],
    where: tuple[str, str] = ("there", "here"),
) -> list[str]:
    """Say in what two jobs differ.

    Parameters
    ----------
    neutral : frozenset of str
        Keys that do not matter.
    where : tuple of two str
        What to call theirs and ours.

    Returns
    -------
    list of str
        Empty if they are the same.
    """
    (config, inputs), (other_config, other_inputs) = ours, theirs
    new, old = flat(config), flat(other_config)
    lines = [
        f"{key}: {old.get(key, 'absent')} {where[0]}, {new.get(key, 'absent')} {where[1]}"
        for key in sorted(new.keys() | old.keys())
        if new.get(key) != old.get(key) and key not in neutral
    ]
    changed = [
        name for name in sorted({**inputs, **other_inputs}) if inputs.get(name) != other_inputs.get(name)
    ]
    return lines + [f"{name}: not the same file" for name in changed]


def read_job(file: h5py.File) -> tuple[dict[str, Any], dict[str, str]]:
    """Return configuration and input hashes of an artefact."""
    return json.loads(file.attrs["config"]), json.loads(file.attrs["inputs"])


def _differences(path: Path, job: Job) -> list[str]:
    with open_artefact(path) as file:
        numerics = int(file.attrs.get("numerics", 1))
        other = [f"numerics: version {numerics} there, {NUMERICS} here"] if numerics != NUMERICS else []
        return other + describe_differences((job.config, job.inputs), read_job(file), job.neutral)


def _is_done(output: Path, folder: Path) -> bool:
    """Whether the output is the result of the work in the folder: killed before it was removed."""
    files = sorted(folder.glob("*.h5"))
    if not files or not output.exists():
        return False
    try:
        newest = max(path.stat().st_mtime_ns for path in files)
        with open_artefact(output) as done, open_artefact(files[0]) as left:
            return output.stat().st_mtime_ns >= newest and read_job(done) == read_job(left)
    except InputError:
        return False
