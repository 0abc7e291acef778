"""What tests of dynamics share."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.io import read, write

from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.stored_anns import write_ann
from aenet_gpr_cli.io.formats.aenet_nn import read_nn

DATA = Path(__file__).parents[2] / "data"
START = DATA / "aenet_nn" / "file_0500.xsf"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The EC-dimer potential of ænet, and a second member that differs a little."""
    path = tmp_path_factory.mktemp("md") / "ann.h5"
    one = read_nn([DATA / "aenet_nn" / f"{symbol}.nn" for symbol in "CHO"])
    two = {s: tuple(np.concatenate([w, 1.001 * w]) for w in layers) for s, layers in one.weights.items()}
    with publish(path, Job("train-ann", {}, {})) as file:
        write_ann(file.create_group("model"), replace(one, weights=two))
    return path


@pytest.fixture(scope="module")
def boxed(tmp_path_factory):
    """The start in a periodic cell."""
    atoms = read(START)
    atoms.set_cell(np.ptp(atoms.positions, axis=0) + 6.0)
    atoms.pbc = True
    path = tmp_path_factory.mktemp("boxed") / "start.xyz"
    write(path, atoms, format="extxyz")
    return path
