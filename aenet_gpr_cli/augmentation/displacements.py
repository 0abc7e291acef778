"""Random and directed displacements of reference structures: the geometries of the synthetic data.

Owns where the copies are placed and how they are numbered and named. Leaves their energies to `copy_labels`,
their rejection to `gates`, and a δ of each parent to `adaptive`. A copy depends only on the seed, δ, its
number and its parent's name and geometry, never on the other structures, so that order, sharding and batches
change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import field, replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Lt
from numpy.typing import NDArray

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.settings import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, settings
from aenet_gpr_cli.structures import AugmentedSet, FloatArray, IntArray, StructureSet

PHILOX_WORDS = 4  # 64-bit numbers per step of the counter of the Philox generator


@settings
class Adaptive:
    """How far copies go where δ is left to the surrogate (mode: adaptive)."""

    target_sigma: PositiveFloat | None = None
    """largest σ that the displacement adds to a label, in eV; default: that of training structures left
    out"""
    tolerated_sigma: PositiveFloat = 0.001
    """σ that is of no concern and limits no copy, in eV (where target_sigma is not given)"""
    smallest: PositiveFloat = 0.003
    """smallest δ, in Å"""
    largest: PositiveFloat = 0.1
    """largest δ, in Å"""
    smallest_strain: PositiveFloat = 0.001
    """smallest strain, where strain is auto"""
    largest_strain: PositiveFloat = 0.03
    """largest strain, where strain is auto"""
    n_probes: PositiveInt = 4
    """directions per parent along which σ is looked at"""

    def __post_init__(self) -> None:
        if self.smallest > self.largest:
            raise ValueError(f"expected smallest <= largest, got {self.smallest} > {self.largest}")
        if self.smallest_strain > self.largest_strain:
            raise ValueError(
                "expected smallest_strain <= largest_strain, got "
                f"{self.smallest_strain} > {self.largest_strain}"
            )


@settings
class Placement:
    """Where the copies of a structure are placed."""

    displacement: PositiveFloat = 0.034
    """δ in Å: standard deviation per Cartesian component"""
    species_displacement: dict[str, PositiveFloat] = field(default_factory=dict)
    """another δ for the atoms of some species, in Å: {Li: 0.02, H: 0.04}"""
    mode: Literal["gaussian", "along_bond", "adaptive"] = "gaussian"
    """gaussian: all atoms by δ; along_bond: ±δ along the bond of a dimer; adaptive: each copy as far as σ
    and the neighbours allow"""
    adaptive: Adaptive = Adaptive()
    """settings of mode adaptive"""
    strain: Annotated[NonNegativeFloat, Lt(0.3)] | Literal["auto"] = 0.0
    """standard deviation of each component of a symmetric strain that copies get with δ (0.01 is 1 %): all
    six for crystals, in the plane for slabs, none for wires and molecules; labels come from the local
    process or the reference stress (taylor); auto: as far as σ allows, from the settings of adaptive"""
    fixed_atoms: tuple[NonNegativeInt, ...] = ()
    """atoms (from 0) that do not move"""


def displace(
    structures: StructureSet, placement: Placement, n_copies: int, seed: int, first_copy: int = 0
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
    placement : Placement
        Of a mode that needs no surrogate.
    n_copies : int
        Augmentation multiple M.
    first_copy : int
        Number of the first copy to make (gaussian only): copies 100 to 199 are the same, made alone or not.

    Returns
    -------
    positions, parents, copies
        See `placed`.

    Raises
    ------
    InputError
        If δ or M is not positive, names are missing or repeated, an index of a fixed atom does not exist, or
        ``along_bond`` meets anything but isolated dimers and an even M.

    Notes
    -----
    10⁶ copies of 20 atoms take 5 s on one core, and twice the 0.5 GB of the result while it is made.

    Examples
    --------
    >>> bond = np.array([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    >>> h2 = StructureSet(("H", "H"), bond, energies=np.zeros(1), forces=np.zeros((1, 2, 3)), names=("a",))
    >>> positions, parents, copies = displace(h2, Placement(displacement=0.1, mode="along_bond"), 2, seed=0)
    >>> positions.shape  # (copy, atom, xyz)
    (2, 2, 3)
    >>> np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1).round(3)
    array([1.1, 0.9])
    """
    displacement, mode = placement.displacement, placement.mode
    if not (np.isfinite(displacement) and displacement > 0) or n_copies < 1:
        raise InputError(
            f"displacement (δ) and n_copies (M): expected positive numbers, got {displacement} and {n_copies}"
        )
    free = free_atoms(structures, placement.fixed_atoms)
    if mode == "along_bond":
        displacements = _along_bond(structures, displacement, n_copies, free)
    elif mode == "gaussian":
        of_species = placement.species_displacement
        per_atom = np.array([of_species.get(symbol, displacement) for symbol in structures.species], float)
        displacements = random_displacements(structures, n_copies, seed, free, first_copy, per_atom)
    else:
        raise InputError(f"mode: expected 'gaussian' or 'along_bond', got {mode!r}")
    return placed(structures, displacements, first_copy)


