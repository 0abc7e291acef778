"""Error measures of predicted energies and forces, as the paper reports them (MAE, MSD, direction).

Owns the errors of every sample and their averages, within a subset and over several. Predictions come in as
arrays with one row per committee member; a single model is a committee of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import FloatArray, StructureSet

OUTLIER_FORCE = 1.0  # eV/Å, the error of ‖F‖ beyond which the paper marks an atom (its Figures 4 and 6)

Metrics = dict[str, float | int | None]


@dataclass(slots=True)
class ErrorSums:
    """Sums of errors over samples: all that is needed to pool subsets exactly, in constant memory.

    Attributes
    ----------
    n_structures, n_atoms, n_directions : int
        Structures; atoms with predicted forces; atoms whose reference force is not zero.
    n_members : int
        Committee members; 0 in an empty sum.
    energy_absolute, energy_squared, energy_spread, energy_absolute_per_atom : float
        Sums over structures, eV, eV², eV, eV.
    energy_largest : float, eV
    component_absolute, component_squared : float
        Sums over force components, eV/Å and eV²/Å².
    norm_absolute, norm_spread : float, eV/Å
        Sums over atoms of the error of ‖F‖ and of its standard deviation over the committee.
    direction_absolute, direction_spread : float, degrees
    outliers : int
        Atoms whose ‖F‖ is wrong by more than 1 eV/Å.
    """

    n_structures: int = 0
    n_members: int = 0
    n_atoms: int = 0
    n_directions: int = 0
    energy_absolute: float = 0.0
    energy_squared: float = 0.0
    energy_spread: float = 0.0
    energy_absolute_per_atom: float = 0.0
    energy_largest: float = 0.0
    component_absolute: float = 0.0
    component_squared: float = 0.0
    norm_absolute: float = 0.0
    norm_spread: float = 0.0
    direction_absolute: float = 0.0
    direction_spread: float = 0.0
    outliers: int = 0

    def __add__(self, other: ErrorSums) -> ErrorSums:
        """Return the sums over both sets of samples."""
        if self.n_members and other.n_members and self.n_members != other.n_members:
            raise InputError(
                f"pooled metrics: expected one committee, got {self.n_members} and {other.n_members} members"
            )
        total = ErrorSums(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})
        total.n_members = max(self.n_members, other.n_members)
        total.energy_largest = max(self.energy_largest, other.energy_largest)
        return total


def metrics(reference: StructureSet, energies: FloatArray, forces: FloatArray | None) -> Metrics:
    """Calculate all error measures of one subset; see `metrics_from_sums` for their definitions.

    Parameters
    ----------
    reference : StructureSet
        With energies, and with forces where forces are compared.
    energies : ndarray of shape (n_members, n_structures), eV
    forces : ndarray of shape (n_members, n_structures, n_atoms, 3), eV/Å, or None
        Physical forces, F = -dE/dR.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If there is no structure, reference labels are missing, or shapes do not fit.
    """
    return metrics_from_sums(error_sums(reference, energies, forces))


def pooled_metrics(parts: Iterable[ErrorSums]) -> Metrics:
    """Calculate the error measures of several subsets as if they were one set of samples.

    Parameters
    ----------
    parts : iterable of ErrorSums
        From `error_sums`, one for each subset or block of structures; read once.

    Returns
    -------
    dict
        As `metrics`.
    """
    total = ErrorSums()
    for part in parts:
        total = total + part
    return metrics_from_sums(total)


def error_sums(reference: StructureSet, energies: FloatArray, forces: FloatArray | None) -> ErrorSums:
    """Sum the errors of all samples of one subset, or of one block of it.

    Parameters
    ----------
    reference : StructureSet
    energies : ndarray of shape (n_members, n_structures), eV
    forces : ndarray of shape (n_members, n_structures, n_atoms, 3), eV/Å, or None

    Returns
    -------
    ErrorSums

    Raises
    ------
    InputError
        If reference labels are missing or shapes do not fit.
    """
    n, atoms = len(reference), reference.n_atoms
    if reference.energies is None:
        raise InputError("metrics: expected reference energies, got none")
    if energies.ndim != 2 or energies.shape[1] != n or not len(energies):
        raise InputError(f"predicted energies: expected shape (n_members, {n}), got {energies.shape}")
    error = np.abs(energies.mean(axis=0) - reference.energies)
    sums = ErrorSums(
        n_structures=n,
        n_members=len(energies),
        energy_absolute=float(error.sum()),
        energy_squared=float((error**2).sum()),
        energy_spread=float(_spread(energies).sum()),
        energy_absolute_per_atom=float(error.sum()) / atoms,
        energy_largest=float(error.max(initial=0.0)),
    )
    if forces is not None:
        if reference.forces is None:
            raise InputError("metrics: expected reference forces to compare with, got none")
        if forces.shape != (len(energies), n, atoms, 3):
            raise InputError(
                f"predicted forces: expected shape {(len(energies), n, atoms, 3)}, got {forces.shape}"
            )
        _add_force_errors(sums, reference.forces.reshape(-1, 3), forces.reshape(len(forces), -1, 3))
    return sums


def metrics_from_sums(sums: ErrorSums) -> Metrics:
    """Calculate mean errors from sums of errors.

    Errors (MAE, RMSE, largest) are those of the committee mean. MSD, the paper's mean standard deviation, is
    the mean over the samples of the committee's sample standard deviation (n_members - 1 in the denominator;
    None for one member, whose spread is unknown). The direction error is the angle between predicted
    and reference force; its spread is the root mean square angle between the members' forces and the
    committee mean, again with n_members - 1: a standard deviation on the sphere. Atoms without a reference
    force have no direction and are left out of both.

    Parameters
    ----------
    sums : ErrorSums

    Returns
    -------
    dict
        ``energy_mae, energy_rmse, energy_msd, energy_max_error`` (eV per structure),
        ``energy_mae_per_atom`` (eV per atom), ``force_component_mae, force_component_rmse,
        force_norm_mae, force_norm_msd`` (eV/Å), ``force_direction_mae, force_direction_msd``
        (degrees), ``force_outliers`` (atoms with ‖F‖ wrong by more than 1 eV/Å), ``n_structures``,
        ``n_members``. Force measures are None where no forces were compared.

    Raises
    ------
    InputError
        If there is no structure.
    """
    n, atoms, directions = sums.n_structures, sums.n_atoms, sums.n_directions
    if not n:
        raise InputError("metrics: expected at least one structure, got none")
    committee = sums.n_members > 1

    def mean(total: float, count: int, known: bool = True) -> float | None:
        return total / count if count and known else None

    component_mse = mean(sums.component_squared, 3 * atoms)
    return {
        "energy_mae": sums.energy_absolute / n,
        "energy_rmse": float(np.sqrt(sums.energy_squared / n)),
        "energy_msd": mean(sums.energy_spread, n, committee),
        "energy_max_error": sums.energy_largest,
        "energy_mae_per_atom": sums.energy_absolute_per_atom / n,
        "force_component_mae": mean(sums.component_absolute, 3 * atoms),
        "force_component_rmse": None if component_mse is None else float(np.sqrt(component_mse)),
        "force_norm_mae": mean(sums.norm_absolute, atoms),
        "force_norm_msd": mean(sums.norm_spread, atoms, committee),
        "force_direction_mae": mean(sums.direction_absolute, directions),
        "force_direction_msd": mean(sums.direction_spread, directions, committee),
        "force_outliers": sums.outliers if atoms else None,
        "n_structures": n,
        "n_members": sums.n_members,
    }


def angles(first: FloatArray, second: FloatArray) -> FloatArray:
    """Calculate the angle between vectors, θ = atan2(|a × b|, a · b).

    Parameters
    ----------
    first, second : ndarray of shape (..., 3), any unit
        Broadcast against each other.

    Returns
    -------
    ndarray of shape (...), degrees
        From 0 to 180; 90 where exactly one vector vanishes (it points nowhere: the mean over all
        directions), 0 where both do.

    Notes
    -----
    Accurate for small angles, where the arc cosine of the dot product loses half of the digits. Vectors are
    scaled to unit length first, so that tiny forces do not underflow.
    """
    a, b = _unit(first), _unit(second)
    sine = np.linalg.norm(np.cross(a, b), axis=-1)
    cosine = np.einsum("...x,...x->...", a, b)
    angle = np.degrees(np.arctan2(sine, cosine))
    one_vanishes = np.any(a, axis=-1) != np.any(b, axis=-1)
    return np.where(one_vanishes, 90.0, angle)


def _add_force_errors(sums: ErrorSums, reference: FloatArray, forces: FloatArray) -> None:
    """Add errors of ``forces`` (n_members, n_vectors, 3) against ``reference`` (n_vectors, 3)."""
    mean = forces.mean(axis=0)
    reference_norm = np.linalg.norm(reference, axis=1)
    norm_error = np.abs(np.linalg.norm(mean, axis=1) - reference_norm)
    component_error = np.abs(mean - reference)
    sums.n_atoms = len(reference)
    sums.component_absolute = float(component_error.sum())
    sums.component_squared = float((component_error**2).sum())
    sums.norm_absolute = float(norm_error.sum())
    sums.norm_spread = float(_spread(np.linalg.norm(forces, axis=2)).sum())
    sums.outliers = int(np.count_nonzero(norm_error > OUTLIER_FORCE))
    directed = reference_norm > 0
    sums.n_directions = int(np.count_nonzero(directed))
    sums.direction_absolute = float(angles(mean[directed], reference[directed]).sum())
    squared = sum(
        (angles(member[directed], mean[directed]) ** 2 for member in forces), np.zeros(sums.n_directions)
    )
    sums.direction_spread = float(np.sqrt(squared / max(1, len(forces) - 1)).sum())


def _spread(values: FloatArray) -> FloatArray:
    """Return the sample standard deviation over the first axis, zero for one member."""
    return values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1:])


def _unit(vectors: FloatArray) -> FloatArray:
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    scaled = vectors / np.where(largest > 0, largest, 1.0)
    norm = np.linalg.norm(scaled, axis=-1, keepdims=True)
    return scaled / np.where(norm > 0, norm, 1.0)
