"""Files, folders and archives: everything found once, named stably, problems told together."""

from __future__ import annotations

import io
import logging
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats import archives
from aenet_gpr_cli.io.formats.source_files import source_hashes, source_labels
from aenet_gpr_cli.io.formats.sources import read_data, read_sources
from aenet_gpr_cli.subsystems.reading_rules import ReadingRules
from tests.io.frames import outputs


def xsf(energy: float) -> str:
    return f"# total energy = {energy} eV\n\nATOMS\nH 0 0 {energy} 0 0 1\nH 0 0 9 0 0 -1\n"


def fill(folder: Path, *energies: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for energy in energies:
        (folder / f"file_{energy}.xsf").write_text(xsf(energy))
    return folder


def make_zip(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, members: dict[str, str], mode: str) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content.encode()))
    return path


def names(*paths: Path) -> list[str]:
    return [structure.name for structure in read_sources(paths)]


def test_a_folder_is_read_with_its_subfolders_in_natural_order(tmp_path: Path) -> None:
    fill(tmp_path / "data", 10, 9, 1)
    fill(tmp_path / "data" / "more", 2)
    (tmp_path / "data" / "README.md").write_text("not a structure")
    (tmp_path / "data" / "slurm-1.out").write_text("nothing that a code wrote\n")
    (tmp_path / "data" / "._file_1.xsf").write_bytes(b"\0")
    (tmp_path / "data" / "__MACOSX").mkdir()
    (tmp_path / "data" / "__MACOSX" / "file_3.xsf").write_bytes(b"\0")
    assert names(tmp_path / "data") == [
        "data/file_1.xsf",
        "data/file_9.xsf",
        "data/file_10.xsf",
        "data/more/file_2.xsf",
    ]


