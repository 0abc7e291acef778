"""σ of the energies of networks: by Laplace's approximation, by the spread over members, and by both.

Of a member the weights have the covariance (L Lᵀ)⁻¹, so that σ = |L⁻¹ ∂E/∂W|. A committee adds the spread
over its members: σ² = spread² + mean over the members of σ_m². One factor multiplies σ, so that it agrees
with the errors of structures that were left out of the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_triangular

from aenet_gpr_cli.structures import FloatArray, IntArray
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import BYTES_PER_GIB

FEWEST = 5  # left-out structures from which there is a factor
# times errors to first order, as hidden layers have seen what is left out: 1.0 to 1.4 would have been right
# for seven trainings (modes energy_only to combined, 48 to 250 references)
SEEN = 1.2
WIDE, HALF_WIDTH = 0.95, 1.96  # of an interval, and its half width in standard deviations


@dataclass(frozen=True, slots=True)
class NetworkSigma:
    """What σ of a committee needs besides its weights.

    Attributes
    ----------
    factors : ndarray of float32, shape (n_members, n_weights · (n_weights + 1) / 2) or (n_members, 0)
        L of each member, row by row up to the diagonal, 1/eV units of the network; nothing without Laplace.
    left_out_errors : ndarray of shape (n_members, n_left_out), eV
        Predicted less reference energies of structures that the members were not trained on.
    left_out_variances : ndarray of shape (n_members, n_left_out), eV²
        Of Laplace; 0 without.
    held_out : bool
        Whether training never saw these; else they were taken out afterwards, to first order.
    """

    factors: FloatArray
    left_out_errors: FloatArray
    left_out_variances: FloatArray
    held_out: bool

    @property
    def with_laplace(self) -> bool:
        """Whether a single member has a σ."""
        return self.factors.shape[1] > 0

    @property
    def n_left_out(self) -> int:
        """Structures that calibrate; fewer than `FEWEST` do not."""
        return self.left_out_errors.shape[1]

    @property
    def factor(self) -> float:
        """What multiplies σ, above or below 1; 1 where it is not calibrated."""
        sigma = total_sigma(self.left_out_errors, self.left_out_variances if self.with_laplace else None)
        if sigma is None:
            return 1.0
        found = calibration_factor(self.left_out_errors.mean(0), sigma)
        return found if self.held_out or self.n_left_out < FEWEST else SEEN * found

    def select(self, members: IntArray) -> NetworkSigma:
        """Return that of some members only."""
        return replace(
            self,
            factors=self.factors[members],
            left_out_errors=self.left_out_errors[members],
            left_out_variances=self.left_out_variances[members],
        )

    def lower_triangles(self) -> FloatArray:
        """Return L of each member, (n_members, n_weights, n_weights), float32."""
        width = int(np.sqrt(2 * self.factors.shape[1]))
        result: FloatArray = np.zeros((len(self.factors), width, width), self.factors.dtype)
        start = 0
        for row in range(width):  # a sixth of the time of an index of all elements
            result[:, row, : row + 1] = self.factors[:, start : start + row + 1]
            start += row + 1
        return result


def describe_sigma(sigma: NetworkSigma | None, n_members: int) -> str:
    """Return a line on how σ of the energies is found and calibrated."""
    if sigma is None:
        known = "the spread over the members, not calibrated" if n_members > 1 else "not known of one network"
        return f"σ of energies: {known}"
    method = "spread over the members" if n_members > 1 else ""
    if sigma.with_laplace:
        method = f"{method} and Laplace" if method else "Laplace"
        method += f" ({rounded(sigma.factors.nbytes / BYTES_PER_GIB, 2)} GiB stored)"
    if sigma.n_left_out < FEWEST:
        return (
            f"σ of energies: {method}, not calibrated: {sigma.n_left_out} structures were left out of the "
            f"training, fewer than {FEWEST}"
        )
    how = "held out" if sigma.held_out else "trained on, each left out to first order"
    return (
        f"σ of energies: {method}, times {rounded(sigma.factor, 2)} from {sigma.n_left_out} structures {how}"
    )


def join_sigmas(parts: Sequence[NetworkSigma | None]) -> NetworkSigma | None:
    """Put the members of several committees together; None unless all have the same to tell."""
    known = [part for part in parts if part is not None]
    kinds = {(p.factors.shape[1], p.left_out_errors.shape[1], p.held_out) for p in known}
    if len(known) < len(parts) or len(kinds) != 1:
        return None
    return NetworkSigma(
        np.concatenate([part.factors for part in known]),
        np.concatenate([part.left_out_errors for part in known]),
        np.concatenate([part.left_out_variances for part in known]),
        known[0].held_out,
    )


def pack_triangles(factors: FloatArray) -> FloatArray:
    """Return the lower triangles of matrices (n_members, n, n) row by row, as float32."""
    members, n, _ = factors.shape
    packed = np.empty((members, n * (n + 1) // 2), np.float32)
    for i in range(n):  # tables of all places would take four times the memory
        packed[:, i * (i + 1) // 2 : (i + 1) * (i + 2) // 2] = factors[:, i, : i + 1]
    return packed


def variances(triangles: FloatArray, gradients: FloatArray) -> FloatArray:
    """Return σ² of each member by Laplace, not calibrated.

    Parameters
    ----------
    triangles : ndarray of shape (n_members, n_weights, n_weights)
        Of `NetworkSigma.lower_triangles`.
    gradients : ndarray of shape (n_members, n_structures, n_weights), eV
        ∂E/∂W.

    Returns
    -------
    ndarray of shape (n_members, n_structures), eV²
    """
    result = np.empty(gradients.shape[:2])
    for lower, rows, row in zip(triangles, gradients, result, strict=True):
        along = solve_triangular(lower, rows.T.astype(lower.dtype), lower=True, check_finite=False)
        row[:] = np.square(along, dtype=float).sum(0)
    return result


def total_sigma(energies: FloatArray, of_members: FloatArray | None) -> FloatArray | None:
    """Return √(spread² + mean σ_m²), not calibrated.

    Parameters
    ----------
    energies : ndarray of shape (n_members, n_structures), eV
    of_members : ndarray of shape (n_members, n_structures), eV², or None
        σ² of each member.

    Returns
    -------
    ndarray of shape (n_structures,), eV, or None
        None for a single member without σ: its spread is unknown.
    """
    spread = energies.var(axis=0, ddof=1) if len(energies) > 1 else None
    if of_members is None:
        return None if spread is None else np.sqrt(spread)
    mean = of_members.mean(axis=0)
    return np.sqrt(mean if spread is None else mean + spread)


def calibration_factor(errors: FloatArray, sigma: FloatArray) -> float:
    """Return the factor of σ after which ⟨(error/σ)²⟩ = 1, or more if 95 % are not within 1.96 σ then.

    Errors have longer tails than a normal distribution.

    Parameters
    ----------
    errors, sigma : ndarray of shape (n,), eV
        Of structures that were left out.

    Returns
    -------
    float, dimensionless
        1 for fewer than `FEWEST`.
    """
    known = sigma > 0.0
    z = np.abs(errors[known]) / sigma[known]
    if len(z) < FEWEST:
        return 1.0
    return float(max(np.sqrt(np.mean(z**2)), np.quantile(z, WIDE) / HALF_WIDTH))
