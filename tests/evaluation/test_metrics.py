"""Error measures against hand-made cases, and pooling against direct computation."""

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.error_sums import ErrorSums, angles, error_sums, species_sums
from aenet_gpr_cli.evaluation.metrics import force_metrics, metrics_from_sums
from aenet_gpr_cli.structures import StructureSet


def metrics(reference, energies, forces):
    """The measures of one set."""
    return metrics_from_sums(error_sums(reference, energies, forces))


def pooled_metrics(parts):
    """The measures of several sets as if they were one."""
    return metrics_from_sums(sum(parts, ErrorSums()))


KEYS = (
    {f"energy_{m}{per}" for m in ("mae", "rmse", "spread", "msd") for per in ("", "_per_atom")}
    | {
        f"force_{q}_{m}"
        for q in ("component", "norm", "direction")
        for m in ("mae", "rmse", "spread", "msd", "max_error")
    }
    | {
        "energy_max_error",
        "energy_max_error_per_atom",
        "force_component_rms_reference",
        "force_outliers",
        "n_structures",
        "n_lone",
        "n_members",
        "n_atoms",
        "n_directions",
    }
)


def reference(energies, forces=None) -> StructureSet:
    energies = np.asarray(energies, float)
    forces = np.zeros((len(energies), 2, 3)) if forces is None else np.asarray(forces, float)
    species = ("H", "O", "C", "Li")[: forces.shape[1]]
    return StructureSet(species, np.zeros(forces.shape), energies=energies, forces=forces)


def random_case(rng, n=7, atoms=3, members=4):
    case = reference(rng.normal(size=n), rng.normal(size=(n, atoms, 3)))
    energies = case.energies + 0.1 * rng.normal(size=(members, n))
    forces = case.forces + 1.5 * rng.normal(size=(members, n, atoms, 3))
    return case, energies, forces


def test_keys_are_the_published_ones():
    assert set(metrics(*random_case(np.random.default_rng(0)))) == KEYS


def test_energy_errors_by_hand():
    result = metrics(reference([1.0, 2.0, 3.0]), np.array([[1.1, 1.7, 3.0]]), None)
    assert result["energy_mae"] == pytest.approx(0.4 / 3)
    assert result["energy_rmse"] == pytest.approx(np.sqrt((0.01 + 0.09) / 3))
    assert result["energy_max_error"] == pytest.approx(0.3)
    assert result["energy_mae_per_atom"] == pytest.approx(0.2 / 3)  # two atoms each
    assert (result["n_structures"], result["n_members"]) == (3, 1)


def test_errors_are_those_of_the_committee_mean():
    # members wrong by ±1 eV and ±2 eV/Å: the mean is right
    forces = np.array([[[1.0, 0, 0], [0, 1.0, 0]]])
    case = reference([5.0], forces)
    shift = np.array([2.0, -2.0])[:, None, None, None] * np.ones((1, 2, 3))
    result = metrics(case, np.array([[6.0], [4.0]]), forces + shift)
    assert result["energy_mae"] == pytest.approx(0, abs=1e-12)
    assert result["force_component_mae"] == pytest.approx(0, abs=1e-12)
    assert result["force_direction_mae"] == pytest.approx(0, abs=1e-12)
    assert result["energy_spread"] == pytest.approx(np.sqrt(2))  # sample standard deviation of {6, 4}


def test_msd_is_the_mean_of_standard_deviations_not_the_deviation_of_means():
    energies = np.array([[0.0, 10.0], [2.0, 10.0], [4.0, 10.0]])
    assert metrics(reference([0.0, 0.0]), energies, None)["energy_msd"] == pytest.approx(1.0)  # (2 + 0) / 2


def test_force_norm_spread_by_hand():
    case = reference([0.0], [[[1.0, 0, 0]] * 2])
    forces = np.array([[[[1.0, 0, 0]] * 2], [[[3.0, 0, 0]] * 2]])
    result = metrics(case, np.zeros((2, 1)), forces)
    assert result["force_norm_msd"] == pytest.approx(np.sqrt(2))
    assert result["force_norm_mae"] == pytest.approx(1.0)
    assert result["force_direction_msd"] == 0.0


