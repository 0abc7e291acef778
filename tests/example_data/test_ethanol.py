"""The set of one molecule: labels are those of the stored positions, its parts share no frame."""

import sys

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.io import read

from tests.example_data.scripts import importable


@pytest.fixture
def script(monkeypatch):
    with importable():
        import make_ethanol_sets
        import make_meeting_sets

        # any forces do, where tblite is not
        monkeypatch.setattr(make_meeting_sets, "xtb", lambda method: EMT())
        monkeypatch.setattr(make_meeting_sets, "SETTLING", 20)
        monkeypatch.setattr(make_meeting_sets, "INTERVAL", 10)
        yield make_ethanol_sets


def test_labels_are_those_of_the_stored_positions(script, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["", "--train", "4", "--test", "5", "--output", str(tmp_path)])
    script.main()
    parts = {part: read(tmp_path / f"{part}.xyz", ":") for part in ("train", "test")}
    assert {part: len(frames) for part, frames in parts.items()} == {"train": 4, "test": 5}
    frames = [atoms for part in parts.values() for atoms in part]
    for atoms in frames:
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = EMT()
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-7)
        assert np.allclose(atoms.get_forces(), forces, atol=1e-6)
    for k, one in enumerate(frames):
        assert all(np.abs(one.positions - other.positions).max() > 0.01 for other in frames[:k])


def test_a_seed_makes_the_same_set(script):
    one, other = (script.make(7, 3) for _ in range(2))
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[0].positions, script.make(8, 3)[0].positions)
