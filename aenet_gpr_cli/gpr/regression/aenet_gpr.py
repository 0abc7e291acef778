"""The Gaussian process of aenet-gpr 3.7.9, number for number, for comparison with published results.

Differences from `regression.fit`: the noise is absolute, laid out as if rows were interleaved per structure
(element i is an energy where i mod (1+3N) = 0) while they are ordered [all E; all ∂E/∂R]; the weight comes
from a first fit at weight 1, and stays 1 where it would reach 100; force rows that no descriptor can see are
kept. Kernel, prior mean and predictions are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor, Index
from aenet_gpr_cli.gpr.covariance.observation_order import split_rows, stack_rows
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.regression.gp_model import GPModel, centred_targets
from aenet_gpr_cli.gpr.regression.prior import ClosedForm, energy_rows, from_weights
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.gpr.uncertainty.energy_sigma import energy_sigma
from aenet_gpr_cli.structures import FloatArray, StructureSet

MAX_WEIGHT = 100.0  # aenet-gpr keeps the weight it had where the fitted one is not below this
MAX_JITTER = 1e-10
NOISE, NOISE_FACTOR = 1e-6, 0.5  # its defaults: noise of forces in eV/Å, and that of energies over it in Å


@dataclass(frozen=True, slots=True)
class InterleavedNoise(Covariance):
    """Covariance whose noise is laid out as in aenet-gpr."""

    def noise_variances(self, noise_energy: float, noise_force: float) -> FloatArray:
        """Return the diagonal of the noise covariance in the wrong order of aenet-gpr.

        Parameters
        ----------
        noise_energy : float, dimensionless
        noise_force : float, 1/Å

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        per_structure = np.r_[noise_energy**2, np.full(3 * self.n_atoms, noise_force**2)]
        return np.tile(per_structure, self.n_structures)

    def select(self, index: Index) -> Self:
        """Not defined: the layout mixes structures."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class AenetGpr:
    """A model fitted as aenet-gpr does, with its solver.

    Attributes
    ----------
    model : GPModel
        ``signal_std`` is the weight.
    solver : CholeskySolver
    """

    model: GPModel
    solver: CholeskySolver

    def reported_sigma(self, descriptor: Descriptor, positions: FloatArray) -> FloatArray:
        """Return the standard deviation that aenet-gpr prints: divided by the weight.

        Parameters
        ----------
        descriptor : Descriptor
        positions : ndarray of shape (n_structures, n_atoms, 3), Å

        Returns
        -------
        ndarray of shape (n_structures,), dimensionless
        """
        return energy_sigma(self.model, descriptor, positions, self.solver) / self.model.signal_std


def fit_as_aenet_gpr(
    structures: StructureSet, descriptor: Descriptor, scale: float, noise: float, noise_factor: float
) -> AenetGpr:
    """Fit as aenet-gpr 3.7.9 does with ``fit_weight`` on, ``fit_scale`` off and initial weight 1.

    Parameters
    ----------
    structures : StructureSet
        Training data with energies and forces.
    descriptor : Descriptor
        Cartesian for its default; any with one centre.
    scale : float, unit of the descriptor
        ``scale``.
    noise : float, eV/Å
        ``noise``, 1e-6 by default there.
    noise_factor : float
        ``noisefactor``, 0.5 by default there: the noise of energies over that of forces.

    Returns
    -------
    AenetGpr
    """
    energies, gradients, offset = centred_targets(structures)
    plain = Covariance.of(make_kernel("squared_exponential", scale), descriptor, structures.positions)
    covariance = InterleavedNoise(plain.kernel, plain.points, plain.origin, plain.n_atoms)
    targets = stack_rows(energies, gradients)
    first, _ = _solve(covariance, targets, noise * noise_factor, noise)
    weight = first.signal_std if first.signal_std < MAX_WEIGHT else 1.0
    relative = noise * noise_factor / weight, noise / weight
    second, solver = _solve(covariance, targets, *relative)
    # weights of the kernel with unit variance: w² cancels between kernel and weights
    energy_weights, gradient_weights = split_rows(second.weights, len(structures))
    model = GPModel(
        kernel=covariance.kernel.name,
        length_scale=scale,
        signal_std=weight,
        prior_mean=offset + second.mean,
        noise_energy=relative[0],
        noise_force=relative[1],
        training_positions=structures.positions,
        origin=covariance.origin,
        training_x=covariance.x,
        energy_weights=energy_weights,
        descriptor_weights=covariance.points.jvp(gradient_weights),
        log_marginal_likelihood=None,
        jitter=solver.jitter,
        net_force_rms=0.0,
        solver=solver.name,
        iterations=solver.iterations,
        residual=solver.residual,
    )
    return AenetGpr(model, solver)


def _solve(
    covariance: Covariance, targets: FloatArray, noise_energy: float, noise_force: float
) -> tuple[ClosedForm, CholeskySolver]:
    solver = CholeskySolver(covariance, noise_energy, noise_force, MAX_JITTER)
    unit = energy_rows(covariance.n_structures, len(targets))
    weights, mean = solver.solve_centred(targets, unit)
    return from_weights(targets, unit, weights, mean, 0), solver
