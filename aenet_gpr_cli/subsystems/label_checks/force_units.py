"""What a factor between energy differences and those that forces give says: sign, unit, energies per atom.

Owns the known factors and their wording. How a factor is found is left to `checks` and `energy_slope`.
"""

from __future__ import annotations

SLOPE_TOLERANCE = 0.2  # relative; of the candidates below the nearest counts
_PER_ATOM_TOLERANCE, _ROUGHLY = 0.1, 0.25

# dE / (-F dR) if energies are in eV, positions in Å, and the forces in another unit.
_SLOPES = (
    (1.0, "eV/Å"),
    (51.42206747, "Hartree/Bohr"),
    (25.71103373, "Ry/Bohr"),
    (27.211386246, "Hartree/Å"),
    (1.8897261258, "eV/Bohr, or Hartree/Bohr beside energies in Hartree"),
    (0.529177211, "eV/Å at positions in Bohr"),
    (0.0433641153, "kcal/mol/Å"),
    (0.0103642696, "kJ/mol/Å"),
    (23.060547831, "eV/Å beside energies in kcal/mol"),
    (0.0367493222, "eV/Å beside energies in Hartree"),
    (0.001, "meV/Å"),
)
_REVERSED = "the sign is reversed: these are gradients dE/dR, expected F = -dE/dR"
PER_ATOM = "energies are per atom, expected total energies in eV"


def what_is_wrong(
    slope: float, n_atoms: int | None = None, tolerance: float = SLOPE_TOLERANCE, resolution: float = 0.0
) -> tuple[str, str] | None:
    """Return a verdict and what it means, in words that follow a colon; None where signs and units agree.

    Parameters
    ----------
    slope : float, dimensionless
        Energy difference over what the forces say that it is.
    n_atoms : int, optional
        Of every structure, so that energies per atom show; none where the numbers differ.
    tolerance : float
        Relative, of the known factors.
    resolution : float
        Relative; factors that are farther off than the nearest by less than this are named beside it.

    Returns
    -------
    verdict : str
        ``sign``, ``unit``, ``inconsistent`` or ``per atom``.
    meaning : str
    """
    by_distance = sorted((abs(abs(slope) / value - 1.0), unit) for value, unit in _SLOPES)
    off, nearest = by_distance[0]
    units = [unit for far, unit in by_distance if far < min(tolerance, off + max(resolution, 1e-12))]
    per_atom = n_atoms is not None and n_atoms > 1 and abs(slope * n_atoms - 1.0) < _PER_ATOM_TOLERANCE
    turned = _REVERSED if slope < 0 else ""
    if off >= tolerance:
        if per_atom:
            return "per atom", PER_ATOM
        unknown = "they differ from -dE/dR in eV/Å by an unknown factor"
        return "inconsistent", f"{unknown} and {turned}" if turned else unknown
    other = f"they look like {'; or '.join(units)}, expected eV/Å" if nearest != "eV/Å" else ""
    if not (turned or other):
        return None
    meaning = " and ".join(filter(None, (turned, other)))
    return "sign" if turned else "unit", f"{meaning}; or {PER_ATOM}" if per_atom else meaning


def nearest_explanation(slope: float, n_atoms: int | None = None) -> str:
    """Return what roughly explains a slope that fits nothing, in words that follow others; or nothing."""
    found = what_is_wrong(slope, n_atoms, _ROUGHLY)
    if found is None or found[0] == "inconsistent":
        return f"; nearest explanation: {_REVERSED}" if slope < 0.0 else ""
    return f"; nearest explanation: {found[1]}"


def per_atom(numbers: str) -> str:
    """Return why energies per atom are refused.

    Parameters
    ----------
    numbers : str
        What tells them.
    """
    return (
        f"{PER_ATOM} ({numbers}). To change: multiply them by the number of atoms, or name the total "
        "energies (energy_key); take them as they are with check_forces: false"
    )