def test_names_do_not_depend_on_where_we_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "data", 1)
    absolute = names(tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data")
    assert [s.name for s in read_sources(["."])] == absolute == ["data/file_1.xsf"]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"])
def test_archives_are_read_in_place(tmp_path: Path, suffix: str) -> None:
    members = {
        "set/file_10.xsf": xsf(10),
        "set/file_2.xsf": xsf(2),
        "set/notes.txt": "ignored",
        "__MACOSX/set/._file_2.xsf": "\0",
        "set/.DS_Store": "\0",
    }
    path = tmp_path / f"set{suffix}"
    if suffix == ".zip":
        make_zip(path, dict(members))
    else:
        compression = {".tgz": "gz", ".tar": ""}.get(suffix, suffix[5:])
        make_tar(path, members, f"w:{compression}")
    found = read_sources([path])
    assert [s.name for s in found] == [f"{path.name}/set/file_2.xsf", f"{path.name}/set/file_10.xsf"]
    assert [s.energy for s in found] == [2, 10]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # nothing was extracted


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_archives_hold_files_of_any_format(tmp_path: Path, suffix: str) -> None:
    frames = "".join(
        f"1\nProperties=species:S:1:pos:R:3:forces:R:3 energy={e}\nH 0 0 0 0 0 0\n" for e in (-1, -2)
    )
    path = tmp_path / f"data{suffix}"
    members = {
        "a/frames.xyz": frames,
        "a/run_7.log": outputs.gaussian([True, True]),
        "a/OUTCAR": outputs.outcar([3, 3], 60),
        "b/x.xsf": xsf(10),
        "README.md": "nothing",
        "deep.zip": "PK",
    }
    make_zip(path, dict(members)) if suffix == ".zip" else make_tar(path, members, "w:gz")
    data = read_data([path], ReadingRules())
    base = path.name
    several = [f"{base}/a/{name}#{i}" for name in ("frames.xyz", "run_7.log", "OUTCAR") for i in (0, 1)]
    assert {s.name for s in data.structures} == {f"{base}/b/x.xsf", *several}
    assert any("extxyz in an archive, 2 frames" in line for line in data.lines())
    assert [p.name for p in tmp_path.iterdir()] == [base]  # nothing was extracted here


def test_archives_inside_a_folder_are_found(tmp_path: Path) -> None:
    make_zip(tmp_path / "a.zip", {"x.xsf": xsf(1)})
    assert names(tmp_path) == [f"{tmp_path.name}/a.zip/x.xsf"]


def test_sources_with_the_same_last_part_get_different_labels(tmp_path: Path) -> None:
    one, two = fill(tmp_path / "a" / "train", 1), fill(tmp_path / "b" / "train", 1)
    other = fill(tmp_path / "test", 1)
    assert source_labels([one, other, two]) == ["a/train", "test", "b/train"]
    assert names(one, two) == ["a/train/file_1.xsf", "b/train/file_1.xsf"]


def test_nothing_is_read_twice(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 1)
    with pytest.raises(InputError, match="expected each source once, got it 2 times"):
        read_sources([folder, f"{folder}/../data"])
    with pytest.raises(InputError, match=r"file_1.xsf: expected each file once"):
        read_sources([folder, folder / "file_1.xsf"])


def test_missing_empty_and_unknown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone: expected a file, folder or archive .* does not exist"):
        read_sources([tmp_path / "gone"])
    with pytest.raises(
        InputError, match=r"expected at least one structure, looked for \*\.xsf, .*, got none"
    ):
        read_sources([tmp_path])
    with pytest.raises(InputError, match="expected at least one source"):
        read_sources([])
    (tmp_path / "a.dat").write_text("1 2 3\n")
    with pytest.raises(InputError, match=r"a.dat: expected \*\.xsf, .* got a file of unknown format '.dat'"):
        read_sources([tmp_path / "a.dat"])


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    fill(tmp_path, *range(8))
    for i in range(7):
        (tmp_path / f"file_{i}.xsf").write_text("ATOMS\nH 0 0\n")
    make_zip(tmp_path / "b.zip", {"bad.xsf": "ATOMS\n", "good.xsf": xsf(1)})
    with pytest.raises(InputError) as caught:
        read_sources([tmp_path])
    lines = str(caught.value).splitlines()
    assert lines[0] == "8 of 10 structures cannot be read:"
    assert lines[-2] == "  and 3 more"
    assert lines[-1].startswith("mend what is named, or move it elsewhere")
    assert len(lines) == 8
    assert f"  {tmp_path}/b.zip/bad.xsf:1: expected at least one atom after ATOMS, got none" in lines
    assert caught.value.exit_code == 2


def test_one_problem_is_told_alone(tmp_path: Path) -> None:
    (tmp_path / "a.xsf").write_text("ATOMS\nH 0 0\n")
    with pytest.raises(InputError, match=rf"^{tmp_path}/a.xsf:2: expected 4 columns"):
        read_sources([tmp_path])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"../../etc/a.xsf": xsf(1)}, r"expected paths inside the archive, got '\.\./\.\./etc/a\.xsf'"),
        ({"/etc/a.xsf": xsf(1)}, "expected paths inside the archive, got '/etc/a.xsf'"),
        ({"C:\\a.xsf": xsf(1)}, "expected paths inside the archive"),
        ({"a\nb.xsf": xsf(1)}, r"expected paths inside the archive, got 'a\\nb\.xsf'"),
        ({"a.pdb": "x"}, r"expected at least one XSF file .* got 1 other files, e.g. 'a.pdb'"),
        ({}, r"expected at least one XSF file .* got none"),
        (
            {"bomb.xsf": b"0" * (65 * 2**20)},
            "bomb.xsf: expected an XSF file of at most 64 MiB, got a larger one",
        ),
    ],
)
def test_suspicious_archives_are_refused(tmp_path: Path, members: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_sources([make_zip(tmp_path / "a.zip", members)])


def test_links_in_a_tar_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("a.xsf")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(InputError, match=r"expected a file, got a link: 'a\.xsf'"):
        read_sources([tmp_path / "a.tar"])


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_the_unpacked_size_of_an_archive_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 100)
    members = {"a.xsf": xsf(1), "b.xsf": xsf(2)}
    path = tmp_path / f"a{suffix}"
    make_zip(path, dict(members)) if suffix == ".zip" else make_tar(path, members, "w:gz")
    with pytest.raises(InputError, match="GiB unpacked, got more"):
        read_sources([path])


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
@given(cut=st.integers(0, 250), flip=st.integers(0, 249), byte=st.integers(0, 255))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_archives_give_structures_or_an_input_error(
    tmp_path: Path, suffix: str, cut: int, flip: int, byte: int
) -> None:
    path = tmp_path / f"a{suffix}"
    members = {"a.xsf": xsf(1), "b.xsf": xsf(2)}
    make_zip(path, dict(members)) if suffix == ".zip" else make_tar(path, members, "w:gz")
    data = bytearray(path.read_bytes())
    data[flip % len(data)] = byte
    path.write_bytes(data[: len(data) - cut] if cut % 2 else data)
    try:
        found = len(read_sources([path]))
    except InputError:
        found = 1
    assert found >= 1  # never silently nothing; any other exception fails the test


