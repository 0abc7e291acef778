"""A small workflow on the embedded H2 data, run once for all tests that only look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aenet_gpr_cli.config.load import build, read_mapping
from aenet_gpr_cli.config.workflow import WorkflowConfig
from aenet_gpr_cli.stages.base import Context
from aenet_gpr_cli.stages.workflow import steps

ROOT = Path(__file__).parents[2]
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
def finished(tmp_path_factory) -> Path:
    """Working folder of a finished run."""
    workdir = tmp_path_factory.mktemp("h2")
    run_all(small_workflow(), workdir)
    return workdir
