"""Which synthetic structures are trusted: limits on σ, on interatomic distances and on the energy.

Owns the rejection of copies and its account by reason; the limits themselves come from the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import AugmentedSet, FloatArray, StructureSet


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
    return GateResult(keep_copies(candidates, keep), keep, counts)


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
    The cells and their inverses are all the memory it needs.
    """
    shortest = np.empty(len(structures))
    cells = np.zeros((len(structures), 3, 3))
    if structures.cells is not None and structures.is_periodic:
        cells = structures.cells
    images = np.array(list(np.ndindex(3, 3, 3)), float) - 1
    images = images[np.argsort(np.abs(images).sum(axis=1), kind="stable")]  # no shift comes first
    images = images[(images * ~np.array(structures.pbc) == 0).all(axis=1)]
    if _orthogonal(cells):
        images = images[:1]
    _shortest(structures.positions, cells, _inverses(cells), np.array(structures.pbc), images, shortest)
    return shortest


def _inverses(cells: FloatArray) -> FloatArray:
    """Return pseudo-inverse cells: a direction that is not periodic may have a zero vector."""
    if (cells == cells[:1]).all():
        return np.repeat(np.linalg.pinv(cells[:1]), len(cells), axis=0).astype(np.float64)
    return np.linalg.pinv(cells).astype(np.float64)


def _orthogonal(cells: FloatArray) -> bool:
    metric = np.einsum("nkx,nlx->nkl", cells, cells)
    mixed = metric * (1 - np.eye(3))
    return bool(np.abs(mixed).max(initial=0.0) <= 1e-9 * np.abs(metric).max(initial=0.0))


@numba.njit(cache=True)
def _shortest(
    positions: FloatArray,
    cells: FloatArray,
    inverses: FloatArray,
    periodic: NDArray[np.bool_],
    images: FloatArray,
    shortest: FloatArray,
) -> None:
    """Write the shortest distance of each structure into ``shortest``."""
    for n in range(len(positions)):
        smallest = np.inf
        for i in range(positions.shape[1]):
            for j in range(i):
                x = positions[n, i, 0] - positions[n, j, 0]
                y = positions[n, i, 1] - positions[n, j, 1]
                z = positions[n, i, 2] - positions[n, j, 2]
                bx, by, bz = x, y, z
                for k in range(3):
                    if periodic[k]:
                        turn = np.rint(
                            bx * inverses[n, 0, k] + by * inverses[n, 1, k] + bz * inverses[n, 2, k]
                        )
                        x -= turn * cells[n, k, 0]
                        y -= turn * cells[n, k, 1]
                        z -= turn * cells[n, k, 2]
                for a, b, c in images:
                    dx = x + a * cells[n, 0, 0] + b * cells[n, 1, 0] + c * cells[n, 2, 0]
                    dy = y + a * cells[n, 0, 1] + b * cells[n, 1, 1] + c * cells[n, 2, 1]
                    dz = z + a * cells[n, 0, 2] + b * cells[n, 1, 2] + c * cells[n, 2, 2]
                    smallest = min(smallest, dx * dx + dy * dy + dz * dz)
        shortest[n] = np.sqrt(smallest)


def keep_copies(augmented: AugmentedSet, keep: NDArray[np.bool_]) -> AugmentedSet:
    """Return some of the copies, in order.

    Parameters
    ----------
    augmented : AugmentedSet
    keep : ndarray of bool, shape (n_copies_in_total,)

    Returns
    -------
    AugmentedSet
    """
    index = np.flatnonzero(keep)
    return replace(
        augmented,
        structures=augmented.structures.select(index),
        parents=tuple(augmented.parents[i] for i in index),
        copies=augmented.copies[index],
        sigma=None if augmented.sigma is None else augmented.sigma[index],
        domain_distance=None if augmented.domain_distance is None else augmented.domain_distance[index],
    )
