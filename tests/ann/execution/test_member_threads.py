import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from aenet_gpr_cli.ann.data.force_targets import ForceSettings
from aenet_gpr_cli.ann.execution import member_threads as side_by_side
from aenet_gpr_cli.ann.optimisers import levenberg_marquardt
from aenet_gpr_cli.ann.training import train


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("forces", [None, ForceSettings(1.0, "structures", 2**30)])
def test_members_do_not_depend_on_the_number_of_threads(
    threads, data, basis, settings, lm_settings, forces, monkeypatch
):
    monkeypatch.setattr(levenberg_marquardt, "SMALL_WORK", 0.0)
    given = replace(settings, optimizer=lm_settings, forces=forces)
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

    with side_by_side.workers(2) as each:
        each(work, [4, 5])
    assert sorted(seen) == [(4, 1, 1), (5, 1, 1)]
    assert torch.get_num_threads() == 2


def test_an_error_reaches_the_caller_and_threads_are_given_back(threads):
    threads(2)
    with pytest.raises(ZeroDivisionError), side_by_side.workers(2) as each:
        each(lambda item: 1 // item, [1, 0])
    assert torch.get_num_threads() == 2


def test_a_batch_and_threads_find_the_same_potential(
    threads, data, basis, settings, lm_settings, monkeypatch
):
    threads(2)
    given = replace(settings, optimizer=replace(lm_settings, iterations=4))
    batch = train(data, basis, given, 1).training_loss
    monkeypatch.setattr(levenberg_marquardt, "SMALL_WORK", 0.0)
    assert train(data, basis, given, 1).training_loss == pytest.approx(batch, rel=1e-6, nan_ok=True)


def test_adamw_leaves_one_thread_to_libraries(threads, data, basis, settings, adamw_settings):
    threads(2)
    seen = []

    def stop() -> bool:
        seen.append(max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"))
        return True

    train(data, basis, replace(settings, optimizer=adamw_settings), 1, stop=stop)
    assert seen == [1]
    assert torch.get_num_threads() == 2
