"""Reference energies of atoms, for those whose energy is not known, by least squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import AnySet, FloatArray


def least_squares_energies(
    subsets: Sequence[AnySet], species: Sequence[str], known: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return atomic reference energies by least squares, min |E - counts · E_atom|².

    One row per subset, the mean energy of its structures, weighted by their number. Where the
    compositions do not determine the energies the solution has minimum norm.

    Parameters
    ----------
    known : mapping of str to float, eV, optional
        Energies that are kept; the others are fitted.

    Returns
    -------
    dict of str to float, eV

    Raises
    ------
    InputError
        If a subset has no energies.
    """
    given = {symbol: value for symbol, value in (known or {}).items() if symbol in species}
    free = [symbol for symbol in species if symbol not in given]
    counts = np.array([[s.species.count(symbol) for symbol in free] for s in subsets], float)
    fixed = [sum(value * s.species.count(symbol) for symbol, value in given.items()) for s in subsets]
    means = np.array([energies_of(s).mean() for s in subsets]) - np.array(fixed)
    solution = energies_by_counts(counts, means, np.array([len(s) for s in subsets], float))
    found = given | dict(zip(free, solution.tolist(), strict=True))
    return {symbol: float(found[symbol]) for symbol in species}


def energies_by_counts(counts: FloatArray, energies: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the solution of min Σ w (E - counts · E_atom)² with the smallest norm.

    Parameters
    ----------
    counts : ndarray of shape (n, n_species)
        Atoms of each species.
    energies : ndarray of shape (n,), eV
    weights : ndarray of shape (n,), dimensionless

    Returns
    -------
    ndarray of shape (n_species,), eV
    """
    root = np.sqrt(weights)
    return np.asarray(np.linalg.lstsq(counts * root[:, None], energies * root, rcond=None)[0])


def energies_of(subset: AnySet) -> FloatArray:
    """Return the energies of a subset that must have them.

    Returns
    -------
    ndarray of shape (n_structures,), eV

    Raises
    ------
    InputError
        If there are none.
    """
    if subset.energies is None:
        raise InputError(f"expected energies for the structures {subset.formula}, got none")
    return subset.energies
