"""Errors of training structures that the local process predicts without them, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aenet_gpr_cli.descriptors.chebyshev.strain import known_components
from aenet_gpr_cli.gpr.left_out_errors import LeftOut
from aenet_gpr_cli.gpr.local.design import energy_and_force_rows
from aenet_gpr_cli.gpr.local.environments import Environments, environments
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.gpr.local.virials import virial_rows, virials, with_stress
from aenet_gpr_cli.lattice import volumes
from aenet_gpr_cli.structures import FloatArray, StructureSet

ROUNDING = 1e-6  # of 1 − C, whose smallest eigenvalues are differences of nearly equal numbers
WIDE, HALF_WIDTH = 0.95, 1.96  # of an interval, and its half width in standard deviations


def leave_out(model: LocalModel, structures: StructureSet) -> LeftOut:
    """Return the errors of training structures as if each had not been trained on.

    With the rows A of a structure in units of the noise and C = A Cov(c) Aᵀ, the residual r of a fit with all
    becomes (1 − C)⁻¹ r without it, and its variance, noise included, the diagonal of (1 − C)⁻¹; energies vary
    in addition by what the inducing environments would not span of a new one. A stress that was not trained
    on is predicted without the other rows of its structure. What a structure alone determines, an eigenvalue
    of 1 − C below `ROUNDING`, counts as that, so that its error comes out too small rather than as noise of
    the arithmetic.

    Parameters
    ----------
    model : LocalModel
        Before its σ is calibrated, see `calibrated`.
    structures : StructureSet
        Of the fit.
    """
    spread = model.directions * np.sqrt(model.variances)  # times its transpose: the covariance of c
    each = [structures.select([number]) for number in range(len(structures))]
    return LeftOut.joined([_without(model, spread, one) for one in each])


def _without(model: LocalModel, spread: FloatArray, one: StructureSet) -> LeftOut:
    """Return the errors of one structure."""
    found = environments(model.basis, model.scale, one, True)
    energy, forces = energy_and_force_rows(found, model.inducing)
    strains, pulls = _strains(model, found, one)
    assert one.energies is not None  # it was trained on
    noise = np.array([model.noise_energy * np.sqrt(one.n_atoms)])
    rows, targets = energy, one.energies - model.prior_energy(one.species)
    if one.forces is not None and one.n_atoms > 1:  # see `accumulation`
        rows = np.concatenate([rows, forces.reshape(-1, len(model.inducing))])
        targets = np.concatenate([targets, one.forces.ravel()])
        noise = np.append(noise, np.full(one.forces.size, model.noise_force))
    n_others = len(rows)
    if model.noise_virial:
        rows, targets = np.concatenate([rows, strains]), np.concatenate([targets, pulls])
        noise = np.append(noise, np.full(len(pulls), model.noise_virial * np.sqrt(one.n_atoms)))
    half = rows / noise[:, None] @ spread
    free, directions = np.linalg.eigh(np.eye(len(rows)) - half @ half.T)
    inverse = directions / np.maximum(free, ROUNDING) @ directions.T
    without = inverse @ ((targets - rows @ model.coefficients) / noise)
    variances = np.diag(inverse).copy()
    variances[0] += model.unspanned_if_new(found, energy) / noise[0] ** 2
    errors, z = without * noise, without / np.sqrt(variances)
    of_strains = errors[n_others:]
    if not model.noise_virial:
        of_strains = pulls - strains @ model.coefficients + (strains @ spread) @ (half.T @ without)
    if (volume := volumes(one)) is not None:
        of_strains = of_strains / volume
    return LeftOut(
        errors[:1],
        errors[1:n_others],
        z[:1],
        z[1:n_others],
        of_strains,
        z[n_others:],
    )


def _strains(model: LocalModel, found: Environments, one: StructureSet) -> tuple[FloatArray, FloatArray]:
    """Return the rows of the virials of a structure that are known, and those virials."""
    if not with_stress(one)[0]:
        return np.empty((0, len(model.inducing))), np.empty(0)
    (along,), turns = known_components(one)
    rows, targets = virial_rows(found, model.inducing)[0], virials(one)[0]
    if turns is not None:
        rows, targets = turns[0] @ rows, turns[0] @ targets
    return rows[along], targets[along]


def calibrated(model: LocalModel, parts: Sequence[LeftOut], sizes: Sequence[int]) -> LocalModel:
    """Return the process with σ, of energies, forces and virials, that agrees with left-out structures.

    √⟨z²⟩ = 1, or 95 % of them within 1.96 σ where that asks for more: errors have longer tails than a normal
    distribution.

    Parameters
    ----------
    parts : sequence of LeftOut
        Of its subsets.
    sizes : sequence of int
        Structures of each subset, which its left-out ones stand for.
    """
    off = LeftOut.joined(parts)

    def factor(name: str) -> float:
        z, counts = np.abs(getattr(off, name)), [len(getattr(part, name)) for part in parts]
        if not len(z):
            return 1.0
        each = [size / len(part.energy_z) for size, part in zip(sizes, parts, strict=True)]
        weights, order = np.repeat(each, counts), np.argsort(z)
        share = np.cumsum(weights[order]) / weights.sum()
        widest = z[order][np.searchsorted(share, WIDE)]
        return float(max(np.sqrt(np.average(z**2, weights=weights)), widest / HALF_WIDTH))

    return replace(
        model,
        sigma_factor=factor("energy_z"),
        force_sigma_factor=factor("force_z"),
        virial_sigma_factor=factor("stress_z"),
        left_out_error=float(np.median(np.abs(off.energy_errors))),
        left_out_force_error=off.force_mae,
        left_out_stress_error=float(np.nan_to_num(off.stress_mae)),
    )
