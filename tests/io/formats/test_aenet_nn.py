"""ænet's potentials: the numbers of its predict.x, lossless round trips, and damaged files."""

from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from aenet_gpr_cli.ann.network.architecture import ACTIVATIONS
from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.extrapolation import beyond_range
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.baseline.repulsion import Repulsion
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis, features
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats.aenet_nn import FORMATS, read_nn, write_nn
from aenet_gpr_cli.io.formats.aenet_nn_format import format_ascii, format_binary, format_setup
from aenet_gpr_cli.io.formats.aenet_nn_parser import parse
from aenet_gpr_cli.io.formats.xsf import read_xsf
from aenet_gpr_cli.structures import StructureSet

DATA = Path(__file__).parents[2] / "data" / "aenet_nn"
NN = [DATA / f"{symbol}.nn" for symbol in "CHO"]


@pytest.fixture(scope="module")
def reference():
    """Structures with the energies and forces that predict.x printed."""
    energies, rows, structures = [], [], []
    for line in (DATA / "predict_x.txt").read_text().splitlines():
        words = line.split()
        if len(words) == 2:
            structures.append(read_xsf(DATA / words[0]))
            energies.append(float(words[1]))
        else:
            rows.append([float(x) for x in words[1:4]])
    found = StructureSet.from_structures(structures)
    return replace(found, energies=np.array(energies), forces=np.array(rows).reshape(found.positions.shape))


def random_model(activation="tanh", hidden=(7, 5), species=("H", "C", "O"), seed=1):
    """A committee of three with features that do not vary, or hardly, as in symmetric structures."""
    rng = np.random.default_rng(seed)
    basis = ChebyshevBasis(species, 6.5, 6, 4.0, 3)
    sizes = [basis.n_features, *hidden, 1]
    weights = {
        s: tuple(rng.normal(size=(3, o, i + 1)) / np.sqrt(i) for i, o in pairwise(sizes)) for s in species
    }
    std = {s: rng.uniform(0.2, 3.0, basis.n_features) for s in species}
    for values in std.values():
        values[2], values[4] = 0.0, 1e-6
    mean = {s: rng.normal(size=basis.n_features) * 10 for s in species}
    return ANNModel(
        *(basis, tuple(hidden), activation, weights, mean, std, 0.037, -5.1),
        {s: -100.0 * (k + 1) / 3 for k, s in enumerate(species)},
    )


def test_energies_and_forces_are_those_of_predict_x(reference):
    energies, forces = predict(read_nn(NN[::-1]), reference, True, 10)
    assert np.abs(energies[0] - reference.energies).max() < 1e-8  # 8 decimals are printed
    assert np.abs(forces[0] - reference.forces).max() < 6e-7  # 6 decimals are printed


def test_ascii_and_binary_hold_the_same_potential():
    binary, ascii_ = (parse((DATA / name).read_bytes(), name) for name in ("C.nn", "C.nn.ascii"))
    for name in ("weights", "mean", "second_moment", "scale", "shift", "atomic_energies", "parameters"):
        np.testing.assert_array_equal(getattr(binary, name), getattr(ascii_, name))


@pytest.mark.parametrize("path", [*NN, DATA / "C.nn.ascii"], ids=lambda p: p.name)
def test_files_come_back_byte_for_byte(path):
    content = parse(path.read_bytes(), path.name)
    again = format_binary(content) if path.suffix == ".nn" else format_ascii(content).encode()
    assert again == path.read_bytes()


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_exported_potential_gives_the_same_numbers(tmp_path, reference, activation, file_format):
    model = random_model(activation)
    folders = [tmp_path / str(member) for member in range(3)]
    for member, folder in enumerate(folders):
        write_nn(model, member, folder, file_format)
    energies, forces = predict(model, reference, True, 10)
    for member, folder in enumerate(folders):
        again = read_nn([folder / f"{s}.{file_format}" for s in "CHO"])
        assert again.basis == model.basis
        e, f = predict(again, reference, True, 10)
        # rounding of sums of 20 terms of about 100 eV, and of features scaled by up to 1e6
        np.testing.assert_allclose(e[0], energies[member], rtol=0, atol=1e-8)
        np.testing.assert_allclose(f[0], forces[member], rtol=1e-9, atol=1e-9)


