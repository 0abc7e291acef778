"""The exported metatomic model gives our numbers through metatomic's own ASE calculator."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from aenet_gpr_cli.ann.network.architecture import ACTIVATIONS
from aenet_gpr_cli.ann.potential.network_sigma import NetworkSigma, pack_triangles
from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.stages import exchange_stage as aenet_files
from aenet_gpr_cli.stages.shared.context import Context
from tests.calculators.conftest import crystal, dimer, random_committee  # noqa: F401

pytest.importorskip("metatomic.torch", reason="needs the extra metatomic")

from metatomic.torch import ModelOutput
from metatomic_ase import MetatomicCalculator

from aenet_gpr_cli.io.formats.metatomic import write_metatomic


def calculator(model, folder, **keys):
    path = folder / "model.pt"
    write_metatomic(model, path, "test")
    assert [p.name for p in folder.iterdir()] == ["model.pt"]
    return MetatomicCalculator(str(path), device="cpu", uncertainty_threshold=None, **keys)


def same(atoms, model, calc, stress):
    ours = ANNCalculator(model)
    assert np.abs(ours.get_forces(atoms)).max() > 1e-3
    assert calc.get_potential_energy(atoms) == pytest.approx(ours.get_potential_energy(atoms), abs=1e-11)
    np.testing.assert_allclose(calc.get_forces(atoms), ours.get_forces(atoms), atol=1e-11)
    if stress:
        np.testing.assert_allclose(calc.get_stress(atoms), ours.get_stress(atoms), atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_energies_and_forces_are_ours(tmp_path, dimer, activation):  # noqa: F811
    model = random_committee(activation=activation)
    same(dimer, model, calculator(model, tmp_path), False)


@pytest.mark.parametrize("pbc", [True, (True, True, False)], ids=str)
def test_periodic_structures_with_stress(tmp_path, crystal, pbc):  # noqa: F811
    crystal.pbc = pbc
    model = random_committee()
    same(crystal, model, calculator(model, tmp_path), np.all(pbc))


def test_one_species_and_radial_only(tmp_path):
    model = random_committee(species=("H",))
    atoms = Atoms("H4", np.random.default_rng(0).normal(size=(4, 3)) * 1.5)
    same(atoms, model, calculator(model, tmp_path), False)
    n = model.basis.n_radial
    radial = replace(
        model,
        basis=ChebyshevBasis(("H",), 4.0, n - 1, None, None),
        weights={"H": (model.weights["H"][0][..., [*range(n), -1]], *model.weights["H"][1:])},
        feature_mean={"H": model.feature_mean["H"][:n]},
        feature_std={"H": model.feature_std["H"][:n] + 0.1},
        feature_min={},
        feature_max={},
    )
    (tmp_path / "radial").mkdir()
    same(atoms, radial, calculator(radial, tmp_path / "radial"), False)


def test_an_atom_without_neighbours(tmp_path):
    model = random_committee()
    atoms = Atoms("CO", [[0, 0, 0], [0, 0, 50.0]])
    calc = calculator(model, tmp_path)
    expected = ANNCalculator(model).get_potential_energy(atoms)
    assert calc.get_potential_energy(atoms) == pytest.approx(expected, abs=1e-11)
    assert not calc.get_forces(atoms).any()


def test_the_committee_goes_along(tmp_path, dimer):  # noqa: F811
    model = random_committee()
    names = ("energy_ensemble", "energy_uncertainty")
    wanted = {name: ModelOutput(unit="eV", sample_kind="system") for name in names}
    calc = calculator(model, tmp_path, additional_outputs=wanted)
    calc.get_potential_energy(dimer)
    ours = ANNCalculator(model)
    members, std = (ours.get_property(name, dimer) for name in ("committee_energies", "energy_std"))
    found = calc.additional_outputs
    np.testing.assert_allclose(
        found["energy_ensemble"].block().values.detach().numpy(), members[None], atol=1e-11
    )
    assert found["energy_uncertainty"].block().values.item() == pytest.approx(std, abs=1e-11)


def test_sigma_is_the_total_one_and_nothing_warns(tmp_path, dimer):  # noqa: F811
    model = random_committee()
    rng, width = np.random.default_rng(3), model.architecture.n_weights
    factors = pack_triangles(np.eye(width) + 0.05 * rng.normal(size=(3, width, width)))
    model = replace(
        model, sigma=NetworkSigma(factors, rng.normal(size=(3, 9)), np.ones((3, 9)), False)
    ).select([2])
    write_metatomic(model, tmp_path / "model.pt", "test")
    wanted = {"energy_uncertainty": ModelOutput(unit="eV", sample_kind="system")}
    calc = MetatomicCalculator(str(tmp_path / "model.pt"), device="cpu", additional_outputs=wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        calc.get_potential_energy(dimer)
    expected = ANNCalculator(model).get_property("energy_std", dimer)
    assert expected > 0.1  # eV, from where atomic ones are warned of
    found = calc.additional_outputs["energy_uncertainty"].block().values.item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_energies_of_atoms(tmp_path, dimer):  # noqa: F811
    model = random_committee()
    found = calculator(model, tmp_path).run_model(
        dimer, {"energy": ModelOutput(unit="eV", sample_kind="atom")}
    )
    atomic = ANNCalculator(model).get_potential_energies(dimer)
    np.testing.assert_allclose(found["energy"].block().values.detach().numpy()[:, 0], atomic, atol=1e-11)


def test_the_command_writes_it(tmp_path, dimer):  # noqa: F811
    from aenet_gpr_cli.io.artefacts.artefact import Job, publish
    from aenet_gpr_cli.io.artefacts.stored_anns import write_ann

    model = random_committee()
    with publish(tmp_path / "ann.h5", Job("train-ann", {}, {})) as file:
        write_ann(file.create_group("model"), model)
    context = Context()
    aenet_files.export(tmp_path / "ann.h5", tmp_path / "out", "metatomic", None, context)
    aenet_files.export(tmp_path / "ann.h5", tmp_path / "one.pt", "metatomic", 1, context)
    for path, members in ((tmp_path / "out" / "ann.pt", None), (tmp_path / "one.pt", [1])):
        calc = MetatomicCalculator(str(path), device="cpu", uncertainty_threshold=None)
        expected = ANNCalculator(model, members=members).get_potential_energy(dimer)
        assert calc.get_potential_energy(dimer) == pytest.approx(expected, abs=1e-11)
