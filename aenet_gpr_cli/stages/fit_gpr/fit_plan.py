"""The solver of a fit: how much memory each would take, which one is used, and how it is made."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.errors import ResourceError
from aenet_gpr_cli.gpr.covariance.centre_pairs import CentrePairCovariance
from aenet_gpr_cli.gpr.covariance.observation_order import n_rows
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.hyperparameters.search import MIN_SEARCHED
from aenet_gpr_cli.gpr.left_out_errors import LeftOut, chosen_to_leave_out
from aenet_gpr_cli.gpr.regression.conditioning import SolverFactory
from aenet_gpr_cli.gpr.regression.leave_one_out import leave_out
from aenet_gpr_cli.gpr.solvers.cholesky import (
    DENSE_OVERHEAD,
    CholeskySolver,
    Solver,
    dense_bytes,
    iterative_bytes,
    jacobian_bytes,
)
from aenet_gpr_cli.gpr.solvers.conjugate_gradient import ConjugateGradientSolver
from aenet_gpr_cli.gpr.solvers.mixed_precision import MixedPrecisionSolver
from aenet_gpr_cli.gpr.solvers.preconditioner import cholesky_operations, plan_low_rank
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.stages.fit_gpr.candidates import plain_geometry
from aenet_gpr_cli.stages.shared.context import log
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.units import BYTES_PER_GIB

CLEARLY_FASTER = 0.8  # forecast of iterations over that of a factor; it errs towards the factor
SEARCH_BYTES = 2.5 * 8  # of a search, for the square of its rows: measured 1.2 matrices, with gradients 2.2
SMALLEST_RANK = 100  # of the preconditioner; below that, iterations take longer than they are worth


@dataclass(frozen=True, slots=True)
class Plan:
    """How the process of one subset is fitted.

    Attributes
    ----------
    solver : str
        ``cholesky``, ``mixed_precision`` (half its memory) or ``conjugate_gradient``.
    rank : int
        Largest rank of the preconditioner.
    cholesky_gib, conjugate_gradient_gib : float
        Memory that each solver takes at its peak.
    message : str
        For the user, before the fit.
    """

    solver: str
    rank: int
    cholesky_gib: float
    conjugate_gradient_gib: float
    message: str

    @property
    def gib(self) -> float:
        """Memory of the solver that is used."""
        if self.solver == "mixed_precision":
            return 0.5 * self.cholesky_gib
        return self.cholesky_gib if self.solver == "cholesky" else self.conjugate_gradient_gib


def plan_fit(config: FitGprConfig, name: str, subset: StructureSet) -> Plan:
    """Choose the solver by the forecast of its memory.

    Parameters
    ----------
    name : str
        Of the subset, for messages.

    Raises
    ------
    ResourceError
        If the solver asked for, or the least that a search compares on, does not fit into ``max_memory_gib``.
    """
    n, n_atoms, allowed = len(subset), subset.n_atoms, config.max_memory_gib
    compared = _fewer_compared(config, name, subset)
    n_features = plain_geometry(config, subset).make_descriptor().n_features
    dense_and_derivatives = DENSE_OVERHEAD * dense_bytes(n, n_atoms) + jacobian_bytes(n, n_atoms, n_features)
    dense = dense_and_derivatives / BYTES_PER_GIB
    rank = min(config.conjugate_gradient.max_rank, n_rows(n, n_atoms))
    while (free := _iterative(n, n_atoms, n_features, rank)) > allowed and rank > SMALLEST_RANK:
        rank //= 2
    solver: str = config.solver
    if config.compatibility != "none":
        solver = "cholesky"
    if solver == "auto":
        solver = "cholesky" if dense <= allowed else "conjugate_gradient"
    needs = (
        f"{n} structures of {n_atoms} atoms ({n_rows(n, n_atoms)} rows) need {dense:.2f} GiB by cholesky, "
        f"{free:.2f} GiB by conjugate_gradient"
    )
    plan = Plan(solver, rank, dense, free, f"{name}: {needs}; takes {solver}{compared}")
    if plan.gib > allowed:
        other = "solver: conjugate_gradient, " if solver == "cholesky" and free <= allowed else ""
        raise ResourceError(
            f"subset {name}: {needs}, allowed are {allowed:g} GiB; use {other}fewer training structures or a "
            "larger max_memory_gib"
        )
    return plan


def searched_within_memory(config: FitGprConfig, name: str, subset: StructureSet) -> FitGprConfig:
    """Return the configuration with as many rows for the search as ``max_memory_gib`` allows.

    Parameters
    ----------
    name : str
        Of the subset, for messages.

    Raises
    ------
    ResourceError
        If that is less than a search needs.
    """
    if not config.searches:
        return config
    allowed = rows_within_memory(config)
    least = n_rows(min(len(subset), MIN_SEARCHED), subset.n_atoms)
    if allowed < least:
        raise ResourceError(
            f"subset {name}: descriptor and length scale are compared on at least {least} rows, which need "
            f"{SEARCH_BYTES * least**2 / BYTES_PER_GIB:.2g} GiB, allowed are {config.max_memory_gib:g} GiB; "
            "use model: local or a larger max_memory_gib"
        )
    rows = min(allowed, config.search.max_rows)
    return replace(config, search=replace(config.search, max_rows=rows))


def rows_within_memory(config: FitGprConfig) -> int:
    """Return how many rows ``max_memory_gib`` lets a search compare."""
    return int((config.max_memory_gib * BYTES_PER_GIB / SEARCH_BYTES) ** 0.5)


def _fewer_compared(config: FitGprConfig, name: str, subset: StructureSet) -> str:
    """Say where memory allows less than what would be compared."""
    rows = searched_within_memory(config, name, subset).search.max_rows
    wanted = min(config.search.max_rows, n_rows(len(subset), subset.n_atoms))
    return "" if rows >= wanted else f"; max_memory_gib lets {rows} rows be compared, not {wanted}"


def make_solver(config: FitGprConfig, plan: Plan, progress: Progress, fastest: bool = False) -> SolverFactory:
    """Return what makes the solver of the plan; ``progress`` is called for every iteration.

    ``fastest``: conjugate gradients in place of the factor where they are clearly faster by forecast.
    """
    cg = replace(config.conjugate_gradient, max_rank=plan.rank)

    def show(iteration: int, residual: float) -> None:
        progress(iteration, cg.max_iterations, f"residual {residual:.1e}, wanted {cg.tolerance:.0e}")

    def make(covariance: Covariance, noise_energy: float, noise_force: float) -> Solver:
        made = covariance, noise_energy, noise_force
        if fastest and plan.solver == "cholesky" and plan.conjugate_gradient_gib <= config.max_memory_gib:
            noise = covariance.noise_variances(noise_energy, noise_force)
            low_rank = plan_low_rank(covariance, noise, cg.max_rank, cg.tolerance)
            ratio = low_rank.operations / cholesky_operations(covariance)
            if ratio < CLEARLY_FASTER:
                log.info("conjugate gradients by forecast in %.0f %% of the time of a factor", 100.0 * ratio)
                return ConjugateGradientSolver(*made, cg, show, progress, low_rank=low_rank)
        if plan.solver == "cholesky":
            return CholeskySolver(*made, config.max_jitter, config.device)
        if plan.solver == "conjugate_gradient":
            return ConjugateGradientSolver(*made, cg, show, progress, device=config.device)
        assert isinstance(covariance, CentrePairCovariance)
        return MixedPrecisionSolver(covariance, noise_energy, noise_force, cg, show)

    return make


class Noting:
    """Makes a solver and keeps it, for what its factor says after the fit."""

    def __init__(self, make: SolverFactory) -> None:
        self.make = make
        self.made: tuple[Covariance, Solver] | None = None

    def __call__(self, covariance: Covariance, noise_energy: float, noise_force: float) -> Solver:
        """Make the solver of a covariance, and keep both."""
        self.made = covariance, self.make(covariance, noise_energy, noise_force)
        return self.made[1]

    def leave_out(self, subset: StructureSet, signal_std: float, seed: int) -> LeftOut | None:
        """Return left-out errors, None where there is no factor."""
        assert self.made is not None  # the fit has called it
        covariance, solver = self.made
        if not isinstance(solver, CholeskySolver):
            return None
        return leave_out(subset, covariance, solver, signal_std, chosen_to_leave_out(len(subset), seed))


def _iterative(n_structures: int, n_atoms: int, n_features: int, rank: int) -> float:
    return iterative_bytes(n_structures, n_atoms, n_features, rank) / BYTES_PER_GIB
