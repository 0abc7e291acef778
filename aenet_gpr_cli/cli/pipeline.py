"""Commands of the stages from structures to errors: split, fit-gpr, augment, train-ann, evaluate, …"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import (
    DURATION,
    PART,
    PATH,
    gather,
    load_config,
    resumable,
    run_stage,
    stage_options,
)


@click.command("split")
@click.argument("inputs", nargs=-1, type=PATH)
@stage_options("split.h5")
@gather
def split(inputs: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Read structures, group them into subsets, divide them into training and test.

    INPUTS are XSF files, extxyz files, outputs of electronic-structure codes, data of other potentials
    (aenet-gpr guide data), and folders and archives of these. Energies in eV, forces in eV/Å.

    Without the keys train, test_inputs or train_list a quarter of the structures is for training, as in the
    paper; the workflow that `init` writes takes 0.8.

    \b
    aenet-gpr split my_dft_runs/ --set train=0.8 -o split.h5
    """
    from aenet_gpr_cli.stages.split import split_stage as stage

    config, folder = load_config("split", options)
    if inputs:
        config = replace(config, inputs=tuple(str(path.absolute()) for path in inputs))
    run_stage(options, lambda context: stage.run(config, folder, options["output"], context))


@click.command("fit-gpr")
@click.argument("split", type=PATH)
@stage_options("gpr.h5")
@click.option(
    "--subset", "subsets", multiple=True, help="Fit the full process of this subset only. Repeatable."
)
@click.option(
    "--part", type=PART, metavar="K/N", help="Do part K of N only: a share of structures and subsets."
)
@resumable
@gather
def fit_gpr(split: Path, options: dict[str, Any]) -> None:
    """Fit Gaussian processes to energies and forces: a full one for each subset, or a local one for all.

    SPLIT is the output of `split`; only its training structures are used.

    \b
    aenet-gpr fit-gpr split.h5 -o gpr.h5
    aenet-gpr fit-gpr split.h5 --set workers=4 -o gpr.h5
    aenet-gpr fit-gpr split.h5 --part 3/8 -o gpr.3.h5       (then: collect gpr.?.h5)
    aenet-gpr fit-gpr split.h5 --subset H2O -o gpr.H2O.h5   (the same, by subset, for model: full)
    torchrun --nproc-per-node 4 -m aenet_gpr_cli fit-gpr split.h5
    aenet-gpr fit-gpr split.h5 -c workflow.yaml --variant cartesian -o gpr_cartesian.h5   (of compare_gpr)

    Stopped or failed, it keeps what is finished; the same command does the rest.
    """
    from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as stage

    section = "compare_gpr" if options["variant"] else "fit_gpr"
    config, _ = load_config("fit-gpr", options, section)
    output, only, part = options["output"], options["subsets"], options["part"]
    options["quiet"] |= os.environ.get("RANK", "0") != "0"  # of torchrun's processes the first one reports
    run_stage(options, lambda context: stage.run(config, split, output, context, only, part or (0, 1)))


@click.command("augment")
@click.argument("split", type=PATH)
@click.argument("gpr", type=PATH, required=False)
@stage_options("augmented.h5")
@click.option("--subset", "subsets", multiple=True, help="Do this subset only. Repeatable.")
@resumable
@gather
def augment(split: Path, gpr: Path | None, options: dict[str, Any]) -> None:
    """Displace each training structure M times by δ and label the copies with energies.

    SPLIT is the output of `split`, GPR that of `fit-gpr` (not needed for method: taylor).

    \b
    aenet-gpr augment split.h5 gpr.h5 --set displacement=0.034 --set n_copies=36 -o augmented.h5
    aenet-gpr augment split.h5 gpr.h5 --subset H2O -o augmented.H2O.h5   (then: collect)
    """
    from aenet_gpr_cli.stages.augment import augment_stage as stage

    config, _ = load_config("augment", options)
    output, only = options["output"], options["subsets"]
    run_stage(options, lambda context: stage.run(config, split, gpr, output, context, only))


