"""Models survive storage: what is read predicts exactly what was written."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from aenet_gpr_cli.baseline.repulsion import Repulsion
from aenet_gpr_cli.descriptors.build import RotatedSettings
from aenet_gpr_cli.descriptors.descriptor_settings import (
    CartesianSettings,
    InverseDistanceSettings,
    SoapSettings,
)
from aenet_gpr_cli.descriptors.soap.soap_descriptor import Soap
from aenet_gpr_cli.descriptors.structure.rotation import find_rotation
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.surrogate import Geometry, Surrogate
from aenet_gpr_cli.io.artefacts.stored_gps import read_descriptor, read_gp, write_descriptor, write_gp
from aenet_gpr_cli.structures import StructureSet
from tests.gpr.small_molecule import cholesky


@pytest.fixture
def structures():
    rng = np.random.default_rng(3)
    base = np.array([[0.0, 0, 0], [1.4, 0, 0], [0, 1.5, 0], [0.2, 0.1, 1.6]])
    n = 5
    return StructureSet(
        species=("O", "H", "H", "C"),
        positions=base + rng.normal(scale=0.1, size=(n, 4, 3)),
        cells=np.tile(np.diag([7.0, 8.0, 9.0]), (n, 1, 1)),
        pbc=(True, True, True),
        energies=-1000 + rng.normal(size=n),
        forces=rng.normal(size=(n, 4, 3)),
        names=tuple("abcde"),
    )


SOAP = SoapSettings(cutoff=4.0, n_max=3, l_max=2, sigma=0.6)
POINTS = ((0.5, 0.5, 0.5), (2.0, 1.0, 0.0))
SETTINGS = [
    InverseDistanceSettings(1.5),
    CartesianSettings(),
    SOAP,
    replace(SOAP, average="off", centres=POINTS),
]


def rotated(settings, structures):
    """Settings as after a fit: with the rotation that the structures give."""
    if not isinstance(settings, SoapSettings):
        return settings
    soap = Soap(structures.species, settings, structures.cells[0], structures.pbc)
    return RotatedSettings(
        settings, find_rotation(soap.linearise(structures.positions), soap.n_centres, 1e-10, 0)
    )


@pytest.mark.parametrize("settings", SETTINGS, ids=["inverse", "cartesian", "soap", "soap at points"])
def test_a_gaussian_process_survives(tmp_path, structures, settings):
    geometry = Geometry.of(structures, rotated(settings, structures))
    kernel = make_kernel("squared_exponential", 1.0)
    model = fit(structures, geometry.make_descriptor(), kernel, 1e-3, 1e-3, cholesky)
    wall = Repulsion(np.array([1.0, 6.0, 8.0]), np.full((3, 3), 1.3))
    written = Surrogate(model, geometry, repulsion=wall)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_gp(file, written)
    with h5py.File(tmp_path / "x.h5") as file:
        read = read_gp(file)
    assert read.repulsion == wall
    moved = structures.moved_to(structures.positions + 0.03)
    for ours, theirs in zip(
        read.energies_and_forces(moved),
        written.energies_and_forces(moved),
        strict=True,
    ):
        # the order in memory may differ, and with it the last digits of a sum
        np.testing.assert_allclose(ours, theirs, rtol=1e-14, atol=1e-12)
    assert np.ptp(written.energies(moved)) > 1e-3
    sigma = read.sigma("exact", 1)
    assert sigma is not None
    np.testing.assert_allclose(sigma(moved), written.sigma("exact", 1)(moved), rtol=1e-9)
    assert read.model.log_marginal_likelihood == model.log_marginal_likelihood


def test_soap_is_read_as_it_was_written(tmp_path, structures):
    written = rotated(SETTINGS[3], structures)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_descriptor(file, written)
        read = read_descriptor(file)
    assert read.plain == written.plain == replace(SOAP, average="off", centres=POINTS)
    assert read.rotation.dropped == written.rotation.dropped
    for ours, theirs in (
        (read.rotation.origin, written.rotation.origin),
        (read.rotation.basis, written.rotation.basis),
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_an_unknown_descriptor_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["descriptor"] = "acsf"
        with pytest.raises(InputError, match="inverse_distance, soap or composite, got 'acsf'"):
            read_descriptor(file)
