"""Jobs of a workflow: arrays, order and scripts, with a shell but without SLURM (tests/slurm has that)."""

import itertools
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from aenet_gpr_cli.ann.training_settings import Network
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.slurm_config import SlurmConfig, SlurmResources
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.config.workflow_config import WorkflowConfig
from aenet_gpr_cli.errors import InputError, ResourceError
from aenet_gpr_cli.io.slurm import ITEM, SlurmJob, read_record, sbatch, script_text
from aenet_gpr_cli.settings import as_json
from aenet_gpr_cli.stages import inspection, workflow_steps
from aenet_gpr_cli.stages.augment.copy_costs import augment_gib
from aenet_gpr_cli.stages.fit_gpr.fit_local_stage import local_seconds
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.split import split_stage as split
from aenet_gpr_cli.stages.submit import forecast
from aenet_gpr_cli.stages.submit import submit_stage as submit
from aenet_gpr_cli.stages.submit.memory_needs import fit_gib, train_gib
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.units import BYTES_PER_GIB
from tests.finished_runs import CASE, small_workflow


def job(*command, items=(), **changes):
    return SlurmJob("work", "train_ann", command, items, (), 2.0)


@pytest.fixture
def run_script(tmp_path):
    """Run a script as SLURM would; return the process and the file that requeue is written into."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    (programs / "scontrol").chmod(0o755)

    def run(job, resources=SlurmResources(), **environment):  # noqa: B008
        (tmp_path / "job.sh").write_text(script_text(job, resources, tmp_path))
        env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "SLURM_JOB_ID": "42", **environment}
        command = ["bash", str(tmp_path / "job.sh")]
        return subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, text=True)

    return run


@pytest.mark.parametrize("code", [0, 2, 3, 4])
def test_a_script_ends_with_the_code_of_its_command(run_script, tmp_path, code):
    process = run_script(job("sh", "-c", f"exit {code}"))
    process.communicate(timeout=20)
    assert process.returncode == code
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(("restarts", "asked"), [("0", True), ("1", True), ("2", False)])
def test_an_interrupted_job_queues_again_so_many_times(run_script, tmp_path, restarts, asked):
    resources = SlurmResources(max_requeues=2)
    process = run_script(job("sh", "-c", "exit 75"), resources, SLURM_RESTART_COUNT=restarts)
    process.communicate(timeout=20)
    assert process.returncode == 75
    assert (tmp_path / "asked").exists() == asked
    if asked:
        assert (tmp_path / "asked").read_text() == "requeue 42\n"


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_warning_is_passed_on_and_the_end_waited_for(run_script, tmp_path, number):
    name = number.name.removeprefix("SIG")
    work = f"trap 'sleep 0.3; touch saved; exit 75' {name}; touch started; while :; do sleep 0.05; done"
    process = run_script(job("bash", "-c", work))
    end = time.monotonic() + 20
    while not (tmp_path / "started").exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 75
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "asked").exists()


def test_a_warning_before_the_command_has_started_is_not_lost(tmp_path, run_script):
    work = job("sh", "-c", "exec sleep 60")
    text = script_text(work, SlurmResources(), tmp_path).replace("child=$!\n", "kill -USR1 $$\nchild=$!\n")
    assert text.count("kill -USR1 $$") == 1
    (tmp_path / "early.sh").write_text(text)
    env = {**os.environ, "PATH": f"{tmp_path}/programs:{os.environ['PATH']}", "SLURM_JOB_ID": "42"}
    done = subprocess.run(["bash", tmp_path / "early.sh"], env=env, cwd=tmp_path, timeout=20, check=False)
    assert done.returncode == 128 + signal.SIGUSR1
    assert (tmp_path / "asked").exists()


@pytest.mark.parametrize("item", ["H2O", "C-cell-2", "it's", "a b$c", '"x"'])
def test_items_reach_the_command_as_they_are(run_script, tmp_path, item):
    command = ("python3", "-c", "import sys; print(sys.argv[1:])", f"part.{ITEM}.h5", ITEM, "")
    process = run_script(job(*command, items=("other", item)), SLURM_ARRAY_TASK_ID="1")
    out, _ = process.communicate(timeout=20)
    assert out.strip() == repr([f"part.{item}.h5", item, ""])


def test_resources_of_a_stage_win_over_those_of_all():
    config = build(
        SlurmConfig,
        {"partition": "long", "cpus": 2, "stages": {"fit_gpr": {"cpus": 16, "memory_gib": 64.0}}},
        "slurm",
    )
    fit, train = config.of("fit_gpr"), config.of("train_ann")
    assert (fit.partition, fit.cpus, fit.memory_gib) == ("long", 16, 64.0)
    assert (train.partition, train.cpus, train.memory_gib, train.time) == ("long", 2, None, None)


def test_a_script_asks_for_what_the_configuration_says(tmp_path):
    resources = SlurmResources(
        partition="long", account="chem", time="2-00:00:00", cpus=8, gpus=1, at_a_time=4, warn_seconds=60,
        extra=["--qos=high"], prologue=["module load python"],
    )  # fmt: skip
    lines = script_text(job("true", items=("0", "1", "2")), resources, tmp_path).splitlines()
    for expected in (
        "partition=long", "account=chem", "time=2-00:00:00", "cpus-per-task=8", "gpus=1", "array=0-2%4",
        "signal=B:USR1@60", "requeue", "qos=high", "mem=2048M", f"chdir={tmp_path}",
    ):  # fmt: skip
        assert f"#SBATCH --{expected}" in lines
    assert lines.index("module load python") > max(i for i, x in enumerate(lines) if x.startswith("#SBATCH"))


@pytest.fixture
def submitted(tmp_path):
    """Jobs of the H2 case as they would be handed over: (script, identifiers that it waits for)."""
    handed: list[tuple[str, list[str]]] = []

    def hand_over(script, after):
        handed.append((script.name, after))
        return str(100 + len(handed))

    table = submit.run(small_workflow(), CASE, tmp_path, Context(), hand_over)
    return tmp_path, handed, table


def test_what_is_in_the_way_of_a_job_is_told_before_anything_is_written(tmp_path):
    (tmp_path / "metrics.h5").write_text("mine")
    with pytest.raises(InputError, match=r"metrics\.h5 is there and is no artefact of evaluate"):
        submit.run(small_workflow(), CASE, tmp_path, Context(), lambda script, after: "1")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.h5"]


def test_each_job_waits_for_those_it_needs(submitted):
    workdir, handed, _ = submitted
    names = {str(100 + n): script[3:-3] for n, (script, _) in enumerate(handed, 1)}
    needs = {script[3:-3]: {names[i] for i in after} for script, after in handed}
    assert needs["fit-gpr"] == needs["augment_taylor"] == needs["train-ann_direct"] == set()
    assert needs["augment_gpr"] == {"fit-gpr"}
    assert needs["train-ann_gpr"] == {"augment_gpr"}
    assert needs["collect_ann_gpr"] == {"train-ann_gpr"}
    assert needs["evaluate"] >= {"fit-gpr", "collect_ann_gpr", "collect_ann_direct"}
    assert [j.name for j in read_record(workdir)] == list(needs)
    assert [j.job_id for j in read_record(workdir)] == list(names)


def test_fits_and_copies_are_made_by_an_array_over_the_subsets(submitted):
    from aenet_gpr_cli.io.artefacts.structure_sets import load_split

    workdir, _, _ = submitted
    (subset,) = load_split(workdir / "split.h5", "train").values()
    workflow = small_workflow()
    jobs = {j.name: j for j in submit.plan(workflow, {"A": subset, "B": subset}, {"A": subset})}
    for stage, artefact in (("fit-gpr", "gpr"), ("augment_gpr", "augmented_gpr")):
        array, collected = jobs[stage], jobs[f"collect_{artefact}"]
        assert array.items == ("A", "B")
        assert array.command[-4:] == ("--subset", ITEM, "-o", f"parts/{artefact}.{ITEM}.h5")
        assert collected.needs == (stage,)
        assert collected.command[-4:-2] == (f"parts/{artefact}.A.h5", f"parts/{artefact}.B.h5")
    assert jobs["augment_gpr"].needs == ("collect_gpr",)
    assert jobs["train-ann_gpr"].needs == ("collect_augmented_gpr",)


def test_the_local_process_is_fitted_by_an_array_of_parts(submitted):
    from aenet_gpr_cli.io.artefacts.structure_sets import load_split

    workdir, _, _ = submitted
    (subset,) = load_split(workdir / "split.h5", "train").values()
    workflow = small_workflow()
    workflow = replace(workflow, fit_gpr=replace(workflow.fit_gpr, model="auto"))
    jobs = {
        j.name: j
        for j in submit.plan(workflow, {"A": subset, "B": subset, "C": subset.select([0])}, {"A": subset})
    }
    array = jobs["fit-gpr"]
    assert array.items == ("1-2", "2-2")  # A and B may have full processes, C may not
    assert array.command[-4:] == ("--part", ITEM, "-o", f"parts/gpr.part_{ITEM}.h5")
    assert jobs["collect_gpr"].command[-4:] == (
        "parts/gpr.part_1-2.h5",
        "parts/gpr.part_2-2.h5",
        "-o",
        "gpr.h5",
    )


def test_the_time_of_a_part_of_the_local_process_decides_how_many_there_are(submitted):
    """A subset alone, as most data sets are, has no full processes whose number would divide the work."""
    from aenet_gpr_cli.io.artefacts.structure_sets import load_split

    workdir, _, _ = submitted
    subsets = load_split(workdir / "split.h5", "train")
    workflow = small_workflow()
    local = replace(workflow.fit_gpr, model="local")
    seconds = local_seconds(local, subsets)[1]
    for parts in (1, 3):
        slurm = build(SlurmConfig, {"part_minutes": seconds / 60.0 / (parts - 0.5)}, "slurm")
        jobs = {
            j.name: j for j in submit.plan(replace(workflow, fit_gpr=local, slurm=slurm), subsets, subsets)
        }
        assert max(1, len(jobs["fit-gpr"].items)) == parts
        assert ("collect_gpr" in jobs) == (parts > 1)


def test_processes_that_are_only_compared_have_jobs_that_evaluate_waits_for(submitted):
    from aenet_gpr_cli.io.artefacts.structure_sets import load_split

    subsets = load_split(submitted[0] / "split.h5", "train")
    workflow = small_workflow(compare_gpr={"cartesian": {"descriptor": "cartesian"}})
    jobs = {j.name: j for j in submit.plan(workflow, subsets, subsets)}
    compared = jobs["fit-gpr_cartesian"]
    assert compared.command[-4:] == ("--variant", "cartesian", "-o", "gpr_cartesian.h5")
    assert "fit-gpr_cartesian" in jobs["evaluate"].needs
    assert "gpr_cartesian.h5" in jobs["evaluate"].command
    assert jobs["augment_gpr"].needs == ("fit-gpr",)


def test_a_dry_run_writes_scripts_and_submits_nothing(tmp_path):
    def refuse(script, after):
        raise AssertionError("submitted")

    table = submit.run(small_workflow(), CASE, tmp_path, Context(dry_run=True), refuse)
    assert "nothing submitted" in table.notes
    assert len(list((tmp_path / "slurm").glob("*.sh"))) == len(table.rows) > 5
    assert read_record(tmp_path) == []


def test_the_workflow_is_kept_as_it_was_submitted(submitted):
    from aenet_gpr_cli.config.reading import read_config

    workdir, _, _ = submitted
    _, kept = read_config(None, workdir / "slurm/workflow.yaml")
    assert replace(kept, split=small_workflow().split) == small_workflow()


def test_the_kept_workflow_divides_the_same_structures_from_any_folder(tmp_path, monkeypatch):
    from aenet_gpr_cli.config.reading import read_config
    from aenet_gpr_cli.io.artefacts.structure_sets import load_split
    from aenet_gpr_cli.stages.split import split_stage

    source, elsewhere = tmp_path / "case", tmp_path / "elsewhere"
    source.mkdir()
    elsewhere.mkdir()
    frames = [molecule("H2O", vacuum=float(i)) for i in range(6)]
    for i, frame in enumerate(frames):
        frame.positions[0, 0] += 0.01 * i
        frame.calc = SinglePointCalculator(frame, energy=-14.0 + 0.1 * i, forces=np.zeros((3, 3)))
    write(source / "data.extxyz", frames)
    split = {"inputs": ["data.extxyz"], "train": 4, "check_forces": False}
    monkeypatch.chdir(tmp_path)
    submit.run(small_workflow(split=split), Path("case"), Path("run"), Context(dry_run=True))
    monkeypatch.chdir(elsewhere)
    _, kept = read_config(None, tmp_path / "run/slurm/workflow.yaml")
    split_stage.run(kept.split, tmp_path / "run/slurm", elsewhere / "split.h5", Context())
    (again,), (first,) = (load_split(f / "split.h5", "train").values() for f in (elsewhere, tmp_path / "run"))
    assert again.names == first.names
    assert (again.positions == first.positions).all()


def test_a_training_is_counted_with_the_descriptor_that_it_may_have(submitted):
    from aenet_gpr_cli.io.artefacts.structure_sets import load_split
    from aenet_gpr_cli.stages.submit.job_times import train_seconds
    from aenet_gpr_cli.stages.submit.training_size import TrainingSize

    (subset,) = load_split(submitted[0] / "split.h5", "train").values()
    subset = subset.select(np.tile(np.arange(len(subset)), 200))  # more rows than weights
    three = {"A": replace(subset, species=("H", "O")), "B": replace(subset, species=("C", "O"))}
    direct = small_workflow().train_ann["direct"]

    def training(**changes):
        return replace(direct, network=Network(**changes))

    plain = training()
    for changed in (training(angular_cutoffs="auto"), training(resolve_species=True)):
        size = TrainingSize.of(changed, three, None)
        assert size.n_features == changed.network.basis("CHO").n_features
        assert size.n_features > TrainingSize.of(plain, three, None).n_features
        assert train_seconds(changed, three, None) > 1.5 * train_seconds(plain, three, None)


@pytest.mark.parametrize("copies", [200, 1])
def test_time_and_memory_of_a_larger_network_grow_as_its_form_lets_them(submitted, copies):
    from aenet_gpr_cli.io.artefacts.structure_sets import load_split
    from aenet_gpr_cli.stages.submit.job_times import train_seconds

    (subset,) = load_split(submitted[0] / "split.h5", "train").values()
    given = {"H2": subset.select(np.tile(np.arange(len(subset)), copies))}
    direct = small_workflow().train_ann["direct"]
    times, sizes = [], []
    for hidden in ((40, 40), (160, 160)):  # about 9 times as many weights
        config = replace(direct, network=Network(hidden=hidden))
        times.append(train_seconds(config, given, None))
        sizes.append(
            train_gib(config, given, None) - train_gib(replace(config, optimiser="adamw"), given, None)
        )
    few_rows = copies == 1
    assert (times[1] / times[0] < 12.0) is few_rows
    assert (sizes[1] / sizes[0] < 12.0) is few_rows


def test_status_counts_the_jobs_of_an_array(submitted):
    workdir, _, _ = submitted
    arrays = {j.name: j.job_id for j in read_record(workdir)}
    states = {arrays["train-ann_gpr"]: ["RUNNING", "PENDING"], arrays["evaluate"]: ["PENDING"]}
    rows = {row[2]: row[1] for row in inspection.status(workdir, lambda ids: states).rows}
    assert rows["train-ann_gpr"] == "1 running, 1 pending"
    assert rows["evaluate"] == "pending"
    assert rows["fit-gpr"] == "left the queue"
    rows = {row[2]: row[1] for row in inspection.status(workdir, lambda ids: None).rows}
    assert rows["evaluate"] == "unknown: SLURM does not answer"


def test_without_slurm_the_scripts_are_pointed_out(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="no SLURM here; the scripts are in"):
        sbatch(tmp_path / "slurm/x.sh", [])


def test_more_data_need_more_memory(submitted):
    from aenet_gpr_cli.io.artefacts.structure_sets import load_split

    workdir, _, _ = submitted
    (subset,) = load_split(workdir / "split.h5", "train").values()
    workflow = small_workflow()
    many = subset.select([0] * 4000)
    assert fit_gib(workflow.fit_gpr, many) > 2 * fit_gib(workflow.fit_gpr, subset)
    training = workflow.train_ann["gpr"]
    copies = replace(workflow.augment["gpr"], mode="gaussian")

    def needed(**changes):
        return train_gib(training, {"H2": many}, replace(copies, **changes))

    assert needed(n_copies=1000) > needed(n_copies=1) > train_gib(training, {"H2": many}, None) > 0
    assert needed(n_copies=1, n_total=4_000_000) == needed(n_copies=1000)


@pytest.mark.parametrize("optimiser", ["adamw", "levenberg_marquardt"])
def test_copies_whose_descriptors_are_on_disk_need_what_is_held_of_them(optimiser):
    """Measured with copies of 20 atoms, 10⁵ and 10⁶ of them: 0.13 and 0.24 kB a copy."""
    dimers = {"dimer": StructureSet(("C", "H") * 10, np.zeros((100, 20, 3)), energies=np.zeros(100))}
    config = build(TrainAnnConfig, {"mode": "gpr", "optimiser": optimiser}, "train_ann")
    some, many = (
        train_gib(config, dimers, build(AugmentConfig, {"n_copies": n}, "augment")) for n in (10_000, 20_000)
    )
    assert 130 < (many - some) * BYTES_PER_GIB / 1_000_000 < 500
    assert many < 3.0


def test_copies_need_the_memory_of_a_block(submitted):
    from aenet_gpr_cli.io.artefacts.structure_sets import load_split

    workdir, _, _ = submitted
    (subset,) = load_split(workdir / "split.h5", "train").values()
    many = subset.select([0] * 400)
    config = replace(small_workflow().augment["gpr"], block_size=10_000, mode="gaussian")

    def needed(**changes):
        return augment_gib(replace(config, **changes), many)

    assert needed(n_copies=1000) == needed(n_copies=100_000) == needed(n_total=500_000)
    assert needed(n_copies=1000, block_size=100_000) > needed(n_copies=1000) > needed(n_total=500)
    assert needed(n_copies=1000, candidates=100) > needed(n_copies=1000)  # a parent's are chosen together
    assert needed(workers=2) > needed()
    assert needed(sigma="exact") > needed(sigma="none")
    assert needed(sigma="bound", sigma_max_rows=2000) > needed(sigma="bound", sigma_max_rows=20)


def test_a_subset_job_is_left_out_where_one_job_does_all():
    data = as_json(small_workflow())
    assert build(WorkflowConfig, data, "again") == small_workflow()  # resolving twice changes nothing


def asked(script):
    """Options of sbatch in a script."""
    lines = [line.removeprefix("#SBATCH --") for line in script.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_a_small_case_asks_for_minutes_and_one_core(submitted):
    workdir, _, table = submitted
    for script in sorted((workdir / "slurm").glob("*.sh")):
        assert asked(script)["time"] == "00:15:00", script.name
        assert asked(script)["cpus-per-task"] == "1", script.name
    assert {row[4] for row in table.rows} == {"00:15:00"}


def test_what_the_configuration_asks_for_wins_over_the_forecast(tmp_path):
    workflow = small_workflow(slurm={"time": "2:00:00", "cpus": 3, "stages": {"collect": {"time": "5"}}})
    submit.run(workflow, CASE, tmp_path, Context(dry_run=True))
    times = {asked(s)["job-name"]: asked(s)["time"] for s in (tmp_path / "slurm").glob("*.sh")}
    assert times["evaluate"] == "2:00:00"
    assert {t for name, t in times.items() if name.startswith("collect")} == {"5"}
    assert {asked(s)["cpus-per-task"] for s in (tmp_path / "slurm").glob("*.sh")} == {"3"}


def test_more_work_asks_for_more_time_and_for_cores(submitted):
    from aenet_gpr_cli.io.artefacts.structure_sets import load_split
    from aenet_gpr_cli.stages.fit_gpr.contest import full_seconds
    from aenet_gpr_cli.stages.submit import job_times

    (subset,) = load_split(submitted[0] / "split.h5", "train").values()
    workflow, sizes = small_workflow(), [subset.select([0] * n) for n in (10, 300, 4000)]
    training, copies = workflow.train_ann["gpr"], workflow.augment["gpr"]
    for seconds in (
        [full_seconds(workflow.fit_gpr, s) for s in sizes],
        [job_times.augment_seconds(copies, s) for s in sizes],
        [job_times.train_seconds(training, {"A": s}, copies) for s in sizes],
        [job_times.evaluate_seconds(3, {"A": s}) for s in sizes],
    ):
        assert seconds == sorted(seconds)
        assert seconds[0] < seconds[-1]
    assert full_seconds(workflow.fit_gpr, sizes[-1]) > 100
    assert (job_times.cores(10.0), job_times.cores(1e4)) == (1, 4)
    assert job_times.wall_time(1e9) == "24:00:00"


def test_a_script_works_from_another_folder(tmp_path):
    workdir, elsewhere = tmp_path / "a b", tmp_path / "elsewhere"
    workdir.mkdir()
    elsewhere.mkdir()
    (tmp_path / "s.sh").write_text(script_text(job("touch", "here"), SlurmResources(), workdir))
    subprocess.run(["bash", tmp_path / "s.sh"], cwd=elsewhere, check=True, timeout=20)
    assert (workdir / "here").exists()
    assert not list(elsewhere.iterdir())


def test_a_dry_run_forecasts_what_a_run_does(submitted, tmp_path, monkeypatch):
    workdir, _, _ = submitted
    workflow, reads = small_workflow(), []
    read = split.read_data
    monkeypatch.setattr(split, "read_data", lambda *given: reads.append(1) or read(*given))

    def summaries(folder, dry_run, until=None):
        context = Context(dry_run=dry_run)
        found = forecast.steps_with_forecast(
            workflow_steps.steps(workflow, CASE, folder, until), workflow, folder, until, dry_run
        )
        return [step(context) for step in (found if dry_run else itertools.islice(found, 2))]

    divided, before = summaries(tmp_path / "none", True)
    assert len(reads) == 1  # the structures, not once for each table
    assert not (tmp_path / "none").exists()
    assert divided.columns == split.COLUMNS
    assert divided.rows
    assert {row[-1] for row in before.rows} == {"to do"}
    _, told = summaries(workdir, False)  # from split.h5, which is up to date
    assert len(reads) == 1
    assert [list(row[:-1]) for row in before.rows] == [list(row) for row in told.rows]
    stages = [row[0] for row in before.rows]
    assert [stages.count(s) for s in ("fit-gpr", "augment", "train-ann", "evaluate")] == [
        1 + len(workflow.compare_gpr), len(workflow.augment), len(workflow.train_ann), 1
    ]  # fmt: skip
    _, until = summaries(workdir, True, "augment")
    assert {row[0] for row in until.rows} == {"fit-gpr", "augment"}
