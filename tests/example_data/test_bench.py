"""The benchmark: rows, tables and their comparison, and two rows on a handful of structures."""

import math
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.example_data.scripts import importable

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "example_data" / "bench"


@pytest.fixture(scope="module", autouse=True)
def scripts():
    with importable(FOLDER):
        yield


def test_rows_are_chosen_by_name_or_beginning():
    from bench_rows import chosen

    assert [row.name for row in chosen("fit_ec md", "full")] == ["fit_ec", "md_one", "md_ten", "md_368"]
    assert len(chosen("", "full")) == 18
    with pytest.raises(SystemExit, match="no row is called or begins with speed"):
        chosen("speed", "full")
    with pytest.raises(SystemExit, match="iteration_40"):
        chosen("iteration_40", "quick")


def test_what_a_row_reads_is_made_in_order_and_forecast_once():
    from bench_rows import PREPARED, ROWS, chosen, forecast, needs

    seconds = {row.name: row.seconds[0] for row in ROWS}
    assert needs("md {md_ec} {start_20}") == ["split_ec", "gpr_ec", "aug_ec", "md_ec"]
    alone, both = (forecast(chosen(names, "full"), "full") for names in ("labels", "labels fit_ec_p"))
    assert alone == pytest.approx(both)  # the labels need that fit anyway
    assert forecast(chosen("help", "full"), "full") == seconds["help"]
    assert set(PREPARED) <= {name for row in ROWS for name in needs(row.words)}


def test_the_limit_counts_the_products_of_a_fit_and_of_a_linearisation():
    from bench_rows import ROWS, SIZES, limit_flops

    rows = {row.name: row for row in ROWS}
    full = SIZES["full"]
    assert limit_flops(rows["fit_ec"], full, 0, 1, 1) == pytest.approx(15250**3 / 3)
    n, w = 100 * 37, 1964
    assert limit_flops(rows["iteration_10"], full, w, 1, 1) == pytest.approx(n * w**2 + w**3 / 3)
    assert limit_flops(rows["direct"], full, w, 60, 1) == pytest.approx(60 * (13900 * w**2 + w**3 / 3))
    assert limit_flops(rows["labels"], full, w, 1, 1) is None


def test_a_table_is_read_as_it_was_written_and_keeps_rows_of_earlier_runs(tmp_path):
    from bench_table import Result, read, write

    first = Result("fit_ec", "a, b", "full", "abc", cpu_s=1.5, peak_mib=300.0, of_limit=0.25, repeats=3)
    failed = Result("md_one", note="cannot: no such thing")
    write(tmp_path / "t.csv", [first, failed])
    again = Result("md_one", cpu_s=2.0)
    write(tmp_path / "t.csv", [again])
    assert read(tmp_path / "t.csv") == [first, again]
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit, match="expected a table of make bench"):
        read(tmp_path / "other.csv")


def test_a_comparison_gives_ratios_and_names_what_is_less_accurate_or_not_comparable():
    from bench_table import Result, compare

    old = [
        Result("fit_ec", size="full", cpu_s=40.0, wall_s=41.0, peak_mib=800.0, energy_mae_mev=1.0),
        Result("gone", cpu_s=1.0),
        Result("md_one", size="full", note="cannot: no md"),
    ]
    new = [
        Result("fit_ec", size="full", cpu_s=8.0, wall_s=8.2, peak_mib=400.0, energy_mae_mev=1.2),
        Result("md_one", size="full", cpu_s=0.1),
    ]
    lines = compare(old, new)
    assert "5.00" in lines[2]
    assert "2.00" in lines[2]
    assert lines[2].endswith("1 → 1.2  WORSE")
    assert "no md" in lines[3]
    assert not any("gone" in line for line in lines)
    assert "different data" in compare(old, [Result("fit_ec", size="quick", cpu_s=1.0)])[0]


def test_sets_share_no_structure_and_cover_the_archive(tmp_path):
    from bench_data import some_of

    archive, train, test = (tmp_path / f"{name}.zip" for name in ("all", "train", "test"))
    with zipfile.ZipFile(archive, "w") as file:
        for i in range(100):
            file.writestr(f"s_{i:03}.xsf", str(i))
    some_of(archive, train, test, (10, 15))
    names = [zipfile.ZipFile(path).namelist() for path in (train, test)]
    assert [len(x) for x in names] == [10, 15]
    assert not set(names[0]) & set(names[1])
    assert max(names[0]) > "s_085.xsf"


