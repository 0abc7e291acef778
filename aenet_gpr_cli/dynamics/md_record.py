"""What is noted along the way, and whether the run may go on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.dynamics.evaluation import Evaluation
from aenet_gpr_cli.dynamics.integrator import Bath, Motion, degrees_of_freedom
from aenet_gpr_cli.structures import FloatArray
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import BOLTZMANN, FS_PER_TIME_UNIT, GPA_PER_EV_PER_CUBIC_ANGSTROM, MEV_PER_EV

COLUMNS = (
    "step", "time_ps", "potential_energy_eV", "kinetic_energy_eV", "total_energy_eV", "conserved_energy_eV",
    "temperature_K", "pressure_GPa", "volume_A3", "energy_std_eV", "atoms_outside", "largest_beyond",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fences:
    """Limits that end a run.

    Attributes
    ----------
    temperature : float, K
    sigma : float or None, eV
    beyond : float or None, dimensionless
        In the unit of what the potential says.
    volume : float, Å³
        Of the cell, at least: each step of a collapsing one has more neighbours, and takes more memory.
    """

    temperature: float
    sigma: float | None = None
    beyond: float | None = None
    volume: float = 0.0


def temperature_of(motion: Motion, bath: Bath | None) -> float:
    """Return 2K / (f k_B), K."""
    return 2.0 * motion.kinetic_energy / (degrees_of_freedom(motion, bath) * BOLTZMANN)


def row_of(motion: Motion, found: Evaluation, bath: Bath | None, time_step: float) -> FloatArray:
    """Return the numbers of `COLUMNS`; NaN where something is not known.

    The conserved energy is E + K less the heat of the thermostat; with a barostat none is known.

    Parameters
    ----------
    found : Evaluation
        Of these positions.
    """
    kinetic, nan = motion.kinetic_energy, np.nan
    total = found.energy + kinetic
    known = motion.volume > 0.0 and found.strain_gradient is not None
    strained = bath is not None and bath.barostat_time is not None
    beyond, farthest = found.beyond, found.largest_beyond
    return np.array(
        [
            motion.step,
            motion.step * time_step * FS_PER_TIME_UNIT * 1e-3,
            found.energy,
            kinetic,
            total,
            nan if strained else total - motion.heat,
            temperature_of(motion, bath),
            motion.pressure(found.strain_gradient) * GPA_PER_EV_PER_CUBIC_ANGSTROM
            if known and found.strain_gradient is not None
            else nan,
            motion.volume if motion.cell is not None else nan,
            nan if found.sigma is None else found.sigma,
            nan if beyond is None else np.count_nonzero(beyond > 0.0),
            nan if farthest is None else farthest,
        ]
    )


def crossed(fences: Fences, motion: Motion, found: Evaluation, bath: Bath | None) -> str | None:
    """Return which fence was crossed, with key and numbers, or None.

    Parameters
    ----------
    found : Evaluation
        Where it has no σ, or nothing about the training data, these fences are not asked.
    """
    temperature = temperature_of(motion, bath)
    # not (... < ...): NaN is beyond every fence
    if not temperature < fences.temperature or not np.isfinite(found.energy):
        limit = rounded(fences.temperature)
        return f"the temperature is {rounded(temperature)} K, above stop_temperature = {limit} K"
    if motion.volume < fences.volume:
        return (
            f"the cell collapses, its volume is {rounded(motion.volume)} Å³; expected at least "
            f"{rounded(fences.volume)} Å³: a lower pressure_gpa, or a longer barostat_ps"
        )
    if fences.sigma is not None and found.sigma is not None and not found.sigma < fences.sigma:
        return f"σ of the energy is {rounded(found.sigma)} eV, above stop_sigma = {rounded(fences.sigma)} eV"
    worst = found.largest_beyond
    if fences.beyond is not None and worst is not None and not worst < fences.beyond:
        what = "the structure" if found.beyond is None else "an atom"
        return (
            f"{what} is outside the training data by {worst:.0%} of {found.beyond_unit}, above "
            f"stop_beyond = {rounded(fences.beyond)}"
        )
    return None


def drift(table: FloatArray, n_atoms: int) -> float:
    """Return the slope of a straight line through the conserved energy, meV per atom and ps.

    Parameters
    ----------
    table : ndarray of shape (n_rows, n_columns)
        Of `row_of`.

    Returns
    -------
    float
        NaN where there are fewer than three rows, or no conserved energy.
    """
    time, energy = (table[:, COLUMNS.index(name)] for name in ("time_ps", "conserved_energy_eV"))
    if len(table) < 3 or not np.isfinite(energy).all():
        return np.nan
    time = time - time.mean()
    return float(time @ (energy - energy.mean()) / (time @ time)) / n_atoms * MEV_PER_EV
