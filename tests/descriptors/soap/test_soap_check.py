from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.descriptors.soap.soap_check import check_soap
from aenet_gpr_cli.descriptors.soap.soap_descriptor import Soap
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.structures import FloatArray

POSITIONS = np.array([[0.0, 0.0, 0.0], [0.95, 0.1, 0.0], [-0.4, 1.3, 0.2], [0.2, 1.7, 1.1]])
CELL = np.diag([5.0, 6.0, 7.0])


def make(average: str, centres: FloatArray | None, periodic: bool) -> Soap:
    pbc = (periodic,) * 3
    fixed = None if centres is None else tuple(map(tuple, centres))
    keys = SoapSettings(cutoff=3.0, n_max=3, l_max=2, sigma=0.4, average=average, centres=fixed)  # type: ignore[arg-type]
    return Soap(("O", "H", "C", "H"), keys, CELL, pbc)


OUTSIDE = np.array([[0.5, 0.5, 0.5], [9.0, -1.0, 0.0]])
FORMS = [(average, centres) for average in ("off", "inner", "outer") for centres in (None, OUTSIDE)]


@pytest.mark.parametrize(("average", "centres"), [*FORMS, ("species", None)])
@pytest.mark.parametrize("periodic", [False, True])
def test_every_form_passes(average: str, centres: FloatArray | None, periodic: bool) -> None:
    result = check_soap(make(average, centres, periodic), POSITIONS, seed=0)
    assert 0.0 < result.value_error < 1e-10
    assert 0.0 < result.slope_error < 1e-6


def test_wrong_values_and_wrong_derivatives_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    soap = make("off", None, False)
    with monkeypatch.context() as patch:
        patch.setattr(Soap, "jvp", too_steep)
        with pytest.raises(NumericalError, match="soap self-check"):
            check_soap(soap, POSITIONS, seed=0)
    soap.basis.scales[0] *= 1.0001  # values and derivatives agree with each other, but not with dscribe
    with pytest.raises(NumericalError, match="soap self-check"):
        check_soap(soap, POSITIONS, seed=0)


def test_many_atoms_at_the_edge_of_reach_are_no_error() -> None:
    """In a crystal some pair crosses the distance up to which atoms count, whichever way all atoms move."""
    rng = np.random.default_rng(1)
    lattice = 2.2 * np.stack(np.meshgrid(*[np.arange(3.0)] * 3), axis=-1).reshape(-1, 3)
    positions = lattice + 0.05 * rng.normal(size=lattice.shape)
    keys = SoapSettings(cutoff=4.0, n_max=6, l_max=1, sigma=0.7)
    soap = Soap(("Li",) * 27, keys, 6.6 * np.eye(3), (True,) * 3)
    assert check_soap(soap, positions, seed=0).slope_error < 1e-6


def test_wrong_derivatives_of_one_species_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Soap, "jvp", too_steep_for_carbon)
    with pytest.raises(NumericalError, match="soap self-check"):
        check_soap(make("outer", None, True), POSITIONS, seed=0)


def too_steep_for_carbon(soap: Soap, positions: FloatArray, tangents: FloatArray) -> FloatArray:
    factor = np.where(np.array(soap.species) == "C", 1.001, 1.0)
    return soap.linearise(positions).jvp(factor[:, None] * tangents)


def too_steep(soap: Soap, positions: FloatArray, tangents: FloatArray) -> FloatArray:
    return 1.001 * soap.linearise(positions).jvp(tangents)
