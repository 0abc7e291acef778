"""`select`, `label` and `active` from the shell: from a pool to labels that `split` takes, exit codes."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.io.formats.xsf import write_xsf
from aenet_gpr_cli.stages.label_stage import calculate
from aenet_gpr_cli.stages.select_stage import load_selected
from aenet_gpr_cli.structures import Structure

DATA = Path(__file__).parents[2] / "example_data"
FITTED = {"power": 2.0, "length_scale": 0.5, "noise_std_energy": 1e-6, "noise_std_force": 1e-6}
LENNARD_JONES = {"name": "lj", "parameters": {"epsilon": 1.0, "sigma": 1.0, "rc": 3.0}}
LABEL = ("--set", "calculator.name=lj", "--set", "calculator.parameters={epsilon: 1.0, sigma: 1.0, rc: 3.0}")


@pytest.fixture
def h2(run_cli, tmp_path):
    """Names of a model and of a pool of 20 bond lengths in the folder that commands run in."""
    keys = [word for key, value in FITTED.items() for word in ("--set", f"{key}={value}")]
    assert run_cli("split", DATA / "h2/train_set.zip", "--set", "train=7", "-q")[0] == 0
    assert run_cli("fit-gpr", "split.h5", *keys, "-q")[0] == 0
    for s in read_sources([DATA / "h2/test_set.zip"])[::10]:
        write_xsf(Structure(s.species, s.positions), tmp_path / "pool" / Path(s.name).name)
    return "gpr.h5", "pool"


@pytest.fixture(autouse=True)
def _pool(tmp_path):
    (tmp_path / "pool").mkdir()


def test_from_a_pool_to_labels_that_split_takes(run_cli, h2):
    code, out, _ = run_cli("select", *h2, "--set", "n_select=4", "--set", "write=[xsf, extxyz]")
    assert code == 0
    assert "Selected structures" in out
    chosen = load_selected(Path("selected.h5"))
    assert len(chosen) == len(list(Path("selected_xsf").rglob("*.xsf"))) == 4
    assert Path("selected_structures.extxyz").is_file()
    code, out, _ = run_cli("label", "selected.h5", *LABEL)
    assert code == 0
    assert "Labelled structures" in out
    options = ("--set=train=7", "--set=train_inputs=[labelled_xsf]", "-o", "s.h5")
    code, _, _ = run_cli("split", DATA / "h2/train_set.zip", *options)
    assert code == 0
    with h5py.File("s.h5") as file, h5py.File("split.h5") as before:
        (ours,), (theirs,) = file["train"].values(), before["train"].values()
        added = set(ours["names"].asstr()[()]) - set(theirs["names"].asstr()[()])
        assert len(added) == len(ours["names"]) - len(theirs["names"]) == 4
    code, out, _ = run_cli("show", "labelled.h5")
    assert code == 0
    assert "label" in out


def test_a_work_list_of_files_gets_the_same_labels(run_cli, h2):
    run_cli("select", *h2, "--set", "n_select=3", "-q")
    assert run_cli("label", "selected.h5", *LABEL, "-o", "a.h5")[0] == 0
    assert run_cli("label", "selected_xsf", *LABEL, "-o", "b.h5")[0] == 0
    with h5py.File("a.h5") as a, h5py.File("b.h5") as b:
        ours, theirs = (np.sort(f["subsets/H2/energies"][()]) for f in (a, b))
    assert len(ours) == 3
    np.testing.assert_array_equal(ours, theirs)


def test_a_dry_run_writes_nothing_and_a_second_run_does_nothing(run_cli, h2):
    code, out, _ = run_cli("select", *h2, "--dry-run")
    assert code == 0
    assert "20 structures ranked by gpr.h5" in " ".join(out.split())
    assert not Path("selected.h5").exists()
    run_cli("select", *h2, "--set", "n_select=2", "-q")
    assert "up to date" in run_cli("select", *h2, "--set", "n_select=2")[1]
    code, out, _ = run_cli("label", "selected.h5", *LABEL, "--dry-run")
    assert code == 0
    assert "2 structures with lj" in " ".join(out.split())
    assert not Path("labelled.h5").exists()
    run_cli("label", "selected.h5", *LABEL, "-q")
    assert "up to date" in run_cli("label", "selected.h5", *LABEL)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("select", "gpr.h5", "nowhere"), 2, "nowhere"),
        (("select", "split.h5", "pool"), 2, "split.h5"),
        (("select", "gpr.h5", "pool", "--set", "n_selct=3"), 2, "did you mean"),
        (("select", "gpr.h5", "pool", "--set", "n_select=null"), 2, "expected n_select or threshold"),
        (("label", "gpr.h5", *LABEL), 2, "expected the output of select"),
        (("label", "pool", "--set", "calculator.name=nonsense"), 2, "expected a calculator of ASE"),
        (("label", "pool", "--set", "calculator.name=stored"), 3, "expected stored energy and forces"),
        (("active", "nowhere.yaml"), 2, "nowhere.yaml"),
    ],
)
def test_mistakes_are_told_in_one_message(run_cli, h2, arguments, code, said):
    given, _, err = run_cli(*arguments)
    assert given == code
    assert said in " ".join(err.split())
    assert "Traceback" not in err


def active_file(**changes) -> Path:
    keys = {
        "name": "h2",
        "seed": 1,
        "pool": ["pool"],
        "rounds": 2,
        "split": {
            "inputs": [str(DATA / "h2/train_set.zip")],
            "test_inputs": [str(DATA / "h2/test_set.zip")],
        },
        "fit_gpr": FITTED,
        "select": {"n_select": 2},
        "label": {"calculator": LENNARD_JONES},
    }
    path = Path("active.yaml")
    path.write_text(yaml.safe_dump(keys | changes), encoding="utf-8")
    return path


def test_rounds_from_the_shell_and_a_second_run_that_calculates_nothing(run_cli, h2, monkeypatch):
    path = active_file()
    code, out, _ = run_cli("active", path, "--workdir", "work")
    assert code == 0
    assert "Active learning" in out
    assert "2 rounds are done" in out
    rows = Path("work/active.csv").read_text(encoding="utf-8")
    assert [line.split(",")[:2] for line in rows.splitlines()[1:]] == [["0", "7"], ["1", "9"], ["2", "11"]]
    assert Path("work/active.png").stat().st_size > 10_000
    done = []
    monkeypatch.setattr(
        "aenet_gpr_cli.stages.label_stage.calculate", lambda *a: (done.append(a), calculate(*a))[1]
    )
    assert run_cli("active", path, "--workdir", "work")[0] == 0
    assert not done
    assert Path("work/active.csv").read_text(encoding="utf-8") == rows


def test_options_of_active_override_the_file(run_cli, h2):
    code, out, _ = run_cli(
        "active", active_file(), "--workdir", "work", "--set", "budget=9", "--set", "select.strategy=random"
    )
    assert code == 0
    assert "budget of 9" in out
    code, _, err = run_cli("active", active_file(label={"calculatr": {}}), "--workdir", "other")
    assert code == 2
    assert "unknown key 'label.calculatr'; did you mean 'calculator'?" in " ".join(err.split())
    code, _, err = run_cli("active", active_file(train_ann={}), "--workdir", "other")
    assert code == 2
    assert "expected augment and train_ann together" in " ".join(err.split())


def test_dimers_are_labelled_with_gfn2_xtb(run_cli, tmp_path):
    """The labels of the example data, which GFN2-xTB made, from their bare geometries."""
    pytest.importorskip("tblite.ase", reason="needs the extra label")
    given = {s.name: s for s in read_sources([DATA / "ec-dimer/pool_test.zip"])[:3]}
    for s in given.values():
        write_xsf(Structure(s.species, s.positions), tmp_path / "pool" / Path(s.name).name)
    parameters = "calculator.parameters={method: GFN2-xTB, accuracy: 0.01}"
    code, out, err = run_cli("label", "pool", "--set", "calculator.name=tblite", "--set", parameters)
    assert code == 0, err
    assert "failed" not in out
    stored = {Path(name).name: s for name, s in given.items()}
    labelled = read_sources([tmp_path / "labelled_xsf"])
    assert len(labelled) == 3
    for s in labelled:
        reference = stored[next(name for name in stored if Path(name).stem in s.name)]
        assert s.energy == pytest.approx(reference.energy, abs=1e-6)
        np.testing.assert_allclose(s.forces, reference.forces, atol=1e-5)
        assert np.abs(reference.forces).max() > 0.1
