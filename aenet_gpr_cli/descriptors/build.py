"""How a global descriptor is built for given atoms, from all that needs to be stored to make it again.

The keys are in `descriptor_settings`. Which structures they come from is the caller's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from aenet_gpr_cli.descriptors.descriptor_settings import (
    CartesianSettings,
    InverseDistanceSettings,
    SoapSettings,
)
from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.soap.soap_descriptor import Soap
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.descriptors.structure.composite import Composite
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.rotation import Rotated, Rotation
from aenet_gpr_cli.structures import FloatArray, Pbc


@dataclass(frozen=True, slots=True)
class RotatedSettings:
    """SOAP, rotated onto the span of training data.

    Attributes
    ----------
    plain : SoapSettings
    rotation : Rotation
    """

    name: ClassVar[str] = "soap"
    plain: SoapSettings
    rotation: Rotation


SingleSettings = CartesianSettings | InverseDistanceSettings | SoapSettings | RotatedSettings


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


def joined(parts: Sequence[SingleSettings], weights: Sequence[float]) -> DescriptorSettings:
    """Return one descriptor as it is, several side by side."""
    return parts[0] if len(parts) == 1 else CompositeSettings(tuple(parts), tuple(weights))


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
    settings : DescriptorSettings
    species : sequence of str
        Chemical symbols, one per atom.
    cell : ndarray of shape (3, 3), Å, or None
        Lattice vectors as rows.
    pbc : tuple of three bool
    reference : ndarray of shape (n_atoms, 3), Å, or None
        Structure that fixes the periodic images of the pairs.

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
    if isinstance(settings, RotatedSettings):
        return Rotated(Soap(species, settings.plain, cell, pbc), settings.rotation)
    return Soap(species, settings, cell, pbc)
