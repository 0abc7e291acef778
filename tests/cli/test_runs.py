"""Commands around the work: show, validate, init, schema, completion, status."""

import json
import subprocess
import sys

import numpy as np
import pytest
import yaml

from aenet_gpr_cli.config.annotate import annotated, annotated_active
from aenet_gpr_cli.config.problems import known_keys
from aenet_gpr_cli.config.reading import MODELS, read_config
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.fields import write_field
from aenet_gpr_cli.io.artefacts.structure_sets import PARTS, load_split
from aenet_gpr_cli.stages.workflow_steps import ORDER
from tests.cli.test_main import WATER

pytestmark = pytest.mark.usefixtures("waters")


@pytest.fixture
def waters(tmp_path):
    (tmp_path / "runs").mkdir()
    for i in range(5):
        (tmp_path / "runs" / f"w{i}.xsf").write_text(WATER.replace("0.96", f"0.9{i}"))


def test_show_says_where_an_artefact_came_from_and_what_is_in_it(run_cli):
    run_cli("split", "runs", "--set", "train=3", "--seed", "7")
    code, out, _ = run_cli("show", "split.h5")
    assert code == 0
    said = " ".join(out.split())
    for expected in (
        "split.h5: output of split",
        "seed 7",
        "input 0:runs SHA-256",
        "train/H2O/positions 3 × 3 × 3 float64 Å",
        "test/H2O/energies 2 float64 eV",
        "train/H2O/species 3 text",
        "H2O 3 no 5 3 2",  # the table of the stage
    ):
        assert expected in said, said


def test_the_configuration_of_an_artefact_makes_it_again(run_cli):
    run_cli("split", "runs", "--set", "train=3", "--seed", "7")
    code, out, _ = run_cli("show", "split.h5", "--config")
    assert code == 0
    assert yaml.safe_load(out)["seed"] == 7
    with open("again.yaml", "w") as file:
        file.write(out)
    code, out, _ = run_cli("split", "-c", "again.yaml")
    assert code == 0
    assert "up to date" in out


def test_show_refuses_what_is_no_artefact(run_cli):
    code, _, said = run_cli("show", "runs/w0.xsf")
    assert code == 2
    assert "expected an HDF5 file" in said


