"""How well σ agrees with the errors of energies, and how many structures are outside the training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from aenet_gpr_cli.ann.potential.extrapolation import WARN_BEYOND
from aenet_gpr_cli.descriptors.chebyshev.strain import periodic_components, six_components
from aenet_gpr_cli.evaluation.calibration import LEVELS, calibrate, sorting, z_scores
from aenet_gpr_cli.evaluation.error_sums import forces_tell
from aenet_gpr_cli.stages.shared.predictors import Prediction
from aenet_gpr_cli.structures import FloatArray, StructureSet
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import MEV_PER_EV

KINDS = {"bound": "an upper bound from part of the data"}
WIDE = 0.95  # the interval whose coverage is shown below the table
FEW = 8  # structures, of which the mean says nothing
SHIFTED = 0.8  # mean over root mean square from which on nearly all of an error is a constant


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Uncertainties of one model on some structures.

    Attributes
    ----------
    sigma : ndarray of shape (n_structures,), eV
        Empty where there is none.
    errors : ndarray of shape (n_structures,), eV
        Empty where not known.
    z : ndarray of shape (n_structures,), dimensionless
        Errors over √(σ² + noise²); empty where not known.
    distance : ndarray of shape (n_structures,), dimensionless
        To the training data; empty for networks.
    force_z : ndarray of shape (n_components,), dimensionless
        Errors of force components over their σ, noise included; empty where not known.
    stress_z : ndarray of shape (n_components,), dimensionless
        The same of the stress, of the components of `periodic_components`.
    beyond : ndarray of shape (n_structures,), dimensionless
        How far the atom farthest from the training data of a network lies outside its range; empty for
        Gaussian processes.
    """

    sigma: FloatArray
    errors: FloatArray
    z: FloatArray
    distance: FloatArray
    force_z: FloatArray
    beyond: FloatArray
    stress_z: FloatArray

    @classmethod
    def of(cls, prediction: Prediction, structures: StructureSet) -> Uncertainty:
        """Compare a prediction with the labels of the structures, where there are any."""
        reference, forces = structures.energies, structures.forces
        nothing = np.zeros(0)
        sigma, noise, errors, z = prediction.sigma, prediction.energy_noise, nothing, nothing
        if sigma is not None and reference is not None and (sigma**2 + noise**2 > 0.0).all():
            predicted = prediction.energies.mean(axis=0)
            errors, z = reference - predicted, z_scores(reference, predicted, sigma, noise)
        distance, of_forces = prediction.domain_distance, nothing
        beyond = prediction.beyond_training
        if forces is not None and prediction.force_sigma is not None and forces_tell(structures.n_atoms):
            of_forces = ((forces - prediction.forces.mean(axis=0)) / prediction.force_sigma).ravel()
        return cls(
            nothing if sigma is None else sigma,
            errors,
            z,
            nothing if distance is None else distance,
            of_forces,
            nothing if beyond is None else beyond.max(axis=1),
            _stress_z(prediction, structures),
        )

    def metrics(self) -> dict[str, Any]:
        """Return what belongs to the metrics of the model.

        Returns
        -------
        dict of str to float, int or None
            ``energy_sigma``, the mean σ, only where there is σ; of Gaussian processes, which have no spread,
            ``energy_spread`` (and ``energy_msd``, its former name) is the same;
            ``z_mean``, ``z_rms``, ``coverage_LEVEL``, ``sigma_rank`` (and ``sigma_rank_expected``, see
            `calibration.Sorting`), ``energy_mae_sure`` and ``energy_mae_unsure`` (the halves of small and
            large σ), ``n_outside_domain`` (of Gaussian processes) and ``n_beyond_training`` (of networks:
            structures with an atom more than `WARN_BEYOND` outside their range) are None where not known;
            ``force_z_rms`` and ``force_coverage_LEVEL`` only where there is σ of the forces; the same names
            with ``stress`` where there is σ of the stress.
        """
        found = calibrate(self.z) if len(self.z) else None
        order = sorting(self.errors, self.sigma, np.random.default_rng(0)) if len(self.z) > 1 else None
        coverage = [None] * len(LEVELS) if found is None else found.coverage
        return {
            **dict.fromkeys(self._names_of_sigma(), self._mean_sigma()),
            "z_mean": None if found is None else found.z_mean,
            "z_rms": None if found is None else found.z_rms,
            **{f"coverage_{round(100 * p)}": c for p, c in zip(LEVELS, coverage, strict=True)},
            "sigma_rank": None if order is None else order.rank_correlation,
            "sigma_rank_expected": None if order is None else order.expected,
            "energy_mae_sure": None if order is None else order.mae_sure,
            "energy_mae_unsure": None if order is None else order.mae_unsure,
            "n_outside_domain": self._outside() if len(self.distance) else None,
            "n_beyond_training": int((self.beyond > WARN_BEYOND).sum()) if len(self.beyond) else None,
            **_coverage_of("force", self.force_z),
            **_coverage_of("stress", self.stress_z),
        }

    def _names_of_sigma(self) -> tuple[str, ...]:
        of_process = ("energy_spread", "energy_msd") if len(self.distance) else ()
        return ("energy_sigma", *of_process) if len(self.sigma) else ()

    def _mean_sigma(self) -> float | None:
        return float(self.sigma.mean()) if len(self.sigma) else None

    def _outside(self) -> int:
        from aenet_gpr_cli.gpr.regression.structure_distances import OUTSIDE

        return int((self.distance > OUTSIDE).sum())


