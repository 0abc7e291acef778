"""Memory of a process: units, and that a peak is its own."""

import subprocess
import sys

import numpy as np

from aenet_gpr_cli.io.process_memory import current_memory, peak_memory


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
    code = "from aenet_gpr_cli.io.process_memory import peak_memory; print(peak_memory())"
    block = np.ones(40_000_000)  # 320 MB in the parent
    child = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert child < block.nbytes
