"""Pieces of work for processes of their own; they import this module, so it imports little."""

from __future__ import annotations

import logging
import os
import signal
import time

from aenet_gpr_cli.errors import NumericalError


def square(number, progress):
    """Report, log, and return a square."""
    progress(0, 1, "squaring")
    logging.getLogger("aenet_gpr_cli").warning("got %d", number)
    return number**2


def fragile(how, progress):
    """End in the way that is asked for."""
    if how == "expected":
        raise NumericalError("no solution")
    if how == "bug":
        return 1 // 0
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return how


def endless(seconds, progress):
    """Work in small steps until told to stop, or for some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        progress(0, 1, "working")
        time.sleep(0.01)
    return seconds


def threads(_, progress):
    """Return how many threads BLAS may use here."""
    import numpy  # noqa: F401
    from threadpoolctl import threadpool_info

    return max(pool["num_threads"] for pool in threadpool_info())