def test_a_repeated_structure_keeps_its_distances(tmp_path):
    import numpy as np
    from ase.io import read
    from bench_data import write_start

    source = ROOT / "example_data" / "li-ec" / "structures.zip"
    write_start(source, tmp_path / "one.extxyz")
    write_start(source, tmp_path / "many.extxyz", (4, 2, 1))
    one, many = read(tmp_path / "one.extxyz"), read(tmp_path / "many.extxyz")
    assert len(many) == 368
    expected = one.repeat((4, 2, 1))
    np.testing.assert_allclose(many.positions, expected.positions, atol=1e-7)
    np.testing.assert_allclose(many.cell[:], expected.cell[:], atol=1e-7)


def test_a_failing_process_says_why_and_another_is_measured(tmp_path):
    import os

    from bench_process import RowError, timed

    with pytest.raises(RowError, match="no such thing"):
        timed(
            [sys.executable, "-c", "raise SystemExit('no such thing')"],
            dict(os.environ),
            tmp_path,
            tmp_path / "log",
        )
    code = "x = bytearray(80_000_000); sum(range(10**6))"
    cost = timed([sys.executable, "-c", code], dict(os.environ), tmp_path, tmp_path / "log")
    assert cost.cpu > 0
    assert cost.mib > 80  # a child counts what its parent held when it was made


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the benchmark names the commit: needs git's folder")
def test_rows_are_measured_into_a_table_named_after_the_commit(tmp_path):
    from bench_table import read

    command = [sys.executable, str(FOLDER / "bench.py"), "--tiny", "--rows", "fit_ec help", "--repeats", "1"]
    done = subprocess.run([*command, "--output", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    (path,) = tmp_path.glob("*_tiny.csv")
    rows = {result.row: result for result in read(path)}
    assert list(rows) == ["fit_ec", "help"]
    assert math.isfinite(rows["fit_ec"].energy_mae_mev)
    assert rows["fit_ec"].cpu_s > rows["help"].cpu_s > 0
    assert float(rows["fit_ec"].dgemm_gflops) > 0
    assert path.name == f"{rows['fit_ec'].commit}_tiny.csv"


def test_a_difference_that_noise_hides_is_no_result(monkeypatch, tmp_path):
    from bench import Bench
    from bench_process import Cost, RowError, Tree
    from bench_rows import ROWS, SIZES

    seconds = iter([2.0, 5.0, 3.0, 3.0])
    monkeypatch.setattr(Bench, "once", lambda *_: Cost(next(seconds), 1.0, 100.0))
    paths = dict.fromkeys(("train_ec", "test_ec", "train_li", "test_li"), tmp_path)
    bench = Bench(Tree(ROOT, "abc", tmp_path), SIZES["tiny"], paths)
    row = next(row for row in ROWS if row.name == "iteration_10")
    assert bench.difference(row, row.words, (2, 8)).cpu == 0.5
    with pytest.raises(RowError, match="8 took 3 s, not more than 2"):
        bench.difference(row, row.words, (2, 8))


def test_artefacts_of_other_commands_are_made_anew(monkeypatch, tmp_path):
    import bench
    from bench_process import Tree
    from bench_rows import SIZES

    tree, size = Tree(ROOT, "abc", tmp_path / "abc"), SIZES["tiny"]
    kept = tmp_path / "abc" / "tiny" / "gpr_ec.h5"
    bench.bench_of(tree, size, tmp_path / "data")
    kept.touch()
    bench.bench_of(tree, size, tmp_path / "data")
    assert kept.exists()
    monkeypatch.setattr(bench, "RECIPES", bench.RECIPES | {"gpr_ec": "fit-gpr {split_ec}"})
    bench.bench_of(tree, size, tmp_path / "data")
    assert not kept.exists()


def test_without_a_table_or_data_one_line_says_what_to_do(monkeypatch, tmp_path):
    import bench
    from bench_process import RowError, Tree
    from bench_rows import SIZES
    from bench_table import read

    with pytest.raises(SystemExit, match="no such table; give AGAINST="):
        read(tmp_path / "none.csv")

    def offline(*_):
        raise RowError("cannot be fetched")

    monkeypatch.setattr(bench, "files", offline)
    with pytest.raises(SystemExit, match="cannot be fetched; name a folder with the published sets"):
        bench.bench_of(Tree(ROOT, "abc", tmp_path), SIZES["full"], tmp_path / "data")