def test_direction_errors_of_90_and_180_degrees():
    case = reference([0.0], [[[1.0, 0, 0], [0, 2.0, 0], [0, 0, 3.0]]])
    predicted = np.array([[[[0, 5.0, 0], [0, -0.1, 0], [0, 0, 3.0]]]])
    result = metrics(case, np.zeros((1, 1)), predicted)
    assert result["force_direction_mae"] == pytest.approx((90 + 180 + 0) / 3)
    assert result["force_norm_mae"] == pytest.approx((4 + 1.9 + 0) / 3)
    assert result["force_component_mae"] == pytest.approx((1 + 5 + 2.1) / 9)
    assert result["force_outliers"] == 2


def test_direction_spread_by_hand():
    # two members at ±30° about the mean: sqrt((30² + 30²) / 1)
    angle = np.radians(30)
    forces = np.array([[[[np.cos(angle), s * np.sin(angle), 0]] * 2] for s in (1, -1)])
    result = metrics(reference([0.0], [[[1.0, 0, 0]] * 2]), np.zeros((2, 1)), forces)
    assert result["force_direction_mae"] == pytest.approx(0, abs=1e-12)
    assert result["force_direction_msd"] == pytest.approx(30 * np.sqrt(2))


def test_atoms_without_a_reference_force_have_no_direction():
    case = reference([0.0], [[[0.0, 0, 0], [0, 1.0, 0]]])
    predicted = np.array([[[[0.5, 0, 0], [0, 1.0, 1.0]]]])
    result = metrics(case, np.zeros((1, 1)), predicted)
    assert result["force_direction_mae"] == pytest.approx(45.0)
    assert result["force_component_mae"] == pytest.approx(1.5 / 6)  # the first atom still counts here
    every = metrics(reference([0.0]), np.zeros((1, 1)), np.ones((1, 1, 2, 3)))
    assert every["force_direction_mae"] is None


def test_outlier_means_more_than_one_electronvolt_per_angstrom_in_the_norm():
    case = reference([0.0], [[[2.0, 0, 0], [2.0, 0, 0], [2.0, 0, 0]]])
    predicted = np.array(
        [[[[3.0, 0, 0], [3.001, 0, 0], [0, 2.0, 0]]]]
    )  # the last: other direction, same norm
    assert metrics(case, np.zeros((1, 1)), predicted)["force_outliers"] == 1


def test_one_member_has_no_spread():
    case, energies, forces = random_case(np.random.default_rng(1), members=1)
    result = metrics(case, energies, forces)
    assert {key for key, value in result.items() if value is None} == {
        k for k in KEYS if "_msd" in k or "_spread" in k
    }


def test_perfect_prediction_has_zero_error():
    case, _, _ = random_case(np.random.default_rng(1))
    result = metrics(case, case.energies[None], case.forces[None])
    size = result.pop("force_component_rms_reference")
    assert size == pytest.approx(np.sqrt((case.forces**2).mean()))
    measures = [v for k, v in result.items() if not k.startswith("n_") and v is not None]
    # the angle between equal vectors: rounding of a cross product, in degrees
    assert max(measures) < 1e-13


def test_without_forces_only_energies_are_compared():
    result = metrics(reference([1.0]), np.array([[1.5]]), None)
    assert result["energy_mae"] == 0.5
    assert all(result[key] is None for key in KEYS if key.startswith("force"))


def test_order_of_members_and_structures_does_not_matter():
    case, energies, forces = random_case(np.random.default_rng(2))
    order, members = [3, 1, 6, 0, 2, 5, 4], [2, 0, 3, 1]
    permuted = metrics(case.select(order), energies[members][:, order], forces[members][:, order])
    for key, value in metrics(case, energies, forces).items():
        assert permuted[key] == pytest.approx(value, rel=1e-12)


