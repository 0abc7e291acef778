"""Compositions that training data determine: sums of those trained on, and no others."""

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.potential.ann_model import join
from aenet_gpr_cli.ann.potential.compositions import Compositions, describe_open
from aenet_gpr_cli.ann.training import train
from tests.ann.ann_helpers import changed, molecules

SLAB = ["Cu"] * 36 + ["O"]


def known(*structures, species=("Cu", "O")):
    return Compositions.of(species, structures)


def test_one_composition_and_its_supercells_are_known_and_no_other():
    one = known(SLAB, SLAB)
    np.testing.assert_allclose(one.rows @ one.rows.T, np.eye(1), atol=1e-12)
    assert not one.lack(SLAB)
    assert not one.lack(SLAB * 2)
    assert not one.lack(["O"] + ["Cu"] * 36)  # whatever the order
    assert one.lack(["Cu"] * 36)
    assert one.lack([*["Cu"] * 100, "O"])
    assert one.lack([*SLAB, "O"])


def test_two_compositions_determine_their_mixtures():
    two = known(SLAB, ["Cu"] * 36)
    assert len(two.rows) == 2
    assert not any(two.lack(s) for s in ([*["Cu"] * 100, "O"], [*SLAB, "O"], ["O"]))
    three = known(["H", "H", "O"], ["H", "H"], species=("C", "H", "O"))
    assert not three.lack(["O", "O"])
    assert three.lack(["C", "O"])
    assert three.lack(["C"])


def test_isolated_atoms_trained_on_determine_everything_of_their_elements():
    atoms = known(["Cu"], ["O"])
    assert not any(atoms.lack(s) for s in (SLAB, ["Cu"] * 36, ["O", "O"]))


def test_one_atom_in_a_thousand_makes_another_composition():
    large = known(["Cu"] * 1000 + ["O"])
    assert large.lack(["Cu"] * 1000)
    assert not known(["Cu"] * 1000 + ["O"], ["Cu"] * 1000).lack(["O"])


def test_energies_of_what_is_named_open_are_not_determined_by_any_training_energy():
    """A constant per atom may be added along what the rows leave out: no training energy changes."""
    one, counts = known(SLAB), np.array([36.0, 1.0])
    constants = np.array([1.0, -36.0])  # eV per atom
    assert counts @ constants == 0.0
    np.testing.assert_allclose(one.rows @ constants, 0.0, atol=1e-12)
    assert np.array([36.0, 0.0]) @ constants == 36.0  # eV, of the clean slab


def test_what_is_said_names_a_few():
    said = describe_open([["Cu"] * 4, ["Cu"] * 4, ["O", "O"], ["Cu"] * 5, ["Cu"] * 6])
    assert "the energy of Cu4, O2, Cu5 and 1 more:" in said
    assert "up to a constant per atom" in said


@pytest.mark.parametrize("optimiser", ["adamw", "levenberg_marquardt"])
def test_training_remembers_what_it_was_given(basis, settings, lm_settings, optimiser):
    data = TrainingSet.collect([molecules(("O", "H", "H"), 6, 1)], [], None)
    settings = settings if optimiser == "adamw" else changed(settings, optimizer=lm_settings)
    model = train(data, basis, settings, 1).model
    assert not model.lacks(["O", "H", "H"] * 2)
    assert model.lacks(["H", "H"])
    alone = [train(data, basis, settings, 1, [k]).model for k in range(3)]
    assert join(alone).lacks(["H", "H"])
    assert not join(alone).lacks(["H", "O", "H"])
    more = TrainingSet.collect([*data.subsets, molecules(("H", "H"), 6, 2)], [], None)
    assert not train(more, basis, settings, 1, start=model).model.lacks(["H", "H"])
    assert not replace(model, compositions=None).lacks(["H", "H"])  # unknown: nothing is said
