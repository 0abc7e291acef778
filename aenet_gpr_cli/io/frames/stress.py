"""Stress of a frame: its usual names, virials, units; eV/Å³, positive under tension.

Owns which numbers are a stress and which of several is meant. What else a frame has is left to `labels`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.frames.declared_units import Factors
from aenet_gpr_cli.io.frames.frame import Frame
from aenet_gpr_cli.structures import FloatArray

STANDARD = "stress"
_NAME = re.compile(r"(?![\w-]*unit)[\w-]*(?:stress|virial)[\w-]*", re.IGNORECASE)
_PART = r"(?:ref|dft|qm|true|target|total|pbe|scf|cauchy)"
_REFERENCE = re.compile(
    rf"(?:{_PART}_)?(?:virial_)?(?:stress|virial)(?:es|s)?(?:_tensor)?(?:_{_PART})?", re.IGNORECASE
)
_VOIGT = [[0, 5, 4], [5, 1, 3], [4, 3, 2]]  # xx yy zz yz xz xy
_ASYMMETRY = 0.01  # of the largest element; more is no stress
SAME = 1e-6  # eV/Å³ (0.2 MPa): below the last digit of any output


def is_stress(name: str) -> bool:
    """Return whether a name says that it is a stress or a virial."""
    return _NAME.fullmatch(name) is not None


def is_virial(name: str) -> bool:
    """Return whether a stress of this name is a virial in the file."""
    return is_stress(name) and STANDARD not in name.lower()


def stresses_in(
    values: Mapping[str, Any], volume: float, units: Factors | None = None
) -> dict[str, FloatArray]:
    """Return every stress of a frame by its name in the file.

    σ = -W/V for a virial W (eV), named by a word with ``virial`` and without ``stress``.

    Parameters
    ----------
    values : mapping of str to array_like
        Six numbers (xx yy zz yz xz xy) or nine.
    volume : float, Å³
        Not positive where there is none: then there is no stress either.
    units : Factors, optional
        What the file declares; default: eV/Å³ and eV.

    Returns
    -------
    dict of str to ndarray of shape (3, 3), eV/Å³
        Positive under tension; NaN where they are no stress: not six or nine, not finite, not symmetric, or
        all exactly zero, which stands for one that was not calculated, or no unit beside declared ones.
    """
    units = units or Factors()
    found: dict[str, FloatArray] = {}
    for key, value in values.items():
        if volume <= 0.0 or not is_stress(str(key)) or (tensor := _tensor(str(key), value)) is None:
            continue
        factor = (
            units.stress
            if not is_virial(str(key))
            else None
            if units.virial is None
            else -units.virial / volume
        )
        found[str(key)] = _symmetric(tensor) * (np.nan if factor is None else factor)
    return found


def stress_keys_of(
    frames: Sequence[Frame], asked_for: str | None, energy_key: str, where: str, strict: bool = True
) -> list[str]:
    """Return the names of the stress that is meant, of which the first that a frame has counts.

    That which belongs to the energy (REF_stress to REF_energy), else ``stress``, else the only usual name, or
    any of those that agree; then those of the same kind that other frames have (``virial`` to ``stress``).

    Parameters
    ----------
    strict : bool
        Refuse several that differ.

    Raises
    ------
    InputError
        If the name asked for is not there, or several differ.
    """
    names = list(dict.fromkeys(key for frame in frames for key in frame.stresses))
    if asked_for:
        if asked_for in names or not names:
            return [asked_for]
        raise InputError(f"{where}: expected the stress_key {asked_for!r}, got {', '.join(names)}")
    known = [name for name in names if _REFERENCE.fullmatch(name)]
    belonging = [name for name in known if energy_key and _stem(name) == _stem(energy_key)]
    known = belonging or known
    known = [name for name in known if any(stress_of(frame, [name])[0] for frame in frames)] or known
    if STANDARD in known:
        known.insert(0, known.pop(known.index(STANDARD)))
    rivals = [name for name in known[1:] if _differ(frames, known[0], name)]
    if rivals and strict:
        raise InputError(
            f"{where}: expected one stress in each frame, got several that differ: "
            f"{', '.join([known[0], *rivals])} (a virial counts as -virial/V); say which with stress_key "
            f"(stress_key: {known[0]})"
        )
    return [name for name in known if name not in rivals and _stem(name) == _stem(known[0])]


def stress_of(frame: Frame, keys: Sequence[str]) -> tuple[str, FloatArray | None]:
    """Return the first of some names under which a frame has a stress, and it; empty and None without."""
    for key in keys:
        found = frame.stresses.get(key)
        if found is not None and np.isfinite(found).all():
            return key, found
    return "", None


def _stem(name: str) -> str:
    pattern = r"_?(?:free_?)?(?:virial_stress|energy|stress(?:es)?|virials?)(?:_tensor)?_?"
    return re.sub(pattern, "", name, flags=re.IGNORECASE).lower()


def _differ(frames: Sequence[Frame], one: str, other: str) -> bool:
    return any(
        np.nanmax(np.abs(f.stresses[one] - f.stresses[other]), initial=0.0) > SAME
        for f in frames
        if one in f.stresses and other in f.stresses
    )


def _tensor(name: str, value: Any) -> FloatArray | None:
    """Return nine numbers, NaN where something else has the name of a stress; None where it is none."""
    lost = np.full((3, 3), np.nan) if _REFERENCE.fullmatch(name) else None
    try:
        flat = np.asarray(value, float).ravel()
    except (TypeError, ValueError):
        return lost
    if flat.size == 6:
        return flat[_VOIGT]
    if flat.size == 9:
        return flat.reshape(3, 3)
    return lost if 1 < flat.size < 13 else None


def _symmetric(tensor: FloatArray) -> FloatArray:
    if not np.isfinite(tensor).all() or not tensor.any():
        return np.full((3, 3), np.nan)
    if np.abs(tensor - tensor.T).max() > _ASYMMETRY * np.abs(tensor).max():
        return np.full((3, 3), np.nan)
    return 0.5 * (tensor + tensor.T)
