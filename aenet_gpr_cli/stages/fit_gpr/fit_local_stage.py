"""The local process of `fit-gpr`: for which subsets it stands in, and its fit on all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import h5py
import numpy as np

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.gpr.local.local_fit import count_rows, fit_local
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.gpr.subset_lookup import LOCAL
from aenet_gpr_cli.gpr.surrogate import refuse_varying_cells
from aenet_gpr_cli.io.artefacts.stored_gps import write_local
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.grouping import varies

FEWEST = 3  # structures of a subset that can choose a length scale of their own
SMALLEST_CELL = (
    8.0  # Å between faces: in smaller cells pairs at their nearest image do not describe a structure
)


@dataclass(frozen=True, slots=True)
class FittedLocal:
    """The fitted local process and its row of the table."""

    model: LocalModel
    row: tuple[str, ...]

    def write(self, group: h5py.Group) -> None:
        """Store the model."""
        write_local(group, self.model)


def full_subsets(config: FitGprConfig, subsets: Mapping[str, StructureSet]) -> dict[str, StructureSet]:
    """Return the subsets that get a full process of their own; the local one is there for the others.

    Where fewer than half of the subsets suit it (data of many cells or compositions), none gets one.
    """
    if config.model == "local":
        return {}
    if config.model == "full" or config.compatibility != "none":
        for name, subset in subsets.items():
            refuse_varying_cells(subset, name)
        return dict(subsets)
    found = {name: subset for name, subset in subsets.items() if _suits_full(config, subset)}
    return found if 2 * len(found) >= len(subsets) else {}


def _suits_full(config: FitGprConfig, subset: StructureSet) -> bool:
    enough = len(subset) >= FEWEST and subset.n_atoms > 1 and subset.forces is not None
    if varies(subset):
        return False
    if subset.cells is None or not subset.is_periodic or config.descriptors == ("soap",):
        return enough
    heights = 1.0 / np.linalg.norm(np.linalg.inv(subset.cells[0]), axis=0)
    return enough and bool(heights[list(subset.pbc)].min() >= SMALLEST_CELL)


def fit_local_subset(
    config: FitGprConfig, name: str, subsets: Mapping[str, StructureSet], progress: Progress
) -> FittedLocal:
    """Fit the local process to all subsets."""
    started = time.perf_counter()
    sets = list(subsets.values())
    model, evidence = fit_local(sets, config.local, config.seed, progress)
    row = (
        name,
        str(sum(map(len, sets))),
        str(count_rows(sets)),
        f"chebyshev, {len(model.inducing)} inducing",
        f"{model.inducing.length_scale:.4g}",
        f"{np.sqrt(model.signal_variance):.3g}",
        f"{evidence:.1f}",
        "qr",
        f"{time.perf_counter() - started:.1f}",
    )
    return FittedLocal(model, row)


__all__ = ["LOCAL", "FittedLocal", "fit_local_subset", "full_subsets"]
