"""What `fit-gpr` offers: solvers, searches, permutations, joined descriptors; what it says of bad data."""

import json
import logging
from dataclasses import replace

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write

from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.prediction_config import EvaluateConfig, PredictConfig
from aenet_gpr_cli.descriptors.structure.cartesian import Cartesian
from aenet_gpr_cli.errors import ConfigError, InterruptedRun, NumericalError, ResourceError
from aenet_gpr_cli.gpr.regression.aenet_gpr import fit_as_aenet_gpr
from aenet_gpr_cli.gpr.regression.gp_model import predict_energies
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.structure_sets import write_structures
from aenet_gpr_cli.stages import predict_stage as predict
from aenet_gpr_cli.stages.evaluate import evaluate_stage as evaluate
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.shared.context import Context
from tests.gpr import water_dimer
from tests.gpr.small_molecule import at, make_set

N = 16
STRUCTURES = replace(make_set(N + 6, 0), names=tuple(f"s{i}" for i in range(N + 6)))
NEW = STRUCTURES.positions[N:]
KEYS = {"model": "full", "length_scale": 0.8, "power": 1.0, "noise_std_energy": 1e-3, "noise_std_force": 1e-3}


def write_split(path, training=STRUCTURES.select(slice(0, N))):  # noqa: B008 (never changed)
    with publish(path, Job("split", {}, {})) as file:
        write_structures(file.create_group("train/a"), training)
        write_structures(file.create_group("test/a"), STRUCTURES.select(slice(N, None)))
    return path


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return write_split(tmp_path_factory.mktemp("split") / "split.h5")


def fit(split, folder, context=None, **keys):
    """Fit and read what was stored."""
    output = folder / "gpr.h5"
    table = fit_gpr.run(build(FitGprConfig, KEYS | keys, "test"), split, output, context or Context())
    return load_gps(output)["a"], table


