"""Blocks that get smaller when the memory of a device, or of the machine, is exhausted.

Everything that is evaluated in blocks gives the same for any size of them, so that a block that does not fit
is halved and tried again, down to a single structure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from aenet_gpr_cli.errors import is_out_of_memory

Index = TypeVar("Index", Tensor, range)
Result = TypeVar("Result")


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

        Yields
        ------
        tuple of the piece and the result

        Raises
        ------
        MemoryError, RuntimeError
            If a single structure does not fit; any other error of the function.
        """
        start = 0
        while start < len(index):
            piece = index[start : start + self.size]
            try:
                result = function(piece)
            except (MemoryError, RuntimeError) as error:
                if len(piece) == 1 or not is_out_of_memory(error):
                    raise
                self.size = (len(piece) + 1) // 2
            else:
                yield piece, result
                start += len(piece)
                continue
            if torch.cuda.is_initialized():  # after the error, which holds the tensors of the failed piece
                torch.cuda.empty_cache()
