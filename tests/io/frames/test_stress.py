"""Stress of reference data: one tensor whatever its name, order, sign convention and unit."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write

from aenet_gpr_cli.config.stages.active_config import CalculatorConfig
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.structure_sets import read_structures, write_structures
from aenet_gpr_cli.io.formats.sources import read_data
from aenet_gpr_cli.stages.label_stage import calculate
from aenet_gpr_cli.structures import Structure, StructureSet
from aenet_gpr_cli.subsystems.reading_rules import ReadingRules

STRESS = np.array([[0.01, 0.002, -0.003], [0.002, -0.02, 0.004], [-0.003, 0.004, 0.03]])  # eV/Å³
VOLUME = 60.0
GPA = 160.21766  # per eV/Å³


def voigt(tensor) -> str:
    return " ".join(f"{tensor[i, j]:.12g}" for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)))


def nine(tensor) -> str:
    return " ".join(f"{x:.12g}" for x in np.ravel(tensor))


def frame(more: str, pbc: str = "T T T") -> str:
    return (
        f'2\nLattice="3 0 0 0 4 0 0 0 5" pbc="{pbc}" Properties=species:S:1:pos:R:3:forces:R:3 {more}\n'
        "H 0 0 0 1 0 0\nH 0.8 0 0 -1 0 0\n"
    )


def read(path, *frames: str, **rules):
    path.write_text("".join(frames))
    return read_data([path], ReadingRules(**rules))


@pytest.mark.parametrize(
    "header",
    [
        f'energy=-1 stress="{voigt(STRESS)}"',
        f'energy=-1 stress="{nine(STRESS)}"',
        f"energy=-1 stress={{{nine(STRESS)}}}",
        f"energy=-1 stress={np.array2string(STRESS, separator=', ').replace(chr(10), '')}",
        f'REF_energy=-1 REF_stress="_JSON {STRESS.tolist()}"',  # as ASE writes a matrix of info
        f'REF_energy=-1 REF_virial="_JSON {(-VOLUME * STRESS).tolist()}"',
        f'energy=-1 virial="{nine(-VOLUME * STRESS)}"',
        f'energy=-1 virials="{voigt(-VOLUME * STRESS)}"',
        f'energy=-1 virial_stress="{voigt(STRESS)}"',
        f'energy=-1 dft_virial="_JSON {(-VOLUME * STRESS).tolist()}"',
        f'energy=-1 stress="{nine(STRESS)}" virial="{nine(-VOLUME * STRESS)}"',
        f'REF_energy=-1 stress="1 2 3 0 0 0" REF_stress="{voigt(STRESS)}"',
        f'energy=-1 stress-unit=GPa stress="{voigt(GPA * STRESS)}"',
        f'energy=-1 stress_unit="eV/Å^3" stress="{voigt(STRESS)}"',
        f'energy=-1 unit_stress=kbar dft_stress="{voigt(10 * GPA * STRESS)}"',
        'energy=-1 energy-unit=kcal/mol force-unit=eV/Å '
        f'virial="{nine(-VOLUME * STRESS / 0.0433641153)}"',
    ],
)  # fmt: skip
def test_one_stress_whatever_its_name_order_sign_and_unit(tmp_path, header):
    found = read(tmp_path / "a.xyz", frame(header))
    np.testing.assert_allclose(found.structures[0].stress, STRESS, rtol=1e-6, atol=1e-10)
    assert "stress: " in found.lines()[0]


def test_a_virial_is_said(tmp_path, caplog):
    read(tmp_path / "a.xyz", frame(f'energy=-1 virial="{nine(-VOLUME * STRESS)}"'))
    assert "stress from -virial/V (energy_key, forces_key and stress_key choose others)" in caplog.text


def test_several_that_differ_need_a_key(tmp_path):
    header = frame(f'energy=-1 stress="{nine(STRESS)}" virial="{nine(VOLUME * STRESS)}"')
    with pytest.raises(InputError, match=r"got several that differ: stress, virial .*stress_key"):
        read(tmp_path / "a.xyz", header)
    found = read(tmp_path / "a.xyz", header, stress_key="virial")
    np.testing.assert_allclose(found.structures[0].stress, -STRESS, rtol=1e-10)
    with pytest.raises(InputError, match="expected the stress_key 'my_stress', got stress, virial"):
        read(tmp_path / "a.xyz", header, stress_key="my_stress")


def test_each_frame_has_the_stress_or_the_virial_that_it_has(tmp_path):
    stress, virial = f'stress="{nine(STRESS)}"', f'virial="{nine(-VOLUME * STRESS)}"'
    frames = [frame(f"energy=-1 {text}") for text in (stress, virial, "", f"{stress} {virial}")]
    found = read(tmp_path / "a.xyz", *frames)
    for s in (found.structures[0], found.structures[1], found.structures[3]):
        np.testing.assert_allclose(s.stress, STRESS, rtol=1e-10)
    assert found.structures[2].stress is None
    assert "stress: stress/virial (not in all)" in found.lines()[0]
    only = read(tmp_path / "a.xyz", *frames, stress_key="virial").structures
    assert [s.stress is None for s in only] == [True, False, True, False]


def test_a_stress_of_another_calculation_does_not_stand_in(tmp_path):
    frames = [frame(f'energy=-1 {name}="{nine(STRESS)}"') for name in ("stress", "dft_stress")]
    assert [s.stress is None for s in read(tmp_path / "a.xyz", *frames).structures] == [False, True]


def test_one_factor_mends_sign_and_unit(tmp_path):
    header = f'energy=-1 stress="{nine(-GPA * STRESS)}"'
    found = read(tmp_path / "a.xyz", frame(header), stress_factor=-0.00624151)
    np.testing.assert_allclose(found.structures[0].stress, STRESS, rtol=1e-6)
    with pytest.raises(ValueError, match="stress_factor: expected a factor other than 0"):
        ReadingRules(stress_factor=0.0)


def test_isolated_structures_and_cells_without_volume_have_none(tmp_path):
    line = f'energy=-1 stress="{nine(STRESS)}"'
    assert read(tmp_path / "a.xyz", frame(line, "F F F")).structures[0].stress is None
    wire = frame(line, "T F F").replace("3 0 0 0 4 0 0 0 5", "3 0 0 0 0 0 0 0 0")
    assert read(tmp_path / "a.xyz", wire).structures[0].stress is None
    assert read(tmp_path / "a.xyz", frame(line, "T T F")).structures[0].stress is not None


@pytest.mark.parametrize(
    "bad", ["nan 0 0 0 0 0", "1 2 3 4 5 6 7 8 9", "0 0 0 0 0 0", "1 2 3 0 0", "not calculated"]
)
def test_what_cannot_be_a_stress_is_said_and_not_used(tmp_path, caplog, bad):
    frames = [frame(f'energy=-{i} stress="{bad if i == 1 else nine(STRESS)}"') for i in range(3)]
    found = read(tmp_path / "a.xyz", *frames)
    assert [s.stress is None for s in found.structures] == [False, True, False]
    assert "stress of 1 of 3 frames is not used, as it is not six or nine finite numbers" in caplog.text
    assert "stress: stress (not in all)" in found.lines()[0]


def test_a_stress_in_other_declared_units_without_its_own_is_said_and_not_used(tmp_path, caplog):
    units = "energy-unit=Hartree force-unit=Hartree/Bohr"
    found = read(tmp_path / "a.xyz", frame(f'energy=-1 {units} stress="{nine(STRESS)}"'))
    assert found.structures[0].stress is None
    assert "stress of 1 of 1 frames is not used" in caplog.text
    assert "has no unit (stress_unit=...) beside others that are declared" in caplog.text
    virial = nine(-VOLUME * STRESS / 27.211386245988)  # in the unit of the energy
    found = read(tmp_path / "b.xyz", frame(f'energy=-1 {units} stress="{nine(STRESS)}" virial="{virial}"'))
    np.testing.assert_allclose(found.structures[0].stress, STRESS, rtol=1e-9)


@pytest.mark.parametrize("more", ["", f'pressure_tensor="{nine(STRESS)}"'])
def test_a_stress_key_that_no_file_has_is_said(tmp_path, caplog, more):
    read(tmp_path / "a.xyz", frame(f"energy=-1 {more}"), stress_key="pressure_tensor")
    assert "expected a stress named 'pressure_tensor' in some periodic frames, got none" in caplog.text
    caplog.clear()
    read(tmp_path / "a.xyz", frame(f'energy=-1 my_stress="{nine(STRESS)}"'), stress_key="my_stress")
    assert "expected a stress" not in caplog.text


def test_what_ase_has_is_read(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = EMT()
    expected = atoms.get_stress(voigt=False)
    for name in ("a.traj", "a.json", "a.db", "a.xyz"):
        write(tmp_path / name, atoms)
        (found,) = read_data([tmp_path / name], ReadingRules()).structures
        np.testing.assert_allclose(found.stress, expected, atol=1e-8)


def test_the_stress_of_a_calculator_is_the_derivative_of_its_energy(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    step, emt = 1e-4, CalculatorConfig(name="emt")

    def calculated(strain):
        moved = atoms.copy()
        moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        s = Structure(("Cu",) * 4, moved.positions, moved.cell.array, (True, True, True), name="a")
        return calculate(emt, s, tmp_path, lambda *_: None)

    stress = calculated(np.zeros((3, 3))).stress
    for i, j in ((0, 0), (1, 2)):
        strain = np.zeros((3, 3))
        strain[i, j] += step / 2
        strain[j, i] += step / 2
        slope = (calculated(strain).energy - calculated(-strain).energy) / (2 * step)
        assert slope == pytest.approx(atoms.get_volume() * stress[i, j], abs=1e-6)


def test_a_stress_survives_the_artefact_and_a_selection(tmp_path):
    one = Structure(("H",), np.zeros((1, 3)), np.diag([3.0, 4, 5]), (True,) * 3, -1.0, np.zeros((1, 3)))
    known, unknown = replace(one, stress=STRESS, name="a"), replace(one, name="b")
    batch = StructureSet.from_structures([known, unknown, known]).select([1, 2])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_structures(file.create_group("new"), batch)
        write_structures(file.create_group("old"), StructureSet.from_structures([unknown]))
        assert "stress" not in file["old"]
        again, old = read_structures(file["new"]), read_structures(file["old"])
    assert again.structure(0).stress is None
    np.testing.assert_array_equal(again.structure(1).stress, STRESS)
    assert old.stress is None
    assert again.moved_to(again.positions).stress is None
    whole = StructureSet.from_structures([again.structure(i) for i in range(2)])
    np.testing.assert_array_equal(whole.stress, batch.stress)


def test_extended_xyz_keeps_it(tmp_path):
    from aenet_gpr_cli.io.formats.prediction_files import PredictedStructure, write_extxyz

    s = Structure(
        ("H", "H"),
        np.eye(2, 3),
        np.diag([3.0, 4, 5]),
        (True,) * 3,
        -1.0,
        np.zeros((2, 3)),
        "a",
        stress=STRESS,
    )
    write_extxyz(tmp_path / "a.extxyz", [PredictedStructure(s, None, None, None)])
    (found,) = read_data([tmp_path / "a.extxyz"], ReadingRules()).structures
    np.testing.assert_allclose(found.stress, STRESS, atol=1e-8)
