"""Whether forces fit the energies, by a quick local process that has seen the forces only.

It knows structures that are far apart, of any composition and cell, where near structures say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.errors import InputError, NumericalError
from aenet_gpr_cli.gpr.process_settings import Local
from aenet_gpr_cli.stages.shared.context import no_progress
from aenet_gpr_cli.stages.shared.many_subsets import Finding, some
from aenet_gpr_cli.stages.split.stress_by_fit import few
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet
from aenet_gpr_cli.subsystems.label_checks.energy_slope import TOLERANCE, EnergySlope, energy_slope
from aenet_gpr_cli.subsystems.label_checks.force_units import SLOPE_TOLERANCE, per_atom

BoolArray = NDArray[np.bool_]
MOST_STRUCTURES, MOST_ATOMS = 60, 2000  # of the fit: about a second
LENGTH_SCALES = 16.0, 8.0  # both have to find the same
MOST_OF_LARGE, _FEW_LARGE = 6000, 15  # atoms; large structures, which are too few otherwise
MOST_INDUCING, FEWEST_INDUCING = 400, 60  # of all species, of each
_FEWEST, _FEWEST_ROWS = 10, 200  # structures, force components
_ASYMMETRIC = 1e-3  # 1/Å: derivatives of kernels; where symmetry makes forces zero these are, too
_SMALL_FORCE = 0.05  # eV/Å: noise of calculations, which no fit explains
_FEWEST_ZERO = 3  # structures
_SAME = 1e-6  # relative; of the rows of two copies
_GAP, _SMALLEST = 2.0, 1e-12  # between sizes of forces, where two units may meet; eV/Å
_UNEXPLAINED = 0.6  # share of the squares of forces that those of other structures leave
_DO_NOT_FIT = "forces do not fit the energies"
_MEND = "To change: mend the file, or declare its units (energy_unit=..., force_unit=... in the headers)"
_AS_THEY_ARE = "take them as they are with check_forces: false"


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is wrong: of which kind, what it means, the numbers behind it, and all of it in one sentence."""

    kind: str
    meaning: str
    numbers: str
    text: str


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of some structures in the kernels of a local process, one item for each structure.

    Attributes
    ----------
    names : list of str
    energies, sizes : ndarray of shape (n,), eV, eV/Å
        Reference energies; root mean squares of the forces.
    counts : ndarray of shape (n, n_species)
    energy_rows : ndarray of shape (n, n_inducing), dimensionless
    force_rows : list of ndarray of shape (3 n_atoms, n_inducing), 1/Å
        Of atoms whose forces are not exactly zero, as those of fixed atoms and by symmetry.
    forces : list of ndarray of shape (3 n_atoms,), eV/Å
    asymmetric : ndarray of bool, shape (n,)
        Whether symmetry lets forces be other than zero.
    whitening : ndarray of shape (n_inducing, n_kept)
    """

    names: list[str]
    energies: FloatArray
    sizes: FloatArray
    counts: FloatArray
    energy_rows: FloatArray
    force_rows: list[FloatArray]
    forces: list[FloatArray]
    asymmetric: BoolArray
    whitening: FloatArray


def check_forces_by_fit(subsets: Sequence[StructureSet], name: str, seed: int) -> list[Finding]:
    """Return what is wrong with the forces, or the energies, of a data set; nothing where that is unknown.

    Parameters
    ----------
    subsets : sequence of StructureSet
        With energies, and forces where they are known.
    name : str
        Of all of them, for the findings.
    seed : int
        Of the choice of structures.

    Raises
    ------
    InputError
        If forces are zero everywhere and not by symmetry, or energies are per atom.
    """
    usable = [s for s in subsets if s.energies is not None and s.forces is not None and s.n_atoms > 1]
    if sum(map(len, usable)) < _FEWEST:
        return []
    most_atoms = max(MOST_ATOMS, min(MOST_OF_LARGE, _FEW_LARGE * max(s.n_atoms for s in usable)))
    chosen = few(usable, np.random.default_rng([seed, 13]), MOST_STRUCTURES, most_atoms)
    try:
        rows = _distinct(_rows(chosen, LENGTH_SCALES[0], seed))
        zero = _zeros(rows, name, any(any(s.pbc) for s in usable))
        found = _judged(rows)
        again = None if found is None else _judged(_distinct(_rows(chosen, LENGTH_SCALES[1], seed)))
    except NumericalError:
        return []
    if found is None or again is None or (again.kind, again.meaning) != (found.kind, found.meaning):
        return zero
    if found.kind == "per atom":
        raise InputError(f"{name}: {per_atom(found.numbers)}")
    return [*zero, Finding(f"forces {found.kind}", name, found.text)]


def _rows(chosen: Sequence[StructureSet], length_scale: float, seed: int) -> _Rows:
    # compiled code, and needed here only
    from aenet_gpr_cli.gpr.local.design import energy_and_force_rows
    from aenet_gpr_cli.gpr.local.environments import blocks_of, environments
    from aenet_gpr_cli.gpr.local.local_fit import choose_design, species_of
    from aenet_gpr_cli.gpr.local.posterior import whiten

    count = max(FEWEST_INDUCING, MOST_INDUCING // len(species_of(chosen)))
    settings = Local(
        n_inducing=count,
        length_scale=length_scale,
        angular_cutoffs=(5.0,),
        resolve_species=False,
        virials=False,
    )
    design = choose_design(chosen, settings, seed, no_progress)
    names: list[str] = []
    energies, counts, energy_rows, force_rows, forces, asymmetric = [], [], [], [], [], []
    for s in chosen:
        for block in blocks_of(s, 300):
            own, pulls = energy_and_force_rows(
                environments(design.basis, design.scale, block, True), design.inducing
            )
            assert block.energies is not None
            assert block.forces is not None
            energy_rows.append(own)
            energies.append(block.energies)
            names += list(block.names) or [str(len(names) + k) for k in range(len(block))]
            counts += [[s.species.count(symbol) for symbol in design.basis.species]] * len(block)
            pulls = pulls.reshape(len(block), s.n_atoms, 3, -1)
            for each, known in zip(pulls, block.forces, strict=True):
                acted = known.any(axis=1)
                force_rows.append(each[acted].reshape(-1, each.shape[-1]))
                forces.append(known[acted].ravel())
                asymmetric.append(float(np.sqrt(np.mean(each**2))) > _ASYMMETRIC)
    sizes = np.array([np.sqrt(np.mean(f**2)) if len(f) else 0.0 for f in forces])
    return _Rows(
        names,
        np.concatenate(energies),
        sizes,
        np.array(counts, float),
        np.concatenate(energy_rows),
        force_rows,
        forces,
        np.array(asymmetric),
        whiten(design.inducing.covariance()),
    )


def _select(rows: _Rows, index: IntArray) -> _Rows:
    return _Rows(
        [rows.names[i] for i in index],
        rows.energies[index],
        rows.sizes[index],
        rows.counts[index],
        rows.energy_rows[index],
        [rows.force_rows[i] for i in index],
        [rows.forces[i] for i in index],
        rows.asymmetric[index],
        rows.whitening,
    )


def _distinct(rows: _Rows) -> _Rows:
    """Return the rows of structures that are no copies of an earlier one."""
    from scipy.spatial.distance import cdist  # heavy, and needed here only

    points = np.hstack([rows.energy_rows, rows.counts])
    same = np.tril(cdist(points, points) < _SAME * np.linalg.norm(points, axis=1), -1)
    return _select(rows, np.flatnonzero(~same.any(axis=1)))


def _zeros(rows: _Rows, name: str, periodic: bool) -> list[Finding]:
    """Tell forces that are exactly zero where symmetry does not make them so."""
    many = int(rows.asymmetric.sum())
    zero = [rows.names[i] for i in np.flatnonzero(rows.asymmetric & (rows.sizes == 0.0))]
    if not zero:
        return []
    if not rows.sizes.any() and len(zero) >= _FEWEST_ZERO and np.ptp(rows.energies) > 0.0:
        raise InputError(
            f"{name}: all forces are exactly zero, though in {len(zero)} of {len(rows.names)} structures "
            "no symmetry makes them so: they are missing; expected forces in eV/Å. Leave their column out "
            f"and set require_forces: false, or {_AS_THEY_ARE}"
        )
    if not periodic or not rows.sizes.any():  # of isolated structures `plausibility` tells
        return []
    text = (
        f"forces of {len(zero)} of {many} structures that were looked at are exactly zero though no symmetry "
        f"makes them so, such as {some(zero)}; if they were not calculated, leave these structures out"
    )
    return [Finding("forces zero", name, text)]


def _judged(rows: _Rows) -> _Verdict | None:
    """Compare energies with those that the forces say, of all structures, then of parts of them."""
    whole, unexplained = _slope(rows)
    if unexplained > _UNEXPLAINED:
        text = (
            "forces are hardly those of their structures: a quick fit explains "
            f"{100 * (1 - unexplained):.0f} % of them, expected above {100 * (1 - _UNEXPLAINED):.0f} % "
            f"({len(rows.names)} structures); possible reasons: forces of other structures, or of atoms in "
            "another order. To change: write positions and forces of one calculation into each frame"
        )
        return _Verdict("unexplained", "", "", text)
    if whole is not None and whole.is_one:
        return None
    sizes = rows.counts.sum(axis=1)
    alike = np.ptp(sizes) == 0.0
    if not alike:
        total, _ = _slope(rows, sizes)
        if total is not None and total.is_one and total.is_plain:
            return _Verdict("per atom", "", f"times the number of atoms: {total.numbers}", "")
    found = None if whole is None else whole.what_is_wrong(int(sizes[0]) if alike else None)
    if whole is not None and found is not None:
        verdict, meaning = found
        text = f"{_DO_NOT_FIT}: {meaning} ({whole.numbers}). {_MEND}"
        return _Verdict(verdict, meaning, whole.numbers, text)
    return _of_parts(rows)


def _of_parts(rows: _Rows) -> _Verdict | None:
    """Look at structures of one file, or with forces of one size, alone: units may differ between them."""
    files = np.unique([n.split("#")[0] for n in rows.names], return_inverse=True)[1].ravel()
    for labels in (files, _by_size(rows.sizes)):
        if labels.max() == 0:
            continue
        parts = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
        slopes = [(p, _slope(_select(rows, p))[0]) for p in parts if len(p) >= _FEWEST]
        known = [(part, slope) for part, slope in slopes if slope is not None]
        tolerance = SLOPE_TOLERANCE if any(slope.is_one for _, slope in known) else TOLERANCE
        for part, slope in known:
            if (found := slope.what_is_wrong(None, tolerance)) is not None:
                such = some([rows.names[i] for i in part])
                what = f"{_DO_NOT_FIT} in a part of the structures, such as {such}: {found[1]}"
                return _Verdict("part", found[1], slope.numbers, f"{what} ({slope.numbers}). {_MEND}")
    return None


def _by_size(sizes: FloatArray) -> IntArray:
    """Return 0 for structures with small forces and 1 for those with large ones; 0 for all without a gap."""
    order = np.argsort(sizes)
    steps = np.diff(np.log(np.maximum(sizes[order], _SMALLEST)))[_FEWEST - 1 : 1 - _FEWEST]
    labels = np.zeros(len(sizes), np.int64)
    if len(steps) and steps.max() > np.log(_GAP):
        labels[order[int(steps.argmax()) + _FEWEST :]] = 1
    return labels


def _slope(rows: _Rows, factors: FloatArray | float = 1.0) -> tuple[EnergySlope | None, float]:
    """Return the slope of the energies, and the share of the squares of the forces that is not explained.

    Parameters
    ----------
    factors : ndarray of shape (n,) or float
        Of the energies.
    """
    from aenet_gpr_cli.gpr.local.accumulation import Sums
    from aenet_gpr_cli.gpr.local.posterior import solve

    every = np.concatenate(rows.forces)
    size = float(np.sqrt(np.mean(every**2))) if len(every) else 0.0
    if len(every) < _FEWEST_ROWS or size == 0.0:
        return None, 0.0
    triangle = Sums(rows.energy_rows.shape[1]).triangle
    for own, forces in zip(rows.force_rows, rows.forces, strict=True):
        triangle.add(own, forces / size)
    known = solve(triangle.factor, triangle.n_rows, 0.0, rows.whitening)
    unexplained = known.noise_scale**2
    if unexplained > _UNEXPLAINED:
        plain = len(every) > rows.energy_rows.shape[1] and size > _SMALL_FORCE
        return None, unexplained if plain else 0.0
    spread = size * (rows.energy_rows @ known.directions) * np.sqrt(known.variances)
    model = size * (rows.energy_rows @ known.coefficients)
    return energy_slope(rows.energies * factors, model, spread @ spread.T, rows.counts), unexplained
