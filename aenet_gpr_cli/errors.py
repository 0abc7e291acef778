"""Exceptions that reach the user, each with its exit code.

A message says what happened, what was expected, what was found, and what to change.
Anything that is not one of these is a bug and ends with a traceback.
"""

from __future__ import annotations

import errno

EXHAUSTED = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN,
    errno.EROFS,
)  # fmt: skip


class AenetGprError(Exception):
    """Base of all expected failures."""

    exit_code = 1


class InputError(AenetGprError):
    """Bad data: unreadable, incomplete or inconsistent structures or artefacts."""

    exit_code = 2


class AtomsCoincide(InputError):
    """Two atoms of a structure are at one place."""


class ConfigError(AenetGprError):
    """Bad configuration: unknown key, wrong type, impossible value."""

    exit_code = 2


class NumericalError(AenetGprError):
    """A factorisation or an optimisation failed."""

    exit_code = 3


class ResourceError(AenetGprError):
    """Not enough memory, disk or accelerator."""

    exit_code = 4


class InterruptedRun(AenetGprError):
    """Stopped by a signal after a complete checkpoint; the run can be resumed."""

    exit_code = 75


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is exhausted, that of a device or of the machine.

    Parameters
    ----------
    error : BaseException
        Torch and its libraries raise RuntimeErrors that differ in their text only; compiled modules that get
        no memory may fail without an exception of their own, which the interpreter reports as a SystemError.
    """
    text = str(error).lower()
    if isinstance(error, SystemError):
        return "without exception set" in text or "without setting an exception" in text
    # of CUDA, torch on a CPU, cuBLAS, the loader of libraries, Python where it gets no thread
    signs = ("out of memory", "can't allocate memory", "alloc_failed", "failed to map segment", "new thread")
    said = isinstance(error, RuntimeError | ImportError) and any(sign in text for sign in signs)
    return said or isinstance(error, MemoryError)


def is_exhausted(error: BaseException) -> bool:
    """Whether the operating system has no more of something: disk, quota, open files, memory."""
    return isinstance(error, OSError) and error.errno in EXHAUSTED
