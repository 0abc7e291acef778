"""Energies against those of a model that has seen forces only: one slope, whatever cells and compositions.

Forces say nothing about some differences of the energy, such as those of cells; how little is the covariance
of the model. Generalised least squares with it let only those count that the forces know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.structures import FloatArray
from aenet_gpr_cli.subsystems.label_checks.force_units import (
    SLOPE_TOLERANCE,
    nearest_explanation,
    what_is_wrong,
)

_FEWEST = 8  # differences of energies
_CLEAR, _CLEAR_CORRELATION = 0.1, 0.9  # relative standard error; of a slope that tells one, or the sign
_PLAIN, _PLAIN_CORRELATION = 0.05, 0.95  # of a slope that tells a unit: alloys on ideal sites have up to 0.92
TOLERANCE = 0.12  # relative, of known factors
_SURE = 4.0  # standard errors between a slope and one
_OUTLIERS, _FAR_OFF = 0.1, 6.0  # share of structures that may be left out, and from how many deviations on
_TELLING, _TELLING_CORRELATION = 0.07, 0.93  # of a slope that tells that something is wrong, but not what
_LOST, _UNKNOWN = 0.1, 1.4  # between them only a unit is told: a model that knows less finds less
_NEAR = 0.35  # of one; of a part that others are compared with
_BESIDE = 0.3  # relative, of a ratio of two slopes that both know too little
_SURELY, _SURELY_CORRELATION = 0.03, 0.99  # of a slope of one that leaves no doubt about parts
_RESOLUTION = 0.03  # relative, of units side by side
_PER_ATOM = 0.05  # relative, of a slope of one that tells energies per atom
_FOLLOWS, _NOT_ONE, _MANY = 0.6, 5.0, 15  # correlation, standard errors, structures: energies of others
_LOG_NOISES = np.arange(-14.0, 6.0, 0.5)  # of white noise, in units of the covariance
_RESOLVED = 1e-9  # of compositions that are different


@dataclass(frozen=True, slots=True)
class EnergySlope:
    """Energies as a multiple of those of a model.

    Attributes
    ----------
    value, error : float, dimensionless
        The slope, 1 where signs and units agree, and its standard error.
    correlation : float, dimensionless
        Of what forces and energies say, in units of what forces leave open.
    likelihood : float
        Logarithm of the restricted likelihood, of the same energies in the same unit.
    n_structures : int
    """

    value: float
    error: float
    correlation: float
    likelihood: float
    n_structures: int

    @property
    def is_clear(self) -> bool:
        """Whether the slope says something."""
        return self.error < _CLEAR * abs(self.value) and abs(self.correlation) > _CLEAR_CORRELATION

    @property
    def is_plain(self) -> bool:
        """Whether the model knows enough: one that knows less finds too small a slope."""
        return self.error < _PLAIN * abs(self.value) and abs(self.correlation) > _PLAIN_CORRELATION

    @property
    def numbers(self) -> str:
        """The slope in words."""
        return (
            f"slope {self.value:.3g} ± {self.error:.2g}, correlation {self.correlation:.3f}, "
            f"{self.n_structures} structures, against a quick fit to forces only"
        )

    def what_is_wrong(
        self, n_atoms: int | None = None, tolerance: float = TOLERANCE
    ) -> tuple[str, str] | None:
        """Return verdict and meaning as `force_units.what_is_wrong`; None where nothing is, or not clear."""
        if not self.is_clear or abs(self.value - 1.0) < max(SLOPE_TOLERANCE, _SURE * self.error):
            return None
        relative = self.error / abs(self.value)
        found = what_is_wrong(self.value, n_atoms, tolerance, _RESOLUTION + 3.0 * relative)
        if found is not None and found[0] != "inconsistent" and (self.is_plain or self.value < 0.0):
            return found
        telling = relative < _TELLING and abs(self.correlation) > _TELLING_CORRELATION
        if found is None or not telling or _LOST <= self.value < _UNKNOWN:
            return None
        words = "they do not belong together, right ones have a slope of 1"
        return "inconsistent", words + nearest_explanation(self.value, n_atoms)

    @property
    def is_of_others(self) -> bool:
        """Whether the energies have nothing to do with the forces, though these say what they should be."""
        far = 1.0 - self.value > _NOT_ONE * self.error
        return self.n_structures >= _MANY and far and abs(self.correlation) < _FOLLOWS

    def tells_per_atom(self, plain: EnergySlope) -> tuple[bool, bool]:
        """Return whether this slope, of energies times numbers of atoms, is one, and clearly the better one.

        Parameters
        ----------
        plain : EnergySlope
            Of the energies as they are.
        """
        close = abs(self.value - 1.0) < max(_SURE * self.error, _PER_ATOM)
        better = self.error / abs(self.value) < 0.5 * plain.error / max(abs(plain.value), 1e-300)
        return self.is_plain and close and self.is_one, better

    def differs_from(self, other: EnergySlope) -> str | None:
        """Return in which unit or sign forces are, beside those of a part whose slope is near one."""
        apart = abs(self.value - other.value) > _FAR_OFF * np.hypot(self.error, other.error)
        near = (
            abs(other.value - 1.0) < max(_NEAR, _SURE * other.error)
            and other.correlation > _CLEAR_CORRELATION
        )
        if not (self.is_clear and near and apart) or abs(self.correlation) < _PLAIN_CORRELATION:
            return None
        found = what_is_wrong(self.value / other.value, None, _BESIDE)
        return None if found is None or found[0] == "inconsistent" else found[1]

    @property
    def is_surely_one(self) -> bool:
        """Whether no part of the structures can be in another unit."""
        return self.is_one and self.error < _SURELY and self.correlation > _SURELY_CORRELATION

    @property
    def is_one(self) -> bool:
        """Whether it is clear, and one."""
        return self.is_clear and abs(self.value - 1.0) < SLOPE_TOLERANCE


def energy_slope(
    energies: FloatArray, model: FloatArray, covariance: FloatArray, counts: FloatArray
) -> EnergySlope | None:
    """Return the slope of energies against those of a model, by restricted maximum likelihood.

    E = s m + X e + r with the energies e of atoms, cov(r)/N proportional to C/N + t·1 and the most likely t.
    Up to a tenth of the structures are left out, one by one, where the others say that they are far off.

    Parameters
    ----------
    energies : ndarray of shape (n,), eV
    model : ndarray of shape (n,), eV
        Posterior mean that forces give.
    covariance : ndarray of shape (n, n), eV²
        C, posterior covariance of the model.
    counts : ndarray of shape (n, n_species)
        Atoms of each species.

    Returns
    -------
    EnergySlope or None
        None with fewer than eight differences of energies, or a model that knows of none.
    """
    kept, found = np.arange(len(energies)), None
    for _ in range(1 + int(_OUTLIERS * len(energies))):
        own = energies[kept], model[kept], covariance[np.ix_(kept, kept)], counts[kept]
        fitted = _fitted(*own)
        if fitted is None:
            return found
        found, off = fitted
        if off.max() < _FAR_OFF:
            break
        kept = np.delete(kept, int(off.argmax()))
    return found


def _fitted(
    energies: FloatArray, model: FloatArray, covariance: FloatArray, counts: FloatArray
) -> tuple[EnergySlope, FloatArray] | None:
    """Return the slope, and how far each structure is off what the others say, in standard deviations."""
    if len(energies) <= _FEWEST:
        return None
    root = np.sqrt(counts.sum(axis=1))
    left, sizes, _ = np.linalg.svd(counts / root[:, None])
    free = left[:, int((sizes > _RESOLVED * sizes[0]).sum()) :]
    variances, turn = np.linalg.eigh(free.T @ (covariance / np.outer(root, root)) @ free)
    onto = turn.T @ free.T
    e, m, n = onto @ (energies / root), onto @ (model / root), onto.shape[0]
    scale = float(variances.mean()) if n else 0.0
    if n < _FEWEST or not scale > 0.0 or not m.any() or not e.any():
        return None
    best: tuple[EnergySlope, FloatArray] | None = None
    for noise in np.exp(_LOG_NOISES):
        weights = 1.0 / (np.maximum(variances, 0.0) / scale + noise)
        own = float(weights @ m**2)
        slope = float((weights * m) @ e) / own
        squares = max(float(weights @ (e - slope * m) ** 2), 1e-300)
        likelihood = -0.5 * ((n - 1) * np.log(squares / (n - 1)) - np.log(weights).sum() + np.log(own))
        if best is None or likelihood > best[0].likelihood:
            error = float(np.sqrt(squares / (n - 1) / own))
            along = onto.T @ (weights * m)
            precision = np.einsum("na,n,na->a", onto, weights, onto) - along**2 / own
            rest = (onto.T @ (weights * (e - slope * m))) ** 2 / np.maximum(precision, 1e-300)
            off = np.sqrt(rest * (n - 2) / np.maximum(squares - rest, 1e-12 * squares))
            correlation = slope * float(np.sqrt(own / (slope**2 * own + squares)))
            best = EnergySlope(slope, error, correlation, float(likelihood), len(energies)), off
    return best
