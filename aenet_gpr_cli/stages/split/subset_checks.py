"""What a user should know about the structures of a subset before anything is computed from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.stages.shared.context import log
from aenet_gpr_cli.stages.shared.many_subsets import Finding, some
from aenet_gpr_cli.structures import Structure, StructureSet
from aenet_gpr_cli.subsystems.geometry import duplicates, unwrap
from aenet_gpr_cli.subsystems.grouping import varies
from aenet_gpr_cli.subsystems.label_checks.checks import (
    check_forces,
    check_net_force,
    missing_energies,
    missing_forces,
)
from aenet_gpr_cli.subsystems.label_checks.constrained import constrained_forces
from aenet_gpr_cli.subsystems.label_checks.force_units import per_atom
from aenet_gpr_cli.subsystems.label_checks.other_geometry import (
    forces_of_other_frames,
    forces_that_tell_nothing,
)
from aenet_gpr_cli.subsystems.label_checks.part_of_data import part_that_does_not_fit
from aenet_gpr_cli.subsystems.label_checks.plausibility import implausible
from aenet_gpr_cli.subsystems.label_checks.stress_check import check_stress
from aenet_gpr_cli.subsystems.ordering import in_file_order
from aenet_gpr_cli.subsystems.sampling import Division, leaking
from aenet_gpr_cli.subsystems.trajectories import ALIKE, likeness

_CERTAIN = 0.97  # correlation for which energies are refused
_ENOUGH = 300  # structures that say whether near ones tell something
SAME_ENERGY = 1e-3  # eV; another grid or another start of the same calculation differ by less


def prepared(
    config: SplitConfig, name: str, members: Sequence[Structure]
) -> tuple[StructureSet, list[Finding]]:
    """Return the structures of a subset, unwrapped where they have one cell, and what was found.

    Parameters
    ----------
    name : str
        Of the subset.
    members : sequence of Structure
        With their atoms in one order.
    """
    structures = StructureSet.from_structures(members)
    found: list[Finding] = []
    fixed = not varies(structures)
    if fixed:
        found += _other_orders(name, members)
    if config.unwrap and structures.is_periodic and fixed:
        unwrapped = unwrap(structures)
        structures = unwrapped.structures
        if unwrapped.n_atoms_shifted:
            log.info("%s: %d atoms shifted by lattice vectors", name, unwrapped.n_atoms_shifted)
        if unwrapped.jumping:
            text = f"atoms far from their place in the first structure in {some(unwrapped.jumping)}"
            found.append(Finding("jumping", name, text))
    return structures, found


def _other_orders(name: str, members: Sequence[Structure]) -> Iterator[Finding]:
    """Yield which structures had their atoms in another order, and which perhaps.

    Equal atoms at each other's places look the same whether a file numbers them otherwise or they have moved.
    """
    moved = [s for s in members if s.atom_order is not None]
    first = next((s for s in members if s.atom_order is None), None)
    if not moved or first is None:
        return
    renumbered = [s.name for s in moved if in_file_order(s).species == s.species]
    if len(renumbered) < len(moved):
        others = [s.name for s in moved if s.name not in renumbered]
        text = f"atoms in another order in {some(others)}; put into that of {first.name}"
        yield Finding("order", name, text)
    if renumbered:
        text = (
            f"equal atoms at each other's places in {some(renumbered)}: numbered otherwise, or moved there; "
            f"put into the order of {first.name}"
        )
        yield Finding("places", name, text)


def findings(
    config: SplitConfig,
    name: str,
    members: Sequence[Structure],
    structures: StructureSet,
    division: Division,
    by_chance: bool,
    named_virial: bool = False,
) -> Iterator[Finding]:
    """Yield what is doubtful about a subset.

    Parameters
    ----------
    members : sequence of Structure
        As they were read.
    structures : StructureSet
        Of `prepared`.
    by_chance : bool
        Whether single structures were drawn for training and test.
    named_virial : bool
        Whether the files call the stress a virial.

    Raises
    ------
    InputError
        If all forces or all energies are zero.
    """
    pairs = duplicates(structures, config.duplicate_tolerance)
    if pairs:
        named = [f"{structures.names[i]} = {structures.names[j]}" for i, j, _ in pairs]
        yield Finding("duplicates", name, f"{len(pairs)} pairs of duplicate structures: {some(named)}")
    if (text := _other_energies(structures, pairs)) is not None:
        yield Finding("energies of duplicates", name, text)
    if leaks := leaking(division, pairs):
        text = f"{len(leaks)} duplicates are in both training and test; remove them"
        yield Finding("leaks", name, text)
    for text in implausible(structures):
        yield Finding(f"implausible {text[:20]}", name, text)
    if structures.forces is None and (n_dropped := sum(s.forces is not None for s in members)):
        rest = len(members) - n_dropped
        text = (
            f"the forces of {n_dropped} structures are not used, as {rest} of the subset have none; "
            "leave those out to train on forces"
        )
        yield Finding("dropped", name, text)
    if (said := constrained_forces(structures)) is not None:
        yield Finding("constrained forces", name, said)
    if config.minimum_distance > 0:
        yield from _too_close(name, structures, config.minimum_distance)
    if config.check_forces and structures.forces is not None:
        yield from _forces(name, structures, named_virial)
    if by_chance and len(division.train) and len(division.test):
        yield from _trajectory(name, structures)


def _other_energies(structures: StructureSet, pairs: Sequence[tuple[int, int, float]]) -> str | None:
    """Return what is wrong with duplicates of different energy, None where they agree."""
    if not pairs or structures.energies is None:
        return None
    i, j = np.array([(i, j) for i, j, _ in pairs]).T
    differences = np.abs(structures.energies[i] - structures.energies[j])
    many = int((differences > SAME_ENERGY).sum())
    if not many:
        return None
    worst = int(differences.argmax())
    return (
        f"{many} pairs of duplicate structures have different energies, up to {differences[worst]:.4g} eV "
        f"between {structures.names[i[worst]]} and {structures.names[j[worst]]}: two definitions of the "
        "energy, two levels of theory, or a calculation that went wrong"
    )


def _too_close(name: str, structures: StructureSet, limit: float) -> Iterator[Finding]:
    from aenet_gpr_cli.subsystems.contacts import close_contacts  # loads compiled code

    if close := close_contacts(structures, limit):
        named = [f"{structures.names[s]} (atoms {i} and {j}, {r:.3f} Å)" for s, i, j, r in close]
        yield Finding("close", name, f"{len(close)} pairs of atoms closer than {limit} Å: {some(named)}")


def _forces(name: str, structures: StructureSet, named_virial: bool) -> Iterator[Finding]:
    if (wrong := missing_energies(structures)) is not None:
        raise InputError(
            f"{name}: {wrong}, so they are missing; expected total energies in eV (energy_key names them). "
            "Take them as they are with check_forces: false"
        )
    alike = _alike(structures)
    if (wrong := missing_forces(_of_one_cell(alike))) is not None:
        raise InputError(
            f"{name}: {wrong}, so they are missing; expected forces in eV/Å. Leave their column out and "
            "set require_forces: false, or take them as they are with check_forces: false"
        )
    check = check_forces(alike)
    unknown = check.verdict == "undecided" and not check.is_roughly_one
    if check.verdict == "per atom" and check.correlation > _CERTAIN:
        raise InputError(f"{name}: {per_atom(check.numbers)}")
    if check.is_warning:
        yield Finding(f"forces {check.verdict}", name, check.message)
    elif (shifted := forces_of_other_frames(alike)) is not None:
        yield Finding("forces shifted", name, shifted)
    elif (part := part_that_does_not_fit(alike)) is not None:
        yield Finding("part", name, part)
    elif unknown and (unlike := forces_that_tell_nothing(alike)) is not None:
        yield Finding("forces undecided", name, unlike)
    if (net := check_net_force(structures)) is not None:
        yield Finding("net force", name, net)
    if (stress := check_stress(structures, named_virial)) is not None:
        yield Finding("stress", name, stress)


def undecided(structures: StructureSet) -> bool:
    """Whether near structures of one cell do not tell if forces fit the energies."""
    index = np.unique(np.linspace(0, len(structures) - 1, min(len(structures), _ENOUGH)).astype(int))
    return check_forces(_alike(structures.select(index))).verdict == "undecided"


def _alike(structures: StructureSet) -> StructureSet:
    return _of_one_cell(structures) if varies(structures) else structures


def _of_one_cell(structures: StructureSet) -> StructureSet:
    """Return the structures of the most frequent cell: the energy changes with the cell, too."""
    if structures.cells is None:
        return structures
    flat = structures.cells.reshape(len(structures), 9).round(4)
    _, inverse, count = np.unique(flat, axis=0, return_inverse=True, return_counts=True)
    return structures.select(np.flatnonzero(inverse.ravel() == count.argmax()))


def _trajectory(name: str, structures: StructureSet) -> Iterator[Finding]:
    ratio = likeness(structures)
    if ratio is not None and ratio < ALIKE:
        text = (
            f"successive frames look like one trajectory (their distance is {ratio:.2f} of that of frames "
            "further apart); drawn one by one, test frames have near neighbours in training, and errors look "
            "too small: set blocks, such as blocks: 50"
        )
        yield Finding("trajectory", name, text)
