"""What the stages of a workflow take, told before they run: time on one core, and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from aenet_gpr_cli.config.workflow_config import WorkflowConfig
from aenet_gpr_cli.io.artefacts.structure_sets import choose_subsets, load_parts
from aenet_gpr_cli.stages.augment.copy_costs import PROGRAM_GIB, augment_gib
from aenet_gpr_cli.stages.fit_gpr.contest import full_seconds
from aenet_gpr_cli.stages.fit_gpr.fit_local_stage import local_gib, local_seconds
from aenet_gpr_cli.stages.fit_gpr.model_kinds import full_candidates, local_is_fitted, passed_by
from aenet_gpr_cli.stages.shared.context import Context, Summary, is_up_to_date
from aenet_gpr_cli.stages.shared.subset_parts import has_no_copies
from aenet_gpr_cli.stages.submit.job_times import augment_seconds, evaluate_seconds, train_seconds
from aenet_gpr_cli.stages.submit.memory_needs import OTHER_GIB, fit_gib, train_gib
from aenet_gpr_cli.stages.submit.training_size import TrainingSize
from aenet_gpr_cli.stages.workflow_steps import ORDER, Step, gaussian_processes, model_names
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.text import rounded

COLUMNS = ("stage", "what", "time", "memory / GiB")
STATE = "state"  # column of a dry run
CAUTION = 5.0  # times that measured times are shorter than counted ones, at most
SHORTEST = 5.0  # s: below it, a start of the program takes longer than the work
TITLE = "Forecast, one core"
Row = tuple[str, str, str, str]
Subsets = Mapping[str, StructureSet]
Divided = dict[str, dict[str, StructureSet]]


def steps_with_forecast(
    steps: Iterator[Callable[..., Summary]],
    config: WorkflowConfig,
    workdir: Path,
    until: str | None,
    dry_run: bool,
) -> Iterator[Step]:
    """Yield the stages of a run with a forecast after the first one, which divides the structures.

    Parameters
    ----------
    steps : iterator of callable
        As of `workflow_steps.steps`.
    dry_run : bool
        Whether the forecast stands for all later stages: before the first one has run they have no inputs.
    """
    divided: Divided = {}
    yield partial(next(steps), divided=divided)
    if until == "split":
        return
    if dry_run:
        yield partial(run, config, workdir, until, divided, tuple(steps))
        return
    yield partial(run, config, workdir, until, divided, ())
    yield from steps


def run(
    config: WorkflowConfig,
    workdir: Path,
    until: str | None,
    divided: Divided,
    later: Sequence[Step],
    context: Context,
) -> Summary:
    """Return the table of what the stages after `split` take.

    Parameters
    ----------
    divided : dict
        Training and test structures, see `split_stage.run`; empty where split.h5 has them.
    later : sequence of callable
        The stages themselves, one for each row, which say in a dry run whether they are up to date.
    """
    parts = divided or load_parts(workdir / "split.h5")
    last = ORDER.index(until) if until else len(ORDER)
    rows = [row for row in _rows(config, parts["train"], parts["test"]) if ORDER.index(row[0]) <= last]
    notes = ["times are counted, not measured"]
    if not later:
        notes[0] += "; a stage that is up to date takes none"
    if any(not variant.network.decided for variant in config.train_ann.values()):
        notes.append("networks: at most so large; evidence chooses their descriptor when they are trained")
    if not later:
        return Summary(TITLE, COLUMNS, rows, notes)
    todo = dict[str, bool]()
    for (artefact, needs), step in zip(_needs(config).items(), later, strict=False):  # until may end it
        todo[artefact] = bool(divided) or any(todo[n] for n in needs) or not is_up_to_date(step(context))
    states = ["to do" if to_do else "up to date" for to_do in todo.values()]
    notes.append(f"nothing was written; all of it would go to {workdir}")
    return Summary(TITLE, (*COLUMNS, STATE), [(*row, s) for row, s in zip(rows, states, strict=True)], notes)


def _needs(config: WorkflowConfig) -> dict[str, Sequence[str]]:
    """Return the artefacts after split.h5 in order, each with those of the others that it is made from."""
    sources = {f"ann_{name}": config.source_of(variant) for name, variant in config.train_ann.items()}
    return {
        **dict.fromkeys(gaussian_processes(config), ()),
        **{f"augmented_{n}": ("gpr",) if v.method == "gpr" else () for n, v in config.augment.items()},
        **{name: (f"augmented_{source}",) if source else () for name, source in sources.items()},
        **({"metrics": models} if (models := model_names(config)) else {}),
        "benchmark": (),
    }


def _rows(config: WorkflowConfig, subsets: Subsets, test: Subsets) -> Iterator[Row]:
    yield from _fits(config, subsets)
    for name, variant in config.augment.items():
        strained = bool(variant.strain)
        shaped = {n: subset for n, subset in subsets.items() if not has_no_copies(subset, strained)}
        copies = sum(variant.copies_in_all(len(subset)) for subset in shaped.values())
        seconds = sum(augment_seconds(variant, subset) for subset in shaped.values())
        gib = max((augment_gib(variant, subset) for subset in shaped.values()), default=PROGRAM_GIB)
        yield "augment", f"{name}: {copies} copies", _range(seconds), f"{gib:.1f}"
    for name, training in config.train_ann.items():
        source = config.source_of(training)
        given = training, subsets, config.augment[source] if source else None
        size = TrainingSize.of(*given)
        what = f"{name}: {training.n_members} × {size.n_weights} weights, {size.n_structures} structures"
        yield (
            "train-ann",
            what,
            _range(training.n_members * train_seconds(*given)),
            f"{train_gib(*given):.1f}",
        )
    if models := model_names(config):
        what = f"{len(models)} models, {sum(map(len, test.values()))} structures"
        yield "evaluate", what, _range(evaluate_seconds(len(models), test)), f"{OTHER_GIB:.1f}"
    if config.benchmark is not None:
        yield "benchmark", "depends on how each training goes", "unknown", "unknown"


def _fits(config: WorkflowConfig, subsets: Subsets) -> Iterator[Row]:
    for output, section in gaussian_processes(config).items():
        wanted = section.subsets or [name for name, s in subsets.items() if not passed_by(section, s)]
        chosen = choose_subsets(dict(subsets), wanted, Path("split.h5"))
        full = full_candidates(section, chosen)
        seconds, kinds = sum(full_seconds(section, subset) for subset in full.values()), []
        gib = max((fit_gib(section, subset) for subset in full.values()), default=PROGRAM_GIB)
        if full:
            kinds.append(f"{len(full)} full")
        if local_is_fitted(section):
            kinds.append("local")
            seconds = min(seconds, 60.0 * section.comparison_minutes) + sum(local_seconds(section, chosen))
            gib = max(gib, PROGRAM_GIB + local_gib(section, chosen))
        n_structures = sum(map(len, chosen.values()))
        what = f"{output}: {' and '.join(kinds)}, {n_structures} structures"
        yield "fit-gpr", what, _range(seconds), f"{gib:.1f}"


def _range(most: float) -> str:
    """Return an interval of time that ends at the seconds counted.

    Examples
    --------
    >>> _range(1.0), _range(60.0), _range(1800.0), _range(50_000.0)
    ('below 5 s', '12–60 s', '6–30 min', '2.8–14 h')
    """
    if most < SHORTEST:
        return f"below {SHORTEST:g} s"
    unit, name = next(((u, n) for u, n in ((3600.0, "h"), (60.0, "min")) if most >= 2 * u), (1.0, "s"))
    return f"{rounded(most / CAUTION / unit, 2)}–{rounded(most / unit, 2)} {name}"
