"""Keys of the global descriptors, and what one of each is made from. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, MinLen

from aenet_gpr_cli.settings import Number, PositiveFloat, PositiveInt, settings

DescriptorName = Literal["inverse_distance", "cartesian", "soap"]
Atom = Annotated[int, Ge(0), Le(1_000_000)]
Power = Annotated[PositiveFloat, Le(20.0)]  # at 0.4 Å 1/r^20 is 1e8
# dscribe counts atoms whose Gaussian has decayed to this at the cutoff
PADDING_THRESHOLD = 1e-3


@dataclass(frozen=True, slots=True)
class CartesianSettings:
    """Cartesian coordinates have none."""

    name: ClassVar[str] = "cartesian"


@dataclass(frozen=True, slots=True)
class InverseDistanceSettings:
    """Inverse distances of all pairs, as 1/r^power.

    Attributes
    ----------
    power : float, dimensionless
    cutoff : float or None, Å
        Where they have gone smoothly to zero.
    """

    name: ClassVar[str] = "inverse_distance"
    power: float
    cutoff: float | None = None


@settings
class SoapSettings:
    """The SOAP power spectrum, as dscribe's, where the descriptor is soap."""

    name: ClassVar[str] = "soap"
    cutoff: Annotated[PositiveFloat, Gt(1)] = 5.0
    """reach of the radial functions, in Å"""
    n_max: Annotated[PositiveInt, Le(100)] = 6
    """radial functions"""
    l_max: Annotated[int, Ge(0), Le(100)] = 4
    """largest degree of the spherical harmonics"""
    sigma: PositiveFloat = 0.5
    """width of the Gaussian that represents an atom, in Å"""
    average: Literal["outer", "inner", "species", "off"] = "outer"
    """outer: mean spectrum of all centres; inner: spectrum of their mean density; species: mean spectrum of
    the atoms of each species; off: the spectra of all centres one after another"""
    centres: Annotated[tuple[tuple[Number, Number, Number], ...], MinLen(1)] | None = None
    """points fixed in space, [[x, y, z], ...] in Å, usually with average: off; default: every atom, moving
    with it"""
    compare: Literal["vector", "pairs"] = "vector"
    """with average: off, the kernel of all spectra as one vector, or pairs: the mean of the kernels of all
    pairs of centres (the paper's), which costs the square of their number"""

    def __post_init__(self) -> None:
        if self.average == "species" and self.centres is not None:
            raise ValueError("average: species needs centres on atoms; leave centres out")
        if self.compare == "pairs" and self.average != "off":
            raise ValueError("compare: pairs needs average: off")

    @property
    def reach(self) -> float:
        """Distance up to which an atom counts: the cutoff and the tail of its Gaussian, Å."""
        return self.cutoff + self.sigma * float(np.sqrt(-2.0 * np.log(PADDING_THRESHOLD)))


@settings
class DescriptorChoice:
    """Descriptors of a process: given, or the best of several, of their powers and permutations."""

    descriptor: DescriptorName | Literal["auto"] | tuple[DescriptorName, ...] = "auto"
    """global descriptor: inverse_distance of all pairs, cartesian coordinates, or soap; a list joins
    several, each in units of its median distance between structures; auto: inverse distances, soap and soap
    by species, by errors of left-out training structures (inverse_distance where length_scale is given, whose
    unit it is)"""
    weights: tuple[PositiveFloat, ...] | None = None
    """of the parts where descriptor is a list; default: all 1"""
    power: Power | tuple[Power, ...] = (1.0, 1.5, 2.0)
    """inverse distances (only) enter as 1/r^power; the best of a list is taken"""
    pair_cutoff: PositiveFloat | None = None
    """inverse distances go smoothly to zero at this distance, in Å; default: none"""
    permutations: Literal["none", "auto"] | tuple[tuple[Atom, ...], ...] = "auto"
    """atoms whose exchange leaves the energy unchanged: auto finds equal molecules and equal atoms within
    them and keeps what raises the likelihood (of inverse distances; soap is invariant, and cartesian
    coordinates have none); or generators, [[1, 0, 2], ...]"""
    max_permutations: Annotated[PositiveInt, Le(120)] = 24
    """largest group to consider; the cost of products with the kernel grows with it"""
    soap: SoapSettings = SoapSettings()
    """settings of the descriptor soap"""

    def __post_init__(self) -> None:
        if self.power == ():
            raise ValueError("power: expected a number or a list with at least one number, got []")
        parts = self.descriptors
        if not parts or len(set(parts)) < len(parts):
            raise ValueError("descriptor: expected different names, at least one")
        if self.weights is not None and (self.descriptor == "auto" or len(self.weights) != len(parts)):
            raise ValueError("weights: expected one per part of a descriptor that is given as a list")
        if self.soap.compare == "pairs" and "soap" in parts and len(parts) > 1:
            given = "auto" if self.descriptor == "auto" else f"[{', '.join(parts)}]"
            raise ValueError(f"soap.compare: pairs needs descriptor: soap, got {given}")
        listed = not isinstance(self.permutations, str)
        if listed and "soap" in parts and self.descriptor != "auto":
            raise ValueError("permutations: soap is invariant already; use inverse_distance or cartesian")

    @property
    def descriptors(self) -> tuple[DescriptorName, ...]:
        """Names of the parts of the descriptor, or of what is compared."""
        if self.descriptor == "auto":
            return ("inverse_distance", "soap")
        return self.descriptor if isinstance(self.descriptor, tuple) else (self.descriptor,)

    @property
    def searches_permutations(self) -> bool:
        """Whether equal molecules and atoms are looked for."""
        return self.permutations == "auto" and self.descriptors == ("inverse_distance",)

    @property
    def powers(self) -> tuple[float, ...]:
        """Powers of the distance to compare; one where there are no distances."""
        if "inverse_distance" not in self.descriptors:
            return (1.0,)
        return self.power if isinstance(self.power, tuple) else (self.power,)

    def parts(self, power: float) -> tuple[CartesianSettings | InverseDistanceSettings | SoapSettings, ...]:
        """Return the settings of each part, inverse distances with this power; not of auto."""
        of: dict[str, CartesianSettings | InverseDistanceSettings | SoapSettings] = {
            "cartesian": CartesianSettings(),
            "inverse_distance": InverseDistanceSettings(power, self.pair_cutoff),
            "soap": self.soap,
        }
        return tuple(of[name] for name in self.descriptors)