def test_ascii_loses_no_digit():
    content = parse(NN[0].read_bytes(), "C.nn")
    awkward = np.array([1e-17, -1.2345678901234567e-9, 1e300, 2.0 / 3.0, -0.0])
    weights = np.concatenate([awkward, content.weights[len(awkward) :]])
    again = parse(format_ascii(replace(content, weights=weights)).encode(), "text")
    np.testing.assert_array_equal(again.weights, weights)


def test_arrays_may_continue_on_further_lines():
    content = parse((DATA / "C.nn.ascii").read_bytes(), "C.nn.ascii")
    lines = (DATA / "C.nn.ascii").read_text().splitlines()
    words = lines[8].split()
    lines[8:9] = [" ".join(words[i : i + 4]) for i in range(0, len(words), 4)]
    again = parse("\n".join(lines).encode(), "text")
    np.testing.assert_array_equal(again.weights, content.weights)


def test_the_range_of_the_training_data_goes_along(tmp_path):
    model = random_model()
    known = {s: (m - 1.0, m + 2.0) for s, m in model.feature_mean.items()}
    model = replace(
        model,
        feature_min={s: r[0] for s, r in known.items()},
        feature_max={s: r[1] for s, r in known.items()},
    )
    write_nn(model, 0, tmp_path, "nn")
    again = read_nn([tmp_path / f"{s}.nn" for s in "CHO"])
    for symbol in "CHO":
        off = again.feature_std[symbol] == 0.0  # the network cannot see these
        assert off.sum() == 1
        for ours, theirs, limit in (
            (model.feature_min, again.feature_min, -np.inf),
            (model.feature_max, again.feature_max, np.inf),
        ):
            np.testing.assert_array_equal(theirs[symbol], np.where(off, limit, ours[symbol]))


def test_training_structures_of_aenet_are_inside_its_range(reference):
    model = read_nn(NN)
    assert all(np.isfinite(model.feature_min[s]).all() for s in "CHO")
    kinds = np.tile(model.basis.species_index(reference.species), len(reference))
    raw = features(model.basis, reference, 10).reshape(len(kinds), -1)
    beyond = beyond_range(model.basis.species, kinds, raw, model.feature_min, model.feature_max)
    # test structures of the same distribution: hardly any far outside, and not all exactly inside
    assert beyond.max() < 0.2
    assert np.median(beyond) == 0.0


def test_a_feature_switched_off_stays_off(tmp_path):
    write_nn(random_model(), 0, tmp_path, "nn")
    again = read_nn([tmp_path / f"{s}.nn" for s in "CHO"])
    for symbol in "CHO":
        content = parse((tmp_path / f"{symbol}.nn").read_bytes(), symbol)
        assert content.second_moment[2] == content.mean[2] == again.feature_std[symbol][2] == 0.0


def test_export_writes_what_predict_x_and_generate_x_read(tmp_path):
    paths = write_nn(random_model(), 1, tmp_path, "nn")
    assert {p.name for p in paths} == {f"{s}.{e}" for s in "CHO" for e in ("nn", "stp")} | {"predict.in"}
    assert "NETWORKS\nH H.nn\nC C.nn\nO O.nn\n" in (tmp_path / "predict.in").read_text()
    lines = format_setup(random_model().basis, "C").splitlines()
    assert lines[lines.index("ENV 3") + 1 :][:3] == ["H", "C", "O"]
    assert lines[lines.index("BASIS type=Chebyshev") + 1] == (
        "radial_Rc = 6.5 radial_N = 6 angular_Rc = 4.0 angular_N = 3"
    )


def test_a_single_species_has_half_the_features(tmp_path):
    model = random_model(species=("H",))
    write_nn(model, 0, tmp_path, "nn")
    rng = np.random.default_rng(0)
    h4 = StructureSet(("H",) * 4, rng.normal(size=(2, 4, 3)) * 2)
    again = predict(read_nn([tmp_path / "H.nn"]), h4, False, 2)[0]
    np.testing.assert_allclose(again[0], predict(model, h4, False, 2)[0][0], rtol=1e-12)


