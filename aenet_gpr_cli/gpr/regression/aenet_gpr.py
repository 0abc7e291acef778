"""The Gaussian process of aenet-gpr 3.7.9, number for number, for comparison with published results.

Differences from `conditioning.fit`: the noise is absolute, laid out as if rows were interleaved per structure
(element i is an energy where i mod (1+3N) = 0) while they are ordered [all E; all ∂E/∂R]; the weight comes
from a first fit at weight 1, and stays 1 where it would reach 100; force rows that no descriptor can see are
kept. Kernel, prior mean and predictions are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor, Index
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.observation_order import ones_on_energies, stack_rows
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.process_settings import ConjugateGradient
from aenet_gpr_cli.gpr.regression.conditioning import centred_targets, closed_form_signal, expansion_weights
from aenet_gpr_cli.gpr.regression.gp_model import GPModel
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver, Solver
from aenet_gpr_cli.gpr.solvers.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.structures import FloatArray, StructureSet

MAX_WEIGHT = 100.0  # aenet-gpr keeps the weight it had where the fitted one is not below this
MAX_JITTER = 1e-10
CLOSELY = ConjugateGradient(tolerance=1e-11, max_iterations=50)
NOISE, NOISE_FACTOR = 1e-6, 0.5  # its defaults: noise of forces in eV/Å, and that of energies over it in Å


@dataclass(frozen=True, slots=True)
class InterleavedNoise(Covariance):
    """Covariance whose noise is laid out as in aenet-gpr."""

    def noise_variances(self, noise_energy: float, noise_force: float) -> FloatArray:
        """Return the diagonal of the noise covariance in the wrong order of aenet-gpr."""
        per_structure = np.r_[noise_energy**2, np.full(3 * self.n_atoms, noise_force**2)]
        return np.tile(per_structure, self.n_structures)

    def select(self, index: Index) -> Self:
        """Not defined: the layout mixes structures."""
        raise NotImplementedError


def fit_as_aenet_gpr(
    structures: StructureSet, descriptor: Descriptor, scale: float, noise: float, noise_factor: float
) -> GPModel:
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
    noise_factor : float, Å
        ``noisefactor``, 0.5 by default there: the noise of energies over that of forces.

    Returns
    -------
    GPModel
        ``signal_std`` is the weight.
    """
    energies, gradients, offset = centred_targets(structures)
    plain = Covariance.of(make_kernel("squared_exponential", scale), descriptor, structures.positions)
    covariance = InterleavedNoise(plain.kernel, plain.points, plain.origin, plain.n_atoms)
    targets = stack_rows(energies, gradients)
    unit = ones_on_energies(covariance.n_structures, len(targets))
    first: Solver = CholeskySolver(covariance, noise * noise_factor, noise, MAX_JITTER)
    weights, mean = first.solve_centred(targets, unit)
    weight = closed_form_signal(targets - mean * unit, weights)
    weight = weight if weight < MAX_WEIGHT else 1.0
    relative = noise * noise_factor / weight, noise / weight
    # weights of the kernel with unit variance: w² cancels between kernel and weights
    solver: Solver = first
    if weight != 1.0:  # the noise is another: as much as rounding, so that the factor nearly solves it
        solver = ConjugateGradientSolver(covariance, *relative, CLOSELY, preconditioner=first.solve)
        try:
            weights, mean = solver.solve_centred(targets, unit)
        except NumericalError:
            del first  # of two matrices one would do
            solver = CholeskySolver(covariance, *relative, MAX_JITTER)
            weights, mean = solver.solve_centred(targets, unit)
    closed_form_signal(targets - mean * unit, weights)  # refuses what is singular
    return GPModel(
        kernel=covariance.kernel.name,
        length_scale=scale,
        signal_std=weight,
        prior_mean=offset + mean,
        noise_energy=relative[0],
        noise_force=relative[1],
        training_positions=structures.positions,
        **expansion_weights(covariance, weights),
        log_marginal_likelihood=None,
        jitter=solver.jitter,
        net_force_rms=0.0,
        solver=solver.name,
        iterations=solver.iterations,
        residual=solver.residual,
    )
