"""Parity figures show the samples, with common limits and units."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.parity_samples import ParitySamples
from aenet_gpr_cli.figures import parity_plot
from aenet_gpr_cli.figures.style import mode_style


def samples(n_energies: int = 20, n_atoms: int = 50, seed: int = 0) -> ParitySamples:
    rng = np.random.default_rng(seed)
    energies, norms = rng.uniform(0, 2, n_energies), rng.uniform(0.5, 8, n_atoms)
    angles = rng.uniform(0, 180, n_atoms)
    return ParitySamples(energies, energies + 0.1, norms, norms + 0.2 * rng.uniform(0, 1, n_atoms), angles)


def points(axis) -> np.ndarray:
    return np.asarray(axis.collections[0].get_offsets())


def test_panels_show_the_samples_in_the_colour_of_the_model():
    shown = {"ann_energy_only": samples(seed=1), "ann_gpr": samples(seed=2)}
    axes = np.reshape(parity_plot.plot(shown, {}).axes, (3, 2))
    for column, (name, item) in enumerate(shown.items()):
        assert np.allclose(points(axes[0, column]).T, [item.reference_energies, item.predicted_energies])
        assert np.allclose(points(axes[1, column]).T, [item.reference_norms, item.predicted_norms])
        assert np.allclose(points(axes[2, column]).T, [item.reference_norms, item.direction_errors])
        colour = axes[0, column].collections[0].get_facecolor()[0]
        assert np.allclose(colour[:3], to_rgba(mode_style(name).colour)[:3])
        assert axes[0, column].get_title() == mode_style(name).label


def test_axes_carry_units():
    axes = parity_plot.plot({"ann_gpr": samples()}, {}).axes
    assert [a.get_ylabel() for a in axes] == [
        "predicted E\nabove lowest (eV)",
        "predicted ‖F‖ (eV/Å)",
        "error of direction (°)",
    ]
    assert [a.get_xlabel() for a in axes] == [
        "reference E\nabove lowest (eV)",
        "reference ‖F‖ (eV/Å)",
        "reference ‖F‖ (eV/Å)",
    ]


def test_energies_say_from_where_they_count():
    axis = parity_plot.plot({"ann_gpr": replace(samples(), zero="above fitted atoms")}, {}).axes[0]
    assert axis.get_xlabel() == "reference E\nabove fitted atoms (eV)"


def test_every_sample_lies_within_limits_common_to_all_models():
    wide = samples(seed=3)
    wide = ParitySamples(
        wide.reference_energies,
        wide.predicted_energies * 3 - 2,
        wide.reference_norms,
        wide.predicted_norms * 2,
        wide.direction_errors,
    )
    axes = np.reshape(parity_plot.plot({"ann_gpr": samples(), "ann_direct": wide}, {}).axes, (3, 2))
    for row, pair in ((0, (wide.reference_energies, wide.predicted_energies)), (1, (wide.predicted_norms,))):
        for axis in axes[row]:
            assert axis.get_xlim() == axis.get_ylim() == axes[row, 0].get_xlim()
            low, high = axis.get_xlim()
            assert all(low <= values.min() and values.max() <= high for values in pair)
    assert axes[2, 0].get_ylim() == (0, 180)


def test_mean_errors_come_from_the_metrics():
    metrics = {"ann_gpr": {"energy_mae": 0.0042, "force_norm_mae": 0.033, "force_direction_mae": 1.8}}
    axes = parity_plot.plot({"ann_gpr": samples()}, metrics).axes
    assert [axis.texts[0].get_text() for axis in axes] == ["MAE 4.20 meV", "MAE 0.0330 eV/Å", "MAE 1.80°"]


def test_many_points_become_a_density_that_counts_every_point():
    item = samples(n_atoms=parity_plot.MANY_POINTS + 1)
    axes = parity_plot.plot({"ann_gpr": item}, {}).axes
    for axis in axes[1:3]:
        assert axis.collections[0].get_array().sum() == parity_plot.MANY_POINTS + 1
    assert axes[-1].get_ylabel() == "atoms per bin"


def test_densities_of_all_models_share_one_colour_scale():
    many = parity_plot.MANY_POINTS + 1
    shown = {"ann_gpr": samples(n_atoms=many), "ann_direct": samples(n_atoms=4 * many)}
    first, second = parity_plot.plot(shown, {}).axes[2:4]
    assert first.collections[0].norm is second.collections[0].norm
    assert first.collections[0].norm.vmax >= second.collections[0].get_array().max()


def test_without_forces_only_energies_are_drawn():
    empty = np.zeros(0)
    item = ParitySamples(np.arange(3.0), np.arange(3.0), empty, empty, empty)
    assert len(parity_plot.plot({"gpr": item}, {}).axes) == 1


def test_atoms_without_a_direction_are_left_out():
    item = ParitySamples(
        np.arange(2.0), np.arange(2.0), np.array([0.0, 1.0]), np.array([0.1, 1.0]), np.array([np.nan, 5.0])
    )
    assert points(parity_plot.plot({"gpr": item}, {}).axes[2]).tolist() == [[1.0, 5.0]]


def test_nothing_to_draw_is_an_error():
    with pytest.raises(InputError, match="at least one model"):
        parity_plot.plot({}, {})


@pytest.mark.parametrize("n_models", [1, 3, 5])
def test_labels_of_axes_lie_within_the_figure_and_apart(n_models):
    figure = parity_plot.plot({f"ann_{i}": samples() for i in range(n_models)}, {})
    figure.draw_without_rendering()
    for axis in figure.axes:
        for label in (axis.xaxis.label, axis.yaxis.label):
            box = label.get_window_extent()
            assert 0 <= box.x0 <= box.x1 <= figure.bbox.x1
            assert 0 <= box.y0 <= box.y1 <= figure.bbox.y1
    below = [axis.xaxis.label.get_window_extent() for axis in figure.axes[:n_models]]
    assert all(first.x1 < second.x0 for first, second in itertools.pairwise(below))


def test_titles_lie_within_the_figure_and_apart():
    names = ["gpr", "ann_energy_only", "ann_taylor", "ann_gpr", "ann_direct", "ann_combined"]
    figure = parity_plot.plot({name: samples() for name in names}, {})
    figure.draw_without_rendering()
    boxes = [axis.title.get_window_extent() for axis in figure.axes[: len(names)]]
    assert all(0 <= box.x0 <= box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(first.x1 < second.x0 for first, second in itertools.pairwise(boxes))
