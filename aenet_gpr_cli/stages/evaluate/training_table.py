"""Mode, optimiser and training time of the networks among evaluated models, beside their errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aenet_gpr_cli.evaluation.error_sums import ErrorSums, error_sums
from aenet_gpr_cli.evaluation.metrics import metrics_from_sums
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.units import MEV_PER_EV


def training_rows(
    models: Mapping[str, Path],
    results: Mapping[str, Any],
    file: h5py.File,
    subsets: Mapping[str, StructureSet],
) -> list[dict[str, Any]]:
    """Return how the networks among the models were trained, and what came of it.

    Parameters
    ----------
    models : mapping of str to Path
    results : mapping of str to dict
        Metrics by model, with the key ``total``.
    file : h5py.File
        With the predictions of each model under ``models``.
    subsets : mapping of str to StructureSet
        That were predicted.

    Returns
    -------
    list of dict
        For each network: model, mode, optimiser, n_members, training_s (wall time, all members), energy_mae
        (eV) and force_norm_mae (eV/Å) of the committee, and means over the members of their own.
    """
    rows = []
    for name, path in models.items():
        with open_artefact(path) as artefact:
            if artefact.attrs["kind"] != "train-ann" or "mode" not in artefact.attrs:
                continue
            config = json.loads(artefact.attrs["config"])
            row = {
                "model": name,
                "mode": str(artefact.attrs["mode"]),
                "optimiser": config.get("optimiser"),
                "training_s": float(artefact.attrs["wall_time_s"]),
            }
        total = results[name]["total"]
        row |= {key: total[key] for key in ("n_members", "energy_mae", "force_norm_mae")}
        rows.append(row | _means_of_members(file[f"models/{name}"], subsets))
    return rows


def training_notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each network.

    Parameters
    ----------
    rows : sequence of dict
        Of `training_rows`.

    Returns
    -------
    list of str
    """
    lines = []
    for row in rows:
        line = f"{row['model']}: {row['mode']} by {row['optimiser']}, trained in {row['training_s']:.0f} s"
        if row["n_members"] > 1:
            force = row["member_force_norm_mae"]
            line += (
                f"; its {row['n_members']} members alone: {row['member_energy_mae'] * MEV_PER_EV:.2f} meV"
                + ("" if force is None else f", {force:.4f} eV/Å")
            )
        lines.append(line)
    return lines


def _means_of_members(group: h5py.Group, subsets: Mapping[str, StructureSet]) -> dict[str, float | None]:
    """Return the errors of the members alone, averaged over them."""
    members = len(group[next(iter(subsets))]["predicted_energies"])
    found = []
    for member in range(members):
        sums, one = ErrorSums(), slice(member, member + 1)
        for name, subset in subsets.items():
            forces = group[name]["predicted_forces"][one] if subset.forces is not None else None
            sums = sums + error_sums(subset, group[name]["predicted_energies"][one], forces)
        found.append(metrics_from_sums(sums))
    means: dict[str, float | None] = {}
    for key in ("energy_mae", "force_norm_mae"):
        values = [float(value) for metrics in found if (value := metrics[key]) is not None]
        means[f"member_{key}"] = float(np.mean(values)) if values else None
    return means
