"""`predict`: gpr.h5 or ann.h5 and any structure files → predictions.h5, with extxyz and XSF files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.ann.potential import predict
from aenet_gpr_cli.calculators.committee import choose_members
from aenet_gpr_cli.config.predict import PredictConfig
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.matching import find_surrogate
from aenet_gpr_cli.io.artefact import open_artefact, publish, write_field
from aenet_gpr_cli.io.models import load_ann, load_gps
from aenet_gpr_cli.io.predictions import PredictedStructure, write_extxyz, write_xsf_files
from aenet_gpr_cli.io.sources import read_sources, source_hashes
from aenet_gpr_cli.io.structures import write_structures
from aenet_gpr_cli.stages.base import Context, Summary, make_job, nothing_to_do, planned
from aenet_gpr_cli.stages.predictors import Prediction
from aenet_gpr_cli.structures import FloatArray, Structure, StructureSet
from aenet_gpr_cli.subsystems.geometry import unwrap
from aenet_gpr_cli.subsystems.grouping import group
from aenet_gpr_cli.units import MEV_PER_EV

KIND = "predict"
COLUMNS = ("structure", "atoms", "E / eV", "σ(E) / meV", "largest ‖F‖ / eV/Å", "E − reference / meV")
ROWS_SHOWN = 20

Predictor = Callable[[StructureSet], Prediction]


def run(
    config: PredictConfig, model: Path, inputs: Sequence[Path], output: Path, context: Context
) -> Summary:
    """Predict energies and forces of structures.

    Parameters
    ----------
    config : PredictConfig
    model : Path
        Output of `fit-gpr`, `train-ann` or `import`.
    inputs : sequence of Path
        Files, folders and archives of structures; energies and forces in them are not needed.
    output : Path
        The other formats are written beside it under the same name.
    context : Context

    Returns
    -------
    Summary

    Raises
    ------
    InputError
        If the model does not fit the structures.
    """
    job = make_job(KIND, config, {"model": model}, context, source_hashes(inputs))
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    structures = read_sources(inputs, context.report)
    if context.dry_run:
        return planned(KIND, output, [f"{len(structures)} structures with {model}"])
    predictor = load(model, config)
    found: dict[str, PredictedStructure] = {}
    with publish(output, job) as file:
        for name, members in group(structures).items():
            subset = StructureSet.from_structures(members)
            prediction = _predict(predictor, subset, config.block_size, name, context)
            _write(file.create_group(f"subsets/{name}"), subset, prediction)
            found |= {item.structure.name: item for item in _each(members, prediction)}
        ordered = [found[structure.name] for structure in structures]
        notes = [f"wrote {path}" for path in (output, *_write_files(config, output, ordered))]
        if len(ordered) > ROWS_SHOWN:
            notes.insert(0, f"and {len(ordered) - ROWS_SHOWN} more structures")
        rows = [_row(item) for item in ordered[:ROWS_SHOWN]]
        summary = Summary(f"Predictions of {model.name}", COLUMNS, rows, notes)
        file.attrs["summary"] = summary.to_json()
    return summary


def load(path: Path, config: PredictConfig) -> Predictor:
    """Return a model of either kind as a function of structures with the same atoms.

    Parameters
    ----------
    path : Path
    config : PredictConfig

    Returns
    -------
    callable

    Raises
    ------
    InputError
        If the file is something else.
    """
    with open_artefact(path) as file:
        kind = str(file.attrs["kind"])
    if kind == "fit-gpr":
        return _gp(path, config)
    if kind == "train-ann":
        return _committee(path, config)
    raise InputError(f"{path}: expected the output of fit-gpr, train-ann or import, got that of {kind}")


def _gp(path: Path, config: PredictConfig) -> Predictor:
    surrogates = load_gps(path)

    def predict_block(structures: StructureSet) -> Prediction:
        surrogate = surrogates[find_surrogate(surrogates, structures.structure(0), config.subset)]
        # the images of the training structures: a Cartesian descriptor depends on them
        positions = unwrap(structures, surrogate.geometry.reference).structures.positions
        energies, forces = surrogate.energies_and_forces(positions)
        sigma = surrogate.sigma(config.sigma, config.sigma_n_nearest)
        return Prediction(energies[None], forces[None], sigma(positions) if sigma else None)

    return predict_block


def _committee(path: Path, config: PredictConfig) -> Predictor:
    model = choose_members(load_ann(path), config.members)

    def predict_block(structures: StructureSet) -> Prediction:
        energies, forces = predict(model, structures, True, len(structures))
        assert forces is not None  # asked for
        return Prediction(energies, forces, _std(energies))

    return predict_block


def _predict(
    predictor: Predictor, subset: StructureSet, block_size: int, name: str, context: Context
) -> Prediction:
    parts = []
    for start in range(0, len(subset), block_size):
        context.report(start, len(subset), f"predicting {name}")
        parts.append(predictor(subset.select(slice(start, start + block_size))))
    sigma = [part.sigma for part in parts if part.sigma is not None]
    return Prediction(
        energies=np.concatenate([part.energies for part in parts], axis=1),
        forces=np.concatenate([part.forces for part in parts], axis=1),
        sigma=np.concatenate(sigma) if sigma else None,
    )


def _write(group: h5py.Group, subset: StructureSet, prediction: Prediction) -> None:
    write_structures(group, replace(subset, energies=None, forces=None))
    write_field(group, "predicted_energies", prediction.energies)
    write_field(group, "predicted_forces", prediction.forces)
    if prediction.sigma is not None:
        write_field(group, "sigma", prediction.sigma)
    for name, values in (("reference_energies", subset.energies), ("reference_forces", subset.forces)):
        if values is not None:
            write_field(group, name, values)


def _each(members: Sequence[Structure], prediction: Prediction) -> Iterator[PredictedStructure]:
    energies, forces = prediction.energies.mean(axis=0), prediction.forces.mean(axis=0)
    spread = _std(prediction.forces)
    for i, given in enumerate(members):
        yield PredictedStructure(
            structure=replace(given, energy=float(energies[i]), forces=forces[i]),
            energy_std=None if prediction.sigma is None else float(prediction.sigma[i]),
            forces_std=None if spread is None else spread[i],
            reference_energy=given.energy,
        )


def _std(values: FloatArray) -> FloatArray | None:
    """Return the standard deviation over the members; a single one has none."""
    return values.std(axis=0, ddof=1) if len(values) > 1 else None


def _write_files(config: PredictConfig, output: Path, predicted: list[PredictedStructure]) -> list[Path]:
    written = []
    if "extxyz" in config.write:
        written.append(output.with_suffix(".extxyz"))
        write_extxyz(written[-1], predicted)
    if "xsf" in config.write:
        written.append(output.with_suffix(""))
        write_xsf_files(written[-1], predicted)
    return written


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
