"""One small split and the training of the module's CONFIG on it, and energies of what was trained."""

import pytest

from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.train_ann import train_ann_stage as train_ann
from tests.stages.unfinished import write_split


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_split(tmp_path_factory.mktemp("data") / "split.h5")


@pytest.fixture(scope="module")
def whole(request, data, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "ann.h5"
    train_ann.run(request.module.CONFIG, data, None, output, Context())
    return output
