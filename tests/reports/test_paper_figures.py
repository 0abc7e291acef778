"""The paper's figures by number: each drawn from the right tables, all of them in the Makefile."""

import dataclasses
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aenet_gpr_cli.config.reading import read_config
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.reports import bond_curves, finished_run, label_pairs, paper_figures
from aenet_gpr_cli.reports import figure_files as figures
from aenet_gpr_cli.reports.finished_run import read_run
from aenet_gpr_cli.stages.shared.context import Context

MAKEFILE = Path(__file__).parents[2] / "Makefile"


def test_a_numbered_figure_is_called_by_its_number(finished, tmp_path):
    figures.run(finished, tmp_path, Context(), ["2a-d", "S12"])
    assert {path.name for path in tmp_path.iterdir()} == {
        "figure_2a-d.pdf", "figure_2a-d.png", "figure_S12.pdf", "figure_S12.png"
    }  # fmt: skip


def test_curves_along_the_bond_are_the_stored_energies_and_their_slope(finished):
    run = read_run(finished)
    (energy,) = bond_curves.curves(run, {"gpr": ""}, "energy")
    (force,) = bond_curves.curves(run, {"gpr": ""}, "force")
    test = next(iter(load_split(run.split, "test").values()))
    assert np.all(np.diff(energy.lengths) > 0)
    assert sorted(energy.target) == sorted(test.energies)
    # -dE/dr by central differences of target and prediction; the grid is coarse on the steep side
    inner = slice(60, -1)
    for values, slopes in ((energy.target, force.target), (energy.predicted[0], force.predicted[0])):
        slope = -np.gradient(values, energy.lengths)
        assert np.abs(slopes[inner]).max() > 0.5
        assert np.allclose(slope[inner], slopes[inner], atol=0.01)


def test_copies_are_marked_at_their_bond_lengths(finished):
    (curve,) = bond_curves.curves(read_run(finished), {"ann_gpr": ""}, "energy")
    copies, training = curve.points
    expected = np.concatenate([training.lengths - 0.055, training.lengths + 0.055])
    assert np.allclose(np.sort(copies.lengths), np.sort(expected))


def test_figure_7_is_drawn_from_the_artefact_of_benchmark(tmp_path):
    cutoffs = ((6.5, 4.0), (8.5, 6.0))
    fixed = {
        "mode": "direct", "optimiser": "adamw", "batch_size": 32, "processes": 1, "n_molecules": 0,
        "n_atoms": 11, "peak_memory": 2**30,
    }  # fmt: skip
    table = [
        fixed | {"radial_cutoff": radial, "angular_cutoff": angular, "seconds_per_epoch": radial}
        for radial, angular in cutoffs
    ]
    with publish(tmp_path / "benchmark.h5", Job("benchmark", {}, {})) as file:
        file.attrs["table"] = json.dumps(table)
    figure = paper_figures.draw("7", tmp_path)
    assert list(figure.axes[0].lines[0].get_ydata()) == [6.5, 8.5]


def row(model, method, delta, error, copies=4, mode="random"):
    return {
        "model": model, "method": method, "mode": mode, "displacement": delta, "n_copies": copies,
        "force_norm_mae": error, "energy_mae": 1.0, "force_fraction": 0.0,
    }  # fmt: skip


def test_the_best_of_the_sweep_over_delta_stands_for_its_method(finished):
    rows = (
        row("ann_direct_10", None, None, 0.1) | {"force_fraction": 0.1},
        row("ann_direct", None, None, 0.1) | {"force_fraction": 0.5},
        row("ann_energy_only", None, None, 3.0),
        row("ann_gpr_a", "gpr", 0.01, 0.3),
        row("ann_gpr_b", "gpr", 0.03, 0.2),
        row("ann_gpr_c", "gpr", 0.03, 0.1, copies=8),  # better, but with more copies than Taylor's
        row("ann_gpr_d", "gpr", 0.05, 0.05, mode="adaptive"),
        row("ann_taylor_a", "taylor", 0.01, 0.4),
    )
    run = dataclasses.replace(read_run(finished), rows=rows)
    assert list(finished_run.shown_models(run).items()) == [
        ("ann_energy_only", ""),
        ("ann_taylor_a", ""),
        ("ann_gpr_b", "δ = 0.03 Å, M = 4"),
        ("ann_direct", ""),
    ]


def test_all_shares_of_the_forces_stand_in_the_comparison_of_modes(finished):
    rows = tuple(
        row(f"ann_direct_{share}", None, None, 0.1) | {"force_fraction": share / 100} for share in (10, 100)
    )
    run = dataclasses.replace(read_run(finished), rows=(*rows, row("ann_gpr", "gpr", 0.03, 0.2)))
    assert list(finished_run.best_models(run)) == ["ann_gpr", "ann_direct_10", "ann_direct_100"]
    assert list(finished_run.shown_models(run)) == ["ann_gpr", "ann_direct_100"]


