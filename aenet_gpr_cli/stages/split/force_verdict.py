"""What energies and forces say of each other in a quick fit: of all structures, then of parts of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.stages.shared.many_subsets import some
from aenet_gpr_cli.stages.split.force_rows import UNEXPLAINED, Rows, select, slope_of
from aenet_gpr_cli.structures import FloatArray, IntArray
from aenet_gpr_cli.subsystems.label_checks.energy_slope import TOLERANCE, EnergySlope
from aenet_gpr_cli.subsystems.label_checks.force_units import PER_ATOM, SLOPE_TOLERANCE

FEWEST = 10  # structures
_GAP, _SMALLEST = 2.0, 1e-12  # between sizes of forces, where two units may meet; eV/Å
_EXPLAINED = 0.1  # share of the squares of forces that may be left, where energies do not follow
_AGREE = 0.25  # relative, of the slopes of two fits of which one knows no unit
_UNSURE = ("sign", "unit", "inconsistent")
_DO_NOT_FIT = "forces do not fit the energies"
_MEND = "To change: mend the file, or declare its units (energy_unit=..., force_unit=... in the headers)"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong: of which kind, what it means, the numbers behind it, and all of it in one sentence."""

    kind: str
    meaning: str
    numbers: str
    text: str
    slope: float = np.nan


def both(one: Verdict | None, other: Verdict | None) -> Verdict | None:
    """Return what two fits say, None where they do not say the same."""
    if one is None or other is None:
        return None
    if (one.kind, one.meaning) == (other.kind, other.meaning):
        return one
    alike = abs(one.slope - other.slope) < _AGREE * min(abs(one.slope), abs(other.slope))
    if alike and one.kind in _UNSURE and other.kind in _UNSURE:
        return other if other.kind == "inconsistent" else one
    return None


def judged(rows: Rows) -> Verdict | None:
    """Compare energies with those that the forces say, of all structures, then of parts of them."""
    whole, unexplained = slope_of(rows)
    files = np.unique([n.split("#")[0] for n in rows.names], return_inverse=True)[1].ravel()
    if whole is not None and whole.is_one:
        return None if whole.is_surely_one else _of_parts(rows, files, False)
    of_all = None if whole is None else _of_all(rows, whole)
    if of_all is not None and of_all.kind != "inconsistent":
        return of_all
    doubtful = of_all is not None or unexplained > UNEXPLAINED
    part = _of_parts(rows, files, doubtful) or _of_parts(rows, _by_size(rows.sizes), False)
    if part is not None or of_all is not None:
        return part or of_all
    if unexplained > UNEXPLAINED:
        text = (
            "forces are hardly those of their structures: a quick fit explains "
            f"{100 * (1 - unexplained):.0f} % of them, expected above {100 * (1 - UNEXPLAINED):.0f} % "
            f"({len(rows.names)} structures); possible reasons: forces of other structures, or of atoms in "
            "another order. To change: write positions and forces of one calculation into each frame"
        )
        return Verdict("unexplained", "", "", text)
    if whole is not None and whole.is_of_others and unexplained < _EXPLAINED:
        text = (
            f"energies do not follow the forces: a quick fit explains {100 * (1 - unexplained):.0f} % of the "
            f"forces, but not the energies ({whole.numbers}; right ones have 1); possible reasons: energies "
            "of other structures, or of several definitions. To change: write energy and forces of one "
            "calculation into each frame"
        )
        return Verdict("energies", "", whole.numbers, text)
    return None


def _of_all(rows: Rows, whole: EnergySlope) -> Verdict | None:
    """Return what explains all structures alike: a sign, a unit, energies per atom, or none of them."""
    sizes = rows.counts.sum(axis=1)
    alike = np.ptp(sizes) == 0.0
    found = whole.what_is_wrong(int(sizes[0]) if alike else None)
    total = None if alike else slope_of(rows, sizes)[0]
    if total is not None:
        is_one, is_better = total.tells_per_atom(whole)
        numbers = f"times the number of atoms: {total.numbers}"
        known = found is not None and found[0] != "inconsistent"
        if is_one and (is_better or not known):
            return Verdict("per atom", "", numbers, "")
        if is_one and found is not None:
            found = found[0], f"{found[1]}; or {PER_ATOM}"
    if found is None:
        return None
    kind, meaning = found
    return Verdict(
        kind, meaning, whole.numbers, f"{_DO_NOT_FIT}: {meaning} ({whole.numbers}). {_MEND}", whole.value
    )


def _of_parts(rows: Rows, labels: IntArray, doubtful: bool) -> Verdict | None:
    """Look at structures of one file, or with forces of one size, alone: units may differ between them.

    Parameters
    ----------
    doubtful : bool
        Whether the whole is wrong, so that a part that is right is worth telling.
    """
    if labels.max() == 0:
        return None
    parts = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
    slopes = [(p, slope_of(select(rows, p))[0]) for p in parts if len(p) >= FEWEST]
    known = [(part, slope) for part, slope in slopes if slope is not None]
    right = [(part, slope) for part, slope in known if slope.is_one]
    tolerance = SLOPE_TOLERANCE if right else TOLERANCE
    for part, slope in known:
        if (found := slope.what_is_wrong(None, tolerance)) is not None:
            such = some([rows.names[i] for i in part])
            what = f"{_DO_NOT_FIT} in a part of the structures, such as {such}: {found[1]}"
            return Verdict("part", found[1], slope.numbers, f"{what} ({slope.numbers}). {_MEND}")
    for part, slope in known:
        for other, its in known:
            if (meaning := slope.differs_from(its)) is not None:
                such, those = (some([rows.names[i] for i in p]) for p in (part, other))
                numbers = f"{slope.numbers}; {its.value:.3g} ± {its.error:.2g} in those"
                what = (
                    f"{_DO_NOT_FIT} in a part of the structures: beside those of {those}, {meaning} in {such}"
                )
                return Verdict("part", meaning, numbers, f"{what} ({numbers}). {_MEND}")
    if right and doubtful:
        part, slope = right[0]
        others = some([rows.names[i] for i in np.setdiff1d(np.arange(len(rows.names)), part)])
        text = (
            f"{_DO_NOT_FIT} in a part of the structures: they do in {some([rows.names[i] for i in part])} "
            f"({slope.numbers}), but not with others, such as {others}. {_MEND}"
        )
        return Verdict("part", "right", slope.numbers, text)
    return None


def _by_size(sizes: FloatArray) -> IntArray:
    """Return 0 for structures with small forces and 1 for those with large ones; 0 for all without a gap."""
    order = np.argsort(sizes)
    steps = np.diff(np.log(np.maximum(sizes[order], _SMALLEST)))[FEWEST - 1 : 1 - FEWEST]
    labels = np.zeros(len(sizes), np.int64)
    if len(steps) and steps.max() > np.log(_GAP):
        labels[order[int(steps.argmax()) + FEWEST :]] = 1
    return labels
