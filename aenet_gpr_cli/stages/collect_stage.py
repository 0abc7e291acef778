"""`collect`: artefacts of single members or subsets → the one that a job for all would have written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from aenet_gpr_cli.config.keys import StageConfig
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact import Job, open_artefact, publish_with_files
from aenet_gpr_cli.io.artefacts.checkpoint import describe_differences, read_job
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.hdf5.checksums import identity
from aenet_gpr_cli.stages.augment import augment_stage as augment
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.fit_gpr.join_fits import all_parts, join_fits, share_number
from aenet_gpr_cli.stages.shared.context import Context, Summary, nothing_to_do, planned
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.stages.shared.subset_parts import copy_subsets
from aenet_gpr_cli.stages.train_ann import train_ann_stage as train_ann
from aenet_gpr_cli.stages.train_ann.members import (
    join_committees,
    read_committee,
    say_left_behind,
    write_committee,
)
from aenet_gpr_cli.stages.train_ann.training_errors import ERROR_COLUMNS, join_cells


@dataclass(frozen=True, slots=True)
class _Part:
    """What one artefact says about itself."""

    path: Path
    kind: str
    config: dict[str, Any]
    inputs: dict[str, str]
    part: tuple[str, ...]
    whole: tuple[str, ...]
    wall_time: float
    row: list[str]


def run(paths: Sequence[Path], output: Path, context: Context) -> Summary:
    """Put parts together that were made by jobs of their own.

    Parameters
    ----------
    paths : sequence of Path
        Outputs of `train-ann --member`, `fit-gpr --part`, `fit-gpr --subset` or `augment --subset`; all
        parts, in any order.

    Raises
    ------
    InputError
        If they differ in configuration or inputs, are no parts, or one is missing or there twice.
    """
    parts = [_read(path) for path in paths]
    first = parts[0]
    kind = KINDS[first.kind]
    neutral = kind.config.neutral
    for other in parts[1:]:
        _check_same(first, other, neutral)
    _check_complete(parts)
    endings = kind.endings(first)
    claim(first.kind, output, paths, endings)
    job = Job(first.kind, first.config, first.inputs, neutral=neutral)

    def write(file: h5py.File, folder: Path) -> None:
        kind.write(first, file, folder, output.stem, context)

    if (done := nothing_to_do(output, job, context, write)) is not None:
        return done
    if context.dry_run:
        return planned("collect", output, [f"{len(first.whole)} {kind.noun}s of {first.kind}"])
    with publish_with_files(output, job) as (file, folder):
        file.attrs["wall_time_s"] = sum(part.wall_time for part in parts)
        summary = kind.join(parts, output, file)
        write(file, folder)
        file.attrs["summary"] = summary.to_json()
    return summary


def _join_members(parts: Sequence[_Part], output: Path, file: h5py.File) -> Summary:
    mode, committee = str(parts[0].config["mode"]), join_committees([read_committee(p.path) for p in parts])
    write_committee(file, committee, mode)
    say_left_behind(committee, parts[0].config["loss"]["form"])
    n_structures = int(parts[0].row[train_ann.COLUMNS.index("structures")])
    seconds = float(file.attrs["wall_time_s"])
    first = train_ann.COLUMNS.index(ERROR_COLUMNS[0])
    errors = join_cells([part.row[first : first + len(ERROR_COLUMNS)] for part in parts])
    row = train_ann.table_row(mode, output.stem, n_structures, committee, errors, seconds)
    return Summary(train_ann.TITLE, train_ann.COLUMNS, [row], [f"wrote {output}"])


def _join_fits(parts: Sequence[_Part], output: Path, file: h5py.File) -> Summary:
    names = [name for name in parts[0].whole if share_number(name) is None]
    rows, notes = join_fits([part.path for part in parts], fit_gpr.KIND, names, file)
    return Summary(fit_gpr.TITLE, fit_gpr.COLUMNS, rows, [*notes, f"wrote {output}"])


def _join_copies(parts: Sequence[_Part], output: Path, file: h5py.File) -> Summary:
    names, config = parts[0].whole, _augmenting(parts[0])
    rows = copy_subsets([part.path for part in parts], augment.KIND, names, file)
    notes = [f"{augment.how(config)}; wrote {output}"]
    notes += [f"wrote {beside(output, ending)}" for ending in augment.endings(config)]
    return Summary(augment.TITLE, augment.columns(config), rows, notes)


def _augmenting(part: _Part) -> AugmentConfig:
    return build(AugmentConfig, part.config, "parts")


@dataclass(frozen=True, slots=True)
class _Kind:
    """What parts of a stage are called, and how they are put together."""

    config: type[StageConfig]
    noun: str
    join: Callable[[Sequence[_Part], Path, h5py.File], Summary]

    def endings(self, first: _Part) -> list[str]:
        """Return how the names of files end that are written beside the artefact: those of copies."""
        return augment.endings(_augmenting(first)) if first.kind == augment.KIND else []

    def write(self, first: _Part, file: h5py.File, folder: Path, stem: str, context: Context) -> None:
        """Write these files to a folder."""
        if first.kind == augment.KIND:
            augment.write_files(_augmenting(first), file, first.whole, folder, stem, context)


KINDS = {
    train_ann.KIND: _Kind(TrainAnnConfig, "member", _join_members),
    fit_gpr.KIND: _Kind(FitGprConfig, "subset", _join_fits),
    augment.KIND: _Kind(AugmentConfig, "subset", _join_copies),
}


def _read(path: Path) -> _Part:
    with open_artefact(path) as file:
        identity(path)  # are its numbers those that were written?
        kind = str(file.attrs["kind"])
        if kind not in KINDS:
            raise InputError(f"{path}: expected the output of {', '.join(KINDS)}, got that of {kind}")
        if "part" not in file.attrs:
            raise InputError(f"{path}: expected a single {KINDS[kind].noun}, got a complete output of {kind}")
        config, inputs = read_job(file)
        part, whole = (tuple(json.loads(file.attrs[name])) for name in ("part", "whole"))
        row = json.loads(file.attrs["summary"])["rows"][0]
        return _Part(path, kind, config, inputs, part, whole, float(file.attrs["wall_time_s"]), row)


def _check_same(first: _Part, other: _Part, neutral: frozenset[str]) -> None:
    if other.kind != first.kind:
        raise InputError(f"{first.path} is of {first.kind}, {other.path} of {other.kind}; collect one kind")
    differences = describe_differences(
        (other.config, other.inputs),
        (first.config, first.inputs),
        neutral,
        (f"in {first.path.name}", f"in {other.path.name}"),
    )
    if differences:
        raise InputError(
            "expected parts of one configuration and the same data, got different ones: "
            + "; ".join(differences)
        )


def _check_complete(parts: Sequence[_Part]) -> None:
    noun, where = KINDS[parts[0].kind].noun, dict[str, Path]()
    for part in parts:
        for name in part.part:
            if name in where:
                raise InputError(f"{noun} {name} is in {where[name]} and in {part.path}; give it once")
            where[name] = part.path
    whole = all_parts(parts[0].whole, list(where))
    if missing := [name for name in whole if name not in where]:
        raise InputError(
            f"{noun} {', '.join(missing)} missing: expected all {len(whole)}, got {len(where)}; make the "
            "missing by the command of the others, and collect all"
        )
