"""`show` says what matters first, of a file and of a folder."""

import json
import re

import h5py
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.stages.inspection import show


def test_a_network_begins_with_cutoffs_layers_and_errors(finished):
    first = dict(show(finished / "ann_gpr.h5")[0].rows)
    with h5py.File(finished / "ann_gpr.h5") as file:
        config = json.loads(file.attrs["config"])
    network = config["network"]
    assert first["mode"] == "gpr"
    assert first["cutoffs"].startswith(f"radial {network['radial_cutoff']:g} Å")
    assert first["layers"].startswith(" – ".join(map(str, network["hidden"])))
    assert first["members"] == str(config["n_members"])
    total = json.loads((finished / "metrics.json").read_text())["ann_gpr"]["total"]
    assert f"energies {1000 * total['energy_rmse_per_atom']:.3g} meV per atom" in first["errors (RMSE)"]


def test_errors_of_another_potential_of_the_same_name_are_not_shown(finished, tmp_path):
    (tmp_path / "metrics.h5").write_bytes((finished / "metrics.h5").read_bytes())
    (tmp_path / "ann_gpr.h5").write_bytes((finished / "ann_direct.h5").read_bytes())
    assert "errors (RMSE)" not in dict(show(tmp_path / "ann_gpr.h5")[0].rows)


def test_a_gaussian_process_begins_with_its_kernel(finished):
    ((_, kernel), (_, signal), *_) = show(finished / "gpr.h5")[0].rows
    assert re.search(r"length scale [0-9.]+", kernel)
    assert signal.endswith(" eV")


def test_a_folder_is_told_with_its_verdict(finished):
    contents, evaluated = show(finished)
    assert {"split.h5", "gpr.h5", "metrics.h5"} <= {row[0] for row in contents.rows}
    assert evaluated.closing[0].startswith("Verdict: use ")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected an artefact, or a folder with artefacts"):
        show(tmp_path)
