"""Isolated atoms in a data set: not structures to learn from, but the energies of free atoms.

Owns what counts as isolated. Who uses the energies is left to the stages.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.lattice import Lattice
from aenet_gpr_cli.structures import Structure

EMPTY_BOX = 8.0  # Å between images of an atom, beyond the cutoffs of descriptors
SAME_ENERGY = 1e-3  # eV
_NAMED = re.compile(r"isolated[ _-]?atoms?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FreeAtoms:
    """Energies of free atoms.

    Attributes
    ----------
    energies : dict of str to float, eV
        By element, of neutral ones; the lowest where there are several.
    n_structures : int
        Isolated atoms that they come from.
    warnings : tuple of str
    """

    energies: dict[str, float]
    n_structures: int = 0
    warnings: tuple[str, ...] = ()


def is_isolated(structure: Structure) -> bool:
    """Whether a structure is one atom whose images, if any, are far away or that is named as isolated."""
    if structure.n_atoms != 1:
        return False
    if not any(structure.pbc) or _NAMED.fullmatch(structure.group):
        return True
    shortest = np.linalg.norm(Lattice(structure.cell, structure.pbc).rows, axis=1).min()
    return bool(shortest >= EMPTY_BOX)


def set_apart(structures: Sequence[Structure]) -> tuple[list[Structure], FreeAtoms]:
    """Return the structures without isolated atoms, and the energies of these.

    Parameters
    ----------
    structures : sequence of Structure
        With energies.
    """
    found: dict[str, list[float]] = defaultdict(list)
    rest = []
    for s in structures:
        if s.energy is None or not is_isolated(s):
            rest.append(s)
        elif not dict(s.state).get("charge"):
            found[s.species[0]].append(s.energy)
    warnings = tuple(
        f"isolated atoms of {symbol} have energies from {min(values):.6g} to {max(values):.6g} eV; the "
        "lowest is taken"
        for symbol, values in found.items()
        if max(values) - min(values) > SAME_ENERGY
    )
    energies = {symbol: min(found[symbol]) for symbol in sorted(found)}
    return rest, FreeAtoms(energies, sum(map(len, found.values())), warnings)