@click.command("train-ann")
@click.argument("split", type=PATH)
@click.argument("augmented", type=PATH, required=False)
@stage_options("ann.h5")
@click.option("--member", type=click.IntRange(min=0), help="Train this member only, counted from 0.")
@click.option("--start", type=PATH, help="Begin with the members of this potential (train-ann or import).")
@resumable
@gather
def train_ann(split: Path, augmented: Path | None, options: dict[str, Any]) -> None:
    """Train a committee of neural-network potentials.

    SPLIT is the output of `split`; AUGMENTED that of `augment`, for the modes gpr, taylor and combined. The
    mode is one key: energy_only, gpr, taylor, direct (energies and forces), or combined (forces and copies).

    \b
    aenet-gpr train-ann split.h5 augmented.h5 --set mode=gpr -o ann_gpr.h5
    aenet-gpr train-ann split.h5 --set mode=direct -o ann_direct.h5
    aenet-gpr train-ann split.h5 augmented.h5 --set mode=combined -o ann_combined.h5
    aenet-gpr train-ann split.h5 augmented.h5 -c ann.yaml --member 3 -o ann.member_3.h5   (then: collect)
    aenet-gpr train-ann more.h5 --set mode=direct --start ann_direct.h5 -o ann_more.h5   (data were added)
    torchrun --nproc-per-node 4 -m aenet_gpr_cli train-ann split.h5 --set mode=direct     (data-parallel)

    Stopped by SIGTERM, SIGUSR1 or Ctrl-C it keeps its state and ends with exit code 75; the same command goes
    on with it, to the same result.
    """
    from aenet_gpr_cli.stages.train_ann import train_ann_stage as stage

    config, folder = load_config("train-ann", options)
    output, member, first = options["output"], options["member"], options["start"]
    if first is None and config.start is not None:
        first = folder / config.start
    options["quiet"] |= os.environ.get("RANK", "0") != "0"  # of torchrun's processes the first one reports
    run_stage(options, lambda context: stage.run(config, split, augmented, output, context, member, first))


