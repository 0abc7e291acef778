"""`evaluate`: split.h5 and models → metrics.h5 with JSON, CSV and pictures: errors on the test structures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py

from aenet_gpr_cli.ann.potential.compositions import describe_open
from aenet_gpr_cli.config.stages.prediction_config import EvaluateConfig
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact import publish_with_files
from aenet_gpr_cli.io.artefacts.fields import write_field
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.io.files import write_csv, write_json
from aenet_gpr_cli.io.formats.prediction_files import PredictedStructure, write_extxyz
from aenet_gpr_cli.lattice import volumes
from aenet_gpr_cli.stages.evaluate.model_errors import (
    errors_of,
    group_notes,
    joined_errors,
    lone_notes,
    spread_notes,
    training_notes,
    training_rows,
)
from aenet_gpr_cli.stages.evaluate.model_verdict import verdict_of
from aenet_gpr_cli.stages.evaluate.sigma_coverage import Uncertainty, calibration_notes, joined
from aenet_gpr_cli.stages.shared.context import Context, Summary, make_job, nothing_to_do, planned
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.stages.shared.predictors import (
    Prediction,
    Predictor,
    join_predictions,
    load_predictor,
    predicted_structures,
)
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.text import encodable
from aenet_gpr_cli.units import MEV_PER_EV

KIND = "evaluate"
COLUMNS = (
    "model", "members", "E MAE / meV", "E RMSE / meV", "E spread / meV",
    "F comp. MAE / eV/Å", "‖F‖ MAE / eV/Å", "‖F‖ spread / eV/Å", "direction MAE / °",
)  # fmt: skip
STRESS_KEYS = ("stress_mae", "stress_rmse", "pressure_mae", "pressure_spread")
STRESS_COLUMNS = ("stress MAE / GPa", "stress RMSE / GPa", "p MAE / GPa", "p spread / GPa")


def name_models(paths: Sequence[Path]) -> dict[str, Path]:
    """Name models by their files: gpr.h5 is ``gpr``, ann_direct.h5 is ``ann_direct``.

    Raises
    ------
    InputError
        If two files have the same name.
    """
    named = {encodable(path.stem): path for path in paths}
    if len(named) < len(paths):
        raise InputError(f"models: expected files with different names, got {', '.join(map(str, paths))}")
    return named


def run(
    config: EvaluateConfig, split: Path, models: Mapping[str, Path], output: Path, context: Context
) -> Summary:
    """Compare models with the reference.

    Parameters
    ----------
    split : Path
        Output of `split`.
    models : mapping of str to Path
        Outputs of `fit-gpr` and `train-ann`, by name.
    output : Path
        The JSON, CSV and pictures are written beside it under the same name.

    Raises
    ------
    InputError
        If a model does not fit the structures.
    """
    claim(KIND, output, [split, *models.values()], endings(config, models))
    job = make_job(KIND, config, {"split": split, **models}, context)
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    subsets = load_split(split, config.on)
    if context.dry_run:
        total = sum(len(subset) for subset in subsets.values())
        return planned(KIND, output, [f"{len(models)} models on {total} {config.on} structures"])
    with_stress = any(s.stress is not None and volumes(s) is not None for s in subsets.values())
    with publish_with_files(output, job) as (file, folder):
        place = folder / output.name
        results = {}
        unknown: dict[str, list[str]] = {}
        for name, path in models.items():
            predictor = load_predictor(
                path,
                config.sigma,
                config.sigma_max_rows,
                config.max_memory_gib,
                with_force_sigma=True,
                with_stress=with_stress,
            )
            group = file.create_group(f"models/{name}")
            if found := [s.species for s in subsets.values() if predictor.lacks(s.species)]:
                unknown.setdefault(describe_open(found), []).append(name)
            results[name] = _evaluate(name, predictor, subsets, config, group, place, context)
        _write_reference(file, subsets)
        trainings = training_rows(models, results)
        verdict = verdict_of(split, trainings, results, config.on, config.temperature)
        for name, result in results.items():
            result["best"] = name == verdict.best
        results[verdict.best]["verdict"] = verdict.as_dict()
        _write_tables(results, trainings, place)
        if config.plots:
            from aenet_gpr_cli.stages.evaluate.evaluation_pictures import draw_evaluation

            draw_evaluation(file, results, config.smallest_force, place)
        rows = [_row(name, result["total"], with_stress) for name, result in results.items()]
        summary = Summary(
            f"Errors on the {config.on} structures",
            (*COLUMNS, *(STRESS_COLUMNS if with_stress else ())),
            rows,
            [
                *(f"warning: {', '.join(names)}: {said}" for said, names in unknown.items()),
                *spread_notes(results),
                *lone_notes(results),
                *training_notes(trainings),
                *group_notes(results),
                *calibration_notes(results, config.sigma),
                f"wrote {output} and beside it {_beside(output, sorted(p.name for p in folder.iterdir()))}",
            ],
            closing=verdict.lines(),
        )
        file.attrs["verdict"] = json.dumps(verdict.as_dict())
        file.attrs["summary"] = summary.to_json()
        file.attrs["metrics"] = json.dumps(results)
    return summary


def _evaluate(
    name: str,
    predictor: Predictor,
    subsets: Mapping[str, StructureSet],
    config: EvaluateConfig,
    group: h5py.Group,
    output: Path,
    context: Context,
) -> dict[str, Any]:
    errors, uncertainty, by_subset = [], [], {}
    structures: list[PredictedStructure] = []
    for subset_name, subset in subsets.items():
        message = f"{name} on {subset_name}"
        parts = predictor.blocks(subset, subset_name, config.block_size, context.report, message)
        prediction = join_predictions(list(parts))
        _write_prediction(group.create_group(subset_name), prediction)
        if config.extxyz:
            members = [subset.structure(i) for i in range(len(subset))]
            structures += list(predicted_structures(members, prediction))
        uncertainty.append(Uncertainty.of(prediction, subset))
        errors.append(errors_of(subset, prediction, config.smallest_force))
        by_subset[subset_name] = errors[-1].metrics() | uncertainty[-1].metrics()
    if config.extxyz:
        write_extxyz(extxyz_path(output, name), structures)
    pooled = joined_errors(errors)
    return {
        "total": pooled.metrics() | joined(uncertainty).metrics(),
        "subsets": by_subset,
        "species": pooled.species_metrics(),
        "members": pooled.member_metrics(),
        **({"groups": groups} if (groups := pooled.group_metrics()) else {}),
    }


def extxyz_path(output: Path, model: str) -> Path:
    """Return where the predictions of a model are written."""
    return beside(output, f"_{model}.extxyz")


def endings(config: EvaluateConfig, models: Iterable[str]) -> list[str]:
    """Return how the names of all files end that may be written beside the artefact."""
    pictures = ["_parity.png", "_summary.png"] if config.plots else []
    structures = [f"_{name}.extxyz" for name in models] if config.extxyz else []
    return [".json", ".csv", "_training.csv", *pictures, *structures]


def _beside(output: Path, names: Sequence[str]) -> str:
    """Say which files stand beside the artefact, by how their names end."""
    return ", ".join(name.removeprefix(output.stem) for name in names) or "nothing"


def _write_prediction(group: h5py.Group, prediction: Prediction) -> None:
    write_field(group, "predicted_energies", prediction.energies)
    write_field(group, "predicted_forces", prediction.forces)
    for name, values in (
        ("sigma", prediction.sigma),
        ("domain_distance", prediction.domain_distance),
        ("predicted_stress", prediction.stress),
    ):
        if values is not None:
            write_field(group, name, values)


def _write_reference(file: h5py.File, subsets: Mapping[str, StructureSet]) -> None:
    for name, subset in subsets.items():
        group = file.create_group(f"reference/{name}")
        write_field(group, "species", subset.species)
        write_field(group, "names", subset.names)
        write_field(group, "reference_energies", subset.energies)
        if subset.forces is not None:
            write_field(group, "reference_forces", subset.forces)
        if subset.stress is not None and volumes(subset) is not None:
            write_field(group, "reference_stress", subset.stress)
            write_field(group, "cells", subset.cells)
            write_field(group, "pbc", subset.pbc)


def _write_tables(results: Mapping[str, Any], trainings: Sequence[Mapping[str, Any]], output: Path) -> None:
    write_json(beside(output, ".json"), results)
    rows = [
        {"model": model, "part": part, "of": of, **{key: metrics.get(key) for key in result["total"]}}
        for model, result in results.items()
        for part, of, metrics in _parts(result)
    ]
    write_csv(beside(output, ".csv"), rows)
    if trainings:
        write_csv(beside(output, "_training.csv"), trainings)


def _parts(result: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield the errors of all, of each subset, species and member, as (part, of, metrics)."""
    yield "all", "total", result["total"]
    for part, group in (
        ("subset", result["subsets"]),
        ("species", result["species"]),
        ("group", result.get("groups", {})),
    ):
        for of, metrics in group.items():
            yield part, of, metrics
    for number, metrics in enumerate(result["members"]):
        yield "member", str(number), metrics


def _row(name: str, metrics: Mapping[str, Any], with_stress: bool) -> list[str]:
    def show(key: str, factor: float, digits: int) -> str:
        value = metrics.get(key)
        return "–" if value is None else f"{value * factor:.{digits}f}"

    return [
        name,
        str(metrics["n_members"]),
        show("energy_mae", MEV_PER_EV, 2),
        show("energy_rmse", MEV_PER_EV, 2),
        show("energy_spread", MEV_PER_EV, 2),
        show("force_component_mae", 1, 4),
        show("force_norm_mae", 1, 4),
        show("force_norm_spread", 1, 4),
        show("force_direction_mae", 1, 2),
        *(show(f"{key}_gpa", 1, 3) for key in STRESS_KEYS if with_stress),
    ]
