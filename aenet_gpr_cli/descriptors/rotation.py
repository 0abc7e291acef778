"""A long descriptor rotated onto the span of training data: the same kernel with far fewer features.

A covariance depends on descriptors only through inner products of differences x_i - x_j and of columns of
J_i, so any orthonormal basis Q of the span of *both* leaves K unchanged (that of the differences alone does
not). A new structure also has a part outside, of which distances to all training structures see only the
length: kept as one more feature, it makes predictions of energies and forces exact, too. What is lost is the
direction of that part, which only a covariance between two new structures would need.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.base import Descriptor, DescriptorProducts, Index, Linearization
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.structures import FloatArray

OVERSAMPLING = 2.0  # random directions per feature: the range is found almost surely from one on
ROUNDING = 1e-7  # a part outside the span below this, relative to the rest, is rounding


@dataclass(frozen=True, slots=True)
class Rotation:
    """Isometry that every block of a descriptor goes through.

    Attributes
    ----------
    origin : ndarray of shape (n_blocks, n_long)
        Mean descriptor of the training data.
    basis : ndarray of shape (n_long, n_short)
        Orthonormal columns, the same for all blocks.
    dropped : float, dimensionless
        Mean square of the Jacobian, and of the spread of x, outside the span, relative to all of it.
    """

    origin: FloatArray
    basis: FloatArray
    dropped: float


def find_rotation(points: Linearization, n_blocks: int, tolerance: float, seed: int) -> Rotation:
    """Return the rotation onto the span of the centred descriptors and of the columns of their Jacobians.

    The span is found from J t for random t: E[J t tᵀ Jᵀ] = J Jᵀ.

    Parameters
    ----------
    points : Linearization
        Training data.
    n_blocks : int
        Parts of equal length (the centres of SOAP) that share one basis.
    tolerance : float, dimensionless
        Mean square that may be dropped, relative to all. 1e-14 keeps all that double precision resolves;
        the square of the relative force noise is invisible in predictions.
    seed : int
        Of the random directions.

    Returns
    -------
    Rotation

    Raises
    ------
    ConfigError
        If the tolerance is not in [0, 1) or the length of the descriptor is no multiple of ``n_blocks``.

    Notes
    -----
    2 n_long / n_blocks products J t in all and one eigenproblem of size n_long.
    """
    n, width = points.values.shape
    if not 0.0 <= tolerance < 1.0:
        raise ConfigError(f"rotation tolerance: expected a number in [0, 1), got {tolerance}")
    if n_blocks < 1 or width % n_blocks:
        raise ConfigError(f"rotation: expected parts of equal length, got {width} features in {n_blocks}")
    n_long = width // n_blocks
    origin = points.values.mean(axis=0)
    spread = (points.values - origin).reshape(-1, n_long)
    gram = _normalised(spread.T @ spread)
    rng, shape = np.random.default_rng(seed), points.vjp(np.zeros((n, width))).shape
    slopes = np.zeros_like(gram)
    for _ in range(int(np.ceil(OVERSAMPLING * n_long / (n * n_blocks)))):
        moves = points.jvp(rng.normal(size=shape)).reshape(-1, n_long)
        slopes += moves.T @ moves
    energies, vectors = np.linalg.eigh(gram + _normalised(slopes))
    lost = np.cumsum(np.maximum(energies, 0.0))
    first = int(np.searchsorted(lost, tolerance * lost[-1], side="right"))
    basis = np.ascontiguousarray(vectors[:, first:][:, ::-1])
    dropped = float(lost[first - 1] / lost[-1]) if first else 0.0
    return Rotation(origin.reshape(n_blocks, n_long), basis, dropped)


class Rotated(DescriptorProducts):
    """A descriptor after a rotation: per block Qᵀ(x - x̄) and the length of what lies outside the span.

    Parameters
    ----------
    descriptor : Descriptor
    rotation : Rotation

    Raises
    ------
    InputError
        If the rotation belongs to a descriptor of another length.
    """

    def __init__(self, descriptor: Descriptor, rotation: Rotation) -> None:
        if rotation.origin.size != descriptor.n_features or rotation.origin.shape[1] != len(rotation.basis):
            raise InputError(
                f"rotation: expected one for {descriptor.n_features} features, got {rotation.origin.shape} "
                f"with a basis {rotation.basis.shape}"
            )
        self.descriptor, self.rotation = descriptor, rotation

    @property
    def name(self) -> str:
        """Name used in configurations and artefacts: that of the descriptor itself."""
        return self.descriptor.name

    @property
    def n_features(self) -> int:
        """Length after the rotation."""
        return len(self.rotation.origin) * (self.rotation.basis.shape[1] + 1)

    def values(self, positions: FloatArray) -> FloatArray:
        """Return the rotated descriptor.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å

        Returns
        -------
        ndarray of shape (n_structures, n_features)
        """
        return self._rotate(self.descriptor.values(positions))[0]

    def linearize(self, positions: FloatArray) -> Linearization:
        """Return rotated values and Jacobian products, with the short Jacobian kept.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å

        Returns
        -------
        Linearization

        Notes
        -----
        24 n_atoms n_features bytes per structure.
        """
        points = self.descriptor.linearize(positions)
        values, outside = self._rotate(points.values)
        n = len(values)
        slopes = np.empty((n, 3 * positions.shape[1], self.n_features))
        for i in range(n):
            slopes[i] = self._rotate_slopes(points.jacobian(slice(i, i + 1))[0].T, outside[i])
        return _Dense(values, slopes)

    def _rotate(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rotated values, and the unit vectors along what lies outside, zero where it is rounding."""
        basis = self.rotation.basis
        centred = x.reshape(len(x), *self.rotation.origin.shape) - self.rotation.origin
        inside = centred @ basis
        outside = centred - inside @ basis.T
        length = np.linalg.norm(outside, axis=2)
        length[length <= ROUNDING * np.linalg.norm(centred, axis=2)] = 0.0
        outside *= (1.0 / np.where(length > 0.0, length, np.inf))[..., None]
        return np.concatenate([inside, length[..., None]], axis=2).reshape(len(x), -1), outside

    def _rotate_slopes(self, jacobian: FloatArray, outside: FloatArray) -> FloatArray:
        """Rotated Jᵀ of one structure, shape (3 n_atoms, n_features); ∂|x_out| = J · x_out/|x_out|."""
        blocks = np.ascontiguousarray(jacobian).reshape(len(jacobian), *self.rotation.origin.shape)
        along = np.einsum("abp,bp->ab", blocks, outside)
        return np.concatenate([blocks @ self.rotation.basis, along[..., None]], axis=2).reshape(
            len(jacobian), -1
        )


@dataclass(frozen=True, slots=True)
class _Dense:
    """Values with the whole Jacobian, transposed: shape (n_structures, 3 n_atoms, n_features)."""

    values: FloatArray
    slopes: FloatArray

    def jacobian(self, index: Index) -> FloatArray:
        return self.slopes[index].transpose(0, 2, 1)

    def jvp(self, tangents: FloatArray) -> FloatArray:
        return (tangents.reshape(len(tangents), 1, -1) @ self.slopes)[:, 0]

    def vjp(self, cotangents: FloatArray) -> FloatArray:
        return (self.slopes @ cotangents[..., None]).reshape(len(cotangents), -1, 3)

    def select(self, index: Index) -> _Dense:
        return _Dense(self.values[index], self.slopes[index])


def _normalised(gram: FloatArray) -> FloatArray:
    trace = float(np.trace(gram))
    return gram / trace if trace > 0.0 else gram
