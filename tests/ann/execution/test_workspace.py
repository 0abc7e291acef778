import numpy as np
import pytest
import torch

from aenet_gpr_cli.ann.execution import workspace
from aenet_gpr_cli.ann.execution.workspace import ALIGNMENT, Workspace, Workspaces
from aenet_gpr_cli.ann.training import train
from tests.ann.ann_helpers import Forces, changed

LIKE = torch.zeros(0, dtype=torch.float64)


def test_memory_is_used_again_where_it_is_enough():
    room = Workspace()
    large = room.array("rows", LIKE, 2, 30, 5)
    small = room.array("rows", LIKE, 7, 11)
    assert small.shape == (7, 11)
    assert small.is_contiguous()
    assert small.data_ptr() == large.data_ptr()
    assert room.array("factor", LIKE, 7, 11).data_ptr() != large.data_ptr()
    assert room.array("rows", LIKE, 301).shape == (301,)
    single = room.array("rows", LIKE.float(), 3)
    assert single.dtype == torch.float32


@pytest.mark.parametrize("size", [1, 7, 1000, 2**20 + 3])
def test_arrays_begin_where_blas_rounds_the_same(size):
    for dtype in (torch.float32, torch.float64):
        array = Workspace().array("rows", LIKE.to(dtype), size)
        assert array.data_ptr() % ALIGNMENT == 0
        assert len(array) == size


def test_two_at_a_time_do_not_share():
    rooms = Workspaces()
    with rooms.one() as first, rooms.one() as second:
        assert first is not second
    with rooms.one() as again:
        assert again in (first, second)


@pytest.mark.parametrize("balance", ["alpha", "evidence"])
def test_iterations_make_no_large_arrays_of_their_own(
    data, basis, settings, lm_settings, balance, monkeypatch
):
    """JᵀJ, its factor and inverse, and blocks of rows: as many arrays for ten iterations as for three."""
    made, plain = [], workspace._empty
    monkeypatch.setattr(workspace, "_empty", lambda *given: made.append(given) or plain(*given))
    counts = []
    for iterations in (3, 10):
        made.clear()
        optimizer = changed(lm_settings, iterations=iterations, regularisation="evidence")
        case = changed(settings, optimizer=optimizer, forces=Forces(0.5, "components", 2**30), n_members=1)
        loss = changed(case.loss, balance=balance)
        result = train(data, basis, changed(case, loss=loss, validation_fraction=0.0), 1)
        assert np.isfinite(result.training_loss).sum() == iterations
        counts.append(len(made))
    assert counts[0] == counts[1] > 0
