"""What a run starts from and how far it goes: the structure, its fixed atoms, time step and steps."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from aenet_gpr_cli.augmentation.displacements import free_atoms
from aenet_gpr_cli.config.stages.md_config import MOST_STEPS, MdConfig
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.io.formats.prediction_files import read_fixed_atoms
from aenet_gpr_cli.stages.shared.bulk import require_bulk
from aenet_gpr_cli.stages.shared.context import log
from aenet_gpr_cli.structures import Structure, StructureSet
from aenet_gpr_cli.subsystems.contacts import close_contacts

STEP_WITH_HYDROGEN, STEP_WITH_LIGHT, STEP = 0.5, 1.0, 2.0  # fs; light: up to neon
NEON = 10
ROUNDING = 1e-9  # of a time in ps
TOO_CLOSE = 0.3  # Å; the shortest bond, that of H2, has 0.74


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run starts from, and how far it goes.

    Attributes
    ----------
    structure : Structure
    time_step : float, fs
    n_steps : int
    what : str
        All of it in words.
    fixed : tuple of int
        Atoms that do not move, from 0.
    """

    structure: Structure
    time_step: float
    n_steps: int
    what: str
    fixed: tuple[int, ...] = ()

    @property
    def free(self) -> NDArray[np.bool_] | None:
        """Which atoms move, shape (n_atoms,); None for all."""
        return free_atoms(StructureSet.from_structures([self.structure]), self.fixed) if self.fixed else None


def make_plan(config: MdConfig, structures: list[Structure], start: Path) -> Plan:
    """Choose the structure, the time step and the number of steps of a run.

    Parameters
    ----------
    structures : list of Structure
        All of the file ``start``.

    Raises
    ------
    ConfigError
        If there is no such structure, there would be no step or too many, or atoms are fixed that may not be.
    InputError
        If atoms are at one place, the structure does not fill its cell where that is to change, or the file
        has constraints other than fixed atoms.
    """
    structure = _choose(structures, config, start)
    if config.ensemble == "npt":
        require_bulk(structure, "npt", config.largest_gap, "use ensemble: nvt")
    time_step = config.timestep_fs or default_time_step(structure.species)
    n_steps = round(config.time_ps * 1e3 / time_step)
    if config.time_ps * 1e3 * (1.0 + ROUNDING) < time_step:
        raise ConfigError(
            f"time_ps: expected at least one step, {time_step:g} fs, got {config.time_ps * 1e3:g} fs; give a "
            "longer time, or a shorter timestep_fs"
        )
    if n_steps > MOST_STEPS:
        raise ConfigError(f"time_ps: expected at most {MOST_STEPS:,} steps, got {n_steps:,}")
    steps = f"{n_steps:,} step{'s' * (n_steps != 1)}"
    what = f"{steps} of {time_step:g} fs, {config.ensemble.upper()}, {structure.formula}"
    fixed = _fixed(config, structure, frame_of(config) % len(structures), start)
    what += f", {len(fixed)} of {structure.n_atoms} atoms fixed" if fixed else ""
    return Plan(structure, time_step, n_steps, what, fixed)


def frame_of(config: MdConfig) -> int:
    """Return which structure of the file a run starts from."""
    return config.frame + (config.replica - 1 if config.replica and config.each_frame else 0)


def default_time_step(species: tuple[str, ...]) -> float:
    """Return the time step for the lightest element, fs."""
    lightest = min(atomic_numbers[s] for s in species)
    return STEP_WITH_HYDROGEN if lightest == 1 else STEP_WITH_LIGHT if lightest <= NEON else STEP


def level_of(config: MdConfig) -> int:
    """Return the level of what is said of a run: of many replicas it is too much."""
    return logging.DEBUG if config.replica else logging.INFO


def _choose(structures: list[Structure], config: MdConfig, start: Path) -> Structure:
    n, number = len(structures), frame_of(config)
    if not -n <= number < n or (config.frame < 0 <= number):
        key = f"frame of replica {config.replica}" if number != config.frame else "frame"
        raise ConfigError(f"{key}: {start} has {n} structures, counted from 0; got {number}")
    structure = structures[number]
    for _, i, j, distance in close_contacts(StructureSet.from_structures([structure]), TOO_CLOSE):
        raise InputError(
            f"{structure.name}: expected atoms at least {TOO_CLOSE:g} Å apart, got atoms {i} and {j} at "
            f"{distance:.3g} Å; no model knows such forces, start from another structure"
        )
    if n > 1:
        log.log(level_of(config), "%s: structure %d of %d (key frame)", start, number % n, n)
    return structure


def _fixed(config: MdConfig, structure: Structure, frame: int, start: Path) -> tuple[int, ...]:
    """Return the atoms that do not move, by the key or by constraints of the file."""
    fixed, whose = config.fixed_atoms, ""
    if fixed is None:
        fixed = read_fixed_atoms(start, frame, structure.n_atoms)
        whose = f" by constraints of {start}"
    free = free_atoms(StructureSet.from_structures([structure]), fixed)
    n_fixed = int((~free).sum())
    got = f"got {n_fixed} of {structure.n_atoms}{whose}"
    if n_fixed and config.ensemble == "npt":
        raise ConfigError(
            f"npt: expected no fixed atoms, as the cell moves all of them, {got}; fixed_atoms: [] lets them "
            "move, nvt keeps them where they are"
        )
    if not free.any():
        raise ConfigError(f"fixed_atoms: expected an atom that moves, {got}; fixed_atoms: [] lets all move")
    if n_fixed:
        said = "%s: %d atoms are fixed%s (key fixed_atoms)"
        log.log(level_of(config), said, structure.name, n_fixed, whose)
    return tuple(map(int, np.flatnonzero(~free)))
