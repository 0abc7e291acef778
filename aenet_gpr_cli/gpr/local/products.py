"""Evidence of the local process from sums of products: what its choices need.

With P = A B of `posterior` the evidence follows from PᵀP, Pᵀy and yᵀy. Their rounding, ε w² μ, makes the
evidence uncertain by about 0.1, which is nothing where choices are compared; coefficients that predict, and
variances, are taken of the triangle of the rows, which costs several times as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dormqr, dptsv, dsysv, dsytrd

from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.local.posterior import most_likely
from aenet_gpr_cli.structures import FloatArray


class Products:
    """Sums over the rows [A | y] seen so far, in the coordinates P = A B.

    Parameters
    ----------
    whitening : sequence of ndarray of shape (m, n_kept)
        B of each species, see `whitening_parts`.

    Attributes
    ----------
    n_rows : int
        Rows behind them.
    """

    def __init__(self, whitening: Sequence[FloatArray]) -> None:
        self._whitening = whitening
        ends = np.cumsum([0, *map(len, whitening)])
        self._columns = [slice(a, b) for a, b in pairwise(ends)]
        n_kept = sum(part.shape[1] for part in whitening)
        self._gram = np.zeros((n_kept, n_kept), order="F")  # lower half
        self._moments, self._total = np.zeros(n_kept), 0.0
        self.n_rows = 0

    def add(self, rows: FloatArray, targets: FloatArray) -> None:
        """Take in rows of shape (n, n_inducing) with their targets (n,)."""
        parts = zip(self._columns, self._whitening, strict=True)
        p = np.concatenate([rows[:, columns] @ part for columns, part in parts], axis=1)
        self._gram = dsyrk(1.0, p.T, beta=1.0, c=self._gram, lower=True, overwrite_c=True)
        self._moments += p.T @ targets
        self._total += float(targets @ targets)
        self.n_rows += len(rows)

    def plus(self, other: Products, noise: float) -> Products:
        """Return these sums with those of other rows, whose targets and rows are divided by a noise."""
        out = Products(self._whitening)
        out._gram = np.asfortranarray(self._gram + other._gram / noise**2)
        out._moments = self._moments + other._moments / noise**2
        out._total = self._total + other._total / noise**2
        out.n_rows = self.n_rows + other.n_rows
        return out

    def log_evidence(self, log_noises: float) -> float:
        """Return log p at the most likely signal variance and noise scale, see `posterior`.

        Parameters
        ----------
        log_noises : float
            Sum of the logarithms of the assumed noises of all rows.

        Raises
        ------
        NumericalError
            If the rows hold something that is not finite.
        """
        return self._most_likely(log_noises)[0]

    def coefficients(self, log_noises: float) -> FloatArray:
        """Return the coefficients of the inducing environments at the largest evidence, (n_inducing,), eV.

        As uncertain by rounding as the evidence: enough where slopes are averaged, not to predict.

        Parameters
        ----------
        log_noises : float
            See `log_evidence`.

        Raises
        ------
        NumericalError
            If the rows hold something that is not finite.
        """
        signal = self._most_likely(log_noises)[1]
        precision = signal * self._gram
        precision[np.diag_indices(len(precision))] += 1.0
        # symmetric, for rounding may make its smallest eigenvalues negative
        kept = dsysv(precision, signal * self._moments[:, None], lower=True, overwrite_a=True)[2][:, 0]
        ends = np.cumsum([0, *(part.shape[1] for part in self._whitening)])
        parts = zip(self._whitening, pairwise(ends), strict=True)
        return np.concatenate([part @ kept[a:b] for part, (a, b) in parts])

    def _most_likely(self, log_noises: float) -> tuple[float, float, float]:
        """Return log evidence, signal variance and noise variance, see `posterior.most_likely`."""
        if not np.isfinite(self._moments).all():
            raise NumericalError("rows of the local process: expected finite numbers, got NaN or infinity")
        if len(self._moments) == 1:  # one environment, as of isolated atoms, which LAPACK's wrappers refuse
            (mu,), (moment,) = self._gram[0], self._moments

            def of_one(signal: float) -> tuple[float, float]:
                return signal * moment**2 / (1.0 + signal * mu), float(np.log1p(signal * mu))

            return most_likely(self._total, self.n_rows, log_noises, of_one)
        # one orthogonal change of coordinates makes PᵀP tridiagonal; each signal variance then costs nothing
        reflections, diagonal, beside, factors, _ = dsytrd(self._gram, lower=True)
        moments = self._moments.copy()
        below = np.asfortranarray(reflections[1:, :-1])
        moments[1:] = dormqr("L", "T", below, factors, moments[1:, None], 64)[0][:, 0]

        def fit_and_log_det(signal: float) -> tuple[float, float]:
            ratios, _, solved, info = dptsv(1.0 + signal * diagonal, signal * beside, moments)
            if info:  # lost to rounding: a signal so large that it is no candidate
                return -np.inf, np.inf
            return signal * float(moments @ solved), float(np.log(ratios).sum())

        return most_likely(self._total, self.n_rows, log_noises, fit_and_log_det)
