"""`split`: structure files → split.h5, homogeneous subsets divided into training and test structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.io.artefacts.artefact import publish
from aenet_gpr_cli.io.artefacts.structure_sets import PARTS, write_structures
from aenet_gpr_cli.io.formats.published import PREFIX, resolve
from aenet_gpr_cli.io.formats.sources import read_data, source_hashes, source_labels
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
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.structures import Structure, StructureSet
from aenet_gpr_cli.subsystems.checks import (
    check_forces,
    check_net_force,
    missing_forces,
    require_labels,
    require_one_state,
    unlike_moments,
)
from aenet_gpr_cli.subsystems.geometry import duplicates, unwrap
from aenet_gpr_cli.subsystems.grouping import group
from aenet_gpr_cli.subsystems.plausibility import implausible
from aenet_gpr_cli.subsystems.sampling import Division, by_names, leaking, match_names, sample

KIND = "split"
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
DEFAULT_TRAIN = 0.25  # of each subset, when nothing is said about the division; as in the paper
SHOWN = 3  # names per warning
MANY_CELLS = 4  # of one formula, with fewer structures than that in each: the cell varies


@dataclass(slots=True)
class _Subset:
    """One subset on its way into the artefact, with what the user should know about it."""

    name: str
    structures: StructureSet
    division: Division
    warnings: list[str] = field(default_factory=list)


def run(config: SplitConfig, folder: Path, output: Path, context: Context) -> Summary:
    """Read, group and divide structures.

    Parameters
    ----------
    folder : Path
        Relative paths of the configuration start here.

    Raises
    ------
    ConfigError
        If no inputs are given.
    InputError
        If files are missing or wrong, or lack energies or forces.
    """
    if not config.inputs and not (config.train_inputs and config.test_inputs):
        raise ConfigError("split: expected at least one file or folder in `inputs`, got none")
    train_paths = [_locate(text, folder) for text in config.inputs]
    test_paths = [_locate(text, folder) for text in config.test_inputs]
    more_paths = [_locate(text, folder) for text in config.train_inputs]
    paths = [*train_paths, *test_paths, *more_paths]
    lists = {key: folder / text for key in ("train_list", "test_list") if (text := getattr(config, key))}
    claim(KIND, output, [*paths, *lists.values()])
    job = make_job(KIND, _without_folders(config), lists, context, by_name(source_hashes(paths)))
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    data = read_data(paths, config, context.report)
    structures = data.structures
    require_labels(structures, energies=True, forces=config.require_forces)
    notes_on_states = [*require_one_state(structures), *unlike_moments(structures)]
    chosen = _chosen_names(config, structures, train_paths, test_paths, more_paths, lists)
    more = _names_in(structures, paths, len(more_paths))
    subsets = [_prepare(config, name, members, chosen, more) for name, members in group(structures).items()]
    notes = _about_all(subsets, notes_on_states) + _notes(data, subsets, output)
    summary = Summary("Subsets", COLUMNS, [_row(s) for s in subsets], notes)
    if context.dry_run:
        return planned(KIND, output, [" ".join(row) for row in summary.rows])
    with publish(output, job) as file:
        for part in PARTS:
            file.create_group(part)
        for subset in subsets:
            for part, index in (("train", subset.division.train), ("test", subset.division.test)):
                if len(index):
                    write_structures(
                        file.create_group(f"{part}/{subset.name}"), subset.structures.select(index)
                    )
        file.attrs["energy_definition"] = data.definition
        file.attrs["summary"] = summary.to_json()
    return summary


def check_inputs(config: SplitConfig, folder: Path) -> None:
    """Make sure that every file and folder that the configuration names is there.

    Parameters
    ----------
    folder : Path
        Relative paths start here.

    Raises
    ------
    InputError
        Naming what is missing.
    """
    lists = [text for text in (config.train_list, config.test_list) if text]
    check_present("split", [*config.inputs, *config.test_inputs, *config.train_inputs, *lists], folder)


def check_present(key: str, named: Sequence[str], folder: Path) -> None:
    """Make sure that files and folders of a configuration are there.

    Parameters
    ----------
    key : str
        That names them.
    folder : Path
        Relative paths start here.

    Raises
    ------
    InputError
        Naming what is missing.
    """
    paths = [resolve(_locate(text, folder)) for text in named]
    if missing := [str(path) for path in paths if not path.exists()]:
        raise InputError(f"{key}: expected these inputs, but they do not exist: {', '.join(missing)}")


def _locate(text: str, folder: Path) -> str:
    return text if text.startswith(PREFIX) or Path(text).is_absolute() else str(folder / text)


def _without_folders(config: SplitConfig) -> SplitConfig:
    """Return the configuration as it counts for being up to date: where the files lie does not matter."""

    def names(paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(Path(path).name for path in paths)

    return replace(
        config,
        inputs=names(config.inputs),
        test_inputs=names(config.test_inputs),
        train_inputs=names(config.train_inputs),
        train_list=config.train_list and Path(config.train_list).name,
        test_list=config.test_list and Path(config.test_list).name,
    )


def _chosen_names(
    config: SplitConfig,
    structures: list[Structure],
    train_paths: list[str],
    test_paths: list[str],
    more_paths: list[str],
    lists: dict[str, Path],
) -> tuple[set[str] | None, set[str] | None] | None:
    """Return the given names of training and test structures; None where they are drawn at random."""
    names = [s.name for s in structures]
    if test_paths:
        labels = source_labels([*train_paths, *test_paths, *more_paths])
        train, both = len(train_paths), len(train_paths) + len(test_paths)
        return match_names(names, labels[:train]), match_names(names, labels[train:both])
    if not lists:
        return None
    chosen: dict[str, set[str]] = {}
    for key, path in lists.items():
        entries = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        chosen[key] = match_names(names, [e for e in entries if e and not e.startswith("#")])
    return chosen.get("train_list"), chosen.get("test_list")


def _names_in(structures: list[Structure], paths: list[str], n_last: int) -> set[str]:
    """Return the names of the structures in the last of the sources."""
    if n_last == 0:
        return set()
    return match_names([s.name for s in structures], source_labels(paths)[-n_last:])


def _divide(
    config: SplitConfig,
    names: tuple[str, ...],
    subset: str,
    chosen: tuple[set[str] | None, set[str] | None] | None,
    more: set[str],
) -> Division:
    """Divide a subset; what is in ``more`` trains and takes no part in the division."""
    others = [i for i, name in enumerate(names) if name not in more]
    if not others:
        return Division(np.arange(len(names)), np.arange(0))
    divided = tuple(names[i] for i in others)
    if chosen is None:
        train = DEFAULT_TRAIN if config.train is None else config.train
        division = sample(divided, subset, config.seed, train, config.test)
    else:
        division = by_names(divided, subset, *chosen)
    index = np.array(others, np.int64)
    added = np.setdiff1d(np.arange(len(names)), index)
    return Division(np.union1d(index[division.train], added), index[division.test], division.notes)


def _prepare(
    config: SplitConfig,
    name: str,
    members: list[Structure],
    chosen: tuple[set[str] | None, set[str] | None] | None,
    more: set[str],
) -> _Subset:
    structures = StructureSet.from_structures(members)
    warnings: list[str] = []
    if structures.atom_orders is not None:
        moved = [s.name for s in members if s.atom_order is not None]
        warnings.append(
            f"{name}: atoms in another order in {_some(moved)}; put into that of {_first_in_order(members)}"
        )
    if config.unwrap and structures.is_periodic:
        unwrapped = unwrap(structures)
        structures = unwrapped.structures
        if unwrapped.n_atoms_shifted:
            log.info("%s: %d atoms shifted by lattice vectors", name, unwrapped.n_atoms_shifted)
        if unwrapped.jumping:
            warnings.append(
                f"{name}: atoms far from their place in the first structure in {_some(unwrapped.jumping)}"
            )
    division = _divide(config, structures.names, name, chosen, more)
    pairs = duplicates(structures, config.duplicate_tolerance)
    if pairs:
        named = [f"{structures.names[i]} = {structures.names[j]}" for i, j, _ in pairs]
        warnings.append(f"{name}: {len(pairs)} pairs of duplicate structures: {_some(named)}")
    if leaks := leaking(division, pairs):
        warnings.append(f"{name}: {len(leaks)} duplicates are in both training and test; remove them")
    warnings += [f"{name}: {what}" for what in implausible(structures)]
    if structures.forces is None and (n_dropped := sum(s.forces is not None for s in members)):
        rest = len(members) - n_dropped
        warnings.append(
            f"{name}: the forces of {n_dropped} structures are not used, as {rest} of the subset have none; "
            "leave those out to train on forces"
        )
    if config.minimum_distance > 0:
        warnings += _too_close(name, structures, config.minimum_distance)
    if config.check_forces and structures.forces is not None:
        if (wrong := missing_forces(structures)) is not None:
            raise InputError(
                f"{name}: {wrong}, so they are missing; expected forces in eV/Å. Leave their column out and "
                "set require_forces: false, or take them as they are with check_forces: false"
            )
        check = check_forces(structures)
        if check.is_warning:
            warnings.append(f"{name}: {check.message}")
        if (net := check_net_force(structures)) is not None:
            warnings.append(f"{name}: {net}")
    return _Subset(name, structures, division, warnings)


def _about_all(subsets: list[_Subset], said: list[str]) -> list[str]:
    """Return warnings about the whole set: those given, a cell that varies, no test structures."""
    kinds: dict[tuple[object, ...], list[_Subset]] = {}
    for subset in subsets:
        s = subset.structures
        if s.is_periodic and s.cells is not None:
            kinds.setdefault((s.pbc, tuple(sorted(s.species))), []).append(subset)
    for parts in kinds.values():
        n = sum(len(part.structures) for part in parts)
        if len(parts) > MANY_CELLS and n < MANY_CELLS * len(parts):
            cells = np.concatenate(
                [part.structures.cells for part in parts if part.structures.cells is not None]
            )
            said.append(
                f"the cell varies: {n} structures of {parts[0].structures.formula} have cells that differ "
                f"by up to {np.ptp(cells, axis=0).max():.3g} Å, and become {len(parts)} subsets, each with "
                "its own cell; a Gaussian process on distances holds for one cell only"
            )
    if not any(len(subset.division.test) for subset in subsets):
        said.append(
            "no subset has test structures, so that evaluate cannot say anything about errors; lower train, "
            "raise test, or name test_inputs"
        )
    for text in said:
        log.warning("%s", text)
    return [f"warning: {text}" for text in said]


def _too_close(name: str, structures: StructureSet, limit: float) -> list[str]:
    from aenet_gpr_cli.subsystems.contacts import close_contacts  # loads compiled code

    if not (close := close_contacts(structures, limit)):
        return []
    named = [f"{structures.names[s]} (atoms {i} and {j}, {r:.3f} Å)" for s, i, j, r in close]
    return [f"{name}: {len(close)} pairs of atoms closer than {limit} Å: {_some(named)}"]


def _first_in_order(members: list[Structure]) -> str:
    return next(s.name for s in members if s.atom_order is None)


def _row(subset: _Subset) -> list[str]:
    s = subset.structures
    if s.energies is None:
        raise InputError(f"{subset.name}: energies are missing")
    largest = "–" if s.forces is None else f"{(s.forces**2).sum(-1).max() ** 0.5:.2f}"
    return [
        subset.name,
        str(s.n_atoms),
        "yes" if s.is_periodic else "no",
        str(len(s)),
        str(len(subset.division.train)),
        str(len(subset.division.test)),
        f"{s.energies.max() - s.energies.min():.3f}",
        largest,
    ]


def _notes(data: DataSet, subsets: list[_Subset], output: Path) -> list[str]:
    for warning in data.warnings():
        log.warning("%s", warning)
    for subset in subsets:
        for warning in subset.warnings:
            log.warning("%s", warning)
        for note in subset.division.notes:
            log.info("%s", note)
    notes = [*data.lines(), f"energies: {data.definition}"]
    notes += [f"warning: {w}" for w in (*data.warnings(), *(w for s in subsets for w in s.warnings))]
    notes += [note for s in subsets for note in s.division.notes]
    return [*notes, f"wrote {output}"]


def _some(items: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
