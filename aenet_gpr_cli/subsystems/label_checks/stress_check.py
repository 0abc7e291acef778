"""Whether the stress fits energies and forces: sign, unit, or a virial in its place.

Owns the comparison of near structures with different cells, and that with the stress of a model fitted to
energies and forces. Forces are compared in `checks`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.lattice import Lattice, volumes
from aenet_gpr_cli.structures import FloatArray, StructureSet
from aenet_gpr_cli.subsystems.label_checks.pair_slope import near_pairs
from aenet_gpr_cli.subsystems.label_checks.shears import SHEARS, other_shear_work, other_shears
from aenet_gpr_cli.units import GPA_PER_EV_PER_CUBIC_ANGSTROM as GPA

BoolArray = NDArray[np.bool_]
_UNITS = (
    (1.0, "stress in eV/Å³", ""),
    (1.0 / GPA, "stress in GPa", "GPa"),
    (0.1 / GPA, "stress in kbar", "kbar"),
    (27.211386 / 0.529177**3, "stress in Hartree/Bohr³", "au"),
)
_MAX_STRUCTURES = 1000
_MIN_PAIRS = 5
_MAX_STRAIN, _MAX_STEP = 0.1, 0.5  # Å; further apart the trapezoidal rule says nothing
_MIN_CORRELATION = 0.9
_TOLERANCE = 0.6  # of the slope, which atoms 0.08 Å off their sites change by 0.3
_MIN_WORK = 1e-4  # eV; below that digits of the energy decide
_PLAINLY, _ALIKE = 2.5, 0.8  # factor and correlation from which on a quick model is believed
_FEWEST, _SHARE = 3, 0.1  # of structures of another kind
_APART = 2.5  # from 1, where the sign may be another one: a stress named a virial has a factor of its volume
_KEEP = "stress_key names another stress, fit_gpr.local.virials: false trains on none"


def check_stress(structures: StructureSet, named_virial: bool = False) -> str | None:
    """Compare the stress, integrated between near structures, with what forces leave of energy differences.

    E_j - E_i + ½(F_i + F_j)·d ≈ ½(V_i σ_i + V_j σ_j):ε, with the strain ε between the cells and displacements
    d beyond it.

    Parameters
    ----------
    structures : StructureSet
        With energies (eV), forces (eV/Å), stress (eV/Å³) and cells that differ.
    named_virial : bool
        Whether the files call it a virial.

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
    normal, shears, rest = _pairs(s.select(some))
    work = normal + np.trace(shears, axis1=1, axis2=2)
    if len(work) < _MIN_PAIRS or np.sqrt(np.mean(work**2)) < _MIN_WORK or not rest.any():
        return None
    volume = float(np.abs(np.linalg.det(s.cells)).mean())
    limits = 1.0 + _TOLERANCE, _MIN_CORRELATION
    shear = other_shear_work(normal, shears, rest, _KEEP)
    of = f"{len(work)} pairs"
    return shear or _judged(work, rest, volume, limits, of, unknown=True, named_virial=named_virial)


def compare_stress(structures: Sequence[StructureSet], expected: Sequence[FloatArray]) -> str | None:
    """Compare the stress with that of a model fitted to energies and forces only.

    The mean pressure of all is left out: a basis that is too small shifts it, and data of one volume say
    little about it.

    Parameters
    ----------
    structures : sequence of StructureSet
        Crystals and slabs, all with a stress.
    expected : sequence of ndarray of shape (n_structures, 3, 3), eV/Å³

    Returns
    -------
    str or None
        As for `check_stress`; only where a sign or a unit explains the difference.
    """
    declared, fitted, sizes = [], [], []
    for s, model in zip(structures, expected, strict=True):
        volume = volumes(s)
        assert volume is not None  # it has a stress
        assert s.stress is not None
        declared.append(s.stress)
        fitted.append(model)
        sizes.append(volume)
    volume, names = np.concatenate(sizes), [name for s in structures for name in s.names]
    given, right = np.concatenate(declared), np.concatenate(fitted)

    def judged(some: BoolArray, of: str) -> str | None:
        one, other = _without_mean_pressure(given[some]), _without_mean_pressure(right[some])
        of = f"{of}, against a quick fit to energies and forces"
        limits, size = (_PLAINLY, _ALIKE), float(volume[some].mean())
        return _judged(one.ravel(), other.ravel(), size, limits, of, whole=bool(some.all()))

    other_kind, n = _of_another_kind(given, right), len(volume)
    if other_kind.any() and names:
        such = names[int(np.argmax(other_kind))]
        return judged(other_kind, f"in {int(other_kind.sum())} of {n} structures, such as {such}")
    return judged(np.ones(n, bool), f"{n} structures") or other_shears(given, right, _KEEP)


def _of_another_kind(given: FloatArray, right: FloatArray) -> BoolArray:
    """Return which structures have another sign or unit than others that fit; none where all are alike.

    Compared without the pressure, which a quick fit knows less well.
    """
    one, other = (
        (s - np.trace(s, axis1=1, axis2=2)[:, None, None] / 3.0 * np.eye(3)).reshape(len(s), 9)
        for s in (given, right)
    )
    squares, products = (one * one).sum(axis=1), (one * other).sum(axis=1)
    alike = np.abs(products) > _ALIKE * np.sqrt(squares * (other * other).sum(axis=1))
    slopes = products / np.where(squares > 0.0, squares, 1.0)
    fits = alike & (slopes > 1.0 / _PLAINLY) & (slopes < _PLAINLY)
    apart = alike & ~fits
    few = max(_FEWEST, _SHARE * len(given))
    return apart if min(fits.sum(), apart.sum()) >= few else np.zeros(len(given), bool)


