"""A sound file with thousands of objects is looked at within its time."""

import time

import h5py
import numpy as np

from aenet_gpr_cli.io.hdf5 import probing
from aenet_gpr_cli.io.hdf5.contents import refuse_hostile


def test_a_file_of_many_subsets_has_time_for_all_of_them(tmp_path):
    path = tmp_path / "many.h5"
    with h5py.File(path, "w") as file:
        for number in range(300):
            group = file.create_group(f"subsets/{number}")
            for name in ("positions", "energies", "cells"):
                group.create_dataset(name, data=np.zeros(8)).attrs["unit"] = "Å"
    started = time.process_time()
    with h5py.File(path, "r") as file:
        refuse_hostile(file, path, probing._look)
    taken = time.process_time() - started
    more = path.stat().st_size / probing.BYTES_PER_SECOND  # what grows with the number of subsets
    assert more > 2 * taken
    probing.probe(path)
    assert probing.found_clean(path)  # nobody walks through it again


def test_a_file_that_links_elsewhere_is_not_taken_as_clean(tmp_path):
    path = tmp_path / "linked.h5"
    with h5py.File(path, "w") as file:
        file["numbers"] = np.zeros(3)
        file["other"] = h5py.ExternalLink("elsewhere.h5", "/numbers")
    probing.probe(path)
    assert not probing.found_clean(path)
