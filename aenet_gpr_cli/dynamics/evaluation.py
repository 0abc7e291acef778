"""What a potential says about one set of positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aenet_gpr_cli.structures import FloatArray

Place = tuple[FloatArray, FloatArray | None]  # positions and cell, Å


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a potential says about one set of positions.

    Attributes
    ----------
    energy : float, eV
    forces : ndarray of shape (n_atoms, 3), eV/Å
    strain_gradient : ndarray of shape (3, 3), eV, or None
        dE/dε, the stress times the volume; only where asked for.
    sigma : float or None, eV
        Standard deviation of the energy; only where asked for and known.
    beyond : ndarray of shape (n_atoms,), dimensionless, or None
        How far each environment lies outside the training data; only where asked for and known.
    beyond_unit : str
        What it is a share of.
    beyond_of_all : float or None, dimensionless
        The same of the structure as a whole, where the potential knows no single atoms.
    listed : pair of ndarray, Å, or None
        Positions and cell where the neighbour list was made that forces come from: they round by it.
    """

    energy: float
    forces: FloatArray
    strain_gradient: FloatArray | None = None
    sigma: float | None = None
    beyond: FloatArray | None = None
    beyond_unit: str = ""
    listed: Place | None = None
    beyond_of_all: float | None = None

    @property
    def largest_beyond(self) -> float | None:
        """How far the atom farthest outside the training data, or the structure, lies; None if not known."""
        return self.beyond_of_all if self.beyond is None else float(self.beyond.max(initial=0.0))


class Potential(Protocol):
    """What answers for one run."""

    def __call__(
        self,
        positions: FloatArray,
        cell: FloatArray | None,
        strain: bool,
        look: bool,
        listed: Place | None = None,
    ) -> Evaluation:
        """See `asking.Ask`."""
