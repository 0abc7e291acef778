"""Virials among what networks are trained on: rows, gradients, kinds, and that they teach the stress."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from aenet_gpr_cli.ann.curvature.normal_equations import ByKind, normal_equations, weighted_rows
from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.network.architecture import to_layers
from aenet_gpr_cli.ann.potential.prediction import predict_with_strain
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt, Loss
from tests.ann.ann_helpers import Forces, changed, molecules
from tests.ann.loss.test_objective import build, central_difference

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def crystals(n=5, seed=3):
    """Periodic boxes with any stress, not known of the second."""
    rng = np.random.default_rng(seed)
    free = molecules(("O", "H", "H", "O"), n, seed)
    stress = 0.02 * rng.normal(size=(n, 3, 3))
    stress += stress.swapaxes(1, 2)
    stress[1] = np.nan
    cells = 4.2 * np.eye(3) + 0.2 * rng.normal(size=(n, 3, 3))
    return replace(free, cells=cells, pbc=(True, True, True), stress=stress)


@pytest.fixture
def mixed():
    """Crystals with stress, and molecules without."""
    return TrainingSet.collect([crystals(), molecules(("H", "H", "H"), 4, 2)], [], None)


LOSSES = [Loss(per="atom", alpha=0.3, beta=0.7), Loss(per="structure", alpha=0.5, beta=0.2)]


@pytest.mark.parametrize("activation", ["tanh", "twist"])  # compiled, and by tensors
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("memory", [0, 2**30])
def test_rows_and_gradient_equal_finite_differences(mixed, basis, settings, activation, loss, memory):
    settings = changed(
        settings, activation=activation, loss=loss, forces=Forces(0.5, "components", memory), bootstrap=True
    )
    objective, weights, index = build(mixed, basis, settings)
    blocks = list(weighted_rows(objective, weights, index))
    rows, residuals = (torch.cat(parts, dim=1) for parts in zip(*blocks, strict=True))
    columns = range(0, weights.shape[1], 7)

    def found(w):
        return torch.cat([r for _, r in weighted_rows(objective, w, index)], dim=1)

    expected = central_difference(found, weights, columns).transpose(1, 2)
    assert torch.allclose(rows[:, :, ::7], expected, rtol=1e-5, atol=1e-7)
    sums = objective.sums(weights, index)
    gradient = torch.empty_like(weights)
    assert torch.allclose(objective.gradient(weights, index, gradient).loss(loss), sums.loss(loss))
    assert torch.allclose(residuals.square().sum(1), sums.loss(loss), rtol=1e-12)
    _, half, value = normal_equations(objective, weights, index)
    assert torch.allclose(2 * half, gradient, rtol=1e-9, atol=1e-12)
    assert torch.allclose(objective.pull(weights, index, residuals_of(objective, weights, index)), half)
    assert value == pytest.approx(sums.loss(loss))
    assert objective.rows_by_kind(index)[:, 3].max() > 0


def residuals_of(objective, weights, index):
    return objective.residuals(weights, index)


@pytest.mark.parametrize("form", ["mse", "rmse"])
def test_the_gradient_of_either_form(mixed, basis, settings, form):
    loss = Loss(form=form, alpha=0.3, beta=0.7)
    objective, weights, index = build(
        mixed, basis, changed(settings, loss=loss, forces=Forces(1.0, "components", 0))
    )
    gradient, batch = torch.empty_like(weights), index[[0, 2, 3, 6]]
    objective.gradient(weights, batch, gradient)
    columns = range(0, weights.shape[1], 5)
    expected = central_difference(lambda w: objective.sums(w, batch).loss(loss), weights, columns)
    assert torch.allclose(gradient[:, ::5], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("per", ["atom", "structure"])
def test_the_virial_part_of_the_loss_is_that_of_the_predicted_stress(mixed, basis, settings, per):
    loss = Loss(per=per, alpha=0.3, beta=0.4)
    settings = changed(settings, loss=loss, forces=Forces(1.0, "components", 0))
    objective, weights, index = build(mixed, basis, settings)
    result = train(mixed, basis, changed(settings, adamw=replace(settings.adamw, epochs=1)), 1)
    model = replace(
        result.model,
        weights=to_layers(objective.architecture, weights.numpy()),
        energy_scale=result.model.energy_scale,
    )
    boxes = crystals()
    known = [0, 2, 3, 4]
    strain = predict_with_strain(model, boxes, 8)[2][:, known]
    volume = np.abs(np.linalg.det(boxes.cells[known]))[:, None, None]
    error = strain - volume * boxes.stress[known]
    components = np.stack([error[..., a, b] for a, b in VOIGT], -1) / model.energy_scale
    components /= 4.0 if per == "atom" else 1.0
    found = objective.sums(weights, index).means()[2]
    np.testing.assert_allclose(found, (components**2).mean((1, 2)), rtol=1e-9)


def test_kinds_add_up_and_count(mixed, basis, settings):
    optimiser = LevenbergMarquardt(iterations=3)
    settings = changed(
        settings,
        optimizer=optimiser,
        loss=Loss(alpha=0.3, beta=0.4, balance="evidence"),
        forces=Forces(1.0, "components", 0),
    )
    objective, weights, index = build(mixed, basis, settings)
    assert objective.rows_by_kind(index)[0].tolist() == [9, 0, 5 * 12 + 4 * 9, 4 * 6]
    apart = ByKind.zeros((0, 2, 3), weights)
    whole = normal_equations(objective, weights, index, apart)
    plain = normal_equations(objective, weights, index)
    for one, other in zip(whole, plain, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-14)
    means = objective.sums(weights, index).means()
    assert torch.allclose(apart.losses[2], 0.4 * means[2], rtol=1e-10)
    assert torch.allclose(apart.losses[1], 0.3 * means[1], rtol=1e-10)


@pytest.mark.parametrize("balance", ["alpha", "evidence"])
def test_virials_teach_the_stress(basis, settings, balance):
    teacher_set = TrainingSet.collect([crystals(6)], [], None)
    base = changed(settings, forces=Forces(1.0, "components", 2**30), n_members=1)
    teacher = train(teacher_set, basis, changed(base, adamw=replace(base.adamw, epochs=1)), 1).model
    labelled = {}
    for name, n, seed in (("train", 8, 5), ("test", 6, 6)):
        boxes = crystals(n, seed)
        energies, forces, strain = predict_with_strain(teacher, boxes, 8)
        stress = strain[0] / np.abs(np.linalg.det(boxes.cells))[:, None, None]
        labelled[name] = replace(boxes, energies=energies[0], forces=forces[0], stress=stress)
    errors = []
    for beta in (0.0, 0.5):
        loss = Loss(alpha=0.3, beta=beta, balance=balance, force_fraction=0.1)
        pupil = changed(
            settings,
            mode="direct",
            optimizer=LevenbergMarquardt(iterations=15),
            loss=loss,
            n_members=1,
            validation_fraction=0.0,
        )
        model = train(TrainingSet.collect([labelled["train"]], [], None), basis, pupil, 2).model
        strain = predict_with_strain(model, labelled["test"], 8)[2][0]
        volume = np.abs(np.linalg.det(labelled["test"].cells))[:, None, None]
        errors.append(np.abs(strain / volume - labelled["test"].stress).mean())
    assert errors[1] < 0.7 * errors[0]


def test_without_stress_or_weight_nothing_changes(data, basis, settings, mixed):
    on = changed(settings, loss=Loss(beta=0.5), forces=Forces(0.5, "components", 0))
    off = changed(on, loss=replace(on.loss, beta=0.0))
    for case in (data, mixed):
        with_virials, weights, index = build(case, basis, on)
        without, _, _ = build(case, basis, off)
        same = torch.equal(
            with_virials.sums(weights, index).loss(on.loss), without.sums(weights, index).loss(off.loss)
        )
        assert same == (case is data)


def test_of_slabs_the_components_in_the_plane_are_trained_on(basis, settings):
    loss = Loss(per="structure", alpha=0.3, beta=0.4)
    settings = changed(settings, loss=loss, forces=Forces(1.0, "components", 0))
    slabs = replace(crystals(), pbc=(True, True, False))
    flat = slabs.cells.copy()
    flat[:, :2, 2] = 0.0
    slabs = replace(slabs, cells=flat)
    objective, weights, index = build(TrainingSet.collect([slabs], [], None), basis, settings)
    assert objective.rows_by_kind(index)[0, 3] == 4 * 3
    wrong = slabs.stress.copy()
    wrong[:, 2, :] = wrong[:, :, 2] = 7.0  # of the vacuum: not looked at
    other, _, _ = build(TrainingSet.collect([replace(slabs, stress=wrong)], [], None), basis, settings)
    assert torch.equal(other.sums(weights, index).virial, objective.sums(weights, index).virial)
    wrong[:, 0, 1] = wrong[:, 1, 0] = 7.0
    other, _, _ = build(TrainingSet.collect([replace(slabs, stress=wrong)], [], None), basis, settings)
    assert not torch.equal(other.sums(weights, index).virial, objective.sums(weights, index).virial)


@pytest.mark.parametrize("memory", [0, 2**30])
@pytest.mark.parametrize("activation", ["tanh", "twist"])
def test_a_slab_in_any_direction_teaches_the_same(basis, settings, memory, activation):
    settings = changed(
        settings,
        activation=activation,
        loss=Loss(per="structure", alpha=0.3, beta=0.4),
        forces=Forces(1.0, "components", memory),
    )
    slabs, turn = replace(crystals(), pbc=(True, True, False)), Rotation.from_euler("xyz", [0.3, -1, 2])
    cells = slabs.cells.copy()
    cells[:, 0, 1:] = cells[:, 1, 2] = 0.0  # the first vector along x, as the axes of tilted ones
    slabs, matrix = replace(slabs, cells=cells), turn.as_matrix()
    tilted = replace(
        slabs,
        positions=slabs.positions @ matrix.T,
        cells=cells @ matrix.T,
        forces=slabs.forces @ matrix.T,
        stress=matrix @ slabs.stress @ matrix.T,
    )
    cases = [build(TrainingSet.collect([s], [], None), basis, settings) for s in (slabs, tilted)]
    for objective, weights, index in cases:
        assert objective.rows_by_kind(index)[0, 3] == 4 * 3
        assert objective.sums(weights, index).virial.min() > 0
    (_, half, value), (_, other, same) = (normal_equations(*case) for case in cases)
    assert torch.allclose(other, half, rtol=1e-8, atol=1e-12)
    assert torch.allclose(same, value, rtol=1e-10)
    objective, weights, index = cases[1]
    rows = torch.cat([r for r, _ in weighted_rows(objective, weights, index)], dim=1)
    expected = central_difference(
        lambda w: torch.cat([r for _, r in weighted_rows(objective, w, index)], dim=1),
        weights,
        range(0, 9, 4),
    ).transpose(1, 2)
    assert torch.allclose(rows[:, :, 0:9:4], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("memory", [0, 2**30])
def test_the_force_on_one_atom_is_no_row_and_its_virial_is(basis, settings, memory):
    """It is zero whatever the energy, and would make the mean error of forces, and their noise, too small."""
    atoms = crystals()
    one = replace(
        atoms,
        species=("O",),
        positions=atoms.positions[:, :1],
        cells=atoms.cells / 2,
        forces=np.zeros((5, 1, 3)),
    )
    parts = [one, replace(one, stress=None), molecules(("H", "H", "H"), 4, 2)]
    settings = changed(settings, loss=LOSSES[0], forces=Forces(1.0, "components", memory))
    objective, weights, index = build(TrainingSet.collect(parts, [], None), basis, settings)
    assert objective.rows_by_kind(index)[0].tolist() == [14, 0, 4 * 9, 4 * 6]  # one stress is not known
    alone, *_ = build(TrainingSet.collect(parts[2:], [], None), basis, settings)
    assert alone.rows_by_kind(index[:4])[0].tolist() == [4, 0, 4 * 9, 0]
    columns = range(0, weights.shape[1], 7)
    gradient = torch.empty_like(weights)
    objective.gradient(weights, index, gradient)
    expected = central_difference(lambda w: objective.sums(w, index).loss(objective.loss), weights, columns)
    assert torch.allclose(gradient[:, ::7], expected, rtol=1e-5, atol=1e-7)
    for few in (parts[:1], parts[1:2]):  # no force at all
        objective, weights, index = build(TrainingSet.collect(few, [], None), basis, settings)
        residuals = objective.residuals(weights, index)
        assert torch.isfinite(residuals).all()
        sums = objective.gradient(weights, index, torch.empty_like(weights))
        assert torch.allclose(objective.mean_square(residuals), sums.loss(objective.loss))
