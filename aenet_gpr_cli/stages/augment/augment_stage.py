"""`augment`: split.h5 (+ gpr.h5) → augmented.h5, displaced copies of training structures.

Copies are made in blocks, one after another or side by side; each finished block is kept beside the output
until all are there, so that a killed run goes on. Nothing ever holds more than a block in memory.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import h5py

from aenet_gpr_cli.augmentation.strains import strain_freedom
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.errors import ConfigError, ResourceError
from aenet_gpr_cli.gpr.solvers.cholesky import dense_bytes
from aenet_gpr_cli.io.artefacts.artefact import open_artefact, publish_with_files
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.artefacts.structure_sets import (
    append_augmented,
    augmented_blocks,
    choose_subsets,
    load_split,
    read_augmented,
)
from aenet_gpr_cli.io.formats.copy_files import write_copies_as_extxyz, write_copies_as_xsf
from aenet_gpr_cli.stages.augment.augment_block import Block, Sources, forget, make_block, plan_blocks
from aenet_gpr_cli.stages.augment.copy_costs import forecast
from aenet_gpr_cli.stages.augment.copy_statistics import Statistics
from aenet_gpr_cli.stages.shared.context import Context, Summary, log, make_job, nothing_to_do, planned
from aenet_gpr_cli.stages.shared.many_subsets import few_rows, some
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.stages.shared.processes import run_tasks
from aenet_gpr_cli.stages.shared.subset_parts import asked_for, has_no_copies
from aenet_gpr_cli.structures import AugmentedSet, StructureSet
from aenet_gpr_cli.units import BYTES_PER_GIB, MEV_PER_EV

KIND = "augment"
FILE_BLOCK = 1024  # copies read at a time to be written for other programs
TITLE = "Augmented structures"
COLUMNS = (
    "subset", "references", "copies", "rejected", "rms δ / Å", "mean σ / meV", "max σ / meV", "ΔE range / eV",
    "outside",
)  # fmt: skip


def run(
    config: AugmentConfig,
    split: Path,
    gpr: Path | None,
    output: Path,
    context: Context,
    only: Sequence[str] = (),
) -> Summary:
    """Displace every training structure M times and label the copies.

    Parameters
    ----------
    split : Path
        Output of `split`.
    gpr : Path or None
        Output of `fit-gpr`; needed for the method gpr.
    only : sequence of str
        Do these of the subsets, to be collected with the others later (and written for other programs only
        then); empty for all.

    Raises
    ------
    ConfigError
        If the method is gpr and no model is given, a subset is asked for that the split does not have, or an
        unfinished run of another configuration is there.
    InputError
        If a subset has no model, or the model is for other atoms.
    ResourceError
        If exact σ needs more memory than allowed.
    InterruptedRun
        If the context asked to stop; finished blocks are kept.
    """
    if config.method == "gpr" and gpr is None:
        raise ConfigError("augment: method gpr needs the output of fit-gpr; give it, or set method=taylor")
    claim(KIND, output, [split, gpr], () if only else endings(config))
    inputs = {"split": split, **({"gpr": gpr} if config.method == "gpr" and gpr else {})}
    part, everyone = asked_for(split, only, passed_by=lambda s: has_no_copies(s, bool(config.strain)))
    job = make_job(KIND, config, inputs, context, part=part, whole=everyone)

    def write(file: h5py.File, folder: Path) -> None:
        write_files(config, file, list(file["subsets"]), folder, output.stem, context)

    if (done := nothing_to_do(output, job, context, write)) is not None:
        return done
    subsets = load_split(split, "train")
    _check_species(config, subsets)
    subsets = choose_subsets(subsets, list(part), split)
    counts = {name: _counts(config, len(subset)) for name, subset in subsets.items()}
    _check_memory(config, subsets)
    _check_strain(config, subsets, inputs.get("gpr"))
    cost = forecast(config, subsets, output)
    if context.dry_run:
        return planned(KIND, output, [f"{cost}; {how(config)}"])
    log.info("%s", cost)
    sources = Sources(split, inputs.get("gpr"), tuple(job.inputs.values()))
    blocks = _blocks(config, counts)
    checkpoint = Checkpoint(output, job)
    with publish_with_files(output, job) as (file, folder):
        checkpoint.prepare(context.resume, context.restart)
        _make_missing(config, sources, blocks, checkpoint, context)
        context = replace(context, keeps=True)
        totals = _join(blocks, checkpoint, file, context)
        rows = [_row(config, name, subset, totals[name]) for name, subset in subsets.items()]
        notes = [f"{how(config)}; wrote {output}"]
        if not job.part:
            write_files(config, file, list(subsets), folder, output.stem, context)
            notes += [f"wrote {beside(output, ending)}" for ending in endings(config)]
        summary = Summary(TITLE, columns(config), rows, notes, few_rows(rows, 1, (2, 3)))
        file.attrs["summary"] = summary.to_json()
    checkpoint.discard()
    return summary


def how(config: AugmentConfig) -> str:
    """Return in a few words how copies are made."""
    amount = f"M = {config.n_copies}" if config.n_total is None else f"{config.n_total} copies per subset"
    places = "adaptive" if config.mode == "adaptive" else f"δ = {config.displacement} Å"
    if config.strain:
        places += f", strain {config.strain}"
    return f"{places}, {amount}, label {config.method}"


def _check_species(config: AugmentConfig, subsets: Mapping[str, StructureSet]) -> None:
    present = {symbol for subset in subsets.values() for symbol in subset.species}
    if unknown := [symbol for symbol in config.species_displacement if symbol not in present]:
        raise ConfigError(
            f"species_displacement: none has {', '.join(unknown)}; there are {', '.join(sorted(present))}"
        )


def _check_strain(config: AugmentConfig, subsets: Mapping[str, StructureSet], gpr: Path | None) -> None:
    if not config.strain:
        return
    which = [name for name, subset in subsets.items() if strain_freedom(subset)]
    if not which:
        raise ConfigError(
            f"strain: expected crystals or slabs, got {', '.join(subsets)} with fewer than two periodic "
            "directions; set strain: 0"
        )
    if gpr is None:
        return
    with open_artefact(gpr, "fit-gpr") as file:
        full = [name for name in which if name in file["subsets"]]
    if full:
        raise ConfigError(
            f"strain: the full process of {some(full)} knows one cell and cannot label strained copies; fit "
            "with fit_gpr.model: local, or set augment.strain: 0"
        )


def _counts(config: AugmentConfig, n_structures: int) -> list[int]:
    """Return the copies of each structure; the first ones get what is left over."""
    each, more = divmod(config.copies_in_all(n_structures), n_structures)
    return [each + (number < more) for number in range(n_structures)]


def _blocks(config: AugmentConfig, counts: Mapping[str, list[int]]) -> list[Block]:
    whole = config.candidates > 1 or config.mode == "along_bond"
    return [
        block
        for name, numbers in counts.items()
        for block in plan_blocks(name, [n * config.candidates for n in numbers], config.block_size, whole)
    ]


def _check_memory(config: AugmentConfig, subsets: Mapping[str, StructureSet]) -> None:
    if config.method != "gpr" or config.label_sigma != "exact":
        return
    name, subset = max(subsets.items(), key=lambda item: dense_bytes(len(item[1]), item[1].n_atoms))
    gib = config.workers * dense_bytes(len(subset), subset.n_atoms) / BYTES_PER_GIB
    if gib > config.max_memory_gib:
        raise ResourceError(
            f"sigma: exact needs {gib:.2f} GiB for {config.workers} dense factors of {name}, max_memory_gib "
            f"allows {config.max_memory_gib:g}; use sigma: bound, or fewer workers"
        )


def _make_missing(
    config: AugmentConfig, sources: Sources, blocks: list[Block], checkpoint: Checkpoint, context: Context
) -> None:
    """Make the blocks that the checkpoint does not hold."""
    have = {name for part in checkpoint.finished().values() for name in part}
    if have:
        log.info("%d of %d blocks are finished already", len(have), len(blocks))
    tasks = {
        b.name: (config, sources, b, checkpoint.path_of((b.name,)), checkpoint.job_of((b.name,)))
        for b in blocks
        if b.name not in have
    }
    said = {b.name: f"making copies of {b.subset}" for b in blocks}
    try:
        with contextlib.closing(run_tasks(make_block, tasks, config.workers, context, said)) as results:
            for _, result in results:
                if isinstance(result, Exception):
                    raise result
    finally:
        forget()


def _join(
    blocks: list[Block], checkpoint: Checkpoint, file: h5py.File, context: Context
) -> dict[str, Statistics]:
    """Copy the blocks into the artefact, and add up their statistics."""
    totals: dict[str, Statistics] = {}
    for done, block in enumerate(blocks):
        context.report(done, len(blocks), "putting copies together")
        with open_artefact(checkpoint.path_of((block.name,)), KIND) as part:
            append_augmented(
                file.require_group(f"subsets/{block.subset}"), read_augmented(part[f"subsets/{block.subset}"])
            )
            statistics = Statistics(**json.loads(part.attrs["statistics"]))
        totals[block.subset] = totals.get(block.subset, Statistics()) + statistics
    for name, total in totals.items():
        file[f"subsets/{name}"].attrs["rms_displacement"] = total.rms_displacement
        file[f"subsets/{name}"].attrs["rms_strain"] = total.rms_strain
        _report(name, total)
    return totals


def _report(name: str, total: Statistics) -> None:
    rejected = total.rejected or {}
    if rejected.get("total"):
        reasons = ", ".join(f"{n} by {reason}" for reason, n in rejected.items() if n and reason != "total")
        log.info("%s: rejected %d of %d copies (%s)", name, rejected["total"], total.candidates, reasons)
    if not total.accepted:
        log.warning("%s: every copy was rejected; loosen max_sigma, minimum_distance or energy_window", name)


def columns(config: AugmentConfig) -> tuple[str, ...]:
    """Return the columns of the table: with the strain where there is one."""
    return (*COLUMNS[:5], *(["rms ε / %"] if config.strain else []), *COLUMNS[5:])


def _row(config: AugmentConfig, name: str, subset: StructureSet, total: Statistics) -> list[str]:
    some, lowest = total.accepted > 0, subset.energies.min() if subset.energies is not None else 0.0
    has_sigma = some and total.sigma_sum is not None and total.sigma_max is not None
    return [
        name,
        str(len(subset)),
        str(total.accepted),
        str((total.rejected or {}).get("total", 0)),
        f"{total.rms_displacement:.4f}" if some else "–",
        *([f"{100 * total.rms_strain:.3f}" if some else "–"] if config.strain else []),
        f"{total.sigma_sum / total.accepted * MEV_PER_EV:.2f}" if has_sigma else "–",  # type: ignore[operator]
        f"{total.sigma_max * MEV_PER_EV:.2f}" if has_sigma else "–",  # type: ignore[operator]
        f"{total.energy_low - lowest:.3f} … {total.energy_high - lowest:.3f}" if some else "–",
        "–" if total.n_outside is None else str(total.n_outside),
    ]


def endings(config: AugmentConfig) -> list[str]:
    """Return how the names of the files for other programs end."""
    return [{"extxyz": "_copies.extxyz", "xsf": "_xsf/"}[name] for name in sorted(config.write)]


def write_files(
    config: AugmentConfig, file: h5py.File, names: Sequence[str], folder: Path, stem: str, context: Context
) -> None:
    """Write the copies in the formats of other programs, block by block.

    Parameters
    ----------
    file : h5py.File
        Holds them.
    names : sequence of str
        Subsets, in the order wanted.
    folder : Path
        Where to.
    stem : str
        With what the names of the files begin.
    """
    groups = {name: file[f"subsets/{name}"] for name in names}
    for ending in endings(config):
        path = folder / f"{stem}{ending}"
        if ending.endswith("/"):
            for name, group in groups.items():
                write_copies_as_xsf(path / name, _read_again(group, config, context))
        else:
            blocks = (_read_again(group, config, context) for group in groups.values())
            write_copies_as_extxyz(path, chain.from_iterable(blocks))


def _read_again(group: h5py.Group, config: AugmentConfig, context: Context) -> Iterator[AugmentedSet]:
    done, total = 0, len(group["copies"])
    for block in augmented_blocks(group, min(config.block_size, FILE_BLOCK)):
        context.report(done, total, "writing copies")
        yield block
        done += len(block)
