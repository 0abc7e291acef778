"""Forecasts of the local process: memory, and time on one core.

Known are the numbers of structures, atoms and species, not the positions: environments have as many
neighbours as in a dense solid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aenet_gpr_cli.descriptors.atomic_environments import EnvironmentBasis
from aenet_gpr_cli.descriptors.soap.soap_environments import (
    EDGES_AT_A_TIME,
    MOST_DIRECTIONS,
    SoapEnvironments,
)
from aenet_gpr_cli.gpr.local.accumulation import ATOMS_PER_BLOCK
from aenet_gpr_cli.gpr.local.environments import ATOMS_OF_SCALE, NUMBERS_OF_SCALE
from aenet_gpr_cli.gpr.local.local_fit import (
    ABOUT,
    MOST_INDUCING,
    ROWS_OF_METRIC,
    count_rows,
    fewer,
    inducing_compared,
    inducing_per_species,
    learns_metric,
    species_of,
)
from aenet_gpr_cli.gpr.process_settings import Local
from aenet_gpr_cli.structures import AnySet

NUMBER = 8  # bytes
DENSITY = 0.1  # atoms per Å³
SQUARES = 12  # matrices of all pairs of inducing environments at a time: rows waiting, factor, its svd
SQUARES_LEFT_OUT = 4  # of all pairs of rows of one structure that is left out: 1 − C, its eigenvectors
SQUARES_OF_SAMPLE = 3  # descriptors that give mean and spread, in parts, together and from their mean
RATE = 3e10  # operations of a core in a second
OPERATIONS_OF_A_ROW = 4_000  # for each inducing environment: edges times features
OPERATIONS_OF_A_SLOPE = 400  # for each number that an expansion of SOAP changes by along an edge
PASSES = 3  # over the structures that are compared: three length scales each, then the vertex
PASSES_OF_VIRIALS = 2


def n_inducing(sets: Sequence[AnySet], given: Local) -> int:
    """Return about how many inducing environments of all species there will be."""
    n_species = len(species_of(sets))
    return n_species * inducing_per_species(given, count_rows(sets), n_species)


def bytes_of_fit(sets: Sequence[AnySet], given: Local) -> float:
    """Return the memory of a fit: squares of inducing environments, a block of rows, its environments.

    Parameters
    ----------
    sets : sequence of AnySet
    given : Local
    """
    count, largest = n_inducing(sets, given), max(s.n_atoms for s in sets)
    n_environments = sum(len(s) * s.n_atoms for s in sets)
    block = min(max(ATOMS_PER_BLOCK, largest), n_environments)
    of_environments = max(_bytes_of_environments(b, block, n_environments) for b in _bases(sets, given))
    of_rows = count * (SQUARES * count + 9 * block)
    return NUMBER * (of_rows + SQUARES_LEFT_OUT * (3 * largest + 1) ** 2) + of_environments


def seconds_of_choice(sets: Sequence[AnySet], given: Local) -> float:
    """Return about how long `choose_design` takes on one core, s."""
    n_rows, species = count_rows(sets), species_of(sets)
    few = min(n_rows, given.max_rows)
    one = _seconds_of_rows(few, fewer(inducing_compared(given, n_rows, len(species))) * len(species))
    bases = _bases(sets, given)
    passes, total = 0 if given.length_scale else PASSES, 0.0
    if not given.length_scale:
        total += one * ABOUT * len(bases)
    elif len(bases) > 1:
        total += one * len(bases)
    if learns_metric(sets, given):
        some = min(n_rows, ROWS_OF_METRIC)
        count = min(inducing_per_species(given, n_rows, len(species)), MOST_INDUCING)
        total += one * ABOUT + _seconds_of_rows(some, count * len(species))
        total += _seconds_of_slopes(sets, given, some / n_rows)
        passes += PASSES
    if given.virials and any(s.stress is not None for s in sets):
        passes += PASSES_OF_VIRIALS
    return total + passes * _seconds_of_slopes(sets, given, few / n_rows)


def seconds_of_fit(sets: Sequence[AnySet], given: Local) -> float:
    """Return about how long it takes to add up the rows of all structures on one core, s."""
    return _seconds_of_rows(count_rows(sets), n_inducing(sets, given)) + _seconds_of_slopes(sets, given, 1.0)


def _seconds_of_rows(n_rows: int, count: int) -> float:
    """Return about how long rows of all inducing environments take to be made and summed up, s."""
    return n_rows * count * (OPERATIONS_OF_A_ROW + 2 * count) / RATE


def _seconds_of_slopes(sets: Sequence[AnySet], given: Local, share: float) -> float:
    """Return about how long descriptors with slopes take, s: of SOAP; others cost nothing beside rows."""
    operations = 0.0
    for basis in _bases(sets, given):
        if isinstance(basis, SoapEnvironments):
            n_channels, degrees = len(basis.species) * basis.n_max, basis.l_max + 1
            products = 6 * basis.n_max * n_channels * degrees * _kept(basis)
            edge = OPERATIONS_OF_A_SLOPE * _slopes_of_edge(basis) + products
            operations = max(operations, _edges(basis) * edge)
    return share * sum(len(s) * s.n_atoms for s in sets) * operations / RATE


def _bytes_of_environments(basis: EnvironmentBasis, n_atoms: int, n_sampled: int) -> float:
    """Return the memory of descriptors with slopes of some atoms, or of those that give their units."""
    sampled = min(n_sampled, ATOMS_OF_SCALE, NUMBERS_OF_SCALE // basis.n_features)
    slopes = n_atoms * _edges(basis) * 3 * _kept(basis)
    if isinstance(basis, SoapEnvironments):
        slopes += 2 * EDGES_AT_A_TIME * _slopes_of_edge(basis)
    return NUMBER * max(slopes, SQUARES_OF_SAMPLE * sampled * basis.n_features)


def _bases(sets: Sequence[AnySet], given: Local) -> list[EnvironmentBasis]:
    """Return the descriptors that are compared."""
    species = species_of(sets)
    found = given.bases(species)
    if len(species) > 2 and len(given.resolutions) > 1:
        found.append(given.environment_basis(species, given.angle_choices[-1], True))
    return found


def _edges(basis: EnvironmentBasis) -> float:
    return DENSITY * 4.0 / 3.0 * float(np.pi) * basis.cutoff**3


def _kept(basis: EnvironmentBasis) -> int:
    """Return the length of a descriptor, along directions where it has these."""
    return min(MOST_DIRECTIONS, basis.n_features) if isinstance(basis, SoapEnvironments) else basis.n_features


def _slopes_of_edge(basis: SoapEnvironments) -> int:
    return 3 * basis.n_max * (basis.l_max + 1) ** 2
