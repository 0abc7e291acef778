"""Work in portions: blocks that shrink when memory is exhausted, and members side by side in threads.

Everything that is evaluated in blocks gives the same for any size of them, so that a block that does not fit
is halved and tried again, down to a single structure.

Products as small as those of one member, or a batch, do not gain from more threads of OpenBLAS, they lose: a
fifth with Levenberg-Marquardt, up to nine times with AdamW, on two cores. Members in threads of their own
gain as much as there are cores. Compiled loops and numpy's BLAS let other threads run, scipy's do not.
Results do not depend on the number of threads.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from threadpoolctl import threadpool_limits

from aenet_gpr_cli.errors import is_out_of_memory
from aenet_gpr_cli.structures import IntArray

if TYPE_CHECKING:
    from torch import Tensor

Index = TypeVar("Index", "Tensor", range)
Result = TypeVar("Result")
Work = Callable[[IntArray], None]
Each = Callable[[Work, Sequence[IntArray]], None]


@dataclass(slots=True)
class Pieces:
    """How many structures are evaluated at a time, as long as they fit.

    Attributes
    ----------
    size : int
        Halved whenever a piece did not fit.
    """

    size: int

    def evaluate(self, index: Index, function: Callable[[Index], Result]) -> Iterator[tuple[Index, Result]]:
        """Evaluate structures in pieces, in order.

        Parameters
        ----------
        index : tensor of int, or range
            Structures.
        function : callable
            Takes a piece of the index; called again with less after it has failed, so it must not leave
            anything half done.

        Raises
        ------
        MemoryError, RuntimeError, SystemError
            If a single structure does not fit; any other error of the function.
        """
        start = 0
        while start < len(index):
            piece = index[start : start + self.size]
            try:
                result = function(piece)
            except (MemoryError, RuntimeError, SystemError) as error:
                if len(piece) == 1 or not is_out_of_memory(error):
                    raise
                self.size = (len(piece) + 1) // 2
            else:
                yield piece, result
                start += len(piece)
                continue
            torch = sys.modules.get("torch")  # where nobody has imported it, no device is in use
            if torch and torch.cuda.is_initialized():  # after the error, which holds the tensors of the piece
                torch.cuda.empty_cache()


@contextmanager
def one_thread() -> Iterator[int]:
    """Let BLAS and torch use one thread.

    Yields
    ------
    int
        How many they had: OMP_NUM_THREADS, or the cores.
    """
    import torch

    allowed = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, "blas"):
            yield allowed
    finally:
        torch.set_num_threads(allowed)


@contextmanager
def workers(most: int) -> Iterator[Each]:
    """Make threads that share the cores this process may use.

    Parameters
    ----------
    most : int
        Threads that memory allows; at least 1.

    Yields
    ------
    callable
        ``each(work, members)`` calls ``work(some)`` for each array of members, waits for all, and raises what
        the first of them raised.
    """
    with one_thread() as allowed, ThreadPoolExecutor(max(1, min(most, allowed))) as pool:

        def each(work: Work, members: Sequence[IntArray]) -> None:
            for _ in pool.map(work, members):
                pass

        yield each


@contextmanager
def alone() -> Iterator[Each]:
    """Call one after another; see `workers`."""

    def each(work: Work, members: Sequence[IntArray]) -> None:
        for some in members:
            work(some)

    yield each