def _without_mean_pressure(stress: FloatArray) -> FloatArray:
    return np.asarray(stress - np.trace(stress, axis1=1, axis2=2).mean() / 3.0 * np.eye(3))


def _judged(
    declared: FloatArray,
    right: FloatArray,
    volume: float,
    limits: tuple[float, float],
    of: str,
    unknown: bool = False,
    whole: bool = True,
    named_virial: bool = False,
) -> str | None:
    """Say what is wrong with numbers that should be the right ones; None where nothing is.

    Parameters
    ----------
    limits : tuple of two float
        Factor within which they are the same, and the smallest correlation that says something.
    unknown : bool
        Whether another factor than that of a unit is said, too.
    whole : bool
        Whether all structures are meant, so that one factor mends them.
    named_virial : bool
        Whether the files call it a virial, so that what was read is -1/V times what they hold; only where
        another factor is said anyway: a quick fit of few alloys was wrong by one that fitted a unit.
    """
    factor, least = limits
    squares = float(declared @ declared), float(right @ right)
    if min(squares) == 0.0:
        return None
    correlation = float(declared @ right) / np.sqrt(squares[0] * squares[1])
    slope = float(declared @ right) / squares[0]
    if abs(correlation) < least or (slope > 0.0 and abs(np.log(slope)) < np.log(factor)):
        return None
    if named_virial and (said := _named_virial(slope, correlation, volume, factor, of)) is not None:
        return said
    candidates = (*_UNITS, (1.0 / volume, "a virial in eV", "virial"))
    near = sorted((abs(np.log(abs(slope) / value)), *rest) for value, *rest in candidates)
    near = [found for found in near if found[0] < np.log(factor)]
    if not (near or unknown):
        return None
    what = (
        f"it looks like {' or '.join(name for _, name, _ in near)}"
        if near
        else "it differs by an unknown factor"
    )
    if slope < 0.0:
        what += ", with the sign of a pressure"
    units = {unit: value for value, _, unit in candidates}
    steps = [_step(unit, slope, units[unit] if whole else None) for *_, unit in near] or ["its unit"]
    return (
        f"stress does not fit energies and forces: {what}; expected eV/Å³, positive under tension "
        f"(slope {slope:.3g}, correlation {correlation:.3f}, {of}). To change: {', or '.join(steps)}; {_KEEP}"
    )


def _named_virial(slope: float, correlation: float, volume: float, factor: float, of: str) -> str | None:
    """Say that what the files call a virial is a stress; None where no unit explains the numbers."""
    near = sorted(
        (abs(np.log(abs(slope) / (volume * value))), name, unit)
        for value, name, unit in _UNITS
        if abs(np.log(volume * value)) > np.log(_APART)
    )
    if not near or near[0][0] > np.log(factor):
        return None
    _, name, unit = near[0]
    pressure, turned = (", with the sign of a pressure", ", turn its sign") if slope > 0.0 else ("", "")
    declared = f" and declare its unit in the header of the frames (stress_unit={unit})" if unit else ""
    return (
        f"stress does not fit energies and forces: it is read from a virial (in eV), and looks like {name}"
        f"{pressure} (slope {slope:.3g}, correlation {correlation:.3f}, {of}). To change: name it stress"
        f"{turned}{declared}; {_KEEP}"
    )


def _step(unit: str, slope: float, factor: float | None) -> str:
    """Return what to change; one factor for all structures does it where one is given."""
    if unit == "virial":
        turned = " with the other sign (a virial is -V times the stress)" if slope > 0.0 else ""
        return f"name it virial{turned}"
    turns = ["turn its sign"] if slope < 0.0 else []
    declared = [f"declare its unit in the header of the frames (stress_unit={unit})"] if unit else []
    by_key = "" if factor is None else f" (split.stress_factor: {np.copysign(factor, slope):.6g} does it)"
    return " and ".join([*turns, *declared]) + by_key


def _pairs(s: StructureSet) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return work of the stress and what the forces leave of the energy differences, in eV, of near pairs.

    Returns
    -------
    normal : ndarray of shape (n_pairs,)
        Work of the normal components.
    shears : ndarray of shape (n_pairs, 3, 3)
        Of each shear of the stress along each of the strain, yz, xz, xy; the diagonal is their work.
    rest : ndarray of shape (n_pairs,)
    """
    assert s.cells is not None
    assert s.energies is not None
    assert s.forces is not None
    assert s.stress is not None
    n = len(s)
    one, other = near_pairs(np.hstack([s.positions.reshape(n, -1), s.n_atoms**0.5 * s.cells.reshape(n, 9)]))
    normal, rest, near = np.zeros(len(one)), np.zeros(len(one)), np.zeros(len(one), bool)
    shears = np.zeros((len(one), 3, 3))
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
        virial = 0.5 * (volumes[i] * s.stress[i] + volumes[j] * s.stress[j])
        normal[k] = np.diagonal(virial) @ np.diagonal(strain)
        shears[k] = 2.0 * np.outer(virial[SHEARS], strain[SHEARS])
        rest[k] = s.energies[j] - s.energies[i] + 0.5 * np.sum((s.forces[i] + s.forces[j]) * step)
    return normal[near], shears[near], rest[near]
