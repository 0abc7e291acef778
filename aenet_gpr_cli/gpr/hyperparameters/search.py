"""Choice of length scale, noise and descriptor from training data alone.

Objectives are the log marginal likelihood, errors of leaving one structure out, or errors on structures held
out of the training data (the paper's search), on a seeded choice of structures. Length scales come from a
grid, or from a search: by parabolas along the length scale alone; with the noises, along the gradient of the
likelihood, or by a simplex. Without a grid each descriptor is searched on few structures; those that are not
far behind are compared on more, and the best is refined there. Nothing is evaluated twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize

from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.errors import ConfigError, NumericalError
from aenet_gpr_cli.gpr.covariance.observation_order import n_rows
from aenet_gpr_cli.gpr.hyperparameters.objectives import Problem, Score
from aenet_gpr_cli.gpr.hyperparameters.parabola import climb
from aenet_gpr_cli.gpr.process_settings import Hyperparameters, KernelChoice
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import FloatArray, StructureSet

ROUGH_SHARE = 4  # descriptors are first compared on this many times fewer rows
MIN_SEARCHED = 10  # structures, below which no objective is reliable
SWEEP = 10  # length scales of a coarse sweep over the bounds: neighbours differ by less than a factor of two
SIMPLEX_STEP = 0.4  # of log length scale and log noise; of parabolas on few structures
FINE_STEP = 0.15  # of log length scale, once it is known from fewer structures
HOPELESS = 0.05  # per observation behind the best on few structures: more structures only widen the gap
START_LENGTH = 8.0  # in median distances: smooth surfaces want long scales (EC dimer: 11, Li-EC slab: 6)
FAILED = 1e4  # worse by so much per observation: larger than any likelihood, but finite for the line search
TOLERANCE = 3e-4  # per observation: differences in the objective that mean nothing
ROUGH_TOLERANCE = 2e-3  # the same on few structures, where the best is only to be approached


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
    start: Hyperparameters | None = None,
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
    start : Hyperparameters, optional
        Where to begin, for example what was found before.

    Raises
    ------
    ConfigError
        If there is no descriptor, the descriptors see different motions, or there are too few structures to
        hold one out.
    NumericalError
        If the covariance could not be factorised anywhere.

    Notes
    -----
    Two or three factorisations of max_rows rows, and five of a quarter of that per descriptor; where noises
    are searched too, about ten, each with its inverse. On a grid one per length scale and descriptor.
    """
    if not descriptors:
        raise ConfigError("descriptors: expected at least one, got none")
    search = _Search(structures, descriptors, choice, max_jitter, seed, progress, n_centres, start)
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
        start: Hyperparameters | None,
    ) -> None:
        self._structures, self._descriptors, self._choice = structures, descriptors, choice
        self._max_jitter, self._progress, self._n_centres = max_jitter, progress, n_centres
        self._keys, self._lengths = choice.search, choice.length_scales
        self._order = np.random.default_rng(seed).permutation(len(structures))
        self._fewest = MIN_SEARCHED * n_rows(1, structures.n_atoms)
        self._max_rows = max(choice.search.max_rows, self._fewest)
        stages = len(descriptors) + (len(descriptors) > 1)
        self._total = len(self._lengths) * len(descriptors) or self._keys.max_evaluations * stages
        self._start = start
        self._rows: dict[int, int] = {}
        self._problems: dict[tuple[int, int], Problem] = {}
        self._known: dict[tuple[int, int, Hyperparameters], Score | None] = {}
        self._curvatures: dict[int, float | None] = {}
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
        values = [-np.inf if t.value is None else t.value for t in starts]
        near = [t for t, value in zip(starts, values, strict=True) if value >= max(values) - HOPELESS]
        # which of the near ones is best depends on how many structures there are: compare again on all
        if len(near) > 1:
            again = [self._again(trial) for trial in near]
            near = [near[int(np.argmax([-np.inf if t.value is None else t.value for t in again]))]]
        return self._climb(near[0].descriptor, self._max_rows, near[0])

    def _starts(self, max_rows: int) -> list[Trial]:
        """Return for each descriptor where to begin, from about ``max_rows`` observations."""
        candidates = range(len(self._descriptors))
        if self.method != "likelihood" and not self._lengths and self._start is None:
            return [self._sweep(i, max_rows) for i in candidates]
        return [self._climb(i, max_rows, None) for i in candidates]

    def _again(self, trial: Trial) -> Trial:
        """Return the same trial on all observations that are compared on."""
        problem = self._problem(trial.descriptor, self._max_rows)
        score = self._evaluate(problem, trial.descriptor, trial.parameters)
        value = None if score is None else score.value / len(problem.targets)
        return replace(trial, n_structures=problem.n_structures, value=value)

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
        at = start.parameters if start is not None else self._start or self._choice.at(length)
        free = np.array([not self._lengths, keys.fit_noise, keys.fit_noise])
        bounds = np.log([self._length_bounds, keys.noise_bounds, keys.noise_bounds])
        logs = np.where(free, np.clip(at.logs, bounds[:, 0], bounds[:, 1]), at.logs)
        if not keys.fit_noise:
            self._climb_length(problem, descriptor, logs, bounds[0], start is not None)
            return self._best(first, descriptor, problem.n_structures)
        gradient = self.method == "likelihood"

        def negative(free_logs: FloatArray) -> tuple[float, FloatArray] | float:
            parameters = logs.copy()
            parameters[free] = free_logs
            score = self._evaluate(problem, descriptor, Hyperparameters.from_logs(parameters), gradient)
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
        return self._best(first, descriptor, problem.n_structures)

    def _climb_length(
        self, problem: Problem, descriptor: int, logs: FloatArray, bounds: FloatArray, fine: bool
    ) -> None:
        """Evaluate near the best length scale; ``fine``: it is nearly known."""

        def value(log_length: float) -> float | None:
            parameters = Hyperparameters.from_logs(np.array([log_length, *logs[1:]]))
            score = self._evaluate(problem, descriptor, parameters)
            return None if score is None else score.value / len(problem.targets)

        step, tolerance = (FINE_STEP, TOLERANCE) if fine else (SIMPLEX_STEP, ROUGH_TOLERANCE)
        within = float(bounds[0]), float(bounds[1])
        curvature = self._curvatures.get(descriptor) if fine else None
        found = climb(value, float(logs[0]), within, step, tolerance, self._keys.max_evaluations, curvature)
        self._curvatures[descriptor] = found

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
        if (descriptor, count) in self._problems:
            return self._problems[descriptor, count]
        chosen, kernel = self._structures.select(self._order[:count]), self._choice.kernel
        made = kernel, self._max_jitter, self._n_centres
        problem = Problem.of(chosen, self._descriptors[descriptor], *made)
        if self._rows.setdefault(count, len(problem.targets)) != len(problem.targets):
            raise ConfigError("descriptors: expected candidates that see the same motions of the atoms")
        self._problems[descriptor, count] = problem
        return problem

    def _evaluate(
        self, problem: Problem, descriptor: int, parameters: Hyperparameters, with_gradient: bool = False
    ) -> Score | None:
        key = descriptor, problem.n_structures, parameters
        known = self._known.get(key)
        if key in self._known and not (with_gradient and known is not None and known.gradient is None):
            return known
        score, failure = None, ""
        try:
            score = self._score(problem, parameters, with_gradient)
        except NumericalError as error:
            failure = str(error)
        self._known[key] = score
        value = None if score is None else score.value / len(problem.targets)
        signal = None if score is None else score.signal_std
        self.table.append(Trial(descriptor, problem.n_structures, parameters, value, signal, failure))
        if self._progress is not None:
            message = f"length_scale {parameters.length_scale:.3g}"
            self._progress(min(len(self.table), self._total), self._total, message)
        return score

    def _score(self, problem: Problem, parameters: Hyperparameters, with_gradient: bool) -> Score:
        if self.method == "likelihood":
            return problem.likelihood(parameters, with_gradient)
        if self.method == "leave_one_out":
            return problem.leave_one_out(parameters)
        if problem.n_structures < 2:
            raise ConfigError("validation: expected at least 2 structures, got 1; use likelihood")
        held_out = max(1, round(self._keys.validation_fraction * problem.n_structures))
        return problem.held_out(parameters, min(held_out, problem.n_structures - 1))

    def _best(self, first: int, descriptor: int | None = None, n_structures: int = 0) -> Trial:
        """The best trial from number ``first`` on, or of all that a descriptor had on so many structures."""
        known = [trial for trial in self.table[first:] if trial.value is not None]
        if descriptor is not None:
            mine = [t for t in self.table if (t.descriptor, t.n_structures) == (descriptor, n_structures)]
            known = [trial for trial in mine if trial.value is not None]
        if not known:
            raise NumericalError(
                f"hyperparameters: the covariance could not be factorised anywhere; {self.table[-1].failure}"
            )
        return max(known, key=lambda trial: -np.inf if trial.value is None else trial.value)
