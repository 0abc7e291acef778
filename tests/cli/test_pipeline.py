"""`fit-gpr` from the shell: forecasts, options of the method, and its advice; dynamics by options."""

from pathlib import Path

import h5py
import pytest

from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.structure_sets import write_structures
from tests.gpr import water_dimer

STORED = Path(__file__).parents[1] / "data" / "artefacts_0.1.0"


@pytest.fixture
def split(tmp_path):
    structures = water_dimer.make(8, 0)
    with publish(tmp_path / "split.h5", Job("split", {}, {})) as file:
        for part in ("train", "test"):
            write_structures(file.create_group(f"{part}/water"), structures)
    return tmp_path / "split.h5"


def test_a_dry_run_forecasts_both_solvers_and_writes_nothing(run_cli, split):
    code, out, _ = run_cli("fit-gpr", split, "--dry-run")
    assert code == 0
    said = " ".join(out.split())
    assert "8 structures of 6 atoms (152 rows)" in said
    assert "by cholesky" in said
    assert "by conjugate_gradient; takes cholesky" in said
    assert not Path("gpr.h5").exists()


def test_solver_search_and_permutations_are_options(run_cli, split):
    keys = (
        "model=full",
        "solver=conjugate_gradient",
        "descriptor=inverse_distance",
        "permutations=auto",
        "search.method=likelihood",
        "power=1.0",
    )
    code, out, _ = run_cli("fit-gpr", split, *(word for key in keys for word in ("--set", key)))
    assert code == 0
    assert "1/r ×8" in out
    assert "cg (" in out
    with h5py.File("gpr.h5") as file:
        stored = file["subsets/water"]
        assert stored.attrs["solver"] == "conjugate_gradient"
        assert stored.attrs["residual"] <= 1e-4
        assert stored["permutations"].shape == (8, 6)
        assert stored["search"].attrs["method"] == "likelihood"
    code, out, _ = run_cli("evaluate", split, "gpr.h5", "--set", "sigma=exact", "--set", "plots=false")
    assert code == 0
    assert "σ (exact)" in out
    assert "of the errors in its 95% intervals" in " ".join(out.split())


def test_too_little_memory_is_said_before_anything_is_computed(run_cli, split):
    code, _, err = run_cli("fit-gpr", split, "--set", "solver=cholesky", "--set", "max_memory_gib=1e-5")
    assert code == 4
    assert "allowed are 1e-05 GiB" in " ".join(err.split())
    code, _, err = run_cli("fit-gpr", split, "--set", "search.metod=likelihood")
    assert code == 2
    assert "did you mean" in err


@pytest.mark.parametrize("part", ["3/2", "0/2", "1", "x/2", "1/2/3", "-1/2", "1/1000000000"])
def test_a_part_is_one_of_as_many(run_cli, split, part):
    code, _, err = run_cli("fit-gpr", split, f"--part={part}")
    assert code == 2
    assert "expected K" in err
    assert not Path("gpr.h5").exists()


def test_more_parts_than_there_is_work_are_refused(run_cli, split):
    code, _, err = run_cli("fit-gpr", split, "--set", "model=full", "--part", "2/2")
    assert code == 2
    assert "expected at most 1 parts, one for each subset, got 2" in " ".join(err.split())


@pytest.mark.parametrize(
    ("options", "expected", "words"),
    [
        (("--time", "5fs", "--temperature", "50", "--frame", "3"), 0, "wrote md.h5"),
        (("--time", "5fs", "--set", "stop_temperature=1"), 3, "above stop_temperature"),
        (("--time", "5"), 2, "expected a number with fs, ps or ns"),
        (("--ensemble", "npt"), 2, "npt: expected a cell"),
        (("--reference", "nothing"), 2, "reference.name: expected a calculator of ASE"),
        (("--time", "1ps", "--dry-run"), 0, "2,000 steps of 0.5 fs, NVT"),
    ],
    ids=["runs", "fence", "unit", "no cell", "no calculator", "dry"],
)
def test_dynamics_by_options(run_cli, options, expected, words):
    start = STORED / "test_set.zip"
    code, said, error = run_cli("md", STORED / "ann_gpr.h5", start, *options)
    assert (code, words in said + error) == (expected, True), said + error
