"""The repulsion of nuclei (`baseline: zbl`) in the group of a potential, which has none without it."""

from __future__ import annotations

import h5py

from aenet_gpr_cli.baseline.repulsion import Repulsion
from aenet_gpr_cli.io.artefacts.fields import write_field

NAME = "repulsion"


def write_repulsion(group: h5py.Group, repulsion: Repulsion | None) -> None:
    """Store it, if there is one."""
    if repulsion is not None:
        part = group.create_group(NAME)
        write_field(part, "charges", repulsion.charges)
        write_field(part, "outer", repulsion.outer)


def read_repulsion(group: h5py.Group) -> Repulsion | None:
    """Read it; None where there is none."""
    return Repulsion(group[NAME]["charges"][()], group[NAME]["outer"][()]) if NAME in group else None
