"""Processes of the benchmark: what they take, where they run, and what the machine is."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import pstats
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PACKAGES = ("numpy", "scipy", "torch", "numba", "ase")
CHILD = Path(__file__).resolve().parent / "bench_child.py"


class RowError(Exception):
    """A row that could not be measured, and why."""


@dataclass(frozen=True)
class Cost:
    """What processes took: seconds of all CPUs, seconds of the clock, largest resident memory in MiB."""

    cpu: float
    wall: float
    mib: float


@dataclass(frozen=True)
class Tree:
    """A version of the package: its sources, what git calls it, and a folder for what its runs write."""

    source: Path
    commit: str
    work: Path

    def environment(self, threads: int) -> dict[str, str]:
        """Return the variables of a process that imports this version."""
        return os.environ | dict.fromkeys(THREADS, str(threads)) | {"PYTHONPATH": str(self.source)}

    def knows(self, key: str) -> bool:
        """Whether a configuration of this version has the key."""
        lines = (self.source / "configs" / "annotated.yaml").read_text(encoding="utf-8").splitlines()
        return any(line.strip().startswith(f"{key.split('.')[-1]}:") for line in lines)

    def has_command(self, name: str) -> bool:
        """Whether the command line of this version has the command."""
        text = self.output([sys.executable, "-m", "aenet_gpr_cli", "--help"])
        return any(line.split()[:1] == [name] for line in text.splitlines() if line.startswith("  "))

    def output(self, command: list[str]) -> str:
        """Return what a program prints; RowError where it fails."""
        done = subprocess.run(
            command, env=self.environment(1), cwd=self.work, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RowError(last_line(done.stderr or done.stdout))
        return done.stdout

    def run(self, words: list[str], threads: int = 1, profile: Path | None = None) -> Cost:
        """Run ``aenet-gpr`` (or a script, where the first word ends in .py) as a process of its own."""
        program = words if words[0].endswith(".py") else ["-m", "aenet_gpr_cli", *words]
        profiler = ["-m", "cProfile", "-o", str(profile)] if profile else []
        command = [sys.executable, *profiler, *program]
        return timed(command, self.environment(threads), self.work, self.work / "log")


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


def timed(command: list[str], environment: dict[str, str], folder: Path, log: Path) -> Cost:
    """Run a program; RowError with the end of its log where it fails."""
    start = time.perf_counter()
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise RowError(last_line(log.read_text(encoding="utf-8", errors="replace")))
    per_mib = 2**20 if sys.platform == "darwin" else 2**10
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / per_mib)


def fresh(folder: Path) -> Path:
    """Return the folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def shares(profile: Path, count: int = 8) -> list[str]:
    """Return the functions with the largest own time of a profile, each with its share of the whole."""
    stats = pstats.Stats(str(profile)).stats  # type: ignore[attr-defined]
    whole = sum(entry[2] for entry in stats.values()) or 1.0
    order = sorted(stats.items(), key=lambda item: -item[1][2])[:count]
    return [
        f"{100 * own[2] / whole:5.1f} %  {Path(file).name}:{line} {name}" for (file, line, name), own in order
    ]


def git(*words: str, source: Path) -> str:
    """Return what git says of a repository."""
    done = subprocess.run(["git", "-C", str(source), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(words)}: {last_line(done.stderr)}")
    return done.stdout.strip()


def tree_here(source: Path, folder: Path) -> Tree:
    """Return the version that this script belongs to; a commit that was changed ends in -dirty."""
    commit = git("rev-parse", "--short=9", "HEAD", source=source)
    if git("status", "--porcelain", "--untracked-files=no", source=source):
        commit += "-dirty"
    return Tree(source, commit, folder / commit)


def tree_of(reference: str, source: Path, folder: Path) -> Tree:
    """Return an earlier version, checked out into a work tree that stays for the next comparison."""
    commit = git("rev-parse", "--short=9", "--verify", f"{reference}^{{commit}}", source=source)
    place = folder / "trees" / commit
    if not place.exists():
        git("worktree", "prune", source=source)
        git("worktree", "add", "--quiet", "--detach", str(place), commit, source=source)
    return Tree(place, commit, folder / commit)


def machine(tree: Tree) -> dict[str, str]:
    """Return CPU model, cores, load, versions, BLAS and the measured rate of dgemm (one thread, GF/s)."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), model)
    rate, blas = tree.output([sys.executable, str(CHILD), "rate"]).strip().split(maxsplit=1)
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "cpu_model": model,
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "dgemm_gflops": rate,
        "blas": blas,
        "python": platform.python_version(),
        "versions": " ".join(f"{name}={version}" for name, version in versions.items()),
    }
