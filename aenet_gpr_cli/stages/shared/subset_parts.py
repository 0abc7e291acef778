"""Subsets that jobs of their own work on: which are asked for, and their results in one file again."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import h5py

from aenet_gpr_cli.augmentation.strains import strain_freedom
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.structure_sets import (
    choose_subsets,
    load_free_atoms,
    load_heads,
    subset_names,
)
from aenet_gpr_cli.stages.shared.context import log
from aenet_gpr_cli.stages.shared.many_subsets import some
from aenet_gpr_cli.structures import StructureSet


def asked_for(
    split: Path,
    only: Sequence[str],
    of: Sequence[str] | None = None,
    passed_by: Callable[[StructureSet], bool] | None = None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the subsets that a job is to work on, and all that there are.

    Parameters
    ----------
    split : Path
        Output of `split`.
    only : sequence of str
        Names that are asked for; empty for all.
    of : sequence of str, optional
        All subsets of the stage; default: those with training structures.
    passed_by : callable, optional
        Whether the stage has nothing to do for a subset, unless it is asked for by name.

    Returns
    -------
    part, whole : tuples of str
        Empty where the split is not there yet.

    Raises
    ------
    ConfigError
        If a name is unknown.
    """
    if not split.is_file():
        return (), ()
    whole = tuple(of or subset_names(split, "train"))
    if passed_by and not of:
        sets = load_heads(split, "train")
        left_out = [name for name in whole if passed_by(sets[name])]
        if left_out:
            log.info("single atoms have nothing to learn or to displace: %s left out", some(left_out))
        whole = tuple(name for name in whole if name not in left_out)
        if not whole:
            raise InputError(f"{split}: expected structures of several atoms, got single atoms only")
    return tuple(choose_subsets(dict.fromkeys(whole), list(only) or None, split)), whole


def free_atoms(split: Path, species: Collection[str]) -> dict[str, float] | None:
    """Return the energies (eV) of isolated atoms in a split, for some species, and say so; None for none."""
    known = {symbol: value for symbol, value in load_free_atoms(split).items() if symbol in species}
    if known:
        log.info("atomic energies are those of isolated atoms: %s", ", ".join(known))
    return known or None


def is_atom(subset: StructureSet) -> bool:
    """Whether a subset holds isolated atoms: a constant energy, which needs no surrogate.

    One atom in a periodic cell is a crystal, slab or wire, which has an energy of each cell.
    """
    return subset.n_atoms == 1 and not subset.is_periodic


def has_no_copies(subset: StructureSet, strained: bool) -> bool:
    """Whether no copy differs from its parent: one atom, in a cell that is not strained."""
    return subset.n_atoms == 1 and not (strained and strain_freedom(subset))


def copy_subsets(paths: Sequence[Path], kind: str, names: Sequence[str], file: h5py.File) -> list[list[str]]:
    """Copy results of subsets out of other artefacts, as they are stored there.

    Parameters
    ----------
    paths : sequence of Path
        Each subset in one of them.
    kind : str
        Stage that wrote them.
    names : sequence of str
        Subsets, in the order wanted.
    file : h5py.File
        Written to.

    Returns
    -------
    list of list of str
        Their rows of the table.
    """
    target = file.create_group("subsets")
    rows: dict[str, list[str]] = {}
    for path in paths:
        with open_artefact(path, kind) as source:
            for name in source["subsets"]:
                source.copy(source[f"subsets/{name}"], target, name)
            rows |= {row[0]: row for row in json.loads(source.attrs["summary"])["rows"]}
    return [rows[name] for name in names]
