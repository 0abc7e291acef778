"""Fit of the local process: inducing environments, length scale by evidence, σ by structures left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from aenet_gpr_cli.baseline.shortest_distances import nearest_in_training
from aenet_gpr_cli.descriptors.atomic_environments import EnvironmentBasis
from aenet_gpr_cli.descriptors.environment_keys import EnvironmentKeys
from aenet_gpr_cli.descriptors.interface.feature_distances import farthest_points, squared_distances
from aenet_gpr_cli.descriptors.soap.soap_environments import SoapEnvironments, principal_directions
from aenet_gpr_cli.gpr.local.accumulation import (
    Design,
    Sums,
    add_up,
    evidence_of_virials,
    evidences_of,
    model_of,
)
from aenet_gpr_cli.gpr.local.design import Inducing
from aenet_gpr_cli.gpr.local.environments import Scale, by_kind, sample
from aenet_gpr_cli.gpr.local.learned_metric import learned_metric
from aenet_gpr_cli.gpr.local.local_left_out import calibrated, leave_out
from aenet_gpr_cli.gpr.local.local_model import SAME, LocalModel
from aenet_gpr_cli.gpr.process_settings import Local
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.reference_energies import least_squares_energies
from aenet_gpr_cli.structures import AnySet, FloatArray, IntArray, StructureSet

LENGTHS = 0.5, 256.0  # smallest and largest length scale of the search
ABOUT = 6  # evaluations of a search along it
START = 16.0  # where it begins
START_SOAP = 128.0
START_LEARNED = 8.0  # in a learned metric
TEACHING = (
    0.5  # length scale that teaches it, of the best: gradients show more with more inducing environments
)
ROWS_OF_METRIC = 40_000  # energies and force components that teach it
FEWEST_OF_METRIC = 50  # structures: one of fewer knows those that are left out, so that σ comes out too small
CLOSE = 0.1  # evidence for each row: two descriptions that differ by less are compared with more environments
# per species, where none are asked for; molecules gain from more, at the square of the cost
MOST_INDUCING = 600
MOST_ALONE = 1200  # of the only species
ROWS_PER_INDUCING = 5  # energies and force components of the fit
ROWS_COMPARED = 8  # and where choices are compared, many times
VIRIAL_NOISES = 2.0 ** np.arange(-8, 5)  # eV per square root of the atoms: compared by evidence
USUAL_VIRIAL_NOISE = 0.1  # where the few structures that are compared have no stress
SMALLEST_REACH = 0.5  # in units of the spread of a feature: where there is one environment only
REACH_BLOCK = 2000
LEFT_OUT = 100  # structures left out for σ


def fit_local(
    sets: Sequence[StructureSet], given: Local, seed: int, progress: Progress
) -> tuple[LocalModel, float]:
    """Return the local process of some sets, and its log evidence.

    Parameters
    ----------
    sets : sequence of StructureSet
        Any compositions and cells; with energies, and forces where they are known.
    given : Local
    seed : int
        Of the choice of environments and structures.
    progress : callable

    Raises
    ------
    InputError
        If a set has no energies.
    """
    design = with_shortest(choose_design(sets, given, seed, progress), sets)
    model, evidence = model_of(design, add_up(design, sets, Sums(len(design.inducing)), progress))
    rng = np.random.default_rng([seed, 8])
    few = thin(sets, LEFT_OUT / sum(map(len, sets)), rng)
    return calibrated(model, [leave_out(model, s) for s in few], [len(s) for s in few]), evidence


def choose_design(sets: Sequence[AnySet], given: Local, seed: int, progress: Progress) -> Design:
    """Choose what is not given on a part of the structures, the same wherever all of them are seen.

    Parameters
    ----------
    sets : sequence of AnySet
        All, also where only a share of them will be added up.
    given : Local
    seed : int
    progress : callable

    Raises
    ------
    InputError
        If a set has no energies.
    """
    compared, few = _compared_on(sets, given, seed)
    best = _chosen(sets, few, given, given, compared, seed, progress)
    count = inducing_per_species(given, count_rows(sets), len(species_of(sets)))
    if learns_metric(sets, given):
        some = thin(sets, ROWS_OF_METRIC / count_rows(sets), np.random.default_rng([seed, 2]))
        numbers = min(count, MOST_INDUCING), fewer(compared)
        best = _in_learned_metric(best, some, few, *numbers, progress)
    length, chosen = best.best, best.fit
    design = chosen.design(chosen.inducing(count)).of_length(length)
    if not (given.virials and any(s.stress is not None for s in sets)):
        return design
    noise = given.noise_std_virial or best_virial_noise(
        chosen.design(chosen.inducing(fewer(compared))).of_length(length), few, progress
    )
    return replace(design, noise_virial=noise)


def with_shortest(design: Design, sets: Sequence[AnySet]) -> Design:
    """Return the design of a process that is kept, with the shortest distances in all of its sets."""
    near = nearest_in_training(design.basis.species, sets, design.basis.cutoff)
    return replace(design, shortest=near)


def learns_metric(sets: Sequence[AnySet], given: Local) -> bool:
    """Return whether a metric is learned and compared with the plain one."""
    return given.learn_metric and given.length_scale is None and sum(map(len, sets)) >= FEWEST_OF_METRIC


def _in_learned_metric(
    plain: LengthSearch,
    some: Sequence[StructureSet],
    few: Sequence[StructureSet],
    teaching: int,
    compared: int,
    progress: Progress,
) -> LengthSearch:
    """Return the search in the metric that some structures teach, or the one without, as few favour.

    Parameters
    ----------
    plain : LengthSearch
        Of few structures, with as many inducing environments as are compared.
    teaching, compared : int
        Inducing environments of each species, of what teaches the metric and of what is compared.
    """
    progress(0, 1, f"metric of {sum(map(len, some))} structures")
    fit, length = plain.fit, plain.best
    metric = learned_metric(fit.design(fit.inducing(teaching)).of_length(TEACHING * length), some)
    learned = LengthSearch(fit.measured(metric), few, compared, None, progress)
    learned.climb(min(length, START_LEARNED))
    learned.refine()
    return learned if learned.largest > plain.largest else plain


def choose_environment(
    sets: Sequence[AnySet], keys: EnvironmentKeys, seed: int, progress: Progress
) -> tuple[tuple[float, ...], bool]:
    """Return the angular cutoffs, Å, and whether species are resolved, by evidence of local processes.

    Parameters
    ----------
    sets : sequence of AnySet
    keys : EnvironmentKeys
        Choices; those of a network, for example.
    seed : int
    progress : callable

    Raises
    ------
    InputError
        If a set has no energies.
    """
    given = Local()
    count, few = _compared_on(sets, given, seed)
    basis = _chosen(sets, few, keys, given, count, seed, progress).fit.basis
    assert not isinstance(basis, SoapEnvironments)  # networks have none
    return basis.angular_cutoffs or keys.angle_choices[0], basis.resolved


def _chosen(
    sets: Sequence[AnySet],
    few: Sequence[StructureSet],
    keys: EnvironmentKeys,
    given: Local,
    count: int,
    seed: int,
    progress: Progress,
) -> LengthSearch:
    """Return the search of the largest evidence: of all descriptors, then resolved or not."""
    species = species_of(sets)
    fixed = least_squares_energies(sets, species, given.atomic_energies)
    atomic = np.array([fixed[symbol] for symbol in species])
    resolutions = _resolutions(keys, len(species))

    def described(basis: EnvironmentBasis) -> _Fit:
        raw, kinds = sample(basis, sets, np.random.default_rng([seed, 1]))
        if isinstance(basis, SoapEnvironments):
            directions = principal_directions(raw)
            basis, raw = replace(basis, directions=directions), raw @ directions
        scale = Scale.of(basis, raw, kinds)
        return _Fit(basis, scale, given, atomic, scale(raw, kinds), kinds)

    def search(fit: _Fit, n_inducing: int) -> LengthSearch:
        return LengthSearch(fit, few, n_inducing, given.length_scale, progress)

    searches = [search(described(basis), fewer(count)) for basis in keys.bases(species)]
    if given.length_scale and len(searches) == len(resolutions) == 1:
        return searches[0]
    for number, one in enumerate(searches):
        if isinstance(one.fit.basis, SoapEnvironments):
            one.climb(START_SOAP)
        else:
            one.climb(max(searches[:number], key=_peak).best if number else START)
    best = max(searches, key=_peak)
    if len(resolutions) > 1:
        angles = keys.angle_choices[searches.index(best)]
        resolved = search(described(keys.environment_basis(species, angles, True)), fewer(count))
        resolved.climb(2.0 * best.best)  # of twice as many features, which are farther from each other
        both = [best, resolved]
        best = max(both, key=_peak)
        if abs(_peak(resolved) - _peak(both[0])) < CLOSE * count_rows(few):
            # of many kinds of environments, half of the inducing ones cannot tell which is better
            full = [search(one.fit, max(count, fewer(count))).evidence(one.best) for one in both]
            best = both[full.index(max(full))]
    best.refine()
    return best


def _peak(one: LengthSearch) -> float:
    return one.peak[1]


def _resolutions(keys: EnvironmentKeys, n_species: int) -> tuple[bool, ...]:
    return keys.resolutions if n_species > 2 else (False,)


def _compared_on(sets: Sequence[AnySet], given: Local, seed: int) -> tuple[int, list[StructureSet]]:
    """Return the number of inducing environments of a species, and the structures choices are made on."""
    n_rows = count_rows(sets)
    few = thin(sets, given.max_rows / n_rows, np.random.default_rng(seed))
    return inducing_compared(given, n_rows, len(species_of(sets))), few


def inducing_compared(given: Local, n_rows: int, n_species: int) -> int:
    """Return the inducing environments of a species, of which `fewer` are where choices are compared."""
    return given.n_inducing or min(MOST_INDUCING, -(-n_rows // (ROWS_COMPARED * n_species)))


def fewer(count: int) -> int:
    """Return how many inducing environments of a species choices are compared with."""
    # with many fewer than in the fit, only long length scales span enough; with as many, their cost decides
    return max(50, count // 2)


def species_of(sets: Sequence[AnySet]) -> tuple[str, ...]:
    """Return all species in alphabetical order."""
    return tuple(sorted({symbol for s in sets for symbol in s.species}))


def best_virial_noise(design: Design, sets: Sequence[StructureSet], progress: Progress) -> float:
    """Return the noise of the virials of the largest evidence, eV per square root of the atoms."""
    found = evidence_of_virials(design, sets, [float(noise) for noise in VIRIAL_NOISES])
    if not found:
        return USUAL_VIRIAL_NOISE
    best = max(found, key=lambda noise: found[noise])
    progress(len(found), len(found), f"noise of virials {best:.3g} eV: log evidence {found[best]:.1f}")
    return best


@dataclass(frozen=True, slots=True)
class _Fit:
    """What all solves of one fit share."""

    basis: EnvironmentBasis
    scale: Scale
    given: Local
    atomic_energies: FloatArray
    x: FloatArray
    kinds: IntArray

    def design(self, inducing: Inducing) -> Design:
        """Return what the rows are taken of, with given inducing environments."""
        reach = [self._reach(inducing, kind) for kind in range(len(self.basis.species))]
        noises = self.given.noise_std_energy, self.given.noise_std_force
        return Design(self.basis, self.scale, inducing, self.atomic_energies, np.array(reach), *noises)

    def measured(self, metric: FloatArray) -> _Fit:
        """Return the same in a metric, see `Scale`."""
        return replace(self, scale=replace(self.scale, metric=metric), x=by_kind(self.x, self.kinds, metric))

    def inducing(self, count: int) -> Inducing:
        """Return up to so many environments of each species, far apart."""
        return inducing_environments(self.x, self.kinds, len(self.basis.species), count)

    def _reach(self, inducing: Inducing, kind: int) -> float:
        """Return the largest distance of a sampled environment to the nearest inducing one but itself."""
        own, z, largest = self.x[self.kinds == kind], inducing.z[inducing.of(kind)], SMALLEST_REACH
        for start in range(0, len(own), REACH_BLOCK):
            squares = squared_distances(own[start : start + REACH_BLOCK], z)
            squares[squares < SAME**2] = np.inf
            off = squares.min(axis=1)
            largest = max(largest, float(np.sqrt(off[np.isfinite(off)].max(initial=0.0))))
        return largest


def count_rows(sets: Sequence[AnySet]) -> int:
    """Return the number of energies and force components of all sets."""
    return sum(len(s) * (1 + (0 if s.forces is None else 3 * s.n_atoms)) for s in sets)


def inducing_per_species(given: Local, n_rows: int, n_species: int) -> int:
    """Return how many environments of each species are inducing in the fit."""
    most = MOST_ALONE if n_species == 1 else MOST_INDUCING
    return given.n_inducing or min(most, -(-n_rows // (ROWS_PER_INDUCING * n_species)))


def inducing_environments(x: FloatArray, kinds: IntArray, n_species: int, count: int) -> Inducing:
    """Return up to `count` environments of each species, far apart."""
    parts = []
    for kind in range(n_species):
        own = x[kinds == kind]
        own = np.unique(own.round(9), axis=0)
        parts.append(own[farthest_points(own, min(count, len(own)))])
    return Inducing(np.concatenate(parts), np.cumsum([0, *map(len, parts)]), 1.0)


def thin(sets: Sequence[AnySet], share: float, rng: np.random.Generator) -> list[StructureSet]:
    """Return a share of the structures of all sets, at least one."""
    out = []
    for s in sets:
        count = min(int(share * len(s) + rng.random()), len(s))
        if count:
            out.append(s.select(np.sort(rng.choice(len(s), count, replace=False))).in_memory())
    return out or [sets[0].select(np.array([0])).in_memory()]


class LengthSearch:
    """The evidence of one description of the environments along the length scale.

    Parameters
    ----------
    fit : _Fit
    sets : sequence of StructureSet
    n_inducing : int
        Inducing environments of each species.
    given : float or None
        The only length scale there is.
    progress : callable
    """

    def __init__(
        self,
        fit: _Fit,
        sets: Sequence[StructureSet],
        n_inducing: int,
        given: float | None,
        progress: Progress,
    ) -> None:
        self.fit, self._sets, self._n_inducing = fit, sets, n_inducing
        self._given, self._progress = given, progress
        self._found: dict[float, float] = {}

    @cached_property
    def _design(self) -> Design:
        return self.fit.design(self.fit.inducing(self._n_inducing))

    @property
    def largest(self) -> float:
        """Largest evidence so far."""
        return max(self._found.values())

    @property
    def best(self) -> float:
        """Its length scale, or the given one."""
        return self._given or max(self._found, key=lambda length: self._found[length])

    def evidence(self, *lengths: float) -> float:
        """Calculate the evidence of length scales, each once, and return that of the last."""
        if new := [length for length in lengths if length not in self._found]:
            self._found.update(zip(new, evidences_of(self._design, self._sets, new), strict=True))
            message = f"{self.fit.basis.words}, length scale {new[-1]:.3g}: log evidence {self.largest:.1f}"
            self._progress(min(len(self._found), ABOUT - 1), ABOUT, message)
        return self._found[lengths[-1]]

    def climb(self, start: float) -> None:
        """Go by factors of two from a start to the largest evidence between the bounds."""
        if self._given is not None:
            self.evidence(self._given)
            return
        best, start = 0.0, min(max(start, LENGTHS[0]), LENGTHS[1])
        while best != start:
            best = start
            sides = [best / 2.0, best * 2.0]
            self.evidence(*(length for length in sides if LENGTHS[0] <= length <= LENGTHS[1]), best)
            start = self.best

    @property
    def peak(self) -> tuple[float, float]:
        """Length scale and evidence at the vertex of the parabola in log ℓ through the best and its sides."""
        best, largest = self.best, self.largest
        sides = [self._found.get(length) for length in (best / 2.0, best * 2.0)]
        below, above = (0.0 if one is None else one - largest for one in sides)
        if None in sides or not below + above < 0.0:  # at a bound, level, or nothing possible
            return best, largest
        return (
            best * 2.0 ** (0.5 * (below - above) / (below + above)),
            largest - 0.125 * (below - above) ** 2 / (below + above),
        )

    def refine(self) -> None:
        """Evaluate the peak."""
        if self._given is None:
            self.evidence(self.peak[0])
