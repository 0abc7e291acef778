"""Pictures that stages draw beside their artefacts: from stored numbers to files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aenet_gpr_cli.evaluation.parity_samples import ParitySamples, join_samples, parity_samples, zeros_of
from aenet_gpr_cli.evaluation.stress_errors import pressures, stress_components
from aenet_gpr_cli.figures import error_bars, parity_plot
from aenet_gpr_cli.figures.style import save
from aenet_gpr_cli.io.artefacts.fields import read_optional
from aenet_gpr_cli.structures import FloatArray, StructureSet


def draw_evaluation(file: h5py.File, results: Mapping[str, Any], smallest_force: float, output: Path) -> None:
    """Draw parity plots and the comparison of the models.

    Parameters
    ----------
    file : h5py.File
        The artefact of `evaluate`: predictions and reference.
    results : mapping
        Metrics by model, ``total`` and ``subsets``.
    smallest_force : float, eV/Å
        Reference forces must be larger for their direction to be compared.
    output : Path
        Pictures are named after it.
    """
    totals = {name: result["total"] for name, result in results.items()}
    best = next((name for name, result in results.items() if result.get("best")), None)
    samples = {name: parity_of(file, name, smallest_force) for name in results}
    pictures = {
        "parity": parity_plot.plot(samples, totals),
        "summary": error_bars.plot_models(totals, best=best),
    }
    for name, figure in pictures.items():
        save(figure, output.with_name(f"{output.stem}_{name}.png"))


def parity_of(file: h5py.File, model: str, smallest_force: float) -> ParitySamples:
    """Read what the parity plots of one model show.

    Parameters
    ----------
    file : h5py.File
        The artefact of `evaluate`.
    smallest_force : float, eV/Å
        Reference forces must be larger for their direction to be compared.
    """
    parts, groups = [], file[f"models/{model}"]
    references = [file[f"reference/{subset}"] for subset in groups]
    zeros, called = zeros_of(
        [reference["species"].asstr()[()] for reference in references],
        [reference["reference_energies"][()] for reference in references],
    )
    for reference, predicted, zero in zip(references, groups.values(), zeros, strict=True):
        part = parity_samples(
            reference["reference_energies"][()],
            predicted["predicted_energies"][()],
            read_optional(reference, "reference_forces"),
            predicted["predicted_forces"][()],
            smallest_force,
            (zero, called),
        )
        if "reference_stress" in reference and "predicted_stress" in predicted:
            part = _with_pressures(part, reference, predicted["predicted_stress"][()])
        parts.append(part)
    return join_samples(parts)


def _with_pressures(part: ParitySamples, reference: h5py.Group, stress: FloatArray) -> ParitySamples:
    expected = reference["reference_stress"][()]
    known = ~np.isnan(expected).any(axis=(1, 2))
    cells, pbc = reference["cells"][()][known], tuple(bool(p) for p in reference["pbc"][()])
    boxes = StructureSet((), np.zeros((len(cells), 0, 3)), cells, (pbc[0], pbc[1], pbc[2]))
    return replace(
        part,
        reference_pressures=pressures(stress_components(boxes, expected[known])),
        predicted_pressures=pressures(stress_components(boxes, stress.mean(axis=0)[known])),
    )
