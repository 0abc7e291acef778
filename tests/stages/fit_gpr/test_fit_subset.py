"""The process of one subset: what is said about the forces that it cannot describe."""

from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.gpr.process_settings import Local
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.structure_sets import write_structures
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage, join_fits
from aenet_gpr_cli.stages.fit_gpr.contest import Verdict
from aenet_gpr_cli.stages.fit_gpr.fit_subset import fit_subset
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.structures import StructureSet


def springs(n, n_atoms=9):
    """Return a cluster whose atoms are joined by springs: no net force and no torque."""
    rng = np.random.default_rng(4)
    rest = np.array([[i, j, 0.1 * i * j] for i in range(3) for j in range(3)], float)[:n_atoms] * 1.6
    x = rest + 0.08 * rng.normal(size=(n, n_atoms, 3))
    apart = x[:, :, None] - x[:, None]
    r = np.linalg.norm(apart, axis=-1) + np.eye(n_atoms)
    off = r - np.linalg.norm(rest[:, None] - rest[None], axis=-1) - np.eye(n_atoms)
    forces = -(4.0 * off / r)[..., None] * apart
    return StructureSet(("C",) * n_atoms, x, energies=(off**2).sum((1, 2)), forces=forces.sum(axis=2))


def test_forces_beyond_few_features_of_soap_are_not_called_a_net_force():
    subset = springs(12)
    few = SoapSettings(n_max=2, l_max=1)  # 6 features, 21 internal directions
    fitted = fit_subset(FitGprConfig(descriptor="soap", soap=few), "C9", subset, lambda *_: None)
    said = " ".join(fitted.doubts)
    assert "features of soap can describe" in said
    assert "which no invariant model can learn" not in said
    fitted = fit_subset(FitGprConfig(descriptor="inverse_distance", power=1.0), "C9", subset, lambda *_: None)
    assert not any("features" in doubt or "net force" in doubt for doubt in fitted.doubts)


@pytest.mark.parametrize("kept", [True, False])
def test_only_what_is_kept_is_warned_of(tmp_path, caplog, monkeypatch, kept):
    """Where the local process is better, what is wrong with the full one is no matter to the user."""
    with publish(tmp_path / "split.h5", Job("split", {}, {})) as file:
        write_structures(file.create_group("train/C9"), springs(12))
        file.create_group("test")
    monkeypatch.setattr(join_fits, "verdict", lambda *_: Verdict(kept, "said by the test"))
    few = SoapSettings(n_max=2, l_max=1)
    config = FitGprConfig(descriptor="soap", soap=few, local=Local(n_inducing=20, learn_metric=False))
    with caplog.at_level("DEBUG"):
        fit_gpr_stage.run(config, tmp_path / "split.h5", tmp_path / "gpr.h5", Context())
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any("features of soap can describe" in line for line in warned) == kept
    assert "features of soap can describe" in caplog.text  # with -v
