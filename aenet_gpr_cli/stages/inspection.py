"""`show` and `status`: what an artefact says about itself, and what a working folder holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact, read_summary
from aenet_gpr_cli.io.artefacts.checkpoint import FOLDER_SUFFIX, STATE
from aenet_gpr_cli.io.hdf5.locks import LOCK_SUFFIX, describe_holder
from aenet_gpr_cli.io.slurm import Submitted, queued, read_record
from aenet_gpr_cli.stages.essentials import METRICS, essentials
from aenet_gpr_cli.stages.shared.context import Summary
from aenet_gpr_cli.stages.workflow_steps import ORDER
from aenet_gpr_cli.units import BYTES_PER_GIB

HASH_SHOWN = 12
COLUMNS = ("what", "state", "stage", "details")
Queued = Callable[[Sequence[str]], dict[str, list[str]] | None]


def show(path: Path) -> list[Summary]:
    """Return the tables about an artefact: what matters, what its stage said, provenance, arrays.

    Of a folder: what is in it, and what the evaluation in it said.

    Raises
    ------
    InputError
        If it is no complete artefact, and no folder that holds one.
    """
    if path.is_dir():
        return _show_folder(path)
    with open_artefact(path) as file:
        kind, attributes = str(file.attrs["kind"]), dict(file.attrs)
        first, arrays = essentials(file, path), _arrays(file)
    title = f"{path.name}: output of {kind}"
    tables = [Summary(title, ("", ""), first)] if first else []
    tables += _stored(path)
    provenance = "Where it came from" if first else title
    tables.insert(len(tables) if first else 0, Summary(provenance, ("", ""), _provenance(attributes)))
    tables.append(Summary("Arrays", ("name", "shape", "type", "unit", "meaning"), arrays))
    return tables


def _show_folder(folder: Path) -> list[Summary]:
    if not any(folder.glob("*.h5")):
        raise InputError(f"{folder}: expected an artefact, or a folder with artefacts, there is none in it")
    evaluation = folder / METRICS
    return [status(folder), *(_stored(evaluation) if evaluation.is_file() else [])]


def _stored(path: Path) -> list[Summary]:
    """Return the table that a stage ended with, without the files that it wrote."""
    stored = read_summary(path)
    if not stored:
        return []
    notes = [note for note in stored["notes"] if not note.startswith("wrote ")]
    notes += stored.get("details", []) if stored.get("short") else []
    return [
        Summary(stored["title"], stored["columns"], stored["rows"], notes, closing=stored.get("closing", ()))
    ]


def configuration(path: Path) -> str:
    """Return the configuration that an artefact was made with, as YAML."""
    import yaml

    with open_artefact(path) as file:
        values: dict[str, Any] = json.loads(file.attrs["config"])
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _provenance(attributes: dict[str, Any]) -> list[list[str]]:
    inputs, versions = json.loads(attributes["inputs"]), json.loads(attributes["versions"])
    rows = [
        ["created", str(attributes["created"])],
        ["wall time", f"{float(attributes['wall_time_s']):.1f} s"],
        ["peak memory", f"{float(attributes['peak_rss_bytes']) / BYTES_PER_GIB:.2f} GiB"],
        ["seed", str(attributes["seed"])],
        ["format version", str(attributes["format_version"])],
    ]
    if "part" in attributes:
        part, whole = json.loads(attributes["part"]), json.loads(attributes["whole"])
        rows.append(["part", f"{', '.join(part)} of {', '.join(whole)}"])
    rows += [[f"input {name}", f"SHA-256 {digest[:HASH_SHOWN]}…"] for name, digest in inputs.items()]
    return [*rows, ["versions", ", ".join(f"{name} {number}" for name, number in versions.items())]]


def _arrays(file: h5py.File) -> list[list[str]]:
    rows: list[list[str]] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            kind = "text" if h5py.check_string_dtype(item.dtype) else str(item.dtype)
            unit, meaning = (str(item.attrs.get(key, "")) for key in ("unit", "meaning"))
            rows.append([name, " × ".join(map(str, item.shape)) or "scalar", kind, unit, meaning])

    file.visititems(visit)
    return rows


def status(workdir: Path, ask: Queued = queued) -> Summary:
    """Look at everything in a working folder and its folder of parts; change nothing.

    Parameters
    ----------
    ask : callable
        Called with identifiers of jobs; returns their states, see `io.slurm.queued`.

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
    found = [[str(path.relative_to(workdir)), *_finished(path)] for path in sorted(folder.glob("*.h5"))]
    yield from sorted(found, key=lambda row: ORDER.index(row[2]) if row[2] in ORDER else len(ORDER))
    for path in sorted(folder.glob(f".*{FOLDER_SUFFIX}")):
        name = path.name.removeprefix(".").removesuffix(FOLDER_SUFFIX)
        yield [str((folder / name).relative_to(workdir)), "unfinished", *_checkpoint(path)]
    for path in sorted(folder.glob(f".*{LOCK_SUFFIX}")):
        name = path.name.removeprefix(".").removesuffix(LOCK_SUFFIX)
        state, holder = describe_holder(path)
        yield [str((folder / name).relative_to(workdir)), state, "", holder]


def _finished(path: Path) -> list[str]:
    try:
        with open_artefact(path, numbers=False) as file:
            kind, attributes = str(file.attrs["kind"]), dict(file.attrs)
    except InputError as error:
        return ["damaged", "", str(error).removeprefix(f"{path}: ")]
    seconds, peak = float(attributes["wall_time_s"]), float(attributes["peak_rss_bytes"]) / BYTES_PER_GIB
    return ["finished", kind, f"{seconds:.1f} s, {peak:.2f} GiB, {_when(str(attributes['created']))}"]


def _when(created: str) -> str:
    """Write a time of this place as short as a table wants it; it is whole in the artefact."""
    return f"{datetime.fromisoformat(created).astimezone():%d %b %H:%M}"


def _checkpoint(folder: Path) -> list[str]:
    """Return the stage of unfinished work, and what is kept of it."""
    kinds: set[str] = set()
    finished = [path.stem.removeprefix("finished_") for path in sorted(folder.glob("finished_*.h5"))]
    kept = [f"{len(finished)} finished: {_listed(finished)}"] if finished else []
    for path in sorted(folder.glob("*.h5")):
        try:
            with open_artefact(path, numbers=False) as file:
                kinds.add(str(file.attrs["kind"]).removesuffix(" state"))
                if path.name == STATE:
                    seconds, when = float(file.attrs["so_far_s"]), file.attrs["created"]
                    kept.append(f"state after {seconds:.0f} s, {_when(str(when))}")
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
