"""SLURM: the text of a batch script, the commands sbatch and squeue, and the record of what was submitted.

A script starts one command, passes the warning before the end of the wall time on to it, and queues again
when the command ends with exit code 75 (interrupted, resumable).
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aenet_gpr_cli.errors import ConfigError, InputError, ResourceError
from aenet_gpr_cli.io.files import require_file, write_text
from aenet_gpr_cli.text import refuse_unseen

if TYPE_CHECKING:
    from aenet_gpr_cli.config.slurm_config import SlurmResources

FOLDER = "slurm"  # in the working folder: scripts, logs, the workflow as submitted
RECORD = "jobs.json"
MIB_PER_GIB = 1024
ITEM = "{item}"  # in a command: the member or subset of a job of an array

# 138 and 143: ended by SIGUSR1 or SIGTERM before it could listen
_BODY = """\
child= told= early=
pass_on() {{ told=1; if [ -n "$child" ]; then kill -"$1" "$child" 2>/dev/null; else early=$1; fi; }}
trap 'pass_on USR1' USR1
trap 'pass_on TERM' TERM
{command} &
child=$!
# came before the command was known; a shell just forked still has these traps, and would swallow it
[ -z "$early" ] || {{ sleep 1; kill -"$early" "$child" 2>/dev/null; }}
wait "$child"; code=$?
while [ -n "$told" ]; do told=; wait "$child"; code=$?; done  # a signal ends wait before the command
case $code in 75|138|143)
  if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {max_requeues} ]; then
    echo "interrupted with code $code: queues again, to go on from what is kept"
    scontrol requeue "$SLURM_JOB_ID"
  fi;;
esac
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """A job, or an array of them.

    Attributes
    ----------
    name : str
        Unique in the workflow, for example ``train-ann_gpr``.
    stage : str
        Key of the stage in the configuration.
    command : tuple of str
        What it runs in the working folder; ``{item}`` stands for the item.
    items : tuple of str
        Members or subsets, one per job of the array; empty for a single job.
    needs : tuple of str
        Names of the jobs that must have succeeded.
    memory_gib : float, GiB
        Forecast.
    time : str
        Wall time to ask for where the configuration names none.
    cpus : int
        Cores to ask for where the configuration names none.
    """

    name: str
    stage: str
    command: tuple[str, ...]
    items: tuple[str, ...]
    needs: tuple[str, ...]
    memory_gib: float
    time: str = "24:00:00"
    cpus: int = 1


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job that was handed to SLURM.

    Attributes
    ----------
    name : str
    job_id : str
        Of the whole array.
    items : tuple of str
    """

    name: str
    job_id: str
    items: tuple[str, ...]


def script_text(job: SlurmJob, resources: SlurmResources, workdir: Path) -> str:
    """Return the batch script of a job.

    Parameters
    ----------
    workdir : Path
        Working folder; commands and logs are relative to it.

    Raises
    ------
    ConfigError
        If a name, an option or the working folder holds a control character. All of them are quoted; only
        the prologue is taken as the shell commands that it is.
    """
    memory = job.memory_gib if resources.memory_gib is None else resources.memory_gib
    log = f"{FOLDER}/{job.name}.{'%A_%a' if job.items else '%j'}.log"
    options = {
        "job-name": job.name,
        "chdir": str(workdir.resolve()),
        "output": log,
        "open-mode": "append",
        "ntasks": "1",
        "cpus-per-task": str(resources.cpus or job.cpus),
        "mem": f"{max(1, round(memory * MIB_PER_GIB))}M",
        "time": resources.time or job.time,
        "signal": f"B:USR1@{resources.warn_seconds}",
    }
    for key in ("partition", "account"):
        if value := getattr(resources, key):
            options[key] = value
    if resources.gpus:
        options["gpus"] = str(resources.gpus)
    if job.items:
        limit = f"%{resources.at_a_time}" if resources.at_a_time else ""
        options["array"] = f"0-{len(job.items) - 1}{limit}"
    try:
        quoted = [f"--{key}={shlex.quote(refuse_unseen(value, key))}" for key, value in options.items()]
        quoted += ["--requeue", *(refuse_unseen(option, "extra") for option in resources.extra)]
    except ValueError as error:
        raise ConfigError(f"job {job.name!r}: {error}") from error
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in quoted), ""]
    lines.append(f"cd -- {shlex.quote(str(workdir.resolve()))} || exit")  # also where bash starts it
    lines += [*resources.prologue, 'export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"']
    if job.items:
        lines += [f"items=({shlex.join(job.items)})", "item=${items[$SLURM_ARRAY_TASK_ID]}"]
    command = " ".join(_quoted(word) for word in job.command)
    return "\n".join(lines) + "\n" + _BODY.format(command=command, max_requeues=resources.max_requeues)


def _quoted(word: str) -> str:
    """Quote a word for the shell, with the item in it left to be filled in."""
    return '"$item"'.join(shlex.quote(part) if part else "" for part in word.split(ITEM)) or "''"


def sbatch(script: Path, after: Sequence[str]) -> str:
    """Submit a script.

    Parameters
    ----------
    after : sequence of str
        Identifiers of jobs that must have succeeded; without them this one is never started.

    Returns
    -------
    str
        Identifier of the job.

    Raises
    ------
    ResourceError
        If there is no SLURM here.
    ConfigError
        If SLURM refuses the script.
    """
    if shutil.which("sbatch") is None:
        raise ResourceError(
            f"sbatch: no such command, so there is no SLURM here; the scripts are in {script.parent} "
            "(--dry-run writes them only)"
        )
    options = [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"] if after else []
    done = subprocess.run(
        ["sbatch", "--parsable", *options, str(script)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConfigError(f"sbatch refuses {script}: {done.stderr.strip()}; change the section slurm")
    return done.stdout.strip().split(";")[0]


def write_record(workdir: Path, jobs: Sequence[Submitted]) -> None:
    """Keep what was submitted beside the scripts."""
    write_text(workdir / FOLDER / RECORD, json.dumps([asdict(job) for job in jobs], indent=1) + "\n")


def read_record(workdir: Path) -> list[Submitted]:
    """Return what was submitted last in a working folder; empty if nothing was.

    Raises
    ------
    InputError
        If the record cannot be read.
    """
    path = workdir / FOLDER / RECORD
    if not path.exists():
        return []
    require_file(path)
    try:
        return [
            Submitted(str(job["name"]), str(job["job_id"]), tuple(job["items"]))
            for job in json.loads(path.read_text())
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: expected the record of submitted jobs, cannot read it ({error})"
        ) from error


def queued(job_ids: Sequence[str]) -> dict[str, list[str]] | None:
    """Return the states of the jobs that SLURM still knows.

    Returns
    -------
    dict of str to list of str, or None
        Identifier of the array → one state per job in it, such as RUNNING. None where SLURM does not answer.
    """
    if shutil.which("squeue") is None or not job_ids:
        return None
    command = [
        "squeue",
        "--noheader",
        "--array",
        "--states=all",
        "--format=%F %T",
        "--jobs=" + ",".join(job_ids),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "Invalid job id" not in done.stderr:
        return None
    states: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        job_id, state = line.split()
        states.setdefault(job_id, []).append(state)
    return states
