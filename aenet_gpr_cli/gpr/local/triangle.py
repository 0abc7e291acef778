"""Sums over structures with bounded memory: the triangular factor of all rows, taken in block by block.

Rows [A | y] enter an orthogonal factorisation, of which only R is kept: RᵀR = [A | y]ᵀ[A | y], but forming
that product would lose half of the digits. Factors of different processes merge like rows.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dtpqrt

from aenet_gpr_cli.structures import FloatArray

TAKEN_TOGETHER = 1000  # rows: fewer are slower, more need memory
REFLECTIONS = 64  # that are applied as one product


class Triangle:
    """The factor R of rows [A | y] seen so far.

    Attributes
    ----------
    n_rows : int
        Rows behind it.
    """

    def __init__(self, n_columns: int) -> None:
        self._factor = np.zeros((n_columns + 1, n_columns + 1), order="F")
        self._waiting: list[FloatArray] = []
        self.n_rows = 0

    def add(self, rows: FloatArray, targets: FloatArray) -> None:
        """Take in rows of shape (n, n_columns) with their targets (n,)."""
        self._take(np.concatenate([rows, targets[:, None]], axis=1), len(rows))

    def merge(self, factor: FloatArray, n_rows: int) -> None:
        """Take in the factor of other rows, (n, n_columns + 1)."""
        self._take(factor, n_rows)

    @property
    def factor(self) -> FloatArray:
        """R with the transformed targets as its last column, shape (n_columns + 1, n_columns + 1)."""
        self._reduce()
        return self._factor

    def _take(self, rows: FloatArray, n_rows: int) -> None:
        self._waiting.append(rows)
        self.n_rows += n_rows
        if sum(map(len, self._waiting)) >= TAKEN_TOGETHER:
            self._reduce()

    def _reduce(self) -> None:
        """Rotate the rows that wait into the triangle, which the factorisation knows to be one."""
        if not self._waiting:
            return
        rows = np.asfortranarray(np.concatenate(self._waiting))
        self._waiting = []
        together = min(REFLECTIONS, len(self._factor))
        self._factor, *_ = dtpqrt(0, together, self._factor, rows, overwrite_b=True)
