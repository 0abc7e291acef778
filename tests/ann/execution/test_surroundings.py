"""Data-parallel training: as many processes as one likes, the same potential to rounding."""

from __future__ import annotations

import multiprocessing as standard_multiprocessing
import os
import socket

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from aenet_gpr_cli.ann.execution.surroundings import Processes, Surroundings
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.stages.shared.torchrun import torchrun_processes
from tests.ann.ann_helpers import Forces, changed

gloo = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="torch was built without gloo",
)


def run_all(cases, processes):
    """Weights and curves of all cases, as plain arrays."""
    results = []
    for data, basis, settings in cases:
        result = train(data, basis, settings, 1, around=Surroundings(processes=processes))
        layers = [layer.ravel() for s in basis.species for layer in result.model.weights[s]]
        scales = [
            result.model.feature_mean["H"],
            result.model.feature_std["H"],
            result.model.feature_max["H"],
        ]
        results.append([np.concatenate(layers), result.validation_loss.ravel(), *scales])
    return results


def work(rank, size, port, cases, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size)}
    with torchrun_processes("cpu") as (processes, device):
        assert device == "cpu"
        assert (processes.rank, processes.size) == (rank, size)
        assert processes.anywhere(rank == size - 1)
        assert not processes.anywhere(False)
        for number, arrays in enumerate(run_all(cases, processes)):
            np.savez(f"{folder}/{number}-{rank}.npz", *arrays)
    assert not distributed.is_initialized()


@gloo
def test_processes_give_the_potential_of_one(data, basis, settings, lm_settings, tmp_path):
    # 14 structures and batches of 4 on 3 processes: some batches leave one of them without work
    forces = Forces(0.5, "components", 2**30)
    cases = [
        (data, basis, settings),
        (data, basis, changed(settings, forces=forces, bootstrap=True)),
        (data, basis, changed(settings, optimizer=lm_settings)),
        (
            data,
            basis,
            changed(settings, optimizer=changed(lm_settings, regularisation="evidence"), bootstrap=True),
        ),
        (data, basis, changed(settings, forces=forces._replace(memory=0), optimizer=lm_settings)),
    ]
    expected = run_all(cases, Processes())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # a server that has imported everything once, and no thread of which could hold a lock, is forked
    standard_multiprocessing.get_context("forkserver").set_forkserver_preload([__name__])
    multiprocessing.start_processes(
        work, args=(3, port, cases, tmp_path), nprocs=3, start_method="forkserver"
    )
    for number, arrays in enumerate(expected):
        found = [list(np.load(tmp_path / f"{number}-{rank}.npz").values()) for rank in range(3)]
        for ours, *theirs in zip(arrays, *found, strict=True):
            assert np.array_equal(theirs[0], theirs[1], equal_nan=True)  # they never part
            assert np.array_equal(theirs[0], theirs[2], equal_nan=True)
            # sums in another order, which a few steps amplify
            assert theirs[0] == pytest.approx(ours, rel=1e-6, abs=1e-8, nan_ok=True)


def test_without_a_group_nothing_happens():
    values = torch.arange(3.0)
    with torchrun_processes("cpu") as (processes, device):
        assert device == "cpu"
        assert (processes.rank, processes.size) == (0, 1)
    assert processes.add(values) is values
    assert values.tolist() == [0.0, 1.0, 2.0]
    assert processes.share(4).tolist() == [0, 1, 2, 3]
    assert processes.anywhere(True)
    assert not processes.anywhere(False)
