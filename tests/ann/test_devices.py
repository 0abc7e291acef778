"""Every device gives the potential of the CPU; without another one its tensor program is tried here."""

import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann import training
from aenet_gpr_cli.ann.network.backend import TensorPasses
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.ann.training import train
from tests.ann.ann_helpers import Forces, changed

CUDA = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("forces", [None, Forces(0.5, "components", 2**30), Forces(0.4, "structures", 0)])
@pytest.mark.parametrize("optimizer", ["adamw", "lm"])
@pytest.mark.parametrize("bootstrap", [False, True])
def test_every_device_gives_the_same_potential(
    data, basis, settings, adamw_settings, lm_settings, device, forces, optimizer, bootstrap, monkeypatch
):
    chosen = adamw_settings if optimizer == "adamw" else changed(lm_settings, iterations=4)
    settings = changed(settings, optimizer=chosen, forces=forces, bootstrap=bootstrap)
    expected = train(data, basis, settings, 1)
    monkeypatch.setattr(training, "fastest_passes", lambda architecture, device: TensorPasses(architecture))
    found = train(data, basis, changed(settings, device=device), 1)
    # the same sums in another order, which a few steps amplify
    np.testing.assert_allclose(found.training_loss, expected.training_loss, rtol=1e-7)
    structures = data.subsets[0]
    ours, theirs = (predict(r.model, structures, True, 8) for r in (found, expected))
    assert ours[0] == pytest.approx(theirs[0], abs=1e-7)
    assert ours[1] == pytest.approx(theirs[1], abs=1e-6)