def labelled(energy: float, **results: float) -> Atoms:
    atoms = Atoms("OH", positions=[[0, 0, 0], [0, 0, 0.9]])
    forces = np.array([[0, 0, energy], [0, 0.5, -energy]])
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, **results)
    return atoms


@pytest.mark.parametrize("suffix", [".extxyz", ".xyz", ".traj"])
def test_frames_keep_their_own_labels(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"a{suffix}", [labelled(-1.25), labelled(-2.5)])
    found = read_sources([tmp_path])
    assert [s.name for s in found] == [f"{tmp_path.name}/a{suffix}#{i}" for i in (0, 1)]
    assert [s.energy for s in found] == [-1.25, -2.5]
    np.testing.assert_allclose(found[1].forces, [[0, 0, -2.5], [0, 0.5, 2.5]], rtol=0, atol=1e-8)
    assert found[0].cell is None


def test_outputs_of_codes_are_known_by_content(tmp_path: Path) -> None:
    (tmp_path / "job.out").write_text("\n     Program PWSCF v.7.2 starts on  1Jan2024\n")
    (tmp_path / "other.out").write_text("a log of the queue\n")
    with pytest.raises(InputError, match=r"job.out: expected .* of format espresso-out"):
        read_sources([tmp_path])


@pytest.mark.parametrize("text", ["", "2\nenergy=1\nH 0 0 0\n"])
def test_a_file_without_a_complete_frame_is_left_out_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.xyz").write_text(text)
    bad = "bad.xyz" if text else "the file holds no structure: "
    with pytest.raises(InputError, match=f"got none: left out 1 of 1 frames, .*{bad}.*; finish these"):
        read_data([tmp_path], ReadingRules())
    write(tmp_path / "good.xyz", labelled(-1.0), format="extxyz")
    found = read_data([tmp_path], ReadingRules())
    assert [s.name for s in found.structures] == [f"{tmp_path.name}/good.xyz#0"]
    (said,) = found.warnings()
    assert said.startswith("left out 1 of 2 frames")
    assert said.endswith(f"{tmp_path.name}/bad.xyz")
    with pytest.raises(InputError, match=r"bad\.xyz: expected .* of format extxyz, .*\nmend what is named"):
        read_data([tmp_path], ReadingRules(incomplete="refuse"))


def test_what_to_do_about_a_damaged_file_among_others_is_said(tmp_path: Path) -> None:
    write(tmp_path / "good.xyz", labelled(-1.0), format="extxyz")
    (tmp_path / "bad.xyz").write_text("1\nenergy=1\nH 0 0 zero\n")
    with pytest.raises(InputError, match=r"bad\.xyz.*\nmend what is named, or move it elsewhere"):
        read_data([tmp_path], ReadingRules())
    with pytest.raises(InputError) as alone:
        read_data([tmp_path / "bad.xyz"], ReadingRules())
    assert "move it elsewhere" not in str(alone.value)


def test_a_vasp_folder_is_not_read_twice(tmp_path: Path) -> None:
    for name in ("OUTCAR", "vasprun.xml"):
        (tmp_path / name).write_text("incomplete")
    with pytest.raises(InputError, match=r"^\S*vasprun.xml: expected a complete file of format vasp-xml"):
        read_sources([tmp_path])


