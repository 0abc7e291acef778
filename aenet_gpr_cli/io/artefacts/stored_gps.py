"""Gaussian processes and their descriptors in HDF5 groups: numbers as attributes, arrays as datasets."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aenet_gpr_cli.descriptors.atomic_environments import EnvironmentBasis
from aenet_gpr_cli.descriptors.build import (
    CartesianSettings,
    CompositeSettings,
    DescriptorSettings,
    InverseDistanceSettings,
    RotatedSettings,
    SingleSettings,
)
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.descriptors.soap.soap_environments import SoapEnvironments
from aenet_gpr_cli.descriptors.structure.rotation import Rotation
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.left_out_errors import LeftOut
from aenet_gpr_cli.gpr.local.accumulation import Design, Sums
from aenet_gpr_cli.gpr.local.design import Inducing
from aenet_gpr_cli.gpr.local.environments import Scale
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.gpr.process import Process
from aenet_gpr_cli.gpr.regression.gp_model import GPModel
from aenet_gpr_cli.gpr.subset_lookup import LOCAL
from aenet_gpr_cli.gpr.surrogate import Geometry, Surrogate
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.fields import as_attributes, read_optional, read_strings, write_field
from aenet_gpr_cli.io.artefacts.stored_repulsion import read_repulsion, write_repulsion
from aenet_gpr_cli.structures import FloatArray


def write_gp(group: h5py.Group, surrogate: Surrogate) -> None:
    """Store a Gaussian process."""
    geometry = surrogate.geometry
    write_field(group, "species", geometry.species)
    write_field(group, "pbc", np.array(geometry.pbc))
    for name, values in (("cell", geometry.cell), ("reference_positions", geometry.reference)):
        if values is not None:
            write_field(group, name, values)
    if geometry.permutations is not None:
        write_field(group, "permutations", geometry.permutations)
    write_descriptor(group, geometry.settings)
    _write_dataclass(group, surrogate.model)
    write_repulsion(group, surrogate.repulsion)


def read_gp(group: h5py.Group) -> Surrogate:
    """Read a Gaussian process."""
    a, b, c = (bool(flag) for flag in group["pbc"][()])
    geometry = Geometry(
        settings=read_descriptor(group),
        species=read_strings(group, "species"),
        cell=read_optional(group, "cell"),
        pbc=(a, b, c),
        reference=read_optional(group, "reference_positions"),
        permutations=read_optional(group, "permutations"),
    )
    model = GPModel(**_read_dataclass(group, GPModel))
    return Surrogate(model, geometry, repulsion=read_repulsion(group))


def load_gps(path: Path, names: Collection[str] | None = None) -> dict[str, Process]:
    """Read the Gaussian processes of an artefact: full ones by subset, the local one as ``local``.

    Parameters
    ----------
    names : collection of str, optional
        Read these only, of those that are there.
    """
    with open_artefact(path, "fit-gpr") as file:
        groups = {n: g for n, g in file["subsets"].items() if names is None or n in names}.items()
        if any("factor" in group for _, group in groups):
            raise InputError(f"{path}: holds a part of the local process only; collect all parts first")
        return {name: read_local(group) if name == LOCAL else read_gp(group) for name, group in groups}


# names on disk where those in memory stand in objects of their own
_LOCAL_NAMES = {
    "mean": "feature_mean",
    "inverse_std": "feature_inverse_std",
    "metric": "feature_metric",
    "z": "inducing",
    "offsets": "inducing_offsets",
}


def write_local(group: h5py.Group, model: LocalModel | Design) -> None:
    """Store the local process, or what its rows are taken of."""
    basis = dataclasses.asdict(model.basis)
    if (directions := basis.pop("directions", None)) is not None:
        write_field(group, "soap_directions", directions)
    as_attributes(group, basis | {"length_scale": model.inducing.length_scale})
    for part in (model.scale, model.inducing, model):
        for entry in dataclasses.fields(part):
            value = getattr(part, entry.name)
            if isinstance(value, np.ndarray):
                write_field(group, _LOCAL_NAMES.get(entry.name, entry.name), value)
            elif isinstance(value, float) and entry.name != "length_scale":
                group.attrs[entry.name] = value
    write_repulsion(group, model.repulsion)


def read_local(group: h5py.Group) -> LocalModel:
    """Read the local process."""
    return LocalModel(**_read_local(group, LocalModel))


def read_design(group: h5py.Group) -> Design:
    """Read what the rows of a local process are taken of."""
    return Design(**_read_local(group, Design))


def _read_local(group: h5py.Group, kind: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "basis": _environment_basis(group),
        "scale": Scale(
            group["feature_mean"][()],
            group["feature_inverse_std"][()],
            group["feature_metric"][()] if "feature_metric" in group else None,
        ),
        "inducing": Inducing(
            group["inducing"][()], group["inducing_offsets"][()], float(group.attrs["length_scale"])
        ),
        "repulsion": read_repulsion(group),
    }
    for name in {entry.name for entry in dataclasses.fields(kind)} - found.keys():
        if name in group:
            found[name] = group[name][()]
        elif name in group.attrs:
            found[name] = float(group.attrs[name])
    return found


def _environment_basis(group: h5py.Group) -> EnvironmentBasis:
    if "soap_directions" in group:
        return SoapEnvironments.from_attributes(group.attrs, group["soap_directions"][()])
    return ChebyshevBasis.from_attributes(group.attrs)


def write_sums(group: h5py.Group, sums: Sums) -> None:
    """Store rows of a local process as far as they are added up."""
    for name, value in sums.state().items():
        if name == "factor":
            write_field(group, name, value)
        else:
            group.attrs[name] = float(value)


def read_sums(group: h5py.Group) -> dict[str, FloatArray]:
    """Read added-up rows, as `Sums.merge` takes them."""
    numbers = {name: np.array(group.attrs[name]) for name in ("n_rows", "log_noises", "n_blocks")}
    return {"factor": group["factor"][()], **numbers}


def write_left_out(group: h5py.Group, off: LeftOut) -> None:
    """Store the errors of structures left out."""
    for entry in dataclasses.fields(off):
        write_field(group, entry.name, getattr(off, entry.name))


def read_left_out(group: h5py.Group) -> LeftOut:
    """Read the errors of structures left out."""
    names = [entry.name for entry in dataclasses.fields(LeftOut)]
    return LeftOut(**{name: group[name][()] for name in names if name in group})  # older ones have no stress


_SOAP = ("cutoff", "n_max", "l_max", "sigma", "average")


def write_descriptor(group: h5py.Group, settings: DescriptorSettings) -> None:
    """Store the settings of a descriptor."""
    group.attrs["descriptor"] = settings.name
    if isinstance(settings, CompositeSettings):
        group.attrs["weights"] = np.array(settings.weights)
        for number, part in enumerate(settings.parts):
            write_descriptor(group.create_group(f"part_{number}"), part)
    if isinstance(settings, InverseDistanceSettings):
        as_attributes(group, {"power": settings.power, "cutoff": settings.cutoff})
    if isinstance(settings, SoapSettings | RotatedSettings):
        _write_soap(group.create_group("soap"), settings)


def read_descriptor(group: h5py.Group) -> DescriptorSettings:
    """Read the settings of a descriptor.

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


