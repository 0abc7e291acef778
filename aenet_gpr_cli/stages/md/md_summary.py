"""The table that `md` ends with: conservation, temperature, pressure, what the model knew, and its errors."""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np
from ase.data import atomic_masses, atomic_numbers

from aenet_gpr_cli.ann.potential.extrapolation import WARN_BEYOND
from aenet_gpr_cli.dynamics.integrator import LARGEST_STRAIN
from aenet_gpr_cli.dynamics.md_record import COLUMNS, drift
from aenet_gpr_cli.stages.shared.context import Summary
from aenet_gpr_cli.structures import FloatArray, Structure
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import G_PER_CM3, GPA_PER_EV_PER_CUBIC_ANGSTROM, MEV_PER_EV

FEWEST_ATOMS = 17  # temperatures of fewer fluctuate by more than a fifth, √(2/3N), and volumes accordingly
FEWEST_BLOCKS = 4  # of a series, whose means differ by their error
FEWEST_VALUES = 25  # of a series
INDEPENDENT = 30.0  # values without memory that a series must be worth
OR_MORE = " or more"  # behind an error of the mean that may be too small
HELD = 0.01  # share of the steps from which on the barostat decides the mean pressure and volume
BURST = 2.0  # times the volume at the start, or its inverse
SELDOM, FAR = (
    0.05,
    1.0,
)  # share of the frames, and how far outside an atom is, below which a run is near its data