def test_rotation_changes_norms_and_directions_of_nothing():
    case, energies, forces = random_case(np.random.default_rng(2))
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    rotated = reference(case.energies, case.forces @ rotation)
    before, after = metrics(case, energies, forces), metrics(rotated, energies, forces @ rotation)
    for key in KEYS - {f"force_component_{m}" for m in ("mae", "max_error", "spread", "msd")}:
        assert after[key] == pytest.approx(before[key], rel=1e-12)


def test_pooling_subsets_equals_all_samples_at_once():
    # 2 and 3 atoms: the total over atoms is not the average of the subsets' averages
    rng = np.random.default_rng(4)
    small, large = random_case(rng, n=5, atoms=2), random_case(rng, n=11, atoms=3)
    total = pooled_metrics(error_sums(*case) for case in (small, large))
    energy_error = np.concatenate([np.abs(e.mean(0) - c.energies) for c, e, _ in (small, large)])
    assert total["energy_mae"] == pytest.approx(energy_error.mean(), rel=1e-13)
    assert total["energy_rmse"] == pytest.approx(np.sqrt((energy_error**2).mean()), rel=1e-13)
    assert total["energy_max_error"] == energy_error.max()
    spread = np.concatenate([e.std(axis=0, ddof=1) for _, e, _ in (small, large)])
    assert total["energy_msd"] == pytest.approx(spread.mean(), rel=1e-13)
    per_atom = np.repeat([2, 3], [5, 11])
    assert total["energy_max_error_per_atom"] == (energy_error / per_atom).max()
    assert total["energy_mae_per_atom"] == pytest.approx((energy_error / per_atom).mean(), rel=1e-13)
    component = np.concatenate([np.abs(f.mean(0) - c.forces).ravel() for c, _, f in (small, large)])
    assert total["force_component_mae"] == pytest.approx(component.mean(), rel=1e-13)
    angle = np.concatenate([angles(f.mean(0), c.forces).ravel() for c, _, f in (small, large)])
    assert total["force_direction_mae"] == pytest.approx(angle.mean(), rel=1e-13)
    norm = np.concatenate(
        [
            np.abs(np.linalg.norm(f.mean(0), axis=-1) - np.linalg.norm(c.forces, axis=-1)).ravel()
            for c, _, f in (small, large)
        ]
    )
    assert total["force_norm_mae"] == pytest.approx(norm.mean(), rel=1e-13)
    assert total["force_outliers"] == (norm > 1).sum() > 0
    assert (total["n_structures"], total["n_members"]) == (16, 4)


def test_blocks_of_one_subset_pool_to_the_whole():
    case, energies, forces = random_case(np.random.default_rng(5), n=10)
    blocks = [slice(0, 4), slice(4, 5), slice(5, 10)]
    pooled = pooled_metrics(error_sums(case.select(b), energies[:, b], forces[:, b]) for b in blocks)
    for key, value in metrics(case, energies, forces).items():
        assert pooled[key] == pytest.approx(value, rel=1e-12)


def test_different_committees_cannot_be_pooled():
    rng = np.random.default_rng(6)
    parts = [error_sums(*random_case(rng, members=members)) for members in (2, 3)]
    with pytest.raises(InputError, match="2 and 3 members"):
        pooled_metrics(parts)


@pytest.mark.parametrize("size", [1.0, 1e-9, 1e-200, 1e150])
def test_tiny_angles_keep_their_digits_for_any_length(size):
    angle = 1e-7  # degrees; the arc cosine of the dot product would give 0
    b = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle)), 0.0])
    assert angles(size * np.array([1.0, 0, 0]), size * b) == pytest.approx(angle, rel=1e-8)


def test_a_vanishing_vector_is_at_right_angles_to_anything():
    assert angles(np.zeros(3), np.array([0, 0, 1.0])) == 90.0


