"""Whatever opens an artefact opens what was written: numbers and the record of where they came from."""

import h5py
import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact import Job, open_artefact, publish
from aenet_gpr_cli.io.artefacts.fields import write_field
from aenet_gpr_cli.io.artefacts.stored_anns import load_ann
from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
from aenet_gpr_cli.io.artefacts.streaming import open_augmented
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.io.hdf5 import checksums


@pytest.fixture
def artefact(tmp_path):
    def make(kind="split"):
        path = tmp_path / f"{kind}.h5"
        with publish(path, Job(kind, {"seed": 10}, {"a": "00"})) as file:
            write_field(file.create_group("train/x"), "energies", np.arange(3.0))
            file["train/x"].attrs["scale"] = 2.0
        return path

    return make


def altered_array(file):
    file["train/x/energies"][1] += 1e-12


def altered_attribute(file):
    file["train/x"].attrs["scale"] = np.nextafter(2.0, 3.0)


def another_array(file):
    file["train/x/forces"] = np.zeros(3)


@pytest.mark.parametrize("alter", [altered_array, altered_attribute, another_array])
@pytest.mark.parametrize(
    ("kind", "load"),
    [
        ("split", lambda path: load_split(path, "train")),
        ("fit-gpr", load_gps),
        ("train-ann", load_ann),
        ("augment", lambda path: open_augmented(path).__enter__()),
    ],
)
def test_every_way_to_an_artefact_leads_past_its_checksum(artefact, kind, load, alter):
    path = artefact(kind)
    with h5py.File(path, "a") as file:
        alter(file)
    with pytest.raises(InputError, match="its numbers do not agree with its checksum"):
        load(path)


@pytest.mark.parametrize("name", ["config", "inputs", "seed", "created", "checksum", "wall_time_s"])
def test_what_an_artefact_says_of_itself_is_as_written(artefact, name):
    path = artefact()
    with h5py.File(path, "a") as file:
        value = file.attrs[name]
        file.attrs[name] = value.replace("0", "1") if isinstance(value, str) else value + 1
    with pytest.raises(InputError, match="not agree with its checksum"), open_artefact(path):
        pass


def test_a_file_is_read_once_per_process_and_again_when_it_has_changed(artefact, monkeypatch):
    path, read = artefact(), []
    original = checksums.checksum
    monkeypatch.setattr(checksums, "checksum", lambda file: read.append(1) or original(file))
    for _ in range(3):
        with open_artefact(path):
            pass
        checksums.identity(path)
    assert len(read) == 1
    with open_artefact(path, numbers=False):
        pass
    path.write_bytes(path.read_bytes())
    with open_artefact(path):
        pass
    assert len(read) == 2