def _write_soap(group: h5py.Group, settings: SoapSettings | RotatedSettings) -> None:
    plain = settings.plain if isinstance(settings, RotatedSettings) else settings
    as_attributes(group, {name: getattr(plain, name) for name in _SOAP})
    group.attrs["pairs"] = plain.compare == "pairs"
    if plain.centres is not None:
        write_field(group, "centres", np.array(plain.centres, float))
    if isinstance(settings, RotatedSettings):
        write_field(group, "rotation_origin", settings.rotation.origin)
        write_field(group, "rotation_basis", settings.rotation.basis)
        group.attrs["rotation_dropped"] = settings.rotation.dropped


def _read_soap(group: h5py.Group) -> SoapSettings | RotatedSettings:
    centres = read_optional(group, "centres")
    plain = SoapSettings(
        cutoff=float(group.attrs["cutoff"]),
        n_max=int(group.attrs["n_max"]),
        l_max=int(group.attrs["l_max"]),
        sigma=float(group.attrs["sigma"]),
        average=str(group.attrs["average"]),  # type: ignore[arg-type]
        centres=None if centres is None else tuple((float(x), float(y), float(z)) for x, y, z in centres),
        compare="pairs" if group.attrs.get("pairs", False) else "vector",
    )
    if "rotation_basis" not in group:
        return plain
    rotation = Rotation(
        origin=group["rotation_origin"][()],
        basis=group["rotation_basis"][()],
        dropped=float(group.attrs["rotation_dropped"]),
    )
    return RotatedSettings(plain, rotation)


def _write_dataclass(group: h5py.Group, instance: Any) -> None:
    for entry in dataclasses.fields(instance):
        value = getattr(instance, entry.name)
        if isinstance(value, np.ndarray):
            write_field(group, entry.name, value)
        else:
            as_attributes(group, {entry.name: value})


def _read_dataclass(group: h5py.Group, kind: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for entry in dataclasses.fields(kind):
        if entry.name in group:
            values[entry.name] = group[entry.name][()]
        else:
            value = group.attrs.get(entry.name)
            values[entry.name] = value.item() if isinstance(value, np.generic) else value
    return values
