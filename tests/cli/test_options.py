"""Every command reads a file as `validate` does, with the same verdict in the same words; stages in a row."""

import os
import signal
from pathlib import Path

import pytest

from aenet_gpr_cli.cli.options import run_stages
from aenet_gpr_cli.errors import InterruptedRun
from aenet_gpr_cli.stages.shared.context import Summary

CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))
COMMANDS = {  # command: what runs it, arguments besides the file
    "run": ("workflow_steps.steps", []),
    "active": ("active.active_stage.run", []),
    "split": ("split.split_stage.run", ["a.xsf"]),
    "fit-gpr": ("fit_gpr.fit_gpr_stage.run", ["split.h5"]),
    "augment": ("augment.augment_stage.run", ["split.h5"]),
    "train-ann": ("train_ann.train_ann_stage.run", ["split.h5"]),
    "evaluate": ("evaluate.evaluate_stage.run", ["split.h5", "gpr.h5"]),
    "predict": ("predict_stage.run", ["gpr.h5", "a.xsf"]),
    "md": ("md.md_stage.run", ["ann.h5", "a.xsf"]),
    "properties": ("properties_stage.run", ["ann.h5", "a.xsf"]),
    "benchmark": ("benchmark.benchmark_stage.run", []),
    "select": ("select_stage.run", ["gpr.h5", "pool"]),
    "label": ("label_stage.run", ["pool"]),
}
CASE = "name: x\nsplit: {inputs: [a]}\n"
WRONG = {  # what is written: the command, and what both say
    "fit-gpr: {length_scale: 2}\n" + CASE: ("fit-gpr", "unknown key 'fit-gpr'; did you mean 'fit_gpr'?"),
    "fit-gpr: {length_scale: 2}": ("fit-gpr", "unknown key 'fit-gpr'; did you mean 'fit_gpr'?"),
    "lenght_scale: 2": ("fit-gpr", "unknown key 'lenght_scale'; did you mean 'length_scale'?"),
    "fit_gpr: {lenght_scale: 2}": ("fit-gpr", "unknown key 'lenght_scale'; did you mean 'length_scale'?"),
    "fit_gpr: {solver: lu}\nn_epochs: 2": ("benchmark", "fit_gpr.solver: input should be 'auto', "),
    "adaptive: {smalest: 1}": ("augment", "unknown key 'adaptive.smalest'; did you mean 'smallest'?"),
    "augment: {a: {}, b: {}}\n" + CASE: ("augment", "augment has the variants a, b; choose one with"),
    "pool: [a]\nselect: {n_selct: 3}\n" + CASE: ("select", "unknown key 'n_selct'; did you mean 'n_select'?"),
    "selct: {n_select: 3}\npool: [a]\n" + CASE: ("select", "unknown key 'selct'; did you mean 'select'?"),
    "pol: [a]\nselect: {}\nlabel: {}\n" + CASE: ("active", "unknown key 'pol'; did you mean 'pool'?"),
    CASE: ("predict", "expected the keys of predict, got a file for workflow, which has none"),
    "- 1": ("train-ann", "expected keys and values, got list"),
    "mode: direct\nmode: gpr": ("train-ann", "key 'mode' is given twice"),
    "max_rows: 3": ("evaluate", "unknown key 'max_rows'; did you mean 'sigma_max_rows'?"),
    "calculator: 3": ("label", "calculator: "),
    "train: 1.5": ("split", "train: expected a count (an integer) or a fraction up to 1.0, got 1.5"),
    "train_ann: {gpr: {}}\n" + CASE: ("run", "needs the augmentation variant 'gpr'; known: none"),
}


@pytest.fixture
def verdicts(run_cli, monkeypatch):
    """Return a function: what validate and the command say about a file; no stage runs, no input is there."""
    for where, _ in COMMANDS.values():
        result = Summary("done")
        given = iter([]) if where == "workflow_steps.steps" else result
        monkeypatch.setattr(f"aenet_gpr_cli.stages.{where}", lambda *a, given=given: given)
    monkeypatch.setattr("aenet_gpr_cli.stages.submit.forecast.steps_with_forecast", lambda stages, *a: stages)
    for check in ("check_inputs", "check_present"):
        monkeypatch.setattr(f"aenet_gpr_cli.stages.split.input_paths.{check}", lambda *a: None)

    def say(command, path):
        _, arguments = COMMANDS[command]
        file = [path] if command in ("run", "active") else [*arguments, "-c", path]
        what = "workflow" if command == "run" else command
        return [
            (code, error)
            for code, _, error in (run_cli("validate", path, "--for", what), run_cli(command, *file))
        ]

    return say


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_command_and_validate_agree_on_the_files_of_the_project(run_cli, verdicts, path):
    case = "active" if "active" in path.stem else "run"
    assert verdicts(case, path) == [(0, "")] * 2
    what = "workflow" if case == "run" else case
    assert run_cli("validate", path)[1] == f"{path}: a valid configuration of {what}\n"
    for command in COMMANDS.keys() - {"run", "active"}:
        ours, theirs = verdicts(command, path)
        assert ours == theirs


@pytest.mark.parametrize("text", WRONG)
def test_a_command_and_validate_refuse_a_file_in_the_same_words(verdicts, tmp_path, text):
    command, message = WRONG[text]
    (tmp_path / "c.yaml").write_text(text)
    ours, theirs = verdicts(command, "c.yaml")
    assert ours == theirs
    assert theirs[0] == 2
    assert message in " ".join(theirs[1].split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("split", "a.xyz", "--train", "0.8"), "--set train=0.8"),
        (("split", "a.xyz", "--energy-key=E_dft"), "--set energy_key=E_dft"),
        (("train-ann", "split.h5", "--mode", "direct"), "--set mode=direct"),
        (("train-ann", "split.h5", "--n-members"), "--set n_members=…"),
        (("train-ann", "split.h5", "--hidden", "[20,20]"), "--set network.hidden=[20,20]"),
        (("run", "w.yaml", "--partition", "long"), "--set slurm.partition=long"),
    ],
)
def test_an_option_that_is_a_key_is_answered_with_how_it_is_set(run_cli, arguments, said):
    code, _, error = run_cli(*arguments)
    assert code == 2
    assert f"No such option '{arguments[2].partition('=')[0]}'. It is a key: {said}\n" in error


def test_another_option_that_is_none_is_answered_with_the_nearest(run_cli):
    assert "Did you mean '--output'?" in run_cli("split", "a.xyz", "--ouput", "x")[2]
    assert "No such option '--train'.\n" in run_cli("show", "split.h5", "--train", "1")[2]


OPTIONS = {"verbose": False, "quiet": True}


def stopped(context):
    os.kill(os.getpid(), signal.SIGTERM)
    return Summary("done")


def test_a_signal_ends_a_run_before_its_next_stage(capsys):
    done = []
    with pytest.raises(InterruptedRun, match="between stages"):
        run_stages(OPTIONS, [stopped, done.append])
    assert not done
    assert "SIGTERM" in capsys.readouterr().err


def test_a_signal_during_the_last_stage_leaves_nothing_to_go_on_with(capsys):
    run_stages(OPTIONS, [lambda context: Summary("done"), stopped])
    assert "SIGTERM" in capsys.readouterr().err
