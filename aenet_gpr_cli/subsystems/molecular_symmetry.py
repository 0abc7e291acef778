"""Permutations of atoms that leave the energy unchanged and that the data can use, found from bonds.

Every exchange of equal atoms leaves the energy unchanged, but only few bring structures of a data set near
each other: those that map molecules onto themselves or onto equal ones, bond by bond. The likelihood chooses
among them. The kernel is symmetrised by `permutation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet

BOND_SCALE = 1.25  # of the sum of covalent radii: between bonds (below 1.1) and contacts (above 1.5)
MAX_ATOMS = 40  # of a molecule; larger bonded pieces are surfaces and crystals, not molecules
NON_METALS = frozenset({"H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Br", "I"})
MAX_MAPPINGS = 5000  # of one molecule onto another that are looked at
COMPARED = 50  # structures that mappings are judged on


@dataclass(frozen=True, slots=True)
class Symmetry:
    """Permutations to be accepted or refused together.

    Attributes
    ----------
    generators : tuple of tuple of int
        The same exchange in each of several equal molecules, or the exchange of two molecules.
    mismatch : float, Å
        Mean change of the distances within the molecules: small where the permutation maps their shape onto
        itself.
    """

    generators: tuple[tuple[int, ...], ...]
    mismatch: float


@dataclass(frozen=True, slots=True)
class GroupTrial:
    """One group that was tried.

    Attributes
    ----------
    permutations : tuple of tuple of int
        The group, identity first.
    score : float
        What the caller's function gave.
    accepted : bool
    """

    permutations: tuple[tuple[int, ...], ...]
    score: float
    accepted: bool


def find_symmetries(structures: StructureSet, max_mismatch: float) -> list[Symmetry]:
    """Return exchanges of equal molecules, then exchanges of atoms within molecules.

    Parameters
    ----------
    structures : StructureSet
        Molecules whole: unwrapped where periodic.
    max_mismatch : float, Å
        Mappings that change the distances within a molecule by more are left out.

    Returns
    -------
    list of Symmetry
        By rising mismatch within each kind. Empty where there is nothing to exchange.

    Notes
    -----
    Bonds are those of most of the structures, between non-metals. Single atoms and bonded pieces above
    ``MAX_ATOMS`` atoms are skipped.
    """
    every = max(1, len(structures) // COMPARED)
    positions = structures.positions[::every]
    distances = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=3)
    radii = np.array([covalent_radii[atomic_numbers[s]] for s in structures.species])
    limit = BOND_SCALE * (radii[:, None] + radii)
    bonded = np.mean(distances < limit, axis=0) > 0.5
    molecular = np.array([s in NON_METALS for s in structures.species])
    bonded &= molecular[:, None] & molecular  # a molecule on a metal stays a molecule
    kinds: list[list[IntArray]] = []  # molecules of one kind, their atoms in matching order
    exchanges: list[Symmetry] = []
    for molecule in _molecules(bonded):
        if not 2 <= len(molecule) <= MAX_ATOMS:
            continue
        for kind in kinds:
            maps = _mappings(structures.species, bonded, distances, kind[0], molecule)
            if maps:
                mismatch, image = maps[0]
                exchanges.append(Symmetry((_exchange(structures.n_atoms, kind[0], image),), mismatch))
                kind.append(image)
                break
        else:
            kinds.append([molecule])
    inner = [s for kind in kinds for s in _within(structures, bonded, distances, kind)]
    kept = [s for s in inner if s.mismatch <= max_mismatch]
    return exchanges + sorted(kept, key=lambda symmetry: symmetry.mismatch)


def choose_group(
    symmetries: Sequence[Symmetry],
    n_atoms: int,
    max_order: int,
    score: Callable[[tuple[tuple[int, ...], ...]], float],
) -> tuple[tuple[tuple[int, ...], ...], list[GroupTrial]]:
    """Add symmetries one by one where they raise the score.

    Parameters
    ----------
    max_order : int
        Largest group to try.
    score : callable
        For a group; for example the log marginal likelihood of the process with the symmetrised kernel.

    Returns
    -------
    permutations : tuple of tuple of int
        The group, identity first.
    table : list of GroupTrial
    """
    identity = tuple(range(n_atoms))
    group: tuple[tuple[int, ...], ...] = (identity,)
    generators: list[tuple[int, ...]] = []
    best = score(group)
    table = [GroupTrial(group, best, True)]
    for symmetry in symmetries:
        larger = generate_group([*generators, *symmetry.generators], n_atoms, max_order)
        if larger is None or len(larger) == len(group):
            continue
        value = score(larger)
        table.append(GroupTrial(larger, value, value > best))
        if value > best:
            best, group = value, larger
            generators += symmetry.generators
    return group, table


def generate_group(
    generators: Sequence[tuple[int, ...]], n_atoms: int, max_order: int
) -> tuple[tuple[int, ...], ...] | None:
    """Return all products of permutations, identity first.

    Returns
    -------
    tuple of tuple of int, or None if there are more than ``max_order``
    """
    identity = tuple(range(n_atoms))
    found, new = {identity: None}, [identity]  # a dict keeps the order
    while new:
        products = {tuple(g[i] for i in h) for g in new for h in generators}
        new = sorted(products - found.keys())
        found |= dict.fromkeys(new)
        if len(found) > max_order:
            return None
    return tuple(found)


def _molecules(bonded: NDArray[np.bool_]) -> list[IntArray]:
    """Connected pieces, atoms in rising order."""
    left, out = set(range(len(bonded))), []
    while left:
        piece, stack = set(), [min(left)]
        while stack:
            atom = stack.pop()
            if atom not in piece:
                piece.add(atom)
                stack += [int(j) for j in np.flatnonzero(bonded[atom]) if j != atom]
        left -= piece
        out.append(np.array(sorted(piece), dtype=np.int64))
    return out


def _mappings(
    species: Sequence[str],
    bonded: NDArray[np.bool_],
    distances: FloatArray,
    source: IntArray,
    target: IntArray,
) -> list[tuple[float, IntArray]]:
    """Mappings that keep species and bonds with their mismatch, the best first."""
    if len(source) != len(target):
        return []
    found = []
    for number, image in enumerate(_extend(species, bonded, source, target, [])):
        if number == MAX_MAPPINGS:
            break
        mapped = np.array(image, dtype=np.int64)
        change = distances[:, mapped[:, None], mapped] - distances[:, source[:, None], source]
        found.append((float(np.abs(change).mean()), mapped))
    return sorted(found, key=lambda item: item[0])


def _extend(
    species: Sequence[str],
    bonded: NDArray[np.bool_],
    source: IntArray,
    target: IntArray,
    image: list[int],
) -> Iterator[list[int]]:
    """Map the next atom in every way that keeps species and bonds to those already mapped."""
    if len(image) == len(source):
        yield image
        return
    atom = source[len(image)]
    for candidate in target:
        if candidate in image or species[candidate] != species[atom]:
            continue
        if (bonded[candidate, image] == bonded[atom, source[: len(image)]]).all():
            yield from _extend(species, bonded, source, target, [*image, int(candidate)])


def _exchange(n_atoms: int, first: IntArray, second: IntArray) -> tuple[int, ...]:
    permutation = np.arange(n_atoms)
    permutation[first], permutation[second] = second, first
    return tuple(int(i) for i in permutation)


def _within(
    structures: StructureSet, bonded: NDArray[np.bool_], distances: FloatArray, kind: list[IntArray]
) -> list[Symmetry]:
    """Exchanges within the first molecule of a kind, carried over to the others."""
    out = []
    for mismatch, image in _mappings(structures.species, bonded, distances, kind[0], kind[0]):
        order = np.searchsorted(kind[0], image)
        if (order == np.arange(len(order))).all():
            continue
        generators = []
        for molecule in kind:
            permutation = np.arange(structures.n_atoms)
            permutation[molecule] = molecule[order]
            generators.append(tuple(int(i) for i in permutation))
        out.append(Symmetry(tuple(generators), mismatch))
    return out
