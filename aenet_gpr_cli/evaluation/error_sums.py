"""Sums of errors over samples: the errors of every energy and force, before they are averaged.

Owns the error of one sample and its sums; averages belong to `metrics`. Predictions come in as arrays with
one row per committee member; a single model is a committee of one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import FloatArray, StructureSet

OUTLIER_FORCE = 1.0  # eV/Å, the error of ‖F‖ beyond which the paper marks an atom (its Figures 4 and 6)
LARGEST = (
    "energy_largest",
    "energy_largest_per_atom",
    "component_largest",
    "norm_largest",
    "direction_largest",
    "stress_largest_gpa",
    "pressure_largest_gpa",
)


@dataclass(slots=True)
class ErrorSums:
    """Sums of errors over samples: all that is needed to pool subsets exactly, in constant memory.

    Attributes
    ----------
    n_structures, n_atoms, n_directions : int
        Structures; atoms whose forces are compared; those whose reference force is large enough for a
        direction.
    n_lone : int
        Structures whose forces are left out, as `forces_tell` says.
    n_members : int
        Committee members; 0 in an empty sum.
    energy_absolute, energy_squared, energy_spread : float
        Sums over structures, eV, eV², eV; the same of energies per atom with ``_per_atom``.
    component_absolute, component_squared, component_spread : float
        Sums over force components, eV/Å, eV²/Å², eV/Å.
    component_reference_squared : float
        Sum of the squared reference components, eV²/Å².
    norm_absolute, norm_squared, norm_spread : float
        Sums over atoms of the error of ‖F‖ and of its standard deviation over the committee.
    direction_absolute, direction_squared, direction_spread : float
        Degrees and degrees².
    energy_largest, energy_largest_per_atom, component_largest, norm_largest, direction_largest : float
        Largest errors; they do not add up.
    outliers : int
        Atoms whose ‖F‖ is wrong by more than 1 eV/Å.
    n_stresses, n_stress_components : int
        Structures with a reference stress, and its components.
    stress_absolute_gpa, stress_squared_gpa, stress_spread_gpa, stress_largest_gpa : float
        Over the components, GPa, GPa²; the same of the pressure over structures with ``pressure_``.
    """

    n_structures: int = 0
    n_members: int = 0
    n_atoms: int = 0
    n_directions: int = 0
    n_lone: int = 0
    energy_absolute: float = 0.0
    energy_squared: float = 0.0
    energy_spread: float = 0.0
    energy_absolute_per_atom: float = 0.0
    energy_squared_per_atom: float = 0.0
    energy_spread_per_atom: float = 0.0
    energy_largest: float = 0.0
    energy_largest_per_atom: float = 0.0
    component_absolute: float = 0.0
    component_squared: float = 0.0
    component_spread: float = 0.0
    component_reference_squared: float = 0.0
    component_largest: float = 0.0
    norm_absolute: float = 0.0
    norm_squared: float = 0.0
    norm_spread: float = 0.0
    norm_largest: float = 0.0
    direction_absolute: float = 0.0
    direction_squared: float = 0.0
    direction_spread: float = 0.0
    direction_largest: float = 0.0
    outliers: int = 0
    n_stresses: int = 0
    n_stress_components: int = 0
    stress_absolute_gpa: float = 0.0
    stress_squared_gpa: float = 0.0
    stress_spread_gpa: float = 0.0
    stress_largest_gpa: float = 0.0
    pressure_absolute_gpa: float = 0.0
    pressure_squared_gpa: float = 0.0
    pressure_spread_gpa: float = 0.0
    pressure_largest_gpa: float = 0.0

    def __add__(self, other: ErrorSums) -> ErrorSums:
        """Return the sums over both sets of samples."""
        if self.n_members and other.n_members and self.n_members != other.n_members:
            raise InputError(
                f"pooled metrics: expected one committee, got {self.n_members} and {other.n_members} members"
            )
        total = ErrorSums(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})
        total.n_members = max(self.n_members, other.n_members)
        for name in LARGEST:
            setattr(total, name, max(getattr(self, name), getattr(other, name)))
        return total


def forces_tell(n_atoms: int) -> bool:
    """Return whether forces of such structures can be wrong: on a lone atom, also of a crystal, they are
    zero by symmetry, whatever the model; counted, they would flatter its errors.
    """
    return n_atoms > 1


def error_sums(
    reference: StructureSet, energies: FloatArray, forces: FloatArray | None, smallest_force: float = 0.0
) -> ErrorSums:
    """Sum the errors of all samples of one subset, or of one block of it.

    Parameters
    ----------
    energies : ndarray of shape (n_members, n_structures), eV
    forces : ndarray of shape (n_members, n_structures, n_atoms, 3), eV/Å, or None
    smallest_force : float, eV/Å
        Reference forces must be larger for their direction to be compared: that of almost no force is noise.

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
    error, spread = np.abs(energies.mean(axis=0) - reference.energies), spread_of(energies)
    squared = float((error**2).sum())
    sums = ErrorSums(
        n_structures=n,
        n_members=len(energies),
        energy_absolute=float(error.sum()),
        energy_squared=squared,
        energy_spread=float(spread.sum()),
        energy_absolute_per_atom=float(error.sum()) / atoms,
        energy_squared_per_atom=squared / atoms**2,
        energy_spread_per_atom=float(spread.sum()) / atoms,
        energy_largest=float(error.max(initial=0.0)),
        energy_largest_per_atom=float(error.max(initial=0.0)) / atoms,
    )
    if forces is not None:
        if reference.forces is None:
            raise InputError("metrics: expected reference forces to compare with, got none")
        if forces.shape != (len(energies), n, atoms, 3):
            raise InputError(
                f"predicted forces: expected shape {(len(energies), n, atoms, 3)}, got {forces.shape}"
            )
        if not forces_tell(atoms):
            sums.n_lone = n
            return sums
        flat = forces.reshape(len(forces), -1, 3)
        _add_force_errors(sums, reference.forces.reshape(-1, 3), flat, smallest_force)
    return sums


