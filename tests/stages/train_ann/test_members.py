"""Members trained by jobs of their own give the committee; a failed one does not cost the others."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from aenet_gpr_cli.ann.data.training_set import validation_split
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.ann.training import FailedMembers, train
from aenet_gpr_cli.errors import ConfigError, InputError, NumericalError
from aenet_gpr_cli.io.artefacts.artefact import read_summary
from aenet_gpr_cli.io.artefacts.stored_anns import load_ann
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.stages import collect_stage as collect
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.stages.train_ann import train_ann_stage as train_ann
from tests.stages.unfinished import energies, left_behind, small_training, write_split

CONFIG = small_training("levenberg_marquardt", "energy_only", n_members=3)


@pytest.fixture(scope="module")
def members(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    paths = [folder / f"ann.member_{k}.h5" for k in range(3)]
    for k, path in enumerate(paths):
        train_ann.run(CONFIG, data, None, path, Context(), member=k)
    return paths


def test_members_alone_give_the_committee(data, whole, members, tmp_path):
    output = tmp_path / "ann.h5"
    table = collect.run([members[2], members[0], members[1]], output, Context())
    # products of other shapes round differently, which a few steps amplify
    np.testing.assert_allclose(energies(output, data), energies(whole, data), atol=1e-7)
    with h5py.File(output) as ours, h5py.File(whole) as theirs:
        np.testing.assert_allclose(
            ours["history/training_loss"][()], theirs["history/training_loss"][()], rtol=1e-5
        )
        parts = [h5py.File(path).attrs["wall_time_s"] for path in members]
        assert ours.attrs["wall_time_s"] >= sum(parts)
    assert not load_ann(output).lacks(["O", "O"])  # four kinds of molecules span three elements
    assert len(load_ann(output).compositions.rows) == 3
    assert table.rows[0][:5] == ["ann", "energy_only", "3", "32", "147"]
    for ours, theirs, digits in zip(errors_in(output), errors_in(whole), (2, 4, 2, 4), strict=True):
        assert ours == pytest.approx(theirs, abs=2 * 0.1**digits, nan_ok=True)


def errors_in(path):
    """Return the errors of the table: of energies (meV) and forces (eV/Å), trained on and left out."""
    row = read_summary(path)["rows"][0][6:10]
    return [float("nan") if cell == "–" else float(cell) for cell in row]


def test_the_table_has_errors_with_units_on_the_references(data, whole, tmp_path):
    def energy_errors(path):
        model, found = load_ann(path), []
        for subset in load_split(data, "train").values():
            energies, _ = predict(model, subset, False, 64)
            found.append(1e3 * np.abs(energies - subset.energies).mean(0))
        return np.concatenate(found)

    names = [name for subset in load_split(data, "train").values() for name in subset.names]
    inside, outside = validation_split(names, CONFIG.held_out, CONFIG.seed)
    assert len(outside)
    energy, found = energy_errors(whole), errors_in(whole)
    assert found[0] == pytest.approx(energy[inside].mean(), abs=0.006)
    assert found[2] == pytest.approx(energy[outside].mean(), abs=0.006)
    assert all(np.isfinite(found))

    output = tmp_path / "none_held_out.h5"
    keys = {"validation_fraction": 0.0, "subsets": ["H3N"], "n_members": 1}
    train_ann.run(replace(CONFIG, **keys), data, None, output, Context())
    subset, model = load_split(data, "train")["H3N"], load_ann(output)
    energies, forces = predict(model, subset, True, 64)
    energy, force, left_out, no_force = errors_in(output)
    assert energy == pytest.approx(1e3 * np.abs(energies - subset.energies).mean(), abs=0.006)
    assert force == pytest.approx(np.abs(forces - subset.forces).mean(), abs=6e-5)
    assert left_out == pytest.approx(1e3 * np.abs(model.sigma.left_out_errors).mean(), abs=0.006)
    assert np.isnan(no_force)  # to first order of energies alone


def test_the_collected_committee_counts_as_the_result_of_the_whole_job(data, members, tmp_path):
    output = tmp_path / "ann.h5"
    collect.run(members, output, Context())
    for again in (
        train_ann.run(CONFIG, data, None, output, Context()),
        collect.run(members, output, Context()),
    ):
        assert "up to date" in again.title


def test_a_member_is_a_potential_of_its_own_and_not_the_whole(data, members):
    assert load_ann(members[1]).n_members == 1
    assert "up to date" in train_ann.run(CONFIG, data, None, members[1], Context(), member=1).title


def test_missing_doubled_and_strange_members_are_refused(data, members, whole, tmp_path):
    output = tmp_path / "ann.h5"
    with pytest.raises(InputError, match="member 1 missing: expected all 3, got 2"):
        collect.run([members[0], members[2]], output, Context())
    with pytest.raises(InputError, match=r"member 0 is in .*member_0.h5 and in .*member_0.h5"):
        collect.run([*members, members[0]], output, Context())
    with pytest.raises(InputError, match="expected a single member, got a complete output"):
        collect.run([whole], output, Context())
    with pytest.raises(InputError, match="got that of split"):
        collect.run([data], output, Context())
    other = tmp_path / "other.h5"
    train_ann.run(replace(CONFIG, seed=4), data, None, other, Context(), member=1)
    with pytest.raises(InputError, match=r"seed: 3 in ann.member_0.h5, 4 in other.h5"):
        collect.run([members[0], other, members[2]], output, Context())
    data2 = write_split(tmp_path / "split.h5", n=9)
    train_ann.run(CONFIG, data2, None, other, Context(restart=True), member=1)
    with pytest.raises(InputError, match="split: not the same file"):
        collect.run([members[0], other, members[2]], output, Context())
    assert not output.exists()


def test_there_is_no_member_beyond_the_committee(data, tmp_path):
    with pytest.raises(ConfigError, match="expected a number from 0 to 2"):
        train_ann.run(CONFIG, data, None, tmp_path / "ann.h5", Context(), member=3)


def test_when_a_member_fails_the_others_are_kept_and_a_rerun_does_what_is_missing(
    data, whole, tmp_path, monkeypatch
):
    trained = []

    def mended(data, basis, settings, seed, members, *rest):
        trained.append(members)
        return train(data, basis, settings, seed, members, *rest)

    def half_broken(data, basis, settings, seed, members, *rest):
        trained.append(members)
        raise FailedMembers((1,), train(data, basis, settings, seed, members, *rest))

    output = tmp_path / "ann.h5"
    monkeypatch.setattr(train_ann, "train", half_broken)
    with pytest.raises(NumericalError, match=r"member 1 was never finite.*other members are kept"):
        train_ann.run(CONFIG, data, None, output, Context())
    assert not output.exists()
    assert left_behind(tmp_path) == {".ann.h5.checkpoint"}
    monkeypatch.setattr(train_ann, "train", mended)
    train_ann.run(CONFIG, data, None, output, Context())
    assert trained == [(0, 1, 2), (1,)]
    np.testing.assert_allclose(energies(output, data), energies(whole, data), atol=1e-7)
    assert left_behind(tmp_path) == set()


def test_the_numbers_of_a_failed_member_are_never_stored(data, tmp_path, monkeypatch):
    def broken(data, basis, settings, seed, members, *rest):
        raise FailedMembers(members, train(data, basis, settings, seed, members, *rest))

    monkeypatch.setattr(train_ann, "train", broken)
    with pytest.raises(NumericalError, match="member 0, 1, 2 was never finite"):
        train_ann.run(CONFIG, data, None, tmp_path / "ann.h5", Context())
    assert not list(tmp_path.rglob("*.h5"))


def test_members_apart_take_the_environments_that_evidence_finds_for_all(data, tmp_path):
    network = replace(CONFIG.network, angular_cutoffs="auto", angular_order=2)
    config = replace(CONFIG, network=network, n_members=2)
    train_ann.run(config, data, None, tmp_path / "one.h5", Context(), member=1)
    said = []
    again = Context(progress=lambda _, __, text: said.append(text))
    train_ann.run(config, data, None, tmp_path / "all.h5", again)
    assert not any("log evidence" in text for text in said)  # found already, in this process
    train_ann.run(replace(config, seed=config.seed + 1), data, None, tmp_path / "other.h5", again)
    assert any("log evidence" in text for text in said)  # on other structures
    one, both = (load_ann(tmp_path / f"{name}.h5") for name in ("one", "all"))
    assert one.basis == both.basis
    assert both.basis.angular_cutoffs in network.angle_choices
    for species, layers in one.weights.items():
        for ours, theirs in zip(layers, both.weights[species], strict=True):
            np.testing.assert_allclose(ours[0], theirs[1], rtol=1e-6, atol=1e-9)
