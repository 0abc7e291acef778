"""The end of `active`: active.h5, its table, and a plot of error against the number of calculations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aenet_gpr_cli.config.stages.active_config import ActiveConfig
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.crossing import crossing
from aenet_gpr_cli.io.artefacts.artefact import open_artefact, publish_with_files
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.files import write_csv
from aenet_gpr_cli.stages.shared.context import Context, Summary, make_job
from aenet_gpr_cli.units import MEV_PER_EV

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND = "active"
ENDINGS = (".csv", ".png")  # of what is written beside the artefact
Row = dict[str, Any]


def errors(
    config: ActiveConfig, here: Path, number: int, n_training: int, largest: float | None
) -> list[Row]:
    """Return the rows of the table for one round, one for each model.

    Parameters
    ----------
    config : ActiveConfig
        Of the series.
    here : Path
        Folder of the round.
    number, n_training : int
        Of the round, and of structures trained on.
    largest : float or None, eV/Å or eV
        Largest σ of the pool, where it was ranked.

    Raises
    ------
    InputError
        If the test structures have no forces to compare.
    """
    metrics = json.loads((here / "metrics.json").read_text(encoding="utf-8"))
    if any(result["total"]["force_norm_mae"] is None for result in metrics.values()):
        raise InputError("active: expected test structures of more than one atom with forces, got none")
    return [
        {
            "round": number,
            "n_training": n_training,
            "largest_sigma": largest,
            "model": model,
            "strategy": config.select.strategy,
            "seed": config.seed,
            **{k: result["total"][k] for k in ("energy_mae", "force_norm_mae", "force_component_mae")},
        }
        for model, result in metrics.items()
    ]


def publish_table(
    config: ActiveConfig, rows: list[Row], reasons: Sequence[str], workdir: Path, context: Context
) -> Summary:
    """Write active.csv, active.png and active.h5.

    Parameters
    ----------
    rows : list of dict
        Of all series.
    reasons : sequence of str
        Why each ended.
    """
    from aenet_gpr_cli.figures.style import save

    output = workdir / "active.h5"
    written = [output, *(beside(output, ending) for ending in ENDINGS)]
    forces = config.select.rank_by == "forces"
    sigma = "largest σ / eV/Å" if forces else "largest σ / meV"
    columns = ("chosen", "seed", "round", "structures", sigma, "model", "E MAE / meV", "‖F‖ MAE / eV/Å")
    notes = [*reasons, *_goal(config, rows), *(f"wrote {path}" for path in written)]
    summary = Summary("Active learning", columns, [_shown(row, forces) for row in rows], notes)
    job = make_job(
        KIND, config, {}, context, {"table": hashlib.sha256(json.dumps(rows).encode()).hexdigest()}
    )
    with publish_with_files(output, job) as (file, folder):
        csv, picture = (folder / path.name for path in written[1:])
        write_csv(csv, rows)
        save(_plot(rows, config.goal), picture)
        file.attrs["rounds"] = json.dumps(rows)
        file.attrs["summary"] = summary.to_json()
    return summary


def _shown(row: Row, forces: bool) -> list[str]:
    largest = row["largest_sigma"]
    scaled = "–" if largest is None else f"{largest:.4f}" if forces else f"{largest * MEV_PER_EV:.2f}"
    return [
        row["strategy"],
        str(row["seed"]),
        str(row["round"]),
        str(row["n_training"]),
        scaled,
        row["model"],
        f"{row['energy_mae'] * MEV_PER_EV:.2f}",
        f"{row['force_norm_mae']:.4f}",
    ]


def _goal(config: ActiveConfig, rows: list[Row]) -> list[str]:
    """Say after how many calculations each series stays below the goal, between rounds as in log-log axes."""
    if config.goal is None:
        return []
    found = []
    for (model, strategy, seed), series in by_series(rows).items():
        numbers = [row["n_training"] for row in series]
        force_errors = [row["force_norm_mae"] for row in series]
        needed = crossing(numbers, force_errors, [config.goal] * len(numbers))
        said = f"more than {numbers[-1]}" if needed is None else f"{needed:.0f}"
        found.append(f"{model}, {strategy}, seed {seed}: ‖F‖ ≤ {config.goal:g} eV/Å after {said} structures")
    return found


def by_series(rows: Sequence[Row]) -> dict[tuple[str, str, int], list[Row]]:
    """Return the rows of each model, strategy and seed, in the order of the rounds."""
    series: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        series.setdefault((row["model"], row["strategy"], row["seed"]), []).append(row)
    return series


def draw(artefact: Path) -> Figure:
    """Draw errors against the number of calculations.

    Parameters
    ----------
    artefact : Path
        active.h5.
    """
    with open_artefact(artefact, KIND) as file:
        rows = json.loads(file.attrs["rounds"])
        goal = json.loads(file.attrs["config"])["goal"]
    return _plot(rows, goal)


def _plot(rows: list[Row], goal: float | None) -> Figure:
    from aenet_gpr_cli.figures import active_curves

    curves = [
        active_curves.ErrorCurve(
            model=model,
            strategy=strategy,
            n_training=[row["n_training"] for row in series],
            force_errors=[row["force_norm_mae"] for row in series],
            energy_errors=[row["energy_mae"] for row in series],
        )
        for (model, strategy, _), series in by_series(rows).items()
    ]
    return active_curves.plot(curves, goal)
