"""Grouping: members share atoms, periodicity and cell, and get one order; names are stable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import Structure, StructureSet
from aenet_gpr_cli.subsystems.grouping import CELL_TOLERANCE, group, hill_formula, natural_key, varies

SLAB, BULK = (True, True, False), (True, True, True)


def make(
    name: str, species: str = "C O O", pbc=(False, False, False), cell: float | None = None
) -> Structure:
    atoms = tuple(species.split())
    box = None if cell is None else cell * np.eye(3)
    return Structure(atoms, np.zeros((len(atoms), 3)), cell=box, pbc=pbc, name=name)


MIXED = [
    make("f10"),
    make("f2"),
    make("a", "O C O"),
    make("b", "H H"),
    make("c", pbc=BULK, cell=10.0),
    make("d", pbc=BULK, cell=10.0001),
    make("e", pbc=BULK, cell=11.0),
    make("g", pbc=SLAB, cell=10.0),
]


def summary(structures: list[Structure]) -> dict[str, list[str]]:
    return {name: [s.name for s in members] for name, members in group(structures).items()}


def test_subsets_and_their_names() -> None:
    assert summary(MIXED) == {
        "CO2": ["a", "f2", "f10"],
        "CO2-cell": ["c", "d"],
        "CO2-cell-2": ["e"],
        "CO2-slab": ["g"],
        "H2": ["b"],
    }


@given(st.permutations(MIXED))
def test_the_order_of_the_files_does_not_matter(shuffled: list[Structure]) -> None:
    assert list(summary(shuffled).items()) == list(summary(MIXED).items())


def test_a_periodic_formula_alone_needs_no_suffix() -> None:
    assert list(group([make("c", pbc=BULK, cell=10.0)])) == ["CO2"]


def test_cells_are_compared_with_a_tolerance_wherever_they_lie() -> None:
    # Rounding to a grid would separate two of these pairs.
    for base in (10.0, 10.0005, 10.0009):
        members = [make("a", pbc=BULK, cell=base), make("b", pbc=BULK, cell=base + 4e-4)]
        assert len(group(members)) == 1
    assert len(group([make("a", pbc=BULK, cell=10.0), make("b", pbc=BULK, cell=10.01)])) == 2


def test_the_vacuum_of_a_slab_does_not_matter() -> None:
    thick = Structure(("H",), np.zeros((1, 3)), cell=np.diag([4.0, 4.0, 40.0]), pbc=SLAB, name="thick")
    thin = Structure(("H",), np.zeros((1, 3)), cell=np.diag([4.0, 4.0, 30.0]), pbc=SLAB, name="thin")
    assert len(group([thick, thin])) == 1


def test_nothing_is_lost() -> None:
    assert sorted(s.name for members in group(MIXED).values() for s in members) == sorted(
        s.name for s in MIXED
    )


@pytest.mark.parametrize(
    ("species", "formula"),
    [("O C H H", "CH2O"), ("Li Li C O H", "CHLi2O"), ("Na Cl", "ClNa"), ("H H", "H2"), ("O H H", "H2O")],
)
def test_hill_formula(species: str, formula: str) -> None:
    assert hill_formula(species.split()) == formula


@given(st.lists(st.text(max_size=8)))
def test_natural_order_is_defined_for_any_names(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)


def test_natural_order_counts() -> None:
    assert sorted(["f10", "f9", "f1"], key=natural_key) == ["f1", "f9", "f10"]


def test_names_must_be_unique_and_something_must_be_there() -> None:
    with pytest.raises(InputError, match=r"unique name .* got 'a' more than once"):
        group([make("a"), make("a")])
    with pytest.raises(InputError, match="at least one structure"):
        group([])


def test_the_spread_of_a_drifting_cell_is_bounded_not_the_step():
    """Constant pressure: the cell grows by 0.0009 Å a frame; no subset may hold more than the tolerance."""
    atom = Structure(("Cu",), np.zeros((1, 3)), pbc=(True, True, True))
    drift = [replace(atom, cell=(3.6 + 0.0009 * i) * np.eye(3), name=f"{i}") for i in range(40)]
    found = group(drift)
    assert sum(map(len, found.values())) == 40
    for members in found.values():
        assert np.ptp([s.cell for s in members], axis=0).max() <= CELL_TOLERANCE
    assert found.keys() == group(drift[::-1]).keys()
    names = {name: [s.name for s in members] for name, members in found.items()}
    assert names == {name: [s.name for s in members] for name, members in group(drift[::-1]).items()}


def cells_of(structures: list[Structure]) -> dict[str, tuple[int, bool]]:
    """Number of structures of each subset, and whether the cell varies."""
    found = group(structures, cells_may_vary=True)
    return {name: (len(m), varies(StructureSet.from_structures(m))) for name, m in found.items()}


def at(sizes: list[float], species: str = "Cu Cu") -> list[Structure]:
    return [make(f"s{i}", species, BULK, size) for i, size in enumerate(sizes)]


def test_cells_may_vary_within_a_subset() -> None:
    drift = [3.6 + 0.0009 * i for i in range(40)]
    assert cells_of(at(drift)) == {"Cu2": (40, True)}
    assert cells_of(at([9.0] * 20)) == {"Cu2": (20, False)}
    assert cells_of(at([9.0, 9.5])) == {"Cu2": (2, True)}


def test_a_few_fixed_cells_with_enough_structures_keep_subsets_of_their_own() -> None:
    assert cells_of(at([9.0] * 12 + [9.5] * 10)) == {"Cu2": (12, False), "Cu2-2": (10, False)}
    assert cells_of(at([9.0] * 12 + [9.5] * 3)) == {"Cu2": (12, False), "Cu2-2": (3, False)}
    others = [8.0 + 0.1 * i for i in range(5)]
    assert cells_of(at([9.0] * 12 + others)) == {"Cu2": (12, False), "Cu2-2": (5, True)}
    barostat = [9.0 + 0.1 * (i // 25) for i in range(200)]  # a new cell every 25 frames
    assert cells_of(at(barostat)) == {"Cu2": (200, True)}
    crawl = [9.0 + 0.0001 * i for i in range(200)]
    assert cells_of(at(crawl)) == {"Cu2": (200, True)}


def test_varying_cells_get_one_order_of_species_and_keep_their_atoms() -> None:
    rng = np.random.default_rng(0)
    one = replace(make("a", "Cu Au Cu", BULK, 4.0), positions=rng.random((3, 3)), forces=rng.random((3, 3)))
    other = replace(make("b", "Au Cu Cu", BULK, 5.0), positions=rng.random((3, 3)), forces=rng.random((3, 3)))
    (first, second) = group([one, other], cells_may_vary=True)["AuCu2"]
    assert first.species == second.species == ("Cu", "Au", "Cu")
    np.testing.assert_array_equal(second.positions, other.positions[[1, 0, 2]])
    np.testing.assert_array_equal(second.forces, other.forces[[1, 0, 2]])
    assert second.atom_order == (1, 0, 2)


def test_models_that_do_not_tell_equal_atoms_apart_get_one_order_of_species_only() -> None:
    places = np.array(
        [[0.0, 0, 0], [0, 0, 0.96], [0, 0.93, -0.24], [4, 0, 0], [4, 0, 0.96], [4, 0.93, -0.24]]
    )
    exchanged = [0, 4, 2, 3, 1, 5]
    first = Structure(tuple("OHHOHH"), places, name="a")
    second = Structure(tuple("OHHOHH"), places[exchanged], name="b")
    third = Structure(tuple("HOHOHH"), places[[1, 0, 2, 3, 4, 5]], name="c")
    members = group([first, second, third], match_atoms=False)["H4O2"]
    assert {s.species for s in members} == {tuple("OHHOHH")}
    np.testing.assert_array_equal(members[1].positions, second.positions)
    assert members[2].atom_order == (1, 0, 2, 3, 4, 5)
    matched = group([first, second, third])["H4O2"]
    np.testing.assert_array_equal(matched[1].positions, first.positions)