@pytest.mark.parametrize(
    ("energies", "forces", "message"),
    [
        (np.zeros((2, 4)), None, r"shape \(n_members, 3\)"),
        (np.zeros(3), None, "n_members"),
        (np.zeros((0, 3)), None, "n_members"),
        (np.zeros((2, 3)), np.zeros((1, 3, 2, 3)), "predicted forces"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(energies, forces, message):
    with pytest.raises(InputError, match=message):
        metrics(reference([0.0, 1.0, 2.0]), energies, forces)


def test_nothing_to_compare_is_an_error():
    with pytest.raises(InputError, match="at least one structure"):
        pooled_metrics([])
    with pytest.raises(InputError, match="reference energies"):
        metrics(StructureSet(("H",), np.zeros((1, 1, 3))), np.zeros((1, 1)), None)
    with pytest.raises(InputError, match="reference forces"):
        metrics(
            StructureSet(("H",), np.zeros((1, 1, 3)), energies=np.zeros(1)),
            np.zeros((1, 1)),
            np.zeros((1, 1, 1, 3)),
        )


def test_a_force_too_small_for_a_direction_counts_everywhere_else():
    case = reference([0.0], [[[0.01, 0, 0], [0, 1.0, 0]]])
    predicted = np.array([[[[0, 0.01, 0], [0, 1.0, 1.0]]]])
    every = metrics_from_sums(error_sums(case, np.zeros((1, 1)), predicted))
    large = metrics_from_sums(error_sums(case, np.zeros((1, 1)), predicted, 0.05))
    assert (every["n_directions"], large["n_directions"], large["n_atoms"]) == (2, 1, 2)
    assert every["force_direction_mae"] == pytest.approx((90 + 45) / 2)
    assert large["force_direction_mae"] == pytest.approx(45)
    assert large["force_norm_mae"] == every["force_norm_mae"]


def test_species_divide_the_atoms_and_add_up_to_all_of_them():
    case, energies, forces = random_case(np.random.default_rng(8), atoms=4)
    case = StructureSet(("O", "H", "O", "C"), case.positions, energies=case.energies, forces=case.forces)
    parts = {symbol: force_metrics(sums) for symbol, sums in species_sums(case, forces).items()}
    assert list(parts) == ["C", "H", "O"]
    whole = metrics(case, energies, forces)
    for key in ("force_norm_mae", "force_component_mae", "force_norm_msd", "force_direction_mae"):
        mean = np.average([p[key] for p in parts.values()], weights=[p["n_atoms"] for p in parts.values()])
        assert mean == pytest.approx(whole[key], rel=1e-12)
    assert max(p["force_norm_max_error"] for p in parts.values()) == whole["force_norm_max_error"]
    assert sum(p["force_outliers"] for p in parts.values()) == whole["force_outliers"] > 0
    oxygen = metrics(reference(case.energies, case.forces[:, [0, 2]]), energies, forces[:, :, [0, 2]])
    for key, value in parts["O"].items():
        assert oxygen[key] == pytest.approx(value, rel=1e-12)


def test_root_mean_square_and_largest_errors_by_hand():
    case = reference([0.0], [[[1.0, 0, 0], [0, 2.0, 0]]])
    predicted = np.array([[[[4.0, 0, 0], [0, 0, 6.0]]]])
    result = metrics(case, np.array([[4.0]]), predicted)
    assert result["force_norm_rmse"] == pytest.approx(np.sqrt((9 + 16) / 2))
    assert result["force_component_rmse"] == pytest.approx(np.sqrt((9 + 4 + 36) / 6))
    assert result["force_direction_rmse"] == pytest.approx(np.sqrt(90**2 / 2))
    assert (result["force_norm_max_error"], result["force_component_max_error"]) == (4.0, 6.0)
    assert result["force_direction_max_error"] == pytest.approx(90.0)
    assert result["energy_rmse_per_atom"] == pytest.approx(2.0)
