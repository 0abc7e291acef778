"""A long descriptor rotated onto the span of training data: the same kernel with far fewer features.

A covariance depends on descriptors only through inner products of differences x_i - x_j and of columns of
J_i, so any orthonormal basis Q of the span of *both* leaves K unchanged (that of the differences alone does
not). A new structure also has a part outside, of which distances to all training structures see only the
length: kept as one more feature, it makes predictions of energies and forces exact, too. What is lost is the
direction of that part, which only a covariance between two new structures would need.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import (
    Descriptor,
    DescriptorProducts,
    Index,
    Linearisation,
)
from aenet_gpr_cli.descriptors.soap.soap_descriptor import SoapLinearisation
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.structures import FloatArray

OVERSAMPLING = 2.0  # random directions per feature: the range is found almost surely from one on
KEEP_BYTES = 2**30  # short Jacobians are kept up to this size
FEW_PRODUCTS = 4  # so many products are cheaper through the long descriptor than by its dense Jacobian
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


def find_rotation(points: Linearisation, n_blocks: int, tolerance: float, seed: int) -> Rotation:
    """Return the rotation onto the span of the centred descriptors and of the columns of their Jacobians.

    Where there are many more columns than features, random combinations J t of the columns of each structure
    take their place: E[J t tᵀ Jᵀ] = J Jᵀ.

    Parameters
    ----------
    points : Linearisation
        Training data.
    n_blocks : int
        Parts of equal length (the centres of SOAP) that share one basis.
    tolerance : float, dimensionless
        Mean square that may be dropped, relative to all. 1e-14 keeps all that double precision resolves;
        the square of the relative force noise is invisible in predictions.
    seed : int
        Of the random directions.

    Raises
    ------
    ConfigError
        If the tolerance is not in [0, 1) or the length of the descriptor is no multiple of ``n_blocks``.

    Notes
    -----
    A few products with the Jacobians, or one dense Jacobian per structure, and one eigenproblem of size
    n_long.
    """
    n, width = points.values.shape
    if not 0.0 <= tolerance < 1.0:
        raise ConfigError(f"rotation tolerance: expected a number in [0, 1), got {tolerance}")
    if n_blocks < 1 or width % n_blocks:
        raise ConfigError(f"rotation: expected parts of equal length, got {width} features in {n_blocks}")
    n_long = width // n_blocks
    blocks = points.values.reshape(-1, n_long)
    origin = blocks.mean(axis=0)  # one for all: blocks may be compared with each other
    spread = blocks - origin
    gram = _normalised(spread.T @ spread)
    slopes = np.zeros_like(gram)
    n_directions = int(np.ceil(OVERSAMPLING * n_long / (n * n_blocks)))
    for columns in _columns(points, n_directions, np.random.default_rng(seed)):
        moves = np.ascontiguousarray(columns).reshape(-1, n_long)
        slopes += moves.T @ moves
    energies, vectors = np.linalg.eigh(gram + _normalised(slopes))
    lost = np.cumsum(np.maximum(energies, 0.0))
    first = int(np.searchsorted(lost, tolerance * lost[-1], side="right"))
    basis = np.ascontiguousarray(vectors[:, first:][:, ::-1])
    dropped = float(lost[first - 1] / lost[-1]) if first else 0.0
    return Rotation(np.tile(origin, (n_blocks, 1)), basis, dropped)


class Rotated(DescriptorProducts):
    """A descriptor after a rotation: per block Qᵀ(x - x̄) and the length of what lies outside the span.

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

        Returns
        -------
        ndarray of shape (n_structures, n_features)
        """
        return self._rotate(self.descriptor.values(positions))[0]

    def linearise(self, positions: FloatArray) -> RotatedLinearisation:
        """Return rotated values and Jacobian products."""
        points = self.descriptor.linearise(positions)
        values, outside = self._rotate(points.values)
        return RotatedLinearisation(self.rotation, points, values, outside)

    def _rotate(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rotated values, and the unit vectors along what lies outside, zero where it is rounding."""
        basis = self.rotation.basis
        centred = x.reshape(len(x), *self.rotation.origin.shape) - self.rotation.origin
        inside = _along(centred, basis)
        outside = centred - _along(inside, basis.T)
        length = np.linalg.norm(outside, axis=2)
        length[length <= ROUNDING * np.linalg.norm(centred, axis=2)] = 0.0
        outside *= (1.0 / np.where(length > 0.0, length, np.inf))[..., None]
        return np.concatenate([inside, length[..., None]], axis=2).reshape(len(x), -1), outside


