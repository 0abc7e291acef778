"""Forces that belong to other structures than those they stand with.

Owns what few structures tell, from the torque of isolated ones and from energies of near ones; how they are
compared otherwise is left to `checks` and `part_of_data`.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.structures import FloatArray, StructureSet
from aenet_gpr_cli.subsystems.geometry import torques
from aenet_gpr_cli.subsystems.label_checks.pair_slope import near_pairs

_FEWEST, _MOST = 5, 500  # structures that are looked at, in a row
_PAIRS = 6
_TORQUE = 2e-3  # of the forces; what calculations leave is below
_SMALLER = 0.1  # share of torque, or of squares of energies, that right forces leave
_NOISE, _DIGITS = 0.02, 1e-4  # eV: of loosely converged calculations; of numbers as they are printed
_FARTHEST = 1.5  # Å; atoms that have changed places are further apart
_UNLIKE = (
    0.5  # of what is of second order; right forces leave less than 0.3 unless the forces change at random
)


def forces_of_other_frames(structures: StructureSet) -> str | None:
    """Return what is wrong where the forces fit far better one frame earlier or later.

    Parameters
    ----------
    structures : StructureSet
        Of one cell, in the order of their files, with energies (eV) and forces (eV/Å).

    Notes
    -----
    They fit where Σ r×F vanishes (isolated structures), and where the trapezoidal rule gives the energies
    of near structures. Right ones leave less than a tenth of what others leave; where structures are too far
    apart for the rule, neither do.
    """
    s = structures.select(np.arange(min(len(structures), _MOST)))
    if s.forces is None or s.energies is None or len(s) < _FEWEST:
        return None
    for shift, where in ((1, "before"), (-1, "after")):
        own = np.arange(max(0, -shift), len(s) - max(0, shift))
        some, other = s.select(own), s.forces[own + shift]
        found = _by_torque(some, other) or _by_energies(some, other)
        if found is not None:
            one, two = (s.names[k] if s.names else str(k) for k in (own[0] + shift, own[0]))
            return (
                f"forces look like those of the frame {where}: those of {one} fit {two} ({found}); "
                "expected the forces of each structure beside its positions"
            )
    return None


def forces_that_tell_nothing(structures: StructureSet) -> str | None:
    """Return a sentence where the forces say no more of the energies of near structures than others would.

    That is no proof: structures may be too far apart.
    """
    s = structures.select(np.arange(min(len(structures), _MOST)))
    if s.forces is None or s.energies is None or len(s) < _FEWEST:
        return None
    rest, bend = _left(s, s.forces)
    ratio = float(rest @ rest) / max(float(bend @ bend), 1e-300)
    if len(rest) < _PAIRS or np.sqrt(np.mean(rest**2)) < _NOISE or ratio < _UNLIKE:
        return None
    return (
        f"forces say nothing about the energies of near structures ({len(rest)} pairs, {ratio:.2g} of what "
        "is of second order is left, expected below 0.3): the structures are too far apart to tell, or "
        "these are forces of other structures or of atoms in another order, which cannot be decided here"
    )


def _by_torque(s: StructureSet, other: FloatArray) -> str | None:
    if s.is_periodic or s.n_atoms < 3:
        return None
    assert s.forces is not None
    given, shifted = (float(np.median(torques(s.positions, f))) for f in (s.forces, other))
    if given < _TORQUE or shifted > _SMALLER * given:
        return None
    return f"torque {100 * shifted:.2g} % of the forces, as they are {100 * given:.2g} %"


def _by_energies(s: StructureSet, other: FloatArray) -> str | None:
    given, shifted = (_left(s, f)[0] for f in (s.forces, other))
    if len(given) < _PAIRS:
        return None
    rms = [float(np.sqrt(np.mean(rest**2))) for rest in (given, shifted)]
    if rms[0] < _DIGITS or rms[1] ** 2 > _SMALLER * rms[0] ** 2:
        return None
    return f"they leave {rms[1]:.2g} eV of energy differences, as they are {rms[0]:.2g} eV"


def _left(s: StructureSet, forces: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Return what the trapezoidal rule leaves of the energies of near pairs, and its second order, eV."""
    assert s.energies is not None
    assert forces is not None
    i, j = near_pairs(s.positions.reshape(len(s), -1))
    near = np.linalg.norm(s.positions[j] - s.positions[i], axis=2).max(axis=1) < _FARTHEST
    i, j = i[near], j[near]
    step = s.positions[j] - s.positions[i]
    work = -0.5 * np.einsum("nax,nax->n", forces[i] + forces[j], step)
    bend = 0.5 * np.einsum("nax,nax->n", forces[i] - forces[j], step)
    return s.energies[j] - s.energies[i] - work, bend
