"""Whether the stress fits energies and forces, by a quick local process that has not seen it.

It also knows cells that are all the same, where near structures say nothing about the stress.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.process_settings import Local
from aenet_gpr_cli.stages.shared.context import no_progress
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.label_checks.stress_check import compare_stress

MOST_STRUCTURES, MOST_ATOMS = 40, 1500  # of the fit: a second or two
LEAST_STRUCTURES, LEAST_ATOMS = 5, 200
SETTINGS = Local(n_inducing=80, length_scale=8.0, angular_cutoffs=(5.0,), virials=False)


def check_stress_by_fit(subsets: Sequence[StructureSet], seed: int) -> str | None:
    """Return what is wrong with the stress of a data set, in one sentence; None where nothing can be said.

    Parameters
    ----------
    subsets : sequence of StructureSet
        With energies, and forces and stress where they are known; wrong forces tell nothing about the stress.
    seed : int
        Of the choice of structures.
    """
    if all(s.stress is None for s in subsets):
        return None
    # compiled code, and needed here only
    from aenet_gpr_cli.gpr.local.accumulation import Sums, add_up, model_of
    from aenet_gpr_cli.gpr.local.local_fit import choose_design
    from aenet_gpr_cli.gpr.local.virials import with_stress

    usable = [
        s.select(np.flatnonzero(with_stress(s)))
        for s in subsets
        if s.energies is not None and s.forces is not None
    ]
    chosen = few(usable, np.random.default_rng([seed, 12]), MOST_STRUCTURES, MOST_ATOMS)
    numbers = sum(map(len, chosen)), sum(len(s) * s.n_atoms for s in chosen)
    if numbers[0] < LEAST_STRUCTURES or numbers[1] < LEAST_ATOMS:
        return None

    try:
        design = choose_design(chosen, SETTINGS, seed, no_progress)
        model, _ = model_of(design, add_up(design, chosen, Sums(len(design.inducing)), no_progress))
        return compare_stress(chosen, [model.stresses(s) for s in chosen])
    except NumericalError:
        return None


def few(
    subsets: Sequence[StructureSet], rng: np.random.Generator, most_structures: int, most_atoms: int
) -> list[StructureSet]:
    """Return some structures of all subsets, drawn until there are enough."""
    every = [(k, i) for k, s in enumerate(subsets) for i in range(len(s))]
    taken: dict[int, list[int]] = {}
    n_atoms = 0
    for number in rng.permutation(len(every))[:most_structures]:
        k, i = every[number]
        n_atoms += subsets[k].n_atoms
        if n_atoms > most_atoms:
            break
        taken.setdefault(k, []).append(i)
    return [subsets[k].select(np.sort(found)) for k, found in sorted(taken.items())]
