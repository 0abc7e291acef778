from __future__ import annotations

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.soap import Soap
from aenet_gpr_cli.descriptors.soap_basis import SoapParameters
from aenet_gpr_cli.descriptors.soap_check import check_soap
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.structures import FloatArray

POSITIONS = np.array([[0.0, 0.0, 0.0], [0.95, 0.1, 0.0], [-0.4, 1.3, 0.2], [0.2, 1.7, 1.1]])
CELL = np.diag([5.0, 6.0, 7.0])


def make(average: str, centres: FloatArray | None, periodic: bool) -> Soap:
    pbc = (periodic,) * 3
    return Soap(("O", "H", "C", "H"), SoapParameters(3.0, 3, 2, 0.4), average, centres, CELL, pbc)


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
    soap._basis.scales[0] *= 1.0001  # values and derivatives agree with each other, but not with dscribe
    with pytest.raises(NumericalError, match="soap self-check"):
        check_soap(soap, POSITIONS, seed=0)


def too_steep(soap: Soap, positions: FloatArray, tangents: FloatArray) -> FloatArray:
    return 1.001 * soap.linearize(positions).jvp(tangents)
