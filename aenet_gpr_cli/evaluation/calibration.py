"""Calibration of σ: z-scores, coverage, and whether σ sorts the errors.

Pure functions of errors and standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import FloatArray

LEVELS = (0.50, 0.68, 0.90, 0.95)
DRAWS = 100  # of errors, for the rank correlation to expect


@dataclass(frozen=True, slots=True)
class Calibration:
    """How predicted standard deviations compare with errors.

    Attributes
    ----------
    n : int
        Number of errors.
    z_mean, z_rms : float, dimensionless
        Mean and root mean square of the z-scores; 0 and 1 where σ is right.
    coverage : tuple of float
        Share of errors within the central interval of each of ``LEVELS`` of a normal distribution.
    """

    n: int
    z_mean: float
    z_rms: float
    coverage: tuple[float, ...]


def z_scores(reference: FloatArray, predicted: FloatArray, sigma: FloatArray, noise_std: float) -> FloatArray:
    """Return z = (E_ref - E_pred) / √(σ² + noise²).

    Parameters
    ----------
    reference, predicted : ndarray of shape (n,), eV
    sigma : ndarray of shape (n,), eV
        Standard deviation of the predicted energy, noise not included.
    noise_std : float, eV
        Noise of the reference energies.

    Returns
    -------
    ndarray of shape (n,), dimensionless

    Raises
    ------
    InputError
        If the shapes differ or a standard deviation is not positive.
    """
    if not reference.shape == predicted.shape == sigma.shape:
        raise InputError(
            f"z-scores: expected equal shapes, got {reference.shape}, {predicted.shape}, {sigma.shape}"
        )
    total = np.sqrt(sigma**2 + noise_std**2)
    if not (total > 0.0).all():
        raise InputError("z-scores: expected positive standard deviations; give the noise of the reference")
    return np.asarray((reference - predicted) / total)


def calibrate(z: FloatArray) -> Calibration:
    """Return mean, root mean square and coverage of z-scores.

    Parameters
    ----------
    z : ndarray of shape (n,), dimensionless
        At least one.

    Raises
    ------
    InputError
        If there is no z-score.
    """
    if len(z) == 0:
        raise InputError("calibration: expected at least one error, got none")
    from scipy.special import ndtri

    half_widths = ndtri(0.5 + 0.5 * np.array(LEVELS))
    coverage = tuple(float((np.abs(z) <= width).mean()) for width in half_widths)
    return Calibration(len(z), float(z.mean()), float(np.sqrt(np.square(z).mean())), coverage)


@dataclass(frozen=True, slots=True)
class Sorting:
    """How well σ tells large errors from small ones.

    Attributes
    ----------
    rank_correlation : float, dimensionless
        Spearman's, of σ with the size of the errors.
    expected : float, dimensionless
        The same if the errors were normal with just these σ: a single error says little about its σ, and
        where all σ are alike there is nothing to sort.
    mae_sure, mae_unsure : float, eV
        Mean absolute error of the half with the smaller σ, and of the other.
    """

    rank_correlation: float
    expected: float
    mae_sure: float
    mae_unsure: float


def sorting(errors: FloatArray, sigma: FloatArray, rng: np.random.Generator) -> Sorting:
    """Compare the order of σ with that of the errors.

    Parameters
    ----------
    errors : ndarray of shape (n,), eV
        At least two.
    sigma : ndarray of shape (n,), eV
    rng : Generator
        Draws the errors to be expected.

    Returns
    -------
    Sorting
        Correlations are 0 where all σ or all errors are the same.

    Raises
    ------
    InputError
        If there are fewer than two errors.
    """
    if len(errors) < 2:
        raise InputError(f"sorting by σ: expected at least two errors, got {len(errors)}")
    size, order = np.abs(errors), np.argsort(sigma, kind="stable")
    half = len(order) // 2
    drawn = np.abs(rng.normal(size=(DRAWS, len(sigma)))) * sigma
    expected = float(np.mean([_rank_correlation(row, sigma) for row in drawn]))
    sure, unsure = size[order[:half]].mean(), size[order[half:]].mean()
    return Sorting(_rank_correlation(size, sigma), expected, float(sure), float(unsure))


def _rank_correlation(first: FloatArray, second: FloatArray) -> float:
    if np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return 0.0
    from scipy.stats import spearmanr  # takes half a second to import

    return float(spearmanr(first, second).statistic)