def test_the_force_consistent_energy_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "a.traj", labelled(-1.0, free_energy=-1.5))
    assert read_sources([tmp_path])[0].energy == -1.5


def test_forces_of_fixed_atoms_are_kept(tmp_path: Path) -> None:
    atoms = labelled(-1.0)
    atoms.set_constraint(FixAtoms([0]))
    write(tmp_path / "a.traj", atoms)
    assert read_sources([tmp_path])[0].forces[0, 2] == -1.0


def test_periodic_frames_keep_cell_and_periodicity(tmp_path: Path) -> None:
    atoms = labelled(-1.0)
    atoms.set_cell([[3, 0, 0], [1, 4, 0], [0, 0, 20]])
    atoms.pbc = (True, True, False)
    write(tmp_path / "a.extxyz", atoms)
    (found,) = read_sources([tmp_path])
    np.testing.assert_array_equal(found.cell, [[3, 0, 0], [1, 4, 0], [0, 0, 20]])
    assert found.pbc == (True, True, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "2\nenergy=nan\nH 0 0 0\nH 0 0 1\n",
            "frame 0: expected finite numbers, got NaN or infinity in energy",
        ),
        ("2\nenergy=1\nH 0 0 0\nH 0 0 nan\n", "frame 0: expected finite numbers, .* in position"),
        ("3\nenergy=1\nH 0 0 0\nH 0 0 1\n", "a.xyz: expected a complete file of format extxyz"),
        ("", "a.xyz: expected .*extxyz"),
        ('1\npbc="T F F" energy=1\nH 0 0 0\n', "expected a lattice vector for each periodic direction"),
    ],
)
def test_bad_frames_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.xyz").write_text(text)
    with pytest.raises(InputError, match=message):
        read_sources([tmp_path / "a.xyz"])


def test_an_energy_under_another_key_is_pointed_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.xyz").write_text("1\nmy_energy=1\nH 0 0 0\n")
    with caplog.at_level(logging.WARNING):
        assert read_data([tmp_path], ReadingRules()).structures[0].energy is None
    assert "no key 'energy', but my_energy; name the right one as energy_key" in caplog.text


def test_python_files_are_never_run(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(InputError, match="unknown format"):
        read_sources([tmp_path / "a.py"])
    assert not (tmp_path / "ran").exists()


def test_hashes_follow_contents_and_names(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 1, 2)
    before = source_hashes([folder])
    (folder / "README.md").write_text("does not matter")
    assert source_hashes([folder]) == before
    assert list(before) == [str(folder)]
    (folder / "file_1.xsf").rename(folder / "file_3.xsf")
    renamed = source_hashes([folder])
    assert renamed != before
    (folder / "file_2.xsf").write_text(xsf(5))
    assert source_hashes([folder]) not in (before, renamed)
    file = folder / "file_2.xsf"
    assert source_hashes([file])[str(file)] != source_hashes([folder])[str(folder)]


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    read_sources([fill(tmp_path / "data", 1, 2)], lambda done, total, _: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 1)
    (folder / "again").symlink_to(folder, target_is_directory=True)
    assert names(folder) == ["data/file_1.xsf"]


@pytest.mark.published
def test_published_archives(published) -> None:
    folder = published("ec-dimer")
    found = read_sources([folder / "train_set.zip", folder / "test_set.zip"])
    assert len(found) == 1000
    assert found[0].name == "train_set.zip/train_set/file_0000.xsf"
    assert found[0].energy == -18642.1746127225014789


def test_databases_of_ase_keep_energies_under_other_names(tmp_path: Path) -> None:
    from ase.db import connect

    forces = np.array([[0.0, 0.0, 0.5], [0.0, 0.0, -0.5]])
    with connect(tmp_path / "a.db") as database:
        for i in range(3):
            atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.7 + 0.01 * i]])
            database.write(atoms, REF_energy=-31.0 - i, total_charge=1, data={"REF_forces": forces})
    found = read_data([tmp_path / "a.db"], ReadingRules())
    assert [s.energy for s in found.structures] == [-31.0, -32.0, -33.0]
    assert found.structures[0].state == (("charge", 1.0),)
    np.testing.assert_array_equal(found.structures[1].forces, forces)
