"""The process of the right subset is found, or the message says what does not fit."""

from types import SimpleNamespace

import numpy as np
import pytest

from aenet_gpr_cli.descriptors.build import InverseDistanceSettings
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.subset_lookup import LOCAL, find_process
from aenet_gpr_cli.gpr.surrogate import Geometry
from aenet_gpr_cli.structures import Structure

SLAB = (True, True, False)


def process(species, pbc=(False,) * 3, cell=None):
    reference = np.zeros((len(species), 3))
    geometry = Geometry(InverseDistanceSettings(1.0), species, cell, pbc, reference)
    return SimpleNamespace(geometry=geometry, mismatch=geometry.mismatch)


def structure(species, pbc=(False,) * 3, cell=None):
    return Structure(species, np.zeros((len(species), 3)), cell, pbc, name="file_1")


WATER, CO = process(("O", "H", "H")), process(("C", "O"))
SMALL = process(("C", "O"), SLAB, np.diag([4.0, 4.0, 20.0]))
LARGE = process(("C", "O"), SLAB, np.diag([8.0, 4.0, 20.0]))
ALL = {"H2O": WATER, "CO": CO, "CO-slab": SMALL, "CO-slab-2": LARGE}


def test_atoms_periodicity_and_cell_decide():
    assert find_process(ALL, structure(("O", "H", "H")), None) == "H2O"
    assert find_process(ALL, structure(("C", "O")), None) == "CO"
    # the vector of the direction that is not periodic has no meaning
    cell = np.diag([8.0, 4.0005, 33.0])
    assert find_process(ALL, structure(("C", "O"), SLAB, cell), None) == "CO-slab-2"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (structure(("H", "H")), "file_1: no Gaussian process fits"),
        (structure(("H", "O", "H")), r"subset H2O .* another order \(atom 1: O, here H\)"),
        (structure(("O", "H", "H"), SLAB, np.eye(3)), "periodicity FFF, the structure has TTF"),
        (structure(("C", "O"), SLAB, np.diag([6.0, 4.0, 20.0])), "another cell"),
    ],
)
def test_the_message_says_what_differs(wanted, message):
    with pytest.raises(InputError, match=message):
        find_process(ALL, wanted, None)


def test_a_named_subset_is_the_only_one_considered():
    with pytest.raises(InputError, match="subset CO was fitted to CO, the structure is OH2"):
        find_process(ALL, structure(("O", "H", "H")), "CO")
    with pytest.raises(InputError, match="subset X: no such Gaussian process; there are H2O, CO"):
        find_process(ALL, structure(("O", "H", "H")), "X")


def test_several_that_fit_have_to_be_chosen_from():
    twice = {"a": CO, "b": CO}
    with pytest.raises(InputError, match=r"several subsets fit \(a, b\)"):
        find_process(twice, structure(("C", "O")), None)
    assert find_process(twice, structure(("C", "O")), "b") == "b"


def test_the_local_process_takes_what_no_full_one_does():
    everything = ALL | {LOCAL: SimpleNamespace(mismatch=lambda s: None if "N" not in s.species else "no N")}
    assert find_process(everything, structure(("C", "O")), None) == "CO"
    assert find_process(everything, structure(("C", "O", "O")), None) == LOCAL
    assert find_process(everything, structure(("C", "O", "O")), "CO2") == LOCAL
    with pytest.raises(InputError, match="no Gaussian process fits"):
        find_process(everything, structure(("N",)), None)
