"""Commands for whole workflows: begin, check, run, submit, look at, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aenet_gpr_cli.cli.options import (
    PATH,
    case_options,
    dry_run,
    force,
    gather,
    load_case,
    output_option,
    resumable,
    run_stage,
    run_stages,
)

if TYPE_CHECKING:
    from aenet_gpr_cli.config.recipes import How

WORKFLOW = case_options("WORKFLOW", "augment.gpr.n_copies=16")


@click.command("init")
@click.argument("files", nargs=-1, type=PATH)
@click.option("--full", is_flag=True, help="Write every key with its meaning instead, beside --output.")
@click.option("--quick", is_flag=True, help="Small committees and few copies: minutes.")
@click.option("--best", is_flag=True, help="Committees of ten, trained longer: hours.")
@click.option("--name", default="my_case", show_default=True, help="Name of the case.")
@output_option("workflow.yaml", "File to write.")
@dry_run
@click.option("--force", is_flag=True, help="Replace the file.")
@gather
def init(
    files: tuple[Path, ...],
    full: bool,
    quick: bool,
    best: bool,
    name: str,
    output: Path,
    options: dict[str, Any],
) -> None:
    """Write a workflow for the structures in FILES (what `split` reads).

    \b
    aenet-gpr init my_dft_runs/ --name my_case
    aenet-gpr run workflow.yaml
    aenet-gpr init --full                        (annotated.yaml and annotated_active.yaml)
    """
    from aenet_gpr_cli.stages import init_stage as stage

    if full == bool(files):
        raise click.UsageError("expected FILES of structures, or --full without any")
    if quick + best + full > 1:
        raise click.UsageError("expected one of --quick, --best and --full, got several; give one, or none")
    how: How = "quick" if quick else "best" if best else "usual"
    if full:
        run_stage(options, lambda context: stage.write_every_key(output.parent, context))
        return
    run_stage(options, lambda context: stage.run(files, name, output, context, how))


@click.command("validate")
@click.argument("config", type=PATH)
@click.option(
    "--for", "what", help="What the file is for: workflow, split, fit-gpr, …  [default: seen from its keys]"
)
@gather
def validate(config: Path, what: str | None, options: dict[str, Any]) -> None:
    """Check CONFIG.yaml without running anything: every key and value, and that the inputs are there.

    \b
    aenet-gpr validate workflow.yaml
    aenet-gpr validate ann.yaml --for train-ann
    """
    from aenet_gpr_cli.config.reading import MODELS, read_config
    from aenet_gpr_cli.errors import ConfigError
    from aenet_gpr_cli.stages.split.input_paths import check_inputs, check_present
    from aenet_gpr_cli.text import visible

    if what is not None and what not in MODELS:
        raise ConfigError(f"--for: expected one of {', '.join(MODELS)}, got {what!r}")
    found, model = read_config(what, config)
    if found in ("workflow", "active", "split"):
        check_inputs(getattr(model, "split", model), config.parent)
    if found == "active":
        check_present("pool", model.pool, config.parent)
    if not options["quiet"]:
        click.echo(visible(f"{config}: a valid configuration of {found}"))


@click.command("run")
@WORKFLOW
@click.option(
    "--until",
    type=click.Choice(["split", "fit-gpr", "augment", "train-ann", "evaluate", "benchmark"]),
    help="Stop after this stage.",
)
@dry_run
@click.option("--force", is_flag=True, help="Run every stage, up to date or not.")
@resumable
@gather
def run(until: str | None, options: dict[str, Any]) -> None:
    """Run all stages of WORKFLOW.yaml in order; stages whose inputs and keys have not changed are skipped.

    A forecast of time and memory for each stage comes first; --dry-run shows it without running anything.
    Inputs are found from the folder of WORKFLOW.yaml, wherever it lies; artefacts go to runs/NAME in the
    current folder, or to --workdir.

    \b
    aenet-gpr run configs/ec_dimer/workflow.yaml --dry-run
    aenet-gpr run configs/ec_dimer/workflow.yaml --workdir runs/ec_dimer
    """
    from aenet_gpr_cli.stages.submit.forecast import steps_with_forecast
    from aenet_gpr_cli.stages.workflow_steps import steps

    config, source, workdir = load_case("workflow", options)
    stages = steps(config, source, workdir, until)
    run_stages(options, steps_with_forecast(stages, config, workdir, until, options["dry_run"]))


@click.command("submit")
@WORKFLOW
@click.option("--dry-run", is_flag=True, help="Divide the structures, write the scripts; submit nothing.")
@gather
def submit(options: dict[str, Any]) -> None:
    """Run WORKFLOW.yaml on a cluster with SLURM.

    Divides the structures, writes batch scripts into the folder slurm of the working folder and submits them:
    an array over the subsets for fit-gpr and augment, over the members for train-ann, each after what it
    needs. Before the wall time ends a job writes its state and queues again. Partition, time and memory are
    in the section slurm of the workflow.

    \b
    aenet-gpr submit workflow.yaml --workdir runs/case --dry-run
    aenet-gpr submit workflow.yaml --workdir runs/case --set slurm.partition=long
    aenet-gpr status runs/case
    """
    from aenet_gpr_cli.stages.submit import submit_stage as stage

    config, source, workdir = load_case("workflow", options)
    run_stage(options, lambda context: stage.run(config, source, workdir, context))


@click.command("status")
@click.argument("workdir", type=PATH)
@gather
def status(workdir: Path, options: dict[str, Any]) -> None:
    """Show what ran in WORKDIR: finished artefacts, checkpoints, who is writing, jobs of SLURM.

    \b
    aenet-gpr status runs/ec_dimer
    """
    from aenet_gpr_cli.stages import inspection as stage

    run_stage(options, lambda context: stage.status(workdir))


@click.command("collect")
@click.argument("parts", nargs=-1, required=True, type=PATH)
@output_option()
@dry_run
@force
@gather
def collect(parts: tuple[Path, ...], output: Path, options: dict[str, Any]) -> None:
    """Join members of a committee, or subsets of surrogates or of copies, that were made one by one.

    The output is the one that a single job would have written; `aenet-gpr run` takes it as up to date.

    \b
    aenet-gpr collect ann.member_*.h5 -o ann.h5
    aenet-gpr collect gpr.H2O.h5 gpr.CO2.h5 -o gpr.h5
    aenet-gpr collect augmented.H2O.h5 augmented.CO2.h5 -o augmented.h5
    """
    from aenet_gpr_cli.stages import collect_stage as stage

    run_stage(options, lambda context: stage.run(list(parts), output, context))


@click.command("show")
@click.argument("artefact", type=PATH)
@click.option("--config", "only_config", is_flag=True, help="Print the configuration only, as YAML.")
@gather
def show(artefact: Path, only_config: bool, options: dict[str, Any]) -> None:
    """Show what ARTEFACT holds: what matters first, results, where it came from, every array with its unit.

    ARTEFACT may be a working folder: then what is in it, and the verdict of its evaluation.

    \b
    aenet-gpr show gpr.h5
    aenet-gpr show runs/ec_dimer
    aenet-gpr show ann.h5 --config > again.yaml
    """
    from aenet_gpr_cli.cli import console, tables
    from aenet_gpr_cli.stages import inspection as stage

    console.set_up_logging(options["verbose"], options["quiet"])
    if only_config:
        click.echo(stage.configuration(artefact), nl=False)
        return
    for table in stage.show(artefact):
        tables.show(table, options["quiet"])


@click.command("report")
@click.argument("folder", type=PATH)
@click.option("-o", "--output", type=PATH, help="HTML page to write.  [default: FOLDER/report.html]")
@dry_run
@gather
def report(folder: Path, output: Path | None, options: dict[str, Any]) -> None:
    """Write one HTML page about a finished run: data, surrogate, augmentation, training, errors, cost.

    FOLDER is the working folder of `run`. The page holds its pictures and loads nothing.

    \b
    aenet-gpr report runs/ec_dimer
    """
    from aenet_gpr_cli.reports import report_page as stage

    page = output or folder / "report.html"
    run_stage(options, lambda context: stage.run(folder, page, context))


@click.command("figures")
@click.argument("folder", type=PATH)
@click.option("-o", "--output", type=PATH, help="Folder of the pictures.  [default: FOLDER/figures]")
@click.option(
    "-f",
    "--figure",
    "numbers",
    multiple=True,
    metavar="NUMBER",
    help="Figure of the paper, as 3 or S13b, or modes: all trainings compared; repeatable.",
)
@click.option(
    "--paper",
    type=PATH,
    help="Folder of a run by the paper's recipe, configs/CASE/paper.yaml: dashed beside the errors.",
)
@gather
def figures(
    folder: Path,
    output: Path | None,
    numbers: tuple[str, ...],
    paper: Path | None,
    options: dict[str, Any],
) -> None:
    """Draw the paper's figures of a finished run, as PDF and PNG.

    FOLDER is the working folder of `run` or `active`. Without numbers, what it holds decides which figures
    come out, and they are named by their content; with numbers, they are called figure_NUMBER.

    \b
    aenet-gpr figures runs/ec_dimer
    aenet-gpr figures runs/ec_dimer --figure 4 --figure S12 -o figures_out
    aenet-gpr figures runs/h2/displacements --figure 2e-h --paper runs/h2/paper
    """
    from aenet_gpr_cli.reports import figure_files as stage

    target = output or folder / "figures"
    run_stage(options, lambda context: stage.run(folder, target, context, numbers, paper))
