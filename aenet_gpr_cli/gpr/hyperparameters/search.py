"""Choice of length scale, noise and descriptor from training data alone.

Objectives are the log marginal likelihood, errors of leaving one structure out, or errors on structures held
out of the training data (the paper's search), on a seeded choice of structures. Length scales come from a
grid, or from a search: the likelihood along its gradient, the others by a coarse sweep and a simplex. Without
a grid each descriptor is searched on few structures, compared on more, and the best of them refined there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.errors import ConfigError, NumericalError
from aenet_gpr_cli.gpr.covariance.observation_order import n_rows
from aenet_gpr_cli.gpr.hyperparameters.objectives import Evidence, Hyperparameters, Problem
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import FloatArray, StructureSet

OBJECTIVES = ("likelihood", "leave_one_out", "validation")
ROUGH_SHARE = 4  # descriptors are first compared on this many times fewer rows
MIN_ROUGH = 10  # structures, below which no objective says much
SWEEP = 10  # length scales of a coarse sweep over the bounds: neighbours differ by less than a factor of two
SIMPLEX_STEP = 0.4  # of log length scale and log noise
START_LENGTH = 8.0  # in median distances: smooth surfaces want long scales (EC dimer: 11, Li-EC slab: 6)
FAILED = 1e4  # worse by so much per observation: larger than any likelihood, but finite for the line search
TOLERANCE = 3e-4  # per observation: differences in the objective that mean nothing


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How to search.

    Attributes
    ----------
    objective : str
        One of ``OBJECTIVES``.
    lengths : tuple of float, unit of the descriptor
        None of them: the length scale is searched. One: it is kept. Several: all are tried, nothing else.
    max_rows : int
        Observations (of a seeded choice of structures) to take the objective on.
    max_evaluations : int
        Per descriptor and stage.
    noise_energy, noise_force : float
        Noise relative to the signal standard deviation, to start from or to keep.
    fit_noise : bool
        Whether to search the noises too.
    noise_bounds : tuple of two float
    length_bounds : tuple of two float
        In median distances between structures.
    validation_fraction : float
        Of the chosen structures, held out for the objective validation.
    max_jitter : float
        See `CholeskySolver`.
    seed : int
    """

    objective: str
    lengths: tuple[float, ...]
    max_rows: int
    max_evaluations: int
    noise_energy: float
    noise_force: float
    fit_noise: bool
    noise_bounds: tuple[float, float]
    length_bounds: tuple[float, float]
    validation_fraction: float
    max_jitter: float
    seed: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One evaluation of the objective.

    Attributes
    ----------
    descriptor : int
        Index of the descriptor.
    n_structures : int
        Structures the objective was taken on.
    parameters : Hyperparameters
    value : float or None, dimensionless
        Objective per observation; None where the factorisation failed.
    signal_std : float or None, eV
    failure : str
        Why it failed; empty where it did not.
    """

    descriptor: int
    n_structures: int
    parameters: Hyperparameters
    value: float | None
    signal_std: float | None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Optimum:
    """Result of `optimise`.

    Attributes
    ----------
    descriptor : int
        Index of the best descriptor.
    parameters : Hyperparameters
    value : float, dimensionless
        Objective per observation.
    n_structures : int
        Structures the final comparison was made on.
    at_bound : bool
        Whether the length scale ended at a bound, or at the end of a grid of more than two.
    table : tuple of Trial
        All evaluations in their order.
    """

    descriptor: int
    parameters: Hyperparameters
    value: float
    n_structures: int
    at_bound: bool
    table: tuple[Trial, ...]


def optimise(
    structures: StructureSet,
    descriptors: Sequence[Descriptor],
    kernel: str,
    settings: SearchSettings,
    progress: Progress | None = None,
    n_centres: int = 1,
) -> Optimum:
    """Choose length scale, noises (where asked) and descriptor by the training data alone.

    Parameters
    ----------
    structures : StructureSet
        Training data with energies and forces.
    descriptors : sequence of Descriptor
        Candidates that see the same motions (for example powers of the distance): only then can their
        likelihoods be compared.
    kernel : str
        Name of the kernel.
    settings : SearchSettings
    progress : callable or None
        Called with (done, total, message); the total is an upper bound.
    n_centres : int
        Of every descriptor, see `centre_pairs`.

    Returns
    -------
    Optimum

    Raises
    ------
    ConfigError
        If there is no descriptor, the objective is unknown, the descriptors see different motions, or there
        are too few structures to hold one out.
    NumericalError
        If the covariance could not be factorised anywhere.

    Notes
    -----
    About ten factorisations of max_rows rows, each with its inverse, and ten of a quarter of that per
    descriptor. On a grid one factorisation per length scale and descriptor.
    """
    if not descriptors:
        raise ConfigError("descriptors: expected at least one, got none")
    if settings.objective not in OBJECTIVES:
        raise ConfigError(f"objective: expected one of {', '.join(OBJECTIVES)}, got {settings.objective!r}")
    search = _Search(structures, descriptors, kernel, settings, progress, n_centres)
    if len(settings.lengths) > 1 or (settings.lengths and not settings.fit_noise):
        final = search.scan()
    else:
        fewest = min(settings.max_rows, MIN_ROUGH * n_rows(1, structures.n_atoms))
        starts = search.starts(max(settings.max_rows // ROUGH_SHARE, fewest))
        # which descriptor is best depends on how many structures there are: compare again on all of them
        again = [search.again(s, settings.max_rows) for s in starts if s is not None and len(starts) > 1]
        best = int(np.argmax([-np.inf if s.value is None else s.value for s in again])) if again else 0
        final = search.climb(best, settings.max_rows, starts[best])
    assert final.value is not None
    return Optimum(
        final.descriptor,
        final.parameters,
        final.value,
        final.n_structures,
        search.at_bound(final),
        tuple(search.table),
    )


class _Search:
    """The evaluations of one call of `optimise`."""

    def __init__(
        self,
        structures: StructureSet,
        descriptors: Sequence[Descriptor],
        kernel: str,
        settings: SearchSettings,
        progress: Progress | None,
        n_centres: int,
    ) -> None:
        self._structures, self._descriptors, self._kernel = structures, descriptors, kernel
        self._settings, self._progress, self._n_centres = settings, progress, n_centres
        self._order = np.random.default_rng(settings.seed).permutation(len(structures))
        stages = len(descriptors) + (len(descriptors) > 1)
        self._total = len(settings.lengths) * len(descriptors) or settings.max_evaluations * stages
        self._rows: dict[int, int] = {}
        self._length_bounds = (0.0, np.inf)
        self.table: list[Trial] = []

    def scan(self) -> Trial:
        """Return the best trial of all descriptors at all given length scales."""
        for descriptor in range(len(self._descriptors)):
            problem = self._problem(descriptor, self._settings.max_rows)
            for length in self._settings.lengths:
                self._evaluate(problem, descriptor, self._start(length))
        if len(self._settings.lengths) > 2:
            self._length_bounds = min(self._settings.lengths), max(self._settings.lengths)
        return self._best(0)

    def starts(self, max_rows: int) -> list[Trial | None]:
        """Return for each descriptor where to begin, from about ``max_rows`` observations."""
        candidates = range(len(self._descriptors))
        if self._settings.objective != "likelihood" and not self._settings.lengths:
            return [self._sweep(i, max_rows) for i in candidates]
        return [self.climb(i, max_rows, None) for i in candidates] if len(candidates) > 1 else [None]

    def again(self, trial: Trial, max_rows: int) -> Trial:
        """Return the same trial on about ``max_rows`` observations."""
        problem = self._problem(trial.descriptor, max_rows)
        self._evaluate(problem, trial.descriptor, trial.parameters)
        return self.table[-1]

    def _sweep(self, descriptor: int, max_rows: int) -> Trial:
        problem, first = self._problem(descriptor, max_rows), len(self.table)
        low, high = self._settings.length_bounds
        for length in problem.typical_distance() * np.geomspace(low, high, SWEEP):
            self._evaluate(problem, descriptor, self._start(float(length)))
        return self._best(first)

    def climb(self, descriptor: int, max_rows: int, start: Trial | None) -> Trial:
        """Return the best trial for one descriptor on about ``max_rows`` observations."""
        problem = self._problem(descriptor, max_rows)
        typical = problem.typical_distance()
        settings, first = self._settings, len(self.table)
        self._length_bounds = (settings.length_bounds[0] * typical, settings.length_bounds[1] * typical)
        length = settings.lengths[0] if settings.lengths else START_LENGTH * typical
        at = start.parameters if start is not None else self._start(length)
        free = np.array([not settings.lengths, settings.fit_noise, settings.fit_noise])
        bounds = np.log([self._length_bounds, settings.noise_bounds, settings.noise_bounds])
        logs = np.where(free, np.clip(at.logs, bounds[:, 0], bounds[:, 1]), at.logs)
        gradient = settings.objective == "likelihood"

        def negative(free_logs: FloatArray) -> tuple[float, FloatArray] | float:
            parameters = logs.copy()
            parameters[free] = free_logs
            evidence = self._evaluate(problem, descriptor, Hyperparameters.from_logs(parameters))
            rows = len(problem.targets)
            if evidence is None:
                return (FAILED, np.zeros(int(free.sum()))) if gradient else FAILED
            if evidence.gradient is None:
                return -evidence.value / rows
            return -evidence.value / rows, -evidence.gradient[free] / rows

        minimize(
            negative,
            logs[free],
            jac=gradient,
            method="L-BFGS-B" if gradient else "Nelder-Mead",
            bounds=bounds[free],
            options=self._options(gradient, logs[free]),
        )
        return self._best(first)

    def at_bound(self, trial: Trial) -> bool:
        """Whether the length scale of the last climb ended at a bound."""
        return bool(np.isclose(trial.parameters.length_scale, self._length_bounds, rtol=1e-3).any())

    def _start(self, length_scale: float) -> Hyperparameters:
        return Hyperparameters(length_scale, self._settings.noise_energy, self._settings.noise_force)

    def _options(self, gradient: bool, start: FloatArray) -> dict[str, Any]:
        count = self._settings.max_evaluations
        if gradient:
            return {"maxfun": count, "ftol": TOLERANCE, "gtol": TOLERANCE, "maxls": 8}
        simplex = np.vstack([start, start + SIMPLEX_STEP * np.eye(len(start))])
        return {"maxfev": count * len(start), "initial_simplex": simplex, "xatol": 0.05, "fatol": 0.01}

    def _problem(self, descriptor: int, max_rows: int) -> Problem:
        """The structures are the same for all descriptors, and the first ones of the larger choice."""
        per_structure = 1 + 3 * self._structures.n_atoms
        count = int(np.clip(max_rows // per_structure, min(2, len(self._order)), len(self._order)))
        chosen = self._structures.select(self._order[:count])
        jitter = self._settings.max_jitter
        problem = Problem.of(chosen, self._descriptors[descriptor], self._kernel, jitter, self._n_centres)
        if self._rows.setdefault(count, len(problem.targets)) != len(problem.targets):
            raise ConfigError("descriptors: expected candidates that see the same motions of the atoms")
        return problem

    def _evaluate(self, problem: Problem, descriptor: int, parameters: Hyperparameters) -> Evidence | None:
        evidence, failure = None, ""
        try:
            evidence = self._objective(problem, parameters)
        except NumericalError as error:
            failure = str(error)
        value = None if evidence is None else evidence.value / len(problem.targets)
        signal = None if evidence is None else evidence.signal_std
        self.table.append(Trial(descriptor, problem.n_structures, parameters, value, signal, failure))
        if self._progress is not None:
            message = f"length_scale {parameters.length_scale:.3g}"
            self._progress(min(len(self.table), self._total), self._total, message)
        return evidence

    def _objective(self, problem: Problem, parameters: Hyperparameters) -> Evidence:
        if self._settings.objective == "likelihood":
            return problem.likelihood(parameters, with_gradient=not self._settings.lengths[1:])
        if self._settings.objective == "leave_one_out":
            return problem.leave_one_out(parameters)
        if problem.n_structures < 2:
            raise ConfigError("validation: expected at least 2 structures, got 1; use likelihood")
        held_out = max(1, round(self._settings.validation_fraction * problem.n_structures))
        return problem.held_out(parameters, min(held_out, problem.n_structures - 1))

    def _best(self, first: int) -> Trial:
        known = [trial for trial in self.table[first:] if trial.value is not None]
        if not known:
            raise NumericalError(
                f"hyperparameters: the covariance could not be factorised anywhere; {self.table[-1].failure}"
            )
        return max(known, key=lambda trial: trial.value or -np.inf)