class RotatedLinearisation:
    """Rotated values; products go through the long descriptor or, where they are many, the short Jacobian.

    A prediction needs one product per structure, cheapest through the long descriptor. A fit or a σ needs
    many: the short Jacobian of a structure is kept once asked for, also between selections, if memory allows.

    Parameters
    ----------
    points : Linearisation
        Of the long descriptor.
    values : ndarray of shape (n_structures, n_features)
        Rotated.
    outside : ndarray of shape (n_structures, n_blocks, n_long)
        Unit vectors along what lies outside the span, or zero.
    """

    def __init__(
        self, rotation: Rotation, points: Linearisation, values: FloatArray, outside: FloatArray
    ) -> None:
        self.values = values
        self._rotation, self._points, self._outside = rotation, points, outside
        self._kept: dict[int, FloatArray] = {}  # (3 n_atoms, n_features) each, shared with selections
        self._labels = np.arange(len(values))
        self._products = 0

    def jacobian(self, index: Index) -> FloatArray:
        """Return J = ∂x/∂R of the structures ``index``, shape (n, n_features, 3 n_atoms)."""
        chosen = np.arange(len(self.values))[index]
        return np.stack([self._short(int(i)) for i in chosen]).transpose(0, 2, 1)

    def jvp(self, tangents: FloatArray) -> FloatArray:
        """Return J t for ``tangents`` (n, n_atoms, 3), shape (n, n_features)."""
        if self._use_short():
            return np.stack([t.ravel() @ self._short(i) for i, t in enumerate(tangents)])
        moves = self._points.jvp(tangents).reshape(self._outside.shape)
        along = np.einsum("nbp,nbp->nb", moves, self._outside)
        inside = _along(moves, self._rotation.basis)
        return np.concatenate([inside, along[..., None]], axis=2).reshape(len(tangents), -1)

    def vjp(self, cotangents: FloatArray) -> FloatArray:
        """Return Jᵀ w for ``cotangents`` (n, n_features), shape (n, n_atoms, 3)."""
        n = len(cotangents)
        if self._use_short():
            return np.stack([self._short(i) @ w for i, w in enumerate(cotangents)]).reshape(n, -1, 3)
        weights = cotangents.reshape(n, self._outside.shape[1], -1)
        long = _along(weights[..., :-1], self._rotation.basis.T) + weights[..., -1:] * self._outside
        return self._points.vjp(long.reshape(n, -1))

    def select(self, index: Index) -> RotatedLinearisation:
        """Return the same for the structures ``index``."""
        out = RotatedLinearisation(
            self._rotation, self._points.select(index), self.values[index], self._outside[index]
        )
        out._kept, out._labels, out._products = self._kept, self._labels[index], self._products
        return out

    def _use_short(self) -> bool:
        if self._long_is_small:
            return False
        self._products += 1
        if self._products <= FEW_PRODUCTS:
            return all(int(label) in self._kept for label in self._labels)
        return len(self._labels) * self._short(0).nbytes <= KEEP_BYTES

    @property
    def _long_is_small(self) -> bool:
        """Whether a product reads less by kept slopes of the coefficients (SOAP about few points)."""
        kept = self._points.kept if isinstance(self._points, SoapLinearisation) else None
        if kept is None:
            return False
        return int(kept[0].size) < 3 * kept.shape[2] * self.values.shape[1]

    def _short(self, i: int) -> FloatArray:
        """Rotated Jᵀ of one structure, shape (3 n_atoms, n_features); ∂|x_out| = J · x_out/|x_out|."""
        label = int(self._labels[i])
        if label in self._kept:
            return self._kept[label]
        points, basis, outside = self._points, self._rotation.basis, self._outside[i]
        if isinstance(points, SoapLinearisation) and points.descriptor.n_centres == len(outside):
            blocks = points.jacobian_along(i, basis, outside)
        else:
            long = points.jacobian(slice(i, i + 1))[0].T
            long = np.ascontiguousarray(long.reshape(len(long), *outside.shape).swapaxes(0, 1))
            blocks = np.concatenate([long @ basis, long @ outside[..., None]], axis=2)
        short = blocks.swapaxes(0, 1).reshape(blocks.shape[1], -1)
        if (len(self._kept) + 1) * short.nbytes <= KEEP_BYTES:
            self._kept[label] = short
        return short


def _along(blocks: FloatArray, basis: FloatArray) -> FloatArray:
    """Blocks times a matrix, by one large product instead of one per structure."""
    return (blocks.reshape(-1, blocks.shape[-1]) @ basis).reshape(*blocks.shape[:-1], -1)


def _columns(points: Linearisation, n_directions: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Columns of the Jacobians, or as many random combinations of those of each structure."""
    n = len(points.values)
    width = points.jacobian(slice(0, 1)).shape[2]
    if n_directions <= FEW_PRODUCTS:
        for _ in range(n_directions):
            yield points.jvp(rng.normal(size=(n, width // 3, 3)))
        return
    for i in range(n):
        columns = points.jacobian(slice(i, i + 1))[0].T
        yield rng.normal(size=(n_directions, width)) @ columns if n_directions < width else columns


def _normalised(gram: FloatArray) -> FloatArray:
    trace = float(np.trace(gram))
    return gram / trace if trace > 0.0 else gram
