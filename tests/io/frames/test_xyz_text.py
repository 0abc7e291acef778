"""Headers are read, and frames written, as ASE does."""

from __future__ import annotations

import io
import string

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import key_val_str_to_dict, write_xyz

from aenet_gpr_cli.io.frames.xyz_text import read_header, write_frame
from aenet_gpr_cli.structures import Structure

HEADERS = [
    'Lattice="1 0 0 0.5 2 0 0 0 3.0" Properties=species:S:1:pos:R:3 energy=-1.5 pbc="T F T"',
    "energy = -1e3 done name='a b=c' list={1, 2 3} flags=[T, F] n=7 uid=12",
    'a="" b=1 c=_x d="_JSON [[1, 2], [3, 4]]" e="_JSON {\\"x\\": [1, \\"y\\"]}" f=99999999999999999999',
    'quoted="say \\"no\\"" a=b=c x="T T" y=tRUE z=TRUE virial="1 2 3 4 5 6 7 8 9" w=nan v=1d3',
    "plain words = in a comment, energy -12.5",
    "stress=1",
    "=1",
    'open="never closed',
    'bad="_JSON [1,"',
]


def same(ours: object, theirs: object) -> bool:
    return type(ours) is type(theirs) and (
        np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")
        if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray)
        else repr(ours) == repr(theirs)
    )


def read_alike(header: str) -> None:
    try:
        expected = key_val_str_to_dict(header)
    except Exception as error:
        with pytest.raises(type(error)):
            read_header(header)
        return
    found = read_header(header)
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert same(found[key], value), (key, found[key], value)


@pytest.mark.parametrize("header", HEADERS)
def test_headers(header: str) -> None:
    read_alike(header)


def test_random_headers() -> None:
    rng = np.random.default_rng(0)
    alphabet = [*"aT1= '\"{}[]\\\\,.-\t", *string.ascii_letters[:4], *"==  0"]
    for _ in range(3000):
        read_alike("".join(rng.choice(alphabet, rng.integers(1, 25))))


@pytest.mark.parametrize("cell", [None, np.array([[5.0, 0, 0.1], [0, 6.25, 0], [0, 1 / 3, 7]])])
def test_frames(cell: np.ndarray | None) -> None:
    rng = np.random.default_rng(1)
    species, positions, forces = ("H", "Cl", "O"), rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    pbc, beyond, stress = (cell is not None, False, cell is not None), rng.random(3), rng.normal(size=(3, 3))
    stress += stress.T
    atoms = Atoms(species, positions, cell=cell, pbc=pbc)
    info = {"name": 'a "b" {c}', "charge": 1, "energy_std": 0.1, "reference_stress": 2 * stress}
    atoms.info |= info
    atoms.arrays["beyond_training"] = beyond
    atoms.calc = SinglePointCalculator(atoms, energy=np.float64(-2.5), forces=forces, stress=stress)
    expected, found = io.StringIO(), io.StringIO()
    write_xyz(expected, [atoms])
    structure = Structure(species, positions, cell, pbc)
    said = {**info, "none": None, "energy": np.float64(-2.5), "stress": stress}
    write_frame(found, structure, said, {"none": None, "beyond_training": beyond, "forces": forces})
    assert found.getvalue() == expected.getvalue()
