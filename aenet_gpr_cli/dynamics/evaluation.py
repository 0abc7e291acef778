"""What a potential says about one set of positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aenet_gpr_cli.structures import FloatArray


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
    """

    energy: float
    forces: FloatArray
    strain_gradient: FloatArray | None = None
    sigma: float | None = None
    beyond: FloatArray | None = None
    beyond_unit: str = ""


# positions (Å), cell (Å) or None, with the strain gradient, with σ and what is beyond the training data
Potential = Callable[[FloatArray, FloatArray | None, bool, bool], Evaluation]
