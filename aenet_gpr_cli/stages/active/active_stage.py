"""`active`: rounds of split → fit-gpr → augment → train-ann → evaluate → select → label.

Every round is a folder with the artefacts of these stages; a stage whose inputs have not changed does
nothing, so that an interrupted run goes on where it was. Ends with active.h5, its table and a plot of error
against the number of reference calculations (`active_table`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aenet_gpr_cli.config.keys import StageConfig
from aenet_gpr_cli.config.stages.active_config import SEEDED, ActiveConfig
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.workflow_config import TrainVariant, WorkflowConfig
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.io.formats.published import PREFIX
from aenet_gpr_cli.stages import label_stage as label
from aenet_gpr_cli.stages import select_stage as select
from aenet_gpr_cli.stages.active import active_table
from aenet_gpr_cli.stages.shared.context import Context, Summary, log
from aenet_gpr_cli.stages.shared.outputs import claim, refuse_changed
from aenet_gpr_cli.stages.workflow_steps import steps
from aenet_gpr_cli.units import MEV_PER_EV

ROUND_SEEDS = 1000  # between the seeds of rounds: more than repeats


@dataclass(frozen=True, slots=True)
class _Series:
    """One course of rounds: the configuration with its own strategy and seeds, and where it is written."""

    config: ActiveConfig
    folder: Path
    workdir: Path


def run(config: ActiveConfig, folder: Path, workdir: Path, context: Context) -> Summary:
    """Run rounds until the target σ or the budget is reached; once more at random where asked for.

    Parameters
    ----------
    folder : Path
        Relative paths of the configuration start here.
    workdir : Path
        Every artefact is written here.

    Raises
    ------
    ConfigError
        If no calculator is named, or it cannot be imported.
    InterruptedRun
        If the context asked to stop; what is finished is kept.
    """
    label.require_calculator(config.label.calculator, "label.calculator.name")
    sources = [*config.pool, *config.split.inputs, *config.split.test_inputs, *config.split.train_inputs]
    claim(
        active_table.KIND,
        workdir / "active.h5",
        [_absolute(text, folder) for text in sources],
        active_table.ENDINGS,
    )
    refuse_changed(workdir / "active.h5")
    workdir.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    reasons: list[str] = []
    for series in _series(config, folder, workdir):
        found, why = _rounds(series, context)
        rows += found
        reasons.append(why if series.workdir == workdir else f"{series.workdir.name}: {why}")
    return active_table.publish_table(config, rows, reasons, workdir, context)


def _series(config: ActiveConfig, folder: Path, workdir: Path) -> Iterator[_Series]:
    """One for each strategy and seed; alone it has the whole folder."""
    strategies = [config.select.strategy]
    if config.compare == "random" and "random" not in strategies:
        strategies.append("random")
    for repeat in range(config.repeats):
        for strategy in strategies:
            own = _reseeded(config, repeat)
            own = replace(own, select=replace(own.select, strategy=strategy))
            alone = len(strategies) * config.repeats == 1
            yield _Series(own, folder, workdir if alone else workdir / f"{strategy}_{own.seed}")


def _reseeded(config: ActiveConfig, by: int) -> ActiveConfig:
    changes: dict[str, Any] = {"seed": config.seed + by}
    for key in SEEDED:
        section: StageConfig | None = getattr(config, key)
        if section is not None:
            changes[key] = replace(section, **{"seed": getattr(section, "seed") + by})  # noqa: B009
    return replace(config, **changes)


def _rounds(series: _Series, context: Context) -> tuple[list[dict[str, Any]], str]:
    """Run the rounds of one series; return the rows of its table and why it ended."""
    config, workdir = series.config, series.workdir
    context = replace(context, keeps=True)  # earlier steps and rounds
    pool = [Path(_absolute(text, series.folder)) for text in config.pool]
    known: set[str] = set()
    labelled: list[str] = []
    rows: list[dict[str, Any]] = []
    earlier: Path | None = None
    if config.start is not None:
        drawn = replace(config.select, strategy="random", n_select=config.start, threshold=None)
        select.run(drawn, None, pool, workdir / "start" / "selected.h5", context)
        _calculate(config, workdir / "start", "start", labelled, known, context)
    for number in range(config.rounds + 1):
        here = workdir / f"round_{number:02d}"
        context.report(number, config.rounds + 1, f"{workdir.name}, round {number}")
        for step in steps(_workflow(config, labelled), series.folder, here, earlier=earlier):
            step(context)
        earlier = here if config.warm_start else None
        n_training = sum(len(subset) for subset in load_split(here / "split.h5", "train").values())
        chosen = replace(config.select, seed=config.select.seed + ROUND_SEEDS * (number + 1))
        select.run(chosen, _model(config, here), pool, here / "selected.h5", context, known)
        rows += active_table.errors(config, here, number, n_training, _largest_sigma(here / "selected.h5"))
        _tell(rows[-1])
        if (why := _reason_to_end(config, rows[-1])) is not None:
            break
        _calculate(config, here, f"{number:02d}", labelled, known, context)
    assert why is not None  # the last round has one
    return rows, why


def _calculate(
    config: ActiveConfig, here: Path, name: str, labelled: list[str], known: set[str], context: Context
) -> None:
    """Label what was selected; add its folder to ``labelled`` and its names to ``known``."""
    output = here / f"labelled_{name}.h5"
    label.run(config.label, [here / "selected.h5"], output, context)
    labelled.append(str(beside(output, "_xsf").absolute()))
    known |= {s.name for s in select.load_selected(here / "selected.h5")}


def _reason_to_end(config: ActiveConfig, row: active_table.Row) -> str | None:
    """Say why there is no other round after that of the row, which is of the last model; None: there is."""
    largest, number = row["largest_sigma"], row["round"]
    if config.target_sigma is not None and largest is not None and largest <= config.target_sigma:
        unit = "eV/Å" if config.select.rank_by == "forces" else "eV"
        return f"no structure of the pool has a larger σ than {config.target_sigma} {unit}"
    if config.goal is not None and row["force_norm_mae"] <= config.goal:
        return f"the error of ‖F‖ on the test structures is {config.goal} eV/Å or less ({row['model']})"
    if config.budget is not None and row["n_training"] + (config.select.n_select or 0) > config.budget:
        return f"the budget of {config.budget} structures is spent"
    return f"{config.rounds} rounds are done" if number == config.rounds else None


def _workflow(config: ActiveConfig, labelled: list[str]) -> WorkflowConfig:
    """Return the workflow of a round: that of the configuration, with what was labelled so far."""
    split = replace(config.split, train_inputs=(*config.split.train_inputs, *labelled))
    copies: dict[str, AugmentConfig] = {}
    trainings: dict[str, TrainVariant] = {}
    if config.augment is not None and config.train_ann is not None:
        variant = config.augment.method
        copies[variant] = config.augment
        trainings[variant] = TrainVariant(**vars(config.train_ann))
    return WorkflowConfig(
        name=config.name,
        split=split,
        fit_gpr=config.fit_gpr,
        augment=copies,
        train_ann=trainings,
        evaluate=config.evaluate,
    )


def _model(config: ActiveConfig, here: Path) -> Path | None:
    """Return the model that ranks the pool; none where neither the choice nor the end depends on it."""
    if config.select.strategy == "random" and config.target_sigma is None:
        return None
    if config.rank == "committee" and config.augment is not None:
        return here / f"ann_{config.augment.method}.h5"
    return here / "gpr.h5"


def _absolute(text: str, folder: Path) -> str:
    return text if text.startswith(PREFIX) or Path(text).is_absolute() else str(folder / text)


def _largest_sigma(selected: Path) -> float | None:
    with open_artefact(selected, select.KIND) as file:
        largest = float(file.attrs["largest_sigma"])
    return largest if np.isfinite(largest) else None


def _tell(row: active_table.Row) -> None:
    log.info(
        "round %d: %d structures, %s: %.2f meV, %.4f eV/Å",
        row["round"],
        row["n_training"],
        row["model"],
        row["energy_mae"] * MEV_PER_EV,
        row["force_norm_mae"],
    )