def test_modes_are_compared_with_the_surrogate(finished):
    labels = [text.get_text() for text in paper_figures.draw("modes", finished).axes[0].get_yticklabels()]
    assert labels == ["GP (surrogate)", "energy only", "Taylor-ANN", "GPR-ANN", "direct forces"]


def test_the_recipe_of_the_paper_stands_in_rows_of_its_own_among_the_modes(finished):
    axis = paper_figures.draw("modes", finished, finished).axes[0]
    labels = [text.get_text() for text in axis.get_yticklabels()]
    assert labels[5] == "GP, as in the paper"
    assert labels[6:] == [f"{label}, as in the paper" for label in labels[1:5]]
    colours = [line.get_color() for line in axis.lines if line.get_marker() == "o"]
    assert colours[5:] == colours[:5]


def test_the_recipe_of_the_paper_is_one_dashed_curve_in_the_panel_of_its_mode(finished):
    figure = paper_figures.draw("2a-d", finished, finished)
    for axis in figure.axes:
        dashed = [line for line in axis.lines if line.get_label() == "as in the paper"]
        predicted = [line for line in axis.lines if line.get_label() == "predicted"]
        assert [list(line.get_ydata()) for line in dashed] == [list(line.get_ydata()) for line in predicted]


def test_a_recipe_with_other_test_structures_is_refused(finished):
    ours = bond_curves.curves(read_run(finished), {"gpr": ""}, "energy")
    others = [dataclasses.replace(curve, lengths=curve.lengths + 0.1) for curve in ours]
    with pytest.raises(InputError, match="test structures"):
        bond_curves.beside_the_paper(ours, others)


def test_of_a_recipe_its_sweep_is_shown_or_else_its_one_point(finished):
    run = read_run(finished)
    assert finished_run.rows_of_recipe(run, "displacement") == list(run.rows)
    rows = (
        row("ann_energy_only", None, None, 3.0),
        row("ann_gpr_a", "gpr", 0.01, 0.3),
        row("ann_gpr_b", "gpr", 0.03, 0.2),
        row("ann_gpr_c", "gpr", 0.03, 0.1, copies=8),
        row("ann_gpr_d", "gpr", 0.05, 0.05, mode="adaptive"),
    )
    swept = finished_run.rows_of_recipe(dataclasses.replace(run, rows=rows), "displacement")
    assert [r["model"] for r in swept] == ["ann_energy_only", "ann_gpr_a", "ann_gpr_b"]


def test_figures_without_a_place_for_the_recipe_say_so(finished, tmp_path):
    with pytest.raises(InputError, match="2a-d, 2e-h, 3, 5, S8, S9, modes"):
        paper_figures.draw("4", finished, finished)
    with pytest.raises(InputError, match="by their numbers"):
        figures.run(finished, tmp_path, Context(), paper=finished)


