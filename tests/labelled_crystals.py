"""Crystals of one species with what an ASE calculator says of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from aenet_gpr_cli.structures import StructureSet


def labelled(frames: Sequence[Atoms]) -> StructureSet:
    """Return the frames, each with a calculator, as one set with energies, forces and stress."""
    return StructureSet(
        tuple(frames[0].symbols),
        np.array([a.positions for a in frames]),
        np.array([a.cell.array for a in frames]),
        (True, True, True),
        np.array([a.get_potential_energy() for a in frames]),
        np.array([a.get_forces() for a in frames]),
        names=tuple(map(str, range(len(frames)))),
        stress=np.array([a.get_stress(voigt=False) for a in frames]),
    )
