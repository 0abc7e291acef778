"""Figures of a finished run: which come out, and that sweeps find the augmentation behind each network."""

import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.reports import figure_files as figures
from aenet_gpr_cli.reports.finished_run import read_run
from aenet_gpr_cli.stages.shared.context import Context


def test_what_the_folder_holds_is_drawn_as_vector_and_pixel_pictures(finished, tmp_path):
    figures.run(finished, tmp_path / "out", Context())
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {
        f"{name}{suffix}"
        for name in ("errors", "parity", "energies", "augmented")
        for suffix in (".pdf", ".png")
    }
    assert (tmp_path / "out" / "parity.pdf").read_bytes().startswith(b"%PDF")


def test_each_network_is_joined_with_the_copies_it_was_trained_on(finished):
    run = read_run(finished)
    rows = {row["model"]: row for row in run.rows}
    assert "gpr" not in rows  # the surrogate is no network
    found = {name: (row["method"], row["displacement"]) for name, row in rows.items()}
    assert found == {
        "ann_energy_only": (None, None),
        "ann_direct": (None, None),
        "ann_gpr": ("gpr", 0.055),
        "ann_taylor": ("taylor", 0.008),
    }
    assert rows["ann_gpr"]["energy_mae"] == run.totals["ann_gpr"]["energy_mae"]


def test_a_folder_without_an_evaluation_is_told(tmp_path):
    with pytest.raises(InputError, match=r"expected metrics\.h5"):
        figures.run(tmp_path, tmp_path / "out", Context())
    assert not (tmp_path / "out").exists()
