"""Run a workflow on a SLURM of one node, and tell what its jobs took.

    python -m tests.scale.measure_jobs workflow.yaml --workdir runs/jobs --set slurm.cpus=1

Further options go to ``aenet-gpr submit``. ``--requeue JOB`` takes a job (the first of its array) away half
a minute after its start, as a preemption does. Needs slurm-wlm, munge and root.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py

from aenet_gpr_cli.io.slurm import FOLDER, RECORD, read_record
from tests.slurm.one_node import Cluster, absent, one_node

TOOK = ".took"  # ends the name of what a job leaves: when it began and ended, CPU time
# at the end of a script; the second line of `times` is that of the commands it has run
PROLOGUE = (
    f"began=$(date +%s.%N); trap 'times > {FOLDER}/$SLURM_JOB_NAME.${{SLURM_ARRAY_TASK_ID:-0}}{TOOK}; "
    f"echo $began $(date +%s.%N) >> {FOLDER}/$SLURM_JOB_NAME.${{SLURM_ARRAY_TASK_ID:-0}}{TOOK}' EXIT"
)
MINUTES = re.compile(r"(\d+)m([\d.]+)s")
SECONDS_BEFORE_REQUEUE = 30.0
LONGEST = 3600.0  # s, of a workflow


@dataclass(frozen=True, slots=True)
class Took:
    """What the jobs of one name took.

    Attributes
    ----------
    n_jobs : int
    cpu_seconds : list of float
        Of each, start of the program included.
    from_first_to_last : float, s
        From the start of the first to the end of the last.
    peak_bytes : int
        Largest resident memory of one of them.
    written_bytes : int
        Of all their outputs.
    """

    name: str
    n_jobs: int
    cpu_seconds: list[float]
    from_first_to_last: float
    peak_bytes: int
    written_bytes: int


def jobs_took(workdir: Path) -> Iterator[Took]:
    """Yield what the jobs of a finished workflow took, in their order."""
    for job in read_record(workdir):
        cpu, times = list[float](), list[float]()
        for path in sorted((workdir / FOLDER).glob(f"{job.name}.*{TOOK}")):
            _, children, moments = path.read_text().splitlines()
            cpu.append(sum(60 * int(m) + float(s) for m, s in MINUTES.findall(children)))
            times += map(float, moments.split())
        (script,) = (workdir / FOLDER).glob(f"[0-9][0-9]_{job.name}.sh")
        found = re.search(r" -o (\S+) &$", script.read_text(), re.MULTILINE)
        assert found, script
        outputs = list(workdir.glob(found[1].replace('"$item"', "*")))
        if len(outputs) < max(1, len(job.items)):
            sys.exit(f"{job.name}: failed, see {workdir / FOLDER}/{job.name}.*.log")
        peaks = [_peak(path) for path in outputs]
        sizes = [path.stat().st_size for path in outputs]
        yield Took(job.name, len(cpu), cpu, max(times) - min(times), max(peaks), sum(sizes))


def _peak(path: Path) -> int:
    with h5py.File(path) as file:
        return int(file.attrs["peak_rss_bytes"])


def run(cluster: Cluster, submit: list[str], workdir: Path, requeue: str | None) -> float:
    """Submit a workflow, wait until all jobs have ended, and return how long that took, s."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "aenet_gpr_cli", "submit", *submit], check=True)
    if requeue:
        first = [f"{requeue}|{item}" for item in ("0", "N/A")]
        cluster.wait_until(lambda: any(cluster.states().get(k) == "RUNNING" for k in first), LONGEST)
        time.sleep(SECONDS_BEFORE_REQUEUE)
        (key,) = (k for k in first if k in cluster.states())
        cluster.command("scontrol", "requeue", cluster.identifier(*key.split("|")))
        print(f"queued again: {requeue}", flush=True)
    cluster.wait_until(lambda: not cluster.states(), LONGEST)
    return time.monotonic() - began


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workflow", type=Path)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--requeue", metavar="JOB")
    given, options = parser.parse_known_args()
    if reason := absent():
        sys.exit(reason)
    if (given.workdir / FOLDER / RECORD).exists():
        sys.exit(f"{given.workdir}: has jobs already; choose another --workdir")
    submit = [str(given.workflow), "--workdir", str(given.workdir), *options]
    submit += ["--set", f'slurm.prologue=["{PROLOGUE}"]']
    with tempfile.TemporaryDirectory() as folder, one_node(Path(folder)) as cluster:
        seconds = run(cluster, submit, given.workdir, given.requeue)
    print("job                        jobs   CPU s (all, most)   wall s   peak MiB    MB written")
    for took in jobs_took(given.workdir):
        print(
            f"{took.name:25s} {took.n_jobs:5d} {sum(took.cpu_seconds):9.1f} {max(took.cpu_seconds):9.1f} "
            f"{took.from_first_to_last:8.1f} {took.peak_bytes / 2**20:10.0f} {took.written_bytes / 1e6:13.2f}"
        )
    print(f"all of it: {seconds:.0f} s")


if __name__ == "__main__":
    main()