@click.command("evaluate")
@click.argument("split", type=PATH)
@click.argument("models", type=PATH, nargs=-1, required=True)
@stage_options("metrics.h5")
@gather
def evaluate(split: Path, models: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Compare energies and forces of all models with the test structures.

    SPLIT is the output of `split`; MODELS are outputs of `fit-gpr`, `train-ann` and `import`, named by their
    file names. Writes predictions (HDF5), and beside them metrics as JSON and CSV, predicted structures as
    extended XYZ, and pictures.

    \b
    aenet-gpr evaluate split.h5 gpr.h5 ann_energy_only.h5 ann_gpr.h5 -o metrics.h5
    """
    from aenet_gpr_cli.stages.evaluate import evaluate_stage as stage

    config, _ = load_config("evaluate", options)
    named = stage.name_models(models)
    run_stage(options, lambda context: stage.run(config, split, named, options["output"], context))


@click.command("predict")
@click.argument("model", type=PATH)
@click.argument("files", nargs=-1, required=True, type=PATH)
@stage_options("predictions.h5")
@gather
def predict(model: Path, files: tuple[Path, ...], options: dict[str, Any]) -> None:
    """Predict energies and forces of structures with a fitted model.

    MODEL is the output of `fit-gpr`, `train-ann` or `import`; FILES are what `split` reads, but energies and
    forces need not be there. Writes HDF5 (an output without the ending .h5 gets it), and beside it extended
    XYZ, XSF (--set write=[xsf]) or both, with predicted energies, forces and their standard deviations.

    \b
    aenet-gpr predict ann.h5 new_structures/ -o predictions.h5
    """
    from aenet_gpr_cli.stages import predict_stage as stage

    config, _ = load_config("predict", options)
    output: Path = options["output"]
    if output.suffix != ".h5" and output.name not in ("", ".."):
        output = output.with_name(f"{output.name}.h5")
    run_stage(options, lambda context: stage.run(config, model, files, output, context))


@click.command("md")
@click.argument("model", type=PATH)
@click.argument("start", type=PATH)
@stage_options("md.h5")
@click.option("--temperature", type=float, metavar="K", help="Short for --set temperature=K.")
@click.option("--time", type=DURATION, metavar="10ps", help="How long: a number with fs, ps or ns.")
@click.option("--ensemble", type=click.Choice(("nve", "nvt", "npt")), help="Short for --set ensemble=…")
@click.option("--frame", type=int, metavar="N", help="Structure of the file, from 0; -1 is the last.")
@click.option("--replicas", type=int, metavar="N", help="Independent runs, side by side on the cores.")
@click.option("--reference", metavar="NAME", help="ASE calculator that checks stored frames.")
@resumable
@gather
def md(model: Path, start: Path, options: dict[str, Any]) -> None:
    """Run molecular dynamics with a fitted model.

    MODEL is the output of `fit-gpr`, `train-ann` or `import`; START is any file that `split` reads, without
    labels too. NVT (Langevin) unless asked for nve or npt. Writes HDF5, and beside it the trajectory as
    extended XYZ with energies, forces and momenta, and a table as CSV: energies, temperature, pressure, σ,
    atoms outside the training data. Velocities are those of the file, or drawn at the temperature; atoms
    that the file fixes stay where they are (key fixed_atoms).

    \b
    aenet-gpr md ann.h5 start.xyz --temperature 300 --time 10ps -o md.h5
    aenet-gpr md ann.h5 start.xyz --ensemble nve --time 5ps --set stop_sigma=2.0 --set stop_beyond=0.5
    aenet-gpr md ann.h5 start.xyz --ensemble npt --set pressure_gpa=1.0 --set store_every=200
    aenet-gpr md ann.h5 start.xyz --reference tblite --set reference.parameters.method=GFN1-xTB
    aenet-gpr md ann.h5 md_trajectory.extxyz --frame -1 -o md_2.h5    (go on with its velocities)
    aenet-gpr md ann.h5 start.xyz --replicas 8 --time 10ps -o md.h5   (md.replica_1.h5, …, a table of all)
    aenet-gpr md ann.h5 frames.xyz --replicas 8 --set each_frame=true (one from each of eight frames)

    A fence (stop_sigma, stop_beyond, stop_temperature) ends the run with exit code 3 and keeps what was run;
    other replicas run on. Stopped by a signal it keeps its state and ends with 75; the same command goes on
    along the same path.
    """
    from aenet_gpr_cli.stages.md import md_stage as stage

    keys = ("temperature", "time_ps", "ensemble", "frame", "replicas", "reference.name")
    given = (options[name.partition(".")[0].partition("_")[0]] for name in keys)
    short = [f"{key}={value}" for key, value in zip(keys, given, strict=True) if value is not None]
    options["overrides"] = (*short, *options["overrides"])
    config, _ = load_config("md", options)
    output: Path = options["output"]
    run_stage(options, lambda context: stage.run(config, model, start, output, context))
    if config.replicas > 1 and not options["dry_run"]:  # after their table
        stage.refuse_stopped_replicas(output)


@click.command("properties")
@click.argument("model", type=PATH)
@click.argument("crystal", type=PATH)
@stage_options("properties.h5")
@click.option(
    "--reference", type=PATH, metavar="DATA", help="Labelled strained cells of the crystal, to compare with."
)
@resumable
@gather
def properties(model: Path, crystal: Path, options: dict[str, Any]) -> None:
    """Equation of state and elastic constants of a crystal.

    MODEL is the output of `fit-gpr` (a local process), `train-ann` or `import`; CRYSTAL is any file that
    `split` reads, without labels too. Atoms and cell are relaxed; then energies of scaled cells
    (Birch-Murnaghan) and stresses of strained ones, ions relaxed. Writes HDF5, and beside it JSON.

    With --reference DATA the elastic constants stand beside those that the energies and the stresses of
    strained cells in DATA say: cells with the atoms of CRYSTAL, as it is, in the same order. The model is
    asked about these cells, too, since their atoms need not be relaxed.

    Stopped by a signal it keeps the cells that are relaxed and ends with 75; the same command does the rest.

    \b
    aenet-gpr properties ann.h5 crystal.extxyz -o properties.h5
    aenet-gpr properties ann.h5 crystal.extxyz --reference training.xyz
    aenet-gpr properties gpr.h5 POSCAR --set eos_strain=0.05 --set elastic_strain=0.002
    """
    from aenet_gpr_cli.stages import properties_stage as stage

    config, _ = load_config("properties", options)
    reference = options["reference"]
    run_stage(
        options, lambda context: stage.run(config, model, crystal, options["output"], context, reference)
    )


@click.command("benchmark")
@click.argument("split", type=PATH, required=False)
@stage_options("benchmark.h5")
@resumable
@gather
def benchmark(split: Path | None, options: dict[str, Any]) -> None:
    """Measure time per epoch and peak memory of the training modes.

    Every point (mode, cutoff, batch size, size of the structures, number of processes) trains for a few
    epochs in a process of its own; fit and labels of the Gaussian process are measured, too. Writes the table
    as HDF5 and CSV, and a picture. Measured points are kept: the same command goes on after an interruption.
    Without SPLIT only clusters are measured, which the benchmark makes itself.

    \b
    aenet-gpr benchmark split.h5 --set modes=[gpr,direct] -o benchmark.h5
    aenet-gpr benchmark --set clusters.molecules=[2,6,20] -o sizes.h5
    """
    from aenet_gpr_cli.stages.benchmark import benchmark_stage as stage

    config, _ = load_config("benchmark", options)
    run_stage(options, lambda context: stage.run(config, split, options["output"], context))
