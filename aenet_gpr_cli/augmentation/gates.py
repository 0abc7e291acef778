"""Which synthetic structures are kept: limits on σ, distances and energy, and the most informative of many.

Owns the rejection of copies and its account by reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.descriptors.interface.feature_distances import farthest_points
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.settings import NonNegativeFloat, Number, PositiveFloat, settings
from aenet_gpr_cli.structures import AugmentedSet, FloatArray, IntArray


@settings
class Gates:
    """Limits that a copy must keep."""

    max_sigma: PositiveFloat | None = None
    """reject copies with a larger σ, in eV"""
    minimum_distance: NonNegativeFloat = 0.4
    """reject copies with atoms closer than this, in Å"""
    energy_window: tuple[Number, Number] | None = None
    """keep copies whose energy lies in this range above the lowest reference, in eV"""

    def __post_init__(self) -> None:
        if self.energy_window is not None and not self.energy_window[0] < self.energy_window[1]:
            low, high = self.energy_window
            raise ValueError(f"energy_window: expected [lower, upper], got [{low}, {high}]")


@dataclass(frozen=True, slots=True)
class GateResult:
    """Accepted copies and how many were rejected, by reason.

    Attributes
    ----------
    keep : ndarray of bool, shape (n_candidates,)
        True where a candidate was accepted.
    rejected : dict of str to int
        Candidates that failed ``sigma``, ``minimum_distance`` or ``energy_window`` (one that fails several
        counts under each), and ``total``, which counts each rejected candidate once.
    """

    accepted: AugmentedSet
    keep: NDArray[np.bool_]
    rejected: dict[str, int]


def apply_gates(candidates: AugmentedSet, gates: Gates, lowest_energy: float) -> GateResult:
    """Reject copies with an uncertain label, atoms too close, or an energy outside the window.

    Parameters
    ----------
    lowest_energy : float, eV
        Zero of the energy window: the lowest energy of the reference structures.

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
    if gates.minimum_distance > 0:
        from aenet_gpr_cli.subsystems.contacts import closest_pairs  # compiled, and needed here only

        distances, _ = closest_pairs(candidates.structures)
        failed["minimum_distance"] = ~(distances >= gates.minimum_distance)
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
    return GateResult(candidates.select(np.flatnonzero(keep)), keep, counts)


def most_informative(
    values: FloatArray, parents: IntArray, parent_values: FloatArray, n_copies: int
) -> NDArray[np.bool_]:
    """Choose M copies of each parent: the first far from the parent, each next far from those before.

    Parameters
    ----------
    values : ndarray of shape (n_candidates, n_features)
        Descriptors of the candidates.
    parents : ndarray of int, shape (n_candidates,)
        Index of the parent of each.
    parent_values : ndarray of shape (n_parents, n_features)
    n_copies : int
        M; where a parent has fewer candidates, all are taken.

    Returns
    -------
    ndarray of bool, shape (n_candidates,)
    """
    chosen = np.zeros(len(values), bool)
    for parent in np.unique(parents):
        own = np.flatnonzero(parents == parent)
        steps = values[own] - parent_values[parent]
        covered = np.zeros((1, values.shape[1]))  # the parent itself
        chosen[own[farthest_points(steps, min(n_copies, len(own)), covered)]] = True
    return chosen
