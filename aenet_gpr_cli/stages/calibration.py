"""How well σ tells the errors of energies, and how many structures are outside the training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aenet_gpr_cli.gpr.calibration import LEVELS, calibrate, z_scores
from aenet_gpr_cli.gpr.domain import OUTSIDE
from aenet_gpr_cli.stages.predictors import Prediction
from aenet_gpr_cli.structures import FloatArray

WIDE = 0.95  # the interval whose coverage is told below the table


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Uncertainties of one model on some structures.

    Attributes
    ----------
    sigma : ndarray of shape (n_structures,), eV
        Empty where there is none.
    z : ndarray of shape (n_structures,), dimensionless
        Errors over √(σ² + noise²); empty where not known.
    distance : ndarray of shape (n_structures,), dimensionless
        To the training data; empty for networks.
    """

    sigma: FloatArray
    z: FloatArray
    distance: FloatArray

    @classmethod
    def of(cls, prediction: Prediction, reference: FloatArray | None) -> Uncertainty:
        """Compare a prediction with reference energies.

        Parameters
        ----------
        prediction : Prediction
        reference : ndarray of shape (n_structures,), eV, or None

        Returns
        -------
        Uncertainty
        """
        sigma, noise, z = prediction.sigma, prediction.energy_noise, np.zeros(0)
        if sigma is not None and reference is not None and (sigma**2 + noise**2 > 0.0).all():
            z = z_scores(reference, prediction.energies.mean(axis=0), sigma, noise)
        distance = prediction.domain_distance
        return cls(np.zeros(0) if sigma is None else sigma, z, np.zeros(0) if distance is None else distance)

    def metrics(self) -> dict[str, Any]:
        """Return what belongs to the metrics of the model.

        Returns
        -------
        dict of str to float, int or None
            ``energy_msd`` only where there is σ; ``z_mean``, ``z_std``, ``coverage_LEVEL`` and
            ``n_outside_domain`` are None where not known.
        """
        found = calibrate(self.z) if len(self.z) else None
        coverage = [None] * len(LEVELS) if found is None else found.coverage
        return {
            **({"energy_msd": float(self.sigma.mean())} if len(self.sigma) else {}),
            "z_mean": None if found is None else found.z_mean,
            "z_std": None if found is None else found.z_std,
            **{f"coverage_{round(100 * p)}": c for p, c in zip(LEVELS, coverage, strict=True)},
            "n_outside_domain": int((self.distance > OUTSIDE).sum()) if len(self.distance) else None,
        }


def joined(parts: Sequence[Uncertainty]) -> Uncertainty:
    """Put the uncertainties of several subsets together.

    Parameters
    ----------
    parts : sequence of Uncertainty

    Returns
    -------
    Uncertainty
    """
    return Uncertainty(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("sigma", "z", "distance"))
    )


def calibration_notes(results: Mapping[str, Any], method: str) -> list[str]:
    """Say for every model whether its σ is right, and how many structures are outside the training data.

    Parameters
    ----------
    results : mapping of str to metrics
    method : str
        Of σ of Gaussian processes.

    Returns
    -------
    list of str
    """
    notes = []
    for name, result in results.items():
        total = result["total"]
        outside, spread = total["n_outside_domain"], total["z_std"]
        if spread is not None:
            kind = "σ over the members" if outside is None else f"σ ({method})"
            notes.append(
                f"{name}: {kind} covers {total[f'coverage_{round(100 * WIDE)}']:.1%} of the errors in its "
                f"{WIDE:.0%} intervals; spread of the z-scores {spread:.2g} (1 is right, less is cautious)"
            )
        if outside:
            notes.append(
                f"{name}: {outside} of {total['n_structures']} structures are outside its training data "
                "(domain_distance above 1)"
            )
    return notes
