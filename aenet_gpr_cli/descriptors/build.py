"""What each global descriptor is made from: its settings, and how to build it for given atoms.

The settings are all that needs to be stored to make the same descriptor again. Which structures they come
from is the caller's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.soap.soap_basis import SoapParameters
from aenet_gpr_cli.descriptors.soap.soap_descriptor import Soap
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.composite import Composite
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.rotation import Rotated, Rotation, find_rotation
from aenet_gpr_cli.structures import FloatArray, Pbc


@dataclass(frozen=True, slots=True)
class CartesianSettings:
    """Cartesian coordinates have none."""

    name: ClassVar[str] = "cartesian"


@dataclass(frozen=True, slots=True)
class InverseDistanceSettings:
    """Settings of inverse distances.

    Attributes
    ----------
    power : float, dimensionless
        Distances enter as 1/r^power.
    cutoff : float or None, Å
        Where they have gone smoothly to zero.
    """

    name: ClassVar[str] = "inverse_distance"
    power: float
    cutoff: float | None = None


@dataclass(frozen=True, slots=True)
class SoapSettings:
    """Settings of SOAP power spectra.

    Attributes
    ----------
    parameters : SoapParameters
    average : str
        See `Soap`.
    centres : ndarray of shape (n_centres, 3), Å, or None
        Points fixed in space; None for a centre on every atom.
    rotation : Rotation or None
        Onto the span of the training data; None for the spectra as they are.
    pairs : bool
        Whether kernels compare all pairs of centres, not the spectra of all as one vector.
    """

    name: ClassVar[str] = "soap"
    parameters: SoapParameters
    average: str
    centres: FloatArray | None
    rotation: Rotation | None
    pairs: bool = False

    def rotated(self, soap: Soap, positions: FloatArray, tolerance: float, seed: int) -> SoapSettings:
        """Return the settings with the rotation onto the span of some structures.

        Parameters
        ----------
        soap : Soap
            Made from these settings.
        positions : ndarray of shape (n_structures, n_atoms, 3), Å
        tolerance : float, dimensionless
        seed : int
            See `find_rotation`.

        Returns
        -------
        SoapSettings
        """
        return replace(
            self, rotation=find_rotation(soap.linearize(positions), soap.n_centres, tolerance, seed)
        )


SingleSettings = CartesianSettings | InverseDistanceSettings | SoapSettings


@dataclass(frozen=True, slots=True)
class CompositeSettings:
    """Several descriptors side by side.

    Attributes
    ----------
    parts : tuple of settings
    weights : tuple of float
        What each part is multiplied by.
    """

    name: ClassVar[str] = "composite"
    parts: tuple[SingleSettings, ...]
    weights: tuple[float, ...]


DescriptorSettings = SingleSettings | CompositeSettings


def build_descriptor(
    settings: DescriptorSettings,
    species: Sequence[str],
    cell: FloatArray | None,
    pbc: Pbc,
    reference: FloatArray | None,
) -> Descriptor:
    """Return the descriptor of some atoms.

    Parameters
    ----------
    settings : CartesianSettings, InverseDistanceSettings, SoapSettings or CompositeSettings
    species : sequence of str
        Chemical symbols, one per atom.
    cell : ndarray of shape (3, 3), Å, or None
        Lattice vectors as rows.
    pbc : tuple of three bool
    reference : ndarray of shape (n_atoms, 3), Å, or None
        Structure that fixes the periodic images of the pairs.

    Returns
    -------
    Descriptor

    Raises
    ------
    ConfigError
        If the settings are impossible.
    InputError
        If the atoms do not go with the settings.
    """
    if isinstance(settings, CartesianSettings):
        return Cartesian(len(species))
    if isinstance(settings, InverseDistanceSettings):
        return InverseDistance(
            len(species), cell, pbc, reference, power=settings.power, cutoff=settings.cutoff
        )
    if isinstance(settings, CompositeSettings):
        parts = [build_descriptor(part, species, cell, pbc, reference) for part in settings.parts]
        return Composite(parts, settings.weights)
    soap = build_soap(settings, species, cell, pbc)
    return soap if settings.rotation is None else Rotated(soap, settings.rotation)


def build_soap(settings: SoapSettings, species: Sequence[str], cell: FloatArray | None, pbc: Pbc) -> Soap:
    """Return the power spectra before any rotation.

    Parameters
    ----------
    settings, species, cell, pbc
        See `build_descriptor`.

    Returns
    -------
    Soap
    """
    return Soap(species, settings.parameters, settings.average, settings.centres, cell, pbc)