def placed(
    structures: StructureSet, displacements: FloatArray, first_copy: int = 0
) -> tuple[FloatArray, IntArray, IntArray]:
    """Return the displaced copies of every structure, one after another.

    Parameters
    ----------
    displacements : ndarray of shape (n_structures, n_copies, n_atoms, 3), Å
    first_copy : int
        Number of the first of them.

    Returns
    -------
    positions : ndarray of shape (n_structures * n_copies, n_atoms, 3), Å
        All copies of the first structure, then all of the second, and so on.
    parents : ndarray of int, shape (n_structures * n_copies,)
        Index of the reference structure of each copy.
    copies : ndarray of int, shape (n_structures * n_copies,)
        Number of the copy within its parent, from ``first_copy``.
    """
    n, n_copies = displacements.shape[:2]
    positions = structures.positions[:, None] + displacements
    parents = np.repeat(np.arange(n), n_copies)
    copies = np.tile(np.arange(first_copy, first_copy + n_copies), n)
    return positions.reshape(n * n_copies, structures.n_atoms, 3), parents, copies


def as_augmented_set(
    structures: StructureSet,
    positions: FloatArray,
    parents: IntArray,
    copies: IntArray,
    energies: FloatArray,
    sigma: FloatArray | None,
    label: str,
    domain_distance: FloatArray | None = None,
    cells: FloatArray | None = None,
) -> AugmentedSet:
    """Join displaced geometries (from `placed`) and their synthetic energies.

    Parameters
    ----------
    structures : StructureSet
        Reference structures.
    positions, parents, copies
        Of all copies.
    energies, sigma : ndarray of shape (n_copies_in_total,), eV
    label : str
        ``gpr`` or ``taylor``.
    domain_distance : ndarray of shape (n_copies_in_total,), dimensionless, or None
        Distance to the training data.
    cells : ndarray of shape (n_copies_in_total, 3, 3), Å, or None
        Of strained copies; None for those of the parents.

    Returns
    -------
    AugmentedSet
        Copy 3 of structure ``a.xsf`` is named ``a.xsf#3``.
    """
    _check_names(structures)
    parent_names = tuple(structures.names[i] for i in parents)
    if cells is None and structures.cells is not None:
        cells = structures.cells[parents]
    children = replace(
        structures,
        positions=positions,
        cells=cells,
        energies=energies,
        forces=None,
        stress=None,
        names=tuple(f"{name}#{copy}" for name, copy in zip(parent_names, copies, strict=True)),
        atom_orders=None if structures.atom_orders is None else structures.atom_orders[parents],
        groups=(),
    )
    return AugmentedSet(children, parent_names, copies, sigma, label, domain_distance)


