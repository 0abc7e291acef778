"""σ of the local process on public data: intervals cover what they claim, on structures not used.

Long (a minute); run with ``make test-slow`` after ``aenet-gpr fetch mlearn-li``.
"""

import json

import pytest

from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.prediction_config import EvaluateConfig
from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.stages.evaluate import evaluate_stage as evaluate
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.split import split_stage as split

pytestmark = [pytest.mark.slow, pytest.mark.published]


def test_intervals_of_95_percent_cover_about_as_many_errors(published, tmp_path):
    published("mlearn-li")
    inputs = {"inputs": ["published:mlearn-li/training.xyz"], "test_inputs": ["published:mlearn-li/test.xyz"]}
    split.run(build(SplitConfig, inputs, "split"), tmp_path, tmp_path / "split.h5", Context())
    fit_gpr.run(FitGprConfig(model="local"), tmp_path / "split.h5", tmp_path / "gpr.h5", Context())
    config = EvaluateConfig(plots=False)
    models = {"gpr": tmp_path / "gpr.h5"}
    evaluate.run(config, tmp_path / "split.h5", models, tmp_path / "metrics.h5", Context())
    found = json.loads((tmp_path / "metrics.json").read_text())["gpr"]["total"]
    assert found["n_structures"] == 29
    assert 0.88 <= found["coverage_95"] <= 0.99
    assert 0.88 <= found["force_coverage_95"] <= 0.99
    assert 0.7 < found["force_z_rms"] < 1.4
