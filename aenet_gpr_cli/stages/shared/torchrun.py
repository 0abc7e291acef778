"""The processes that ``torchrun`` starts, as a training sees them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aenet_gpr_cli.ann.execution.surroundings import Processes
from aenet_gpr_cli.errors import InterruptedRun
from aenet_gpr_cli.structures import FloatArray

if TYPE_CHECKING:
    from torch import Tensor


class TorchProcesses(Processes):
    """Sums over an open process group; all raise `InterruptedRun` if another process is gone.

    Parameters
    ----------
    device : str
        Of the training in this process: gloo talks between CPUs, NCCL between CUDA devices.
    """

    def __init__(self, device: str) -> None:
        from torch import distributed

        self.device = device
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def add(self, tensor: Tensor) -> Tensor:
        """See `Processes`."""
        from torch import distributed

        return self._reduce(tensor, distributed.ReduceOp.SUM)

    def add_array(self, values: FloatArray) -> FloatArray:
        """See `Processes`."""
        import torch

        total: FloatArray = self.add(torch.as_tensor(values, device=self.device)).cpu().numpy()
        return total

    def largest(self, values: FloatArray) -> FloatArray:
        """See `Processes`."""
        import torch
        from torch import distributed

        tensor = torch.as_tensor(values, device=self.device)
        found: FloatArray = self._reduce(tensor, distributed.ReduceOp.MAX).cpu().numpy()
        return found

    def _reduce(self, tensor: Tensor, operation: object) -> Tensor:
        from torch import distributed

        try:
            distributed.all_reduce(tensor, op=operation)
        except RuntimeError as error:  # gloo's and NCCL's when a connection breaks
            raise InterruptedRun(
                f"process {self.rank} of {self.size} lost another one of this training; its own message says "
                "why. The same command goes on from the last checkpoint"
            ) from error
        return tensor


@contextmanager
def torchrun_processes(device: str) -> Iterator[tuple[Processes, str]]:
    """Open the process group that ``torchrun`` describes in the environment; without it: one process.

    Parameters
    ----------
    device : str
        ``cpu`` or ``cuda``, of which each process of a machine takes one.

    Yields
    ------
    processes : Processes
    device : str
        Of this process.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(), device
        return
    import torch
    from torch import distributed

    own = device
    if device == "cuda":
        own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(own)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield TorchProcesses(own), own
    finally:
        distributed.destroy_process_group()
