"""Checks of labels: are energies and forces there, and do the forces fit the energies?

Owns findings and their wording. Whether a finding warns or stops is left to the stage.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import Structure, StructureSet, formula
from aenet_gpr_cli.subsystems.geometry import torques
from aenet_gpr_cli.subsystems.label_checks.force_units import SLOPE_TOLERANCE, what_is_wrong
from aenet_gpr_cli.subsystems.label_checks.pair_slope import PairSlope, near_pairs, pair_slope

_MAX_STRUCTURES = 2000  # enough to decide; keeps the table of distances below 32 MB
_SMALL_CHANGE = 1e-6  # eV
_LONG = 1.5  # Å, of one atom: over which no rule integrates forces
_SPREAD = 0.25  # of single slopes; a wrong unit or sign shows in all of them alike
_MIN_CORRELATION = 0.9
_OK_CORRELATION = 0.95  # two units side by side have 0.93
_NET = 0.05  # of the forces themselves; what a grid or a loose convergence leaves is far below
_SMALL_FORCE = 0.01  # eV/Å: near a minimum nothing can be said
_ENERGY_STANDS = "energy=... in the header of extended XYZ, '# total energy = ... eV' in XSF"
_FORCES_STAND = "column forces of extended XYZ, fx fy fz after x y z in XSF, eV/Å"
# of a structure that does not say it
_NEUTRAL = {"charge": (0.0,), "multiplicity": (1.0,), "spin": (0.0,)}
_MOMENT_STEP = 0.5  # μB, a gap between sorted moments; a flipped electron changes them by 2
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class ForceCheck:
    """How forces, integrated between near neighbours, compare with differences of the energy.

    Attributes
    ----------
    slope : float, dimensionless
        Energy difference per integrated force; 1 if signs and units agree, NaN with too few.
    correlation : float, dimensionless
    verdict : str
        ``ok``, ``sign``, ``unit``, ``inconsistent``, ``per atom`` or ``undecided``.
    message : str
        One sentence for the user.
    """

    slope: float
    correlation: float
    n_pairs: int
    verdict: str
    message: str

    @property
    def numbers(self) -> str:
        """The slope in words."""
        return f"slope {self.slope:.3g}, correlation {self.correlation:.3f}, {self.n_pairs} pairs"

    @property
    def is_roughly_one(self) -> bool:
        """Whether the forces say something right of the energies, be it not of all."""
        return self.correlation >= _MIN_CORRELATION and abs(self.slope - 1.0) < SLOPE_TOLERANCE

    @property
    def is_warning(self) -> bool:
        """Whether the labels are probably wrong."""
        return self.verdict not in ("ok", "undecided")


def require_labels(structures: Sequence[Structure], energies: bool, forces: bool) -> None:
    """Refuse structures without the labels that a stage needs.

    Parameters
    ----------
    energies : bool
        Whether every structure must have an energy.
    forces : bool
        Whether every structure must have forces.

    Raises
    ------
    InputError
        With the number of structures that lack each label and the first names.
    """
    missing = []
    for needed, label, where, names in (
        (energies, "energy", _ENERGY_STANDS, [s.name for s in structures if s.energy is None]),
        (forces, "forces", _FORCES_STAND, [s.name for s in structures if s.forces is None]),
    ):
        if needed and names:
            some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            missing.append(f"{len(names)} of {len(structures)} without {label} ({where}): {some}")
    if missing:
        wanted = " and ".join(label for label, on in (("energy", energies), ("forces", forces)) if on)
        raise InputError(
            f"expected {wanted} for every structure, got {'; '.join(missing)}. POSCAR and CIF have neither, "
            "`label` calculates them. Other names of the files are given to split as energy_key and "
            "forces_key"
        )


def require_one_state(structures: Sequence[Structure]) -> list[str]:
    """Refuse structures of one formula with different charge or spin: nothing in a model tells them apart.

    Returns
    -------
    list of str
        What may be amiss, as sentences for the user: neutral structures beside others that do not say it.

    Raises
    ------
    InputError
        Naming the key, its values and how many structures have each; also where some are charged (or have a
        spin) and others do not say.
    """
    counts: dict[tuple[tuple[str, ...], str], Counter[float | None]] = defaultdict(Counter)
    keys = sorted({key for s in structures for key, _ in s.state})
    for s in structures:
        state = dict(s.state)
        for key in keys:
            value = state.get(key)
            counts[tuple(sorted(s.species)), key][None if value is None else round(value, 4)] += 1
    unsaid: dict[str, int] = defaultdict(int)
    for (species, key), values in counts.items():
        given = {value: n for value, n in values.items() if value is not None}
        silent = values.get(None, 0)
        if len(given) > 1 or (silent and any(value not in _NEUTRAL[key] for value in given)):
            said = [f"{key}={value:g} in {n}" for value, n in sorted(given.items())[:_SHOWN]]
            said += [f"{len(given) - _SHOWN} other values"] if len(given) > _SHOWN else []
            said += [f"none given in {silent}"] if silent else []
            raise InputError(
                f"expected one {key} for all structures of {formula(species)}, got {', '.join(said)}: their "
                "energies lie on different surfaces, which no model here tells apart; make a data set of each"
                + (f", or write {key}=... into every frame" if silent else "")
            )
        if given and silent:
            unsaid[key] += silent
    return [
        f"{n} structures do not say their {key}, others of the same formula are {_NEUTRAL[key][0]:g}; taken "
        "as the same"
        for key, n in unsaid.items()
    ]


def unlike_moments(structures: Sequence[Structure]) -> list[str]:
    """Return sentences about formulas with clearly different magnetic moments, whatever their sign."""
    by_formula: dict[tuple[str, ...], list[Structure]] = defaultdict(list)
    for s in structures:
        if s.magnetic_moment is not None:
            by_formula[tuple(sorted(s.species))].append(s)
    found = []
    for species, members in by_formula.items():
        moments = np.sort(np.abs([float(s.magnetic_moment or 0.0) for s in members]))
        steps = np.flatnonzero(np.diff(moments) > _MOMENT_STEP)
        if len(steps):
            parts = np.split(moments, steps + 1)
            said = ", ".join(f"{part.mean():.2g} μB in {len(part)}" for part in parts[:_SHOWN])
            said += f" and {len(parts) - _SHOWN} others" if len(parts) > _SHOWN else ""
            found.append(
                f"{formula(species)}: total magnetic moments differ, {said}: probably different spin states, "
                "whose energies lie on different surfaces"
            )
    return found


def missing_forces(structures: StructureSet) -> str | None:
    """Return what is wrong where every force is exactly zero though the energies differ, else None."""
    forces, energies = structures.forces, structures.energies
    if forces is None or energies is None or structures.n_atoms == 1 or forces.any():
        return None
    if (spread := float(np.ptp(energies))) < _SMALL_CHANGE:
        return None
    return f"all forces are exactly zero, while the energies differ by {spread:.3g} eV"


def missing_energies(structures: StructureSet) -> str | None:
    """Return what is wrong where every energy is exactly zero though there are forces, else None."""
    forces, energies = structures.forces, structures.energies
    if forces is None or energies is None or energies.any() or len(structures) < 2:
        return None
    if (largest := float(np.abs(forces).max())) < _SMALL_FORCE:
        return None
    return f"all energies are exactly zero, while there are forces up to {largest:.3g} eV/Å"


def check_net_force(structures: StructureSet) -> str | None:
    """Compare ΣF and Σ r×F of isolated structures with the forces: zero where nothing acts from outside.

    Returns
    -------
    str or None
        One sentence for the user where the median over the structures is not small.
    """
    if structures.forces is None or structures.is_periodic or structures.n_atoms < 2 or not len(structures):
        return None
    forces = structures.forces
    size = np.linalg.norm(forces, axis=2).sum(axis=1)
    if float(np.median(size)) < _SMALL_FORCE * structures.n_atoms:
        return None
    net = float(np.median(np.linalg.norm(forces.sum(axis=1), axis=1) / np.maximum(size, _SMALL_FORCE)))
    torque = float(np.median(torques(structures.positions, forces)))
    if max(net, torque) < _NET:
        return None
    if net < _NET:
        what = "torque Σ r×F"
        why = (
            "forces and positions in different axes (Gaussian's standard orientation), forces of other "
            "structures or of atoms in another order"
        )
    else:
        what, why = "net force ΣF", "forces of fixed atoms set to zero, or of another order of the atoms"
    return (
        f"forces of an isolated structure have a {what} of {100 * max(net, torque):.0f} % of the forces; "
        f"expected none; possible reasons: {why}, or a field from outside"
    )


def check_forces(structures: StructureSet) -> ForceCheck:
    """Compare forces, integrated between near neighbours of the set, with energy differences.

    E_j - E_i ≈ -(F_i + F_j)/2 · (R_j - R_i), the trapezoidal rule, exact to second order; the slope and
    the correlation are those of a line through the origin.

    Parameters
    ----------
    structures : StructureSet
        With energies (eV) and forces (eV/Å), unwrapped across periodic boundaries.

    Returns
    -------
    ForceCheck
        ``undecided`` where there are no labels, pairs of fewer than five structures, or the neighbours are
        too far apart for the rule to hold: where the forces at both ends differ too much to say.

    Notes
    -----
    Looks at no more than 2,000 structures, evenly spaced in the set.
    """
    if structures.energies is None or structures.forces is None:
        return ForceCheck(
            np.nan, np.nan, 0, "undecided", "forces not checked: energies or forces are missing"
        )
    n = len(structures)
    index = np.unique(np.linspace(0, n - 1, min(n, _MAX_STRUCTURES)).astype(int)) if n else np.array([], int)
    one, other = near_pairs(structures.positions[index].reshape(len(index), 3 * structures.n_atoms))
    i, j = index[one], index[other]
    step = structures.positions[j] - structures.positions[i]
    short = np.linalg.norm(step, axis=2).max(axis=1, initial=0.0) < _LONG
    i, j, step = i[short], j[short], step[short]
    work = -0.5 * np.einsum("nax,nax->n", structures.forces[i] + structures.forces[j], step)
    bend = 0.5 * np.abs(np.einsum("nax,nax->n", structures.forces[i] - structures.forces[j], step))
    slope = pair_slope(work, structures.energies[j] - structures.energies[i], bend, i, j)
    return _judge(slope, len(work), structures.n_atoms)


def _judge(slope: PairSlope | None, n_pairs: int, n_atoms: int) -> ForceCheck:
    if slope is None or not slope.is_enough:
        message = (
            f"forces not checked: {n_pairs} pairs of near structures are too few (others are too far apart), "
            "or show no change of energy"
        )
        return ForceCheck(np.nan, np.nan, n_pairs, "undecided", message)

    def check(verdict: str, message: str) -> ForceCheck:
        return ForceCheck(slope.value, slope.correlation, n_pairs, verdict, f"{message} ({slope.numbers})")

    if abs(slope.correlation) < _MIN_CORRELATION:
        return check(
            "undecided", "forces not checked: the structures are too far apart to integrate the forces"
        )
    if abs(slope.value - 1.0) < SLOPE_TOLERANCE:
        if slope.correlation < _OK_CORRELATION:
            return check(
                "undecided", "forces not checked: not all fit the energies, or structures are far apart"
            )
        return check("ok", "forces agree with the energies")
    if slope.spread > _SPREAD:
        return check("undecided", "forces not checked: they change too much between near structures")
    wrong = what_is_wrong(slope.middle, n_atoms, resolution=slope.resolution)
    if wrong is None:
        return check("ok", "forces agree with the energies")
    if not slope.is_not_one:
        return check("undecided", "forces not checked: near structures are too few or too far apart")
    verdict, meaning = wrong
    return check(verdict, f"forces do not fit the energies: {meaning}")
