"""Missing labels are counted; forces of the wrong sign or unit are noticed."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import Structure, StructureSet
from aenet_gpr_cli.subsystems.label_checks.checks import (
    check_forces,
    check_net_force,
    missing_forces,
    require_labels,
    require_one_state,
    unlike_moments,
)


def vibrating(n: int = 30, spread: float = 0.2, seed: int = 0) -> StructureSet:
    """Return structures of an anharmonic model with exact forces: E = Σ k x²/2 + c x³."""
    rng = np.random.default_rng(seed)
    k, c = rng.uniform(1, 30, (4, 3)), rng.uniform(-5, 5, (4, 3))
    x = spread * rng.normal(size=(n, 4, 3))
    energies = (0.5 * k * x**2 + c * x**3).sum(axis=(1, 2)) - 1000.0
    return StructureSet(("C",) * 4, x + 3.0, energies=energies, forces=-(k * x + 3 * c * x**2))


def scaled(structures: StructureSet, factor: float) -> StructureSet:
    assert structures.forces is not None
    return replace(structures, forces=factor * structures.forces)


def test_right_forces_are_ok() -> None:
    found = check_forces(vibrating())
    assert (found.verdict, found.is_warning) == ("ok", False)
    assert found.slope == pytest.approx(1.0, abs=0.05)  # the trapezoidal rule is not exact for a cubic term
    assert found.correlation > 0.99


@pytest.mark.parametrize(
    ("factor", "verdict", "words"),
    [
        (-1.0, "sign", "the sign is reversed: these are gradients"),
        (1 / 51.422, "unit", "they look like Hartree/Bohr, expected eV/Å"),
        (1 / 25.711, "unit", "Ry/Bohr"),
        (1 / 1.8897, "unit", "eV/Bohr"),
        (1000.0, "unit", "meV/Å"),
        (-1 / 51.422, "sign", "sign is reversed.* and they look like Hartree/Bohr"),
        (7.0, "inconsistent", "unknown factor"),
    ],
)
def test_wrong_sign_or_unit_is_named(factor: float, verdict: str, words: str) -> None:
    found = check_forces(scaled(vibrating(), factor))
    assert (found.verdict, found.is_warning) == (verdict, True)
    assert found.slope == pytest.approx(1.0 / factor, rel=0.05)
    assert re.search(rf"{words}.*slope .*, correlation -?(0.99|1.00)\d*, \d+ pairs", found.message)


def test_structures_too_far_apart_decide_nothing() -> None:
    structures = vibrating(spread=3.0)
    assert structures.forces is not None
    noise = np.random.default_rng(1).normal(size=structures.forces.shape)
    found = check_forces(replace(structures, forces=noise))
    assert (found.verdict, found.is_warning) == ("undecided", False)
    assert "too far apart" in found.message


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_structures_decide_nothing(n: int) -> None:
    found = check_forces(vibrating(n))
    assert found.verdict == "undecided"
    assert np.isnan(found.slope)


def test_copies_of_one_structure_decide_nothing() -> None:
    assert check_forces(vibrating(1).select([0] * 5)).verdict == "undecided"


def test_missing_labels_decide_nothing() -> None:
    assert check_forces(replace(vibrating(), forces=None)).verdict == "undecided"


def test_a_large_set_is_thinned() -> None:
    found = check_forces(vibrating(5000))
    assert found.verdict == "ok"
    assert found.n_pairs < 2000 * 3


def test_missing_labels_are_counted() -> None:
    full = Structure(("H",), np.zeros((1, 3)), energy=1.0, forces=np.zeros((1, 3)), name="full")
    no_energy = [replace(full, energy=None, name=f"e{i}") for i in range(4)]
    no_forces = replace(full, forces=None, name="f")
    everything = [full, *no_energy, no_forces]
    with pytest.raises(InputError, match=r"^expected energy and forces for every structure, got ") as caught:
        require_labels(everything, energies=True, forces=True)
    said = str(caught.value)
    assert (
        "4 of 6 without energy (energy=... in the header of extended XYZ, '# total energy = ... eV' " in said
    )
    assert "in XSF): e0, e1, e2, ...; 1 of 6 without forces (column forces of extended XYZ, fx fy fz " in said
    assert said.endswith("Other names of the files are given to split as energy_key and forces_key")
    assert caught.value.exit_code == 2
    require_labels([full, no_forces], energies=True, forces=False)
    require_labels(everything, energies=False, forces=False)


def trimer(spread: float, n: int = 40, seed: int = 0, factor: float = 1.0) -> StructureSet:
    """Lennard-Jones, exact forces; ε = σ = 1."""
    base = np.array([[0.0, 0.0, 0.0], [1.12, 0.0, 0.0], [0.56, 0.97, 0.0]])
    x = base + spread * np.random.default_rng(seed).normal(size=(n, 3, 3))
    d = x[:, :, None] - x[:, None]
    r = np.linalg.norm(d, axis=-1) + np.eye(3)
    off = 1.0 - np.eye(3)
    energies = (2.0 * off * (r**-12 - r**-6)).sum(axis=(1, 2))
    forces = ((off * 24.0 * (2 * r**-14 - r**-8))[..., None] * d).sum(axis=2)
    return StructureSet(("Ar",) * 3, x, energies=energies, forces=factor * forces)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spread", [0.02, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_exact_forces_are_never_called_wrong(spread: float, seed: int) -> None:
    found = check_forces(trimer(spread, seed=seed))
    assert not found.is_warning, found.message
    assert spread > 0.02 or found.verdict == "ok"


@pytest.mark.parametrize("seed", range(4))
def test_wrong_units_of_a_stiff_molecule_are_still_named(seed: int) -> None:
    assert check_forces(trimer(0.02, seed=seed, factor=-1 / 51.422)).verdict == "sign"
    assert check_forces(trimer(0.02, seed=seed, factor=1 / 51.422)).verdict == "unit"


def test_forces_that_are_all_zero_while_energies_differ_are_missing() -> None:
    zero = scaled(vibrating(), 0.0)
    assert "all forces are exactly zero, while the energies differ by" in str(missing_forces(zero))
    assert missing_forces(vibrating()) is None
    assert missing_forces(replace(zero, energies=np.ones(len(zero)))) is None


def test_forces_in_other_axes_have_a_torque() -> None:
    """As those of Gaussian beside the input orientation."""
    right = trimer(0.05)
    assert right.forces is not None
    turned = replace(right, forces=right.forces[..., [1, 2, 0]])
    found = check_net_force(turned)
    assert found is not None
    assert "torque Σ r×F" in found
    assert "Gaussian's standard orientation" in found
    fixed = right.forces.copy()
    fixed[:, 0] = 0.0
    assert "net force ΣF" in str(check_net_force(replace(right, forces=fixed)))
    assert check_net_force(right) is None
    cells = np.tile(10 * np.eye(3), (len(right), 1, 1))
    assert check_net_force(replace(turned, pbc=(True, True, True), cells=cells)) is None


def test_states_of_one_formula_may_not_be_mixed() -> None:
    water = Structure(("O", "H", "H"), np.zeros((3, 3)), name="a", state=(("charge", 0.0),))
    ion = replace(water, state=(("charge", 1.0),))
    other = Structure(("H",), np.zeros((1, 3)), state=(("charge", 1.0),))
    assert require_one_state([water, water, other]) == []
    (said,) = require_one_state([water, replace(water, state=())])
    assert "1 structures do not say their charge, others of the same formula are 0" in said
    with pytest.raises(InputError, match=r"expected one charge .* H2O, got charge=0 in 2, charge=1 in 1"):
        require_one_state([water, ion, water])
    with pytest.raises(
        InputError, match=r"got charge=1 in 2, none given in 1: .* write charge=... into every"
    ):
        require_one_state([ion, replace(water, state=()), ion])
    triplet = replace(water, state=(("charge", 0.0), ("multiplicity", 3.0)))
    with pytest.raises(
        InputError, match=r"expected one multiplicity .* got multiplicity=3 in 1, none given in 1"
    ):
        require_one_state([water, triplet])
    fractional = replace(water, state=(("charge", 0.25),))
    require_one_state([fractional, replace(water, state=(("charge", 0.250001),))])


def test_clearly_different_moments_of_one_formula_are_told() -> None:
    iron = Structure(("Fe", "Fe"), np.eye(2, 3), name="a")
    of = [replace(iron, magnetic_moment=m) for m in (4.4, 4.5, -4.45, 4.38)]
    assert unlike_moments([*of, iron]) == []
    (said,) = unlike_moments([*of, replace(iron, magnetic_moment=0.01)])
    assert "Fe2: total magnetic moments differ, 0.01 μB in 1, 4.4 μB in 4: probably different spin" in said


def test_energies_per_atom_are_told_from_other_factors() -> None:
    structures = vibrating()
    assert structures.energies is not None
    found = check_forces(replace(structures, energies=structures.energies / structures.n_atoms))
    assert (found.verdict, found.is_warning) == ("per atom", True)
    assert found.numbers in found.message
    assert "energies are per atom, expected total energies in eV" in found.message
    assert found.slope == pytest.approx(1 / structures.n_atoms, rel=0.05)


def morse(n: int, spread: float, seed: int) -> StructureSet:
    """Chains of three atoms with bonds of Morse, exact forces; far from harmonic."""
    rng = np.random.default_rng(seed)
    r = 1.1 + spread * rng.normal(size=(n, 2))
    x = np.zeros((n, 3, 3))
    x[:, 1, 0], x[:, 2, 0] = r[:, 0], r.sum(axis=1)
    wall = np.exp(-2.0 * (r - 1.1))
    slope = 2.0 * 5.0 * 2.0 * (1.0 - wall) * wall  # dE/dr, eV/Å
    forces = np.zeros_like(x)
    forces[:, 0, 0], forces[:, 1, 0], forces[:, 2, 0] = slope[:, 0], slope[:, 1] - slope[:, 0], -slope[:, 1]
    return StructureSet(("N",) * 3, x, energies=(5.0 * (1.0 - wall) ** 2).sum(axis=1), forces=forces)


@pytest.mark.parametrize("n", [3, 4, 5, 6, 8, 12])
def test_few_structures_far_apart_prove_nothing(n: int) -> None:
    """One step in the wall outweighs all others: slopes of 0.4 to 1.5 with correlations above 0.9."""
    for seed in range(60):
        found = check_forces(morse(n, 0.25, seed))
        assert not found.is_warning, found.message


def test_few_structures_that_are_near_are_still_enough() -> None:
    """Five, as long as the rule is good for them."""
    for factor, words in ((-1.0, "sign is reversed"), (1 / 51.422, "Hartree/Bohr")):
        found = [check_forces(scaled(morse(6, 0.02, seed), factor)) for seed in range(20)]
        assert sum(words in each.message for each in found if each.is_warning) >= 12
    assert not any(check_forces(morse(6, 0.02, seed)).is_warning for seed in range(20))


def test_a_part_in_another_unit_is_not_called_right() -> None:
    """Slope 0.89, correlation 0.93 of a half in eV/Bohr: the fit has to decide."""
    right = vibrating(60)
    assert right.forces is not None
    mixed = right.forces * np.where(np.arange(60) % 4, 1.0, 0.4)[:, None, None]
    found = check_forces(replace(right, forces=mixed))
    assert found.verdict == "undecided"
    assert found.is_roughly_one
    assert not check_forces(scaled(right, -1.0)).is_roughly_one


def test_pairs_over_which_nothing_integrates_prove_nothing() -> None:
    """A chance relation between energies and forces of structures several Å apart."""
    rng = np.random.default_rng(0)
    x, forces = 8.0 * rng.normal(size=(6, 3, 3)), rng.normal(size=(6, 3, 3))
    accident = StructureSet(("Au",) * 3, x, energies=np.einsum("nax,nax->n", forces[:1], x), forces=forces)
    given = replace(accident, forces=np.broadcast_to(forces[0], forces.shape).copy())
    assert check_forces(given).verdict == "undecided"
