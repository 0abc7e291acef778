"""Artefacts: published whole or not at all, readable with plain h5py, honest about where they came from.

Hostile HDF5: nothing outside the file, no loops, no small file that unfolds into a large array.
"""

import errno
import hashlib
import json
import os
import socket

import h5py
import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError, ResourceError
from aenet_gpr_cli.io.artefacts.artefact import Job, is_current, open_artefact, publish, publish_with_files
from aenet_gpr_cli.io.artefacts.fields import FIELDS, write_field
from aenet_gpr_cli.io.artefacts.structure_sets import (
    append_augmented,
    read_augmented,
    read_structures,
    write_structures,
)
from aenet_gpr_cli.io.hdf5 import contents
from aenet_gpr_cli.io.hdf5.checksums import seal
from aenet_gpr_cli.io.hdf5.locks import lock
from aenet_gpr_cli.structures import AugmentedSet, StructureSet

JOB = Job("split", {"seed": 3, "train": 2}, {"a.zip": "00ff"})


def write(path, job=JOB, values=(1.0, 2.0)):
    with publish(path, job) as file:
        write_field(file, "energies", np.array(values))


@pytest.fixture
def structures():
    rng = np.random.default_rng(0)
    return StructureSet(
        species=("O", "H", "H"),
        positions=rng.normal(size=(4, 3, 3)),
        cells=np.tile(np.eye(3) * 9.7, (4, 1, 1)),
        pbc=(True, True, False),
        energies=-18642.1234567890123 + rng.normal(size=4) * 1e-9,
        forces=rng.normal(size=(4, 3, 3)),
        names=("a#1", "b/ü.xsf", "c", "d"),
    )


def test_an_artefact_explains_itself(tmp_path):
    path = tmp_path / "split.h5"
    write(path)
    with h5py.File(path) as file:  # plain h5py, nothing of ours
        assert file.attrs["kind"] == "split"
        assert json.loads(file.attrs["config"]) == JOB.config
        assert json.loads(file.attrs["inputs"]) == JOB.inputs
        assert file.attrs["seed"] == 3
        assert "numpy" in json.loads(file.attrs["versions"])
        assert file.attrs["wall_time_s"] >= 0
        assert file.attrs["peak_rss_bytes"] > 1e6
        assert file["energies"].attrs["unit"] == "eV"
        assert file["energies"].dtype == np.float64


def test_a_failed_write_leaves_the_earlier_artefact_and_no_litter(tmp_path):
    path = tmp_path / "split.h5"
    write(path)
    before = path.read_bytes()
    with pytest.raises(KeyError), publish(path, Job("split", {}, {})) as file:
        write_field(file, "energies", np.zeros(3)), write_field(file, "mystery", np.zeros(3))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["split.h5"]


def test_a_full_disk_is_a_resource_error(tmp_path):
    path = tmp_path / "split.h5"
    write(path)
    before = path.read_bytes()
    with pytest.raises(ResourceError, match="free some space"), publish(path, Job("split", {}, {})):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_bytes() == before


def test_up_to_date_means_same_kind_configuration_and_inputs(tmp_path):
    path = tmp_path / "split.h5"
    assert not is_current(path, JOB)
    write(path)
    assert is_current(path, JOB)
    assert not is_current(path, Job("fit-gpr", JOB.config, JOB.inputs))
    assert not is_current(path, Job("split", {**JOB.config, "train": 3}, JOB.inputs))
    assert not is_current(path, Job("split", JOB.config, {"a.zip": "00fe"}))


def test_an_unfinished_or_damaged_artefact_is_not_current(tmp_path):
    path = tmp_path / "split.h5"
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert not is_current(path, JOB)
    with pytest.raises(InputError, match="cannot be opened"), open_artefact(path):
        pass
    path.write_text("2\n\nH 0 0 0\nH 0 0 1\n")  # structures in place of an artefact
    with pytest.raises(InputError, match="another kind of file; structures go to init"), open_artefact(path):
        pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.attrs.__setitem__("format", "other"), "another HDF5 file"),
        (lambda f: f.attrs.__setitem__("format_version", 99), "expected format version 1, got 99"),
        (lambda f: f.attrs.__setitem__("complete", False), "not complete; run split again"),
        (lambda f: f.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/")), "links elsewhere"),
        (lambda f: f.__setitem__("x", h5py.SoftLink("/energies")), "links elsewhere"),
    ],
)
def test_an_unexpected_file_is_refused(tmp_path, change, message):
    path = tmp_path / "split.h5"
    write(path)
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(InputError, match=message), open_artefact(path, "split"):
        pass


