"""The descriptors that a configuration of `fit-gpr` asks for, made for one subset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.descriptors.build import (
    CompositeSettings,
    DescriptorSettings,
    RotatedSettings,
    SingleSettings,
    joined,
)
from aenet_gpr_cli.descriptors.descriptor_settings import InverseDistanceSettings, SoapSettings
from aenet_gpr_cli.descriptors.soap.soap_check import check_soap
from aenet_gpr_cli.descriptors.soap.soap_descriptor import Soap
from aenet_gpr_cli.descriptors.structure.rotation import find_rotation
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.regression.structure_distances import typical_distance
from aenet_gpr_cli.gpr.surrogate import Geometry
from aenet_gpr_cli.stages.shared.context import log
from aenet_gpr_cli.structures import IntArray, StructureSet
from aenet_gpr_cli.subsystems.geometry import unwrap
from aenet_gpr_cli.subsystems.molecular_symmetry import (
    GroupTrial,
    choose_group,
    find_symmetries,
    generate_group,
)

ROTATION_NOISE = 0.1  # what SOAP may lose by rotation, in noises of the forces: invisible in predictions
MAX_MISMATCH = 0.3  # Å: an exchange within a molecule that changes its distances by more is no symmetry


def plain_geometry(config: FitGprConfig, subset: StructureSet) -> Geometry:
    """Return a geometry that shows how long the (first) descriptor is before any search."""
    config = config.alternatives[0]
    parts = config.parts(config.powers[0])
    return Geometry.of(subset, joined(parts, [1.0] * len(parts)))


def candidates(config: FitGprConfig, name: str, subset: StructureSet, quiet: bool = False) -> list[Geometry]:
    """Return the descriptors to compare: one per power of the distance.

    Parameters
    ----------
    config : FitGprConfig
        Of one descriptor, see `alternatives`.
    name : str
        Of the subset, for messages.
    subset : StructureSet
        Training structures.
    quiet : bool
        Say nothing.
    """
    soap = _checked_soap(config, name, subset, quiet) if "soap" in config.descriptors else None
    group = _given_group(config, subset)
    out = []
    for power in config.powers:
        parts: list[SingleSettings] = [
            soap if soap is not None and isinstance(part, SoapSettings) else part
            for part in config.parts(power)
        ]
        weights = config.weights or [1.0] * len(parts)
        if len(parts) > 1:
            weights = [w / _typical(subset, part) for w, part in zip(weights, parts, strict=True)]
        out.append(replace(Geometry.of(subset, joined(parts, weights)), permutations=group))
    return out


def likely_group(
    config: FitGprConfig,
    name: str,
    subset: StructureSet,
    score: Callable[[IntArray], float],
    quiet: bool = False,
) -> tuple[IntArray | None, list[GroupTrial]]:
    """Find exchangeable molecules and atoms, and keep the permutations that raise the score.

    Parameters
    ----------
    name : str
        Of the subset, for messages.
    score : callable
        For a group of shape (n_permutations, n_atoms).
    quiet : bool
        Say nothing.

    Returns
    -------
    permutations : ndarray of int, shape (n_permutations, n_atoms), or None
        None where nothing is gained.
    table : list of GroupTrial
    """
    say = log.debug if quiet else log.info
    symmetries = find_symmetries(unwrap(subset).structures, MAX_MISMATCH)
    if not symmetries:
        say("%s: no exchangeable molecules or atoms", name)
        return None, []
    group, table = choose_group(
        symmetries, subset.n_atoms, config.max_permutations, lambda g: score(np.array(g, dtype=np.int64))
    )
    say("%s: %d symmetries found, group of %d permutations kept", name, len(symmetries), len(group))
    limit = config.max_permutations
    made = (generate_group([*group, *s.generators], subset.n_atoms, limit) for s in symmetries)
    if count := sum(larger is None for larger in made):
        say("%s: %d symmetries not tried with it: more than max_permutations: %d", name, count, limit)
    return (np.array(group, dtype=np.int64) if len(group) > 1 else None), table


def short_name(settings: DescriptorSettings) -> str:
    """Return a descriptor in a few letters, for tables."""
    if isinstance(settings, CompositeSettings):
        return " + ".join(short_name(part) for part in settings.parts)
    if isinstance(settings, InverseDistanceSettings):
        return f"1/r^{settings.power:g}" if settings.power != 1.0 else "1/r"
    plain = settings.plain if isinstance(settings, RotatedSettings) else settings
    by_species = isinstance(plain, SoapSettings) and plain.average == "species"
    return f"{plain.name} by species" if by_species else plain.name


def _typical(subset: StructureSet, settings: SingleSettings) -> float:
    descriptor = Geometry.of(subset, settings).make_descriptor()
    return typical_distance(descriptor.values(subset.positions))


def _checked_soap(config: FitGprConfig, name: str, subset: StructureSet, quiet: bool) -> RotatedSettings:
    """Check SOAP on the first structure, and shorten it to what the training structures span."""
    geometry = Geometry.of(subset, config.soap)
    soap = Soap(geometry.species, config.soap, geometry.cell, geometry.pbc)
    check_soap(soap, subset.positions[0], config.seed)
    tolerance = (ROTATION_NOISE * config.noise_std_force) ** 2
    rotation = find_rotation(soap.linearise(subset.positions), soap.n_centres, tolerance, config.seed)
    rotated = RotatedSettings(config.soap, rotation)
    short = Geometry.of(subset, rotated).make_descriptor().n_features
    say = log.debug if quiet else log.info
    say("%s: %d features of %s as %d", name, soap.n_features, short_name(config.soap), short)
    return rotated


def _given_group(config: FitGprConfig, subset: StructureSet) -> IntArray | None:
    """Return the group of the permutations that the configuration lists."""
    if isinstance(config.permutations, str) or not config.permutations:
        return None
    n = subset.n_atoms
    for permutation in config.permutations:
        if sorted(permutation) != list(range(n)):
            raise ConfigError(f"permutations: expected the atoms 0 to {n - 1} once each, got {permutation}")
        moved = [i for i, j in enumerate(permutation) if subset.species[i] != subset.species[j]]
        if moved:
            i, j = moved[0], permutation[moved[0]]
            raise ConfigError(
                f"permutations: {permutation} exchanges atoms of different species, {subset.species[i]} "
                f"({i}) and {subset.species[j]} ({j})"
            )
    group = generate_group([tuple(p) for p in config.permutations], n, config.max_permutations)
    if group is None:
        raise ConfigError(
            f"permutations: their group has more than {config.max_permutations} elements; list fewer, or "
            "raise max_permutations"
        )
    return np.array(group, dtype=np.int64) if len(group) > 1 else None
