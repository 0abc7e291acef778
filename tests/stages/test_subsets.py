"""Subsets fitted side by side, by jobs of their own, or again after a failure: the same surrogate."""

import logging
import signal
from dataclasses import replace

import h5py
import pytest
from threadpoolctl import threadpool_limits

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.errors import ConfigError, InputError, InterruptedRun, NumericalError, ResourceError
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.stages import collect_stage as collect
from aenet_gpr_cli.stages.fit_gpr import fit_gpr_stage as fit_gpr
from aenet_gpr_cli.stages.fit_gpr.fit_plan import plan_fit
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.shared.processes import run_tasks
from tests.stages import work
from tests.stages.unfinished import after, assert_same, left_behind, signalled, write_split

SUBSETS = ["H2", "H2O", "H3N", "HO"]
CONFIG = FitGprConfig(model="full", length_scale=(0.7, 1.0, 1.4), power=1.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_split(tmp_path_factory.mktemp("data") / "split.h5")


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "gpr.h5"
    with threadpool_limits(1):
        fit_gpr.run(CONFIG, data, output, Context())
    return output


@pytest.fixture
def counted(monkeypatch):
    """Names of the subsets that are fitted; those in ``fails`` raise."""

    class Counted(list):
        fails: tuple = ()

    done, fit = Counted(), fit_gpr.fit_subset

    def fit_subset(config, name, subset, progress):
        done.append(name)
        if name in done.fails:
            raise NumericalError("not positive definite; raise the noise")
        return fit(config, name, subset, progress)

    monkeypatch.setattr(fit_gpr, "fit_subset", fit_subset)
    return done


def test_any_number_of_workers_gives_the_same_numbers(data, whole, tmp_path):
    """Bit by bit, where every process has one thread."""
    output, seen = tmp_path / "gpr.h5", []
    config = replace(CONFIG, workers=3)
    with threadpool_limits(1):
        table = fit_gpr.run(config, data, output, Context(lambda *a: seen.append(a)))
    assert_same(output, whole, "subsets")
    assert [row[0] for row in table.rows] == SUBSETS
    assert {message.partition(":")[0] for _, _, message in seen} == {f"working on {name}" for name in SUBSETS}
    assert left_behind(tmp_path) == set()


def test_the_number_of_workers_is_not_part_of_the_result(data, whole):
    assert "up to date" in fit_gpr.run(replace(CONFIG, workers=3), data, whole, Context()).title


def test_subsets_by_jobs_of_their_own_give_the_whole(data, whole, tmp_path):
    parts = [["HO"], ["H3N", "H2"], ["H2O"]]
    paths = [tmp_path / f"gpr.{part[0]}.h5" for part in parts]
    with threadpool_limits(1):
        for part, path in zip(parts, paths, strict=True):
            fit_gpr.run(CONFIG, data, path, Context(), part)
    output = tmp_path / "gpr.h5"
    with pytest.raises(InputError, match="subset H2O missing: expected all 4, got 3"):
        collect.run(paths[:2], output, Context())
    table = collect.run(paths, output, Context())
    assert [row[0] for row in table.rows] == SUBSETS
    assert_same(output, whole, "subsets")
    assert "up to date" in fit_gpr.run(CONFIG, data, output, Context()).title
    other = tmp_path / "other.h5"
    fit_gpr.run(replace(CONFIG, **{"kernel": "matern52"}), data, other, Context(), ["H2O"])
    with pytest.raises(InputError, match=r"kernel: squared_exponential in gpr.HO.h5, matern52 in "):
        collect.run([*paths[:2], other], tmp_path / "x.h5", Context())


def test_an_unknown_subset_is_named(data, tmp_path):
    with pytest.raises(ConfigError, match=r"CO2 not in .*it has H2, H2O, H3N, HO"):
        fit_gpr.run(CONFIG, data, tmp_path / "gpr.h5", Context(), ["CO2"])


def test_a_failed_subset_is_named_and_the_others_are_kept(data, whole, tmp_path, counted):
    output, counted.fails = tmp_path / "gpr.h5", ("H2O",)
    with pytest.raises(NumericalError, match=r"subset H2O: not positive definite.*3 other subsets are kept"):
        fit_gpr.run(CONFIG, data, output, Context())
    assert counted == SUBSETS
    assert not output.exists()
    counted.clear()
    counted.fails = ()
    with threadpool_limits(1):
        fit_gpr.run(CONFIG, data, output, Context())
    assert counted == ["H2O"]
    with h5py.File(output) as file:
        assert list(file["subsets"]) == SUBSETS
    assert left_behind(tmp_path) == set()


def test_a_changed_configuration_does_not_mix_with_kept_subsets(data, tmp_path, counted):
    output, counted.fails = tmp_path / "gpr.h5", ("HO",)
    with pytest.raises(NumericalError, match="--restart"):
        fit_gpr.run(CONFIG, data, output, Context())
    counted.fails = ()
    changed = replace(CONFIG, noise_std_energy=1e-3)
    with pytest.raises(ConfigError, match=r"noise_std_energy: 0.0001 there, 0.001 here"):
        fit_gpr.run(changed, data, output, Context())
    counted.clear()
    fit_gpr.run(changed, data, output, Context(restart=True))
    assert counted == SUBSETS


def test_stopped_between_subsets_it_goes_on_with_the_rest(data, whole, tmp_path, counted):
    output = tmp_path / "gpr.h5"
    with pytest.raises(InterruptedRun), threadpool_limits(1):
        fit_gpr.run(CONFIG, data, output, Context(stop=after(9)))
    assert not output.exists()
    assert 0 < len(counted) < 4
    with threadpool_limits(1):
        fit_gpr.run(CONFIG, data, output, Context())
    assert len(counted) == 5  # the one that was under way is done twice
    assert_same(output, whole, "subsets")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_and_run_again(data, whole, tmp_path, monkeypatch, workers):
    output = tmp_path / "gpr.h5"
    options = ["length_scale=[0.7,1.0,1.4]", "power=1.0", f"workers={workers}"]
    command = ["fit-gpr", data, "-o", output, *(text for option in options for text in ("--set", option))]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    killed = signalled(signal.SIGKILL, "finished_H2O.h5", 1, "after", *command)
    assert killed.returncode == -signal.SIGKILL
    with threadpool_limits(1):
        fit_gpr.run(CONFIG, data, output, Context())
    assert_same(output, whole, "subsets")
    assert left_behind(tmp_path) == set()


def test_fits_side_by_side_share_the_memory_that_is_allowed(data, caplog):
    plans = [plan_fit(CONFIG, name, subset) for name, subset in load_split(data, "train").items()]
    sizes = sorted((plan.gib for plan in plans), reverse=True)
    for allowed, workers in ((sum(sizes), 4), (sizes[0] + sizes[1], 2), (1.5 * sizes[0], 1)):
        config = replace(CONFIG, **{"workers": 8, "max_memory_gib": allowed * (1 + 1e-9)})
        assert fit_gpr._workers(config, plans) == workers


# processes ------------------------------------------------------------------------------------------------


def test_processes_return_results_progress_and_log_lines(caplog, monkeypatch):
    seen = []
    tasks = {str(n): (n,) for n in range(5)}
    monkeypatch.setattr(logging.getLogger("aenet_gpr_cli"), "propagate", True)
    found = dict(run_tasks(work.square, tasks, 2, Context(lambda *a: seen.append(a))))
    assert found == {str(n): n**2 for n in range(5)}
    assert {"working on 0: squaring 0/1", "working on 4: squaring 0/1"} <= {message for _, _, message in seen}
    assert "got 3" in caplog.text


def test_processes_that_fail_do_not_take_the_others_with_them():
    tasks = {how: (how,) for how in ("killed", "expected", "bug", "fine")}
    found = dict(run_tasks(work.fragile, tasks, 2, Context()))
    assert found["fine"] == "fine"
    assert isinstance(found["expected"], NumericalError)
    assert isinstance(found["killed"], ResourceError)
    assert "SIGKILL" in str(found["killed"])
    assert "ZeroDivisionError" in str(found["bug"])
    assert "fragile" in found["bug"].__notes__[0]  # the traceback of the process


def test_processes_stop_between_their_steps():
    tasks = {"short": (0.0,), "long": (600.0,), "longer": (600.0,)}
    results = run_tasks(work.endless, tasks, 2, Context(stop=lambda: bool(found)))
    found = []
    found.append(next(results))
    assert found == [("short", 0.0)]
    with pytest.raises(InterruptedRun, match="1 of 3 finished"):
        next(results)


def test_processes_share_the_threads():
    with threadpool_limits(2):
        found = dict(run_tasks(work.threads, {"a": (0,), "b": (0,)}, 2, Context()))
    assert found == {"a": 1, "b": 1}
