"""What `augment` reports of copies: how many, σ, energies, displacements; summed over blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from aenet_gpr_cli.augmentation.gates import GateResult
from aenet_gpr_cli.augmentation.strains import displacements_of, strain_freedom, strain_of
from aenet_gpr_cli.gpr.regression.structure_distances import OUTSIDE
from aenet_gpr_cli.structures import IntArray, StructureSet

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts, σ, energies and displacements of copies; of two blocks together by ``+``.

    Attributes
    ----------
    rejected : dict of str to int
        By reason, and ``total``.
    sigma_sum, sigma_max : float or None, eV
    energy_low, energy_high : float, eV
    square_sum : float, Å²
        Of the root-mean-square displacements of the accepted copies.
    n_outside : int or None
        Accepted copies farther from the training data than these are from each other.
    strain_sum : float, dimensionless
        Of the mean square components of the strains of the accepted copies.
    """

    candidates: int = 0
    accepted: int = 0
    rejected: dict[str, int] | None = None
    sigma_sum: float | None = None
    sigma_max: float | None = None
    energy_low: float = np.inf
    energy_high: float = -np.inf
    square_sum: float = 0.0
    n_outside: int | None = None
    strain_sum: float = 0.0

    @property
    def rms_displacement(self) -> float:
        """Root mean square displacement component of the accepted copies, Å; 0 without any."""
        return float(np.sqrt(self.square_sum / max(self.accepted, 1)))

    @property
    def rms_strain(self) -> float:
        """Root mean square component of the strains of the accepted copies; 0 without any."""
        return float(np.sqrt(self.strain_sum / max(self.accepted, 1)))

    def __add__(self, other: Statistics) -> Statistics:
        """Return the statistics of both together."""
        ours, theirs = self.rejected or {}, other.rejected or {}
        return Statistics(
            candidates=self.candidates + other.candidates,
            accepted=self.accepted + other.accepted,
            rejected={k: ours.get(k, 0) + theirs.get(k, 0) for k in {**ours, **theirs}},
            sigma_sum=_combined(self.sigma_sum, other.sigma_sum, float.__add__),
            sigma_max=_combined(self.sigma_max, other.sigma_max, max),
            energy_low=min(self.energy_low, other.energy_low),
            energy_high=max(self.energy_high, other.energy_high),
            square_sum=self.square_sum + other.square_sum,
            n_outside=_combined(self.n_outside, other.n_outside, int.__add__),
            strain_sum=self.strain_sum + other.strain_sum,
        )


def statistics_of(
    n_candidates: int, result: GateResult, parents: StructureSet, index: IntArray
) -> Statistics:
    """Return the statistics of the copies of one block.

    Parameters
    ----------
    n_candidates : int
        Copies that were made.
    result : GateResult
        Of these.
    index : ndarray of int, shape (n_accepted,)
        Parent of each accepted copy.
    """
    accepted, energies = result.accepted, result.accepted.structures.energies
    cells = accepted.structures.cells
    displacements = displacements_of(parents, index, accepted.structures.positions, cells)
    strain_sum = 0.0
    if cells is not None and strain_freedom(parents):
        squares = np.square(strain_of(parents, index, cells)).sum()
        strain_sum = float(squares) / np.count_nonzero(parents.pbc) ** 2
    distance = accepted.domain_distance
    given = accepted.sigma is not None and len(accepted) > 0
    return Statistics(
        candidates=n_candidates,
        accepted=len(accepted),
        rejected=result.rejected,
        sigma_sum=float(np.sum(accepted.sigma)) if given else None,  # type: ignore[arg-type]
        sigma_max=float(np.max(accepted.sigma)) if given else None,  # type: ignore[arg-type]
        energy_low=np.inf if energies is None else float(energies.min(initial=np.inf)),
        energy_high=-np.inf if energies is None else float(energies.max(initial=-np.inf)),
        square_sum=float(np.mean(np.square(displacements), axis=(1, 2)).sum()) if len(accepted) else 0.0,
        n_outside=None if distance is None else int(np.count_nonzero(distance > OUTSIDE)),
        strain_sum=strain_sum,
    )


def _combined(
    ours: Number | None, theirs: Number | None, function: Callable[[Number, Number], Number]
) -> Number | None:
    if ours is None or theirs is None:
        return theirs if ours is None else ours
    return function(ours, theirs)
