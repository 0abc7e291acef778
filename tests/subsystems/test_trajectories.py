"""Trajectories: whose frames follow each other, blocks of them, and whether neighbours are alike."""

from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.trajectories import ALIKE, blocks, edges, likeness, trajectories

BULK = (True, True, True)


def frames(positions: np.ndarray, cell: float | None = None) -> StructureSet:
    n, atoms = positions.shape[:2]
    cells = None if cell is None else np.tile(cell * np.eye(3), (n, 1, 1))
    names = tuple(f"md.xyz#{i}" for i in range(n))
    return StructureSet(("H",) * atoms, positions, cells, BULK if cell else (False,) * 3, names=names)


def dynamics(n: int, correlation: float, seed: int = 0) -> np.ndarray:
    """Vibrations whose displacements in successive frames have a given correlation."""
    rng = np.random.default_rng(seed)
    places, x = rng.uniform(0, 8, (6, 3)), rng.normal(size=(6, 3))
    out = []
    for _ in range(n):
        x = correlation * x + np.sqrt(1 - correlation**2) * rng.normal(size=x.shape)
        out.append(places + 0.1 * x)
    return np.array(out)


def test_frames_of_a_file_and_numbered_files_of_a_folder():
    names = ["b.xyz#10", "b.xyz#2", "runs/f2.xsf", "runs/f10.xsf", "a.xyz#0"]
    assert [t.tolist() for t in trajectories(names)] == [[4], [1, 0], [2, 3]]
    assert [[b.tolist() for b in row] for row in blocks([f"a#{i}" for i in range(5)], 2)] == [
        [[0, 1], [2, 3], [4]]
    ]


def test_edges_lie_within_a_few_frames_of_the_other_part():
    divided = blocks([f"a#{i}" for i in range(8)], 4)
    assert edges(divided, np.arange(4, 8), np.arange(4), 2).tolist() == [4, 5]
    assert edges(divided, np.arange(4, 8), np.arange(0), 2).tolist() == []


@pytest.mark.parametrize("cell", [None, 8.0])
def test_a_trajectory_is_told_from_independent_frames(cell):
    for correlation, alike in ((0.95, True), (0.8, True), (0.3, False), (0.0, False)):
        positions = dynamics(200, correlation)
        if cell:  # wrapped, and at rest somewhere else in each frame
            positions = (positions + np.random.default_rng(1).random((200, 1, 3)) * cell) % cell
        ratio = likeness(frames(positions, cell))
        assert (ratio < ALIKE) == alike
    assert likeness(frames(dynamics(200, 0.9))) == pytest.approx(np.sqrt(0.1 / (1 - 0.9**10)), rel=0.1)


def test_conditions_one_after_another_are_no_trajectory():
    """Independent frames at growing temperatures: neighbours are alike as random pairs are not."""
    rng = np.random.default_rng(0)
    hot = np.repeat([0.02, 0.2, 1.0], 60)[:, None, None]
    assert likeness(frames(hot * rng.normal(size=(180, 6, 3)))) > 0.8
    assert likeness(frames(dynamics(12, 0.9))) is None  # too few
