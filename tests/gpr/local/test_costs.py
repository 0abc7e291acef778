"""Forecasts of the local process against what it takes."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from aenet_gpr_cli.gpr.local.costs import bytes_of_fit, seconds_of_choice, seconds_of_fit
from aenet_gpr_cli.gpr.local.local_fit import fit_local
from aenet_gpr_cli.gpr.process_settings import Local
from aenet_gpr_cli.structures import StructureSet

SMALL = Local(n_inducing=60, length_scale=32.0)


def copper(repeat: int, n: int = 2) -> StructureSet:
    """Rattled cells of many atoms with some energies and forces."""
    atoms, rng = bulk("Cu", cubic=True) * repeat, np.random.default_rng(0)
    positions = atoms.positions + rng.normal(0, 0.1, (n, len(atoms), 3))
    cells = np.repeat(atoms.cell.array[None], n, axis=0)
    species, forces = tuple(atoms.get_chemical_symbols()), rng.normal(size=positions.shape)
    return StructureSet(species, positions, cells, (True,) * 3, rng.normal(size=n), forces)


@pytest.mark.parametrize(
    ("descriptor", "repeat"), [("soap", 4), ("soap", 2), ("chebyshev", 4)], ids=["256", "32", "chebyshev"]
)
def test_the_memory_of_large_cells_is_forecast_to_a_third(descriptor, repeat):
    """With the slopes of SOAP along all edges, and all pairs of forces of a structure that is left out."""
    structures, given = copper(repeat), replace(SMALL, descriptor=descriptor)
    fit_local([copper(1)], given, 0, lambda *_: None)  # compiles
    tracemalloc.start()
    fit_local([structures], given, 0, lambda *_: None)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken / 1.34 < bytes_of_fit([structures], given) < 4.0 * taken


def test_soap_is_forecast_to_take_longer_and_so_is_what_compares_it():
    sets = [copper(2, 20)]
    plain, soap, auto = (
        replace(SMALL, descriptor=d, length_scale=None) for d in ("chebyshev", "soap", "auto")
    )
    assert seconds_of_fit(sets, soap) > 2.0 * seconds_of_fit(sets, plain)
    assert seconds_of_choice(sets, auto) > seconds_of_choice(sets, plain)
    assert seconds_of_choice(sets, auto) > seconds_of_choice(sets, soap)
    # several elements are not compared
    other = [replace(sets[0], species=("Au", *sets[0].species[1:]))]
    assert seconds_of_fit(other, auto) < seconds_of_fit(other, soap)
