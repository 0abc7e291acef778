"""Time and memory: units, and what is left out."""

import subprocess
import sys
import time

import numpy as np
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.evaluation.timing import Stopwatch, current_memory, peak_memory, time_epochs


def test_stopwatch_measures_seconds_and_stops():
    with Stopwatch() as watch:
        time.sleep(0.02)
    after = watch.seconds
    time.sleep(0.01)
    assert 0.02 <= after < 1.0
    assert watch.seconds == after


def test_peak_memory_counts_bytes_and_never_falls():
    before = peak_memory()
    block = np.ones(8_000_000)  # 64 MB, touched
    during = current_memory()
    assert during > block.nbytes
    del block
    peak = peak_memory()
    assert peak >= before
    # the peak is sampled by the kernel: allow it 2 % behind
    assert 0.98 * during < peak < 200 * during


def test_a_fresh_process_does_not_inherit_the_peak_of_its_parent():
    code = "from aenet_gpr_cli.evaluation.timing import peak_memory; print(peak_memory())"
    block = np.ones(40_000_000)  # 320 MB in the parent
    child = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert child < block.nbytes


def test_epochs_are_timed_after_the_warm_up():
    durations = iter([0.2, 0.01, 0.02, 0.03])  # the first one compiles
    timing = time_epochs(lambda: time.sleep(next(durations)), n_epochs=3, n_warmup=1)
    assert timing.n_epochs == 3
    assert 0.01 <= timing.fastest < timing.seconds_per_epoch < timing.slowest < 0.2
    assert timing.peak_memory > 1e6


def test_at_least_one_epoch_is_needed():
    with pytest.raises(InputError, match="at least one epoch"):
        time_epochs(lambda: None, n_epochs=0, n_warmup=0)
