"""Errors of a model: of all structures, each species, each member alone; and what its training took."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aenet_gpr_cli.evaluation.error_sums import ErrorSums, error_sums, species_sums
from aenet_gpr_cli.evaluation.metrics import Metrics, force_metrics, metrics_from_sums
from aenet_gpr_cli.evaluation.stress_errors import add_stress_errors
from aenet_gpr_cli.evaluation.verdict import SURROGATE
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.stages.shared.predictors import Prediction
from aenet_gpr_cli.structures import IntArray, StructureSet
from aenet_gpr_cli.units import MEV_PER_EV

NO_GROUP = "(none)"
SHOWN_GROUPS = 6


@dataclass(frozen=True, slots=True)
class ModelErrors:
    """Sums of errors.

    Attributes
    ----------
    committee : ErrorSums
        Of the mean over the members.
    species : dict of str to ErrorSums
        The same by chemical symbol, forces only.
    members : tuple of ErrorSums
        Of each member alone; empty where there is only one.
    groups : dict of str to ErrorSums
        Of the committee, by kind of structure (``config_type``); empty where none is known.
    """

    committee: ErrorSums
    species: dict[str, ErrorSums]
    members: tuple[ErrorSums, ...]
    groups: dict[str, ErrorSums] = field(default_factory=dict)

    def metrics(self) -> Metrics:
        """Return the error measures of the committee."""
        return metrics_from_sums(self.committee)

    def species_metrics(self) -> dict[str, Metrics]:
        """Return the measures of the forces on the atoms of each species."""
        return {
            symbol: {**force_metrics(sums), "n_structures": sums.n_structures, "n_members": sums.n_members}
            for symbol, sums in self.species.items()
        }

    def group_metrics(self) -> dict[str, Metrics]:
        """Return the error measures of each kind of structure."""
        return {name: metrics_from_sums(sums) for name, sums in self.groups.items()}

    def member_metrics(self) -> list[Metrics]:
        """Return the error measures of each member."""
        return [metrics_from_sums(sums) for sums in self.members]


def errors_of(subset: StructureSet, prediction: Prediction, smallest_force: float) -> ModelErrors:
    """Sum the errors of a prediction.

    Parameters
    ----------
    subset : StructureSet
        The reference; without forces only energies are compared.
    smallest_force : float, eV/Å
        Reference forces must be larger for their direction to be compared.
    """
    energies = prediction.energies
    forces = prediction.forces if subset.forces is not None else None

    def some(members: slice, index: IntArray | slice) -> ErrorSums:
        part = subset.select(index)
        chosen = None if forces is None else forces[members, index]
        sums = error_sums(part, energies[members, index], chosen, smallest_force)
        if prediction.stress is not None:
            add_stress_errors(sums, part, prediction.stress[members, index])
        return sums

    def of_group(index: IntArray) -> ErrorSums:
        return some(slice(None), index)

    def one(members: slice) -> ErrorSums:
        return some(members, slice(None))

    alone = range(len(energies)) if len(energies) > 1 else ()
    return ModelErrors(
        one(slice(None)),
        {} if forces is None else species_sums(subset, forces, smallest_force),
        tuple(one(slice(m, m + 1)) for m in alone),
        {
            name or NO_GROUP: of_group(np.flatnonzero([group == name for group in subset.groups]))
            for name in sorted(set(subset.groups))
        },
    )


def joined_errors(parts: Sequence[ModelErrors]) -> ModelErrors:
    """Pool subsets as if they were one set of samples.

    Parameters
    ----------
    parts : sequence of ModelErrors
        Of one model.
    """
    return ModelErrors(
        sum((part.committee for part in parts), ErrorSums()),
        _added([part.species for part in parts]),
        tuple(sum(m, ErrorSums()) for m in zip(*(part.members for part in parts), strict=True)),
        _added([part.groups for part in parts]),
    )


def _added(parts: Sequence[Mapping[str, ErrorSums]]) -> dict[str, ErrorSums]:
    names = sorted({name for part in parts for name in part})
    return {name: sum((part[name] for part in parts if name in part), ErrorSums()) for name in names}


def group_notes(results: Mapping[str, Any]) -> list[str]:
    """Return a line for each model with its errors by kind of structure, where more than one is known.

    Parameters
    ----------
    results : mapping of str to dict
        Metrics by model, with the key ``groups``.
    """
    notes = []
    for name, result in results.items():
        groups = result.get("groups", {})
        largest = sorted(groups, key=lambda group: -groups[group]["n_structures"])[:SHOWN_GROUPS]
        said = []
        for group in largest:
            energy, force = (groups[group][key] for key in ("energy_mae_per_atom", "force_component_mae"))
            forces = "" if force is None else f", {force:.4f} eV/Å"
            stress = groups[group].get("stress_mae_gpa")
            forces += "" if stress is None else f", {stress:.3f} GPa"
            said.append(f"{group} ({groups[group]['n_structures']}) {energy * MEV_PER_EV:.2f}{forces}")
        more = f"; {len(groups) - len(largest)} more kinds" if len(groups) > len(largest) else ""
        if len(groups) > 1:
            notes.append(f"{name} by kind, meV per atom and force component: {'; '.join(said)}{more}")
    return notes


def spread_notes(results: Mapping[str, Any]) -> list[str]:
    """Return what the spread of the table is, where any model has one."""
    if all(result["total"]["energy_spread"] is None for result in results.values()):
        return []
    return [
        "spread: standard deviation over a committee's members, or σ of a Gaussian process; mean over all"
    ]


def lone_notes(results: Mapping[str, Any]) -> list[str]:
    """Say how many structures have forces that are left out, as they are zero for any model."""
    number, of = max((r["total"]["n_lone"], r["total"]["n_structures"]) for r in results.values())
    if not number:
        return []
    return [
        f"forces: those of {number} of {of} structures, of one atom each, are left out: zero by symmetry, "
        "whatever the model"
    ]


def training_rows(models: Mapping[str, Path], results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return how each model was fitted or trained, and what came of it.

    Parameters
    ----------
    results : mapping of str to dict
        Metrics by model, with the keys ``total`` and ``members`` (empty where there is only one).

    Returns
    -------
    list of dict
        For each model: model, mode (``gp`` for Gaussian processes, None for imported potentials), optimiser
        (of networks), n_members, training_s (wall time, all members), energy_mae (eV) and force_norm_mae
        (eV/Å) of the committee, and means over the members of their own.
    """
    rows = []
    for name, path in models.items():
        with open_artefact(path) as artefact:
            config = json.loads(artefact.attrs["config"])
            row = {
                "model": name,
                "mode": _mode_of(artefact.attrs),
                "optimiser": config.get("optimiser"),
                "training_s": float(artefact.attrs["wall_time_s"]),
            }
        total, members = results[name]["total"], results[name]["members"]
        row |= {key: total[key] for key in ("n_members", "energy_mae", "force_norm_mae")}
        for key in ("energy_mae", "force_norm_mae"):
            alone = [value for each in members or [total] if (value := each[key]) is not None]
            row[f"member_{key}"] = float(np.mean(alone)) if alone else None
        rows.append(row)
    return rows


def _mode_of(attributes: Mapping[str, Any]) -> str | None:
    if attributes["kind"] == "fit-gpr":
        return SURROGATE
    return str(attributes["mode"]) if "mode" in attributes else None


def training_notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each model that was trained here.

    Parameters
    ----------
    rows : sequence of dict
        Of `training_rows`.
    """
    lines = []
    for row in rows:
        if row["mode"] is None:
            continue
        how = f"{row['mode']} by {row['optimiser']}, trained" if row["optimiser"] else "fitted"
        line = f"{row['model']}: {how} in {row['training_s']:.0f} s"
        if row["n_members"] > 1:
            force = row["member_force_norm_mae"]
            line += (
                f"; its {row['n_members']} members alone: {row['member_energy_mae'] * MEV_PER_EV:.2f} meV"
                + ("" if force is None else f", {force:.4f} eV/Å")
            )
        lines.append(line)
    return lines
