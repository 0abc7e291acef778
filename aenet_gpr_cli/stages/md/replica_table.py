"""The table of replicas: a row for each, their mean with its standard error, on the terminal and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from aenet_gpr_cli.ann.potential.extrapolation import WARN_BEYOND
from aenet_gpr_cli.dynamics.md_record import COLUMNS as OF_A_RUN
from aenet_gpr_cli.dynamics.md_record import drift
from aenet_gpr_cli.stages.md.md_summary import mass_of
from aenet_gpr_cli.structures import FloatArray, Structure
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import G_PER_CM3, MEV_PER_EV

MOST_ROWS = 20  # that are printed; all are in the artefact


class Column(NamedTuple):
    """A column: its name in the files, what stands above it on the terminal, whether it has a mean.

    ``digits`` are those of numbers without an error.
    """

    name: str
    label: str
    is_mean: bool = True
    digits: int = 4


COLUMNS = (
    Column("time_ps", "time / ps", False),
    Column("temperature_K", "T / K"),
    Column("potential_energy_eV", "E / eV", digits=8),
    Column("pressure_GPa", "p / GPa"),
    Column("volume_A3", "V / Å³"),
    Column("density_g_cm3", "density / g/cm³"),
    Column("drift_meV_atom_ps", "drift / meV/atom/ps"),
    Column("largest_energy_std_meV_atom", "largest σ / meV/atom", False),
    Column("frames_outside", "share outside", False, 2),
    Column("largest_beyond", "farthest outside", False),
)


def numbers_of(file: h5py.File, structure: Structure) -> FloatArray:
    """Return the numbers of one run.

    Means are those of the second half of its table, as in the table that the run ends with.

    Parameters
    ----------
    file : h5py.File
        Artefact of the run.
    structure : Structure
        What moves.

    Returns
    -------
    ndarray of shape (n_columns,)
        Of `COLUMNS`; NaN where something is not known.
    """
    table = file["table"][()]
    column = dict(zip(OF_A_RUN, table.T, strict=True))
    column["density"] = mass_of(structure) / column["volume_A3"] * G_PER_CM3
    second = {name: values[len(table) // 2 :] for name, values in column.items()}
    names = ("temperature_K", "potential_energy_eV", "pressure_GPa", "volume_A3", "density")
    sigma = column["energy_std_eV"] * MEV_PER_EV / structure.n_atoms
    beyond = column["largest_beyond"]
    outside = np.where(np.isfinite(beyond), beyond > WARN_BEYOND, np.nan)
    return np.array(
        [
            column["time_ps"][-1],
            *(_mean(second[name]) for name in names),
            drift(table, structure.n_atoms),
            np.nan if np.isnan(sigma).all() else np.nanmax(sigma),
            _mean(outside),
            np.nan if np.isnan(beyond).all() else np.nanmax(beyond),
        ]
    )


def mean_and_error(table: FloatArray, whole: Sequence[bool]) -> tuple[FloatArray, FloatArray]:
    """Return the mean over the replicas that reached their end, and its standard error s / √n.

    Parameters
    ----------
    table : ndarray of shape (n_replicas, n_columns)
        Of `numbers_of`.
    whole : sequence of bool
        Which of them reached it: where a fence stops a run depends on what is averaged.

    Returns
    -------
    mean, error : ndarray of shape (n_columns,)
        NaN for columns without a mean, and for the error of fewer than two.
    """
    means = np.array([column.is_mean for column in COLUMNS])
    chosen = table[np.asarray(whole, bool)]
    nothing = np.full(len(COLUMNS), np.nan)
    mean = chosen.mean(0) if len(chosen) else nothing
    error = chosen.std(0, ddof=1) / np.sqrt(len(chosen)) if len(chosen) > 1 else nothing
    return np.where(means, mean, np.nan), np.where(means, error, np.nan)


def printed(table: FloatArray, stopped: Sequence[str]) -> tuple[list[str], list[list[str]], list[list[str]]]:
    """Return the table as people read it: means with the digits that their error allows.

    Parameters
    ----------
    stopped : sequence of str
        Why each was stopped; empty for a whole run.

    Returns
    -------
    columns : list of str
    rows : list of list of str
    short : list of list of str
        Of many replicas the stopped ones and the means; empty for all rows.
    """
    whole = [not why for why in stopped]
    mean, error = mean_and_error(table, whole)
    known = [n for n in range(len(COLUMNS)) if np.isfinite(table[:, n]).any() and not _is_constant(table, n)]

    def cells(values: FloatArray) -> list[str]:
        return [_cell(values[n], error[n], COLUMNS[n].digits) for n in known]

    rows = [
        [str(k), *cells(values), "whole" if ended else "stopped"]
        for k, (values, ended) in enumerate(zip(table, whole, strict=True), 1)
    ]
    ends = [[f"mean of {sum(whole)}", *cells(mean), ""], ["standard error", *cells(error), ""]]
    columns = ["replica", *(COLUMNS[n].label for n in known), "run"]
    few = [row for row, ended in zip(rows, whole, strict=True) if not ended][:MOST_ROWS]
    return columns, [*rows, *ends], [*few, *ends] if len(rows) > MOST_ROWS else []


def write_csv(path: Path, table: FloatArray, stopped: Sequence[str]) -> None:
    """Write the table with all digits, and below it the rows ``mean`` and ``standard_error``."""
    mean, error = mean_and_error(table, [not why for why in stopped])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["replica", *(column.name for column in COLUMNS), "stopped"])
    for number, (values, why) in enumerate(zip(table, stopped, strict=True), 1):
        writer.writerow([number, *map(_exact, values), why])
    for name, values in (("mean", mean), ("standard_error", error)):
        writer.writerow([name, *map(_exact, values), ""])
    path.write_text(text.getvalue(), encoding="utf-8")


def _mean(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _is_constant(table: FloatArray, number: int) -> bool:
    """Whether a column is the volume or density of cells that do not change."""
    return COLUMNS[number].name in ("volume_A3", "density_g_cm3") and not np.ptp(table[:, number]) > 0.0


def _cell(value: float, error: float, digits: int) -> str:
    if not np.isfinite(value):
        return "–"
    if not (np.isfinite(error) and error > 0.0):
        return rounded(value, digits)
    return f"{value:.{max(0, 1 - int(np.floor(np.log10(error))))}f}"


def _exact(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.10g}"
