"""Which subsets a full process can learn; the local one is there for the others, or for all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.gpr.surrogate import refuse_varying_cells
from aenet_gpr_cli.stages.shared.subset_parts import is_atom
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.grouping import varies

FEWEST = 3  # structures of a subset that can choose a length scale of their own
SMALLEST_CELL = 5.0  # Å between faces: below it an atom is bound to two images of another one


def local_is_fitted(config: FitGprConfig) -> bool:
    """Whether the local process is fitted, be it for a comparison."""
    return config.model != "full" and config.compatibility == "none"


def passed_by(config: FitGprConfig, subset: StructureSet) -> bool:
    """Return whether a fit leaves a subset out: isolated atoms, one-atom crystals if all fits are full."""
    if config.model == "local":
        return False
    return is_atom(subset) if local_is_fitted(config) else subset.n_atoms == 1


def full_candidates(config: FitGprConfig, subsets: Mapping[str, StructureSet]) -> dict[str, StructureSet]:
    """Return the subsets for which a full process is possible, or all where it is asked for."""
    if not local_is_fitted(config):
        for name, subset in subsets.items():
            refuse_varying_cells(subset, name)
        return dict(subsets)
    if config.model == "local":
        return {}
    return {name: subset for name, subset in subsets.items() if why_local(config, subset) is None}


def why_local(config: FitGprConfig, subset: StructureSet) -> str | None:
    """Return why a full process cannot learn a subset, None if it can."""
    if subset.n_atoms == 1:
        return "single atoms"
    if len(subset) < FEWEST:
        return f"fewer than {FEWEST} structures"
    if subset.forces is None:
        return "no forces"
    if subset.cells is None or not subset.is_periodic:
        return None
    if varies(subset):
        return "the cell varies"
    of_distances = all(option.descriptor != "soap" for option in config.alternatives)
    if of_distances and not nearest_images_suffice(subset):
        return f"a cell below {SMALLEST_CELL:g} Å, in which nearest images are not enough"
    return None


def nearest_images_suffice(subset: StructureSet) -> bool:
    """Return whether the cell is so wide that pairs at their nearest image describe a structure."""
    if subset.cells is None or not subset.is_periodic:
        return True
    heights = 1.0 / np.linalg.norm(np.linalg.inv(subset.cells[0]), axis=0)
    return bool(heights[list(subset.pbc)].min() >= SMALLEST_CELL)