def random_displacements(
    structures: StructureSet,
    n_copies: int,
    seed: int,
    free: NDArray[np.bool_],
    first_copy: int = 0,
    displacement: float | FloatArray = 1.0,
) -> FloatArray:
    """Return normally distributed displacements without motion of the centre of mass.

    Parameters
    ----------
    free : ndarray of bool, shape (n_atoms,)
        Atoms that move; if some do not, the centre of mass moves with the others.
    displacement : float, or ndarray of shape (n_atoms,), Å
        δ, the standard deviation per component.

    Returns
    -------
    ndarray of shape (n_structures, n_copies, n_atoms, 3), Å
    """
    _check_names(structures)
    displacements = np.empty((len(structures), n_copies, structures.n_atoms, 3))
    for own, name in zip(displacements, structures.names, strict=True):
        own[...] = normal_numbers(seed, name, n_copies, 3 * structures.n_atoms, first_copy).reshape(own.shape)
    displacements *= np.reshape(displacement, (-1, 1))
    if free.all():
        masses = _atomic_masses(structures.species)
        centre = np.einsum("a,nmax->nmx", masses / masses.sum(), displacements)  # structure, copy, atom, x
        displacements -= centre[:, :, None]
    displacements[:, :, ~free] = 0.0
    return displacements


def free_atoms(structures: StructureSet, fixed_atoms: Sequence[int]) -> NDArray[np.bool_]:
    """Return which atoms move, shape (n_atoms,).

    Raises
    ------
    InputError
        If a fixed atom does not exist.
    """
    free = np.ones(structures.n_atoms, bool)
    for index in fixed_atoms:
        if not 0 <= index < structures.n_atoms:
            raise InputError(f"fixed_atoms: expected indices from 0 to {structures.n_atoms - 1}, got {index}")
        free[index] = False
    return free


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
    if displacement >= length.min():
        raise InputError(
            f"displacement (δ): expected less than the shortest bond, {length.min():.3f} Å, "
            f"got {displacement} Å"
        )
    changes = np.arange(1, n_copies // 2 + 1) * (2.0 * displacement / n_copies)
    change = np.stack([changes, -changes], axis=1).ravel()  # +, -, +, - …
    masses = _atomic_masses(structures.species)
    share = np.array([-masses[1], masses[0]]) / masses.sum()  # the centre of mass stays
    if not free.all():
        share = np.where(free, [-1.0, 1.0], 0.0)
    return np.einsum("m,a,nx->nmax", change, share, bond / length)  # copy, atom, structure, x


def normal_numbers(seed: int, name: str, n_copies: int, size: int, first_copy: int) -> FloatArray:
    """Return standard normal numbers for each copy of a parent, shape (n_copies, size).

    Copy c reads block c of a counter-based generator (Philox) keyed by SHA-256 of seed and name; uniform
    numbers become normal ones through the inverse of the distribution function, one each, so that a block has
    a fixed length.
    """
    from scipy.special import ndtri  # heavy, and needed here only

    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    generator = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
    steps = -(-size // PHILOX_WORDS)  # whole steps of the counter: copy c starts at c * steps
    generator.advance(first_copy * steps)
    raw = generator.random_raw(n_copies * steps * PHILOX_WORDS).reshape(n_copies, -1)[:, :size]
    uniform = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53  # 53 bits, never 0 or 1
    return ndtri(uniform)


def _atomic_masses(species: Sequence[str]) -> FloatArray:
    """Return the mass of each atom, u."""
    from ase.data import atomic_masses, atomic_numbers  # heavy, and needed here only

    return np.array([atomic_masses[atomic_numbers[symbol]] for symbol in species])


def _check_names(structures: StructureSet) -> None:
    if len(set(structures.names)) != len(structures):
        raise InputError(
            f"names: expected {len(structures)} unique structure names, got {len(set(structures.names))}; "
            "copies are numbered and seeded by the name of their parent"
        )
