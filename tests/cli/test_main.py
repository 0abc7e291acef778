"""The command line: help, exit codes, and one clear message for each kind of mistake."""

import re
import subprocess
import sys

import pytest

from aenet_gpr_cli.cli.main import COMMANDS
from aenet_gpr_cli.errors import ConfigError, InputError, InterruptedRun, NumericalError, ResourceError

WATER = """# total energy = -2081.5 eV

ATOMS
O  0.0 0.0 0.0  0.1 0.0 0.0
H  0.0 0.0 0.96  0.0 0.0 -0.1
H  0.9 0.0 -0.2  -0.1 0.0 0.1
"""


NO_STAGES = {
    "figures", "guide", "report",
    "active", "collect", "completion", "export", "fetch", "import", "init", "run", "schema", "show", "status",
    "submit", "validate",
}  # fmt: skip


def test_help_names_every_command(run_cli):
    code, out, _ = run_cli("--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run_cli, command):
    code, out, _ = run_cli(command, "--help")
    assert code == 0
    assert "aenet-gpr" in out  # an example
    for option in ("-v, --verbose", "-q, --quiet"):
        assert option in out


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in NO_STAGES])
def test_every_stage_has_the_common_options(run_cli, command):
    _, out, _ = run_cli(command, "--help")
    for option in ("--config", "--output", "--set", "--seed", "--dry-run", "--force"):
        assert option in out


def test_the_package_runs_as_a_module():
    result = subprocess.run(
        [sys.executable, "-m", "aenet_gpr_cli", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("aenet-gpr")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (ConfigError("x"), 2),
        (NumericalError("x"), 3),
        (ResourceError("x"), 4),
        (InterruptedRun("x"), 75),
        (MemoryError("x"), 4),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), 4),
        (KeyboardInterrupt(), 75),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(run_cli, monkeypatch, error, code):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("aenet_gpr_cli.stages.split.split_stage.run", fail)
    found, _, said = run_cli("split", "x.xsf")
    assert found == code
    assert "Traceback" not in said


def test_a_bug_leaves_its_traceback_in_a_file(run_cli, monkeypatch, tmp_path):
    monkeypatch.setattr("aenet_gpr_cli.stages.split.split_stage.run", lambda *a: 1 / 0)
    code, _, said = run_cli("split", "x.xsf")
    assert code == 1
    assert "please report" in said
    assert "ZeroDivisionError" in (tmp_path / "aenet-gpr-traceback.log").read_text()


def test_an_unknown_command_is_a_usage_error(run_cli):
    code, _, said = run_cli("splitt")
    assert code == 2
    assert "No such command" in said


# the cases of bad input, by what the user sees ------------------------------------------------------------


def write(tmp_path, text, name="a.xsf"):
    (tmp_path / name).write_text(text)
    return name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.xsf"),
        ("PRIMVEC\n1 0 0\n", r"a\.xsf"),
        (WATER.replace("H  0.9 0.0 -0.2  -0.1 0.0 0.1", "H  0.9 0.0"), r"a\.xsf:6: "),
        (WATER.replace("0.96", "nan"), r"a\.xsf:5: "),
        (WATER.replace("-2081.5", "inf"), r"a\.xsf:1: "),
        (WATER.replace("# total energy = -2081.5 eV", "#"), "1 of 1 .*energ"),
        (re.sub(r"(?m)^(\w(?: +\S+){3}).*$", r"\1", WATER), "1 of 1 .*forces"),
        (WATER.replace("O ", "Xx "), r"a\.xsf:4: "),
    ],
    ids=["empty", "truncated", "ragged", "nan", "infinite energy", "no energy", "no forces", "no element"],
)  # fmt: skip
def test_bad_structures_end_with_one_message_and_exit_code_2(run_cli, tmp_path, text, message):
    code, _, said = run_cli("split", write(tmp_path, text))
    assert code == 2
    assert len(said.strip().splitlines()) <= 3
    assert said.startswith("error: ")
    assert re.search(message, said), said
    assert not (tmp_path / "split.h5").exists()


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_the_part_for_training_is_told_where_it_is_a_default(run_cli, tmp_path, dry_run):
    (tmp_path / "runs").mkdir()
    for i in range(8):
        (tmp_path / "runs" / f"w{i}.xsf").write_text(WATER.replace("0.96", f"0.9{i}"))
    _, out, _ = run_cli("split", "runs", *dry_run)
    said = "train is not given: 0.25 of inputs is for training, 2 of all 8 structures; set train=0.8 for more"
    assert said in " ".join(out.split())
    assert "train is not given" not in run_cli("split", "runs", "--set", "train=4", *dry_run)[1]
    assert "a quarter of the structures is for training" in " ".join(run_cli("split", "-h")[1].split())


