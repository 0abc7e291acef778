"""Dense covariance of structures of several centres, k = C⁻² Σ_cd k(x_c - x'_d).

The kernel of the authors' package for SOAP about C centres (theirs is the sum: the same with signal_std / C).
Compare the one long vector, k(x - x') with |x - x'|² = Σ_c |x_c - x'_c|²: for the squared exponential the
*product* of the kernels of equal centres. The product is near zero once one centre differs much; the mean
still compares the others, unlike centres, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor, Index, Linearization
from aenet_gpr_cli.descriptors.interface.feature_distances import squared_distances
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.covariance.centre_blocks import CentreJacobians, fill
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import Kernel
from aenet_gpr_cli.structures import FloatArray

SINGLE_DROPPED = 3e-5  # of the mean square of Jacobians: what single precision may do without


def make_covariance(kernel: Kernel, points: Linearization, origin: FloatArray, n_atoms: int) -> Covariance:
    """Return the covariance of structures of one or several centres, as many as ``origin`` fits in."""
    several = points.values.shape[1] > len(origin)
    return (CentrePairCovariance if several else Covariance)(kernel, points, origin, n_atoms)


def covariance_at(
    kernel: Kernel, descriptor: Descriptor, positions: FloatArray, n_centres: int
) -> Covariance:
    """Return the covariance of the structures at ``positions`` (n_structures, n_atoms, 3), Å.

    Raises
    ------
    InputError
        If the descriptor does not divide into so many centres.
    """
    if n_centres > 1:
        return CentrePairCovariance.of(kernel, descriptor, positions, n_centres)
    return Covariance.of(kernel, descriptor, positions)


@dataclass(frozen=True, slots=True)
class CentrePairCovariance(Covariance):
    """Covariance of a set of structures of C centres each.

    ``kernel`` is that between two centres, so the covariance of a structure with itself is at most 1.
    """

    @classmethod
    def of(  # type: ignore[override]
        cls, kernel: Kernel, descriptor: Descriptor, positions: FloatArray, n_centres: int
    ) -> CentrePairCovariance:
        """Return the covariance of the structures at ``positions`` (n_structures, n_atoms, 3), Å.

        Raises
        ------
        InputError
            If the descriptor does not divide into so many centres.
        """
        if n_centres < 1 or descriptor.n_features % n_centres:
            raise InputError(
                f"centre pairs: expected features for {n_centres} centres, got {descriptor.n_features}"
            )
        points = descriptor.linearize(positions)
        origin = points.values.reshape(-1, descriptor.n_features // n_centres).mean(axis=0)
        return cls(kernel, points, origin, positions.shape[1])

    def energy_variances(self, values: FloatArray) -> FloatArray:
        """Return the prior variances of the energies of new structures, see `Covariance`."""
        x = values.reshape(len(values), self.n_centres, -1) - self.origin
        return np.array([self.kernel.value(squared_distances(own, own)).mean() for own in x])

    def dense(self, dtype: type = np.float64) -> FloatArray:
        """Return K in full storage with only its lower triangle (of blocks of structures) set.

        Parameters
        ----------
        dtype : numpy type
            Precision of Jacobians and matrix. Single precision also leaves out atoms and features that hold
            no more than ``SINGLE_DROPPED`` of the mean square of the Jacobian of a centre.

        Returns
        -------
        ndarray of shape (n_rows, n_rows), C order

        Notes
        -----
        9 N² C p operations per pair of structures, besides n_rows² numbers the Jacobians of all centres.
        """
        dropped = SINGLE_DROPPED if dtype == np.float32 else 0.0
        own = self._jacobians(dtype, dropped)
        matrix: FloatArray = np.zeros((self.n_rows, self.n_rows), dtype)
        fill(self.kernel, own, own, matrix, lower=True)
        return matrix

    def columns(self, index: Index) -> FloatArray:
        """Return the columns of K that belong to the structures ``index``, ordered as their own rows."""
        own = self._jacobians()
        matrix = np.empty((self.n_rows, self.select(index).n_rows))
        fill(self.kernel, own, own.select(index), matrix, lower=False)
        return matrix

    def _jacobians(self, dtype: type = np.float64, dropped: float = 0.0) -> CentreJacobians:
        x = self.x.reshape(self.n_structures, self.n_centres, -1)
        return CentreJacobians.of(self.points, x, dtype, dropped)
