from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.descriptors.interface.descriptor import Descriptor
from aenet_gpr_cli.descriptors.soap.soap_descriptor import Soap
from aenet_gpr_cli.descriptors.structure import rotation as module
from aenet_gpr_cli.descriptors.structure.inverse_distance import InverseDistance
from aenet_gpr_cli.descriptors.structure.rotation import Rotated, Rotation, find_rotation
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.gpr.covariance.single import Covariance
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import predict
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.structures import FloatArray, StructureSet

SPECIES = ("O", "H", "C", "H")
BASE = np.array([[0.0, 0.0, 0.0], [0.95, 0.1, 0.0], [-0.4, 1.3, 0.2], [0.2, 1.7, 1.1]])
RNG = np.random.default_rng(0)
TRAINING = BASE + 0.1 * RNG.normal(size=(3, 4, 3))
OTHERS = BASE + 0.1 * RNG.normal(size=(5, 4, 3))
KERNEL = make_kernel("squared_exponential", 2.0)
LOSSLESS = 1e-14


def soap(average: str, centres: FloatArray | None) -> Soap:
    fixed = None if centres is None else tuple(map(tuple, centres))
    keys = SoapSettings(cutoff=3.0, n_max=4, l_max=3, sigma=0.4, average=average, centres=fixed)  # type: ignore[arg-type]
    return Soap(SPECIES, keys)


CASES: list[tuple[Descriptor, int]] = [
    (soap("inner", None), 1),
    (soap("off", None), 4),
    (soap("off", BASE[:2] + 0.5), 2),
    (soap("off", BASE[:2] + 0.5), 1),
]


def rotated(descriptor: Descriptor, n_blocks: int, tolerance: float = LOSSLESS) -> Rotated:
    return Rotated(descriptor, find_rotation(descriptor.linearise(TRAINING), n_blocks, tolerance, seed=1))


@pytest.mark.parametrize(("descriptor", "n_blocks"), CASES)
def test_covariance_of_training_data_is_unchanged_with_fewer_features(
    descriptor: Descriptor, n_blocks: int
) -> None:
    short = rotated(descriptor, n_blocks)
    assert short.n_features < 0.5 * descriptor.n_features
    expected = Covariance.of(KERNEL, descriptor, TRAINING).columns(slice(None))
    got = Covariance.of(KERNEL, short, TRAINING).columns(slice(None))
    assert np.abs(expected).max() > 0.5
    # dropped: 1e-14 of the mean square, a few hundred such products
    np.testing.assert_allclose(got, expected, atol=1e-11 * np.abs(expected).max())


def test_unlike_blocks_keep_their_distances_and_short_jacobians_their_products() -> None:
    descriptor = soap("off", BASE[:2] + 0.5)
    short = rotated(descriptor, 2)
    long, turned = (
        d.values(TRAINING).reshape(6, -1) for d in (descriptor, short)
    )  # both centres of all structures
    expected = np.linalg.norm(long[:, None] - long[None], axis=2)
    assert expected[0, 1] > 0.1  # two centres of one structure
    np.testing.assert_allclose(np.linalg.norm(turned[:, None] - turned[None], axis=2), expected, atol=1e-6)


def test_differences_alone_do_not_span_what_the_forces_need() -> None:
    descriptor = soap("inner", None)
    values = descriptor.values(TRAINING)
    _, _, right = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    short = Rotated(descriptor, Rotation(values.mean(axis=0)[None], right[:2].T, 0.0))
    expected = Covariance.of(KERNEL, descriptor, TRAINING).columns(slice(None))
    got = Covariance.of(KERNEL, short, TRAINING).columns(slice(None))
    np.testing.assert_allclose(got[:3, :3], expected[:3, :3], atol=1e-12)
    assert np.abs(got - expected).max() > 1e-3


@pytest.mark.parametrize(("descriptor", "n_blocks"), CASES)
def test_predictions_for_structures_outside_the_span_are_unchanged(
    descriptor: Descriptor, n_blocks: int
) -> None:
    energies = np.array([0.1, -0.3, 0.2])
    training = StructureSet(SPECIES, TRAINING, energies=energies, forces=RNG.normal(size=TRAINING.shape))
    short, results = rotated(descriptor, n_blocks), []
    outside = short.values(OTHERS).reshape(len(OTHERS), n_blocks, -1)[..., -1]
    assert outside.min() > 1e-3  # the span does not hold them
    for one in (descriptor, short):
        model = fit(training, one, KERNEL, 1e-3, 1e-3, lambda c, e, f: CholeskySolver(c, e, f, 0.0))
        results.append(predict(model, one, OTHERS))
    for got, expected in zip(results[1], results[0], strict=True):
        assert np.abs(expected).max() > 0.1
        # K⁻¹ magnifies rounding by up to noise⁻²
        np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("descriptor", "n_blocks"), CASES)
