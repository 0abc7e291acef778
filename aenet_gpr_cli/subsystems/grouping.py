"""Grouping of structures into subsets of the same atoms, with stable and readable names.

Owns what makes two structures members of the same subset. Dividing a subset into training and test
structures is left to `sampling`, its geometry to `geometry`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import IntArray, Structure, StructureSet
from aenet_gpr_cli.subsystems.ordering import by_species, in_order_of

# Cells of one calculation differ by rounding in the output (1e-4 Å); a real change of volume is larger.
CELL_TOLERANCE = 1e-3
# A full process needs as many structures of one cell to be worth it; a cell that changes all the time, as
# under constant pressure, has many values.
FEWEST_PER_CELL, MOST_CELLS = 10, 5

_KIND = ("", "-wire", "-slab", "-cell")  # by the number of periodic directions


def group(
    structures: Sequence[Structure],
    cell_tolerance: float = CELL_TOLERANCE,
    templates: Sequence[Structure] = (),
    cells_may_vary: bool = False,
    match_atoms: bool = True,
) -> dict[str, list[Structure]]:
    """Group structures into the paper's homogeneous sub-systems.

    Members of a subset have the same species, the same periodicity and, where periodic, the same cell. Their
    atoms are put into one order: that of the first member, in natural order of the names (see
    `ordering.in_order_of`). The name is the formula in Hill order (C, H, then alphabetical). Where a
    formula occurs with different periodicities, ``-wire``, ``-slab`` or ``-cell`` is added to the periodic
    ones; where it still repeats (another cell), ``-2``, ``-3``, ...

    Parameters
    ----------
    structures : sequence of Structure
        With unique names.
    cell_tolerance : float, Å
        Cells of a subset lie within this of one of them, in every component: the spread is bounded, also
        where the cell drifts in small steps (constant pressure).
    templates : sequence of Structure
        Where one has the atoms, periodicity and cell of a subset, it gives the order of the atoms.
    cells_may_vary : bool
        Put structures that differ by their cell only into one subset, after those of a few fixed cells with
        at least ten structures each. Its species are put into one order, its atoms stay as they are.
    match_atoms : bool
        Match atoms by their surroundings; else only their species are put into one order, for models that do
        not tell equal atoms apart.

    Returns
    -------
    dict of str to list of Structure
        Sorted by subset name; within a subset in natural order of the names. The result does not
        depend on the order of `structures`.

    Raises
    ------
    InputError
        If there is no structure, or two have the same name.
    """
    if not structures:
        raise InputError("expected at least one structure, got none")
    repeated = [name for name, times in Counter(s.name for s in structures).items() if times > 1]
    if repeated:
        raise InputError(f"expected a unique name for each structure, got '{repeated[0]}' more than once")
    by_formula: dict[str, list[list[Structure]]] = defaultdict(list)
    for members in _same_atoms(structures):
        parts = _same_cell(members, cell_tolerance)
        fixed, varying = _by_use(parts, cell_tolerance) if cells_may_vary else (parts, [])
        for part in fixed:
            fitting = [t for t in templates if _same_kind(t, part[0], cell_tolerance)]
            reference = fitting[0] if fitting else part[0]
            ordered = in_order_of if match_atoms else by_species
            by_formula[hill_formula(reference.species)].append([ordered(s, reference) for s in part])
        if varying:
            by_formula[hill_formula(varying[0].species)].append([by_species(s, varying[0]) for s in varying])
    groups: dict[str, list[Structure]] = {}
    for formula, parts in by_formula.items():
        groups.update(_named(formula, parts))
    return {name: groups[name] for name in sorted(groups, key=natural_key)}


def varies(structures: StructureSet) -> bool:
    """Whether the cell differs between structures, by more than members of a subset of one cell."""
    return structures.cell_spread > 2.0 * CELL_TOLERANCE


def hill_formula(species: Sequence[str]) -> str:
    """Return the chemical formula in Hill order: C, H, then alphabetical; all alphabetical without C.

    Examples
    --------
    >>> hill_formula(("O", "Li", "H", "C", "H"))
    'CH2LiO'
    """
    counts = Counter(species)
    first = [symbol for symbol in ("C", "H") if symbol in counts] if "C" in counts else []
    order = first + sorted(set(counts) - set(first))
    return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in order)


def natural_key(name: str) -> tuple[tuple[int | str, ...], str]:
    """Return a sort key that counts numbers in names.

    Examples
    --------
    >>> sorted(["file_10", "file_2"], key=natural_key)
    ['file_2', 'file_10']
    """
    # re.split with one group alternates text and digits, so equal positions always compare like with like.
    parts = re.split(r"([0-9]{1,18})", name)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), name


def _same_atoms(structures: Sequence[Structure]) -> list[list[Structure]]:
    """Return the structures by composition and periodicity, both parts of the key in a fixed order."""
    found: dict[tuple[tuple[bool, ...], tuple[str, ...]], list[Structure]] = defaultdict(list)
    for structure in sorted(structures, key=lambda s: natural_key(s.name)):
        found[structure.pbc, tuple(sorted(structure.species))].append(structure)
    return [found[key] for key in sorted(found)]


def _same_kind(template: Structure, structure: Structure, tolerance: float) -> bool:
    if template.pbc != structure.pbc or sorted(template.species) != sorted(structure.species):
        return False
    if template.cell is None or structure.cell is None:
        return True
    return bool((np.abs(template.cell - structure.cell)[list(structure.pbc)] <= tolerance).all())


def _same_cell(members: list[Structure], tolerance: float) -> list[list[Structure]]:
    """Return members with the same species by cell, sorted by cell."""
    if not any(members[0].pbc):
        return [members]
    cells = np.array([s.cell for s in members], float).reshape(len(members), 9)
    # The vector of a direction that is not periodic has no meaning.
    cells = cells * np.repeat(members[0].pbc, 3)
    labels = _by_leader(cells, tolerance, _clusters(cells, tolerance))
    parts = [[members[i] for i in np.flatnonzero(labels == label)] for label in range(labels.max() + 1)]
    smallest = [min(map(tuple, cells[labels == label].tolist())) for label in range(len(parts))]
    return [part for _, part in sorted(zip(smallest, parts, strict=True), key=lambda pair: pair[0])]


def _by_use(parts: list[list[Structure]], tolerance: float) -> tuple[list[list[Structure]], list[Structure]]:
    """Return the parts whose cell is worth a subset of its own, and all other structures in natural order."""
    if len(parts) == 1:
        return parts, []
    apart = _apart(parts, tolerance)
    own = [n for n, part in enumerate(parts) if len(part) >= FEWEST_PER_CELL and apart[n]]
    own = own if len(own) <= MOST_CELLS else []
    others = [n for n in range(len(parts)) if n not in own]
    if len(others) == 1 and apart[others[0]]:
        return parts, []  # one more cell, though with few structures
    varying = (structure for n in others for structure in parts[n])
    return [parts[n] for n in own], sorted(varying, key=lambda s: natural_key(s.name))


def _apart(parts: list[list[Structure]], tolerance: float) -> list[bool]:
    """Return for each part whether no other has a cell so near that both are one that drifts."""
    periodic = list(parts[0][0].pbc)
    cells = [np.array([s.cell for s in part], float)[:, periodic].reshape(len(part), -1) for part in parts]
    low, high = np.array([c.min(axis=0) for c in cells]), np.array([c.max(axis=0) for c in cells])
    reach = 2.0 * tolerance
    near = [
        ((low - reach <= h) & (high + reach >= b)).all(axis=1).sum() for b, h in zip(low, high, strict=True)
    ]
    return [int(count) == 1 for count in near]  # itself


def _clusters(points: np.ndarray, tolerance: float) -> IntArray:
    """Label points linked by steps of at most `tolerance` in every component."""
    unique, inverse = np.unique(points, axis=0, return_inverse=True)
    if len(unique) == 1:
        return np.zeros(len(points), np.int64)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    pairs = KDTree(unique).query_pairs(tolerance, p=np.inf, output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(unique), len(unique)))
    _, labels = connected_components(links, directed=False)
    return np.asarray(labels[inverse.ravel()], np.int64)


def _by_leader(points: np.ndarray, tolerance: float, labels: IntArray) -> IntArray:
    """Divide linked points that spread further than the tolerance: each part lies around its first point."""
    divided, n_parts = np.zeros_like(labels), 0
    for label in range(labels.max() + 1):
        left = np.flatnonzero(labels == label)
        if (np.ptp(points[left], axis=0) <= tolerance).all():
            divided[left], n_parts = n_parts, n_parts + 1
            continue
        left = left[np.lexsort(points[left].T[::-1])]
        while len(left):
            near = (np.abs(points[left] - points[left[0]]) <= tolerance).all(axis=1)
            divided[left[near]], n_parts = n_parts, n_parts + 1
            left = left[~near]
    return divided


def _named(formula: str, parts: list[list[Structure]]) -> dict[str, list[Structure]]:
    kinds = {sum(part[0].pbc) for part in parts}
    named: dict[str, list[Structure]] = {}
    repeats: Counter[str] = Counter()
    for part in parts:
        base = formula + (_KIND[sum(part[0].pbc)] if len(kinds) > 1 else "")
        repeats[base] += 1
        named[base if repeats[base] == 1 else f"{base}-{repeats[base]}"] = part
    return named
