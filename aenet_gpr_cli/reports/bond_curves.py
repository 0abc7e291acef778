"""Curves of a diatomic molecule from a finished run: predictions against the length of the bond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.energy_curves import Curve, Points
from aenet_gpr_cli.figures.style import label_style, mode_style
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.fields import read_optional
from aenet_gpr_cli.io.artefacts.structure_sets import load_split, read_augmented
from aenet_gpr_cli.reports.finished_run import SURROGATE, FinishedRun, Row
from aenet_gpr_cli.structures import FloatArray, StructureSet


def curves(run: FinishedRun, models: Mapping[str, str], quantity: str) -> list[Curve]:
    """Read the curves of some models.

    Parameters
    ----------
    run : FinishedRun
        Of one diatomic molecule.
    models : mapping of str to str
        Model → remark for its title.
    quantity : str
        ``energy``, or ``force``: along the bond, positive where it lengthens the bond.

    Returns
    -------
    list of Curve
        With the training structures and, for energies, the copies as points.

    Raises
    ------
    InputError
        If the run is not that of one diatomic molecule.
    """
    test, training = _diatomic(run, "test"), _diatomic(run, "train")
    lengths = _lengths(test.positions)
    order = np.argsort(lengths)
    known = Points(_lengths(training.positions), _values(training, quantity), "training", "black", "o")
    rows = {row["model"]: row for row in run.rows}
    found = []
    with open_artefact(run.metrics, "evaluate") as file:
        for name, remark in models.items():
            group = next(iter(file[f"models/{name}"].values()))
            energies, forces = group["predicted_energies"][()], group["predicted_forces"][()]
            predicted = energies if quantity == "energy" else _along_bond(test.positions, forces)
            sigma = read_optional(group, "sigma") if quantity == "energy" else None
            style = mode_style(_mode(name))
            copies = _copies(run, rows.get(name)) if quantity == "energy" else ()
            found.append(
                Curve(
                    f"{style.label}\n{remark}" if remark else style.label,
                    style.colour,
                    lengths[order],
                    _values(test, quantity)[order],
                    predicted[:, order],
                    None if sigma is None else sigma[order],
                    (*copies, known),
                )
            )
    return found


def beside_the_paper(ours: Sequence[Curve], papers: Sequence[Curve]) -> list[Curve]:
    """Add what the same modes predict by the paper's recipe.

    Parameters
    ----------
    ours, papers : sequence of Curve
        Of one mode where the first line of the title, without δ and M, is the same.

    Raises
    ------
    InputError
        If the lengths are others.
    """
    by_mode = {curve.title.split("\n")[0]: curve for curve in papers}
    found = []
    for curve in ours:
        other = by_mode.get(curve.title.split("\n")[0])
        if other is None:
            found.append(curve)
            continue
        if not np.array_equal(other.lengths, curve.lengths):
            raise InputError(
                "run by the paper's recipe: expected the test structures of the run beside it, got others"
            )
        found.append(replace(curve, paper=other.predicted.mean(axis=0)))
    return found


def label_curves(run: FinishedRun, rows: Sequence[Row]) -> list[Curve]:
    """Read the curve of the surrogate with the labels of both methods, one for each δ (Figure S1).

    Parameters
    ----------
    run : FinishedRun
        Of one diatomic molecule.
    rows : sequence of dict
        The sweep over δ.
    """
    (surrogate,) = curves(run, {SURROGATE: ""}, "energy")
    found = []
    for delta in sorted({row["displacement"] for row in rows if row["method"]}):
        own = [row for row in rows if row["method"] and row["displacement"] == delta]
        points = [p for row in own for p in _copies(run, row)]
        found.append(
            Curve(
                f"δ = {delta:g} Å", surrogate.colour, surrogate.lengths, surrogate.target,
                surrogate.predicted, surrogate.sigma, (*points, *surrogate.points),
            )
        )  # fmt: skip
    return found


def label_errors(run: FinishedRun, rows: Sequence[Row]) -> dict[str, dict[float, float]]:
    """Calculate how far labels are from the target, for each method and δ (Figure S1d).

    Parameters
    ----------
    run : FinishedRun
        Of one diatomic molecule; energies and forces of its test structures make the target, by cubic Hermite
        interpolation.
    rows : sequence of dict
        The sweep over δ.

    Returns
    -------
    dict of str to dict of float to float
        Method → δ (Å) → mean absolute error (eV).
    """
    test = _diatomic(run, "test")
    lengths = _lengths(test.positions)
    order = np.argsort(lengths)
    slopes = -_values(test, "force")[order]
    target = CubicHermiteSpline(lengths[order], _values(test, "energy")[order], slopes)
    errors: dict[str, dict[float, float]] = {}
    for row in sorted((r for r in rows if r["method"]), key=lambda r: float(r["displacement"])):
        for points in _copies(run, row):
            mean = float(np.abs(points.values - target(points.lengths)).mean())
            errors.setdefault(row["method"], {})[row["displacement"]] = mean
    return errors


def _mode(model: str) -> str:
    """Return the name of a model without its δ and M."""
    return next((m for m in ("ann_taylor", "ann_gpr") if model.startswith(m)), model)


def _diatomic(run: FinishedRun, part: str) -> StructureSet:
    subsets = load_split(run.split, part)
    subset = next(iter(subsets.values()))
    if len(subsets) > 1 or len(subset.species) != 2 or subset.energies is None or subset.forces is None:
        raise InputError(
            f"{run.split}: expected one diatomic molecule with energies and forces for curves against its "
            f"bond length, got {', '.join(subsets)}"
        )
    return subset


def _lengths(positions: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1))


def _along_bond(positions: FloatArray, forces: FloatArray) -> FloatArray:
    """Project forces on the second atom, shape (…, n_structures, 2, 3), on the bond: -dE/dr."""
    bond = positions[:, 1] - positions[:, 0]
    bond = bond / np.linalg.norm(bond, axis=1, keepdims=True)
    return np.asarray(np.einsum("...sx,sx->...s", forces[..., 1, :], bond))


def _values(subset: StructureSet, quantity: str) -> FloatArray:
    assert subset.energies is not None  # _diatomic has checked it
    assert subset.forces is not None
    return subset.energies if quantity == "energy" else _along_bond(subset.positions, subset.forces)


def _copies(run: FinishedRun, row: Row | None) -> tuple[Points, ...]:
    """Return the copies that a network was trained on."""
    if row is None or row["method"] is None:
        return ()
    path = run.folder / f"augmented_{row['model'].removeprefix('ann_')}.h5"
    if path not in run.augmented:
        return ()
    with open_artefact(path, "augment") as file:
        augmented = read_augmented(next(iter(file["subsets"].values()))).structures
    if augmented.energies is None:
        return ()
    style = label_style(row["method"])
    lengths = _lengths(augmented.positions)
    return (Points(lengths, augmented.energies, f"{style.label} labels", style.colour, style.marker),)
