"""Small workflows on the embedded data, each run once for all tests that only look at it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.workflow_config import WorkflowConfig
from aenet_gpr_cli.config.yaml_text import read_mapping
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.workflow_steps import steps

ROOT = Path(__file__).parents[1]
CASE = ROOT / "configs" / "h2"


def small_workflow(**changes) -> WorkflowConfig:
    """The H2 case of the project with two members and few iterations."""
    data = read_mapping(CASE / "workflow.yaml")
    data["train_ann"]["defaults"] |= {
        "n_members": 2,
        "optimiser": "levenberg_marquardt",
        "levenberg_marquardt": {"iterations": 30},
    }
    return build(WorkflowConfig, data | changes, "workflow.yaml")


def run_all(config: WorkflowConfig, workdir: Path, **context) -> list:
    """Run every stage and return the tables."""
    return [step(Context(**context)) for step in steps(config, CASE, workdir)]


@pytest.fixture(scope="session")
def two_subsets(tmp_path_factory) -> Path:
    """Working folder of a finished run on Li2 and CO2, with copies of one δ by both methods."""
    workdir = tmp_path_factory.mktemp("two_subsets")
    structures = workdir / "structures"
    structures.mkdir()
    with zipfile.ZipFile(ROOT / "example_data" / "heterogeneous" / "structures.zip") as archive:
        for name in archive.namelist():
            if name.startswith(("li2_d", "co2_")) and name.endswith(("0.xsf", "1.xsf")):
                archive.extract(name, structures)
    lm = {"iterations": 5}
    defaults = {"n_members": 2, "optimiser": "levenberg_marquardt", "levenberg_marquardt": lm}
    workflow = {
        "name": "two_subsets",
        "seed": 1,
        "split": {"inputs": [str(structures)], "train": 8, "count": "subset"},
        "fit_gpr": {"model": "full", "length_scale": 1.0, "power": 1.0},
        "compare_gpr": {
            "cartesian_before": {"model": "full", "descriptor": "cartesian", "length_scale": 0.4},
            "local": {"model": "local", "local": {"length_scale": 10.0, "angular_cutoffs": [4.0]}},
        },
        "augment": {m: {"method": m, "displacement": 0.02, "n_copies": 3} for m in ("gpr", "taylor")},
        "train_ann": {
            "defaults": defaults,
            "gpr": {"mode": "gpr"},
            "direct": {"mode": "direct"},
            "combined": {"mode": "combined", "loss": {"force_fraction": 0.5}},
        },
    }
    run_all(build(WorkflowConfig, workflow, "workflow.yaml"), workdir)
    return workdir


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """Working folder of a finished run."""
    workdir = tmp_path_factory.mktemp("h2")
    run_all(small_workflow(), workdir)
    return workdir
