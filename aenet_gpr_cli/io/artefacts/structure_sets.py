"""Structure sets and augmented sets in HDF5 groups."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np

from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.fields import (
    append_field,
    read_label_error,
    read_optional,
    read_strings,
    write_field,
)
from aenet_gpr_cli.structures import AugmentedSet, Pbc, StructureSet

Subset = TypeVar("Subset")
PARTS = ("train", "test")


def write_structures(group: h5py.Group, structures: StructureSet) -> None:
    """Store a structure set."""
    write_field(group, "species", structures.species)
    write_field(group, "positions", structures.positions)
    write_field(group, "pbc", np.array(structures.pbc))
    write_field(group, "names", structures.names)
    for name in ("cells", "energies", "forces", "stress", "atom_orders"):
        values = getattr(structures, name)
        if values is not None:
            write_field(group, name, values)
    if structures.state:
        names, numbers = zip(*structures.state, strict=True)
        write_field(group, "state_names", names)
        write_field(group, "state_values", np.array(numbers))
    if structures.groups:
        write_field(group, "groups", structures.groups)


def read_structures(group: h5py.Group, rows: slice = slice(None)) -> StructureSet:
    """Read a structure set.

    Parameters
    ----------
    rows : slice, optional
        Structures to read; default: all.
    """
    a, b, c = (bool(flag) for flag in group["pbc"][()])
    pbc: Pbc = (a, b, c)
    return StructureSet(
        species=read_strings(group, "species"),
        positions=group["positions"][rows],
        cells=read_optional(group, "cells", rows),
        pbc=pbc,
        energies=read_optional(group, "energies", rows),
        forces=read_optional(group, "forces", rows),
        stress=read_optional(group, "stress", rows),
        names=read_strings(group, "names", rows),
        atom_orders=read_optional(group, "atom_orders", rows),
        state=_read_state(group),
        groups=read_strings(group, "groups", rows) if "groups" in group else (),
    )


def append_augmented(group: h5py.Group, augmented: AugmentedSet) -> None:
    """Store an augmented set, after what the group already holds of the same subset."""
    structures = augmented.structures
    if "species" not in group:
        write_field(group, "species", structures.species)
        write_field(group, "pbc", np.array(structures.pbc))
        group.attrs["label"] = augmented.label
        if augmented.label_error is not None:
            group.attrs["label_error"] = augmented.label_error
    append_field(group, "positions", structures.positions)
    append_field(group, "names", structures.names)
    append_field(group, "parents", augmented.parents)
    append_field(group, "copies", augmented.copies)
    for name, values in (
        ("cells", structures.cells),
        ("energies", structures.energies),
        ("atom_orders", structures.atom_orders),
        ("sigma", augmented.sigma),
        ("domain_distance", augmented.domain_distance),
    ):
        if values is not None:
            append_field(group, name, values)


def read_augmented(group: h5py.Group, rows: slice = slice(None)) -> AugmentedSet:
    """Read an augmented set.

    Parameters
    ----------
    rows : slice, optional
        Copies to read; default: all.
    """
    return AugmentedSet(
        structures=read_structures(group, rows),
        parents=read_strings(group, "parents", rows),
        copies=group["copies"][rows],
        sigma=read_optional(group, "sigma", rows),
        label=str(group.attrs["label"]),
        domain_distance=read_optional(group, "domain_distance", rows),
        label_error=read_label_error(group),
    )


def augmented_blocks(group: h5py.Group, size: int) -> Iterator[AugmentedSet]:
    """Read an augmented set piece by piece.

    Parameters
    ----------
    size : int
        Copies at a time.
    """
    for start in range(0, len(group["copies"]), size):
        yield read_augmented(group, slice(start, start + size))


def _read_state(group: h5py.Group) -> tuple[tuple[str, float], ...]:
    if "state_names" not in group:
        return ()
    return tuple(zip(read_strings(group, "state_names"), group["state_values"][()].tolist(), strict=True))


def load_parts(path: Path) -> dict[str, dict[str, StructureSet]]:
    """Read both parts of a split, by subset; a part may be empty."""
    with open_artefact(path, "split") as file:
        return {part: {name: read_structures(file[part][name]) for name in file[part]} for part in PARTS}


def load_split(path: Path, part: str, names: Collection[str] | None = None) -> dict[str, StructureSet]:
    """Read the training or the test structures of a split, by subset.

    Parameters
    ----------
    part : str
        ``train`` or ``test``.
    names : collection of str, optional
        Read these of the subsets only.

    Returns
    -------
    dict of str to StructureSet
        Subsets without structures in this part are left out.

    Raises
    ------
    InputError
        If the file is no split, or has no structure in this part.
    """
    with open_artefact(path, "split") as file:
        sets = {
            name: read_structures(file[part][name]) for name in file[part] if names is None or name in names
        }
    if not sets:
        raise InputError(f"{path}: expected {part} structures, got none; change train or test of split")
    return sets


def load_heads(path: Path, part: str) -> dict[str, StructureSet]:
    """Read what the structures of a split are, by subset, without where their atoms are.

    Positions and forces, where there are any, are zeros that take no memory; `load_split` reads them.

    Parameters
    ----------
    part : str
        ``train`` or ``test``.
    """
    with open_artefact(path, "split") as file:
        return {name: _read_head(group) for name, group in file[part].items()}


def _read_head(group: h5py.Group) -> StructureSet:
    a, b, c = (bool(flag) for flag in group["pbc"][()])
    nowhere = np.broadcast_to(0.0, group["positions"].shape)
    return StructureSet(
        species=read_strings(group, "species"),
        positions=nowhere,
        cells=read_optional(group, "cells"),
        pbc=(a, b, c),
        energies=read_optional(group, "energies"),
        forces=nowhere if "forces" in group else None,
    )


def write_free_atoms(file: h5py.File, energies: Mapping[str, float]) -> None:
    """Store the energies (eV) of free atoms by element, if there are any."""
    if energies:
        group = file.create_group("free_atoms")
        write_field(group, "species", tuple(energies))
        write_field(group, "energies", np.array(list(energies.values()), float))


def load_free_atoms(path: Path) -> dict[str, float]:
    """Read the energies (eV) of free atoms that a split has, by element."""
    with open_artefact(path, "split") as file:
        if "free_atoms" not in file:
            return {}
        group = file["free_atoms"]
        return dict(zip(read_strings(group, "species"), group["energies"][()].tolist(), strict=True))


def stress_doubt(path: Path) -> str:
    """Return what `split` found wrong with the stress of its structures; empty where nothing."""
    with open_artefact(path, "split") as file:
        return str(file.attrs.get("stress_doubt", ""))


def subset_names(path: Path, part: str) -> tuple[str, ...]:
    """Return the names of the subsets of a split.

    Parameters
    ----------
    part : str
        ``train`` or ``test``.
    """
    with open_artefact(path, "split") as file:
        return tuple(file.get(part, ()))


def choose_subsets(sets: dict[str, Subset], names: Sequence[str] | None, source: Path) -> dict[str, Subset]:
    """Return the subsets that are asked for.

    Parameters
    ----------
    names : list of str or None
        None for all.
    source : Path
        Where they come from, for the message.

    Raises
    ------
    ConfigError
        If a name is unknown.
    """
    if names is None:
        return sets
    unknown = [name for name in names if name not in sets]
    if unknown:
        raise ConfigError(f"subsets: {', '.join(unknown)} not in {source}; it has {', '.join(sets)}")
    return {name: value for name, value in sets.items() if name in names}
