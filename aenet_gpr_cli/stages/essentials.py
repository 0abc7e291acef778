"""What matters first about an artefact: of models their cutoffs, layers, length scale, σ and errors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.stored_repulsion import read_repulsion
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import MEV_PER_EV

METRICS = "metrics.h5"
MANY = 6  # subsets of a Gaussian process; more are in the table of the stage


def essentials(file: h5py.File, path: Path) -> list[list[str]]:
    """Return names and values; none for artefacts that are no models.

    Parameters
    ----------
    file : h5py.File
        The open artefact.
    path : Path
        Where it lies; an evaluation beside it gives the errors.
    """
    kind = str(file.attrs["kind"])
    if kind == "train-ann":
        rows = _network(file)
    elif kind == "fit-gpr":
        rows = [row for group in list(file["subsets"].values())[:MANY] for row in _process(group)]
    else:
        return []
    return rows + _errors(file, path)


def _network(file: h5py.File) -> list[list[str]]:
    model = file["model"].attrs
    hidden = " – ".join(str(size) for size in model["hidden"])
    species = ", ".join(str(symbol) for symbol in model["species"])
    members = len(file.attrs["members"]) if "members" in file.attrs else 1
    return [
        *([["mode", str(file.attrs["mode"])]] if "mode" in file.attrs else []),
        ["species", species],
        ["cutoffs", _cutoffs(model)],
        ["layers", f"{hidden} – 1, {model['activation']}"],
        ["members", str(members)],
        ["sigma", _sigma(file["model"], members)],
        *_baseline(file["model"]),
    ]


def _baseline(group: h5py.Group, of: str = "") -> list[list[str]]:
    """Return what is added to a potential, one row or none."""
    repulsion = read_repulsion(group)
    return [] if repulsion is None else [[f"{of}baseline", repulsion.describe()]]


def _sigma(model: h5py.Group, members: int) -> str:
    if "sigma" in model:
        return "Laplace approximation, calibrated"
    return "spread of the members" if members > 1 else "none: a single network without it"


def _process(group: h5py.Group) -> list[list[str]]:
    values, name = group.attrs, str(group.name).rpartition("/")[2]
    if "feature_mean" not in group:  # no local process
        kernel = f"{values['descriptor']}, length scale {rounded(values['length_scale'], 4)}"
        return [
            [f"{name}: kernel", f"{values['kernel']} of {kernel}"],
            [f"{name}: signal", f"{rounded(values['signal_std'])} eV"],
            *_baseline(group, f"{name}: "),
        ]
    rows = [
        ["cutoffs", _cutoffs(values)] if "radial_cutoff" in values else ["descriptor", _soap(values)],
        ["length scale", rounded(values["length_scale"], 4)],
        [
            "noise",
            f"{rounded(values['noise_energy'] * MEV_PER_EV)} meV, {rounded(values['noise_force'])} eV/Å",
        ],
    ]
    if "left_out_error" in values:
        left = f"median {rounded(values['left_out_error'] * MEV_PER_EV)} meV"
        if math.isfinite(values.get("left_out_force_error", math.nan)):  # NaN: no forces
            left += f", mean {rounded(values['left_out_force_error'])} eV/Å"
        rows.append(["left-out errors", left])
    if "sigma_factor" in values:
        rows.append(["sigma", f"calibrated on left-out structures, times {rounded(values['sigma_factor'])}"])
    return rows + _baseline(group)


def _soap(values: Mapping[str, Any]) -> str:
    return (
        f"SOAP up to {float(values['cutoff']):g} Å (n_max {values['n_max']}, l_max {values['l_max']}, "
        f"sigma {float(values['sigma']):g} Å)"
    )


def _cutoffs(values: Mapping[str, Any]) -> str:
    inner = [float(c) for c in values["inner_cutoffs"]] if "inner_cutoffs" in values else []
    angular = ", ".join(f"{float(c):g}" for c in (values["angular_cutoff"], *inner))
    radial = f"{float(values['radial_cutoff']):g}"
    return (
        f"radial {radial} Å (order {values['radial_order']}), angular {angular} Å "
        f"(order {values['angular_order']})"
    )


def _errors(file: h5py.File, path: Path) -> list[list[str]]:
    """Return the errors of an evaluation in the same folder, if it is of this very artefact."""
    try:
        with open_artefact(path.parent / METRICS, "evaluate", numbers=False) as evaluation:
            inputs = json.loads(evaluation.attrs["inputs"])
            results = json.loads(evaluation.attrs["metrics"])
    except InputError:
        return []
    if inputs.get(path.stem) != file.attrs.get("checksum") or path.stem not in results:
        return []
    total = results[path.stem]["total"]
    text = f"energies {rounded(total['energy_rmse_per_atom'] * MEV_PER_EV)} meV per atom"
    if total.get("force_component_rmse") is not None:
        text += f", forces {rounded(total['force_component_rmse'])} eV/Å per component"
    rows = [["errors (RMSE)", f"{text}, on {total['n_structures']} structures of {METRICS}"]]
    if total.get("coverage_95") is not None:
        rows.append(["sigma covers", f"{total['coverage_95']:.0%} of the errors in its 95 % intervals"])
    return rows
