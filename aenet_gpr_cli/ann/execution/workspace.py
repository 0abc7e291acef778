"""Large arrays that are kept from one iteration to the next.

A fresh array of tens of megabytes costs about as much as filling it once: the system clears each of its
pages. Whoever iterates owns a workspace, and hands it to what it calls; there is none that all share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

ALIGNMENT = 64  # bytes: BLAS may round differently for others, and a resumed run must not


class Workspace:
    """Arrays by name, of one thread at a time."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def array(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """Return a contiguous array that holds anything; the last one of this name must not be used further.

        Parameters
        ----------
        name : str
            The memory of an earlier array of this name is used again where it is enough.
        like : tensor
            Has the dtype and device.
        shape : int
        """
        size = math.prod(shape)
        kept = self._kept.pop(name, None)
        if kept is None or kept.numel() < size or kept.dtype != like.dtype or kept.device != like.device:
            del kept  # before the next is made
            kept = _empty(like, size)
        self._kept[name] = kept
        return kept[:size].view(shape)


class Workspaces:
    """As many workspaces as there are threads that ask for one."""

    def __init__(self) -> None:
        self._free: list[Workspace] = []

    @contextmanager
    def one(self) -> Iterator[Workspace]:
        """Lend a workspace.

        Yields
        ------
        Workspace
        """
        try:
            room = self._free.pop()
        except IndexError:
            room = Workspace()
        try:
            yield room
        finally:
            self._free.append(room)


def _empty(like: Tensor, size: int) -> Tensor:
    if like.device.type != "cpu":
        return like.new_empty(size)
    # numpy asks the system for huge pages, torch does not: up to a twentieth of the time of products
    spare = ALIGNMENT // like.element_size()
    array = np.empty(size + spare, torch.empty(0, dtype=like.dtype).numpy().dtype)
    first = -array.ctypes.data % ALIGNMENT // like.element_size()
    return torch.from_numpy(array[first : first + size])
