"""The box of a structure in LAMMPS' form: lower triangular, periodic directions first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aenet_gpr_cli.structures import FloatArray, IntArray, Pbc

MARGIN = 1.0  # Å around the atoms along directions that are not periodic; LAMMPS moves these walls


@dataclass(frozen=True, slots=True)
class LammpsBox:
    """A rotated copy of a structure, and the way back.

    Attributes
    ----------
    rotation : ndarray of shape (3, 3), dimensionless
        Positions in LAMMPS are positions @ rotation; may contain a reflection, which changes no energy.
    vectors : ndarray of shape (3, 3), Å
        Lattice vectors as rows, lower triangular, periodic ones first; edges of the box along the others.
    low : ndarray of shape (3,), Å
        Corner of the box.
    pbc : tuple of three bool
        In the order of ``vectors``.
    start : ndarray of shape (n_atoms, 3), Å
        Positions in the box.
    images : ndarray of int, shape (n_atoms, 3)
        Lattice vectors that were subtracted to get there.
    """

    rotation: FloatArray
    vectors: FloatArray
    low: FloatArray
    pbc: Pbc
    start: FloatArray
    images: IntArray

    @classmethod
    def of(cls, positions: FloatArray, cell: FloatArray | None, pbc: Pbc) -> LammpsBox:
        """Return the box of a structure.

        Parameters
        ----------
        positions : ndarray of shape (n_atoms, 3), Å
        cell : ndarray of shape (3, 3), Å, or None
        """
        periodic = np.zeros((0, 3)) if cell is None else np.asarray(cell, float)[list(pbc)]
        n = len(periodic)
        # directions that are not periodic are orthogonal to the others, so that they need no tilt
        free = np.linalg.svd(np.vstack([periodic, np.zeros((3, 3))]))[2][n:] if n else np.eye(3)
        q, r = np.linalg.qr(np.vstack([periodic, free]).T)
        signs = np.where(np.diag(r) < 0.0, -1.0, 1.0)
        rotation, vectors = q * signs, np.tril((r * signs[:, None]).T)
        rotated = positions @ rotation
        images = np.zeros(rotated.shape, np.int64)
        low = np.zeros(3)
        if n:
            fractions = rotated @ np.linalg.inv(vectors)
            images[:, :n] = np.floor(fractions[:, :n])
            rotated = rotated - images @ vectors
        low[n:] = rotated[:, n:].min(axis=0) - MARGIN
        for axis in range(n, 3):
            vectors[axis] = 0.0
            vectors[axis, axis] = rotated[:, axis].max() + MARGIN - low[axis]
        return cls(rotation, vectors, low, (n > 0, n > 1, n > 2), rotated, images)

    @property
    def cell(self) -> FloatArray | None:
        """Lattice vectors as the potential takes them; None for an isolated structure."""
        return self.vectors if any(self.pbc) else None

    def with_periodic_vectors(self, vectors: FloatArray) -> LammpsBox:
        """Return the box with other lattice vectors; edges along directions that are not periodic stay.

        Parameters
        ----------
        vectors : ndarray of shape (3, 3), Å
            As rows, lower triangular.
        """
        return replace(self, vectors=np.where(np.array(self.pbc)[:, None], vectors, self.vectors))

    def commands(self, n_types: int) -> list[str]:
        """Return LAMMPS' commands that make the box.

        Parameters
        ----------
        n_types : int
            Types of atoms.
        """
        edges = " ".join(
            f"{low!r} {high!r}"
            for low, high in zip(self.low.tolist(), (self.low + np.diag(self.vectors)).tolist(), strict=True)
        )
        tilts = [float(self.vectors[1, 0]), float(self.vectors[2, 0]), float(self.vectors[2, 1])]
        shape = f"prism {edges} {tilts[0]!r} {tilts[1]!r} {tilts[2]!r}" if any(tilts) else f"block {edges}"
        return [
            "boundary " + " ".join("p" if periodic else "s" for periodic in self.pbc),
            *(["box tilt large"] if any(tilts) else []),
            f"region box {shape} units box",
            f"create_box {n_types} box",
        ]

    def rotate(self, vectors: FloatArray) -> FloatArray:
        """Return vectors (n, 3) in LAMMPS' frame."""
        return vectors @ self.rotation

    def rotate_back(self, vectors: FloatArray) -> FloatArray:
        """Return vectors (n, 3) of LAMMPS in the frame of the structure."""
        return vectors @ self.rotation.T

    def to_atoms(self, positions: FloatArray, images: IntArray) -> FloatArray:
        """Return the positions of the structure, not wrapped.

        Parameters
        ----------
        positions : ndarray of shape (n_atoms, 3), Å
            In LAMMPS' box.
        images : ndarray of int, shape (n_atoms, 3)
            LAMMPS' count of boundary crossings.

        Returns
        -------
        ndarray of shape (n_atoms, 3), Å
        """
        crossed = np.where(self.pbc, images, 0) + self.images
        return self.rotate_back(positions + crossed @ self.vectors)
