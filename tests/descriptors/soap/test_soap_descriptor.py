from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from dscribe.descriptors import SOAP

from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.descriptors.soap.soap_check import dscribe_values
from aenet_gpr_cli.descriptors.soap.soap_descriptor import Soap
from aenet_gpr_cli.descriptors.soap.soap_loops import solid_harmonics
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.structures import FloatArray

SPECIES = ("O", "H", "C", "H")
PARAMETERS = SoapSettings(cutoff=3.0, n_max=3, l_max=3, sigma=0.5)
CELL = np.array([[4.5, 0.0, 0.0], [1.5, 5.0, 0.0], [-0.8, 1.0, 6.0]])
POINTS = np.array([[0.3, 0.2, 0.1], [1.0, 2.0, 1.5], [7.0, -3.0, 0.5]])
PBCS = [(False, False, False), (True, True, True), (True, False, True)]
FORMS = [(average, centred) for average in ("off", "inner", "outer") for centred in ("atoms", "points")]
FORMS.append(("species", "atoms"))
CASES = [(*form, pbc) for form in FORMS for pbc in PBCS]


def make(average: str, centred: str, pbc: tuple[bool, bool, bool] = PBCS[0]) -> Soap:
    centres = tuple(map(tuple, POINTS)) if centred == "points" else None
    keys = replace(PARAMETERS, average=average, centres=centres)  # type: ignore[arg-type]
    return Soap(SPECIES, keys, CELL, pbc)


@pytest.fixture
def positions() -> FloatArray:
    base = np.array([[0.0, 0.0, 0.0], [0.95, 0.1, 0.0], [-0.4, 1.3, 0.2], [0.2, 1.7, 1.1]])
    return base + 0.2 * np.random.default_rng(0).normal(size=(2, 4, 3))


@pytest.mark.parametrize(("average", "centred", "pbc"), CASES)
def test_values_are_those_of_dscribe_in_its_order(
    positions: FloatArray, average: str, centred: str, pbc: tuple[bool, bool, bool]
) -> None:
    soap = make(average, centred, pbc)
    expected = np.stack([dscribe_values(soap, r) for r in positions])
    assert expected.shape == (2, soap.n_features)
    assert np.abs(expected).max() > 0.01
    # dscribe has π to 12 digits
    np.testing.assert_allclose(soap.values(positions), expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(("average", "centred", "pbc"), CASES)
def test_jacobian_and_products_agree_with_central_differences(
    positions: FloatArray, average: str, centred: str, pbc: tuple[bool, bool, bool]
) -> None:
    soap, h = make(average, centred, pbc), 1e-4
    steps = h * np.eye(12).reshape(12, 4, 3)
    numeric = np.stack(
        [(soap.values(positions + s) - soap.values(positions - s)) / (2 * h) for s in steps], axis=2
    )
    jacobian = soap.jacobian(positions)
    assert np.abs(numeric).max() > 0.1  # the comparison would also hold for zeros
    # truncation h² x''' / 6 with x''' of order x' / sigma²
    np.testing.assert_allclose(jacobian, numeric, atol=2e-7 * np.abs(numeric).max())

    rng = np.random.default_rng(1)
    tangents, cotangents = rng.normal(size=positions.shape), rng.normal(size=jacobian.shape[:2])
    scale = np.abs(jacobian).max()
    np.testing.assert_allclose(
        soap.jvp(positions, tangents),
        np.einsum("npa,na->np", jacobian, tangents.reshape(2, -1)),
        atol=1e-13 * scale * 12,
    )
    np.testing.assert_allclose(
        soap.vjp(positions, cotangents).reshape(2, -1),
        np.einsum("npa,np->na", jacobian, cotangents),
        atol=1e-13 * scale * soap.n_features,
    )


def test_derivatives_are_those_of_dscribe_where_it_has_analytic_ones(positions: FloatArray) -> None:
    reference = SOAP(species=["H", "C", "O"], r_cut=3.0, n_max=3, l_max=3, sigma=0.5)
    for centred, attach in (("atoms", True), ("points", False)):
        soap = make("off", centred)
        for i in range(2):
            centres = list(range(4)) if attach else POINTS.tolist()
            expected = reference.derivatives(
                Atoms(SPECIES, positions[i]),
                centers=centres,
                attach=attach,
                method="analytical",
                return_descriptor=False,
            )  # (centre, atom, xyz, feature)
            own = soap.jacobian(positions[i : i + 1])[0].reshape(len(centres), -1, 4, 3)
            assert np.abs(expected).max() > 0.1
            # dscribe's derivatives carry its 12 digits of π
            np.testing.assert_allclose(own, expected.transpose(0, 3, 1, 2), atol=1e-9)


def test_selected_linearisation_is_that_of_the_selected_structures(positions: FloatArray) -> None:
    soap = make("off", "atoms")
    selected = soap.linearise(positions).select(np.array([1]))
    np.testing.assert_array_equal(selected.values, soap.values(positions[1:]))
    np.testing.assert_array_equal(selected.jacobian(slice(None)), soap.jacobian(positions[1:]))
    np.testing.assert_array_equal(
        soap.linearise(positions).jacobian(slice(1, 2)), soap.jacobian(positions[1:])
    )


ROTATION, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))


@pytest.mark.parametrize("average", ["off", "inner", "outer"])
def test_translation_leaves_atom_centred_spectra_and_moves_fixed_ones(
    positions: FloatArray, average: str
) -> None:
    moved = positions + np.array([0.7, -0.2, 0.4])
    atoms, points = make(average, "atoms"), make(average, "points")
    np.testing.assert_allclose(atoms.values(moved), atoms.values(positions), atol=1e-11)
    assert np.abs(points.values(moved) - points.values(positions)).max() > 0.01
    force = atoms.vjp(positions, np.ones((2, atoms.n_features)))
    assert np.abs(force).max() > 0.1
    np.testing.assert_allclose(force.sum(axis=1), 0.0, atol=1e-10)


