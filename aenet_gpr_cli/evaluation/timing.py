"""Wall time and peak memory of this process, for artefacts and for the benchmark.

Owns the measurement only: what is measured, and in which fresh process, is the benchmark's business.
"""

from __future__ import annotations

import contextlib
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from aenet_gpr_cli.errors import InputError

# getrusage reports kibibytes on Linux and bytes on macOS
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class EpochTiming:
    """Time per epoch of a training, and what it took in memory.

    Attributes
    ----------
    seconds_per_epoch : float, s
        Median over the epochs after the warm-up: one disturbed epoch does not count.
    fastest, slowest : float, s
    n_epochs : int
        Epochs measured.
    peak_memory : int, bytes
        Largest resident memory of the process so far.
    """

    seconds_per_epoch: float
    fastest: float
    slowest: float
    n_epochs: int
    peak_memory: int


class Stopwatch:
    """Measure the wall time of a ``with`` block and the peak memory of the process at its end.

    Attributes
    ----------
    seconds : float, s
        Time since the block began, or the whole of it once it has ended.
    peak_memory : int, bytes

    Examples
    --------
    >>> with Stopwatch() as watch:
    ...     total = sum(range(1000))
    >>> watch.seconds >= 0.0 and watch.peak_memory > 0
    True
    """

    def __enter__(self) -> Stopwatch:
        self._start = time.perf_counter()
        self._seconds: float | None = None
        return self

    def __exit__(self, *exception: object) -> None:
        self._seconds = time.perf_counter() - self._start

    @property
    def seconds(self) -> float:
        """Wall time, s."""
        return time.perf_counter() - self._start if self._seconds is None else self._seconds

    @property
    def peak_memory(self) -> int:
        """Largest resident memory of the process so far, bytes."""
        return peak_memory()


def peak_memory() -> int:
    """Measure the largest resident memory that this process has had since it started.

    Returns
    -------
    int, bytes
        Never falls: measure each point of a benchmark in a fresh process.

    Notes
    -----
    On Linux from ``VmHWM``, because ``getrusage`` hands the peak of the parent on to a process it starts.
    """
    with contextlib.suppress(OSError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024  # kB in the file are kibibytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT


def current_memory() -> int:
    """Measure the resident memory of this process now.

    Returns
    -------
    int, bytes
    """
    return psutil.Process().memory_info().rss


def time_epochs(epoch: Callable[[], object], n_epochs: int, n_warmup: int) -> EpochTiming:
    """Measure the time per epoch of a training.

    Parameters
    ----------
    epoch : callable without arguments
        Runs one whole epoch.
    n_epochs : int
        Epochs to measure, at least one.
    n_warmup : int
        Epochs before that, not measured: compilation, allocation and caches belong to the first.

    Returns
    -------
    EpochTiming

    Raises
    ------
    InputError
        If no epoch is to be measured.
    """
    if n_epochs < 1 or n_warmup < 0:
        raise InputError(f"timing: expected at least one epoch, got {n_epochs} after {n_warmup} for warm-up")
    for _ in range(n_warmup):
        epoch()
    seconds = []
    for _ in range(n_epochs):
        with Stopwatch() as watch:
            epoch()
        seconds.append(watch.seconds)
    return EpochTiming(statistics.median(seconds), min(seconds), max(seconds), n_epochs, peak_memory())
