"""Ten picoseconds of the EC dimer at 300 K with a potential of our own, against GFN2-xTB along the way.

What the training set has to hold: structures displaced at random by ±0.05 Å know nothing of a molecule that
turns or slides at 300 K, and a committee trained on them disagrees by more than an electronvolt there.
Structures from a few picoseconds of GFN2-xTB dynamics, somewhat hotter than wanted, are enough. It takes some
minutes on one core.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from aenet_gpr_cli.ann.training_settings import Loss
from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.structure_sets import write_structures
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.train_ann import train_ann_stage as train_ann
from aenet_gpr_cli.structures import StructureSet
from tests.calculators.test_ann_calculator import thermal

EMBEDDED = Path(__file__).parents[2] / "example_data" / "ec-dimer" / "structures.zip"
STEP = 0.5 * units.fs

pytestmark = [
    pytest.mark.slow,
    # the training set of the second test is meant to be left
    pytest.mark.filterwarnings("ignore:.*outside the range of the training data"),
]


def xtb():
    return pytest.importorskip("tblite.ase", reason="needs the extra label").TBLite(
        method="GFN2-xTB", accuracy=0.1, verbosity=0
    )


@pytest.fixture(scope="module")
def embedded():
    return StructureSet.from_structures(read_sources([EMBEDDED])[:250])


@pytest.fixture(scope="module")
def relaxed(embedded):
    atoms = Atoms(embedded.species, embedded.positions[0], calculator=xtb())
    BFGS(atoms, logfile=None).run(fmax=0.02, steps=300)
    return atoms


def langevin(atoms, kelvin, steps, seed):
    rng = np.random.default_rng(seed)
    thermal(atoms, kelvin, seed)
    return Langevin(atoms, STEP, temperature_K=kelvin, friction=0.02 / units.fs, rng=rng).run, steps


def sampled(relaxed, steps, interval):
    """GFN2-xTB dynamics at 400 K, every so many steps with energy and forces."""
    atoms = relaxed.copy()
    atoms.calc = xtb()
    run, steps = langevin(atoms, 400, steps, 1)
    found = {"positions": [], "energies": [], "forces": []}
    for _ in range(steps // interval):
        run(interval)
        found["positions"].append(atoms.positions.copy())
        found["energies"].append(atoms.get_potential_energy())
        found["forces"].append(atoms.get_forces())
    arrays = {name: np.array(values) for name, values in found.items()}
    names = tuple(map(str, range(len(arrays["energies"]))))
    return StructureSet(tuple(atoms.symbols), names=names, **arrays)


def committee(structures, folder):
    """Ten members, direct force training by Levenberg-Marquardt."""
    split, output = folder / "split.h5", folder / "ann.h5"
    with publish(split, Job("split", {}, {})) as file:
        write_structures(file.create_group("train/dimer"), structures)
        file.create_group("test")
    config = TrainAnnConfig(mode="direct", n_members=10, loss=Loss(alpha=0.1, force_fraction=0.3))
    train_ann.run(config, split, None, output, Context())
    return output


@dataclass
class Trajectory:
    """What happened on the way."""

    drift: float  # eV per atom and ps
    sigma: np.ndarray  # eV
    beyond: np.ndarray
    error: np.ndarray  # eV, against GFN2-xTB


def nve(ann, relaxed, picoseconds):
    atoms = relaxed.copy()
    atoms.calc = ANNCalculator.from_file(ann)
    run, steps = langevin(atoms, 300, 2000, 7)
    run(steps)
    dynamics, reference = VelocityVerlet(atoms, STEP), xtb()
    total, sigma, beyond, error = [], [], [], []
    for _ in range(round(picoseconds * 10)):
        for _ in range(20):
            dynamics.run(10)
            total.append(atoms.get_total_energy())
            sigma.append(atoms.calc.results["energy_std"])
            beyond.append(atoms.calc.results["beyond_training"].max())
        error.append(atoms.get_potential_energy() - reference.get_potential_energy(atoms))
    slope = np.polyfit(np.linspace(0, picoseconds, len(total)), total, 1)[0]
    return Trajectory(slope / len(atoms), *map(np.array, (sigma, beyond, error)))


def test_ten_picoseconds_of_a_potential_that_knows_them(relaxed, tmp_path):
    found = nve(committee(sampled(relaxed, 10_000, 40), tmp_path), relaxed, 10)
    print(found.drift, found.sigma.max(), found.beyond.max(), np.abs(found.error).mean())
    assert abs(found.drift) < 1e-4
    assert found.sigma.max() < 0.5
    assert np.abs(found.error).mean() < 0.06
    # σ says where: it is large where the error is
    assert found.sigma.max() > 0.3 * np.abs(found.error).max()


def test_random_displacements_are_not_enough_and_the_committee_says_so(embedded, relaxed, tmp_path):
    found = nve(committee(embedded, tmp_path), relaxed, 1)
    assert abs(found.drift) < 1e-3  # energy is conserved, and yet
    assert found.sigma.max() > 0.3
    assert found.beyond.max() > 0.2
