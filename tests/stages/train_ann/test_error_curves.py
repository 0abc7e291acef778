"""Learning curves in units: where they end are the errors of the potential on what it was trained on."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.ann.training_settings import Loss, Training
from aenet_gpr_cli.io.artefacts.stored_anns import load_ann
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.stages.train_ann.members import read_error_curves

STORED = Path(__file__).parents[2] / "data" / "artefacts_0.1.0"


def errors_of_members(folder, name):
    """Errors of energies, eV, and of force components, eV/Å, on the training structures: a row a member."""
    model = load_ann(folder / f"{name}.h5")
    energies, forces = [], []
    for structures in load_split(folder / "split.h5", "train").values():
        found = predict(model, structures, True, 64)
        energies.append(found[0] - structures.energies)
        forces.append((found[1] - structures.forces).reshape(model.n_members, -1))
    return np.concatenate(energies, axis=1), np.concatenate(forces, axis=1)


def last_of(curves):
    """Return where the curve of each member ends."""
    return np.array([curve[np.isfinite(curve)][-1] for curve in curves.training.T])


def test_errors_of_energies_are_those_of_the_potential(finished):
    curves = read_error_curves(finished / "ann_energy_only.h5")
    assert curves.quantity == "error (meV per structure)"
    energies, _ = errors_of_members(finished, "ann_energy_only")
    assert curves.training[0].min() > 100 * last_of(curves).max()
    np.testing.assert_allclose(last_of(curves), 1000 * np.sqrt((energies**2).mean(axis=1)), rtol=1e-3)
    assert np.isnan(curves.validation).all()


def test_weighted_errors_count_energies_and_forces_as_the_loss_does(finished):
    curves = read_error_curves(finished / "ann_direct.h5")
    assert curves.quantity == "weighted error (meV)"
    with h5py.File(finished / "ann_direct.h5") as file:
        alpha = json.loads(file.attrs["config"])["loss"]["alpha"]
    energies, forces = errors_of_members(finished, "ann_direct")
    square = (1 - alpha) * (energies**2).mean(axis=1) + alpha * 3 * (forces**2).mean(axis=1)
    np.testing.assert_allclose(last_of(curves), 1000 * np.sqrt(square), rtol=1e-3)


def test_an_old_potential_has_errors_too():
    with h5py.File(STORED / "ann_gpr.h5") as file:
        losses, scale = file["history/training_loss"][()], file["model"].attrs["energy_scale"]
    curves = read_error_curves(STORED / "ann_gpr.h5")
    np.testing.assert_allclose(curves.training, 1000 * scale * np.sqrt(losses))
    assert curves.quantity == "error (meV per structure)"


@pytest.mark.parametrize(
    ("keys", "loss", "words"),
    [
        ({"mode": "gpr"}, {"per": "atom"}, ("error", "meV per atom")),
        ({"mode": "direct"}, {}, ("weighted error", "meV")),
        ({"mode": "direct"}, {"alpha": 0.0}, ("error", "meV per structure")),
        ({"mode": "gpr"}, {"balance": "evidence"}, ("weighted error", "meV")),
        ({"mode": "energy_only"}, {"balance": "evidence"}, ("error", "meV per structure")),
    ],
)
def test_what_a_loss_weighs_is_called_weighted(keys, loss, words):
    assert Training(**keys, loss=Loss(**loss)).error_words == words


def test_a_root_is_an_error_already():
    assert Loss(form="rmse").error_of(0.5, 2.0) == 1000.0
    assert Loss(form="mse").error_of(0.25, 2.0) == 1000.0
