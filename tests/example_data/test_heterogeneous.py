"""The heterogeneous example set: what its script makes is what is stored, and its forces fit its energies."""

import io
import re
import zipfile

import numpy as np
import pytest

from aenet_gpr_cli.io.formats.xsf import format_xsf, parse_xsf
from tests.example_data.scripts import FOLDER, importable

ARCHIVE = FOLDER / "heterogeneous" / "structures.zip"
LABELS_AGREE = 1e-6  # eV, eV/Å: the archive of another machine may differ in the last digits


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("tblite", reason="labels of the example set need the extra label (tblite)")
    with importable():
        import make_heterogeneous_data

        yield make_heterogeneous_data


@pytest.fixture(scope="module")
def stored():
    with zipfile.ZipFile(ARCHIVE) as archive:
        return {name: parse_xsf(archive.read(name).decode(), name) for name in archive.namelist()}


def test_seventeen_subsets_of_a_hundred_structures(stored):
    subsets = [re.sub(r"_\d+\.xsf$", "", name) for name in stored]
    assert len(set(subsets)) == 17
    assert {subsets.count(name) for name in set(subsets)} == {100}
    assert {name.rpartition("_")[2] for name in subsets} == {"displaced", "conformers", "dynamics"}


def test_forces_stay_within_what_the_published_sets_have(stored):
    largest = max(np.linalg.norm(s.forces, axis=1).max() for s in stored.values())
    assert 5.0 < largest <= 10.0


@pytest.mark.parametrize("subset", ["li2", "co2", "ethanol", "li4"])
def test_the_script_makes_the_stored_structures(script, stored, subset):
    for made in script.make_subset(subset, 2):
        known = stored[made.name]
        assert np.abs(made.positions - known.positions).max() < LABELS_AGREE
        assert made.energy == pytest.approx(known.energy, abs=LABELS_AGREE)
        assert np.abs(made.forces - known.forces).max() < LABELS_AGREE


@pytest.mark.parametrize(
    ("name", "components"),
    [
        ("li_ec_conformers_0003", 4),
        ("li2co3_dynamics_0050", 4),
        ("bulk_displaced_0007", 2),
    ],  # a crystal: seconds
)
def test_stored_forces_are_slopes_of_the_energy(script, stored, name, components):
    """Four-point differences of GFN1-xTB energies; crystals have the noise of the self-consistent field."""
    structure = stored[f"{name}.xsf"]
    assert np.abs(structure.forces).max() > 0.05
    assert (
        script.force_error(structure, lambda: script.xtb(script.METHOD), components=components)
        < script.FORCE_TOLERANCE
    )


def test_one_archive_from_the_same_structures(script, stored, tmp_path):
    some = [stored[name] for name in list(stored)[:5]]
    script.write_archive(some, tmp_path / "a.zip")
    script.write_archive(some, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO((tmp_path / "a.zip").read_bytes())) as archive:
        assert archive.read(some[0].name).decode() == format_xsf(some[0])
