"""Small synthetic molecules with a smooth pair potential, and short notation for the keys of a training."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from aenet_gpr_cli.ann.training_settings import AdamW, Training
from aenet_gpr_cli.structures import StructureSet


def labelled(species, positions, prefix="s", cells=None, pbc=(False, False, False)):
    """Label structures with sum over pairs of (r - 1.5)² / 2 within the molecule, and its forces."""
    d = positions[:, :, None] - positions[:, None]
    r = np.linalg.norm(d, axis=-1) + np.eye(len(species))
    off = 1.0 - np.eye(len(species))
    energies = 0.25 * (off * (r - 1.5) ** 2).sum((1, 2)) - 10.0 * len(species)
    forces = -((off * (r - 1.5) / r)[..., None] * d).sum(2)
    names = tuple(f"{prefix}{i}" for i in range(len(positions)))
    return StructureSet(species, positions, cells, pbc, energies, forces, names=names)


def molecules(species, n, seed, spread=0.15):
    rng = np.random.default_rng(seed)
    grid = np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)], float)[: len(species)]
    return labelled(
        species, 1.1 * grid + spread * rng.standard_normal((n, len(species), 3)), "x".join(species)
    )


class Forces(NamedTuple):
    """Which forces are trained on, and the bytes for their Jacobians."""

    fraction: float
    select: str
    memory: int


def changed(settings, **keys):
    """`replace`, with short notation for keys of a training: optimizer, forces, hidden and activation."""
    if not isinstance(settings, Training):
        return replace(settings, **keys)
    if (optimizer := keys.pop("optimizer", None)) is not None:
        name = "adamw" if isinstance(optimizer, AdamW) else "levenberg_marquardt"
        keys |= {"optimiser": name, name: optimizer}
    network = {name: keys.pop(name) for name in ("hidden", "activation") if name in keys}
    if network:
        keys["network"] = replace(settings.network, **network)
    if "forces" in keys:
        forces = keys.pop("forces")
        keys["mode"] = "energy_only" if forces is None else "direct"
        if forces is not None:
            loss = keys.get("loss", settings.loss)
            keys["loss"] = replace(loss, force_fraction=forces.fraction, force_selection=forces.select)
            keys["jacobian_memory_gib"] = forces.memory / 2**30
    return replace(settings, **keys)
