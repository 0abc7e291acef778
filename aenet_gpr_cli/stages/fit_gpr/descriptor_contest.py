"""`descriptor: auto`: which descriptor predicts left-out training structures best, on few of them first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.observation_order import n_rows
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.left_out_errors import LeftOut, ratio
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.stages.fit_gpr.candidates import short_name
from aenet_gpr_cli.stages.fit_gpr.fit_plan import Noting, rows_within_memory
from aenet_gpr_cli.stages.fit_gpr.model_kinds import nearest_images_suffice
from aenet_gpr_cli.stages.fit_gpr.model_search import Choice, search_process
from aenet_gpr_cli.stages.shared.context import log
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import MEV_PER_EV

SAMPLE_ROWS = 1000  # energies and force components of the few structures
SAMPLE_EVALUATIONS = 8
FEWEST = 3  # structures that can be compared on
DOUBTFUL = 1.5  # times the errors of the best: compared again on twice as many structures
MOST_COMPARED = 8000  # rows
NEAR = 2.0  # times the errors of the best on few structures: more structures may turn the order


def choose_process(
    config: FitGprConfig,
    name: str,
    subset: StructureSet,
    progress: Progress,
    options: Sequence[FitGprConfig] = (),
) -> Choice:
    """Choose descriptor, length scale, noise and permutations by the training data alone.

    Parameters
    ----------
    name : str
        Of the subset, for messages.
    options : sequence of FitGprConfig
        Descriptors that are left to compare, see `near_options`; default: what the configuration compares.

    Raises
    ------
    NumericalError
        If no covariance of any descriptor can be factorised.
    """
    if not options:
        options = _alternatives(config, subset)
        if len(options) > 1:
            options, _ = near_options(config, name, subset, progress)
    if len(options) == 1:
        return search_process(options[0], name, subset, progress)
    return _best_of(options, config, name, subset, progress)


def _best_of(
    options: Sequence[FitGprConfig],
    config: FitGprConfig,
    name: str,
    subset: StructureSet,
    progress: Progress,
) -> Choice:
    """Return what predicts left-out structures best; of twice as many where few leave it in doubt.

    What fails on more of them is out, but for the best of fewer where all do.
    """
    found: dict[FitGprConfig, Choice] = {}
    failures: list[NumericalError] = []
    for option in options:
        try:
            found[option] = search_process(option, name, subset, progress)
        except NumericalError as error:
            failures.append(error)
    rows, most = config.search.max_rows, min(MOST_COMPARED, rows_within_memory(config))
    chosen: Choice | None = None
    while found:
        compared = _first(config, subset, rows)
        errors: dict[FitGprConfig, LeftOut] = {}
        for option, choice in found.items():
            try:
                errors[option] = _left_out(option, choice, compared)
            except NumericalError as error:
                failures.append(error)
                continue
            words = short_name(choice.geometry.settings), errors_in_words(errors[option]), len(compared)
            log.info("%s: %s: left-out errors %s on %d structures", name, *words)
        if not errors:
            break
        best = best_of(errors)
        chosen = found[best]
        near = {o: found[o] for o, off in errors.items() if ratio(off, errors[best]) <= DOUBTFUL}
        if len(near) == 1 or len(compared) == len(subset) or rows >= most:
            break
        found, rows = near, min(2 * rows, most)
    if chosen is None:
        raise failures[0]
    return chosen


def near_options(
    config: FitGprConfig, name: str, subset: StructureSet, progress: Progress
) -> tuple[list[FitGprConfig], LeftOut]:
    """Return the descriptors that are not clearly worse on few structures, and the errors of the best.

    Parameters
    ----------
    name : str
        Of the subset, for messages.

    Raises
    ------
    NumericalError
        If no covariance of any descriptor can be factorised.
    """
    found: dict[FitGprConfig, LeftOut] = {}
    failures: list[NumericalError] = []
    _, few = sample_of(config, subset)
    for option in _alternatives(config, subset):
        try:
            choice = search_process(_quick(option), name, few, progress, quiet=True)
            found[option] = _left_out(option, choice, few)
        except NumericalError as error:
            failures.append(error)
    if not found:
        raise failures[0]
    best = found[best_of(found)]
    return [option for option, errors in found.items() if ratio(errors, best) <= NEAR], best


def best_of(found: Mapping[FitGprConfig, LeftOut]) -> FitGprConfig:
    """Return the one of the smallest errors."""
    any_errors = next(iter(found.values()))
    return min(found, key=lambda option: ratio(found[option], any_errors))


def sample_of(config: FitGprConfig, subset: StructureSet) -> tuple[FitGprConfig, StructureSet]:
    """Return few structures of a subset, and a quick way to search on them."""
    quick = _quick(config)
    return quick, _first(config, subset, quick.search.max_rows)


def errors_in_words(off: LeftOut) -> str:
    """Return mean errors of energies and forces with their units."""
    of_forces = f" and {rounded(off.force_mae)} eV/Å" if len(off.force_errors) else ""
    return f"{rounded(MEV_PER_EV * off.energy_mae)} meV{of_forces}"


def _alternatives(config: FitGprConfig, subset: StructureSet) -> Sequence[FitGprConfig]:
    """Return what is compared: soap by species is soap where there is one species.

    No inverse distances where nearest images are not enough. The first where there is one structure, which
    leaves none to be predicted from.
    """
    options = list(config.alternatives)
    if len(options) > 1 and not nearest_images_suffice(subset):
        options = options[1:]
    if len(subset) == 1:
        return options[:1]
    if len(set(subset.species)) == 1 and "outer" in {option.soap.average for option in options}:
        options = [option for option in options if option.soap.average != "species"]
    return options


def _first(config: FitGprConfig, subset: StructureSet, max_rows: int) -> StructureSet:
    count = max(FEWEST, max_rows // n_rows(1, subset.n_atoms))
    order = np.random.default_rng([config.seed, 7]).permutation(len(subset))
    return subset.select(np.sort(order[:count]))


def _quick(config: FitGprConfig) -> FitGprConfig:
    given = config.search
    rows, evaluations = min(SAMPLE_ROWS, given.max_rows), min(SAMPLE_EVALUATIONS, given.max_evaluations)
    return replace(config, search=replace(given, max_rows=rows, max_evaluations=evaluations))


def _left_out(config: FitGprConfig, choice: Choice, structures: StructureSet) -> LeftOut:
    """Return errors of structures that a process fitted to the others of them predicts."""

    def factor(covariance: Covariance, noise_energy: float, noise_force: float) -> CholeskySolver:
        return CholeskySolver(covariance, noise_energy, noise_force, config.max_jitter)

    solver = Noting(factor)
    found, geometry = choice.parameters, choice.geometry
    kernel = make_kernel(config.kernel, found.length_scale)
    noise, descriptor = (found.noise_energy, found.noise_force), geometry.make_descriptor()
    model = fit(structures, descriptor, kernel, *noise, solver, geometry.n_centres)
    errors = solver.leave_out(structures, model.signal_std, config.seed)
    assert errors is not None  # there is a factor
    return errors
