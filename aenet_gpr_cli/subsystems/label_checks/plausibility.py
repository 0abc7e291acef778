"""Numbers that are hardly those of atoms in eV and Å: other units, most often.

Owns the limits and their wording. A finding warns; whether forces fit energies is left to `checks`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aenet_gpr_cli.lattice import Lattice
from aenet_gpr_cli.structures import FloatArray, IntArray, Structure, StructureSet

LARGEST_FORCE = 100.0  # eV/Å; 0.4 Å inside a bond of carbon
_BOHR = 0.529177
_LOOSE, _TIGHT = 1.5, 0.66  # nearest neighbours in units of the sum of covalent radii: metals 1.3, N2 0.77
_TRIPLE = 0.77  # no bond is shorter for its atoms than that of N2
_GAP, _GAP_RATIO = 1.0, 3.0  # eV per atom between two groups of energies, in units of their own ranges
_SAME_FACTOR, _LIKE = 0.04, 0.25  # of two groups of distances: off 1.89; how much each varies
_APART = 2.5  # beyond that the atoms are meant to be apart
_FEWEST, _SMALL_FORCE, _SMALL_STEP = 3, 0.05, 0.01  # eV/Å, Å: where energies must differ
_N_LOOKED_AT, _N_PAIRS = 50, 10**8
_NOBLE = {"He", "Ne", "Ar", "Kr", "Xe", "Rn"}


def implausible(structures: StructureSet) -> list[str]:
    """Return what is hardly right in eV and Å, as sentences for the user.

    Parameters
    ----------
    structures : StructureSet
        Positions in Å, forces in eV/Å.

    Notes
    -----
    Lengths are judged by nearest neighbours, in units of the sum of their covalent radii, of at most 50
    structures evenly spaced in the set; all of them must be too long or too short, or two groups of them
    differ by just the factor of Bohr.
    """
    found = []
    if structures.forces is not None:
        largest = np.sqrt((structures.forces**2).sum(-1)).max(axis=1)
        if (many := int((largest > LARGEST_FORCE).sum())) > 0:
            worst = int(largest.argmax())
            name = structures.names[worst] if structures.names else str(worst)
            found.append(
                f"forces above {LARGEST_FORCE:g} eV/Å in {many} of {len(structures)} structures, the largest "
                f"{largest[worst]:.0f} eV/Å in {name}; another unit than eV/Å, or atoms that overlap"
            )
        if 0 < (zero := int((largest == 0.0).sum())) < len(structures) and not structures.is_periodic:
            first = int((largest == 0.0).argmax())
            name = structures.names[first] if structures.names else str(first)
            found.append(
                f"forces of {zero} of {len(structures)} structures are exactly zero, such as {name}; if they "
                "were not calculated, leave their columns out"
            )
    found += _all_the_same(structures) + _far_apart(structures)
    looked_at, each = _nearest(structures)
    ratios = each.ravel()
    if len(ratios) and ratios.min() > _LOOSE and np.median(ratios) < _APART:
        found.append(
            f"every bond is too long, {np.median(ratios):.2f} times the sum of covalent radii; positions may "
            "be in Bohr (1 Å is 1.89 Bohr), expected Å"
        )
    elif len(ratios) and np.median(ratios) < _TIGHT and ratios.max() < _TRIPLE:
        found.append(
            f"every bond is too short, {np.median(ratios):.2f} of the sum of covalent radii; positions may "
            f"have been converted from Bohr twice ({_BOHR:.3f}), expected Å"
        )
    return found + _two_lengths(structures, looked_at, each)


def _two_lengths(structures: StructureSet, looked_at: IntArray, ratios: FloatArray) -> list[str]:
    """Tell two groups of structures whose distances differ by the factor of Bohr."""
    if len(ratios) < 2:
        return []
    typical = np.median(ratios, axis=1)
    order = np.argsort(typical, kind="stable")
    k = int(np.diff(np.log(typical[order])).argmax()) + 1
    short, long = typical[order[:k]], typical[order[k:]]
    factor = float(np.median(long) / np.median(short))
    if abs(factor * _BOHR - 1.0) > _SAME_FACTOR or max(np.ptp(short), np.ptp(long) * _BOHR) > _LIKE:
        return []
    some = [structures.names[looked_at[i]] if structures.names else str(looked_at[i]) for i in order[[0, k]]]
    return [
        f"distances of {len(long)} of {len(ratios)} structures, such as {some[1]}, are {factor:.2f} times "
        f"those of the others, such as {some[0]}; positions of a part may be in Bohr, expected Å everywhere"
    ]


def _all_the_same(structures: StructureSet) -> list[str]:
    """Tell energies that are one number, copied to structures that differ and have forces."""
    energies, forces = structures.energies, structures.forces
    if energies is None or forces is None or len(energies) < _FEWEST or np.ptp(energies) > 0.0:
        return []
    largest = float(np.abs(forces).max())
    if largest < _SMALL_FORCE or np.ptp(structures.positions, axis=0).max() < _SMALL_STEP:
        return []
    return [
        f"all {len(energies)} energies are exactly {energies[0]:.6g} eV, while forces reach {largest:.3g} "
        "eV/Å; one energy may have been written to all structures"
    ]


def zero_energies(structures: Sequence[Structure]) -> list[str]:
    """Tell energies that are exactly zero beside others that are not, of structures with forces."""
    zero = [
        s
        for s in structures
        if s.energy == 0.0 and s.forces is not None and np.abs(s.forces).max(initial=0.0) > _SMALL_FORCE
    ]
    others = [s.energy for s in structures if s.energy]
    references = len({tuple(sorted(s.species)) for s in zero})  # each formula may have one, its lowest
    if len(zero) < _FEWEST or not others or (min(others) > 0.0 and len(zero) <= references):
        return []
    return [
        f"energies of {len(zero)} of {len(structures)} structures are exactly zero, though they have forces, "
        f"such as {zero[0].name}; if they were not calculated, leave these structures out"
    ]


def _far_apart(structures: StructureSet) -> list[str]:
    """Tell two groups of energies that lie far apart, as two units or definitions of the energy have it."""
    if structures.energies is None or len(structures) < _FEWEST:
        return []
    order = np.argsort(structures.energies, kind="stable")
    energies = structures.energies[order]
    k = int(np.diff(energies).argmax()) + 1
    gap = float(energies[k] - energies[k - 1])
    if max(k, len(order) - k) < _FEWEST:
        return []  # what two structures differ by, nothing says
    sides = max(np.ptp(energies[:k]), np.ptp(energies[k:]))
    if gap < _GAP * structures.n_atoms or gap < _GAP_RATIO * sides:
        return []
    names = [structures.names[i] if structures.names else str(i) for i in (order[0], order[-1])]
    return [
        f"energies fall into two groups {gap:.4g} eV apart, {k} structures such as {names[0]} and "
        f"{len(order) - k} such as {names[1]}; two units, two definitions of the energy, or calculations "
        "that went wrong"
    ]


def _nearest(structures: StructureSet) -> tuple[IntArray, FloatArray]:
    """Return which structures are looked at, and distances of nearest neighbours over covalent radii.

    Returns
    -------
    ndarray of int, shape (n_looked_at,)
    ndarray of shape (n_looked_at, n_atoms), dimensionless
    """
    n = len(structures)
    if n == 0 or structures.n_atoms < 2 or set(structures.species) & _NOBLE:
        return np.zeros(0, int), np.zeros((0, 0))
    from ase.data import atomic_numbers, covalent_radii

    radii = np.array([covalent_radii[atomic_numbers[s]] for s in structures.species])
    sums = radii[:, None] + radii
    ratios = []
    looked_at = max(1, min(n, _N_LOOKED_AT, _N_PAIRS // structures.n_atoms**2))
    chosen = np.unique(np.linspace(0, n - 1, looked_at).astype(int))
    for index in chosen:
        positions = structures.positions[index]
        vectors = positions[:, None] - positions
        if structures.cells is not None and structures.is_periodic:
            vectors = Lattice(structures.cells[index], structures.pbc).nearest(vectors)
        ratio = np.linalg.norm(vectors, axis=-1) / sums
        np.fill_diagonal(ratio, np.inf)
        ratios.append(ratio.min(axis=1))
    return chosen, np.array(ratios)
