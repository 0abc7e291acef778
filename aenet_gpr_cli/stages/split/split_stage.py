"""`split`: structure files → split.h5, subsets divided into training and test structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact, publish
from aenet_gpr_cli.io.artefacts.structure_sets import PARTS, write_free_atoms, write_structures
from aenet_gpr_cli.io.formats.source_files import source_hashes
from aenet_gpr_cli.io.formats.sources import read_data
from aenet_gpr_cli.io.frames.report import DataSet
from aenet_gpr_cli.stages.shared.context import (
    Context,
    Summary,
    by_name,
    log,
    make_job,
    nothing_to_do,
    planned,
)
from aenet_gpr_cli.stages.shared.many_subsets import Finding, few_rows, some, told
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.stages.split.division import DEFAULT_TRAIN, divide
from aenet_gpr_cli.stages.split.forces_by_fit import check_forces_by_fit
from aenet_gpr_cli.stages.split.input_paths import Inputs, without_folders
from aenet_gpr_cli.stages.split.stress_by_fit import check_stress_by_fit
from aenet_gpr_cli.stages.split.subset_checks import findings, prepared, undecided
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.grouping import group, varies
from aenet_gpr_cli.subsystems.isolated_atoms import FreeAtoms, set_apart
from aenet_gpr_cli.subsystems.label_checks.checks import require_labels, require_one_state, unlike_moments
from aenet_gpr_cli.subsystems.label_checks.plausibility import zero_energies
from aenet_gpr_cli.subsystems.sampling import Division
from aenet_gpr_cli.text import encodable

KIND = "split"
WARNING = "warning: "
_GUESS = "forces undecided"  # of near structures, which a fit may decide
_PARTIAL = "part", "forces shifted"  # of some near structures, unless all have the same fault
_ALIKE = "forces sign", "forces unit", "forces inconsistent"
COLUMNS = (
    "subset",
    "atoms",
    "periodic",
    "structures",
    "train",
    "test",
    "energy range / eV",
    "max |F| / eV/Å",
)


@dataclass(frozen=True, slots=True)
class _Subset:
    """One subset on its way into the artefact."""

    name: str
    structures: StructureSet
    division: Division


def run(
    config: SplitConfig,
    folder: Path,
    output: Path,
    context: Context,
    divided: dict[str, dict[str, StructureSet]] | None = None,
    needed: str | None = None,
) -> Summary:
    """Read, group and divide structures.

    Parameters
    ----------
    folder : Path
        Relative paths of the configuration start here.
    divided : dict, optional
        Gets the subsets of each of `PARTS`, unless they were there already; for a forecast in a dry run.
    needed : str, optional
        One of `PARTS` that must not be empty, as a later stage of a workflow evaluates it.

    Raises
    ------
    ConfigError
        If no inputs are given.
    InputError
        If files are missing or wrong, or lack energies or forces, or nothing is there that is needed.
    """
    if not config.inputs and not (config.train_inputs and config.test_inputs):
        raise ConfigError("split: expected at least one file or folder in `inputs`, got none")
    inputs = Inputs.of(config, folder)
    claim(KIND, output, [*inputs.paths, *inputs.lists.values()])
    hashes = by_name(source_hashes(inputs.paths))
    job = make_job(KIND, without_folders(config), inputs.lists, context, hashes)
    if (done := nothing_to_do(output, job, context)) is not None:
        if needed:
            with open_artefact(output, KIND) as file:
                _require_part(len(file[needed]), needed)
        return done
    data = read_data(inputs.paths, config, context.report)
    structures, free_atoms = set_apart(data.structures)
    if not structures:
        raise InputError("expected structures of several atoms, got isolated atoms only")
    require_labels(structures, energies=True, forces=config.require_forces)
    states = [*require_one_state(structures), *unlike_moments(structures), *zero_energies(structures)]
    subsets, found, notes = _subsets(config, inputs, data, free_atoms)
    found = _forces(config, subsets, found)
    if any(finding.kind.startswith("forces") for finding in found):
        found = [finding for finding in found if finding.kind != "stress"]  # it was compared with these
    found += _stress(config, subsets, found)
    if needed:
        _require_part(len(_part(subsets, needed)), needed)
    rows = [_row(subset) for subset in subsets]
    notes += [*_told([*states, *told(found)]), *_about_all(subsets), f"wrote {output}"]
    short, details = few_rows(rows, 3, (4, 5)), [f"{WARNING}{f}" for f in found]
    summary = Summary("Subsets", COLUMNS, rows, notes, short, details)
    shown = [note for note in notes if not note.startswith(WARNING)]  # these are logged above
    if divided is not None:
        divided |= {part: _part(subsets, part) for part in PARTS}
    if context.dry_run:
        plan = planned(KIND, output, shown[:-1])
        return replace(summary, title=plan.title, notes=plan.notes)
    with publish(output, job) as file:
        for part in PARTS:
            group = file.create_group(part)
            for name, chosen in _part(subsets, part).items():
                write_structures(group.create_group(name), chosen)
        write_free_atoms(file, free_atoms.energies)
        file.attrs["stress_doubt"] = encodable("; ".join(told([f for f in found if f.kind == "stress"])))
        file.attrs["energy_definition"] = encodable(data.definition)
        file.attrs["summary"] = summary.to_json()
    return replace(summary, notes=shown)


def _require_part(n_subsets: int, part: str) -> None:
    if not n_subsets:
        raise InputError(
            f"split: expected {part} structures, on which evaluate measures errors, got none; give more "
            "structures, lower train, raise test, name test_inputs, or train without them: --until train-ann"
        )


def _part(subsets: Sequence[_Subset], part: str) -> dict[str, StructureSet]:
    """Return the structures of one of `PARTS`, of each subset that has some."""
    chosen = {subset.name: getattr(subset.division, part) for subset in subsets}
    return {s.name: s.structures.select(chosen[s.name]) for s in subsets if len(chosen[s.name])}


def _subsets(
    config: SplitConfig, inputs: Inputs, data: DataSet, free_atoms: FreeAtoms
) -> tuple[list[_Subset], list[Finding], list[str]]:
    """Return the subsets, what is doubtful about each, and notes on the whole."""
    groups = group(set_apart(data.structures)[0], cells_may_vary=True)
    divisions, division_notes = divide(config, inputs, groups)
    by_chance = not (inputs.test or inputs.lists or config.blocks)
    subsets, found = [], []
    for name, members in groups.items():
        structures, first = prepared(config, name, members)
        division = divisions[name]
        found += first
        found += findings(config, name, members, structures, division, by_chance, data.named_virial)
        found += [Finding("division", *note.split(": ", 1)) for note in division.notes]
        subsets.append(_Subset(name, structures, division))
    if config.train is None and not (inputs.test or inputs.lists):
        n_train, n = (
            sum(map(len, each)) for each in ([d.train for d in divisions.values()], groups.values())
        )
        division_notes = [
            f"train is not given: {DEFAULT_TRAIN:g} of inputs is for training, {n_train} of all {n} "
            "structures; set train=0.8 for more",
            *division_notes,
        ]
    notes = [*data.lines(), f"energy that is learned: {data.definition}"]
    if free_atoms.energies:
        energies = ", ".join(f"{symbol} {value:.6g}" for symbol, value in free_atoms.energies.items())
        notes.append(
            f"{free_atoms.n_structures} isolated atoms are not divided; they fix the energies of atoms: "
            f"{energies} eV"
        )
    return subsets, found, [*notes, *_told([*data.warnings(), *free_atoms.warnings]), *division_notes]


def _forces(config: SplitConfig, subsets: Sequence[_Subset], found: Sequence[Finding]) -> list[Finding]:
    """Add what all subsets say together in which near structures say nothing, instead of a guess."""
    sure = [finding for finding in found if finding.kind not in (*_PARTIAL, _GUESS)]
    if not config.check_forces or any(finding.kind.startswith("forces") for finding in sure):
        return list(found)
    open_to_doubt = [s for s in subsets if s.structures.forces is not None and undecided(s.structures)]
    name = open_to_doubt[0].name if len(open_to_doubt) == 1 else "all"
    by_fit = check_forces_by_fit([s.structures for s in open_to_doubt], name, config.seed)
    if any(finding.kind in _ALIKE for finding in by_fit):
        return [*sure, *by_fit]
    if any(finding.kind in _PARTIAL for finding in found):
        return list(found)
    decided = any(finding.kind != "forces zero" for finding in by_fit)
    return [*(sure if decided else found), *by_fit]


def _stress(config: SplitConfig, subsets: Sequence[_Subset], found: Sequence[Finding]) -> list[Finding]:
    """Look at the stress of all subsets together, where forces are right and near structures say nothing."""
    known = any(finding.kind.startswith(("forces", "stress", "part")) for finding in found)
    if known or not config.check_forces:
        return []
    text = check_stress_by_fit([s.structures for s in subsets], config.seed)
    return [] if text is None else [Finding("stress", subsets[0].name if len(subsets) == 1 else "all", text)]


def _told(warnings: Sequence[str]) -> list[str]:
    """Log warnings, and return them as notes."""
    for text in warnings:
        log.warning("%s", text)
    return [f"{WARNING}{text}" for text in warnings]


def _about_all(subsets: Sequence[_Subset]) -> list[str]:
    """Return what the whole lacks: fixed cells, subsets that train or test."""
    notes = []
    changing = [s for s in subsets if varies(s.structures)]
    if changing:
        spread = max(s.structures.cell_spread for s in changing)
        n = sum(len(s.structures) for s in changing)
        notes.append(
            f"the cell varies: {n} structures of {some([s.name for s in changing])} have cells that differ "
            f"by up to {spread:.3g} Å; fit-gpr learns them with its local process"
        )
    untrained = [s.name for s in subsets if not len(s.division.train)]
    if untrained and len(untrained) < len(subsets):
        notes.append(
            f"{len(untrained)} of {len(subsets)} subsets have no training structure: {some(untrained)}"
        )
    untested = [s.name for s in subsets if not len(s.division.test)]
    if untested and len(untested) < len(subsets):
        notes.append(
            f"{len(untested)} of {len(subsets)} subsets have no test structure, so that evaluate says "
            f"nothing about them: {some(untested)}"
        )
    elif untested:
        notes += _told(
            [
                "no subset has test structures, so that evaluate cannot say anything about errors; lower "
                "train, raise test, or name test_inputs"
            ]
        )
    return notes


def _row(subset: _Subset) -> list[str]:
    s = subset.structures
    if s.energies is None:
        raise InputError(f"{subset.name}: energies are missing")
    largest = "–" if s.forces is None else f"{(s.forces**2).sum(-1).max() ** 0.5:.2f}"
    return [
        subset.name,
        str(s.n_atoms),
        "cell varies" if varies(s) else "yes" if s.is_periodic else "no",
        str(len(s)),
        str(len(subset.division.train)),
        str(len(subset.division.test)),
        f"{s.energies.max() - s.energies.min():.3f}",
        largest,
    ]
