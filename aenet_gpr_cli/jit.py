"""Options of compiled loops whose sums may be reordered: the same in all, so that they round the same way.

Loops without long sums, such as those of neighbour lists, take numba's own decorator. numba keeps compiled
code until the file of a function changes: after a change of this one remove ``__pycache__``. As it does not
follow calls either, a compiled function calls none of another file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])
_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",  # a check for division by zero would prevent SIMD
    # Sums may be reordered to use SIMD, which costs no accuracy; NaN and infinity keep their meaning.
    "fastmath": {"reassoc", "contract", "nsz"},
}
# What compiled code calls has to be inlined: a copy of its own may round differently, and a process that
# compiles calls another copy than one that reads the cache.
_SHARED = _OPTIONS | {"forceinline": True}
# Without entries from Python and C it compiles faster.
_INNER = _SHARED | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def loop(function: F) -> F:
    """Compile what Python calls."""
    return cast(F, njit(**_OPTIONS)(function))


def shared(function: F) -> F:
    """Compile what Python and compiled code of the same file call."""
    return cast(F, njit(**_SHARED)(function))


def part(function: F) -> F:
    """Compile what only compiled code of the same file calls."""
    return cast(F, njit(**_INNER)(function))


def inlined(function: F) -> F:
    """Compile the same, inlined before types are known: for what returns arrays or takes functions."""
    return cast(F, njit(inline="always", **_INNER)(function))
