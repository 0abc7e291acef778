"""Errors of training structures that a full process predicts without them, from the factor of all."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.gpr.covariance.observation_order import ones_on_energies, rows_of, stack_rows
from aenet_gpr_cli.gpr.covariance.seen_directions import expressible
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.left_out_errors import LeftOut
from aenet_gpr_cli.gpr.regression.conditioning import centred_targets
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet


def leave_out(
    structures: StructureSet,
    covariance: Covariance,
    solver: CholeskySolver,
    signal_std: float,
    which: IntArray,
) -> LeftOut:
    """Return the errors of some training structures as if each had not been trained on.

    With P = K⁻¹ - K⁻¹u uᵀK⁻¹/uᵀK⁻¹u (so that the prior mean, too, is that without them), the errors of the
    rows S of a structure are (P_SS)⁻¹ (Py)_S and their covariance w² (P_SS)⁻¹ (Rasmussen and Williams,
    section 5.4.2, for blocks). Length scale, noise and signal variance stay those of all.

    Parameters
    ----------
    structures : StructureSet
        Of the fit, at least two.
    covariance, solver
        What it was solved with.
    signal_std : float, eV
    which : ndarray of int, shape (m,)

    Notes
    -----
    m (1+3N) n_rows² operations.
    """
    energies, gradients, _ = centred_targets(structures)
    expressed, _ = expressible(covariance.own, gradients)
    rows, n = stack_rows(energies, expressed), len(structures)
    unit = ones_on_energies(n, len(rows))
    weights, _ = solver.solve_centred(rows, unit)
    of_mean = solver.solve(unit[:, None])[:, 0]
    found: list[tuple[FloatArray, FloatArray]] = []
    for i in which:
        own = rows_of(np.array([i]), n, len(rows))
        here = np.zeros((len(rows), len(own)))
        here[own, np.arange(len(own))] = 1.0
        half = solver.half_solve(here)
        block = half.T @ half - np.outer(of_mean[own], of_mean[own]) / (unit @ of_mean)
        inverse = np.linalg.inv(block)
        errors = inverse @ weights[own]
        unseen = np.append(
            0.0, (gradients[i] - expressed[i]).ravel()
        )  # of what it cannot express, all is error
        sigma = signal_std * np.sqrt(np.diag(inverse))
        # constant energies without forces on any atom: no signal, and no error in units of it
        z = np.divide(errors, sigma, out=np.zeros_like(errors), where=sigma > 0.0)
        found.append((errors + unseen, z))
    return LeftOut(
        np.array([errors[0] for errors, _ in found]),
        -np.concatenate([errors[1:] for errors, _ in found]),
        np.array([z[0] for _, z in found]),
        -np.concatenate([z[1:] for _, z in found]),
    )
