"""Random and directed displacements of reference structures: the geometries of the synthetic data.

Owns where the copies are placed and how they are numbered and named. Leaves their energies to `taylor` and
`surrogate`, and their rejection to `gates`. A copy depends only on the seed, δ, its number and its parent's
name and geometry, never on the other structures, so that order, sharding and batches change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.augmentation.random_streams import standard_normal
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import AugmentedSet, FloatArray, IntArray, StructureSet

Mode = Literal["gaussian", "along_bond"]
Displacement = float | Sequence[float] | FloatArray


def displace(
    structures: StructureSet,
    displacement: Displacement,
    n_copies: int,
    seed: int,
    mode: Mode = "gaussian",
    fixed_atoms: Sequence[int] | None = None,
    first_copy: int = 0,
) -> tuple[FloatArray, IntArray, IntArray]:
    """Generate M displaced copies of every reference structure.

    ``gaussian``: R' = R + δ g with g ~ N(0, 1) for every Cartesian component (Methods of the paper, reference
    data). The motion of the centre of mass is removed when no atom is fixed, because the energy of an
    isolated and of a fully periodic structure does not depend on it. With fixed atoms it stays: the free
    atoms then move against the fixed ones, which the energy does feel.

    ``along_bond`` (isolated dimers): the bond length changes by +δ and -δ for M = 2, as in Figure 2 of the
    paper; for an even M by ±δ·2k/M, k = 1 … M/2, equally spaced up to δ. It uses no random numbers.

    Parameters
    ----------
    structures : StructureSet
        Reference structures with unique names (the names key the random streams).
    displacement : float, or one per atom, Å
        δ, the standard deviation per component, or (one number) the largest change of the bond length.
    n_copies : int
        Augmentation multiple M.
    seed : int
        Seed of all copies of a run.
    mode : {"gaussian", "along_bond"}
    fixed_atoms : sequence of int, optional
        Indices of atoms that keep their reference position exactly.
    first_copy : int
        Number of the first copy to make (gaussian only): copies 100 to 199 are the same, made alone or not.

    Returns
    -------
    positions : ndarray of shape (n_structures * n_copies, n_atoms, 3), Å
        All copies of the first structure, then all of the second, and so on.
    parents : ndarray of int, shape (n_structures * n_copies,)
        Index of the reference structure of each copy.
    copies : ndarray of int, shape (n_structures * n_copies,)
        Number of the copy within its parent, from ``first_copy``.

    Raises
    ------
    InputError
        If δ or M is not positive, names are missing or repeated, an index of a fixed atom does not exist, or
        ``along_bond`` meets anything but isolated dimers and an even M.

    Notes
    -----
    Copy c of a structure reads block c of a counter-based generator (Philox) keyed by SHA-256 of seed and
    name; uniform numbers become normal ones through the inverse of the distribution function, one each, so a
    block has a fixed length. 10⁶ copies of 20 atoms take 5 s on one core, and twice the 0.5 GB of the result
    while it is made.
    """
    delta = np.broadcast_to(np.asarray(displacement, float).ravel(), structures.n_atoms)
    if not (np.isfinite(delta).all() and (delta > 0).all()) or n_copies < 1:
        raise InputError(
            f"displacement (δ) and n_copies (M): expected positive numbers, got {displacement} and {n_copies}"
        )
    free = free_atoms(structures, fixed_atoms)
    if mode == "along_bond":
        shifts = _along_bond(structures, float(delta[0]), n_copies, free)
    elif mode == "gaussian":
        shifts = random_shifts(structures, n_copies, seed, free, first_copy, delta)
    else:
        raise InputError(f"mode: expected 'gaussian' or 'along_bond', got {mode!r}")
    positions = structures.positions[:, None] + shifts
    n, atoms = len(structures), structures.n_atoms
    parents = np.repeat(np.arange(n), n_copies)
    copies = np.tile(np.arange(first_copy, first_copy + n_copies), n)
    return positions.reshape(n * n_copies, atoms, 3), parents, copies


def displacement_per_atom(
    displacement: float, by_species: Mapping[str, float], species: Sequence[str]
) -> FloatArray:
    """Return δ of each atom.

    Parameters
    ----------
    displacement : float, Å
        δ of species that have none of their own.
    by_species : mapping of str to float, Å
    species : sequence of str

    Returns
    -------
    ndarray of shape (n_atoms,), Å
    """
    return np.array([by_species.get(symbol, displacement) for symbol in species], float)


def as_augmented_set(
    structures: StructureSet,
    positions: FloatArray,
    parents: IntArray,
    copies: IntArray,
    energies: FloatArray,
    sigma: FloatArray | None,
    label: str,
    domain_distance: FloatArray | None = None,
) -> AugmentedSet:
    """Join displaced geometries and their synthetic energies, with the origin of every copy.

    Parameters
    ----------
    structures : StructureSet
        Reference structures.
    positions : ndarray of shape (n_copies_in_total, n_atoms, 3), Å
    parents, copies : ndarray of int, shape (n_copies_in_total,)
        As `displace` returns them.
    energies : ndarray of shape (n_copies_in_total,), eV
    sigma : ndarray of shape (n_copies_in_total,), eV, or None
        Standard deviation of the energies.
    label : str
        ``gpr`` or ``taylor``.
    domain_distance : ndarray of shape (n_copies_in_total,), dimensionless, or None
        Distance to the training data.

    Returns
    -------
    AugmentedSet
        Copy 3 of structure ``a.xsf`` is named ``a.xsf#3``.
    """
    _check_names(structures)
    parent_names = tuple(structures.names[i] for i in parents)
    children = replace(
        structures,
        positions=positions,
        cells=None if structures.cells is None else structures.cells[parents],
        energies=energies,
        forces=None,
        names=tuple(f"{name}#{copy}" for name, copy in zip(parent_names, copies, strict=True)),
        atom_orders=None if structures.atom_orders is None else structures.atom_orders[parents],
    )
    return AugmentedSet(children, parent_names, copies, sigma, label, domain_distance)


def random_shifts(
    structures: StructureSet,
    n_copies: int,
    seed: int,
    free: NDArray[np.bool_],
    first_copy: int = 0,
    scale: float | FloatArray = 1.0,
) -> FloatArray:
    """Return normally distributed displacements without motion of the centre of mass.

    Parameters
    ----------
    structures : StructureSet
    n_copies : int
    seed : int
    free : ndarray of bool, shape (n_atoms,)
        Atoms that move; if some do not, the centre of mass moves with the others.
    first_copy : int
    scale : float, or ndarray of shape (n_atoms,), Å
        Standard deviation per component.

    Returns
    -------
    ndarray of shape (n_structures, n_copies, n_atoms, 3), Å
    """
    _check_names(structures)
    shifts = np.empty((len(structures), n_copies, structures.n_atoms, 3))
    for shift, name in zip(shifts, structures.names, strict=True):
        shift[...] = standard_normal(seed, name, n_copies, 3 * structures.n_atoms, first_copy).reshape(
            shift.shape
        )
    shifts *= np.reshape(scale, (-1, 1))
    if free.all():
        masses = atomic_masses(structures.species)
        centre = np.einsum("a,nmax->nmx", masses / masses.sum(), shifts)  # structure, copy, atom, x
        shifts -= centre[:, :, None]
    shifts[:, :, ~free] = 0.0
    return shifts


def _along_bond(
    structures: StructureSet, displacement: float, n_copies: int, free: NDArray[np.bool_]
) -> FloatArray:
    """Return displacements of shape (n_structures, n_copies, 2, 3), Å, that stretch and compress the bond."""
    if structures.n_atoms != 2 or structures.is_periodic or n_copies % 2 or not free.any():
        raise InputError(
            "mode along_bond: expected isolated dimers, an even n_copies and a free atom, got "
            f"{structures.n_atoms} atoms, pbc {structures.pbc}, n_copies {n_copies}, {int(free.sum())} free"
        )
    bond = structures.positions[:, 1] - structures.positions[:, 0]
    length = np.linalg.norm(bond, axis=1, keepdims=True)
    steps = np.arange(1, n_copies // 2 + 1) * (2.0 * displacement / n_copies)
    if displacement >= length.min():
        raise InputError(
            f"displacement (δ): expected less than the shortest bond, {length.min():.3f} Å, "
            f"got {displacement} Å"
        )
    change = np.stack([steps, -steps], axis=1).ravel()  # +, -, +, - …
    masses = atomic_masses(structures.species)
    share = np.array([-masses[1], masses[0]]) / masses.sum()  # the centre of mass stays
    if not free.all():
        share = np.where(free, [-1.0, 1.0], 0.0)
    return np.einsum("m,a,nx->nmax", change, share, bond / length)  # copy, atom, structure, x


def atomic_masses(species: Sequence[str]) -> FloatArray:
    """Return atomic masses.

    Parameters
    ----------
    species : sequence of str

    Returns
    -------
    ndarray of shape (n_atoms,), u
    """
    from ase.data import atomic_masses as masses  # heavy, and needed here only
    from ase.data import atomic_numbers

    return np.array([masses[atomic_numbers[symbol]] for symbol in species])


def free_atoms(structures: StructureSet, fixed_atoms: Sequence[int] | None) -> NDArray[np.bool_]:
    """Return which atoms move.

    Parameters
    ----------
    structures : StructureSet
    fixed_atoms : sequence of int or None

    Returns
    -------
    ndarray of bool, shape (n_atoms,)

    Raises
    ------
    InputError
        If there is no such atom.
    """
    free = np.ones(structures.n_atoms, bool)
    for index in fixed_atoms or ():
        if not 0 <= index < structures.n_atoms:
            raise InputError(f"fixed_atoms: expected indices from 0 to {structures.n_atoms - 1}, got {index}")
        free[index] = False
    return free


def _check_names(structures: StructureSet) -> None:
    if len(set(structures.names)) != len(structures):
        raise InputError(
            f"names: expected {len(structures)} unique structure names, got {len(set(structures.names))}; "
            "copies are numbered and seeded by the name of their parent"
        )
