"""`active`: rounds of split → fit-gpr → augment → train-ann → evaluate → select → label.

Every round is a folder with the artefacts of these stages; a stage whose inputs have not changed does
nothing, so that an interrupted run goes on where it was. Ends with active.h5, its table and a plot of error
against the number of reference calculations.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aenet_gpr_cli.config.active import ActiveConfig
from aenet_gpr_cli.config.workflow import WorkflowConfig
from aenet_gpr_cli.io.artefact import open_artefact, publish
from aenet_gpr_cli.io.published import PREFIX
from aenet_gpr_cli.io.sources import source_hashes
from aenet_gpr_cli.io.structures import load_split
from aenet_gpr_cli.io.tables import write_csv
from aenet_gpr_cli.stages import label, select
from aenet_gpr_cli.stages.base import Context, Summary, log, make_job
from aenet_gpr_cli.stages.workflow import steps
from aenet_gpr_cli.units import MEV_PER_EV

KIND = "active"
COLUMNS = ("round", "training structures", "largest σ / meV", "model", "E MAE / meV", "‖F‖ MAE / eV/Å")


def run(config: ActiveConfig, folder: Path, workdir: Path, context: Context) -> Summary:
    """Run rounds until the target σ or the budget is reached.

    Parameters
    ----------
    config : ActiveConfig
    folder : Path
        Relative paths of the configuration start here.
    workdir : Path
        Every artefact is written here.
    context : Context

    Returns
    -------
    Summary

    Raises
    ------
    InterruptedRun
        If the context asked to stop; what is finished is kept.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    pool = [Path(_absolute(text, folder)) for text in config.pool]
    known: set[str] = set()
    labelled: list[str] = []
    rows: list[dict[str, Any]] = []
    why = f"{config.rounds} rounds are done"
    for number in range(config.rounds + 1):
        here = workdir / f"round_{number:02d}"
        context.report(number, config.rounds + 1, f"round {number}")
        for step in steps(_workflow(config, labelled), folder, here):
            step(context)
        n_training = sum(len(subset) for subset in load_split(here / "split.h5", "train").values())
        last = number == config.rounds
        wanted = config.select.n_select or 0
        if config.budget is not None and n_training + wanted > config.budget:
            last, why = True, f"the budget of {config.budget} structures is spent"
        selected = here / "selected.h5"
        seeded = config.select.model_copy(update={"seed": config.select.seed + number})
        select.run(seeded, _model(here), pool, selected, context, known)
        largest = _largest_sigma(selected)
        if config.target_sigma is not None and largest <= config.target_sigma:
            last, why = True, f"no structure of the pool has a larger σ than {config.target_sigma} eV"
        rows += _errors(here, number, n_training, largest)
        _tell(rows[-1])
        if last:
            break
        output = here / f"labelled_{number:02d}.h5"
        label.run(config.label, [selected], output, context)
        labelled.append(str(output.with_suffix("").absolute()))
        known |= {s.name for s in select.load_selected(selected)}
    return _finish(config, rows, why, workdir, context)


def _workflow(config: ActiveConfig, labelled: list[str]) -> WorkflowConfig:
    """Return the workflow of a round: that of the configuration, with what was labelled so far."""
    split = config.split.model_copy(update={"train_inputs": [*config.split.train_inputs, *labelled]})
    sections: dict[str, Any] = {"split": split.model_dump(exclude_unset=False)}
    sections["fit_gpr"], sections["evaluate"] = config.fit_gpr.model_dump(), config.evaluate.model_dump()
    if config.augment is not None and config.train_ann is not None:
        variant = config.augment.method
        sections["augment"] = {variant: config.augment.model_dump()}
        sections["train_ann"] = {variant: config.train_ann.model_dump()}
    return WorkflowConfig.model_validate({"name": config.name, **sections})


def _model(here: Path) -> Path:
    """Return the model that ranks the pool: the process, which has a σ in every round."""
    return here / "gpr.h5"


def _absolute(text: str, folder: Path) -> str:
    return text if text.startswith(PREFIX) or Path(text).is_absolute() else str(folder / text)


def _largest_sigma(selected: Path) -> float:
    with open_artefact(selected, select.KIND) as file:
        return float(file.attrs["largest_sigma"])


def _errors(here: Path, number: int, n_training: int, largest: float) -> list[dict[str, Any]]:
    metrics = json.loads((here / "metrics.json").read_text(encoding="utf-8"))
    return [
        {
            "round": number,
            "n_training": n_training,
            "largest_sigma": largest,
            "model": model,
            **{k: result["total"][k] for k in ("energy_mae", "force_norm_mae", "force_component_mae")},
        }
        for model, result in metrics.items()
    ]


def _tell(row: dict[str, Any]) -> None:
    log.info(
        "round %d: %d structures, largest σ %.2f meV, %s: %.2f meV, %.4f eV/Å",
        row["round"],
        row["n_training"],
        row["largest_sigma"] * MEV_PER_EV,
        row["model"],
        row["energy_mae"] * MEV_PER_EV,
        row["force_norm_mae"],
    )


def _finish(
    config: ActiveConfig, rows: list[dict[str, Any]], why: str, workdir: Path, context: Context
) -> Summary:
    output = workdir / "active.h5"
    write_csv(output.with_suffix(".csv"), rows)
    written = [output, output.with_suffix(".csv"), _draw(rows, output.with_suffix(".png"))]
    table = [
        [
            str(row["round"]),
            str(row["n_training"]),
            f"{row['largest_sigma'] * MEV_PER_EV:.2f}",
            row["model"],
            f"{row['energy_mae'] * MEV_PER_EV:.2f}",
            f"{row['force_norm_mae']:.4f}",
        ]
        for row in rows
    ]
    summary = Summary("Active learning", COLUMNS, table, [why, *(f"wrote {path}" for path in written)])
    hashes = source_hashes([output.with_suffix(".csv")])
    job = make_job(KIND, config, {}, context, {"table": next(iter(hashes.values()))})
    with publish(output, job) as file:
        file.attrs["rounds"] = json.dumps(rows)
        file.attrs["summary"] = summary.to_json()
    return summary


def _draw(rows: list[dict[str, Any]], path: Path) -> Path:
    from aenet_gpr_cli.figures import active_learning
    from aenet_gpr_cli.figures.style import save

    curves = {
        model: [(r["n_training"], r["force_norm_mae"], r["energy_mae"]) for r in rows if r["model"] == model]
        for model in dict.fromkeys(row["model"] for row in rows)
    }
    save(active_learning.plot(curves), path)
    return path
