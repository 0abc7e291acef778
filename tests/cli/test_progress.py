"""Progress: one clock for one piece of work, whatever numbers its messages carry."""

import re

import pytest

from aenet_gpr_cli.cli import console
from aenet_gpr_cli.cli.console import ProgressReport, WorkClock


def test_the_clock_runs_on_while_numbers_in_the_message_change():
    clock = WorkClock()
    assert clock.at(0, 100, "member 1 of 4, best 1.7e-02", 0.0)
    for step in range(1, 11):
        assert not clock.at(step, 100, f"member {1 + step // 5} of 4, best {1.7 / step:.1e}", 2.0 * step)
    assert clock.said() == "0:20 elapsed, about 3:00 left"


def test_other_work_starts_the_clock_again():
    clock = WorkClock()
    clock.at(0, 10, "fit of Li", 0.0)
    clock.at(5, 10, "fit of Li: residual 0.1", 50.0)
    for done, total, message in ((0, 10, "augment Li"), (3, 7, "augment Li"), (1, 7, "augment Li")):
        assert clock.at(done, total, message, 60.0)
        assert clock.said() == "0:00 elapsed"


def test_what_a_stopped_run_had_done_does_not_count_as_speed():
    clock = WorkClock()
    clock.at(90, 100, "epoch", 0.0)
    clock.at(92, 100, "epoch", 10.0)
    assert clock.said() == "0:10 elapsed, about 0:40 left"


def test_a_log_tells_elapsed_and_remaining_time(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with ProgressReport(quiet=False) as report:
        for step in range(4):
            now[0] = 20.0 * step
            report(step, 4, f"best {1 / (step + 1):.2e}")
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "best 2.50e-01 3/4, 1:00 elapsed, about 0:20 left"


@pytest.mark.parametrize(("done", "shown"), [(2, 1), (4, 0)])
def test_a_bar_goes_when_its_work_is_done(monkeypatch, done, shown):
    monkeypatch.setattr(console.sys.stderr, "isatty", lambda: True, raising=False)
    with ProgressReport(quiet=False) as report:
        report(1, 4, "first")
        report(done, 4, "first")
        assert len(report._bar.tasks) == shown
        report(1, 9, "second")
        assert [task.description for task in report._bar.tasks] == ["second"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_times_beside_a_long_message_are_whole(monkeypatch, capsys, width):
    monkeypatch.setattr(console.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with ProgressReport(quiet=False) as report:
        for step in range(3):
            now[0] = 200.0 * step
            report(step, 6, "angular cutoffs 5 Å, length scale 128: log evidence 9572.0 of the environments")
    said = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "angular cutoffs" in said
    assert "2/6 6:40 elapsed, about 13:20 left" in said
