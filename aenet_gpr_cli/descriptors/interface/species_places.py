"""Where the species of atoms stand among those that a descriptor knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import IntArray


def species_places(species: Sequence[str], known: Sequence[str]) -> IntArray:
    """Return the position of each atom's species among the known ones.

    Parameters
    ----------
    species, known : sequence of str
        Chemical symbols of the atoms, and of the descriptor.

    Returns
    -------
    ndarray of int, shape (n_atoms,)

    Raises
    ------
    InputError
        If a species is not known.
    """
    if unknown := sorted(set(species) - set(known)):
        raise InputError(
            f"species: expected only {', '.join(known)}, which the model was made for, got "
            f"{', '.join(unknown)}; give other structures, or train on some with these species"
        )
    return np.array([known.index(symbol) for symbol in species], np.int64)