def test_external_storage_is_refused(tmp_path):
    path = tmp_path / "split.h5"
    write(path)
    with h5py.File(path, "a") as file:
        file.create_dataset("x", shape=(4,), dtype="f8", external=[(str(tmp_path / "raw"), 0, 32)])
    with pytest.raises(InputError, match="in another file"), open_artefact(path):
        pass


def test_the_wrong_stage_is_told(tmp_path):
    path = tmp_path / "split.h5"
    write(path)
    with (
        pytest.raises(InputError, match="expected the output of fit-gpr, got that of split"),
        open_artefact(path, "fit-gpr"),
    ):
        pass


def test_a_missing_part_is_told(tmp_path):
    path = tmp_path / "split.h5"
    write(path)
    with pytest.raises(InputError, match="a part of the artefact is missing"), open_artefact(path) as file:
        file["nothing"]


def test_an_array_without_an_entry_in_the_registry_cannot_be_stored(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file, pytest.raises(KeyError):
        write_field(file, "mystery", np.zeros(2))


def test_every_registered_field_has_a_meaning():
    assert all(field.meaning for field in FIELDS.values())


def test_structures_survive_bit_for_bit(tmp_path, structures):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_structures(file, structures)
        back = read_structures(file)
    for name in ("positions", "cells", "energies", "forces"):
        np.testing.assert_array_equal(getattr(back, name), getattr(structures, name))
    assert (back.species, back.pbc, back.names) == (structures.species, structures.pbc, structures.names)


def test_augmented_structures_survive_bit_for_bit(tmp_path, structures):
    augmented = AugmentedSet(structures, ("p", "p", "q", "q"), np.array([0, 1, 0, 1]), np.arange(4.0), "gpr")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        append_augmented(file, augmented)
        back = read_augmented(file)
    assert (back.parents, back.label) == (augmented.parents, "gpr")
    np.testing.assert_array_equal(back.sigma, augmented.sigma)
    np.testing.assert_array_equal(back.copies, augmented.copies)


def test_two_writers_of_one_output(tmp_path):
    path = tmp_path / "out.h5"
    holder = {"host": "another-host", "pid": 1, "since": "today"}
    (tmp_path / ".out.h5.lock").write_text(json.dumps(holder))
    with pytest.raises(ResourceError, match="process 1 on another-host since today"), lock(path):
        pass


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    path = tmp_path / "out.h5"
    dead = 2**22 + 1  # above the largest process number
    (tmp_path / ".out.h5.lock").write_text(json.dumps({"host": socket.gethostname(), "pid": dead}))
    with lock(path):
        assert json.loads((tmp_path / ".out.h5.lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / ".out.h5.lock").exists()


@pytest.fixture
def artefact(tmp_path):
    path = tmp_path / "split.h5"
    with publish(path, Job("split", {}, {})) as file:
        write_field(file.create_group("a/b"), "energies", np.arange(3.0))
    return path


def virtual(file):
    layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "x", shape=(4,))
    file.create_virtual_dataset("x", layout)


def loop(file):
    file["a/b/again"] = file["a"]


def huge(file):
    file.create_dataset("x", shape=(2**40,), dtype="f8", chunks=(1024,))


def bomb(file):
    file.create_dataset("x", data=np.zeros((2000, 2000)), compression="gzip")


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (lambda f: f.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/")), "/x links elsewhere"),
        (lambda f: f.__setitem__("a/x", h5py.SoftLink("/a/b")), "/a/x links elsewhere"),
        (virtual, "/x keeps its data in another file"),
        (loop, "/a/b/again is there under another name too"),
        (huge, "/x claims 8388608 MiB, the file holds 0 MiB"),
        (bomb, "/x claims 31 MiB, the file holds 0 MiB"),
        (lambda f: f.__setitem__("x", np.dtype("f8")), "/x is neither a group nor an array"),
        (lambda f: f.create_dataset("x", data=f.ref, dtype=h5py.ref_dtype), "/x holds references"),
    ],
    ids=["external link", "soft link", "virtual", "loop", "huge", "compressed", "named type", "reference"],
)
def test_a_hostile_file_is_refused_by_name(artefact, attack, message):
    with h5py.File(artefact, "a") as file:
        attack(file)
    with pytest.raises(InputError, match=message), open_artefact(artefact):
        pass


@pytest.mark.parametrize("name", ["..", "../../evil", "a/b/c/d/e"])
def test_a_name_cannot_lead_out_of_a_folder(artefact, name):
    """Names of subsets become names of files; one with a slash can be made by overwriting bytes only."""
    kept = name if "/" not in name else "x" * len(name)
    with h5py.File(artefact, "w") as file:
        file.attrs["format"], file.attrs["format_version"], file.attrs["kind"] = "aenet-gpr-cli", 1, "split"
        file.attrs["complete"] = True
        file.create_group("train").create_group(kept)
    artefact.write_bytes(artefact.read_bytes().replace(kept.encode() + b"\0", name.encode() + b"\0"))
    with pytest.raises(InputError, match="is no name of a group"), open_artefact(artefact):
        pass


def test_what_grows_on_disk_is_accepted(artefact, monkeypatch):
    monkeypatch.setattr(contents, "SMALL_BYTES", 0)
    with h5py.File(artefact, "a") as file:
        grown = file.create_dataset("grown", shape=(0, 3), maxshape=(None, 3), dtype="f8", chunks=(64, 3))
        for n in (5, 64, 130):
            grown.resize(n, axis=0)
            grown[:] = 1.0
        file["nothing"] = np.zeros((0, 3))
        file["one"] = 3.0
    with open_artefact(artefact, numbers=False) as file:
        assert file["grown"].shape == (130, 3)


@pytest.mark.parametrize("seed", range(30))
def test_damaged_bytes_give_an_input_error_or_a_file(artefact, seed):
    """Bytes overwritten anywhere: an error with a message, never a crash or another exception."""
    rng = np.random.default_rng(seed)
    content = bytearray(artefact.read_bytes())
    for place in rng.integers(0, len(content), 40):
        content[place] = rng.integers(256)
    artefact.write_bytes(content)
    try:
        with open_artefact(artefact, "split") as file:
            file["a/b/energies"][()]
    except InputError:
        pass


VICTIM = "the user's own"
HASH = hashlib.sha256(VICTIM.encode()).hexdigest()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("peak_rss_bytes", "much"),
        ("wall_time_s", np.nan),
        ("created", None),
        ("config", "[]"),
        ("inputs", '{"split": 3}'),
        ("versions", "3"),
        ("part", '{"a": 1}'),
        ("summary", '["a"]'),
        ("summary", '{"title": "t", "columns": ["a"], "rows": [["1", "2"]], "notes": []}'),
        ("summary", '{"title": "t", "columns": ["a"], "rows": [], "notes": [3]}'),
        ("files", "1e999"),
        ("files", '{"a": 3}'),
        ("files_before", '{"a": "text"}'),
        ("files", json.dumps({"../victim": HASH})),
        ("files_before", json.dumps({"a/../../victim": [HASH]})),
    ],
)
def test_what_an_artefact_says_of_itself_must_be_what_every_command_can_read(artefact, name, value):
    """Written with its checksum, as another program could: damage is one message."""
    with h5py.File(artefact, "a") as file:
        del file.attrs["record"]
        file.attrs.pop(name, None)
        if value is not None:
            file.attrs[name] = value
        seal(file)
    with pytest.raises(InputError, match="the artefact is damaged"), open_artefact(artefact):
        pass


@pytest.mark.parametrize("attribute", ["files", "files_before"])
@pytest.mark.parametrize("absolute", [False, True])
def test_no_list_of_files_reaches_out_of_the_folder_of_its_artefact(tmp_path, attribute, absolute):
    """What an artefact lists is removed when the next one has no such file: never a file of the user."""
    victim, folder = tmp_path / "victim", tmp_path / "out"
    victim.write_text(VICTIM)
    folder.mkdir()
    output = folder / "split.h5"
    write(output)
    place = str(victim) if absolute else "../victim"
    with h5py.File(output, "a") as file:
        file.attrs[attribute] = json.dumps({place: HASH if attribute == "files" else [HASH]})
        seal(file)
    with publish_with_files(output, JOB):
        pass
    assert victim.read_text() == VICTIM
