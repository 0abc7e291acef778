"""`init`: structure files → a small workflow to begin with."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from aenet_gpr_cli.config.annotate import annotated, annotated_active
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.recipes import How, stages
from aenet_gpr_cli.config.workflow_config import WorkflowConfig
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.io.files import write_text
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.stages.shared.context import Context, Summary
from aenet_gpr_cli.stages.shared.many_subsets import few_rows, some
from aenet_gpr_cli.structures import Structure, StructureSet
from aenet_gpr_cli.subsystems.grouping import group
from aenet_gpr_cli.subsystems.isolated_atoms import set_apart
from aenet_gpr_cli.subsystems.label_checks.checks import require_labels
from aenet_gpr_cli.subsystems.trajectories import ALIKE, likeness

FRAMES, BLOCKS = 50, 10  # successive frames that stay together, at most; at least so many blocks of a subset
FEWEST = 3  # structures, of which `recipes.TRAIN` leaves one to test
HEADER = """\
# {n} structures: {subsets}.
# All keys, with defaults and meaning: `aenet-gpr init --full`, or `aenet-gpr schema` for an editor.
{environments}"""
ENVIRONMENTS = """\
# auto: by evidence; may be more than the files of ænet can hold: leave it out where they are needed.
"""


def run(inputs: Sequence[Path], name: str, output: Path, context: Context, how: How = "usual") -> Summary:
    """Write a workflow for given structures.

    Parameters
    ----------
    inputs : sequence of Path
        Files, folders and archives of structures.
    name : str
        Of the case.
    output : Path
        YAML file to write; paths in it are relative to its folder.
    how : str
        Recipe.

    Raises
    ------
    ConfigError
        If the file is there already.
    InputError
        If the structures cannot be read, or have no energies.
    """
    if output.exists() and not context.force:
        raise ConfigError(f"{output} is there already; choose another --output, or --force to replace it")
    structures = read_sources(inputs, context.report)
    require_labels(structures, energies=True, forces=False)
    apart = set_apart(structures)[0] or structures
    if len(apart) < FEWEST:
        raise InputError(
            f"init: expected {FEWEST} structures at least, some to train and one to test, got {len(apart)}; "
            "a potential that is not tested takes `split`, `fit-gpr` and `train-ann`"
        )
    subsets = group(apart, cells_may_vary=True)
    data = _workflow(structures, subsets, inputs, name, how, output.parent)
    build(WorkflowConfig, data, str(output))  # what we write is what run takes
    described = some([f"{len(members)} × {subset}" for subset, members in subsets.items()])
    rows = [[subset, str(len(members))] for subset, members in subsets.items()]
    note = ENVIRONMENTS if _have_forces(structures) else ""
    text = HEADER.format(n=len(structures), subsets=described, environments=note)
    text += yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    if not context.dry_run:
        write_text(output, text)
    notes = [] if _have_forces(structures) else ["no forces: only energy_only training is possible"]
    last = f"would write {output}" if context.dry_run else f"wrote {output}; next: aenet-gpr run {output}"
    return Summary("Subsets", ("subset", "structures"), rows, [*notes, last], few_rows(rows, 1))


def write_every_key(folder: Path, context: Context) -> Summary:
    """Write the annotated configurations: every key of workflows and of active learning.

    Raises
    ------
    ConfigError
        If one of the files is there already.
    """
    files = {folder / "annotated.yaml": annotated(), folder / "annotated_active.yaml": annotated_active()}
    if not context.force and (present := [str(path) for path in files if path.exists()]):
        raise ConfigError(f"{', '.join(present)}: there already; choose another --output, or --force")
    if not context.dry_run:
        for path, text in files.items():
            write_text(path, text)
    rows = [[str(path), str(text.count("\n"))] for path, text in files.items()]
    return Summary("Every key, with default and meaning", ("file", "lines"), rows)


def _have_forces(structures: Sequence[Structure]) -> bool:
    return all(s.forces is not None for s in structures)


def _workflow(
    structures: Sequence[Structure],
    subsets: Mapping[str, Sequence[Structure]],
    inputs: Sequence[Path],
    name: str,
    how: How,
    folder: Path,
) -> dict[str, object]:
    written = stages(how, _have_forces(structures), _mixed(structures), _blocks(subsets.values()))
    split = {"inputs": [_relative(path, folder) for path in inputs]} | written["split"]
    return {"name": name, "seed": 1} | written | {"split": split}


def _blocks(subsets: Iterable[Sequence[Structure]]) -> int | None:
    """Return how many successive frames are to stay together: none where structures are independent."""
    for members in subsets:
        alike = [s for s in members if (s.species, s.pbc) == (members[0].species, members[0].pbc)]
        ratio = likeness(StructureSet.from_structures(alike))
        if ratio is not None and ratio < ALIKE:
            return max(1, min(FRAMES, len(members) // BLOCKS))
    return None


def _mixed(structures: Sequence[Structure]) -> bool:
    """Return whether there are more species than ænet's descriptor tells apart."""
    return len({symbol for s in structures for symbol in s.species}) > 2


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
