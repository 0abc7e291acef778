"""What is said about copies is what was made."""

import json

import h5py
import numpy as np
import pytest

from aenet_gpr_cli.reports.finished_run import made_copies


def copies(path, **config):
    """An artefact with 3 copies of one structure and 6 of two others in another subset."""
    with h5py.File(path, "w") as file:
        keys = {"mode": "gaussian", "displacement": 0.034, "n_copies": 36, "n_total": None, **config}
        file.attrs["config"] = json.dumps(keys)
        for name, parents in (("a", [0, 0, 0]), ("b", [0, 0, 1, 1, 1, 1])):
            group = file.create_group(f"subsets/{name}")
            group["parents"], group["energies"] = parents, np.zeros(len(parents))
            group.attrs["rms_displacement"] = 0.01
    return h5py.File(path)


@pytest.mark.parametrize(
    ("config", "delta", "amount"),
    [({}, 0.034, 36), ({"n_total": 9}, 0.034, 3), ({"mode": "adaptive"}, pytest.approx(0.01), 36)],
)
def test_displacement_and_number_are_those_that_came_out(tmp_path, config, delta, amount):
    with copies(tmp_path / "a.h5", **config) as file:
        made = made_copies(file)
    assert (made["displacement"], made["n_copies"]) == (delta, amount)
