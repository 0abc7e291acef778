"""Which synthetic structures are trusted: limits on σ, on interatomic distances and on the energy.

Owns the rejection of copies and its account by reason; the limits themselves come from the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import AugmentedSet, FloatArray, StructureSet

PAIRS_PER_BLOCK = 2_000_000  # interatomic distances held at once, about 150 MB of temporaries


@dataclass(frozen=True, slots=True)
class Gates:
    """Limits that a copy must keep; None switches a gate off.

    Attributes
    ----------
    max_sigma : float or None, eV
        Largest standard deviation of the label.
    min_distance : float or None, Å
        Shortest distance between two atoms, with periodic images.
    energy_window : tuple of two float or None, eV
        Lowest and highest energy, relative to ``lowest_energy`` of `apply_gates`.
    """

    max_sigma: float | None
    min_distance: float | None
    energy_window: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class GateResult:
    """Accepted copies and how many were rejected, by reason.

    Attributes
    ----------
    accepted : AugmentedSet
    keep : ndarray of bool, shape (n_candidates,)
        True where a candidate was accepted.
    rejected : dict of str to int
        Candidates that failed ``sigma``, ``min_distance`` or ``energy_window`` (one that fails several counts
        under each), and ``total``, which counts each rejected candidate once.
    """

    accepted: AugmentedSet
    keep: NDArray[np.bool_]
    rejected: dict[str, int]


def apply_gates(candidates: AugmentedSet, gates: Gates, lowest_energy: float) -> GateResult:
    """Reject copies with an uncertain label, atoms too close, or an energy outside the window.

    Parameters
    ----------
    candidates : AugmentedSet
    gates : Gates
    lowest_energy : float, eV
        Zero of the energy window: the lowest energy of the reference structures.

    Returns
    -------
    GateResult

    Raises
    ------
    InputError
        If σ is to be limited but the labels have none, or an energy window is asked of unlabelled copies.
    """
    failed: dict[str, NDArray[np.bool_]] = {}
    if gates.max_sigma is not None:
        if candidates.sigma is None:
            raise InputError(
                f"max_sigma = {gates.max_sigma} eV: expected labels with a standard deviation, got "
                f"{candidates.label!r} labels without; use method gpr with sigma, or max_sigma: null"
            )
        failed["sigma"] = ~(candidates.sigma <= gates.max_sigma)  # NaN fails
    if gates.min_distance is not None:
        failed["min_distance"] = ~(minimum_distances(candidates.structures) >= gates.min_distance)
    if gates.energy_window is not None:
        if candidates.structures.energies is None:
            raise InputError("energy_window: expected labelled copies, got copies without energies")
        low, high = gates.energy_window
        relative = candidates.structures.energies - lowest_energy
        failed["energy_window"] = ~((relative >= low) & (relative <= high))
    keep = np.ones(len(candidates), bool)
    for reason in failed.values():
        keep &= ~reason
    counts = {reason: int(np.count_nonzero(mask)) for reason, mask in failed.items()}
    counts["total"] = int(np.count_nonzero(~keep))
    return GateResult(_subset(candidates, keep), keep, counts)


def minimum_distances(structures: StructureSet) -> FloatArray:
    """Calculate the shortest interatomic distance of every structure.

    Parameters
    ----------
    structures : StructureSet

    Returns
    -------
    ndarray of shape (n_structures,), Å
        Infinite for a single atom. Distances of an atom to its own images are left out: displacements do not
        change them.

    Notes
    -----
    Differences are wrapped into the cell in fractional coordinates; where the lattice vectors are not
    orthogonal the 26 neighbouring images are looked at as well, which is exact for reduced cells.
    """
    n, atoms = len(structures), structures.n_atoms
    first, second = np.triu_indices(atoms, k=1)
    shortest = np.full(n, np.inf)
    if not len(first):
        return shortest
    step = max(1, PAIRS_PER_BLOCK // len(first))
    for start in range(0, n, step):
        block = slice(start, start + step)
        pairs = structures.positions[block][:, second] - structures.positions[block][:, first]
        if structures.cells is not None and structures.is_periodic:
            squared = _squared_minimum_image(pairs, structures.cells[block], structures.pbc)
        else:
            squared = np.einsum("npx,npx->np", pairs, pairs)  # structure, pair, x
        shortest[block] = np.sqrt(squared.min(axis=1))
    return shortest


def _squared_minimum_image(pairs: FloatArray, cells: FloatArray, pbc: tuple[bool, bool, bool]) -> FloatArray:
    """Return squared minimum-image lengths of ``pairs``, shape (n_structures, n_pairs, 3)."""
    periodic = np.array(pbc)
    fractional = np.einsum("npx,nxk->npk", pairs, np.linalg.inv(cells))
    wrapped = pairs - np.einsum("npk,nkx->npx", np.where(periodic, np.round(fractional), 0.0), cells)
    squared = np.einsum("npx,npx->np", wrapped, wrapped)
    metric = cells @ cells.transpose(0, 2, 1)
    if np.abs(metric - np.einsum("nkk,kl->nkl", metric, np.eye(3))).max() < 1e-9 * np.abs(metric).max():
        return squared
    for image in np.ndindex(3, 3, 3):
        shift = (np.array(image) - 1) * periodic
        if shift.any():
            moved = wrapped + np.einsum("k,nkx->nx", shift, cells)[:, None]
            np.minimum(squared, np.einsum("npx,npx->np", moved, moved), out=squared)
    return squared


def _subset(augmented: AugmentedSet, keep: NDArray[np.bool_]) -> AugmentedSet:
    index = np.flatnonzero(keep)
    return replace(
        augmented,
        structures=augmented.structures.select(index),
        parents=tuple(augmented.parents[i] for i in index),
        copies=augmented.copies[index],
        sigma=None if augmented.sigma is None else augmented.sigma[index],
    )
