"""The annotated configuration: it loads, says the defaults, and is the committed one."""

from pathlib import Path

import pytest

from aenet_gpr_cli.config.annotate import annotated, annotated_active
from aenet_gpr_cli.config.problems import known_keys
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.active_config import ActiveConfig, LabelConfig, SelectConfig
from aenet_gpr_cli.config.workflow_config import WorkflowConfig
from aenet_gpr_cli.config.yaml_text import parse_yaml, read_mapping

CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_committed_file_is_renewed():
    assert (CONFIGS / "annotated.yaml").read_text() == annotated(), (
        "run: python -m aenet_gpr_cli.config.annotate > configs/annotated.yaml"
    )


def test_that_of_active_learning_is_renewed_and_says_the_defaults():
    text = annotated_active()
    assert (CONFIGS / "annotated_active.yaml").read_text() == text, (
        "run: python -m aenet_gpr_cli.config.annotate active > configs/annotated_active.yaml"
    )
    for key in (*known_keys(SelectConfig), *known_keys(LabelConfig), *known_keys(ActiveConfig)):
        assert f"{key}:" in text
    required = {"name": "my_case", "split": {"inputs": ["my_dft_runs/"]}, "pool": ["md_run.extxyz"]}
    shown = build(ActiveConfig, parse_yaml(text, "annotated"), "annotated")
    assert shown == build(ActiveConfig, required, "plain")


def test_it_loads_and_says_the_defaults():
    shown = build(WorkflowConfig, parse_yaml(annotated(), "annotated"), "annotated")
    plain = build(
        WorkflowConfig,
        {
            "name": "my_case",
            "split": {"inputs": ["my_dft_runs/"]},
            "fit_gpr": {},
            "benchmark": {},
            "augment": {"gpr": {}},
            "train_ann": {"gpr": {}},
            "slurm": {"stages": {"fit_gpr": {}}},
        },
        "plain",
    )
    assert shown == plain


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*/*.yaml")), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_configuration_of_the_project_is_valid(path):
    data = read_mapping(path)
    model = ActiveConfig if "pool" in data else WorkflowConfig
    build(model, data, str(path))
