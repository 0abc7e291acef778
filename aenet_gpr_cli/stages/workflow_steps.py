"""`run`: all stages of a workflow in order, each through the same functions as its own command.

Fixed names in the working folder: split.h5, gpr.h5, gpr_VARIANT.h5, augmented_VARIANT.h5, ann_VARIANT.h5,
metrics.h5, benchmark.h5. A stage whose inputs and keys have not changed does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.config.workflow_config import TrainVariant, WorkflowConfig
from aenet_gpr_cli.stages.shared.context import Context, Summary
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.stages.split.input_paths import Inputs

Step = Callable[[Context], Summary]
ORDER = ("split", "fit-gpr", "augment", "train-ann", "evaluate", "benchmark")
EVALUATE = ORDER.index("evaluate")


def steps(
    config: WorkflowConfig,
    source_folder: Path,
    workdir: Path,
    until: str | None = None,
    earlier: Path | None = None,
) -> Iterator[Step]:
    """Yield the stages to run; each takes a `Context`.

    Parameters
    ----------
    source_folder : Path
        Relative paths of inputs, and of potentials to go on from, start here.
    workdir : Path
        Every artefact is written here.
    until : str, optional
        Last stage.
    earlier : Path, optional
        Working folder of fewer data, whose networks those of the same variant begin with where they fit.

    Raises
    ------
    InputError
        Before the first stage, if something is in the way of what any of them would write.
    """
    claim_all(config, source_folder, workdir, until)
    last = ORDER.index(until) if until else len(ORDER) - 1
    by_stage = (
        _split(config, source_folder, workdir, part_needed(config) if last >= EVALUATE else None),
        _fit_gpr(config, workdir),
        _augment(config, workdir),
        _train_ann(config, source_folder, workdir, earlier),
        _evaluate(config, workdir),
        _benchmark(config, workdir),
    )
    for stage in by_stage[: last + 1]:
        yield from stage


def claim_all(config: WorkflowConfig, source_folder: Path, workdir: Path, until: str | None = None) -> None:
    """Make sure before anything is calculated that every stage may write where it is going to.

    Parameters
    ----------
    source_folder, workdir, until
        See `steps`.

    Raises
    ------
    InputError
        Naming what is in the way, see `outputs.claim`.
    """
    given = Inputs.of(config.split, source_folder)
    inputs: list[Path | str] = [*given.paths, *given.lists.values()]
    last = ORDER.index(until) if until else len(ORDER) - 1
    for stage, name, endings in _outputs(config):
        if ORDER.index(stage) <= last:
            claim(stage, workdir / f"{name}.h5", inputs, endings)


def gaussian_processes(config: WorkflowConfig) -> dict[str, FitGprConfig]:
    """Return the Gaussian processes of a workflow by the name of their artefact, the surrogate first."""
    surrogate = {"gpr": config.fit_gpr} if config.fit_gpr else {}
    return surrogate | {f"gpr_{name}": variant for name, variant in config.compare_gpr.items()}


def model_names(config: WorkflowConfig) -> list[str]:
    """Return the names of all models that a workflow evaluates."""
    return [*gaussian_processes(config), *(f"ann_{name}" for name in config.train_ann)]


def part_needed(config: WorkflowConfig) -> str | None:
    """Return the part of the data that `evaluate` needs structures of; None where there are no models."""
    return config.evaluate.on if model_names(config) else None


def _outputs(config: WorkflowConfig) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Stage and name of each artefact, and how the files end that are written beside it."""
    yield "split", "split", ()
    for name in gaussian_processes(config):
        yield "fit-gpr", name, ()
    for name, variant in config.augment.items():
        from aenet_gpr_cli.stages.augment.augment_stage import endings as of_copies

        yield "augment", f"augmented_{name}", of_copies(variant)
    for name in config.train_ann:
        yield "train-ann", f"ann_{name}", ()
    if models := model_names(config):
        from aenet_gpr_cli.stages.evaluate.evaluate_stage import endings as of_errors

        yield "evaluate", "metrics", of_errors(config.evaluate, models)
    if config.benchmark is not None:
        from aenet_gpr_cli.stages.benchmark.benchmark_stage import ENDINGS

        yield "benchmark", "benchmark", ENDINGS


def _split(config: WorkflowConfig, source_folder: Path, workdir: Path, needed: str | None) -> Iterator[Step]:
    from aenet_gpr_cli.stages.split import split_stage as split

    yield partial(split.run, config.split, source_folder, workdir / "split.h5", needed=needed)


def _fit_gpr(config: WorkflowConfig, workdir: Path) -> Iterator[Step]:
    for name, section in gaussian_processes(config).items():
        from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr

        yield partial(fit_gpr.run, section, workdir / "split.h5", workdir / f"{name}.h5")


def _augment(config: WorkflowConfig, workdir: Path) -> Iterator[Step]:
    for name, variant in config.augment.items():
        from aenet_gpr_cli.stages.augment import augment_stage as augment

        gpr = workdir / "gpr.h5" if variant.method == "gpr" else None
        output = workdir / f"augmented_{name}.h5"
        yield partial(augment.run, variant, workdir / "split.h5", gpr, output)


def _train_ann(
    config: WorkflowConfig, source_folder: Path, workdir: Path, earlier: Path | None
) -> Iterator[Step]:
    for name, variant in config.train_ann.items():
        from aenet_gpr_cli.stages.train_ann import train_ann_stage as train_ann

        source = config.source_of(variant)
        augmented = workdir / f"augmented_{source}.h5" if source else None
        output, settings = workdir / f"ann_{name}.h5", _without_source(variant)
        start = source_folder / settings.start if settings.start else None
        if earlier:
            start = earlier / output.name
        inputs = workdir / "split.h5", augmented
        yield partial(train_ann.run, settings, *inputs, output, start=start, must_fit=earlier is None)


def _evaluate(config: WorkflowConfig, workdir: Path) -> Iterator[Step]:
    from aenet_gpr_cli.stages.evaluate import evaluate_stage as evaluate

    models = [workdir / f"{name}.h5" for name in model_names(config)]
    if models:
        named = evaluate.name_models(models)
        yield partial(evaluate.run, config.evaluate, workdir / "split.h5", named, workdir / "metrics.h5")


def _benchmark(config: WorkflowConfig, workdir: Path) -> Iterator[Step]:
    if (section := config.benchmark) is None:
        return
    from aenet_gpr_cli.stages.benchmark import benchmark_stage as benchmark

    yield partial(benchmark.run, section, workdir / "split.h5", workdir / "benchmark.h5")


def _without_source(variant: TrainVariant) -> TrainAnnConfig:
    return TrainAnnConfig(**{key: value for key, value in vars(variant).items() if key != "augmented"})
