"""Members of a committee side by side: a thread for each, in which the libraries use one thread alone.

Products as small as those of one member, or a batch, do not gain from more threads of OpenBLAS, they lose: a
fifth with Levenberg-Marquardt, up to nine times with AdamW, on two cores. Members in threads of their own
gain as much as there are cores. Compiled loops and numpy's BLAS let other threads run, scipy's do not.
Results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from aenet_gpr_cli.structures import IntArray

Work = Callable[[IntArray], None]
Each = Callable[[Work, Sequence[IntArray]], None]


@contextmanager
def one_thread() -> Iterator[int]:
    """Let BLAS and torch use one thread.

    Yields
    ------
    int
        How many they had: OMP_NUM_THREADS, or the cores.
    """
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