@pytest.mark.parametrize("average", ["off", "outer", "inner"])
def test_rotation_leaves_spectra_about_atoms_also_averaged(positions: FloatArray, average: str) -> None:
    atoms, points = make(average, "atoms"), make(average, "points")
    turned = positions @ ROTATION.T
    np.testing.assert_allclose(atoms.values(turned), atoms.values(positions), rtol=1e-9, atol=1e-11)
    assert np.abs(points.values(turned) - points.values(positions)).max() > 0.01


def test_a_spectrum_is_blind_to_rotations_about_its_own_centre(positions: FloatArray) -> None:
    soap = make("off", "points")
    spectra = soap.values(positions).reshape(2, 3, -1)
    turned = soap.values((positions - POINTS[1]) @ ROTATION.T + POINTS[1]).reshape(2, 3, -1)
    np.testing.assert_allclose(turned[:, 1], spectra[:, 1], rtol=1e-9, atol=1e-11)
    assert np.abs(turned[:, 0] - spectra[:, 0]).max() > 0.01


@pytest.mark.parametrize(("average", "centred"), FORMS)
def test_exchange_of_like_atoms(positions: FloatArray, average: str, centred: str) -> None:
    soap, exchanged = make(average, centred), positions[:, [0, 3, 2, 1]]
    x, y = soap.values(positions), soap.values(exchanged)
    if (average, centred) == ("off", "atoms"):
        assert np.abs(x - y).max() > 0.01  # the spectra stand in the order of the atoms
        y = y.reshape(2, 4, -1)[:, [0, 3, 2, 1]].reshape(2, -1)
    np.testing.assert_allclose(y, x, atol=1e-12)


@pytest.mark.parametrize(("average", "centred", "pbc"), [c for c in CASES if any(c[2])])
def test_lattice_translations_of_single_atoms_change_nothing(
    positions: FloatArray, average: str, centred: str, pbc: tuple[bool, bool, bool]
) -> None:
    soap = make(average, centred, pbc)
    turns = np.random.default_rng(3).integers(-2, 3, size=(2, 4, 3)) * np.array(pbc)
    wrapped = positions + turns @ CELL
    np.testing.assert_allclose(soap.values(wrapped), soap.values(positions), atol=1e-11)
    np.testing.assert_allclose(soap.jacobian(wrapped), soap.jacobian(positions), atol=1e-10)


def test_doubled_cell_has_the_same_spectra(positions: FloatArray) -> None:
    pbc, centres = (True, True, True), tuple(map(tuple, POINTS[:2]))
    keys = replace(PARAMETERS, average="off", centres=centres)  # type: ignore[arg-type]
    small = Soap(SPECIES, keys, CELL, pbc)
    large = Soap(SPECIES * 2, keys, CELL * np.array([[2.0], [1.0], [1.0]]), pbc)
    doubled = np.concatenate([positions, positions + CELL[0]], axis=1)
    np.testing.assert_allclose(large.values(doubled), small.values(positions), atol=1e-11)


def test_harmonics_are_orthonormal_and_their_gradients_exact() -> None:
    norms = make("inner", "atoms").basis.norms
    # Gauss-Legendre times equispaced angles: exact for products up to degree 6
    z, weights = np.polynomial.legendre.leggauss(8)
    angles = np.arange(16) * np.pi / 8
    value, slope, gram = np.empty(16), np.empty((3, 16)), np.zeros((16, 16))
    for height, weight in zip(z, weights, strict=True):
        ring = np.sqrt(1 - height**2)
        for angle in angles:
            solid_harmonics(
                np.array([ring * np.cos(angle), ring * np.sin(angle), height]), norms, value, slope
            )
            gram += weight * np.pi / 8 * np.outer(value, value)
    np.testing.assert_allclose(gram, np.eye(16), atol=1e-13)
    point, h = np.array([0.3, -0.7, 0.4]), 1e-5
    solid_harmonics(point, norms, value, slope)
    up, down, unused = np.empty(16), np.empty(16), np.empty((3, 16))
    for a in range(3):
        solid_harmonics(point + h * np.eye(3)[a], norms, up, unused)
        solid_harmonics(point - h * np.eye(3)[a], norms, down, unused)
        np.testing.assert_allclose(slope[a], (up - down) / (2 * h), atol=1e-9)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(InputError, match="expected a cell"):
        Soap(SPECIES, PARAMETERS, None, (True, True, True))
    with pytest.raises(InputError, match=r"expected shape \(n, 4, 3\)"):
        make("off", "atoms").values(np.zeros((1, 5, 3)))
    with pytest.raises(ValueError, match="species needs centres on atoms"):
        make("species", "points")


def test_mean_over_species_splits_the_mean_over_all_atoms(positions: FloatArray) -> None:
    apart = make("species", "atoms").values(positions).reshape(2, 3, -1)
    together = make("outer", "atoms").values(positions)
    # H twice, C, O
    np.testing.assert_allclose(np.einsum("k,nkp->np", [0.5, 0.25, 0.25], apart), together, atol=1e-13)


@pytest.mark.filterwarnings("ignore:An ill-conditioned matrix")  # scipy finds it, too
def test_too_many_radial_functions_are_refused() -> None:
    with pytest.raises(ConfigError, match="radial"):
        Soap(SPECIES, SoapSettings(cutoff=3.0, n_max=40, l_max=3, sigma=0.5))
