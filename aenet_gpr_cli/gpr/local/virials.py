"""Rows of virials: derivatives of the energy by a symmetric strain of atoms and cell.

dE/dε = V σ, positive where the crystal pulls its cell together; six components, xx, yy, zz, yz, xz, xy,
of which `periodic_components` are trained on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.descriptors.chebyshev.strain import along_strains, six_components
from aenet_gpr_cli.gpr.local.design import Inducing, kernel
from aenet_gpr_cli.gpr.local.environments import Environments
from aenet_gpr_cli.lattice import volumes
from aenet_gpr_cli.structures import FloatArray, StructureSet

TENSOR = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])  # component of each pair of axes


def with_stress(structures: StructureSet) -> NDArray[np.bool_]:
    """Return which structures have a stress, shape (n_structures,); isolated ones and wires have none."""
    if structures.stress is None or volumes(structures) is None:
        return np.zeros(len(structures), bool)
    return np.asarray(np.isfinite(structures.stress).all(axis=(1, 2)))


def virials(structures: StructureSet) -> FloatArray:
    """Return V σ of structures that all have a stress, shape (n_structures, 6), eV."""
    volume = volumes(structures)
    assert structures.stress is not None  # see `with_stress`
    assert volume is not None
    symmetric = 0.5 * (structures.stress + structures.stress.transpose(0, 2, 1))
    return volume[:, None] * six_components(symmetric)


def virial_rows(found: Environments, inducing: Inducing) -> FloatArray:
    """Return the rows of the virials.

    Parameters
    ----------
    found : Environments
        With slopes.
    inducing : Inducing

    Returns
    -------
    ndarray of shape (n_structures, 6, n_inducing), dimensionless
        dE/dε, see `virials`.
    """
    assert found.slopes is not None  # asked for
    slopes = along_strains(found.neighbours, found.slopes)
    out = np.zeros((found.n_structures, 6, len(inducing)))
    for kind in range(len(inducing.offsets) - 1):
        own, columns = found.kinds == kind, inducing.of(kind)
        z, x, changes = inducing.z[columns], found.x[own], slopes[own]
        if not (len(z) and len(x)):
            continue
        adjoint = found.scale.adjoint(np.concatenate([z, x]), kind)
        rows = (changes.reshape(-1, changes.shape[2]) @ adjoint[: len(z)].T).reshape(len(x), 6, len(z))
        rows -= np.einsum("icf,if->ic", changes, adjoint[len(z) :])[:, :, None]
        rows *= kernel(x, z, inducing.length_scale)[:, None, :] / inducing.length_scale**2
        out[:, :, columns] = rows.reshape(found.n_structures, -1, 6, len(z)).sum(axis=1)
    return out
