"""Images of a descriptor under a group of atom permutations, for a kernel to which they are equal.

x_G(R) = (x(gR) for g in G), one of which is compared with all of another structure (`gpr.image_pairs`,
n_centres = |G|): |G|⁻¹ Σ_g k(x(R), x(gR')), the symmetrised kernel. Owns the check of the group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import (
    Descriptor,
    DescriptorProducts,
    Index,
    Linearisation,
)
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.structures import FloatArray, IntArray

MAX_GROUP = 120  # elements; the cost of a fit grows with their number


@dataclass(frozen=True, slots=True)
class _Images:
    parts: tuple[Linearisation, ...]
    inverse: IntArray  # (|G|, n_atoms): where each atom of R went in gR

    @property
    def n_images(self) -> int:
        return len(self.parts)

    def first_image(self) -> _Images:
        return _Images(self.parts[:1], self.inverse[:1])

    @property
    def values(self) -> FloatArray:
        return np.concatenate([part.values for part in self.parts], axis=1)

    def jacobian(self, index: Index) -> FloatArray:
        images = []
        for part, inverse in zip(self.parts, self.inverse, strict=True):
            own = part.jacobian(index)
            images.append(own.reshape(*own.shape[:2], -1, 3)[:, :, inverse].reshape(own.shape))
        return np.concatenate(images, axis=1)

    def jvp(self, tangents: FloatArray) -> FloatArray:
        forward = np.argsort(self.inverse, axis=1)
        images = [part.jvp(tangents[:, g]) for part, g in zip(self.parts, forward, strict=True)]
        return np.concatenate(images, axis=1)

    def vjp(self, cotangents: FloatArray) -> FloatArray:
        pieces = np.split(cotangents, len(self.parts), axis=1)
        images = [
            part.vjp(piece)[:, inverse]
            for part, piece, inverse in zip(self.parts, pieces, self.inverse, strict=True)
        ]
        return np.asarray(np.sum(images, axis=0))

    def select(self, index: Index) -> _Images:
        return _Images(tuple(part.select(index) for part in self.parts), self.inverse)


class ImagePoints(Protocol):
    """A linearisation that knows that its features are those of images under a group."""

    @property
    def n_images(self) -> int:
        """Order of the group."""
        ...

    def first_image(self) -> Linearisation:
        """Return the linearisation of one image."""
        ...


def images_of(points: Linearisation | ImagePoints) -> int:
    """Return how many images under a group the features are of, 1 where they are of none."""
    return int(getattr(points, "n_images", 1))


def first_image(points: Linearisation) -> Linearisation:
    """Return the linearisation of one image, where there are several."""
    return cast(ImagePoints, points).first_image() if images_of(points) > 1 else points


class PermutationImages(DescriptorProducts):
    """A descriptor at all images gR of a structure under a group of atom permutations.

    Parameters
    ----------
    descriptor : Descriptor
        Its distance must not change when both structures are permuted alike: Cartesian coordinates and
        inverse distances fulfil this, invariant descriptors gain nothing.
    permutations : sequence of sequence of int
        The group: in the image under g, place i holds atom g[i]. Only equal species may be exchanged; the
        caller checks that.

    Raises
    ------
    ConfigError
        If they are no permutations of the same atoms, or no group (identity and products missing).
    """

    def __init__(self, descriptor: Descriptor, permutations: Sequence[Sequence[int]] | IntArray) -> None:
        self._descriptor = descriptor
        self._forward = check_group(permutations)
        self._inverse = np.argsort(self._forward, axis=1)

    @property
    def name(self) -> str:
        """Name used in configurations and artefacts."""
        return f"permuted_{self._descriptor.name}"

    @property
    def n_images(self) -> int:
        """Order |G| of the group; the ``n_centres`` of the fit."""
        return len(self._forward)

    @property
    def n_features(self) -> int:
        """Length of the descriptor times |G|."""
        return self.n_images * self._descriptor.n_features

    def values(self, positions: FloatArray) -> FloatArray:
        """Return the descriptors of all images, one after another.

        Returns
        -------
        ndarray of shape (n_structures, n_features)
        """
        return np.concatenate([self._descriptor.values(positions[:, g]) for g in self._forward], axis=1)

    def linearise(self, positions: FloatArray) -> Linearisation:
        """Return values and Jacobian products."""
        parts = tuple(self._descriptor.linearise(positions[:, g]) for g in self._forward)
        return _Images(parts, self._inverse)


def check_group(permutations: Sequence[Sequence[int]] | IntArray) -> IntArray:
    """Return a group of permutations as an array.

    Returns
    -------
    ndarray of int, shape (|G|, n_atoms)

    Raises
    ------
    ConfigError
        If they are no permutations of the same atoms, or no group.
    """
    if not 1 <= len(permutations) <= MAX_GROUP:
        raise ConfigError(f"permutations: expected 1 to {MAX_GROUP}, got {len(permutations)}")
    group = [tuple(int(i) for i in g) for g in permutations]
    n_atoms, known = len(group[0]), set(group)
    for g in group:
        if sorted(g) != list(range(n_atoms)):
            raise ConfigError(f"permutations: expected the atoms 0 to {n_atoms - 1} once each, got {list(g)}")
    if len(known) != len(group):
        raise ConfigError("permutations: one is listed twice")
    # finite and closed under products: a group
    for g in group:
        for h in group:
            if (product := tuple(g[i] for i in h)) not in known:
                raise ConfigError(
                    f"permutations: expected a group, but the product {list(product)} of two is missing"
                )
    return np.array(group, dtype=np.int64)
