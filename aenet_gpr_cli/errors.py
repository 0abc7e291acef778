"""Exceptions that reach the user, each with its exit code.

A message says what happened, what was expected, what was found, and what to change.
Anything that is not one of these is a bug and ends with a traceback.
"""

from __future__ import annotations


class AenetGprError(Exception):
    """Base of all expected failures."""

    exit_code = 1


class InputError(AenetGprError):
    """Bad data: unreadable, incomplete or inconsistent structures or artefacts."""

    exit_code = 2


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
