"""Settings of global descriptors in HDF5 groups: numbers as attributes, arrays as datasets."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np

from aenet_gpr_cli.descriptors.build import (
    CartesianSettings,
    CompositeSettings,
    DescriptorSettings,
    InverseDistanceSettings,
    SingleSettings,
    SoapSettings,
)
from aenet_gpr_cli.descriptors.soap.soap_basis import SoapParameters
from aenet_gpr_cli.descriptors.structure.rotation import Rotation
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.datasets import as_attributes, read_optional, write_field


def write_descriptor(group: h5py.Group, settings: DescriptorSettings) -> None:
    """Store the settings of a descriptor.

    Parameters
    ----------
    group : h5py.Group
    settings : CartesianSettings, InverseDistanceSettings, SoapSettings or CompositeSettings
    """
    group.attrs["descriptor"] = settings.name
    if isinstance(settings, CompositeSettings):
        group.attrs["weights"] = np.array(settings.weights)
        for number, part in enumerate(settings.parts):
            write_descriptor(group.create_group(f"part_{number}"), part)
    if isinstance(settings, InverseDistanceSettings):
        as_attributes(group, {"power": settings.power, "cutoff": settings.cutoff})
    if isinstance(settings, SoapSettings):
        _write_soap(group.create_group("soap"), settings)


def read_descriptor(group: h5py.Group) -> DescriptorSettings:
    """Read the settings of a descriptor.

    Parameters
    ----------
    group : h5py.Group

    Returns
    -------
    CartesianSettings, InverseDistanceSettings, SoapSettings or CompositeSettings

    Raises
    ------
    InputError
        If the descriptor is unknown.
    """
    if str(group.attrs["descriptor"]) == CompositeSettings.name:
        weights = tuple(float(w) for w in group.attrs["weights"])
        return CompositeSettings(
            tuple(_read_single(group[f"part_{number}"]) for number in range(len(weights))), weights
        )
    return _read_single(group)


def _read_single(group: h5py.Group) -> SingleSettings:
    name = str(group.attrs["descriptor"])
    if name == CartesianSettings.name:
        return CartesianSettings()
    if name == InverseDistanceSettings.name:
        cutoff = group.attrs.get("cutoff")
        return InverseDistanceSettings(float(group.attrs["power"]), None if cutoff is None else float(cutoff))
    if name == SoapSettings.name:
        return _read_soap(group["soap"])
    raise InputError(f"descriptor: expected cartesian, inverse_distance, soap or composite, got {name!r}")


def _write_soap(group: h5py.Group, settings: SoapSettings) -> None:
    as_attributes(group, dataclasses.asdict(settings.parameters) | {"average": settings.average})
    group.attrs["pairs"] = settings.pairs
    if settings.centres is not None:
        write_field(group, "centres", settings.centres)
    if settings.rotation is not None:
        write_field(group, "rotation_origin", settings.rotation.origin)
        write_field(group, "rotation_basis", settings.rotation.basis)
        group.attrs["rotation_dropped"] = settings.rotation.dropped


def _read_soap(group: h5py.Group) -> SoapSettings:
    rotation = None
    if "rotation_basis" in group:
        rotation = Rotation(
            origin=group["rotation_origin"][()],
            basis=group["rotation_basis"][()],
            dropped=float(group.attrs["rotation_dropped"]),
        )
    return SoapSettings(
        parameters=SoapParameters(
            cutoff=float(group.attrs["cutoff"]),
            n_max=int(group.attrs["n_max"]),
            l_max=int(group.attrs["l_max"]),
            sigma=float(group.attrs["sigma"]),
        ),
        average=str(group.attrs["average"]),
        centres=read_optional(group, "centres"),
        rotation=rotation,
        pairs=bool(group.attrs.get("pairs", False)),
    )
