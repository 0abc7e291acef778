"""`status`: what a working folder holds: finished artefacts, unfinished work, writers, and jobs of SLURM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.checkpoint import FOLDER_SUFFIX, STATE
from aenet_gpr_cli.io.artefacts.locks import LOCK_SUFFIX, describe_holder
from aenet_gpr_cli.io.slurm import Submitted, queued, read_record
from aenet_gpr_cli.stages.shared.context import Summary
from aenet_gpr_cli.units import BYTES_PER_GIB

COLUMNS = ("what", "state", "stage", "details")
Queued = Callable[[Sequence[str]], dict[str, list[str]] | None]


def run(workdir: Path, ask: Queued = queued) -> Summary:
    """Look at everything in a working folder and its folder of parts; change nothing.

    Parameters
    ----------
    workdir : Path
    ask : callable
        Called with identifiers of jobs; returns their states, see `io.slurm.queued`.

    Returns
    -------
    Summary

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not workdir.is_dir():
        raise InputError(f"{workdir}: expected a working folder of run or submit, there is none")
    rows = [row for folder in (workdir, workdir / "parts") for row in _in_folder(folder, workdir)]
    jobs = read_record(workdir)
    rows += _jobs(jobs, ask)
    notes = [] if rows else ["nothing has run here yet"]
    return Summary(f"Status of {workdir}", COLUMNS, rows, notes)


def _in_folder(folder: Path, workdir: Path) -> Iterator[list[str]]:
    for path in sorted(folder.glob("*.h5")):
        yield [str(path.relative_to(workdir)), *_artefact(path)]
    for path in sorted(folder.glob(f".*{FOLDER_SUFFIX}")):
        name = path.name.removeprefix(".").removesuffix(FOLDER_SUFFIX)
        yield [str((folder / name).relative_to(workdir)), "unfinished", *_checkpoint(path)]
    for path in sorted(folder.glob(f".*{LOCK_SUFFIX}")):
        name = path.name.removeprefix(".").removesuffix(LOCK_SUFFIX)
        state, holder = describe_holder(path)
        yield [str((folder / name).relative_to(workdir)), state, "", holder]


def _artefact(path: Path) -> list[str]:
    try:
        with open_artefact(path) as file:
            kind, attributes = str(file.attrs["kind"]), dict(file.attrs)
    except InputError as error:
        return ["damaged", "", str(error).removeprefix(f"{path}: ")]
    seconds, peak = float(attributes["wall_time_s"]), float(attributes["peak_rss_bytes"]) / BYTES_PER_GIB
    return ["finished", kind, f"{attributes['created']}, {seconds:.1f} s, {peak:.2f} GiB"]


def _checkpoint(folder: Path) -> list[str]:
    """Return the stage of unfinished work, and what is kept of it."""
    kinds: set[str] = set()
    finished = [path.stem.removeprefix("finished_") for path in sorted(folder.glob("finished_*.h5"))]
    kept = [f"{len(finished)} finished: {_listed(finished)}"] if finished else []
    for path in sorted(folder.glob("*.h5")):
        try:
            with open_artefact(path) as file:
                kinds.add(str(file.attrs["kind"]).removesuffix(" state"))
                if path.name == STATE:
                    seconds, when = float(file.attrs["so_far_s"]), file.attrs["created"]
                    kept.append(f"state after {seconds:.0f} s, of {when}")
        except InputError:
            kept.append(f"{path.name} is damaged")
    return [", ".join(sorted(kinds)), "; ".join(kept) or "nothing kept"]


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown}, …"


def _jobs(jobs: Sequence[Submitted], ask: Queued) -> Iterator[list[str]]:
    if not jobs:
        return
    states = ask([job.job_id for job in jobs])
    for job in jobs:
        size = f"array of {len(job.items)}" if job.items else ""
        found = Counter((states or {}).get(job.job_id, []))
        if states is None:
            state = "unknown: SLURM does not answer"
        else:
            counted = [f"{n} {name.lower()}" if job.items else name.lower() for name, n in found.items()]
            state = ", ".join(counted) or "left the queue"
        yield [f"job {job.job_id}", state, job.name, size]
