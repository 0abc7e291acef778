"""Sums over the processes of a data-parallel training; without a process group everything is a no-op.

Each process holds the structures i with i % size == rank. All hold the same weights and take the same steps,
because whatever decides a step is summed first. `session` opens the group that ``torchrun`` describes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, distributed

from aenet_gpr_cli.errors import InterruptedRun
from aenet_gpr_cli.structures import FloatArray, IntArray


def size() -> int:
    """Return the number of processes, 1 without a group."""
    return distributed.get_world_size() if _running() else 1


def rank() -> int:
    """Return the number of this process, 0 without a group."""
    return distributed.get_rank() if _running() else 0


def share(n: int) -> IntArray:
    """Return which of n structures this process holds.

    Parameters
    ----------
    n : int

    Returns
    -------
    ndarray of int, ascending
    """
    return np.arange(rank(), n, size())


def add(tensor: Tensor) -> Tensor:
    """Sum a tensor over the processes, in place.

    Parameters
    ----------
    tensor : tensor
        Of the same shape everywhere; on the device of the training.

    Returns
    -------
    tensor
        The same one.

    Raises
    ------
    InterruptedRun
        If another process is gone; so in all functions that talk to the others.
    """
    return _reduce(tensor, distributed.ReduceOp.SUM) if _running() else tensor


def add_array(values: FloatArray, device: str) -> FloatArray:
    """Return the sum of an array over the processes.

    Parameters
    ----------
    values : ndarray
    device : str
        Of the training.

    Returns
    -------
    ndarray
    """
    return add(torch.as_tensor(values, device=device)).cpu().numpy() if _running() else values


def largest(values: FloatArray, device: str) -> FloatArray:
    """Return the largest values over the processes.

    Parameters
    ----------
    values : ndarray
    device : str
        Of the training.

    Returns
    -------
    ndarray
    """
    if not _running():
        return values
    tensor = torch.as_tensor(values, device=device)
    return _reduce(tensor, distributed.ReduceOp.MAX).cpu().numpy()


def anywhere(flag: bool, device: str) -> bool:
    """Return whether a flag is set in any process: a signal may reach one of them first.

    Parameters
    ----------
    flag : bool
    device : str
        Of the training.

    Returns
    -------
    bool
    """
    return bool(largest(np.array([float(flag)]), device)[0])


def wait(device: str) -> None:
    """Wait until all processes have come this far.

    Parameters
    ----------
    device : str
        Of the training.
    """
    anywhere(False, device)


@contextmanager
def session(device: str) -> Iterator[str]:
    """Open the process group that ``torchrun`` describes in the environment; nothing without it.

    Parameters
    ----------
    device : str
        ``cpu`` (gloo) or ``cuda`` (NCCL, one device per process of a machine).

    Yields
    ------
    str
        The device of this process.
    """
    if _running() or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    own = device
    if device == "cuda":
        own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(own)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield own
    finally:
        distributed.destroy_process_group()


def _reduce(tensor: Tensor, operation: distributed.ReduceOp.RedOpType) -> Tensor:
    try:
        distributed.all_reduce(tensor, op=operation)
    except RuntimeError as error:  # gloo's and NCCL's when a connection breaks
        raise InterruptedRun(
            f"process {rank()} of {size()} lost another one of this training; what that one said tells why. "
            "The same command goes on from the last checkpoint"
        ) from error
    return tensor


def _running() -> bool:
    return distributed.is_available() and distributed.is_initialized()