def test_validate_accepts_what_is_right(run_cli, tmp_path):
    (tmp_path / "w.yaml").write_text("name: x\nsplit: {inputs: [runs]}\n")
    (tmp_path / "a.yaml").write_text("method: taylor\ndisplacement: 0.02\n")
    (tmp_path / "seed.yaml").write_text("seed: 3\n")
    (tmp_path / "active.yaml").write_text("name: x\npool: [runs]\nsplit: {inputs: [runs]}\n")
    (tmp_path / "select.yaml").write_text("n_select: 3\ndiversity: 2\n")
    (tmp_path / "label.yaml").write_text("calculator: {name: emt}\n")
    for what in ("active", "select", "label"):
        assert f"a valid configuration of {what}" in run_cli("validate", f"{what}.yaml")[1]
    assert "a valid configuration of workflow" in run_cli("validate", "w.yaml")[1]
    assert "a valid configuration of augment" in run_cli("validate", "a.yaml")[1]
    code, _, said = run_cli("validate", "seed.yaml")
    assert code == 2
    assert "say which with --for" in said
    assert "of fit-gpr" in run_cli("validate", "seed.yaml", "--for", "fit-gpr")[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nsplit: {inputs: [runz]}\n", "runz"),
        ("name: x\nsplit: {inputs: [runs], trian: 3}\n", "unknown key 'split.trian'; did you mean 'train'?"),
        ("method: taylor\ndisplacment: 0.02\n", "did you mean 'displacement'?"),
        ("name: x\npool: [a]\nsplit: {inputs: [runs]}\nselect: {n_selct: 3}\n", "did you mean 'n_select'?"),
        ("name: x\npool: [nowhere]\nsplit: {inputs: [runs]}\n", "nowhere"),
        ("name: x\nsplit: {inputs: [runs]}\nslurm: {time: soon}\n", "slurm.time"),
        ("name: x\nsplit: {inputs: [runs]}\nslurm: {extra: [qos]}\n", "options of sbatch"),
        ("name: x\nsplit: {inputs: [runs]}\nslurm: {stages: {fitgpr: {cpus: 2}}}\n", "fit_gpr"),
    ],
)
def test_validate_says_what_is_wrong(run_cli, tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    code, _, said = run_cli("validate", "c.yaml")
    assert code == 2
    assert message in said


def test_a_run_may_end_after_any_stage(run_cli):
    assert f"[{'|'.join(ORDER)}]" in run_cli("run", "--help")[1]


def test_init_writes_a_workflow_that_runs(run_cli, tmp_path):
    (tmp_path / "cases").mkdir()
    code, out, _ = run_cli("init", "runs", "--name", "waters", "-o", "cases/w.yaml")
    assert code == 0
    assert "H2O" in out
    what, config = read_config(None, tmp_path / "cases/w.yaml")
    assert what == "workflow"
    assert config.name == "waters"
    assert set(config.train_ann) == {"energy_only", "direct", "combined"}
    code, out, said = run_cli("run", "cases/w.yaml", "--workdir", "work", "--until", "split")
    assert code == 0, said
    code, _, said = run_cli("init", "runs", "-o", "cases/w.yaml")
    assert code == 2
    assert "there already" in said


@pytest.mark.parametrize(("step", "together"), [(0.01, True), (1.0, False)])
def test_init_keeps_neighbours_of_a_trajectory_together(run_cli, tmp_path, step, together):
    rng, frames, position = np.random.default_rng(0), [], np.zeros(3)
    for _ in range(60):
        position = position + step * rng.normal(size=3) if together else rng.normal(size=3)
        at = " ".join(map(str, np.array([0.0, 0.0, 2.0]) + position))
        frames.append(
            f"2\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1\nH 0 0 0 0 0 0\nH {at} 0 0 0\n"
        )
    (tmp_path / "md.xyz").write_text("".join(frames))
    code, _, said = run_cli("init", "md.xyz", "-o", "md.yaml")
    assert code == 0, said
    _, config = read_config(None, tmp_path / "md.yaml")
    assert config.split.blocks == (6 if together else None)


@pytest.mark.parametrize("arguments", [("runs", "--quick", "--best"), ("--full", "--quick")])
def test_init_takes_one_recipe(run_cli, tmp_path, arguments):
    code, _, said = run_cli("init", *arguments)
    assert code == 2
    assert "expected one of --quick, --best and --full, got several" in said
    assert not (tmp_path / "workflow.yaml").exists()


@pytest.mark.parametrize(("option", "members"), [((), 4), (("--quick",), 1), (("--best",), 10)])
def test_init_has_three_recipes(run_cli, tmp_path, option, members):
    code, _, said = run_cli("init", "runs", *option, "-o", "w.yaml")
    assert code == 0, said
    _, config = read_config(None, tmp_path / "w.yaml")
    assert {training.n_members for training in config.train_ann.values()} == {members}
    assert {training.optimiser for training in config.train_ann.values()} == {"levenberg_marquardt"}


@pytest.mark.parametrize(("changed", "resolved"), [("H", False), ("C", True)])
def test_init_resolves_three_species(run_cli, tmp_path, changed, resolved):
    for i in range(5):
        text = WATER.replace("0.96", f"0.9{i}").replace("\nH", f"\n{changed}", 1)
        (tmp_path / "runs" / f"w{i}.xsf").write_text(text)
    code, _, said = run_cli("init", "runs", "-o", "w.yaml")
    assert code == 0, said
    assert ("resolve_species: auto" in (tmp_path / "w.yaml").read_text()) == resolved


def test_init_without_forces_offers_what_is_possible(run_cli, tmp_path):
    lines = [" ".join(line.split()[:4]) if len(line.split()) == 7 else line for line in WATER.splitlines()]
    (tmp_path / "bare").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "bare" / f"{name}.xsf").write_text("\n".join(lines))
    code, out, said = run_cli("init", "bare", "-o", "bare.yaml")
    assert code == 0, said
    assert "no forces" in out
    _, config = read_config(None, tmp_path / "bare.yaml")
    assert (config.fit_gpr, set(config.train_ann)) == (None, {"energy_only"})


@pytest.mark.parametrize("n", [1, 2])
def test_init_refuses_structures_of_which_none_would_test(run_cli, tmp_path, n):
    code, _, said = run_cli("init", *(f"runs/w{i}.xsf" for i in range(n)), "-o", "few.yaml")
    assert code == 2
    assert f"expected 3 structures at least, some to train and one to test, got {n}" in said
    assert not (tmp_path / "few.yaml").exists()


def test_three_structures_are_enough_for_init_and_run(run_cli):
    assert run_cli("init", *(f"runs/w{i}.xsf" for i in range(3)), "-o", "three.yaml")[0] == 0
    code, _, said = run_cli("run", "three.yaml", "--workdir", "three", "--dry-run")
    assert code == 0, said


