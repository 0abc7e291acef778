"""Sums over structures with bounded memory: the triangular factor of all rows, taken in block by block.

Rows [A | y] enter an orthogonal factorisation, of which only R is kept: RᵀR = [A | y]ᵀ[A | y], but forming
that product would lose half of the digits. Factors of different processes merge like rows.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import qr

from aenet_gpr_cli.structures import FloatArray


class Triangle:
    """The factor R of rows [A | y] seen so far.

    Attributes
    ----------
    n_rows : int
        Rows behind it.
    """

    def __init__(self, n_columns: int) -> None:
        self._waiting = [np.zeros((0, n_columns + 1))]
        self.n_rows = 0

    def add(self, rows: FloatArray, targets: FloatArray) -> None:
        """Take in rows of shape (n, n_columns) with their targets (n,)."""
        self._take(np.concatenate([rows, targets[:, None]], axis=1), len(rows))

    def merge(self, factor: FloatArray, n_rows: int) -> None:
        """Take in the factor of other rows, (n, n_columns + 1)."""
        self._take(factor, n_rows)

    @property
    def factor(self) -> FloatArray:
        """R with the transformed targets as its last column, shape (at most n_columns + 1, n_columns + 1)."""
        self._reduce()
        return self._waiting[0]

    def _take(self, rows: FloatArray, n_rows: int) -> None:
        self._waiting.append(rows)
        self.n_rows += n_rows
        if sum(map(len, self._waiting)) >= 3 * rows.shape[1]:  # less often is faster, more often smaller
            self._reduce()

    def _reduce(self) -> None:
        stacked = np.concatenate(self._waiting)
        if len(stacked) > stacked.shape[1] or len(self._waiting) > 1:
            (stacked,) = qr(stacked, mode="r", overwrite_a=True, check_finite=False)
        self._waiting = [stacked[: stacked.shape[1]]]
