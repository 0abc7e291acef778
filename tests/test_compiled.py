"""Compiled code gives the same bits whether this process compiled it or found it in the cache.

With reassociated sums the rounding depends on how a function was compiled. A helper of its own can be there
twice, alone and within its caller, and which one is called differs between a process that compiles and one
that reads the cache: so helpers must be inlined.
"""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

import aenet_gpr_cli

KERNELS = """
import hashlib
import numpy as np
import torch
from aenet_gpr_cli.ann.network.architecture import Architecture
from aenet_gpr_cli.ann.network.backend import fastest_passes
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis, jvp, values, vjp
from aenet_gpr_cli.descriptors.interface.neighbour_list import neighbour_list

rng, seen = np.random.default_rng(0), hashlib.sha256()
basis, kinds = ChebyshevBasis(("C", "H"), 6.0, 5, 4.0, 3), np.arange(20) % 2
neighbours = neighbour_list(rng.uniform(0, 5, (2, 10, 3)), None, (False,) * 3, basis.cutoff)
raw = values(basis, kinds, neighbours)
seen.update(raw.tobytes())
seen.update(vjp(basis, kinds, neighbours, rng.standard_normal((2, *raw.shape))).tobytes())
seen.update(jvp(basis, kinds, neighbours, rng.standard_normal((2, 20, 3))).tobytes())
shape = Architecture(("C",), raw.shape[1], (7, 6), "tanh")
passes = fastest_passes(shape, torch.device("cpu"))
flat = torch.as_tensor(rng.standard_normal((2, shape.n_weights)))
features = torch.as_tensor(np.column_stack([raw, np.ones(len(raw))]))
state, out = passes.forward(flat, 0, features, 2), torch.zeros_like(flat)
seen.update(state.output.numpy().tobytes())
slopes = passes.sensitivities(flat, 0, state)
direction = torch.as_tensor(rng.standard_normal((2, *raw.shape)))
passes.force_gradient(flat, 0, state, slopes, direction, torch.ones_like(state.output), out)
passes.energy_gradient(flat, 0, state, torch.ones_like(state.output), out)
seen.update(out.numpy().tobytes())
print(seen.hexdigest())
"""


def dispatchers():
    """All compiled functions of the package whose sums may be reordered, by module."""
    for info in pkgutil.walk_packages(aenet_gpr_cli.__path__, "aenet_gpr_cli."):
        source = Path(importlib.util.find_spec(info.name).origin).read_text()
        if "aenet_gpr_cli.jit" not in source and "numba" not in source:
            continue  # others compile nothing, and may need an extra to be imported
        module = importlib.import_module(info.name)
        own = {n: f for n, f in vars(module).items() if isinstance(f, Dispatcher)}
        yield info.name, {n: f for n, f in own.items() if f.targetoptions.get("fastmath")}


def test_helpers_of_compiled_functions_are_inlined():
    called = 0
    for module, functions in dispatchers():
        used = {name for function in functions.values() for name in function.py_func.__code__.co_names}
        for name in used & functions.keys():
            options = functions[name].targetoptions
            inlined = options.get("forceinline") or options.get("inline") == "always"
            assert inlined, f"{module}.{name}: expected forceinline=True"
            called += 1
    assert called > 10


@pytest.mark.slow
def test_a_process_that_compiles_and_one_that_reads_the_cache_give_the_same_bits(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", KERNELS], env=environment, capture_output=True, text=True, check=True
        )
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout
    assert list(tmp_path.rglob("*.nbc"))
