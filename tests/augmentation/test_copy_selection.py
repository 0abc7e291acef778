"""Choosing the copies that lie farthest apart."""

import numpy as np

from aenet_gpr_cli.augmentation.copy_selection import most_informative


def test_every_parent_keeps_its_number_and_near_repetitions_go_first():
    values = np.array([[0.1, 0], [1.0, 0], [1.01, 0], [-1.2, 0], [7.0, 0], [7.1, 0], [9.0, 0]])
    parents = np.array([0, 0, 0, 0, 1, 1, 1])
    chosen = most_informative(values, parents, np.array([[0.0, 0], [7.0, 0]]), 2)
    assert chosen.tolist() == [False, False, True, True, False, True, True]


def test_too_few_candidates_are_all_taken():
    values = np.arange(3.0)[:, None]
    assert most_informative(values, np.array([0, 0, 2]), np.zeros((3, 1)), 5).all()
