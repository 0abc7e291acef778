"""The process of one subset: what is said about the forces that it cannot describe."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.stages.fit_gpr.fit_subset import fit_subset
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


def test_forces_beyond_few_features_of_soap_are_not_called_a_net_force(caplog):
    subset = springs(12)
    few = SoapSettings(n_max=2, l_max=1)  # 6 features, 21 internal directions
    with caplog.at_level("WARNING"):
        fit_subset(FitGprConfig(descriptor="soap", soap=few), "C9", subset, lambda *_: None)
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "features of soap can describe" in said
    assert "which no invariant model can learn" not in said
    caplog.clear()
    fit_subset(FitGprConfig(descriptor="inverse_distance", power=1.0), "C9", subset, lambda *_: None)
    assert "features" not in caplog.text
    assert "net force" not in caplog.text