def test_the_recipe_of_the_guide_keeps_the_division_and_adds_what_was_labelled(run_cli, tmp_path):
    recipe = "aenet-gpr split -c workflow.yaml --set train_inputs=[labelled_xsf] -o split_2.h5"
    assert recipe in run_cli("guide", "active")[1]
    for i in range(2):
        (tmp_path / "labelled_xsf").mkdir(exist_ok=True)
        (tmp_path / "labelled_xsf" / f"n{i}.xsf").write_text(WATER.replace("0.96", f"1.0{i + 1}"))
    assert run_cli("init", "runs", "-o", "workflow.yaml")[0] == 0
    assert run_cli("run", "workflow.yaml", "--workdir", "work", "--until", "split")[0] == 0
    code, _, said = run_cli(*recipe.split()[1:])
    assert code == 0, said
    (train, test), (more, same) = (
        [{name for s in load_split(tmp_path / file, part).values() for name in s.names} for part in PARTS]
        for file in ("work/split.h5", "split_2.h5")
    )
    assert (len(train), len(test)) == (4, 1)
    assert same == test
    assert more == train | {"labelled_xsf/n0.xsf", "labelled_xsf/n1.xsf"}


def test_init_says_little_about_many_compositions(run_cli, tmp_path):
    frames = [
        f"{n}\nenergy={-n}\n" + "\n".join(f"He 0 0 {2 * i}" for i in range(n)) + "\n" for n in range(1, 40)
    ]
    (tmp_path / "many.xyz").write_text("".join(frames))
    code, out, said = run_cli("init", "many.xyz", "-o", "many.yaml")
    assert code == 0, said
    assert "35 more, of 1 each" in out  # the single atom is no subset
    assert len(out.splitlines()) < 15
    assert all(len(line) < 110 for line in (tmp_path / "many.yaml").read_text().splitlines())


def resolve(schema, reference):
    """Follow a local reference, or what a choice of None leaves."""
    for key in ("anyOf", "allOf"):
        if key in reference:
            reference = next(item for item in reference[key] if "$ref" in item)
    return schema["$defs"][reference["$ref"].rpartition("/")[2]]


def test_the_schema_knows_every_key_and_meaning(run_cli):
    for what, model in MODELS.items():
        code, out, _ = run_cli("schema", what)
        assert code == 0
        schema = json.loads(out)
        assert set(schema["properties"]) == set(known_keys(model))
        assert schema["additionalProperties"] is False
    schema = json.loads(run_cli("schema")[1])
    fit = resolve(schema, schema["properties"]["fit_gpr"])
    assert "length scale" in fit["properties"]["length_scale"]["description"]
    assert run_cli("schema", "nothing")[0] == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_of_the_shell(run_cli, shell):
    code, out, _ = run_cli("completion", shell)
    assert code == 0
    assert "_AENET_GPR_COMPLETE" in out


def test_commands_and_options_are_completed():
    def completions(words):
        program = "import sys; sys.argv[0] = 'aenet-gpr'; from aenet_gpr_cli.cli.main import main; main()"
        environment = {
            "_AENET_GPR_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
            "PYTHONPATH": ":".join(sys.path),
        }
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert set(completions("aenet-gpr tr")) == {"train-ann"}
    assert "--member" in completions("aenet-gpr train-ann --m")


def test_status_tells_finished_unfinished_damaged_and_held(run_cli, tmp_path):
    run_cli("split", "runs", "--set", "train=3", "-o", "w/split.h5")
    checkpoint = tmp_path / "w/.ann.h5.checkpoint"
    checkpoint.mkdir()
    job = Job("train-ann", {}, {}, ("0",), ("0", "1"))
    with publish(checkpoint / "finished_0.h5", job) as file:
        write_field(file, "energies", [1.0])
    with publish(checkpoint / "state.h5", Job("train-ann state", {}, {}, ("1",), ("0", "1"))) as file:
        file.attrs["so_far_s"] = 12.4
    (tmp_path / "w/gpr.h5").write_text("nonsense")
    holder = {"host": "another-host", "pid": 17, "since": "today"}
    (tmp_path / "w/.metrics.h5.lock").write_text(json.dumps(holder))
    before = sorted(path.name for path in (tmp_path / "w").rglob("*"))
    code, out, _ = run_cli("status", "w")
    assert code == 0
    said = " ".join(out.split())
    for expected in (
        "split.h5 finished split",
        "gpr.h5 damaged",
        "ann.h5 unfinished train-ann 1 finished: 0; state after 12 s",
        "metrics.h5 being written process 17 on another-host since today",
    ):
        assert expected in said, said
    assert before == sorted(path.name for path in (tmp_path / "w").rglob("*"))
    code, _, said = run_cli("status", "nowhere")
    assert code == 2


def test_init_writes_every_key(run_cli, tmp_path):
    code, out, _ = run_cli("init", "--full", "-o", "keys/w.yaml")
    assert code == 0
    assert "keys/annotated.yaml" in out
    for name, known in (("annotated.yaml", annotated()), ("annotated_active.yaml", annotated_active())):
        assert (tmp_path / "keys" / name).read_text() == known
    code, _, said = run_cli("init", "--full", "-o", "keys/w.yaml")
    assert code == 2
    assert "--force" in said
    code, _, said = run_cli("init")
    assert code == 2
    assert "--full" in said