def _coverage_of(name: str, z: FloatArray) -> dict[str, float]:
    if not len(z):
        return {}
    found = calibrate(z)
    coverage = {f"{name}_coverage_{round(100 * p)}": c for p, c in zip(LEVELS, found.coverage, strict=True)}
    return {f"{name}_z_rms": found.z_rms, **coverage}


def _stress_z(prediction: Prediction, structures: StructureSet) -> FloatArray:
    if structures.stress is None or prediction.stress is None or prediction.stress_sigma is None:
        return np.zeros(0)
    each = (structures.stress - prediction.stress.mean(axis=0)) / prediction.stress_sigma
    six = six_components(each)
    return np.asarray(six[periodic_components(structures) & np.isfinite(six)])


def joined(parts: Sequence[Uncertainty]) -> Uncertainty:
    """Put the uncertainties of several subsets together."""
    return Uncertainty(
        *(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Uncertainty))
    )


def _shift(total: Mapping[str, Any]) -> str:
    """Say that errors are mostly of one sign, where they are."""
    mean, spread = total["z_mean"], total["z_rms"]
    if total["n_structures"] < FEW or abs(mean) < SHIFTED * spread:
        return ""
    return f", mean {rounded(-mean, 2)}: predictions are too {'low' if mean > 0.0 else 'high'} by a constant"


def calibration_notes(results: Mapping[str, Any], method: str) -> list[str]:
    """Say for every model whether its σ is right, and how many structures are outside the training data.

    Parameters
    ----------
    method : str
        Of σ of Gaussian processes.
    """
    notes = []
    for name, result in results.items():
        total = result["total"]
        outside, spread = total["n_outside_domain"], total["z_rms"]
        if spread is not None:
            kind = "σ" if outside is None else f"σ ({KINDS.get(method, method)})"
            mean, covered = total["energy_sigma"] * MEV_PER_EV, total[f"coverage_{round(100 * WIDE)}"]
            notes.append(
                f"{name}: {kind}, {rounded(mean, 2)} meV on average, covers {covered:.1%} of the errors "
                f"in its {WIDE:.0%} intervals; root mean square of errors over σ {rounded(spread, 2)} "
                f"(1 is right, less is cautious){_shift(total)}"
            )
        for key, said in (("force", "forces"), ("stress", "stress")):
            if f"{key}_z_rms" in total:
                covered = total[f"{key}_coverage_{round(100 * WIDE)}"]
                notes.append(
                    f"{name}: σ of the {said} covers {covered:.1%} in its "
                    f"{WIDE:.0%} intervals; root mean square of errors over σ "
                    f"{rounded(total[f'{key}_z_rms'], 2)}"
                )
        if (rank := total["sigma_rank"]) is not None:
            sure, unsure = (total[f"energy_mae_{half}"] * MEV_PER_EV for half in ("sure", "unsure"))
            expected = total["sigma_rank_expected"]
            notes.append(
                f"{name}: rank correlation of σ with the errors {rank:.2f}, {expected:.2f} were errors "
                f"normal; {rounded(sure, 2)} meV where σ is below its median, {rounded(unsure, 2)} meV above"
            )
        if outside:
            notes.append(
                f"{name}: {outside} of {total['n_structures']} structures are outside its training data "
                "(farther from it than any of its structures from the nearest other, or with atoms nearer to "
                "each other than there: domain_distance above 1)"
            )
    return notes