def test_jacobian_and_products_agree_with_central_differences(descriptor: Descriptor, n_blocks: int) -> None:
    short, h = rotated(descriptor, n_blocks), 1e-4
    steps = h * np.eye(12).reshape(12, 4, 3)
    numeric = np.stack(
        [(short.values(OTHERS + s) - short.values(OTHERS - s)) / (2 * h) for s in steps], axis=2
    )
    jacobian = short.jacobian(OTHERS)
    outside = np.arange(short.n_features) % (short.n_features // n_blocks) == short.n_features // n_blocks - 1
    assert np.abs(numeric[:, outside]).max() > 1e-2  # the comparison would also hold for zeros
    # truncation of order h² with the curvature of a short length, 1 / 1e-3
    np.testing.assert_allclose(jacobian, numeric, atol=1e-5 * np.abs(numeric).max())
    tangents, cotangents = RNG.normal(size=OTHERS.shape), RNG.normal(size=jacobian.shape[:2])
    lazy, kept = short.linearise(OTHERS), short.linearise(OTHERS)
    kept.jacobian(slice(None))  # from here on products use the dense form
    for points in (lazy, kept, kept.select(slice(None)), lazy.select(np.arange(5)), lazy):
        np.testing.assert_allclose(
            points.jvp(tangents), np.einsum("npa,na->np", jacobian, tangents.reshape(5, -1)), atol=1e-10
        )
        np.testing.assert_allclose(
            points.vjp(cotangents).reshape(5, -1),
            np.einsum("npa,np->na", jacobian, cotangents),
            atol=1e-10,
        )


def test_jacobian_is_the_same_where_it_is_too_large_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    short, chosen = rotated(*CASES[0]), np.array([3, 1])
    kept, lazy = short.linearise(OTHERS), short.linearise(OTHERS)
    expected, weights = kept.jacobian(chosen), np.ones((2, short.n_features))
    np.testing.assert_array_equal(kept.select(chosen).jacobian(slice(None)), expected)
    monkeypatch.setattr(module, "KEEP_BYTES", 10)
    np.testing.assert_array_equal(lazy.jacobian(chosen), expected)
    for _ in range(module.FEW_PRODUCTS + 1):
        np.testing.assert_allclose(
            lazy.select(chosen).vjp(weights), kept.select(chosen).vjp(weights), atol=1e-11
        )


def test_tolerance_is_what_is_dropped() -> None:
    descriptor = soap("inner", None)
    sizes = []
    for tolerance in (1e-14, 1e-4, 1e-2):
        rotation = find_rotation(descriptor.linearise(TRAINING), 1, tolerance, seed=1)
        assert rotation.dropped <= tolerance
        np.testing.assert_allclose(
            rotation.basis.T @ rotation.basis, np.eye(rotation.basis.shape[1]), atol=1e-12
        )
        sizes.append(rotation.basis.shape[1])
    # 3 structures span 2 differences and 3 (3 · 4 - 6) derivatives
    assert sizes[0] == 20 > sizes[1] > sizes[2]


def test_random_combinations_of_columns_find_the_same_span(monkeypatch: pytest.MonkeyPatch) -> None:
    points = soap("inner", None).linearise(TRAINING)
    exact = find_rotation(points, 1, LOSSLESS, seed=3).basis
    monkeypatch.setattr(module, "OVERSAMPLING", 10 * 3 / points.values.shape[1])  # 10 of 12 per structure
    bases = [exact] + [find_rotation(points, 1, LOSSLESS, seed).basis for seed in (3, 3, 4)]
    np.testing.assert_array_equal(bases[1], bases[2])
    assert not np.array_equal(bases[2], bases[3])
    moved = points.jvp(RNG.normal(size=TRAINING.shape))
    for basis in bases:
        # square root of what may be dropped
        assert np.linalg.norm(moved - moved @ basis @ basis.T) < 1e-5 * np.linalg.norm(moved)


def test_wrong_settings_are_refused() -> None:
    descriptor = InverseDistance(4)
    points = descriptor.linearise(TRAINING)
    with pytest.raises(ConfigError, match="tolerance"):
        find_rotation(points, 1, 1.0, seed=0)
    with pytest.raises(ConfigError, match="parts of equal length, got 6 features in 4"):
        find_rotation(points, 4, 0.0, seed=0)
    with pytest.raises(InputError, match="rotation: expected one for 6 features"):
        Rotated(descriptor, Rotation(np.zeros((1, 5)), np.eye(5), 0.0))
