"""A hundred subsets in ten lines: sums are kept, and everything is in the artefact."""

from __future__ import annotations

import json
import logging
import warnings

import h5py
import numpy as np
import pytest

from aenet_gpr_cli.cli.console import LINES_OF_A_KIND, set_up_logging
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.stages.shared.many_subsets import MOST_ROWS, Finding, few_rows, told
from tests.faults.conftest import water


def test_the_largest_subsets_keep_their_rows_and_the_others_are_counted():
    rng = np.random.default_rng(0)
    sizes = np.concatenate([[500, 300, 200, 120], rng.integers(1, 40, 96)])
    rows = [(f"s{i}", str(n), str(2 * n), "0.1") for i, n in enumerate(sizes)]
    short = few_rows(rows, 1, (2,))
    assert [row[0] for row in short[:3]] == ["s0", "s1", "s2"]
    assert len(short) <= 7
    assert sum(int(row[1]) for row in short) == sizes.sum()
    assert sum(int(row[2]) for row in short) == 2 * sizes.sum()
    assert sum(1 if row[0].startswith("s") else int(row[0].split()[0]) for row in short) == 100
    assert few_rows(rows[:MOST_ROWS], 1) == ()


def test_findings_of_a_kind_are_told_together():
    found = [Finding("a", f"s{i}", f"{i} atoms too close") for i in range(40)] + [Finding("b", "x", "odd")]
    assert told(found) == ["s0: 0 atoms too close; 39 other subsets alike: s1, s2, s3 and 36 more", "x: odd"]


def test_lines_of_a_kind_stop_after_a_few_unless_all_are_asked_for(capsys):
    log = logging.getLogger("aenet_gpr_cli")
    for verbose, number in ((False, LINES_OF_A_KIND), (True, 50)):
        set_up_logging(verbose, quiet=False)
        for i in range(50):
            log.warning("%s: at the edge", f"s{i}")
        assert capsys.readouterr().err.count("at the edge") == number
    set_up_logging(False, quiet=False)
    for i in range(5):
        log.warning("%s", f"another thing {i}")
    assert capsys.readouterr().err.count("another thing") == 5


def test_a_warning_of_a_library_is_a_line_without_its_source(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        set_up_logging(False, quiet=True)
        warnings.warn("outside \x1b[2J the data", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: outside \\x1b[2J the data\n"


@pytest.fixture
def hundred(tmp_path):
    """A hundred compositions, one structure each, and a water: chains of H on O."""
    rng, text = np.random.default_rng(0), ""
    for n in range(1, 101):
        positions = 1.2 * np.arange(n + 1)[:, None] * [1.0, 0.0, 0.0]
        lines = [
            f"{'O' if i == 0 else 'H'} {x[0]} 0 0 0 0 {0.01 * (-1) ** i}" for i, x in enumerate(positions)
        ]
        kind = "long" if n > 50 else "short"
        head = f"Properties=species:S:1:pos:R:3:forces:R:3 energy={-n + rng.normal():.6f} config_type={kind}"
        text += "\n".join([str(n + 1), head, *lines]) + "\n"
    path = tmp_path / "hundred.xyz"
    path.write_text(text)
    return path


def test_a_hundred_subsets_print_ten_lines_and_show_tells_all(run_cli, hundred, tmp_path):
    code, out, err = run_cli("split", hundred, "--set", "train=80", "--set", "check_forces=false")
    assert code == 0
    filled = [line for line in (out + err).splitlines() if line.strip()]
    assert len(filled) <= 15
    assert "80 of 100 subsets have no test structure, so that evaluate says nothing about them" in out
    assert sum(len(s) for s in load_split(tmp_path / "split.h5", "train").values()) == 80
    with h5py.File(tmp_path / "split.h5") as file:
        assert len(json.loads(file.attrs["summary"])["rows"]) == 100
    assert len(run_cli("show", "split.h5")[1].splitlines()) > 100
    assert run_cli("split", hundred, "--set", "train=80", "--set", "check_forces=false")[1].count("\n") <= 16


def test_both_parts_hold_both_kinds(run_cli, hundred, tmp_path):
    assert run_cli("split", hundred, "--set", "train=0.5", "--set", "check_forces=false")[0] == 0
    for part in ("train", "test"):
        kinds = [kind for s in load_split(tmp_path / "split.h5", part).values() for kind in s.groups]
        assert 24 <= kinds.count("long") <= 26
        assert len(kinds) == 50


def test_frames_of_a_trajectory_are_told_and_blocks_divide_them(run_cli, tmp_path):
    rng = np.random.default_rng(0)
    frames, s = "", water(rng, "w")
    for i in range(60):
        moved = s.positions + 0.005 * i * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
        lines = [
            f"{e} {' '.join(map(repr, row))} 0 0 0.1"
            for e, row in zip(s.species, moved.tolist(), strict=True)
        ]
        frames += "\n".join(["3", f"Properties=species:S:1:pos:R:3:forces:R:3 energy={i}", *lines]) + "\n"
    (tmp_path / "md.xyz").write_text(frames)
    keys = "--set=train=30", "--set=check_forces=false"
    code, out, err = run_cli("split", "md.xyz", *keys)
    assert code == 0
    assert (out + err).count("successive frames look like one trajectory") == 1
    code, out, err = run_cli("split", "md.xyz", *keys)
    assert "up to date" in out
    assert (out + err).count("successive frames look like one trajectory") == 1
    code, out, err = run_cli("split", "md.xyz", *keys, "--set=blocks=10", "--set=block_gap=1")
    assert code == 0
    assert "trajectory" not in out + err
    number = {part: [int(n.split("#")[1]) for n in load_split(tmp_path / "split.h5", part)["H2O"].names]
              for part in ("train", "test")}  # fmt: skip
    assert len(number["train"]) == 30
    assert {n // 10 for n in number["train"]}.isdisjoint(n // 10 for n in number["test"])
    assert min(abs(i - j) for i in number["train"] for j in number["test"]) > 1
    code, _, err = run_cli("split", "md.xyz", "--set=block_gap=1", "--force")
    assert code == 2
    assert "block_gap: goes with blocks" in err
