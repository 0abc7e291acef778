"""Structures and sets of structures with the same atoms, as plain numpy arrays.

Everything that computes takes a `StructureSet`; everything that reads files makes `Structure`s and
batches them. No file access here, and no dependence on ASE.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Pbc = tuple[bool, bool, bool]

NOT_PERIODIC: Pbc = (False, False, False)
COINCIDENT = 1e-3  # Å: two atoms closer than this are one atom written twice, not a geometry


@dataclass(frozen=True, slots=True)
class Structure:
    """One atomic structure with its reference energy and forces.

    Attributes
    ----------
    species : tuple of str
        Chemical symbols, one per atom.
    positions : ndarray of shape (n_atoms, 3), Å
    cell : ndarray of shape (3, 3), Å, or None
        Lattice vectors as rows; None for an isolated structure.
    pbc : tuple of three bool
        Periodicity along each lattice vector.
    energy : float or None, eV
        Total energy.
    forces : ndarray of shape (n_atoms, 3), eV/Å, or None
        Physical forces, F = -dE/dR.
    name : str
        Where the structure came from; unique within a data set.
    atom_order : tuple of int or None
        Number of each atom in the file it came from, if its atoms were put into another order.
    state : tuple of (str, float)
        ``charge``, ``multiplicity`` and ``spin``, where the file has them.
    magnetic_moment : float or None, μB
        Of the whole structure.
    group : str
        Kind of structure that its file says it is (``config_type``), for strata and reports; empty for none.
    stress : ndarray of shape (3, 3), eV/Å³, or None
        σ = (1/V) dE/dε, positive under tension; None where it is not known.
    """

    species: tuple[str, ...]
    positions: FloatArray
    cell: FloatArray | None = None
    pbc: Pbc = NOT_PERIODIC
    energy: float | None = None
    forces: FloatArray | None = None
    name: str = ""
    atom_order: tuple[int, ...] | None = None
    state: tuple[tuple[str, float], ...] = ()
    magnetic_moment: float | None = None
    group: str = ""
    stress: FloatArray | None = None

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.species)

    @property
    def formula(self) -> str:
        """Chemical formula in the order in which the species appear, for example ``O6C6H8``."""
        return formula(self.species)


@dataclass(frozen=True, slots=True)
class StructureSet:
    """Structures with the same species in the same order and the same periodicity.

    Attributes
    ----------
    species : tuple of str
        Chemical symbols, one per atom.
    positions : ndarray of shape (n_structures, n_atoms, 3), Å
    cells : ndarray of shape (n_structures, 3, 3), Å, or None
    energies : ndarray of shape (n_structures,), eV, or None
    forces : ndarray of shape (n_structures, n_atoms, 3), eV/Å, or None
    names : tuple of str
        One unique name per structure.
    atom_orders : ndarray of int, shape (n_structures, n_atoms), or None
        Number of each atom in the file it came from; None where all came in this order.
    state : tuple of (str, float)
        Charge and spin that every structure has, see `Structure`.
    groups : tuple of str
        Kind of each structure, see `Structure`; empty where none has one.
    stress : ndarray of shape (n_structures, 3, 3), eV/Å³, or None
        Positive under tension; NaN for structures whose stress is not known.
    """

    species: tuple[str, ...]
    positions: FloatArray
    cells: FloatArray | None = None
    pbc: Pbc = NOT_PERIODIC
    energies: FloatArray | None = None
    forces: FloatArray | None = None
    names: tuple[str, ...] = ()
    atom_orders: IntArray | None = None
    state: tuple[tuple[str, float], ...] = ()
    groups: tuple[str, ...] = ()
    stress: FloatArray | None = None

    def __post_init__(self) -> None:
        n, atoms = len(self.positions), len(self.species)
        for label, array, shape in (
            ("positions", self.positions, (n, atoms, 3)),
            ("cells", self.cells, (n, 3, 3)),
            ("energies", self.energies, (n,)),
            ("forces", self.forces, (n, atoms, 3)),
            ("stress", self.stress, (n, 3, 3)),
            ("atom_orders", self.atom_orders, (n, atoms)),
        ):
            if array is not None and array.shape != shape:
                raise InputError(f"{label}: expected an array of shape {shape}, got {array.shape}")
        if self.names and len(self.names) != n:
            raise InputError(f"names: expected {n}, got {len(self.names)}")
        if self.groups and len(self.groups) != n:
            raise InputError(f"groups: expected {n}, got {len(self.groups)}")

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def n_atoms(self) -> int:
        """Atoms per structure."""
        return len(self.species)

    @property
    def formula(self) -> str:
        """Chemical formula in the order in which the species appear."""
        return formula(self.species)

    @property
    def is_periodic(self) -> bool:
        """Whether any lattice direction is periodic."""
        return any(self.pbc)

    @property
    def cell_spread(self) -> float:
        """Largest difference of a component of the periodic lattice vectors between structures, Å."""
        if self.cells is None or not self.is_periodic or not len(self):
            return 0.0
        return float(np.ptp(self.cells[:, list(self.pbc)], axis=0).max())

    def select(self, indices: Sequence[int] | IntArray | slice) -> StructureSet:
        """Return the structures at ``indices``, in that order."""
        index = np.arange(len(self))[indices] if isinstance(indices, slice) else np.asarray(indices, int)
        return replace(
            self,
            positions=self.positions[index],
            cells=None if self.cells is None else self.cells[index],
            energies=None if self.energies is None else self.energies[index],
            forces=None if self.forces is None else self.forces[index],
            stress=None if self.stress is None else self.stress[index],
            names=tuple(self.names[i] for i in index) if self.names else (),
            atom_orders=None if self.atom_orders is None else self.atom_orders[index],
            groups=tuple(self.groups[i] for i in index) if self.groups else (),
        )

    def in_memory(self) -> StructureSet:
        """Return the structures themselves: they are in memory."""
        return self

    def moved_to(self, positions: FloatArray, cells: FloatArray | None = None) -> StructureSet:
        """Return the same atoms at other positions, in the same cells or in others, without labels."""
        cells = self.cells if cells is None else cells
        return replace(self, positions=positions, cells=cells, energies=None, forces=None, stress=None)

    def structure(self, index: int) -> Structure:
        """Return one structure."""
        return Structure(
            species=self.species,
            positions=self.positions[index],
            cell=None if self.cells is None else self.cells[index],
            pbc=self.pbc,
            energy=None if self.energies is None else float(self.energies[index]),
            forces=None if self.forces is None else self.forces[index],
            stress=None if self.stress is None or np.isnan(self.stress[index]).any() else self.stress[index],
            name=self.names[index] if self.names else "",
            atom_order=None if self.atom_orders is None else tuple(self.atom_orders[index].tolist()),
            state=self.state,
            group=self.groups[index] if self.groups else "",
        )

    @classmethod
    def from_structures(cls, structures: Iterable[Structure]) -> StructureSet:
        """Batch structures with the same species, order and periodicity.

        Energies (forces) are kept only where every structure has them, the stress where any has one.

        Raises
        ------
        InputError
            If there is no structure, or species or periodicity differ.
        """
        items = list(structures)
        if not items:
            raise InputError("expected at least one structure, got none")
        first = items[0]
        for item in items[1:]:
            if item.species != first.species or item.pbc != first.pbc:
                raise InputError(
                    f"{item.name}: expected the atoms and periodicity of {first.name} "
                    f"({first.formula}), got {item.formula}; group the structures into subsets first"
                )
        return cls(
            species=first.species,
            positions=np.array([s.positions for s in items], float).reshape(len(items), first.n_atoms, 3),
            cells=_stack([s.cell for s in items]),
            pbc=first.pbc,
            energies=_stack([s.energy for s in items]),
            forces=_stack([s.forces for s in items]),
            stress=_known([s.stress for s in items]),
            names=tuple(s.name for s in items),
            atom_orders=_orders(items),
            state=first.state if all(s.state == first.state for s in items) else (),
            groups=tuple(s.group for s in items) if any(s.group for s in items) else (),
        )


class AnySet(Protocol):
    """Labelled structures of one subset, in memory (`StructureSet`) or where they are read in blocks."""

    @property
    def species(self) -> tuple[str, ...]:
        """Chemical symbols, one per atom."""
        ...

    @property
    def energies(self) -> FloatArray | None:
        """Total energies, shape (n_structures,), eV; always in memory."""
        ...

    @property
    def forces(self) -> FloatArray | None:
        """Physical forces, shape (n_structures, n_atoms, 3), eV/Å."""
        ...

    @property
    def stress(self) -> FloatArray | None:
        """Stress, shape (n_structures, 3, 3), eV/Å³; None where no structure has one."""
        ...

    @property
    def n_atoms(self) -> int:
        """Atoms per structure."""
        ...

    @property
    def formula(self) -> str:
        """Chemical formula in the order in which the species appear."""
        ...

    def __len__(self) -> int: ...

    def select(self, index: IntArray) -> AnySet:
        """Return some of the structures, without reading them."""
        ...

    def in_memory(self) -> StructureSet:
        """Return the structures, read if they are elsewhere."""
        ...


Structures = TypeVar("Structures", bound=AnySet)


@dataclass(frozen=True)  # with slots, Python 3.11 cannot make the alias below
class Copies(Generic[Structures]):
    """Displaced copies of reference structures with approximate energies.

    Attributes
    ----------
    structures : StructureSet, or another `AnySet`
        The copies; their energies are the labels, they carry no forces.
    parents : tuple of str
        Name of the reference structure of each copy.
    copies : ndarray of int, shape (n_structures,)
        Number of the copy within its parent, from 0.
    sigma : ndarray of shape (n_structures,), eV, or None
        Standard deviation of the label; None where the method has none.
    label : str
        Where the energies came from: ``gpr`` or ``taylor``.
    domain_distance : ndarray of shape (n_structures,), dimensionless, or None
        Distance to the training data of the process, see `gpr.regression.applicability`; None where there is
        no process.
    label_error : float, eV, or None
        Median error of the process on structures left out of its fit; None where it is not known.
    """

    structures: Structures
    parents: tuple[str, ...]
    copies: IntArray
    sigma: FloatArray | None
    label: str
    domain_distance: FloatArray | None = None
    label_error: float | None = None

    def __len__(self) -> int:
        return len(self.structures)

    def select(self, index: IntArray) -> Copies[Structures]:
        """Return some of the copies, in the order of ``index``."""
        return replace(
            self,
            structures=self.structures.select(index),  # type: ignore[arg-type]  # of the same kind
            parents=tuple(self.parents[i] for i in index),
            copies=self.copies[index],
            sigma=None if self.sigma is None else self.sigma[index],
            domain_distance=None if self.domain_distance is None else self.domain_distance[index],
        )


AugmentedSet = Copies[StructureSet]


def formula(species: Sequence[str]) -> str:
    """Return the chemical formula in the order in which the species appear.

    Examples
    --------
    >>> formula(("O", "C", "O", "H"))
    'O2CH'
    """
    return "".join(f"{symbol}{count if count > 1 else ''}" for symbol, count in Counter(species).items())


def _orders(items: Sequence[Structure]) -> IntArray | None:
    if all(item.atom_order is None for item in items):
        return None
    as_in_file = tuple(range(items[0].n_atoms))
    return np.array([as_in_file if item.atom_order is None else item.atom_order for item in items], np.int64)


def _stack(items: Sequence[FloatArray | float | None]) -> FloatArray | None:
    if any(item is None for item in items):
        return None
    return np.array(items, float)


def _known(items: Sequence[FloatArray | None]) -> FloatArray | None:
    if all(item is None for item in items):
        return None
    return np.array([np.full((3, 3), np.nan) if item is None else item for item in items], float)
