"""Devices of torch, by the name that a configuration gives."""

from __future__ import annotations

import torch

from aenet_gpr_cli.errors import ConfigError


def open_device(name: str) -> torch.device:
    """Return the device ``name``, as torch names it: cpu, cuda, cuda:1.

    Raises
    ------
    ConfigError
        If there is no such device here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, dtype=torch.float64, device=device).cpu()  # meta has no numbers to give back
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise ConfigError(
            f"device: expected cpu or an available accelerator such as cuda, got {name!r}"
        ) from error
    return device
