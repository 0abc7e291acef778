"""Error measures of predicted energies and forces, as the paper reports them (MAE, spread, direction).

Owns the averages over samples, within a subset and over several; errors of samples belong to `error_sums`.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.error_sums import ErrorSums

Metrics = dict[str, float | int | None]


def metrics_from_sums(sums: ErrorSums) -> Metrics:
    """Calculate mean errors from sums of errors.

    Errors (MAE, RMSE, largest) are those of the committee mean. The committee spread (the paper's MSD, mean
    standard deviation) is the mean over the samples of the committee's sample standard deviation
    (n_members - 1 in the denominator; None for one member, whose spread is unknown). The direction error is
    the angle between predicted and reference force; its spread is the root mean square angle between the
    members' forces and the committee mean, again with n_members - 1: a standard deviation on the sphere.
    Atoms whose reference force is too small to have a direction are left out of both; ``n_directions`` counts
    the others.

    Returns
    -------
    dict
        ``energy_*`` (eV per structure), ``energy_*_per_atom`` (eV per atom), ``force_component_*``,
        ``force_norm_*`` (eV/Å) and ``force_direction_*`` (degrees), each ``mae``, ``rmse``, ``spread``
        (also as ``msd``, its former name) and ``max_error``; ``force_component_rms_reference`` (eV/Å, root
        mean square of the reference components); ``force_outliers`` (atoms with ‖F‖ wrong by more than
        1 eV/Å), ``n_structures``, ``n_atoms``, ``n_directions``, ``n_lone`` (structures of one atom, whose
        forces are not compared), ``n_members``. Force measures are None where no forces were compared. Where
        stresses were, ``stress_*_gpa`` over their
        components and ``pressure_*_gpa`` (GPa), and ``n_stresses``.

    Raises
    ------
    InputError
        If there is no structure.
    """
    if not sums.n_structures:
        raise InputError("metrics: expected at least one structure, got none")
    count = sums.n_structures
    return {
        **_averages(sums, "energy", "energy", count),
        "energy_max_error": sums.energy_largest,
        **_averages(sums, "energy", "energy", count, "_per_atom"),
        "energy_max_error_per_atom": sums.energy_largest_per_atom,
        **force_metrics(sums),
        **stress_metrics(sums),
        "n_structures": count,
        "n_lone": sums.n_lone,
        "n_members": sums.n_members,
    }


def force_metrics(sums: ErrorSums) -> Metrics:
    """Calculate the measures of forces alone, as for the atoms of one species; see `metrics_from_sums`."""
    result: Metrics = {}
    for name, count in (
        ("component", 3 * sums.n_atoms),
        ("norm", sums.n_atoms),
        ("direction", sums.n_directions),
    ):
        result |= _averages(sums, name, f"force_{name}", count)
        result[f"force_{name}_max_error"] = getattr(sums, f"{name}_largest") if count else None
    reference = sums.component_reference_squared / max(1, 3 * sums.n_atoms)
    result["force_component_rms_reference"] = float(np.sqrt(reference)) if sums.n_atoms else None
    result["force_outliers"] = sums.outliers if sums.n_atoms else None
    return {**result, "n_atoms": sums.n_atoms, "n_directions": sums.n_directions}


def stress_metrics(sums: ErrorSums) -> Metrics:
    """Calculate the measures of stresses and pressures; nothing where none was compared."""
    if not sums.n_stresses:
        return {}
    result: Metrics = {}
    for name, count in (("stress", sums.n_stress_components), ("pressure", sums.n_stresses)):
        result |= _averages(sums, name, name, count, "_gpa")
        result[f"{name}_max_error_gpa"] = getattr(sums, f"{name}_largest_gpa")
    return {**result, "n_stresses": sums.n_stresses}


def _averages(sums: ErrorSums, source: str, name: str, count: int, per: str = "") -> Metrics:
    """Return MAE, RMSE and spread of one quantity over ``count`` samples."""

    def mean(what: str) -> float:
        return float(getattr(sums, f"{source}_{what}{per}")) / count

    known = count > 0
    spread = mean("spread") if known and sums.n_members > 1 else None
    return {
        f"{name}_mae{per}": mean("absolute") if known else None,
        f"{name}_rmse{per}": float(np.sqrt(mean("squared"))) if known else None,
        f"{name}_spread{per}": spread,
        f"{name}_msd{per}": spread,
    }
