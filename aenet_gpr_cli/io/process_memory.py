"""Resident memory of this process: what it takes now, and the most that it has taken."""

from __future__ import annotations

import contextlib
import sys

# getrusage reports kibibytes on Linux and bytes on macOS
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def peak_memory() -> int:
    """Measure the largest resident memory that this process has had since it started, bytes.

    It never falls: measure each point of a benchmark in a fresh process. On Linux it comes from ``VmHWM``,
    because ``getrusage`` hands the peak of the parent on to a process that it starts.
    """
    with contextlib.suppress(OSError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024  # kB in the file are kibibytes
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT


def current_memory() -> int:
    """Measure the resident memory of this process now, bytes."""
    import psutil

    return psutil.Process().memory_info().rss