def species_sums(
    reference: StructureSet, forces: FloatArray, smallest_force: float = 0.0
) -> dict[str, ErrorSums]:
    """Sum the errors of forces on the atoms of each species.

    Parameters
    ----------
    reference : StructureSet
        With forces.
    forces : ndarray of shape (n_members, n_structures, n_atoms, 3), eV/Å
    smallest_force : float, eV/Å
        As in `error_sums`.

    Returns
    -------
    dict of str to ErrorSums
        By chemical symbol, in alphabetical order; energies are zero, they belong to structures. Empty where
        no force tells anything, see `forces_tell`.

    Raises
    ------
    InputError
        If there are no reference forces.
    """
    if reference.forces is None:
        raise InputError("metrics: expected reference forces to compare with, got none")
    result = {}
    for symbol in sorted(set(reference.species)) if forces_tell(reference.n_atoms) else ():
        atoms = np.array([species == symbol for species in reference.species])
        sums = ErrorSums(n_structures=len(reference), n_members=len(forces))
        own = forces[:, :, atoms].reshape(len(forces), -1, 3)
        _add_force_errors(sums, reference.forces[:, atoms].reshape(-1, 3), own, smallest_force)
        result[symbol] = sums
    return result


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


def _add_force_errors(
    sums: ErrorSums, reference: FloatArray, forces: FloatArray, smallest_force: float
) -> None:
    """Add errors of ``forces`` (n_members, n_vectors, 3) against ``reference`` (n_vectors, 3)."""
    mean = forces.mean(axis=0)
    reference_norm = np.linalg.norm(reference, axis=1)
    norm_error = np.abs(np.linalg.norm(mean, axis=1) - reference_norm)
    directed = reference_norm > smallest_force
    direction_error = angles(mean[directed], reference[directed])
    sums.n_atoms, sums.n_directions = len(reference), int(np.count_nonzero(directed))
    for name, error in (
        ("component", np.abs(mean - reference)),
        ("norm", norm_error),
        ("direction", direction_error),
    ):
        setattr(sums, f"{name}_absolute", float(error.sum()))
        setattr(sums, f"{name}_squared", float((error**2).sum()))
        setattr(sums, f"{name}_largest", float(error.max(initial=0.0)))
    sums.component_reference_squared = float((reference**2).sum())
    sums.component_spread = float(spread_of(forces).sum())
    sums.norm_spread = float(spread_of(np.linalg.norm(forces, axis=2)).sum())
    sums.outliers = int(np.count_nonzero(norm_error > OUTLIER_FORCE))
    squared = sum(
        (angles(member[directed], mean[directed]) ** 2 for member in forces), np.zeros(sums.n_directions)
    )
    sums.direction_spread = float(np.sqrt(squared / max(1, len(forces) - 1)).sum())


def spread_of(values: FloatArray) -> FloatArray:
    """Return the sample standard deviation over the first axis, zero for one member."""
    return values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1:])


def _unit(vectors: FloatArray) -> FloatArray:
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    scaled = vectors / np.where(largest > 0, largest, 1.0)
    norm = np.linalg.norm(scaled, axis=-1, keepdims=True)
    return scaled / np.where(norm > 0, norm, 1.0)
