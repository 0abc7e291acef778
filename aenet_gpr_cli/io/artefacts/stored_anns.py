"""Committees of networks in HDF5 groups: numbers and names as attributes, arrays as datasets."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.compositions import Compositions
from aenet_gpr_cli.ann.potential.network_sigma import NetworkSigma
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.fields import as_attributes, write_field
from aenet_gpr_cli.io.artefacts.stored_repulsion import read_repulsion, write_repulsion

_OF_SIGMA = ("factors", "left_out_errors", "left_out_variances")
_PER_FEATURE = ("feature_mean", "feature_std", "feature_min", "feature_max")


def write_ann(group: h5py.Group, model: ANNModel) -> None:
    """Store a committee of networks."""
    as_attributes(group, dataclasses.asdict(model.basis) | {"activation": model.activation})
    group.attrs["hidden"] = np.array(model.hidden, int)
    as_attributes(group, {"energy_scale": model.energy_scale, "energy_shift": model.energy_shift})
    for symbol in model.basis.species:
        part = group.create_group(f"networks/{symbol}")
        part.attrs["atomic_energy"] = model.atomic_energies[symbol]
        for name in _PER_FEATURE:
            write_field(part, name, getattr(model, name)[symbol])
        for number, layer in enumerate(model.weights[symbol]):
            write_field(part.create_group(f"layer_{number}"), "layer", layer)
    write_repulsion(group, model.repulsion)
    if model.compositions is not None:
        write_field(group, "compositions", model.compositions.rows)
    if model.sigma is not None:
        part = group.create_group("sigma")
        part.attrs["held_out"] = model.sigma.held_out
        for name in _OF_SIGMA:
            write_field(part, name, getattr(model.sigma, name))


def read_ann(group: h5py.Group) -> ANNModel:
    """Read a committee of networks."""
    species = tuple(str(symbol) for symbol in group.attrs["species"])
    basis = ChebyshevBasis.from_attributes(group.attrs)
    parts = {symbol: group[f"networks/{symbol}"] for symbol in species}
    n_layers = len(group.attrs["hidden"]) + 1
    return ANNModel(
        basis=basis,
        hidden=tuple(int(size) for size in group.attrs["hidden"]),
        activation=str(group.attrs["activation"]),
        weights={
            s: tuple(part[f"layer_{number}/layer"][()] for number in range(n_layers))
            for s, part in parts.items()
        },
        energy_scale=float(group.attrs["energy_scale"]),
        energy_shift=float(group.attrs["energy_shift"]),
        atomic_energies={s: float(part.attrs["atomic_energy"]) for s, part in parts.items()},
        repulsion=read_repulsion(group),
        compositions=_read_compositions(group),
        sigma=_read_sigma(group["sigma"]) if "sigma" in group else None,
        **{name: {s: part[name][()] for s, part in parts.items()} for name in _PER_FEATURE},
    )


def _read_compositions(group: h5py.Group) -> Compositions | None:
    species = tuple(str(symbol) for symbol in group.attrs["species"])
    return Compositions(species, group["compositions"][()]) if "compositions" in group else None


def _read_sigma(group: h5py.Group) -> NetworkSigma:
    arrays = {name: group[name][()] for name in _OF_SIGMA}
    return NetworkSigma(**arrays, held_out=bool(group.attrs["held_out"]))


def load_ann(path: Path) -> ANNModel:
    """Read the committee of an artefact."""
    with open_artefact(path, "train-ann") as file:
        return read_ann(file["model"])


def load_compositions(path: Path) -> Compositions | None:
    """Read which compositions the training data of a model determine, or None where that is not known.

    Parameters
    ----------
    path : Path
        Of any model; Gaussian processes do not say.
    """
    with open_artefact(path) as file:
        return _read_compositions(file["model"]) if "model" in file else None
