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
from aenet_gpr_cli.gpr.hyperparameters.objectives import Problem, Score
from aenet_gpr_cli.gpr.process_settings import Hyperparameters, KernelChoice
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import FloatArray, StructureSet

ROUGH_SHARE = 4  # descriptors are first compared on this many times fewer rows
MIN_SEARCHED = 10  # structures, below which no objective is reliable
SWEEP = 10  # length scales of a coarse sweep over the bounds: neighbours differ by less than a factor of two
SIMPLEX_STEP = 0.4  # of log length scale and log noise
START_LENGTH = 8.0  # in median distances: smooth surfaces want long scales (EC dimer: 11, Li-EC slab: 6)
FAILED = 1e4  # worse by so much per observation: larger than any likelihood, but finite for the line search
TOLERANCE = 3e-4  # per observation: differences in the objective that mean nothing


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
    method : str
        ``likelihood``, ``leave_one_out`` or ``validation``.
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

    method: str
    descriptor: int
    parameters: Hyperparameters
    value: float
    n_structures: int
    at_bound: bool
    table: tuple[Trial, ...]


def optimise(
    structures: StructureSet,
    descriptors: Sequence[Descriptor],
    choice: KernelChoice,
    max_jitter: float,
    seed: int,
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
    max_jitter : float
        See `CholeskySolver`.
    seed : int
        Of the choice of structures.
    progress : callable or None
        Called with (done, total, message), the total an upper bound.
    n_centres : int
        Of every descriptor, see `centre_pairs`.

    Raises
    ------
    ConfigError
        If there is no descriptor, the descriptors see different motions, or there are too few structures to
        hold one out.
    NumericalError
        If the covariance could not be factorised anywhere.

    Notes
    -----
    About ten factorisations of max_rows rows, each with its inverse, and ten of a quarter of that per
    descriptor. On a grid one factorisation per length scale and descriptor.
    """
    if not descriptors:
        raise ConfigError("descriptors: expected at least one, got none")
    search = _Search(structures, descriptors, choice, max_jitter, seed, progress, n_centres)
    final = search.scan() if search.is_grid else search.refine()
    assert final.value is not None
    return Optimum(
        search.method,
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
        choice: KernelChoice,
        max_jitter: float,
        seed: int,
        progress: Progress | None,
        n_centres: int,
    ) -> None:
        self._structures, self._descriptors, self._choice = structures, descriptors, choice
        self._max_jitter, self._progress, self._n_centres = max_jitter, progress, n_centres
        self._keys, self._lengths = choice.search, choice.length_scales
        self._order = np.random.default_rng(seed).permutation(len(structures))
        self._fewest = MIN_SEARCHED * n_rows(1, structures.n_atoms)
        self._max_rows = max(choice.search.max_rows, self._fewest)
        stages = len(descriptors) + (len(descriptors) > 1)
        self._total = len(self._lengths) * len(descriptors) or self._keys.max_evaluations * stages
        self._rows: dict[int, int] = {}
        self._length_bounds = (0.0, np.inf)
        self.method = self._keys.method_for(n_rows(len(structures), structures.n_atoms))
        self.table: list[Trial] = []

    @property
    def is_grid(self) -> bool:
        """Whether given length scales are tried, and nothing else."""
        return len(self._lengths) > 1 or (len(self._lengths) == 1 and not self._keys.fit_noise)

    def scan(self) -> Trial:
        """Return the best trial of all descriptors at all given length scales."""
        for descriptor in range(len(self._descriptors)):
            problem = self._problem(descriptor, self._max_rows)
            for length in self._lengths:
                self._evaluate(problem, descriptor, self._choice.at(length))
        if len(self._lengths) > 2:
            self._length_bounds = min(self._lengths), max(self._lengths)
        return self._best(0)

    def refine(self) -> Trial:
        """Return the best trial where length scales or noises are free."""
        starts = self._starts(max(self._max_rows // ROUGH_SHARE, self._fewest))
        # which descriptor is best depends on how many structures there are: compare again on all of them
        again = [self._again(start) for start in starts if start is not None and len(starts) > 1]
        best = int(np.argmax([-np.inf if t.value is None else t.value for t in again])) if again else 0
        return self._climb(best, self._max_rows, starts[best])

    def _starts(self, max_rows: int) -> list[Trial | None]:
        """Return for each descriptor where to begin, from about ``max_rows`` observations."""
        candidates = range(len(self._descriptors))
        if self.method != "likelihood" and not self._lengths:
            return [self._sweep(i, max_rows) for i in candidates]
        return [self._climb(i, max_rows, None) for i in candidates] if len(candidates) > 1 else [None]

    def _again(self, trial: Trial) -> Trial:
        """Return the same trial on all observations that are compared on."""
        problem = self._problem(trial.descriptor, self._max_rows)
        self._evaluate(problem, trial.descriptor, trial.parameters)
        return self.table[-1]

    def _sweep(self, descriptor: int, max_rows: int) -> Trial:
        problem, first = self._problem(descriptor, max_rows), len(self.table)
        low, high = self._keys.length_bounds
        for length in problem.typical_distance() * np.geomspace(low, high, SWEEP):
            self._evaluate(problem, descriptor, self._choice.at(float(length)))
        return self._best(first)

    def _climb(self, descriptor: int, max_rows: int, start: Trial | None) -> Trial:
        """Return the best trial for one descriptor on about ``max_rows`` observations."""
        problem = self._problem(descriptor, max_rows)
        typical, keys, first = problem.typical_distance(), self._keys, len(self.table)
        self._length_bounds = (keys.length_bounds[0] * typical, keys.length_bounds[1] * typical)
        length = self._lengths[0] if self._lengths else START_LENGTH * typical
        at = start.parameters if start is not None else self._choice.at(length)
        free = np.array([not self._lengths, keys.fit_noise, keys.fit_noise])
        bounds = np.log([self._length_bounds, keys.noise_bounds, keys.noise_bounds])
        logs = np.where(free, np.clip(at.logs, bounds[:, 0], bounds[:, 1]), at.logs)
        gradient = self.method == "likelihood"

        def negative(free_logs: FloatArray) -> tuple[float, FloatArray] | float:
            parameters = logs.copy()
            parameters[free] = free_logs
            score = self._evaluate(problem, descriptor, Hyperparameters.from_logs(parameters))
            rows = len(problem.targets)
            if score is None:
                return (FAILED, np.zeros(int(free.sum()))) if gradient else FAILED
            if score.gradient is None:
                return -score.value / rows
            return -score.value / rows, -score.gradient[free] / rows

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

    def _options(self, gradient: bool, start: FloatArray) -> dict[str, Any]:
        count = self._keys.max_evaluations
        if gradient:
            return {"maxfun": count, "ftol": TOLERANCE, "gtol": TOLERANCE, "maxls": 8}
        simplex = np.vstack([start, start + SIMPLEX_STEP * np.eye(len(start))])
        return {"maxfev": count * len(start), "initial_simplex": simplex, "xatol": 0.05, "fatol": 0.01}

    def _problem(self, descriptor: int, max_rows: int) -> Problem:
        """The structures are the same for all descriptors, and the first ones of the larger choice."""
        count = min(max_rows // n_rows(1, self._structures.n_atoms), len(self._order))
        chosen, kernel = self._structures.select(self._order[:count]), self._choice.kernel
        made = kernel, self._max_jitter, self._n_centres
        problem = Problem.of(chosen, self._descriptors[descriptor], *made)
        if self._rows.setdefault(count, len(problem.targets)) != len(problem.targets):
            raise ConfigError("descriptors: expected candidates that see the same motions of the atoms")
        return problem

    def _evaluate(self, problem: Problem, descriptor: int, parameters: Hyperparameters) -> Score | None:
        score, failure = None, ""
        try:
            score = self._score(problem, parameters)
        except NumericalError as error:
            failure = str(error)
        value = None if score is None else score.value / len(problem.targets)
        signal = None if score is None else score.signal_std
        self.table.append(Trial(descriptor, problem.n_structures, parameters, value, signal, failure))
        if self._progress is not None:
            message = f"length_scale {parameters.length_scale:.3g}"
            self._progress(min(len(self.table), self._total), self._total, message)
        return score

    def _score(self, problem: Problem, parameters: Hyperparameters) -> Score:
        if self.method == "likelihood":
            return problem.likelihood(parameters, with_gradient=not self._lengths[1:])
        if self.method == "leave_one_out":
            return problem.leave_one_out(parameters)
        if problem.n_structures < 2:
            raise ConfigError("validation: expected at least 2 structures, got 1; use likelihood")
        held_out = max(1, round(self._keys.validation_fraction * problem.n_structures))
        return problem.held_out(parameters, min(held_out, problem.n_structures - 1))

    def _best(self, first: int) -> Trial:
        known = [trial for trial in self.table[first:] if trial.value is not None]
        if not known:
            raise NumericalError(
                f"hyperparameters: the covariance could not be factorised anywhere; {self.table[-1].failure}"
            )
        return max(known, key=lambda trial: -np.inf if trial.value is None else trial.value)
