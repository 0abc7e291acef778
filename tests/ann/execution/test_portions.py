"""Blocks that do not fit are halved, members have threads: the same numbers; other errors are passed on.

A device without room is played by a committee whose evaluation fails on more than so many atoms.
"""

import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from aenet_gpr_cli.ann import training
from aenet_gpr_cli.ann.execution import portions
from aenet_gpr_cli.ann.execution.portions import Pieces
from aenet_gpr_cli.ann.execution.surroundings import Surroundings
from aenet_gpr_cli.ann.network.tensor_passes import TensorPasses
from aenet_gpr_cli.ann.optimisers import levenberg_marquardt
from aenet_gpr_cli.ann.potential import prediction
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.errors import is_out_of_memory
from tests.ann.ann_helpers import Forces, changed

ERRORS = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError("Unable to allocate 3.2 GiB for an array"),
    SystemError("error return without exception set"),
]


def limited(room, error, tried):
    def square(piece):
        tried.append(len(piece))
        if len(piece) > room:
            raise error
        return [i**2 for i in piece]

    return square


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("room", [1, 3, 4, 100])
def test_pieces_are_halved_until_they_fit(room, error):
    tried, pieces = [], Pieces(16)
    found = [value for _, part in pieces.evaluate(range(37), limited(room, error, tried)) for value in part]
    assert found == [i**2 for i in range(37)]
    assert tried.count(16) == (1 if room < 16 else 2)  # what has failed once is not tried again
    assert pieces.size <= max(room, 1) or room >= 16
    assert is_out_of_memory(error)


def test_what_does_not_fit_at_all_and_other_errors_are_passed_on():
    for error, room, calls in ((ERRORS[0], 0, [4, 2, 1]), (RuntimeError("shapes differ"), 2, [4])):
        tried = []
        with pytest.raises(RuntimeError, match=str(error)[:10]):
            list(Pieces(4).evaluate(range(9), limited(room, error, tried)))
        assert tried == calls
    assert not is_out_of_memory(SystemError("bad argument to internal function"))


class SmallDevice(TensorPasses):
    """Passes on a device that holds few atoms at a time."""

    __slots__ = ()
    failures: list[int] = []  # noqa: RUF012
    room = 1000

    def forward(self, flat, species, features, order):
        if len(features) > self.room:
            self.failures.append(len(features))
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return super().forward(flat, species, features, order)


@pytest.fixture
def small_device(monkeypatch):
    """Let trainings run on it; with the given room."""

    def use(room):
        monkeypatch.setattr(SmallDevice, "room", room)
        monkeypatch.setattr(SmallDevice, "failures", [])
        monkeypatch.setattr(
            training, "fastest_passes", lambda architecture, device: SmallDevice(architecture)
        )
        return SmallDevice.failures

    return use


@pytest.mark.parametrize("forces", [None, Forces(0.5, "components", 2**30), Forces(0.4, "structures", 0)])
def test_a_training_whose_blocks_do_not_fit_gives_the_same_potential(
    data, basis, settings, lm_settings, forces, small_device
):
    settings = changed(settings, optimizer=changed(lm_settings, iterations=4), forces=forces)
    failures = small_device(1000)
    expected = train(data, basis, settings, 1)
    assert not failures
    failures = small_device(4)
    found = train(data, basis, settings, 1)
    assert failures
    # the same sums in another order, which a few steps amplify
    np.testing.assert_allclose(found.training_loss, expected.training_loss, rtol=1e-7)
    np.testing.assert_allclose(found.validation_loss, expected.validation_loss, rtol=1e-7)


def test_a_block_that_does_not_fit_is_halved_and_the_result_is_the_same(data, basis, settings, monkeypatch):
    model = train(data, basis, changed(settings, validation_fraction=0.0), 1).model
    structures, atomic, tried = data.subsets[0], prediction.atomic_energies, []
    expected = predict(model, structures, True, 2)

    def on_a_small_device(committee, kinds, raw, gradient):
        tried.append(len(kinds))
        if len(kinds) > 2 * structures.n_atoms:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return atomic(committee, kinds, raw, gradient)

    monkeypatch.setattr(prediction, "atomic_energies", on_a_small_device)
    found = predict(model, structures, True, len(structures))
    assert [n // structures.n_atoms for n in tried] == [8, 4, 2, 2, 2, 2]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("forces", [None, Forces(1.0, "structures", 2**30)])
def test_members_do_not_depend_on_the_number_of_threads(
    threads, data, basis, settings, lm_settings, forces, monkeypatch
):
    monkeypatch.setattr(levenberg_marquardt, "SMALL_WORK", 0.0)
    given = changed(settings, optimizer=lm_settings, forces=forces)
    results = []
    for n in (1, 3):
        threads(n)
        results.append(train(data, basis, given, 1))
    for one, three in zip(*(r.state.values() for r in results), strict=True):
        assert np.array_equal(one, three, equal_nan=True)


def test_all_items_are_done_at_the_same_time_with_one_thread_in_libraries(threads):
    threads(2)
    meet, seen = threading.Barrier(2, timeout=20), []

    def work(item: int) -> None:
        meet.wait()  # two are here at once, or this fails
        used = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        seen.append((item, torch.get_num_threads(), max(used)))

    with portions.workers(2) as each:
        each(work, [4, 5])
    assert sorted(seen) == [(4, 1, 1), (5, 1, 1)]
    assert torch.get_num_threads() == 2


def test_an_error_reaches_the_caller_and_threads_are_given_back(threads):
    threads(2)
    with pytest.raises(ZeroDivisionError), portions.workers(2) as each:
        each(lambda item: 1 // item, [1, 0])
    assert torch.get_num_threads() == 2


def test_a_batch_and_threads_find_the_same_potential(
    threads, data, basis, settings, lm_settings, monkeypatch
):
    threads(2)
    given = changed(settings, optimizer=changed(lm_settings, iterations=4))
    batch = train(data, basis, given, 1).training_loss
    monkeypatch.setattr(levenberg_marquardt, "SMALL_WORK", 0.0)
    assert train(data, basis, given, 1).training_loss == pytest.approx(batch, rel=1e-6, nan_ok=True)


def test_adamw_leaves_one_thread_to_libraries(threads, data, basis, settings, adamw_settings):
    threads(2)
    seen = []

    def stop() -> bool:
        seen.append(max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"))
        return True

    train(data, basis, changed(settings, optimizer=adamw_settings), 1, around=Surroundings(stop=stop))
    assert seen == [1]
    assert torch.get_num_threads() == 2
