"""`augment`: split.h5 (+ gpr.h5) → augmented.h5, displaced copies of training structures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aenet_gpr_cli.augmentation.displacements import displace
from aenet_gpr_cli.augmentation.gates import Gates, apply_gates
from aenet_gpr_cli.augmentation.surrogate import label_with_gp
from aenet_gpr_cli.augmentation.taylor import label_with_taylor
from aenet_gpr_cli.config.augment import AugmentConfig
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.matching import find_surrogate
from aenet_gpr_cli.gpr.surrogate import Surrogate
from aenet_gpr_cli.io.artefact import publish
from aenet_gpr_cli.io.models import load_gps
from aenet_gpr_cli.io.structures import load_split, write_augmented
from aenet_gpr_cli.io.xsf import write_xsf
from aenet_gpr_cli.stages.base import Context, Summary, log, make_job, nothing_to_do, planned
from aenet_gpr_cli.structures import AugmentedSet, StructureSet
from aenet_gpr_cli.subsystems.ordering import in_file_order
from aenet_gpr_cli.units import MEV_PER_EV

KIND = "augment"
COLUMNS = ("subset", "references", "copies", "rejected", "mean σ / meV", "max σ / meV", "ΔE range / eV")


@dataclass(frozen=True, slots=True)
class _Labelled:
    """Copies of one subset, and how many were rejected by reason."""

    copies: AugmentedSet
    rejected: dict[str, int]


def run(config: AugmentConfig, split: Path, gpr: Path | None, output: Path, context: Context) -> Summary:
    """Displace every training structure M times and label the copies.

    Parameters
    ----------
    config : AugmentConfig
    split : Path
        Output of `split`.
    gpr : Path or None
        Output of `fit-gpr`; needed for the method gpr.
    output : Path
    context : Context

    Returns
    -------
    Summary

    Raises
    ------
    ConfigError
        If the method is gpr and no model is given.
    InputError
        If a subset has no model, or the model is for other atoms.
    """
    if config.method == "gpr" and gpr is None:
        raise ConfigError("augment: method gpr needs the output of fit-gpr; give it, or set method=taylor")
    inputs = {"split": split, **({"gpr": gpr} if config.method == "gpr" and gpr else {})}
    job = make_job(KIND, config, inputs, context)
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    subsets = load_split(split, "train")
    models = load_gps(inputs["gpr"]) if "gpr" in inputs else {}
    if context.dry_run:
        total = config.n_copies * sum(len(subset) for subset in subsets.values())
        return planned(KIND, output, [f"{total} copies, δ = {config.displacement} Å, label {config.method}"])
    rows = []
    with publish(output, job) as file:
        for number, (name, subset) in enumerate(subsets.items()):
            context.report(number, len(subsets), f"copies of {name}")
            labelled = _label(config, name, subset, models, context)
            write_augmented(file.create_group(f"subsets/{name}"), labelled.copies)
            rows.append(_row(name, subset, labelled))
            if config.write_xsf:
                _write_xsf(labelled.copies, output.with_suffix("") / name)
        notes = [f"δ = {config.displacement} Å, M = {config.n_copies}, label {config.method}; wrote {output}"]
        summary = Summary("Augmented structures", COLUMNS, rows, notes)
        file.attrs["summary"] = summary.to_json()
    return summary


def _label(
    config: AugmentConfig, name: str, subset: StructureSet, models: dict[str, Surrogate], context: Context
) -> _Labelled:
    positions, parents, copies = displace(
        subset, config.displacement, config.n_copies, config.seed, config.mode, config.fixed_atoms
    )
    if config.method == "taylor":
        candidates = label_with_taylor(subset, positions, parents, copies)
    else:
        surrogate = models[find_surrogate(models, subset.structure(0), name)]
        sigma = surrogate.sigma(config.sigma, config.sigma_max_rows)
        candidates = label_with_gp(
            subset, positions, parents, copies, surrogate.energies, sigma, progress=context.report
        )
    assert subset.energies is not None  # every labelling needs them and has checked
    gates = Gates(config.max_sigma, config.minimum_distance or None, config.energy_window)
    result = apply_gates(candidates, gates, float(subset.energies.min()))
    if result.rejected["total"]:
        reasons = ", ".join(
            f"{n} by {reason}" for reason, n in result.rejected.items() if n and reason != "total"
        )
        log.info(
            "%s: rejected %d of %d copies (%s)", name, result.rejected["total"], len(candidates), reasons
        )
    if not len(result.accepted):
        log.warning("%s: every copy was rejected; loosen max_sigma, minimum_distance or energy_window", name)
    return _Labelled(result.accepted, result.rejected)


def _row(name: str, subset: StructureSet, labelled: _Labelled) -> list[str]:
    copies, sigma = labelled.copies, labelled.copies.sigma
    has_sigma = sigma is not None and len(sigma) > 0
    energies, reference = copies.structures.energies, subset.energies
    spread = "–"
    if energies is not None and reference is not None and len(energies):
        lowest = reference.min()
        spread = f"{energies.min() - lowest:.3f} … {energies.max() - lowest:.3f}"
    return [
        name,
        str(len(subset)),
        str(len(copies)),
        str(labelled.rejected["total"]),
        f"{np.mean(sigma) * MEV_PER_EV:.2f}" if has_sigma else "–",  # type: ignore[arg-type]
        f"{np.max(sigma) * MEV_PER_EV:.2f}" if has_sigma else "–",  # type: ignore[arg-type]
        spread,
    ]


def _write_xsf(copies: AugmentedSet, folder: Path) -> None:
    """Write each copy as a file named by its parent's position in the set and its own number."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.xsf"):  # of an earlier, larger run
        stale.unlink()
    numbers = {parent: i for i, parent in enumerate(dict.fromkeys(copies.parents))}
    for index, (parent, copy) in enumerate(zip(copies.parents, copies.copies, strict=True)):
        write_xsf(
            in_file_order(copies.structures.structure(index)),
            folder / f"{numbers[parent]:05d}_{copy:04d}.xsf",
        )
