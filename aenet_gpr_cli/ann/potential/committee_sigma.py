"""σ of the energies that a committee predicts, by what is stored with it, see `network_sigma`."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.network_sigma import total_sigma, variances
from aenet_gpr_cli.ann.potential.prediction import pack, weight_gradients
from aenet_gpr_cli.structures import FloatArray, IntArray

BLOCK_BYTES = 2**27  # of derivatives by the weights held at a time


class CommitteeSigma:
    """σ of one committee, for structures whose descriptors are known.

    Attributes
    ----------
    factor : float, dimensionless
        What has multiplied σ; 1 where it is not calibrated.
    """

    def __init__(self, model: ANNModel) -> None:
        stored = model.sigma
        self.factor = 1.0 if stored is None else stored.factor
        self._model, self._packed = model, pack(model)
        self._triangles = stored.lower_triangles() if stored is not None and stored.with_laplace else None

    def __call__(self, energies: FloatArray, kinds: IntArray, raw: FloatArray) -> FloatArray | None:
        """Return σ of the mean energies, calibrated where that is known.

        Parameters
        ----------
        energies : ndarray of shape (n_members, n_structures), eV
        kinds : ndarray of int, shape (n_atoms,)
            Species of the atoms, the same in all structures.
        raw : ndarray of shape (n_structures, n_atoms, n_features), dimensionless
            Descriptors, not scaled.

        Returns
        -------
        ndarray of shape (n_structures,), eV, or None
            None for a single network without a posterior.
        """
        sigma = total_sigma(energies, self._of_members(kinds, raw))
        return None if sigma is None else self.factor * sigma

    def _of_members(self, kinds: IntArray, raw: FloatArray) -> FloatArray | None:
        if self._triangles is None:
            return None
        result = np.empty((self._model.n_members, len(raw)))
        step = max(1, BLOCK_BYTES // (8 * self._triangles.shape[1] * len(result)))
        for first in range(0, len(raw), step):
            part = slice(first, first + step)
            gradients = weight_gradients(self._model, self._packed, kinds, raw[part])
            result[:, part] = variances(self._triangles, gradients)
        return result