def test_a_missing_file_is_told(run_cli):
    code, _, said = run_cli("split", "nothing.xsf")
    assert code == 2
    assert "nothing.xsf" in said


def test_layout_does_not_matter_to_the_reader(run_cli, tmp_path):
    text = "\n# a comment\n" + WATER.replace("ATOMS", "# another\n\n  ATOMS  \n") + "\n\n"
    code, out, _ = run_cli("split", write(tmp_path, text), "--set", "train=1")
    assert code == 0
    assert "H2O" in out


def test_mixed_compositions_become_subsets(run_cli, tmp_path):
    (tmp_path / "runs").mkdir()
    for i in range(4):
        moved = WATER.replace("0.96", f"0.9{i}")
        write(tmp_path, moved, f"runs/w{i}.xsf")
        write(tmp_path, "\n".join(moved.splitlines()[:-1]), f"runs/oh{i}.xsf")
    for count, train in (("whole", 4), ("subset", 2)):
        code, out, _ = run_cli(
            "split", "runs", "--set", f"train={train}", "--set", f"count={count}", "--force"
        )
        assert code == 0
        rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip().startswith("H")}
        assert set(rows) == {"H2O", "HO"}
        assert all(row[3:6] == ["4", "2", "2"] for row in rows.values())


@pytest.mark.parametrize("amount", ["5", "0.99"])
def test_a_tiny_subset_works_and_says_so(run_cli, tmp_path, amount):
    code, out, _ = run_cli("split", write(tmp_path, WATER), "--set", f"train={amount}")
    assert code == 0
    assert "H2O" in out
    assert "note" in out.lower() or "1 structure" in out or "fewer" in out or "no test" in out


def test_a_mistyped_key_is_answered_with_the_right_one(run_cli, tmp_path):
    (tmp_path / "c.yaml").write_text("trian: 3\n")
    code, _, said = run_cli("split", write(tmp_path, WATER), "-c", "c.yaml")
    assert code == 2
    assert "unknown key 'trian'; did you mean 'train'?" in said


def test_a_duplicate_key_is_refused(run_cli, tmp_path):
    (tmp_path / "c.yaml").write_text("train: 3\ntrain: 4\n")
    code, _, said = run_cli("split", write(tmp_path, WATER), "-c", "c.yaml")
    assert code == 2
    assert "'train' is given twice" in said


def test_a_stage_takes_its_section_from_a_workflow(run_cli, tmp_path):
    (tmp_path / "w.yaml").write_text("name: x\nseed: 4\nsplit: {inputs: [a.xsf], train: 1}\n")
    write(tmp_path, WATER)
    code, out, _ = run_cli("split", "-c", "w.yaml")
    assert code == 0, out


def test_a_dry_run_writes_nothing(run_cli, tmp_path):
    code, out, _ = run_cli("split", write(tmp_path, WATER), "--set", "train=1", "--dry-run")
    assert code == 0
    assert "nothing written" in out
    assert [p.name for p in tmp_path.iterdir()] == ["a.xsf"]


def test_the_wrong_artefact_is_told(run_cli, tmp_path):
    run_cli("split", write(tmp_path, WATER), "--set", "train=1")
    code, _, said = run_cli("augment", "split.h5", "split.h5")
    assert code == 2
    assert "expected the output of fit-gpr, got that of split" in said


def test_a_matrix_that_does_not_fit_is_refused_before_it_is_made(run_cli, tmp_path):
    run_cli("split", write(tmp_path, WATER), "--set", "train=1")
    code, _, said = run_cli("fit-gpr", "split.h5", "--set", "max_memory_gib=1e-9", "--set", "model=full")
    assert code == 4
    assert "max_memory_gib" in said
