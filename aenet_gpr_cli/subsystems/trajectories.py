"""Frames of one trajectory: which they are, blocks of them in time, and whether neighbours are alike.

Frames belong together that come from one file (``md.xyz#12``), or whose files lie in one folder or archive;
their order is the natural one of the names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet
from aenet_gpr_cli.subsystems.grouping import natural_key

FEWEST_FRAMES = 20  # before anything is said about a trajectory
ALIKE = 0.5  # of the distance of frames further apart: three quarters of the motion are shared
_FURTHER = 10  # frames; random pairs may be far apart as their temperature or cell is another
_STILL = 0.02  # Å
_SAME_CELL = 0.5  # Å in a component: what dynamics do not exceed in a few frames


def trajectories(names: Sequence[str]) -> list[IntArray]:
    """Return the structures of each source of frames, in the order of time.

    Parameters
    ----------
    names : sequence of str
        Unique names of structures.

    Returns
    -------
    list of ndarray of int
        Indices into the names; sorted by source.
    """
    found: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        source, hash_, _ = name.rpartition("#")
        found[source if hash_ else name.rpartition("/")[0] + "/"].append(index)
    in_time = (sorted(found[source], key=lambda i: natural_key(names[i])) for source in sorted(found))
    return [np.array(frames, np.int64) for frames in in_time]


def blocks(names: Sequence[str], size: int) -> list[list[IntArray]]:
    """Return blocks of successive frames, by trajectory; the last one of each may be shorter.

    Parameters
    ----------
    size : int
        Frames of a block.
    """
    return [
        [frames[start : start + size] for start in range(0, len(frames), size)]
        for frames in trajectories(names)
    ]


def edges(divided: Sequence[Sequence[IntArray]], inside: IntArray, outside: IntArray, width: int) -> IntArray:
    """Return the frames of some blocks that lie within a few frames of blocks of another part.

    Parameters
    ----------
    divided : sequence of sequence of ndarray of int
        As `blocks` returns them.
    inside, outside : ndarray of int
        Frames of the part that is looked at, and of the other one.
    width : int
        Frames to each side.
    """
    ours, theirs = set(inside.tolist()), set(outside.tolist())
    near: set[int] = set()
    for frames in ([int(i) for block in row for i in block] for row in divided):
        for place, frame in enumerate(frames):
            around = frames[max(0, place - width) : place + width + 1]
            if frame in ours and any(other in theirs for other in around):
                near.add(frame)
    return np.array(sorted(near), np.int64)


def likeness(structures: StructureSet) -> float | None:
    """Compare the distance of successive frames with that of frames ten apart.

    Parameters
    ----------
    structures : StructureSet
        With names, its atoms in one order.

    Returns
    -------
    float or None
        Ratio of the medians of the root-mean-square displacement (nearest images, without the mean
        translation) in the trajectory where it is smallest; near 1 for independent structures. None where no
        trajectory has twenty frames.
    """
    ratios = []
    for frames in trajectories(structures.names):
        if len(frames) < FEWEST_FRAMES:
            continue
        near = _distances(structures, frames[:-1], frames[1:])
        further = _distances(structures, frames[:-_FURTHER], frames[_FURTHER:])
        if min(len(near), len(further)) >= _FURTHER and (typical := float(np.median(further))) > _STILL:
            ratios.append(float(np.median(near)) / typical)
    return min(ratios, default=None)


def _distances(structures: StructureSet, one: IntArray, other: IntArray) -> FloatArray:
    """Return distances of pairs whose cells are about the same, Å."""
    if structures.cells is not None and structures.is_periodic:
        same = np.abs(structures.cells[one] - structures.cells[other]).max(axis=(1, 2)) < _SAME_CELL
        one, other = one[same], other[same]
    steps = structures.positions[other] - structures.positions[one]
    if structures.cells is not None and structures.is_periodic:
        periodic = np.array(structures.pbc)
        here, there = structures.cells[one], structures.cells[other]
        fractions = structures.positions[other] @ np.linalg.inv(there)
        fractions -= structures.positions[one] @ np.linalg.inv(here)
        fractions -= np.where(periodic, np.rint(fractions), 0.0)
        steps = fractions @ here
    steps = steps - steps.mean(axis=1, keepdims=True)
    return np.asarray(np.sqrt((steps**2).sum(axis=2).mean(axis=1)))
