"""Preconditioner of K + noise: a low-rank factor, plus what it misses within each structure.

K + noise ≈ ΦΦᵀ + D, D = blocks of K + noise - ΦΦᵀ, one per structure (the FITC approximation of sparse
Gaussian processes, Snelson and Ghahramani 2006). Φ comes from monomials for the squared exponential, and from
the columns of selected structures (Nyström) for any other kernel; `rank_choice` chooses.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dsyrk, dtrsm
from scipy.linalg.lapack import dpotri, dpotrs

from aenet_gpr_cli.gpr.covariance.observation_order import split_rows
from aenet_gpr_cli.gpr.solvers.cholesky import AnyCovariance
from aenet_gpr_cli.gpr.solvers.nystrom import JITTER, LowRank, factorise, own_block
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import FloatArray

GRAM_BLOCK_BYTES = 2**24  # rows of Φ held at a time while their products are summed


class Preconditioner:
    """Inverse of ΦΦᵀ + D by the Woodbury identity.

    Parameters
    ----------
    covariance : Covariance
    noise : ndarray of shape (n_rows,)
        Noise variances.
    low_rank : LowRank
    progress : callable or None
        Called with (done, total, message).

    Attributes
    ----------
    log_determinant : float
        log|ΦΦᵀ + D|.

    Notes
    -----
    n_rows · M² operations once, M the rank; M² + n(1+3N)² numbers.
    """

    def __init__(
        self,
        covariance: AnyCovariance,
        noise: FloatArray,
        low_rank: LowRank,
        progress: Progress | None = None,
    ) -> None:
        self._low_rank = low_rank
        n, rank, width = covariance.n_structures, len(low_rank), 1 + 3 * covariance.n_atoms
        self._inverse = np.empty((n, width, width))
        self.log_determinant = 0.0
        gram = np.zeros((rank, rank), order="F")
        np.einsum("ii->i", gram)[...] = 1.0
        block_bytes = max(GRAM_BLOCK_BYTES, gram.nbytes // 2)  # the Gram matrix is read and written per block
        per_block = max(1, block_bytes // (8 * width * max(rank, 1)))
        for start in range(0, n, per_block):
            chosen = range(start, min(start + per_block, n))
            scaled = np.empty((rank, len(chosen) * width))
            for k, i in enumerate(chosen):
                scaled[:, k * width : (k + 1) * width] = self._add_block(covariance, noise, i)
            if rank:
                gram = dsyrk(1.0, scaled.T, beta=1.0, c=gram, trans=1, lower=1, overwrite_c=1)
            if progress is not None:
                progress(chosen.stop, n, f"preconditioner of rank {rank}")
        self._factor = factorise(gram)
        self.log_determinant += 2.0 * float(np.log(np.einsum("ii->i", self._factor)).sum())

    def _add_block(self, covariance: AnyCovariance, noise: FloatArray, i: int) -> FloatArray:
        """Store D_i⁻¹ and return Φ_iᵀ D_i^-½."""
        own = self._low_rank.rows_of(i)
        block = np.asfortranarray(own_block(covariance, i) - own.T @ own)
        energy, gradient = split_rows(noise, covariance.n_structures)
        np.einsum("ii->i", block)[...] += np.r_[energy[i], gradient[i].ravel()]
        np.einsum("ii->i", block)[...] += JITTER * np.trace(block) / len(block)
        root = factorise(block)
        self.log_determinant += 2.0 * float(np.log(np.einsum("ii->i", root)).sum())
        inverse = np.asarray(dpotri(root, lower=1)[0])
        self._inverse[i] = np.tril(inverse) + np.tril(inverse, -1).T
        return np.asarray(dtrsm(1.0, root, own.T, lower=1)).T

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """Return (ΦΦᵀ + D)⁻¹ V.

        Parameters
        ----------
        vectors : ndarray of shape (n_rows, n_vectors)

        Returns
        -------
        ndarray of the same shape
        """
        if len(self._low_rank) == 0:
            return self._blocks(vectors)
        inner = self._low_rank.project(self._blocks(vectors))
        weights = dpotrs(self._factor, inner, lower=1)[0]
        return self._blocks(vectors - self._low_rank.expand(weights))

    def sample(self, rng: np.random.Generator, n_vectors: int) -> FloatArray:
        """Draw vectors from N(0, ΦΦᵀ + D).

        Parameters
        ----------
        rng : Generator
        n_vectors : int

        Returns
        -------
        ndarray of shape (n_rows, n_vectors)
        """
        n, width = self._inverse.shape[:2]
        out = np.asfortranarray(self._low_rank.expand(rng.normal(size=(len(self._low_rank), n_vectors))))
        # D⁻¹ = R Rᵀ, so R⁻ᵀ g has the covariance D
        roots = np.linalg.cholesky(self._inverse).transpose(0, 2, 1)
        own = np.linalg.solve(roots, rng.normal(size=(n, width, n_vectors)))
        out[:n] += own[:, 0]
        out[n:] += own[:, 1:].reshape(n * (width - 1), -1)
        return out

    def _blocks(self, vectors: FloatArray) -> FloatArray:
        """Return D⁻¹ V."""
        n, width = self._inverse.shape[:2]
        own = np.empty((n, width, vectors.shape[1]))
        own[:, 0], own[:, 1:] = vectors[:n], vectors[n:].reshape(n, width - 1, -1)
        own = np.matmul(self._inverse, own)
        out = np.empty_like(vectors)
        out[:n], out[n:] = own[:, 0], own[:, 1:].reshape(n * (width - 1), -1)
        return out