def summarise(
    file: h5py.File,
    structure: Structure,
    what: str,
    beyond_unit: str,
    seconds: float,
    stopped: str,
    notes: Sequence[str],
) -> Summary:
    """Return the table of a run.

    Parameters
    ----------
    file : h5py.File
        The artefact, complete but for this.
    what : str
        Model, steps, ensemble.
    beyond_unit : str
        Of how far atoms are outside the training data.
    seconds : float
        Of a step; NaN where none was made.
    stopped : str
        When and why; empty for the whole run.
    """
    table = file["table"][()]
    column = {name: table[:, number] for number, name in enumerate(COLUMNS)}
    rows = [["time", f"{rounded(column['time_ps'][-1], 4)} ps"]]
    if np.isfinite(slope := drift(table, structure.n_atoms)):
        rows.append(["drift of the conserved energy", f"{round(slope, 4) + 0.0:+.4f} meV/atom/ps"])
    later = slice(len(table) // 2, None)
    column["density"] = mass_of(structure) / column["volume_A3"] * G_PER_CM3
    for name, label, unit in (
        ("temperature_K", "temperature, second half", "K"),
        ("pressure_GPa", "pressure, second half", "GPa"),
        ("volume_A3", "volume, second half", "Å³"),
        ("density", "density, second half", "g/cm³"),
    ):
        values = column[name][later]
        if np.isfinite(values).any() and (name not in ("volume_A3", "density") or np.ptp(values) > 0.0):
            rows.append([label, _mean_of(values, unit)])
    atoms = f"of {structure.n_atoms}, however far"
    for name, label, factor, unit in (
        ("energy_std_eV", "largest σ of the energy", MEV_PER_EV / structure.n_atoms, "meV/atom"),
        ("atoms_outside", "most atoms outside the training range", 1.0, atoms),
        ("largest_beyond", "farthest outside", 1.0, f"of {beyond_unit}"),
    ):
        if np.isfinite(column[name]).any():
            rows.append([label, f"{rounded(np.nanmax(column[name]) * factor)} {unit}"])
    rows += _against_reference(file["trajectory"], structure)
    if np.isfinite(seconds):
        rows.append(["time of a step", f"{seconds * 1e3:.2f} ms"])
    lines = [f"warning: stopped {stopped}"] if stopped else []
    lines.append(_about_means(" ".join(cell for row in rows for cell in row)))
    if np.ptp(column["volume_A3"]) > 0.0 and structure.n_atoms < FEWEST_ATOMS:
        lines.append(
            f"warning: the volume is that of {structure.n_atoms} atoms whose images move alike: its "
            "fluctuations, and its mean, are those of a tiny cell; start from a supercell"
        )
    lines += _volume_of(column["volume_A3"], int(column["step"][-1]), int(file.attrs["held_steps"]))
    who = "an atom" if np.isfinite(column["atoms_outside"]).any() else "the structure"
    closing = _left(column["time_ps"], column["largest_beyond"], beyond_unit, stopped, who)
    return Summary(f"Molecular dynamics: {what}", ("", ""), rows, [*lines, *notes], closing=closing)


def mass_of(structure: Structure) -> float:
    """Return the mass of all atoms, u."""
    return float(sum(atomic_masses[atomic_numbers[s]] for s in structure.species))


def _about_means(said: str) -> str:
    """Explain the signs that a table has behind its means."""
    text = "±: standard deviation in time"
    if "mean ±" in said:
        text += "; mean ±: error of the mean, from means of blocks"
    if OR_MORE in said:
        text += (
            f"; or more: the second half is worth fewer than {INDEPENDENT:.0f} independent values, so that "
            "the error of the mean may be larger; a longer time_ps tells"
        )
    return text


def _mean_of(values: FloatArray, unit: str) -> str:
    """Return mean and spread in words, with the error of the mean where the series is long enough for one."""
    known = values[np.isfinite(values)]
    error, settled = error_of_mean(known)
    of_mean = f" (mean ± {rounded(error, 2)}{'' if settled else OR_MORE})" if np.isfinite(error) else ""
    return f"{rounded(float(known.mean()), 4)} ± {rounded(float(known.std()), 2)} {unit}{of_mean}"


def error_of_mean(values: FloatArray) -> tuple[float, bool]:
    """Return the standard error of the mean of a correlated series, by blocking.

    The means of 1, 2, 4, ... values have errors that grow until a block is longer than the memory of the
    series; the largest is taken (H. Flyvbjerg, H. G. Petersen, J. Chem. Phys. 91, 461 (1989)).

    Parameters
    ----------
    values : ndarray of shape (n,)
        At equal intervals.

    Returns
    -------
    error : float
        In the unit of the values; NaN with fewer than `FEWEST_VALUES`.
    settled : bool
        Whether the series is worth `INDEPENDENT` values without memory; the error may be too small where not.
    """
    if len(values) < FEWEST_VALUES:
        return float("nan"), False
    errors, means = [], values
    while len(means) >= FEWEST_BLOCKS:
        errors.append(float(means.std(ddof=1)) / len(means) ** 0.5)
        means = means[len(means) % 2 :].reshape(-1, 2).mean(axis=1)
    largest = max(errors)
    return largest, len(values) * errors[0] ** 2 >= INDEPENDENT * largest**2


def _volume_of(volumes: FloatArray, n_steps: int, n_held: int) -> list[str]:
    """Say where a barostat was too fast for its volume to mean anything, and where the cell burst."""
    lines = []
    if n_held > HELD * n_steps:
        lines.append(
            f"warning: the barostat would have changed the volume by more than {LARGEST_STRAIN:.0%} in "
            f"{n_held} of {n_steps} steps and was held back: mean pressure and volume are not those of the "
            "ensemble; expected a volume that follows slowly: increase barostat_ps, or decrease "
            "compressibility, and look whether the cell can hold pressure_gpa"
        )
    ratio = volumes / volumes[0]
    if np.nanmax(np.abs(np.log(ratio)), initial=0.0) > np.log(BURST):
        lines.append(
            f"warning: the volume was {rounded(np.nanmin(ratio), 2)} to {rounded(np.nanmax(ratio), 2)} times "
            "that of the start: the cell does not hold together at pressure_gpa and this temperature"
        )
    return lines


def _left(times: FloatArray, beyond: FloatArray, unit: str, stopped: str, who: str) -> list[str]:
    """Say whether, and from when on, the run left the training data; nothing where that is not known.

    ``who`` leaves it: an atom, or the structure. Of a run that was stopped without what the message about
    that says, too.
    """
    known = np.isfinite(beyond)  # of stored frames, see MdConfig.table_every
    if not known.any() or "stop_beyond" in stopped:
        return []
    times, beyond = times[known], beyond[known]
    outside = beyond > WARN_BEYOND
    if not outside.any():
        return [f"Verdict: the run stayed within the training data, up to {WARN_BEYOND:g} of {unit}."]
    share, first = f"{outside.mean():.0%}", rounded(times[outside.argmax()])
    far = f"outside the training data by more than {WARN_BEYOND:g} of {unit}"
    farthest = float(beyond.max())
    if outside.mean() < SELDOM and farthest < FAR:
        return [
            f"Verdict: the run stayed near the training data: in {share} of the frames {who} is {far}, by "
            f"{rounded(farthest, 2)} at most."
        ]
    if stopped:
        return [f"Verdict: in {share} of the frames {who} is {far}, first at {first} ps."]
    return [
        f"Verdict: in {share} of the frames {who} is {far}, first at {first} ps: what follows may be "
        "wrong. Calculate such frames and train on them (aenet-gpr guide dynamics), or begin nearer to the "
        "training data, or colder."
    ]


def _against_reference(group: h5py.Group, structure: Structure) -> list[list[str]]:
    """Errors of the frames that a calculator checked; energies up to their mean, which cancels in forces."""
    if "reference_energies" not in group:
        return []
    reference: FloatArray = group["reference_energies"][()]
    known = np.flatnonzero(np.isfinite(reference))
    if not len(known):
        return [["checked against the reference", "0 frames"]]
    energies = group["energies"][()][known] - reference[known]
    forces = np.concatenate([(group["forces"][i] - group["reference_forces"][i]).ravel() for i in known])
    spread = float(np.std(energies)) / structure.n_atoms * MEV_PER_EV
    rows = [
        ["checked against the reference", f"{len(known)} frames"],
        ["mean error of the energy", f"{energies.mean() / structure.n_atoms * MEV_PER_EV:+.3g} meV/atom"],
        ["rms error of relative energies", f"{rounded(spread)} meV/atom"],
        ["rms error of the forces", f"{rounded(np.sqrt(np.mean(forces**2)))} eV/Å"],
    ]
    if "reference_stress" in group:
        excess = (group["stress"][()] - group["reference_stress"][()])[known]
        errors = -np.trace(excess, axis1=1, axis2=2) / 3.0 * GPA_PER_EV_PER_CUBIC_ANGSTROM
        if len(errors := errors[np.isfinite(errors)]):
            said = f"{errors.mean():+.3g} GPa (rms {rounded(np.sqrt(np.mean(errors**2)))})"
            rows.append(["mean error of the pressure", said])
    return rows
