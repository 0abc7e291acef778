"""Forces that a constraint has set to zero."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.structures import StructureSet

FEWEST = 3  # different structures: fewer say nothing
STILL = 1e-3  # Å; up to here two structures are the same


def constrained_forces(structures: StructureSet) -> str | None:
    """Say which atoms have forces that are exactly zero in all structures, where others have some.

    Parameters
    ----------
    structures : StructureSet
        With the same atoms, in one order.

    Returns
    -------
    str or None
        Nothing where less than three structures differ, or forces are unknown or all zero.
    """
    forces = structures.forces
    if forces is None or len(structures) < FEWEST:
        return None
    moved = np.abs(structures.positions - structures.positions[0]).max(axis=(1, 2)) > STILL
    zero = (forces == 0.0).all(axis=(0, 2))
    if moved.sum() < FEWEST - 1 or not zero.any() or zero.all():
        return None
    first = int(np.flatnonzero(zero)[0])
    return (
        f"the forces on {zero.sum()} of {structures.n_atoms} atoms are exactly zero in all {len(structures)} "
        f"structures, such as those on atom {first + 1} ({structures.species[first]}): were they fixed? A "
        "model learns zeros as true forces, as they are by symmetry only. To change: write forces without "
        "constraints (in ASE get_forces(apply_constraint=False))"
    )
