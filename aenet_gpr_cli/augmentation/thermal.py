"""Copies by short Langevin runs on the surface of the surrogate, with σ as the fence.

Owns the integrator (BAOAB: Leimkuhler and Matthews, Appl. Math. Res. eXpress 2013, 34). A run that
crosses the fence goes back to where it was at the last look, with its velocities reversed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.augmentation.displacements import atomic_masses
from aenet_gpr_cli.augmentation.random_streams import standard_normal
from aenet_gpr_cli.structures import FloatArray, StructureSet
from aenet_gpr_cli.units import ACCELERATION, BOLTZMANN

Function = Callable[[FloatArray], FloatArray]
RUNS_AT_ONCE = 256  # bounds the memory of the random numbers


@dataclass(frozen=True, slots=True)
class ThermalSettings:
    """A short run at constant temperature.

    Attributes
    ----------
    temperature : float, K
    timestep : float, fs
    steps : int
    friction : float, 1/fs
    fence : float, eV
        Largest σ of a structure.
    look_every : int
        Steps between looks at σ.
    """

    temperature: float
    timestep: float
    steps: int
    friction: float
    fence: float
    look_every: int


def thermal_shifts(
    structures: StructureSet,
    n_copies: int,
    seed: int,
    free: NDArray[np.bool_],
    forces: Function,
    sigma: Function,
    settings: ThermalSettings,
    first_copy: int = 0,
) -> FloatArray:
    """Return the displacements at the ends of Langevin runs, one run per copy, all from the parent.

    Parameters
    ----------
    structures : StructureSet
    n_copies : int
    seed : int
    free : ndarray of bool, shape (n_atoms,)
        Atoms that move.
    forces : callable, (m, n_atoms, 3) Å -> (m, n_atoms, 3) eV/Å
    sigma : callable, (m, n_atoms, 3) Å -> (m,) eV
    settings : ThermalSettings
    first_copy : int

    Returns
    -------
    ndarray of shape (n_structures, n_copies, n_atoms, 3), Å
    """
    out = np.empty((len(structures), n_copies, structures.n_atoms, 3))
    masses = atomic_masses(structures.species)
    width = 3 * structures.n_atoms
    for parent, name in enumerate(structures.names):
        for start in range(0, n_copies, RUNS_AT_ONCE):
            count = min(RUNS_AT_ONCE, n_copies - start)
            noise = standard_normal(seed, name, count, width * (settings.steps + 1), first_copy + start)
            noise = noise.reshape(count, settings.steps + 1, structures.n_atoms, 3)
            origin = np.repeat(structures.positions[parent][None], count, axis=0)
            ends = langevin(origin, masses, free, noise, forces, sigma, settings)
            out[parent, start : start + count] = ends - origin
    if free.all():
        centre = np.einsum("a,nmax->nmx", masses / masses.sum(), out)  # structure, copy, atom, x
        out -= centre[:, :, None]
    return out


def langevin(
    positions: FloatArray,
    masses: FloatArray,
    free: NDArray[np.bool_],
    noise: FloatArray,
    forces: Function,
    sigma: Function,
    settings: ThermalSettings,
) -> FloatArray:
    """Return the last positions of runs at constant temperature.

    Parameters
    ----------
    positions : ndarray of shape (n_runs, n_atoms, 3), Å
    masses : ndarray of shape (n_atoms,), u
    free : ndarray of bool, shape (n_atoms,)
    noise : ndarray of shape (n_runs, steps + 1, n_atoms, 3), dimensionless
        Standard normal; the first row makes the velocities.
    forces : callable
    sigma : callable
    settings : ThermalSettings

    Returns
    -------
    ndarray of shape (n_runs, n_atoms, 3), Å
    """
    h, kick = settings.timestep, ACCELERATION / masses[:, None] * free[:, None]
    thermal = np.sqrt(BOLTZMANN * settings.temperature * kick)
    keep = np.exp(-settings.friction * h)
    velocities = thermal * noise[:, 0]
    pull = forces(positions)
    kept, kept_velocities, kept_pull = positions, velocities, pull
    for step in range(1, settings.steps + 1):
        velocities = velocities + 0.5 * h * kick * pull
        positions = positions + 0.5 * h * velocities
        velocities = keep * velocities + np.sqrt(1.0 - keep**2) * thermal * noise[:, step]
        positions = positions + 0.5 * h * velocities
        pull = forces(positions)
        velocities = velocities + 0.5 * h * kick * pull
        if step % settings.look_every == 0 or step == settings.steps:
            out = (~(sigma(positions) <= settings.fence))[:, None, None]  # NaN is out
            positions = np.where(out, kept, positions)
            velocities = np.where(out, -kept_velocities, velocities)
            pull = np.where(out, kept_pull, pull)
            kept, kept_velocities, kept_pull = positions, velocities, pull
    return positions
