"""Which of several fitted Gaussian processes belongs to a structure.

A process is that of one subset: the same atoms in the same order, and where periodic the same cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.surrogate import Surrogate
from aenet_gpr_cli.structures import Pbc, Structure, formula

# Cells of one calculation differ by rounding in the output; a real change of the cell is larger.
CELL_TOLERANCE = 1e-3


def find_surrogate(surrogates: Mapping[str, Surrogate], structure: Structure, subset: str | None) -> str:
    """Return the name of the subset whose process can predict a structure.

    Parameters
    ----------
    subset : str or None
        The only one to consider, or None for all.

    Raises
    ------
    InputError
        If none fits, with what the nearest one expects, or if several do.
    """
    if subset is not None and subset not in surrogates:
        raise InputError(f"subset {subset}: no such Gaussian process; there are {', '.join(surrogates)}")
    considered = dict(surrogates) if subset is None else {subset: surrogates[subset]}
    reasons = {name: mismatch(surrogate, structure) for name, surrogate in considered.items()}
    fitting = [name for name, reason in reasons.items() if reason is None]
    if len(fitting) == 1:
        return fitting[0]
    label = structure.name or structure.formula
    if fitting:
        raise InputError(
            f"{label}: the Gaussian processes of several subsets fit ({', '.join(fitting)}); choose one"
        )
    # the most useful reason is that of the process that agrees furthest
    closest = max(reasons, key=lambda name: _agreement(considered[name], structure))
    raise InputError(f"{label}: no Gaussian process fits; that of subset {closest} {reasons[closest]}")


def mismatch(surrogate: Surrogate, structure: Structure) -> str | None:
    """Return why a process cannot predict a structure, or None if it can."""
    geometry = surrogate.geometry
    if Counter(geometry.species) != Counter(structure.species):
        return f"was fitted to {formula(geometry.species)}, the structure is {structure.formula}"
    if geometry.species != structure.species:
        first = next(
            i for i, (a, b) in enumerate(zip(geometry.species, structure.species, strict=True)) if a != b
        )
        return (
            f"was fitted to the same atoms in another order (atom {first + 1}: {geometry.species[first]}, "
            f"here {structure.species[first]}); reorder the structure"
        )
    if geometry.pbc != structure.pbc:
        return (
            f"was fitted to the periodicity {_flags(geometry.pbc)}, the structure has {_flags(structure.pbc)}"
        )
    if geometry.cell is None or structure.cell is None:
        return None
    difference = np.abs(geometry.cell - structure.cell)[list(geometry.pbc)].max()
    if difference > CELL_TOLERANCE:
        return (
            f"was fitted to another cell (a component differs by {difference:.4g} Å), and holds for that only"
        )
    return None


def _flags(pbc: Pbc) -> str:
    return "".join("T" if flag else "F" for flag in pbc)


def _agreement(surrogate: Surrogate, structure: Structure) -> tuple[bool, bool, bool]:
    geometry = surrogate.geometry
    return (
        Counter(geometry.species) == Counter(structure.species),
        geometry.species == structure.species,
        geometry.pbc == structure.pbc,
    )
