"""Length scale from training data alone: log marginal likelihood on a grid.

Prior mean and signal variance follow in closed form for each length scale, so the search has one dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.descriptors.base import Descriptor
from aenet_gpr_cli.errors import ConfigError, NumericalError
from aenet_gpr_cli.gpr.kernels import make_kernel
from aenet_gpr_cli.gpr.regression import GPModel, SolverFactory, fit
from aenet_gpr_cli.structures import StructureSet

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class GridPoint:
    """What one length scale gave.

    Attributes
    ----------
    length_scale : float, unit of the descriptor
    log_marginal_likelihood : float or None, dimensionless
        None where the factorisation failed.
    signal_std : float or None, eV
    prior_mean : float or None, eV
    jitter : float or None
        Variance added to the diagonal, for unit signal variance.
    failure : str
        Why the factorisation failed; empty where it did not.
    """

    length_scale: float
    log_marginal_likelihood: float | None
    signal_std: float | None
    prior_mean: float | None
    jitter: float | None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class GridSearch:
    """Result of `length_scale_by_likelihood`.

    Attributes
    ----------
    length_scale : float, unit of the descriptor
        The one with the largest log marginal likelihood.
    table : tuple of GridPoint
        In the order of the grid.
    n_structures : int
        Structures the likelihood was taken on.
    at_edge : bool
        Whether the best value is the smallest or largest of the grid: widen the grid then.
    """

    length_scale: float
    table: tuple[GridPoint, ...]
    n_structures: int
    at_edge: bool

    @property
    def log_marginal_likelihood(self) -> float:
        """Largest log marginal likelihood of the table."""
        known = [p.log_marginal_likelihood for p in self.table if p.log_marginal_likelihood is not None]
        return max(known)


def length_scale_by_likelihood(
    structures: StructureSet,
    descriptor: Descriptor,
    kernel: str,
    grid: Sequence[float],
    noise_energy: float,
    noise_force: float,
    make_solver: SolverFactory,
    max_structures: int,
    seed: int,
    progress: Progress | None = None,
) -> GridSearch:
    """Choose the length scale with the largest log marginal likelihood.

    Parameters
    ----------
    structures : StructureSet
        Training data with energies and forces.
    descriptor : Descriptor
    kernel : str
        Name of the kernel.
    grid : sequence of float, unit of the descriptor
    noise_energy : float, dimensionless
        Relative to the signal standard deviation.
    noise_force : float, 1/Å
        The same for force components.
    make_solver : callable
        Must give a solver that knows the determinant.
    max_structures : int
        The likelihood is taken on at most so many structures, drawn with ``seed``.
    seed : int
    progress : callable or None
        Called with (done, total, message).

    Returns
    -------
    GridSearch

    Raises
    ------
    ConfigError
        If the grid is empty or the solver gives no determinant.
    NumericalError
        If the factorisation fails for every length scale.

    Notes
    -----
    One dense fit of min(n, max_structures) structures per grid point.
    """
    if len(grid) == 0:
        raise ConfigError("length_scale: expected at least one value in the grid, got none")
    subset = _subset(structures, max_structures, seed)
    table: list[GridPoint] = []
    for done, length_scale in enumerate(grid, start=1):
        table.append(
            _grid_point(subset, descriptor, kernel, length_scale, noise_energy, noise_force, make_solver)
        )
        if progress is not None:
            progress(done, len(grid), f"length_scale {length_scale:g}")
    scores = np.array(
        [-np.inf if p.log_marginal_likelihood is None else p.log_marginal_likelihood for p in table]
    )
    if not np.isfinite(scores).any():
        raise NumericalError(
            f"length_scale: the covariance could not be factorised for any value of the grid {list(grid)}; "
            f"{table[0].failure}"
        )
    best = float(grid[int(np.argmax(scores))])
    return GridSearch(best, tuple(table), len(subset), len(grid) > 2 and best in (min(grid), max(grid)))


def _subset(structures: StructureSet, max_structures: int, seed: int) -> StructureSet:
    if len(structures) <= max_structures:
        return structures
    chosen = np.random.default_rng(seed).choice(len(structures), max_structures, replace=False)
    return structures.select(np.sort(chosen))


def _grid_point(
    structures: StructureSet,
    descriptor: Descriptor,
    kernel: str,
    length_scale: float,
    noise_energy: float,
    noise_force: float,
    make_solver: SolverFactory,
) -> GridPoint:
    try:
        model: GPModel = fit(
            structures, descriptor, make_kernel(kernel, length_scale), noise_energy, noise_force, make_solver
        )
    except NumericalError as error:
        return GridPoint(length_scale, None, None, None, None, str(error))
    if model.log_marginal_likelihood is None:
        raise ConfigError("length_scale by likelihood: expected a solver with a determinant, use cholesky")
    return GridPoint(
        length_scale, model.log_marginal_likelihood, model.signal_std, model.prior_mean, model.jitter
    )


def descriptor_by_likelihood(searches: Sequence[GridSearch]) -> int:
    """Return which of several descriptors has the largest log marginal likelihood.

    Parameters
    ----------
    searches : sequence of GridSearch
        One per descriptor (for example powers of the distance), all on the same structures: same data,
        ``max_structures`` and ``seed``.

    Returns
    -------
    int
        Index of the best one.

    Raises
    ------
    ConfigError
        If the searches used different numbers of structures: their likelihoods cannot be compared.
    """
    if len({search.n_structures for search in searches}) != 1:
        raise ConfigError("descriptors by likelihood: expected searches on the same structures")
    return int(np.argmax([search.log_marginal_likelihood for search in searches]))
