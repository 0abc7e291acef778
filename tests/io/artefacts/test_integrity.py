"""Hostile HDF5: nothing outside the file, no loops, no small file that unfolds into a large array."""

import h5py
import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts import integrity as trust
from aenet_gpr_cli.io.artefacts.artefact import Job, open_artefact, publish
from aenet_gpr_cli.io.artefacts.fields import write_field


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


def test_what_grows_on_disk_is_accepted(artefact, monkeypatch):
    monkeypatch.setattr(trust, "SMALL_BYTES", 0)
    with h5py.File(artefact, "a") as file:
        grown = file.create_dataset("grown", shape=(0, 3), maxshape=(None, 3), dtype="f8", chunks=(64, 3))
        for n in (5, 64, 130):
            grown.resize(n, axis=0)
            grown[:] = 1.0
        file["nothing"] = np.zeros((0, 3))
        file["one"] = 3.0
    with open_artefact(artefact) as file:
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
