"""Subsets that jobs of their own work on: which are asked for, and their results in one file again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import h5py

from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.structure_sets import choose_subsets, subset_names


def asked_for(
    split: Path, only: Sequence[str], of: Sequence[str] | None = None
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
    return tuple(choose_subsets(dict.fromkeys(whole), list(only) or None, split)), whole


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
