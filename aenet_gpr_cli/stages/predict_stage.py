"""`predict`: gpr.h5 or ann.h5 and any structure files → predictions.h5, with extxyz and XSF files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.ann.potential.compositions import describe_open
from aenet_gpr_cli.ann.potential.extrapolation import WARN_BEYOND, describe_beyond
from aenet_gpr_cli.config.stages.prediction_config import PredictConfig
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.error_sums import ErrorSums, error_sums
from aenet_gpr_cli.evaluation.metrics import metrics_from_sums
from aenet_gpr_cli.evaluation.stress_errors import add_stress_errors, pressures, stress_components
from aenet_gpr_cli.io.artefacts.artefact import publish_with_files
from aenet_gpr_cli.io.artefacts.fields import write_field
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.artefacts.structure_sets import write_structures
from aenet_gpr_cli.io.formats.prediction_files import (
    PredictedStructure,
    structure_endings,
    write_structure_files,
)
from aenet_gpr_cli.io.formats.source_files import source_hashes
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.stages.shared.context import Context, Summary, by_name, make_job, nothing_to_do, planned
from aenet_gpr_cli.stages.shared.model_keys import refuse_idle
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.stages.shared.predictors import (
    Prediction,
    Predictor,
    join_predictions,
    load_predictor,
    predicted_structures,
)
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.grouping import group
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import MEV_PER_EV

KIND = "predict"
COLUMNS = ("structure", "atoms", "E / eV", "σ(E) / meV", "largest ‖F‖ / eV/Å", "E − reference / meV")
PRESSURE_COLUMNS = ("p / GPa", "p − reference / GPa")
ROWS_SHOWN = 20


def run(
    config: PredictConfig, model: Path, inputs: Sequence[Path], output: Path, context: Context
) -> Summary:
    """Predict energies, forces and, where structures are periodic, stresses.

    Parameters
    ----------
    model : Path
        Output of `fit-gpr`, `train-ann` or `import`.
    inputs : sequence of Path
        Files, folders and archives of structures; energies and forces in them are not needed.
    output : Path
        The other formats are written beside it: ``NAME_predictions.extxyz``, ``NAME_xsf``.

    Raises
    ------
    InputError
        If the model does not fit the structures, or an input would be overwritten.
    """
    endings = structure_endings(config.write, "predictions")
    claim(KIND, output, [model, *inputs], endings)
    job = make_job(KIND, config, {"model": model}, context, by_name(source_hashes(inputs)))
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    refuse_idle(KIND, config, model)
    structures = read_sources(inputs, context.report)
    if context.dry_run:
        return planned(KIND, output, [f"{len(structures)} structures with {model}"])
    predictor = load_predictor(
        model, config.sigma, config.sigma_max_rows, config.max_memory_gib, config.members, with_stress=True
    )
    if config.subset is not None and config.subset not in predictor.processes:
        raise InputError(
            f"subset: expected that of a Gaussian process in {model} ({', '.join(predictor.processes)}), got "
            f"{config.subset!r}"
        )
    found: dict[str, PredictedStructure] = {}
    errors = []
    with publish_with_files(output, job) as (file, folder):
        templates = predictor.templates
        for name, members in group(structures, templates=templates, match_atoms=bool(templates)).items():
            subset = StructureSet.from_structures(members)
            parts = predictor.blocks(
                subset, config.subset, config.block_size, context.report, f"predicting {name}"
            )
            prediction = join_predictions(list(parts))
            _write(file.create_group(f"subsets/{name}"), subset, prediction)
            errors += _errors_of(subset, prediction)
            found |= {item.structure.name: item for item in predicted_structures(members, prediction)}
        ordered = [found[structure.name] for structure in structures]
        notes = _warnings(ordered) + _outside(ordered, predictor) + _open(ordered, predictor)
        write_structure_files(folder, output.stem, ordered, endings)
        notes += [f"wrote {path}" for path in (output, *(beside(output, ending) for ending in endings))]
        if len(ordered) > ROWS_SHOWN:
            notes.insert(0, f"and {len(ordered) - ROWS_SHOWN} more structures")
        shown = ordered[:ROWS_SHOWN]
        columns: tuple[str, ...] = COLUMNS
        rows = [_row(item) for item in shown]
        if any(item.structure.stress is not None for item in ordered):
            columns += PRESSURE_COLUMNS
            rows = [[*row, *_pressure(item)] for row, item in zip(rows, shown, strict=True)]
        summary = Summary(f"Predictions of {model.name}", columns, rows, notes, closing=_closing(errors))
        file.attrs["summary"] = summary.to_json()
    return summary


def _errors_of(subset: StructureSet, prediction: Prediction) -> list[ErrorSums]:
    """Return the errors on structures with labels, none where there are no energies."""
    if subset.energies is None:
        return []
    forces = None if subset.forces is None else prediction.forces
    sums = error_sums(subset, prediction.energies, forces)
    if prediction.stress is not None:
        add_stress_errors(sums, subset, prediction.stress)
    return [sums]


def _closing(errors: Sequence[ErrorSums]) -> list[str]:
    """Say how far the predictions are from the labels that the files hold."""
    if not errors:
        return []
    found = metrics_from_sums(sum(errors, ErrorSums()))
    number = found["n_structures"]

    def said(key: str, unit: float = 1.0) -> str:
        return rounded(unit * float(found[key] or 0.0))

    per_atom, rmse = (said(f"energy_{key}_per_atom", MEV_PER_EV) for key in ("mae", "rmse"))
    lines = [f"Errors against the {number} structures with labels:"]
    lines.append(f"  energies  MAE {per_atom} meV per atom, RMSE {rmse}")
    if found["force_component_mae"] is not None:
        lines.append(
            f"  forces    MAE {said('force_component_mae')} eV/Å per component, RMSE "
            f"{said('force_component_rmse')}, "
            f"of {said('force_component_rms_reference')} (rms of the reference)"
            + (f"; without {found['n_lone']} structures of one atom" if found["n_lone"] else "")
        )
    if found.get("stress_mae_gpa") is not None:
        lines.append(
            f"  stress    MAE {said('stress_mae_gpa')} GPa per component, RMSE {said('stress_rmse_gpa')}; "
            f"pressure MAE {said('pressure_mae_gpa')} GPa"
        )
    return lines


def _write(group: h5py.Group, subset: StructureSet, prediction: Prediction) -> None:
    write_structures(group, replace(subset, energies=None, forces=None, stress=None))
    write_field(group, "predicted_energies", prediction.energies)
    write_field(group, "predicted_forces", prediction.forces)
    if prediction.sigma is not None:
        write_field(group, "sigma", prediction.sigma)
    if prediction.beyond_training is not None:
        write_field(group, "beyond_training", prediction.beyond_training)
    if prediction.domain_distance is not None:
        write_field(group, "domain_distance", prediction.domain_distance)
    if prediction.stress is not None:
        write_field(group, "predicted_stress", prediction.stress)
    for name, values in (
        ("reference_energies", subset.energies),
        ("reference_forces", subset.forces),
        ("reference_stress", subset.stress),
    ):
        if values is not None:
            write_field(group, name, values)


def _warnings(predicted: Sequence[PredictedStructure]) -> list[str]:
    """Say which structure lies farthest outside the training data, if any is far outside."""
    beyond = [0.0 if p.beyond_training is None else float(p.beyond_training.max()) for p in predicted]
    n_far = sum(value > WARN_BEYOND for value in beyond)
    worst = predicted[int(np.argmax(beyond))]
    if not n_far or worst.beyond_training is None:
        return []
    said = describe_beyond(worst.beyond_training, worst.structure.species)
    share = f"{n_far} of {len(beyond)} structures are far outside the training data"
    return [f"warning: {share}, {worst.structure.name} most of all: {said}"]


def _outside(predicted: Sequence[PredictedStructure], predictor: Predictor) -> list[str]:
    """Say which structures are outside the data of the Gaussian process."""
    if all(p.domain_distance is None for p in predicted):  # networks have none
        return []
    from aenet_gpr_cli.gpr.regression.structure_distances import OUTSIDE

    distance = np.array([p.domain_distance or 0.0 for p in predicted])
    if not (outside := distance > OUTSIDE).any():
        return []
    worst = predicted[int(np.argmax(distance))]
    return [
        f"warning: {outside.sum()} of {len(distance)} structures are outside the training data of the "
        f"Gaussian process, {worst.structure.name} most of all: "
        f"{predictor.why_outside(worst.structure, float(distance.max()))}"
    ]


def _open(predicted: Sequence[PredictedStructure], predictor: Predictor) -> list[str]:
    """Say of which structures training left the energies open, whatever their forces."""
    found = [s for s in dict.fromkeys(p.structure.species for p in predicted) if predictor.lacks(s)]
    return [f"warning: {describe_open(found)}"] if found else []


def _row(item: PredictedStructure) -> list[str]:
    s = item.structure
    assert s.energy is not None  # both are predicted
    assert s.forces is not None
    reference, spread = item.reference_energy, item.energy_std
    return [
        s.name,
        str(s.n_atoms),
        f"{s.energy:.4f}",
        "–" if spread is None else f"{spread * MEV_PER_EV:.2f}",
        f"{np.linalg.norm(s.forces, axis=1).max():.3f}",
        "–" if reference is None else f"{(s.energy - reference) * MEV_PER_EV:.2f}",
    ]


def _pressure(item: PredictedStructure) -> list[str]:
    """Return the predicted pressure and its error."""
    if item.structure.stress is None:
        return ["–", "–"]
    boxes = StructureSet.from_structures([item.structure])
    pressure = float(pressures(stress_components(boxes, item.structure.stress[None]))[0])
    if item.reference_stress is None:
        return [f"{pressure:.3f}", "–"]
    reference = float(pressures(stress_components(boxes, item.reference_stress[None]))[0])
    return [f"{pressure:.3f}", f"{pressure - reference:.3f}"]
