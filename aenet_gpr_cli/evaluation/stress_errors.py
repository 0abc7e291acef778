"""Errors of stress and pressure, in GPa: which components count, and their sums.

A crystal has six components; a slab, periodic in two directions, has those in its plane, three. The pressure
is minus the mean of the diagonal ones.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.error_sums import ErrorSums, spread_of
from aenet_gpr_cli.structures import FloatArray, StructureSet
from aenet_gpr_cli.units import GPA_PER_EV_PER_CUBIC_ANGSTROM

Pairs = tuple[tuple[int, int], ...]
WHOLE: Pairs = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
IN_PLANE: Pairs = ((0, 0), (1, 1), (0, 1))


def stress_components(structures: StructureSet, stress: FloatArray) -> FloatArray:
    """Return the independent components of stresses of crystals or slabs, the diagonal ones first.

    Parameters
    ----------
    structures : StructureSet
        With cells and at least two periodic directions.
    stress : ndarray of shape (..., n_structures, 3, 3), eV/Å³

    Returns
    -------
    ndarray of shape (..., n_structures, 6 or 3), GPa
        Of crystals xx, yy, zz, yz, xz, xy; of slabs 11, 22, 12 with axis 1 along the first periodic vector.
    """
    pairs: Pairs
    if all(structures.pbc):
        own, pairs = stress, WHOLE
    else:
        assert structures.cells is not None  # a slab has them
        first, second = structures.cells[:, np.asarray(structures.pbc, bool)].swapaxes(0, 1)
        one = first / np.linalg.norm(first, axis=1, keepdims=True)
        two = second - (second * one).sum(axis=1, keepdims=True) * one
        plane = np.stack([one, two / np.linalg.norm(two, axis=1, keepdims=True)], axis=1)
        own, pairs = plane @ stress @ plane.swapaxes(-1, -2), IN_PLANE
    return np.stack([own[..., a, b] for a, b in pairs], axis=-1) * GPA_PER_EV_PER_CUBIC_ANGSTROM


def pressures(components: FloatArray) -> FloatArray:
    """Return the pressures, shape (...), GPa, of `stress_components`; in the plane for slabs."""
    return -components[..., : 3 if components.shape[-1] == 6 else 2].mean(axis=-1)


def add_stress_errors(sums: ErrorSums, reference: StructureSet, stress: FloatArray) -> None:
    """Add the errors of the structures whose stress is known.

    Parameters
    ----------
    stress : ndarray of shape (n_members, n_structures, 3, 3), eV/Å³
        Predicted.

    Raises
    ------
    InputError
        If the shapes do not fit.
    """
    if reference.stress is None:
        return
    if stress.shape[1:] != reference.stress.shape:
        raise InputError(
            f"predicted stress: expected shape (n_members, {len(reference)}, 3, 3), got {stress.shape}"
        )
    known = ~np.isnan(reference.stress).any(axis=(1, 2))
    labelled = reference.select(np.flatnonzero(known))
    assert labelled.stress is not None
    expected = stress_components(labelled, labelled.stress)
    found = stress_components(labelled, stress[:, known])
    sums.n_stresses, sums.n_stress_components = len(expected), expected.size
    for name, right, members in (
        ("stress", expected, found),
        ("pressure", pressures(expected), pressures(found)),
    ):
        error = np.abs(members.mean(axis=0) - right)
        setattr(sums, f"{name}_absolute_gpa", float(error.sum()))
        setattr(sums, f"{name}_squared_gpa", float((error**2).sum()))
        setattr(sums, f"{name}_spread_gpa", float(spread_of(members).sum()))
        setattr(sums, f"{name}_largest_gpa", float(error.max(initial=0.0)))
