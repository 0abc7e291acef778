"""Copies that both methods labelled: differences of the labels, and the surface between parent and copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.label_differences import Cut
from aenet_gpr_cli.gpr.subset_lookup import find_process
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.structure_sets import load_split, read_augmented
from aenet_gpr_cli.reports.finished_run import SOURCE_KEYS, SURROGATE, FinishedRun
from aenet_gpr_cli.structures import FloatArray, StructureSet

POINTS = 61
REACH = 1.5  # of the way to the copy, in both directions


def differences(run: FinishedRun) -> dict[float, FloatArray]:
    """Compare Taylor and GP labels of the same copies.

    Returns
    -------
    dict of float to ndarray of shape (n_copies,), eV
        δ (Å) → energy by Taylor expansion less energy by the GP, where both labelled the same structures.
    """
    found: dict[float, list[FloatArray]] = {}
    for delta, taylor, gpr in _pairs(run):
        parts = [t.energies - g.energies for _, t, g, _ in _subsets(taylor, gpr)]  # type: ignore[operator]
        found.setdefault(delta, []).extend(parts)
    return {delta: np.concatenate(parts) for delta, parts in sorted(found.items())}


def cut(run: FinishedRun) -> Cut:
    """Follow the surface from a training structure to one of its copies (Figure S13c).

    Returns
    -------
    Cut
        To the copy of the largest common δ whose labels differ by the median.

    Raises
    ------
    InputError
        If there are no copies that both methods labelled.
    """
    pairs = list(_pairs(run))
    if not pairs:
        raise InputError("line to a copy: expected Taylor and GP copies of the same δ, got none")
    _, taylor, gpr = max(pairs)
    name, by_taylor, by_gpr, parents = next(_subsets(taylor, gpr))
    assert by_taylor.energies is not None  # _subsets has checked it
    assert by_gpr.energies is not None
    gap = by_taylor.energies - by_gpr.energies
    chosen = int(np.argsort(gap)[len(gap) // 2])
    subset = load_split(run.split, "train")[name]
    parent = subset.structure(subset.names.index(parents[chosen]))
    assert parent.energy is not None
    assert parent.forces is not None  # without forces there is no Taylor expansion
    step = by_gpr.positions[chosen] - parent.positions
    length = float(np.sqrt((step**2).mean()))
    way = np.linspace(-REACH, REACH, POINTS)
    processes = load_gps(run.folder / f"{SURROGATE}.h5")
    process = processes[find_process(processes, parent, name)]
    along = subset.select([subset.names.index(parents[chosen])] * POINTS)
    surface, _ = process.energies_and_forces(along.moved_to(parent.positions + way[:, None, None] * step))
    labels = {"taylor": by_taylor.energies[chosen], "gpr": by_gpr.energies[chosen]}
    return Cut(
        distances=way * length,
        surface=surface - parent.energy,
        slope=-float((parent.forces * step).sum()) / length,
        copy=length,
        labels={method: float(energy) - parent.energy for method, energy in labels.items()},
    )


def _pairs(run: FinishedRun) -> Iterator[tuple[float, Path, Path]]:
    """Yield δ and the sets of both methods that differ in nothing else."""
    for taylor, config in run.augmented.items():
        for gpr, other in run.augmented.items():
            same = all(config[key] == other[key] for key in SOURCE_KEYS if key != "method")
            if same and (config["method"], other["method"]) == ("taylor", "gpr"):
                yield config["displacement"], taylor, gpr


def _subsets(taylor: Path, gpr: Path) -> Iterator[tuple[str, StructureSet, StructureSet, tuple[str, ...]]]:
    """Yield subset, its copies with the labels of either method, and their parents."""
    with open_artefact(taylor, "augment") as mine, open_artefact(gpr, "augment") as theirs:
        for name, group in mine["subsets"].items():
            a, b = read_augmented(group), read_augmented(theirs[f"subsets/{name}"])
            if not np.allclose(a.structures.positions, b.structures.positions):
                raise InputError(f"{taylor}, {gpr}: expected the same copies, got others; give both one seed")
            if a.structures.energies is not None and b.structures.energies is not None:
                yield name, a.structures, b.structures, a.parents
