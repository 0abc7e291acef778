"""`figures`: the artefacts of a working folder → the paper's figures of that case, as PDF and PNG.

Without numbers, which figures come out follows from what the folder holds: comparison of models, parity and
direction, energies of the split and of the copies, errors against δ and M; or against the calculations of
active learning. Numbers are those of the paper, see `paper_figures`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures import energy_distributions, error_bars, parity_plot, sweep_curves
from aenet_gpr_cli.figures.style import save
from aenet_gpr_cli.reports import finished_run, paper_figures, report_pictures
from aenet_gpr_cli.reports.finished_run import SURROGATE, FinishedRun, read_run, sweep_rows
from aenet_gpr_cli.stages.active import active_table
from aenet_gpr_cli.stages.shared.context import Context, Summary

SUFFIXES = (".pdf", ".png")
ACTIVE = "active.h5"
Figures = Sequence[tuple[str, Callable[[], Figure]]]


def run(
    folder: Path, output: Path, context: Context, numbers: Sequence[str] = (), paper: Path | None = None
) -> Summary:
    """Draw the figures of a working folder.

    Parameters
    ----------
    folder : Path
        Working folder of `run` or `active`.
    output : Path
        Folder of the report_pictures.
    numbers : sequence of str
        Figures of the paper, called figure_NUMBER; none: all that the folder holds, by their content.
    paper : Path, optional
        Working folder of a run by the paper's recipe, drawn into figures that have a number.

    Raises
    ------
    InputError
        If the folder holds no evaluation, there is no figure of a number, or one has no place for the recipe.
    """
    if paper is not None and not numbers:
        raise InputError(f"--paper: expected figures by their numbers, of {', '.join(paper_figures.BESIDE)}")
    if numbers:
        figures: Figures = [
            (f"figure_{number}", partial(paper_figures.draw, number, folder, paper)) for number in numbers
        ]
    elif (folder / ACTIVE).is_file():
        figures = [("active_learning", partial(active_table.draw, folder / ACTIVE))]
    else:
        figures = list(_figures(read_run(folder)))
    notes = []
    for count, (name, draw) in enumerate(figures):
        context.report(count, len(figures), f"drawing: {name}")
        figure = draw()
        for suffix in reversed(SUFFIXES):  # the PDF last: it is what a Makefile waits for
            save(figure, output / f"{name}{suffix}")
        notes.append(f"wrote {output / name}{{{','.join(SUFFIXES)}}}")
    return Summary(f"Figures of {folder}", notes=notes)


def _figures(run: FinishedRun) -> Iterator[tuple[str, Callable[[], Figure]]]:
    models = finished_run.shown_models(run)
    if SURROGATE in run.results:
        models = {SURROGATE: "", **models}
    totals = {name: run.totals[name] for name in models}
    yield "errors", partial(error_bars.plot_models, totals)
    yield "parity", lambda: parity_plot.plot(finished_run.samples_of(run, models), run.totals, models)
    yield "energies", lambda: energy_distributions.plot(report_pictures.energies_by_part(run.split))
    if sets := finished_run.sets_of_sweep(run):
        titles = finished_run.titles_of(run, sets)
        yield (
            "augmented",
            lambda: energy_distributions.plot_augmented(
                *report_pictures.augmented_energies(run.split, sets), titles
            ),
        )
    for against in ("displacement", "n_copies"):
        if (chosen := sweep_rows(run.rows, against)) is not None:
            yield f"errors_against_{against}", partial(sweep_curves.plot, chosen, against)