@pytest.mark.parametrize("name", ["C.nn", "C.nn.ascii"])
@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_truncated_files_are_refused(tmp_path, name, keep):
    data = (DATA / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(InputError, match=rf"{name}.*expected"):
        read_nn([path])


def test_garbage_never_ends_in_another_error(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "C.nn"
    for name in ("C.nn", "C.nn.ascii"):
        original = np.frombuffer((DATA / name).read_bytes(), np.uint8)
        for _ in range(150):
            data = original.copy()
            data[rng.integers(0, len(data), 5)] = rng.integers(0, 256, 5)
            data[rng.integers(0, 200)] ^= 1 << rng.integers(0, 8)
            path.write_bytes(data.tobytes())
            with suppress(InputError):  # a changed digit of a weight is a valid file
                read_nn([path, *NN[1:]])


def test_files_of_different_potentials_are_not_mixed(tmp_path):
    write_nn(random_model(species=("C", "H", "O")), 0, tmp_path, "nn")
    with pytest.raises(InputError, match=r"H\.nn: expected the same n nodes as in .*C\.nn"):
        read_nn([NN[0], tmp_path / "H.nn", NN[2]])


FORMS = [(a, b) for a in FORMATS for b in FORMATS]


@pytest.mark.parametrize(("ours", "theirs"), FORMS)
def test_members_of_one_committee_are_not_mixed(tmp_path, ours, theirs):
    """They share descriptor, statistics and scale: only the checksum of the export tells them apart."""
    model = random_model()
    write_nn(model, 0, tmp_path / "0", ours)
    write_nn(model, 1, tmp_path / "1", theirs)
    paths = [tmp_path / "0" / f"{s}.{ours}" for s in "HC"]
    with pytest.raises(
        InputError, match=r"O\.nn.*: expected a file of the same potential as .*another member"
    ):
        read_nn([*paths, tmp_path / "1" / f"O.{theirs}"])


@pytest.mark.parametrize(("ours", "theirs"), FORMS)
def test_binary_and_ascii_of_one_member_belong_together(tmp_path, caplog, ours, theirs):
    write_nn(random_model(), 0, tmp_path / "0", ours)
    write_nn(random_model(), 0, tmp_path / "1", theirs)
    read_nn([*(tmp_path / "0" / f"{s}.{ours}" for s in "HC"), tmp_path / "1" / f"O.{theirs}"])
    assert not caplog.records


def test_an_altered_weight_of_an_export_is_told(tmp_path, caplog):
    write_nn(random_model(), 0, tmp_path, "nn")
    path = tmp_path / "C.nn"
    content = parse(path.read_bytes(), "C.nn")
    weights = content.weights.copy()
    weights[3] += 1e-12
    path.write_bytes(format_binary(replace(content, weights=weights)))
    with caplog.at_level("WARNING"):
        read_nn([tmp_path / f"{s}.nn" for s in "HCO"])
    assert "the numbers of these files are not those that were exported" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_structures", 251), ("n_atoms", 5001), ("cutoff", 7.0), ("min_distance", None), ("weights", None)],
)
def test_what_one_training_gives_to_all_species_is_compared(tmp_path, caplog, name, value):
    """A file of ænet's own: another network of the same training cannot be told, but another folder is."""
    content = parse(NN[0].read_bytes(), "C.nn")
    path = tmp_path / "C.nn"
    path.write_bytes(format_binary(content if value is None else replace(content, **{name: value})))
    if value is None:
        read_nn([path, *NN[1:]])
        assert "are in different folders" in caplog.text
    else:
        with pytest.raises(InputError, match=f"expected the same {name.replace('_', ' ')} as in"):
            read_nn([path, *NN[1:]])


def test_all_species_are_needed_once():
    with pytest.raises(InputError, match="one file for each of the species C, H, O, got C, H"):
        read_nn(NN[:2])
    with pytest.raises(InputError, match=r"expected one \.nn file per species, got none"):
        read_nn([])
    with pytest.raises(InputError, match="No such file"):
        read_nn([DATA / "N.nn"])


@pytest.mark.parametrize("species", [("C", "H", "O"), ("H",)])
@pytest.mark.parametrize("angular", [(None, None), (4.0, -1)])
def test_a_radial_basis_gets_an_angular_part_that_does_nothing(tmp_path, reference, species, angular):
    model = random_model(species=species)
    n = 7 * (2 if len(species) > 1 else 1)
    columns = np.r_[:n, -1]
    radial = replace(
        model,
        basis=ChebyshevBasis(species, 6.5, 6, *angular),
        weights={s: (first[..., columns], *rest) for s, (first, *rest) in model.weights.items()},
        feature_mean={s: mean[:n] for s, mean in model.feature_mean.items()},
        feature_std={s: std[:n] + 0.1 for s, std in model.feature_std.items()},
        feature_min={},
        feature_max={},
    )
    write_nn(radial, 0, tmp_path, "nn")
    again = read_nn([tmp_path / f"{s}.nn" for s in species])
    data = reference if len(species) > 1 else StructureSet(("H",) * 3, reference.positions[:, :3])
    expected, found = predict(radial, data, False, 9)[0], predict(again, data, False, 9)[0]
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("number", [1e200, -1e15, np.nan, np.inf])
@pytest.mark.parametrize("name", ["feature_mean", "feature_std", "weights"])
def test_numbers_of_no_training_are_not_exported(tmp_path, name, number):
    """As a damaged artefact of version 0.1 has them, which carries no checksum."""
    model = random_model()
    values = getattr(model, name)["C"]
    (values[0] if name == "weights" else values)[..., 0] = number
    with pytest.raises(InputError, match="network of C"):
        write_nn(model, 0, tmp_path / "out", "nn")
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_what_these_files_cannot_carry_is_refused(tmp_path):
    model = replace(random_model(), repulsion=Repulsion(np.ones(3), np.ones((3, 3))))
    with pytest.raises(InputError, match="cannot carry the repulsion"):
        write_nn(model, 0, tmp_path / "out", "nn")


def test_what_does_not_exist_is_refused(tmp_path):
    model = random_model()
    with pytest.raises(InputError, match="member from 0 to 2, got 3"):
        write_nn(model, 3, tmp_path, "nn")
    with pytest.raises(InputError, match=r"format nn or nn\.ascii, got 'pt'"):
        write_nn(model, 0, tmp_path, "pt")
    far = replace(model, basis=replace(model.basis, angular_cutoff=7.0))
    with pytest.raises(InputError, match="angular cutoff within the radial one"):
        write_nn(far, 0, tmp_path, "nn")
    for more in ({"inner_cutoffs": (3.0,)}, {"resolved": True}):
        with pytest.raises(InputError, match="expected ænet's descriptor"):
            write_nn(replace(model, basis=replace(model.basis, **more)), 0, tmp_path, "nn")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"weights": lambda w: np.where(np.arange(len(w)) == 7, 1e200, w)},
            "weights: expected at most 1e",
        ),
        ({"mean": lambda m: m + 1e3}, "moments of a feature: expected <G²> of at least"),
        ({"second_moment": lambda m: m * 2.0**12}, "moments of a feature: expected <G²> within"),
        ({"lowest": lambda low: low + 1e3}, "range of a feature: expected its mean inside"),
        ({"scale": lambda s: 2 * s}, "energy scale and shift: expected those of the energy range"),
        ({"shift": lambda s: -s}, "energy scale and shift"),
        ({"energy_range": lambda e: e[::-1]}, "energy range: expected minimum"),
        ({"atomic_energies": lambda e: e * 1e30}, "energies of atoms"),
        ({"cutoff": lambda c: c * 1e4}, "cutoffs: expected 0 to 100"),
        ({"species": lambda s: "Qx"}, "species: expected symbols of elements"),
        ({"n_atoms": lambda n: -n}, "counts: expected none below zero"),
        (
            {"parameters": lambda p: np.append([p[0], 1e9], p[2:])},
            "parameters of the features: expected at most|expected .* features",
        ),
    ],
)
def test_damaged_numbers_are_refused_by_name(tmp_path, changes, words):
    """The format has no checksum: ranges, shapes and statistics are what a flipped bit can contradict."""
    content = parse(NN[0].read_bytes(), "C.nn")
    ((name, change),) = changes.items()
    path = tmp_path / "C.nn"
    path.write_bytes(format_binary(replace(content, **{name: change(getattr(content, name))})))
    with pytest.raises(InputError, match=words):
        read_nn([path, *NN[1:]])
