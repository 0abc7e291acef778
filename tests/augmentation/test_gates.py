"""Gates: what is rejected, why, and that periodic distances are right."""

import numpy as np
import pytest

from aenet_gpr_cli.augmentation.gates import Gates, apply_gates, minimum_distances
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import AugmentedSet, StructureSet


def candidates() -> AugmentedSet:
    lengths = np.array([1.0, 0.3, 1.2, 0.9, 0.2])
    positions = np.zeros((5, 2, 3))
    positions[:, 1, 2] = lengths
    return AugmentedSet(
        StructureSet(
            species=("H", "H"),
            positions=positions,
            energies=np.array([-10.0, -9.0, -3.0, -11.0, 5.0]),
            names=tuple("abcde"),
        ),
        parents=("p", "p", "p", "q", "q"),
        copies=np.array([0, 1, 2, 0, 1]),
        sigma=np.array([0.01, 0.02, 0.03, np.nan, 0.5]),
        label="gpr",
    )


def test_without_limits_everything_passes():
    result = apply_gates(candidates(), Gates(None, None, None), -10.0)
    assert len(result.accepted) == 5
    assert result.rejected == {"total": 0}


def test_rejections_are_counted_by_reason_and_once_in_total():
    gates = Gates(max_sigma=0.1, min_distance=0.5, energy_window=(-0.5, 6.0))
    result = apply_gates(candidates(), gates, lowest_energy=-10.0)
    assert result.rejected == {"sigma": 2, "min_distance": 2, "energy_window": 3, "total": 4}
    assert result.keep.tolist() == [True, False, False, False, False]
    assert result.accepted.structures.names == ("a",)


def test_a_sigma_that_is_not_a_number_is_not_trusted():
    result = apply_gates(candidates(), Gates(1.0, None, None), 0.0)
    assert result.keep.tolist() == [True, True, True, False, True]


def test_accepted_copies_keep_their_origin():
    accepted = apply_gates(candidates(), Gates(None, 0.5, None), 0.0).accepted
    assert accepted.parents == ("p", "p", "q")
    assert accepted.copies.tolist() == [0, 2, 0]
    assert accepted.structures.energies.tolist() == [-10.0, -3.0, -11.0]
    assert np.array_equal(accepted.sigma, [0.01, 0.03, np.nan], equal_nan=True)


def test_limits_are_inclusive():
    gates = Gates(max_sigma=0.02, min_distance=0.3, energy_window=(0.0, 1.0))
    assert apply_gates(candidates(), gates, -10.0).keep.tolist() == [True, True, False, False, False]


def test_sigma_gate_needs_labels_with_sigma():
    taylor = AugmentedSet(candidates().structures, ("p",) * 5, np.arange(5), None, "taylor")
    with pytest.raises(InputError, match="'taylor' labels without"):
        apply_gates(taylor, Gates(0.1, None, None), 0.0)


@pytest.mark.parametrize(
    "cell",
    [
        np.diag([5.0, 6.0, 7.0]),
        np.array([[5.0, 0, 0], [2.5, 4.33, 0], [0, 0, 7.0]]),  # hexagonal: rounding alone is not enough
        np.array([[0, 3.0, 3.0], [3.0, 0, 3.0], [3.0, 3.0, 0]]),
    ],
)
def test_periodic_distances_equal_those_over_many_images(cell):
    rng = np.random.default_rng(5)
    fractional = rng.uniform(-1, 2, (40, 3, 3))  # atoms outside the cell as well
    positions = fractional @ cell
    structures = StructureSet(("Li",) * 3, positions, np.tile(cell, (40, 1, 1)), (True, True, True))
    images = (np.array(list(np.ndindex(9, 9, 9))) - 4) @ cell
    exact = [
        min(np.linalg.norm(r[j] - r[i] + images, axis=1).min() for i, j in ((0, 1), (0, 2), (1, 2)))
        for r in positions
    ]
    np.testing.assert_allclose(minimum_distances(structures), exact, rtol=1e-12)


def test_images_count_only_along_periodic_directions():
    positions = np.array([[[0.0, 0, 0], [4.5, 0, 4.0]]])
    cells = 5 * np.eye(3)[None]
    for height in (5.0, 0.0):  # a slab may come without a third vector
        cells[0, 2, 2] = height
        slab = StructureSet(("H", "H"), positions, cells, (True, True, False))
        assert minimum_distances(slab)[0] == pytest.approx(np.hypot(0.5, 4.0))


def test_a_single_atom_is_never_too_close():
    assert np.isinf(minimum_distances(StructureSet(("Li",), np.zeros((2, 1, 3))))).all()


def test_cells_may_differ_between_structures():
    positions = np.zeros((2, 2, 3))
    positions[:, 1, 0] = 4.0
    cells = np.array([5.0 * np.eye(3), 10.0 * np.eye(3)])
    structures = StructureSet(("H", "H"), positions, cells, (True, True, True))
    np.testing.assert_allclose(minimum_distances(structures), [1.0, 4.0])


def test_an_empty_set_has_no_distances():
    assert len(minimum_distances(StructureSet(("H", "H"), np.zeros((0, 2, 3))))) == 0
