"""SOAP as the descriptor of `fit-gpr`: what is stored predicts, and its forces are slopes of its energies."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.prediction_config import EvaluateConfig, PredictConfig
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.surrogate import Surrogate
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.structure_sets import write_structures
from aenet_gpr_cli.stages import predict_stage as predict
from aenet_gpr_cli.stages.evaluate import evaluate_stage as evaluate
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.shared.context import Context
from tests.gpr.small_molecule import at, make_set

N_TRAIN = 12
SOAP = {"cutoff": 4.0, "n_max": 4, "l_max": 2, "sigma": 0.6}
POINTS = [[0.5, 0.5, 0.5], [-0.5, 0.8, 0.3], [0.8, -0.2, 0.7]]
FORMS = {
    "outer": (SOAP, False),
    "outer, periodic": (SOAP, True),
    "inner": (SOAP | {"average": "inner"}, False),
    "species": (SOAP | {"average": "species"}, False),
    "pairs of points": (SOAP | {"average": "off", "centres": POINTS, "compare": "pairs"}, False),
    "points, periodic": (SOAP | {"average": "off", "centres": POINTS}, True),
}


def write_split(path, periodic):
    """Train and test structures; where periodic, in a cell so large that the energies stay those."""
    structures = replace(make_set(N_TRAIN + 4, 1), names=tuple(f"s{i}" for i in range(N_TRAIN + 4)))
    if periodic:
        cells = np.tile(np.diag([7.0, 7.5, 8.0]), (len(structures), 1, 1))
        structures = replace(structures, cells=cells, pbc=(True, True, False))
    with publish(path, Job("split", {}, {})) as file:
        write_structures(file.create_group("train/a"), structures.select(slice(0, N_TRAIN)))
        write_structures(file.create_group("test/a"), structures.select(slice(N_TRAIN, None)))
    return structures


def config(soap, **keys):
    return build(
        FitGprConfig,
        {"model": "full", "descriptor": "soap", "soap": soap, "length_scale": 4.0} | keys,
        "test",
    )


@pytest.fixture(scope="module", params=FORMS)
def fitted(request, tmp_path_factory):
    """Folder of a split and its fit, and the structures."""
    folder = tmp_path_factory.mktemp("soap")
    soap, periodic = FORMS[request.param]
    structures = write_split(folder / "split.h5", periodic)
    fit_gpr.run(config(soap), folder / "split.h5", folder / "gpr.h5", Context())
    return folder, structures


def test_forces_are_minus_the_slope_of_the_energy(fitted):
    folder, structures = fitted
    surrogate = load_gps(folder / "gpr.h5")["a"]
    positions = structures.positions[N_TRAIN:]  # not in the training data: outside their span, too
    _, forces = surrogate.energies_and_forces(at(positions))
    assert np.abs(forces).max() > 0.1
    direction, h = np.random.default_rng(0).normal(size=positions.shape), 1e-5
    up, down = (surrogate.energies(at(positions + sign * h * direction)) for sign in (1, -1))
    # rounding of energies of 2e4 eV with large weights, 1e-10 eV, over h; a longer step takes a pair of the
    # periodic structures across the distance up to which atoms count, where energies jump by 1e-6 eV
    np.testing.assert_allclose(-(up - down) / (2 * h), (forces * direction).sum((1, 2)), atol=1e-4)


def test_evaluate_predict_and_the_calculator_agree(fitted, tmp_path):
    folder, structures = fitted
    expected, forces = load_gps(folder / "gpr.h5")["a"].energies_and_forces(
        at(structures.positions[N_TRAIN:])
    )
    assert np.sqrt(np.mean((expected - structures.energies[N_TRAIN:]) ** 2)) < 0.5 * np.std(
        structures.energies
    )
    evaluate.run(
        EvaluateConfig(), folder / "split.h5", {"gpr": folder / "gpr.h5"}, tmp_path / "metrics.h5", Context()
    )
    frames = [
        Atoms(structures.species, r, pbc=structures.pbc, cell=c)
        for r, c in zip(
            structures.positions,
            structures.cells if structures.cells is not None else [None] * 16,
            strict=True,
        )
    ][N_TRAIN:]
    write(tmp_path / "new.xyz", frames, format="extxyz")
    predict.run(
        PredictConfig(), folder / "gpr.h5", [tmp_path / "new.xyz"], tmp_path / "predictions.h5", Context()
    )
    with h5py.File(tmp_path / "predictions.h5") as file:
        (group,) = file["subsets"].values()
        np.testing.assert_allclose(group["predicted_energies"][0], expected, rtol=0, atol=1e-5)
        np.testing.assert_array_less(0.0, group["sigma"][()])
    calculator = GPRCalculator.from_file(folder / "gpr.h5")
    for frame, energy, force in zip(frames, expected, forces, strict=True):
        # atoms moved to other images: the surroundings are the same
        frame.positions += np.array([[1, 0, 0], [0, -1, 0], [0, 0, 0], [2, 1, 0]]) @ np.asarray(frame.cell)
        assert calculator.get_potential_energy(frame) == pytest.approx(energy, abs=1e-7)
        np.testing.assert_allclose(calculator.get_forces(frame), force, atol=1e-6)


def test_the_length_scale_is_searched_and_powers_are_ignored(tmp_path):
    write_split(tmp_path / "split.h5", False)
    keys = {"length_scale": [1.0, 4.0], "power": [1.0, 2.0]}
    table = fit_gpr.run(config(SOAP, **keys), tmp_path / "split.h5", tmp_path / "gpr.h5", Context())
    with h5py.File(tmp_path / "gpr.h5") as file:
        search = file["subsets/a/search"]
        np.testing.assert_array_equal(search["length_scale"], [1.0, 4.0])  # once each
        best = search["length_scale"][search["score"][()].argmax()]
        assert file["subsets/a"].attrs["length_scale"] == best
    assert table.rows[0][3] == "soap"


def test_the_mean_over_species_needs_atoms():
    with pytest.raises(ConfigError, match="average: species needs centres on atoms"):
        config(SOAP | {"average": "species", "centres": POINTS})


def test_mixed_precision_fits_pairs_of_centres_as_cholesky_does(tmp_path):
    structures = write_split(tmp_path / "split.h5", True)
    soap = SOAP | {"average": "off", "centres": POINTS, "compare": "pairs"}
    results = {}
    for solver in ("cholesky", "mixed_precision"):
        keys = {"solver": solver, "noise_std_force": 1e-3, "conjugate_gradient": {"tolerance": 1e-8}}
        table = fit_gpr.run(config(soap, **keys), tmp_path / "split.h5", tmp_path / f"{solver}.h5", Context())
        surrogate = load_gps(tmp_path / f"{solver}.h5")["a"]
        assert isinstance(surrogate, Surrogate)
        assert surrogate.model.solver == solver
        results[solver] = surrogate.energies_and_forces(at(structures.positions[N_TRAIN:]))
    assert table.rows[0][3] == "soap ×3"
    assert np.ptp(results["cholesky"][0]) > 0.1
    for got, expected in zip(results["mixed_precision"], results["cholesky"], strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_mixed_precision_needs_pairs_of_centres():
    with pytest.raises(ConfigError, match="mixed_precision goes with descriptor: soap and soap"):
        config(SOAP, solver="mixed_precision")
