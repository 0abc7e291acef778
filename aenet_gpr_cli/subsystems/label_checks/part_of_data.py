"""Energies and forces that fit each other in one part of a set and not in another.

Owns findings about some of the structures. What holds for all of them alike is left to `checks`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet
from aenet_gpr_cli.subsystems.label_checks.pair_slope import near_pairs

_MAX_STRUCTURES = 2000
_NOISE = 0.01  # eV: energies of loosely converged calculations
_FEWEST, _SHARE = 3, 0.1  # pairs that do not fit, of all
_CONSTANT = 0.2  # relative spread of differences that are one constant


def part_that_does_not_fit(structures: StructureSet) -> str | None:
    """Return what is wrong where pairs of near structures fit -F·d = ΔE in one part of the set only.

    A pair fits within half of b = ½ Σ_a ‖F_i - F_j‖·‖d‖, what is of second order in the step, and does not
    where the residual is larger than b; a twentieth of the work and 10 meV are allowed beside it.

    Parameters
    ----------
    structures : StructureSet
        Of one cell, with energies (eV) and forces (eV/Å).
    """
    s = structures
    if s.energies is None or s.forces is None or len(s) < _FEWEST:
        return None
    index = np.unique(np.linspace(0, len(s) - 1, min(len(s), _MAX_STRUCTURES)).astype(int))
    one, other = near_pairs(s.positions[index].reshape(len(index), -1))
    i, j = index[one], index[other]
    step = s.positions[j] - s.positions[i]
    work = -0.5 * np.einsum("nax,nax->n", s.forces[i] + s.forces[j], step)
    # without cancelling between atoms, so that what is small by accident counts for nothing
    bend = 0.5 * (np.linalg.norm(s.forces[i] - s.forces[j], axis=2) * np.linalg.norm(step, axis=2)).sum(
        axis=1
    )
    rest = s.energies[j] - s.energies[i] - work
    bad = np.abs(rest) > bend + 0.05 * np.abs(work) + _NOISE
    fits = np.abs(rest) <= 0.5 * bend + 0.05 * np.abs(work) + _NOISE
    if bad.sum() < max(_FEWEST, _SHARE * len(bad)) or fits.sum() < _FEWEST:
        return None
    worst = int(np.argmax(np.abs(rest) * bad))
    names = [s.names[k] if s.names else str(k) for k in (i[worst], j[worst])]
    offset = _constant(np.abs(rest[bad]), fits, i, j)
    what = (
        f"energies of near structures differ by about {offset:.3g} eV more than the forces say"
        if offset is not None
        else "energies and forces do not fit each other in a part of the structures"
    )
    kinds = "two definitions of the energy or levels of theory"
    reason = kinds if offset is not None else "another sign, unit or definition"
    pairs = f"{int(bad.sum())} of {len(bad)} pairs, such as {names[0]} and {names[1]}"
    return f"{what} ({pairs}): {reason} in part of the data"


def _constant(rest: FloatArray, fits: NDArray[np.bool_], i: IntArray, j: IntArray) -> float | None:
    """Return the constant that the differences are, None where they are none between groups that fit."""
    low, middle, high = np.percentile(rest, [25, 50, 75])
    grouped = len(np.union1d(i[fits], j[fits])) > 0.7 * len(np.union1d(i, j))
    return float(middle) if grouped and high - low < _CONSTANT * middle else None