def test_the_matrix_free_solver_gives_the_same_process_everywhere(split, tmp_path):
    (tmp_path / "cg").mkdir()
    seen = []
    exact, _ = fit(split, tmp_path)
    other, table = fit(
        split,
        tmp_path / "cg",
        Context(lambda *a: seen.append(a)),
        solver="conjugate_gradient",
        conjugate_gradient={"tolerance": 1e-10, "max_rank": 40},
    )
    assert (exact.model.solver, exact.model.iterations, exact.model.residual) == ("cholesky", 0, 0.0)
    assert other.model.solver == "conjugate_gradient"
    assert other.model.iterations > 3
    assert 0.0 < other.model.residual <= 1e-10
    assert table.rows[0][7] == f"cg ({other.model.iterations})"
    assert sum("residual" in message for _, _, message in seen) == other.model.iterations
    for ours, theirs in zip(
        other.energies_and_forces(at(NEW)),
        exact.energies_and_forces(at(NEW)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-7)
    for method in ("bound", "exact"):
        sigma = exact.sigma(method, 60)(at(NEW))
        np.testing.assert_allclose(other.sigma(method, 60)(at(NEW)), sigma, rtol=1e-6)
    # without memory for a matrix: never below, and close
    free = other.sigma("exact", 60, max_bytes=1.0)(at(NEW))
    exact_sigma = exact.sigma("exact", 60)(at(NEW))
    assert (free >= exact_sigma * (1 - 1e-6)).all()
    np.testing.assert_allclose(free, exact_sigma, rtol=0.05)
    evaluate.run(EvaluateConfig(), split, {"gpr": tmp_path / "cg" / "gpr.h5"}, tmp_path / "m.h5", Context())


@pytest.mark.parametrize("solver", ["cholesky", "conjugate_gradient"])
def test_a_device_of_torch_gives_the_same_process(split, tmp_path, solver):
    keys = {"solver": solver, "conjugate_gradient": {"tolerance": 1e-10}}
    plain, _ = fit(split, tmp_path, **keys)
    (tmp_path / "device").mkdir()
    there, _ = fit(split, tmp_path / "device", device="cpu", **keys)
    np.testing.assert_allclose(
        there.energies(at(NEW)),
        plain.energies(at(NEW)),
        rtol=0,
        atol=1e-7,
    )
    (tmp_path / "nonsense").mkdir()  # where there is a result already, the device does not matter
    with pytest.raises(ConfigError, match="available accelerator"):
        fit(split, tmp_path / "nonsense", device="nonsense", **keys)


def test_the_solver_is_chosen_by_a_forecast_that_names_both(split, tmp_path):
    config = build(FitGprConfig, KEYS, "test")
    (message, _) = fit_gpr.run(config, split, tmp_path / "x.h5", Context(dry_run=True)).notes
    assert "by cholesky" in message
    assert "by conjugate_gradient; takes cholesky" in message
    tiny = {"max_memory_gib": 2e-4, "conjugate_gradient": {"max_rank": 10}}
    with pytest.raises(
        ResourceError, match=r"subset a: 16 structures of 4 atoms \(208 rows\) need .*allowed"
    ):
        fit(split, tmp_path, **tiny)
    with pytest.raises(ResourceError, match="max_memory_gib"):
        fit(split, tmp_path, solver="cholesky", **tiny)


def test_an_iterative_fit_can_be_stopped(split, tmp_path):
    asked = []

    def stop():
        asked.append(0)
        return len(asked) > 4

    with pytest.raises(InterruptedRun, match="residual"):
        fit(split, tmp_path, Context(stop=stop), solver="conjugate_gradient")
    assert not (tmp_path / "gpr.h5").exists()


@pytest.mark.parametrize("method", ["likelihood", "leave_one_out", "validation"])
def test_every_search_is_stored_and_its_best_is_taken(split, tmp_path, method):
    search = {"method": method, "max_rows": 13 * N, "max_evaluations": 12}
    surrogate, table = fit(
        split,
        tmp_path,
        length_scale=None,
        descriptor="inverse_distance",
        power=[1.0, 3.0],
        permutations="none",
        search=search,
    )
    with h5py.File(tmp_path / "gpr.h5") as file:
        stored = file["subsets/a/search"]
        assert stored.attrs["method"] == method
        assert list(stored.attrs["candidates"]) == ["1/r ×1", "1/r^3 ×1"]
        columns = {name: stored[name][()] for name in stored}
    assert set(columns["descriptor_tried"]) == {0, 1}
    assert len({len(values) for values in columns.values()}) == 1
    final = columns["n_structures_compared"] == columns["n_structures_compared"].max()
    best = np.argmax(np.where(final, columns["score"], -np.inf))
    assert surrogate.model.length_scale == pytest.approx(columns["length_scale"][best])
    assert surrogate.geometry.settings.power == [1.0, 3.0][columns["descriptor_tried"][best]]
    assert table.rows[0][4] == f"{surrogate.model.length_scale:.4g}"
    error = np.abs(surrogate.energies(at(NEW)) - STRUCTURES.energies[N:]).mean()
    assert error < 0.1 * STRUCTURES.energies.std()


@pytest.mark.parametrize(("rows", "method"), [(13 * N, "likelihood"), (13 * N + 1, "leave_one_out")])
def test_few_data_are_judged_by_leave_one_out(split, tmp_path, rows, method):
    fit(split, tmp_path, length_scale=None, search={"likelihood_rows": rows, "max_evaluations": 4})
    with h5py.File(tmp_path / "gpr.h5") as file:
        assert file["subsets/a/search"].attrs["method"] == method


def test_noise_is_searched_when_asked_for_and_kept_otherwise(split, tmp_path):
    kept, _ = fit(split, tmp_path, length_scale=None, descriptor="inverse_distance")
    assert kept.model.noise_force == pytest.approx(1e-3)
    (tmp_path / "fitted").mkdir()
    fitted, _ = fit(
        split, tmp_path / "fitted", search={"method": "likelihood", "fit_noise": True, "max_evaluations": 40}
    )
    assert fitted.model.length_scale == pytest.approx(0.8)
    assert fitted.model.noise_force < 1e-4  # the surface has none
    assert fitted.model.log_marginal_likelihood > kept.model.log_marginal_likelihood


def test_exchanged_atoms_make_no_difference_where_they_are_listed(split, tmp_path):
    plain, _ = fit(split, tmp_path)
    exchanged = NEW[:, [0, 2, 1, 3]]
    assert np.abs(plain.energies(at(NEW)) - plain.energies(at(exchanged))).max() > 1e-4
    (tmp_path / "listed").mkdir()
    surrogate, table = fit(split, tmp_path / "listed", permutations=[[0, 2, 1, 3]])
    np.testing.assert_allclose(
        surrogate.energies(at(NEW)),
        surrogate.energies(at(exchanged)),
        atol=1e-8,
    )
    sigma = surrogate.sigma("exact", 1)
    np.testing.assert_allclose(sigma(at(NEW)), sigma(at(exchanged)), rtol=1e-6)
    assert (surrogate.sigma("bound", 60)(at(NEW)) >= sigma(at(NEW)) * (1 - 1e-6)).all()
    assert table.rows[0][3] == "1/r ×2"
    with pytest.raises(ConfigError, match=r"different species, O \(0\) and H \(1\)"):
        fit(split, tmp_path, permutations=[[1, 0, 2, 3]])
    with pytest.raises(ConfigError, match="atoms 0 to 3 once each, got"):
        fit(split, tmp_path, permutations=[[0, 0, 2, 3]])
    with pytest.raises(ConfigError, match="more than 1 elements"):
        fit(split, tmp_path, permutations=[[0, 2, 1, 3]], max_permutations=1)


def test_the_limit_of_the_group_is_named_where_it_stops_the_search(tmp_path, caplog):
    data = write_split(tmp_path / "split.h5", water_dimer.make(10, 0))
    with caplog.at_level("INFO"):
        surrogate, _ = fit(data, tmp_path, permutations="auto", max_permutations=2)
    assert surrogate.geometry.n_images == 2
    assert "more than max_permutations: 2" in caplog.text


def test_likely_permutations_are_found_and_stored(tmp_path):
    water = replace(water_dimer.make(12, 0), names=tuple(f"w{i}" for i in range(12)))
    data = write_split(tmp_path / "split.h5", water)
    surrogate, table = fit(data, tmp_path, permutations="auto", length_scale=None)
    with h5py.File(tmp_path / "gpr.h5") as file:
        search = file["subsets/a/search"]
        np.testing.assert_array_equal(search["permutations_tried/group_order"], [1, 2, 8])
        assert (np.diff(search["permutations_tried/score"]) > 0).all()
        assert list(search.attrs["candidates"]) == ["1/r ×1", "1/r ×8"]
        assert set(search["descriptor_tried"][()]) == {0, 1}  # the length scale was searched again
    assert surrogate.geometry.permutations.shape == (8, 6)
    assert table.rows[0][3] == "1/r ×8"
    new = water_dimer.make(5, 1).positions
    exchanged = new[:, [0, 2, 1, 3, 4, 5]]
    np.testing.assert_allclose(
        surrogate.energies(surrogate.geometry.structures(new)),
        surrogate.energies(surrogate.geometry.structures(exchanged)),
        atol=1e-8,
    )


def test_joined_descriptors_are_stored_and_predict(split, tmp_path):
    soap = {"cutoff": 4.0, "n_max": 3, "l_max": 2, "sigma": 0.6}
    surrogate, table = fit(
        split,
        tmp_path,
        descriptor=["inverse_distance", "soap"],
        weights=[1.0, 0.5],
        soap=soap,
        length_scale=6.0,
    )
    assert table.rows[0][3] == "1/r + soap"
    settings = surrogate.geometry.settings
    parts = [replace(surrogate.geometry, settings=part).make_descriptor() for part in settings.parts]
    positions = STRUCTURES.positions[:N]
    for part, weight, wanted in zip(parts, settings.weights, (1.0, 0.5), strict=True):
        x = weight * part.values(positions)
        distances = np.linalg.norm(x[:, None] - x[None], axis=2)[np.triu_indices(N, 1)]
        assert np.median(distances) == pytest.approx(wanted, rel=1e-6)
    _, forces = surrogate.energies_and_forces(at(NEW))
    direction, h = np.random.default_rng(0).normal(size=NEW.shape), 1e-5
    up, down = (surrogate.energies(at(NEW + sign * h * direction)) for sign in (1, -1))
    np.testing.assert_allclose(-(up - down) / (2 * h), (forces * direction).sum((1, 2)), atol=1e-4)
    error = np.abs(surrogate.energies(at(NEW)) - STRUCTURES.energies[N:]).mean()
    assert error < 0.3 * STRUCTURES.energies.std()


def test_near_duplicates_are_named_stored_and_part_of_a_failure(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("aenet_gpr_cli"), "propagate", True)
    doubled = STRUCTURES.select(np.array([*range(8), 2]))
    doubled = replace(doubled, names=(*(f"s{i}" for i in range(8)), "copy of s2"))
    data = write_split(tmp_path / "split.h5", doubled)
    fit(data, tmp_path)
    assert "1 pairs of structures are nearly the same: s2 and copy of s2 (0.0e+00)" in caplog.text
    with h5py.File(tmp_path / "gpr.h5") as file:
        np.testing.assert_array_equal(file["subsets/a/duplicates"], [[2, 8]])
    (tmp_path / "singular").mkdir()
    tiny = {"noise_std_energy": 1e-12, "noise_std_force": 1e-12}
    with pytest.raises(NumericalError, match=r"jitter up to 0.*s2 and copy of s2"):
        fit(data, tmp_path / "singular", max_jitter=0.0, **tiny)
    caplog.clear()
    surrogate, _ = fit(data, tmp_path / "singular", max_jitter=1e-8, **tiny)
    assert 0.0 < surrogate.model.jitter <= 1e-8
    assert "jitter" in caplog.text


def test_sigma_is_calibrated_and_strange_structures_are_flagged(tmp_path):
    strange = replace(STRUCTURES.select(slice(N, None)), positions=np.concatenate([NEW[:-1], 0.5 * NEW[-1:]]))
    data = tmp_path / "split.h5"
    with publish(data, Job("split", {}, {})) as file:
        write_structures(file.create_group("train/a"), STRUCTURES.select(slice(0, N)))
        write_structures(file.create_group("test/a"), strange)
    surrogate, _ = fit(data, tmp_path)
    for method in ("bound", "exact"):
        config = EvaluateConfig(sigma=method, plots=False)
        output = tmp_path / f"{method}.h5"
        table = evaluate.run(config, data, {"gpr": tmp_path / "gpr.h5"}, output, Context())
        total = json.loads(output.with_suffix(".json").read_text())["gpr"]["total"]
        sigma = surrogate.sigma(method, config.sigma_max_rows)(strange)
        errors = strange.energies - surrogate.energies(strange)
        z = errors / np.hypot(sigma, surrogate.model.noise_std_energy)
        assert total["z_rms"] == pytest.approx(np.sqrt((z**2).mean()), rel=1e-6)
        assert total["coverage_95"] == pytest.approx((np.abs(z) < 1.96).mean())
        assert total["energy_msd"] == pytest.approx(sigma.mean(), rel=1e-6)
        with h5py.File(output) as file:
            distance = file["models/gpr/a/domain_distance"][()]
        assert distance[-1] == distance.max() > 1.0
        assert total["n_outside_domain"] == (distance > 1.0).sum()
        assert any("covers" in note and "σ (" in note for note in table.notes)
        assert any("outside its training data" in note for note in table.notes)


def test_predictions_say_which_structure_is_outside(split, tmp_path):
    fit(split, tmp_path)
    frames = [Atoms(STRUCTURES.species, r) for r in (NEW[0], 0.5 * NEW[0])]
    write(tmp_path / "new.xyz", frames, format="extxyz")
    table = predict.run(
        PredictConfig(), tmp_path / "gpr.h5", [tmp_path / "new.xyz"], tmp_path / "p.h5", Context()
    )
    near, far = (frame.info["domain_distance"] for frame in read(tmp_path / "p_predictions.extxyz", ":"))
    assert near < far > 1.0
    (note,) = [note for note in table.notes if "outside the training data" in note]
    assert "new.xyz" in note


def test_the_other_package_is_reproduced_on_request(split, tmp_path):
    keys = {"descriptor": "cartesian", "compatibility": "aenet-gpr"}
    surrogate, _ = fit(split, tmp_path, **keys)
    theirs = fit_as_aenet_gpr(STRUCTURES.select(slice(0, N)), Cartesian(4), 0.8, 1e-6, 0.5)
    np.testing.assert_allclose(
        surrogate.energies(at(NEW)),
        predict_energies(theirs, Cartesian(4), NEW),
        rtol=0,
        atol=1e-9,
    )
    assert surrogate.model.signal_std == pytest.approx(theirs.signal_std, rel=1e-12)
    (tmp_path / "own").mkdir()
    own, _ = fit(split, tmp_path / "own", descriptor="cartesian")
    assert np.abs(own.energies(at(NEW)) - surrogate.energies(at(NEW))).max() > 1e-6


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"descriptor": ["soap", "soap"]}, "different names"),
        ({"weights": [1.0, 2.0]}, "one per part"),
        ({"length_scale": [1.0, 2.0], "search": {"fit_noise": True}}, "fit_noise"),
        ({"compatibility": "aenet-gpr"}, "descriptor: cartesian"),
        ({"descriptor": "soap", "permutations": [[1, 0]]}, "soap is invariant"),
    ],
)
def test_what_does_not_go_together_is_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        build(FitGprConfig, keys, "test")
