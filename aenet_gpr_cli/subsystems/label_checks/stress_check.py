"""Whether the stress fits the energies: sign, unit, or a virial in its place.

Owns the comparison of near structures with different cells. Forces are compared in `checks`.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.lattice import Lattice
from aenet_gpr_cli.structures import FloatArray, StructureSet
from aenet_gpr_cli.subsystems.label_checks.checks import near_pairs

_MAX_STRUCTURES = 1000
_MIN_PAIRS = 5
_MAX_STRAIN, _MAX_STEP = 0.1, 0.5  # Å; further apart the trapezoidal rule says nothing
_MIN_CORRELATION = 0.9
_TOLERANCE = 0.25  # of the slope; of the candidates the nearest counts
_MIN_WORK = 1e-4  # eV; below that digits of the energy decide
_GPA = 160.21766


def check_stress(structures: StructureSet) -> str | None:
    """Compare the stress, integrated between near structures, with what forces leave of energy differences.

    E_j - E_i + ½(F_i + F_j)·d ≈ ½(V_i σ_i + V_j σ_j):ε, with the strain ε between the cells and displacements
    d beyond it.

    Parameters
    ----------
    structures : StructureSet
        With energies (eV), forces (eV/Å), stress (eV/Å³) and cells that differ.

    Returns
    -------
    str or None
        One sentence for the user where the stress cannot be what is expected; None where it fits or nothing
        can be said.
    """
    s = structures
    if s.energies is None or s.forces is None or s.stress is None or s.cells is None or not s.is_periodic:
        return None
    known = np.flatnonzero(np.isfinite(s.stress).all(axis=(1, 2)))
    some = known[np.unique(np.linspace(0, len(known) - 1, min(len(known), _MAX_STRUCTURES)).astype(int))]
    if len(some) < 2:
        return None
    work, rest = _pairs(s.select(some))
    if len(work) < _MIN_PAIRS or np.sqrt(np.mean(work**2)) < _MIN_WORK or not rest.any():
        return None
    correlation = float(work @ rest / np.sqrt((work @ work) * (rest @ rest)))
    slope = float(work @ rest / (work @ work))
    if abs(correlation) < _MIN_CORRELATION or abs(slope - 1.0) < _TOLERANCE:
        return None
    volume = float(np.abs(np.linalg.det(s.cells)).mean())
    candidates = (
        (1.0, "stress in eV/Å³"),
        (1.0 / _GPA, "stress in GPa"),
        (0.1 / _GPA, "stress in kbar"),
        (27.211386 / 0.529177**3, "stress in Hartree/Bohr³"),
        (1.0 / volume, "a virial in eV"),
    )
    off, looks_like = min((abs(np.log(abs(slope) * 1.0 / value)), name) for value, name in candidates)
    what = f"it looks like {looks_like}" if off < _TOLERANCE else "it differs by an unknown factor"
    if slope < 0.0:
        what += ", with the sign of a pressure"
    return (
        f"stress does not fit energies and forces: {what}; expected eV/Å³, positive under tension "
        f"(slope {slope:.3g}, correlation {correlation:.3f}, {len(work)} pairs)"
    )


def _pairs(s: StructureSet) -> tuple[FloatArray, FloatArray]:
    """Return work of the stress and what the forces leave of the energy differences, in eV, of near pairs."""
    assert s.cells is not None
    assert s.energies is not None
    assert s.forces is not None
    assert s.stress is not None
    n = len(s)
    one, other = near_pairs(np.hstack([s.positions.reshape(n, -1), s.n_atoms**0.5 * s.cells.reshape(n, 9)]))
    work, rest, near = np.zeros(len(one)), np.zeros(len(one)), np.zeros(len(one), bool)
    volumes = np.abs(np.linalg.det(s.cells))
    inverse = np.linalg.inv(s.cells)
    for k, (i, j) in enumerate(zip(one, other, strict=True)):
        mean = 0.5 * (s.cells[i] + s.cells[j])
        step = (s.positions[j] @ inverse[j] - s.positions[i] @ inverse[i]) @ mean
        step = Lattice(mean, s.pbc).nearest(step)
        step -= step.mean(axis=0)
        gradient = np.linalg.inv(mean) @ (s.cells[j] - s.cells[i])
        strain = 0.5 * (gradient + gradient.T)
        near[k] = np.abs(gradient).max() < _MAX_STRAIN and np.linalg.norm(step, axis=1).max() < _MAX_STEP
        work[k] = 0.5 * np.sum((volumes[i] * s.stress[i] + volumes[j] * s.stress[j]) * strain)
        rest[k] = s.energies[j] - s.energies[i] + 0.5 * np.sum((s.forces[i] + s.forces[j]) * step)
    return work[near], rest[near]