@pytest.mark.parametrize("case", ["h2", "ec_dimer", "li_ec"])
def test_the_makefile_draws_the_recipe_of_the_paper_beside_ours(case):
    plan = subprocess.run(
        ["make", "--dry-run", "--always-make", f"paper-{case.replace('_', '-')}"],
        cwd=MAKEFILE.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert plan.returncode == 0, plan.stderr
    assert f"run configs/{case}/paper.yaml" in plan.stdout
    (drawn,) = [line for line in plan.stdout.splitlines() if " figures " in line]
    assert f"figures runs/{case}/displacements --paper runs/{case}/paper" in drawn
    assert set(re.findall(r"--figure (\S+)", drawn)) <= set(paper_figures.BESIDE)


def test_labels_are_compared_where_both_methods_took_the_same_delta(finished):
    run = read_run(finished)
    assert label_pairs.differences(run) == {}  # 0.055 by the GP, 0.008 by Taylor expansion
    for number in ("S13b", "S13c"):
        with pytest.raises(InputError, match="same δ"):
            paper_figures.draw(number, finished)


def test_subsets_are_written_as_formulae_with_their_source_and_numbers(finished):
    (cell,) = paper_figures.draw("S16", finished).subfigs
    assert cell.get_suptitle() == "H₂"
    assert cell.get_supxlabel() == "h2 train, 7 + 200"


def test_labels_of_both_methods_are_subtracted_copy_by_copy(two_subsets):
    run = read_run(two_subsets)
    (delta,) = differences = label_pairs.differences(run)
    assert delta == 0.02
    assert len(differences[delta]) == 2 * 8 * 3  # subsets, parents, copies
    assert np.abs(differences[delta]).max() > 1e-3


def test_the_cut_goes_through_the_structure_along_its_force_to_the_labels(two_subsets):
    cut = label_pairs.cut(read_run(two_subsets))
    assert cut.labels["taylor"] == pytest.approx(cut.slope * cut.copy)
    on_surface = np.interp([0.0, cut.copy], cut.distances, cut.surface)
    assert on_surface == pytest.approx([0.0, cut.labels["gpr"]], abs=2e-3)
    slope = np.gradient(cut.surface, cut.distances)[len(cut.distances) // 2]
    assert slope == pytest.approx(cut.slope, rel=0.1)
    assert paper_figures.draw("S13c", two_subsets).axes


def test_kernels_are_told_apart_with_the_surrogate_last(two_subsets):
    kernels = finished_run.kernels_of(read_run(two_subsets))
    assert list(kernels.items()) == [
        ("gpr_cartesian_before", "ℓ = 0.4 Å"),
        ("gpr", "1/r, ℓ = 1"),
    ]
    titles = [axis.get_title() for axis in paper_figures.draw("S18", two_subsets).axes[:2]]
    assert titles == ["GP, cartesian before\nℓ = 0.4 Å", "GP (surrogate)\n1/r, ℓ = 1"]


CONFIGS = MAKEFILE.parent / "configs"
FULL = [*CONFIGS.glob("*/displacements.yaml"), CONFIGS / "heterogeneous/workflow.yaml"]
REDUCED = [CONFIGS / case / "fast.yaml" for case in ("ec_dimer", "li_ec", "heterogeneous")]


@pytest.mark.parametrize("path", [*FULL, *REDUCED], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_figures_are_drawn_from_runs_with_forces_and_copies_and_a_local_process(path):
    _, config = read_config("workflow", path)
    compared = dict(config.compare_gpr)
    assert compared.pop("local").model == "local"
    assert {kernel.model for kernel in (config.fit_gpr, *compared.values())} == {"full"}
    combined = config.train_ann["combined"]
    assert (combined.mode, combined.loss.balance) == ("combined", "evidence")
    members = {training.n_members for training in config.train_ann.values()}
    assert members == ({10} if path in FULL else {2})


def test_forces_and_copies_and_the_local_process_stand_in_the_figures(two_subsets):
    subsets = paper_figures.draw("S10", two_subsets)
    shown = [text.get_text() for text in subsets.legends[0].get_texts()]
    assert shown == ["GPR-ANN", "direct forces", "forces and copies", "GP (surrogate)", "local GP"]
    mean, spread = subsets.axes
    assert np.isfinite(mean.lines[-1].get_ydata()).all()
    assert not np.isfinite(spread.lines[-1].get_ydata()).any()  # σ of a process is no spread of members
    titles = [axis.get_title().replace("\n", " ") for axis in paper_figures.draw("4", two_subsets).axes[:4]]
    assert titles[2:] == ["forces and copies", "local GP"]
    labels = [text.get_text() for text in paper_figures.draw("modes", two_subsets).axes[0].get_yticklabels()]
    assert labels[:2] == ["GP (surrogate)", "local GP"]


def test_processes_stand_beside_the_sweep(two_subsets):
    run = read_run(two_subsets)
    rows = finished_run.process_rows(run)
    assert [r["model"] for r in rows] == ["gpr", "gpr_local"]
    assert all(r["method"] is None and not any("spread" in key for key in r) for r in rows)
    assert rows[1]["energy_mae"] == run.totals["gpr_local"]["energy_mae"]


def test_errors_of_labels_are_the_second_order_that_taylor_expansion_leaves(finished):
    run = read_run(finished)
    rows = [row for row in run.rows if row["method"]]
    errors = bond_curves.label_errors(run, rows)
    assert set(errors) == {"gpr", "taylor"}
    assert 0 < errors["gpr"][0.055] < 5e-3 < 0.2  # the GP is that good on this curve
    # a second-order remainder: half the curvature times δ², averaged over the references
    (training,) = load_split(run.split, "train").values()
    lengths = np.linalg.norm(training.positions[:, 1] - training.positions[:, 0], axis=1)
    (curve,) = bond_curves.curves(run, {"gpr": ""}, "force")
    curvature = np.interp(lengths, curve.lengths, -np.gradient(curve.target, curve.lengths))
    assert errors["taylor"][0.008] == pytest.approx(0.5 * 0.008**2 * np.abs(curvature).mean(), rel=0.2)


def test_a_figure_that_the_run_cannot_give_is_told(finished):
    with pytest.raises(InputError, match="several values of displacement"):
        paper_figures.draw("3", finished)
    with pytest.raises(InputError, match=r"figure 99: expected one of 2a-d"):
        paper_figures.draw("99", finished)


@pytest.mark.parametrize("target", ["figures", "figures-fast"])
def test_the_makefile_draws_every_figure_once(target):
    plan = subprocess.run(
        ["make", "--dry-run", "--always-make", target], cwd=MAKEFILE.parent, capture_output=True, text=True
    )
    assert plan.returncode == 0, plan.stderr
    assert sorted(re.findall(r"--figure (\S+)", plan.stdout)) == sorted(paper_figures.FIGURES)
