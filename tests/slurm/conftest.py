"""SLURM for the tests, where its programs are there."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.slurm.one_node import Cluster, absent, one_node

REQUIRED = "AENET_GPR_REQUIRE_SLURM"  # set by the automatic checks: then nothing is skipped


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """Start SLURM, stop it afterwards."""
    if reason := absent():
        if os.environ.get(REQUIRED):
            pytest.fail(f"{REQUIRED} is set, but {reason}")
        pytest.skip(reason)
    with one_node(tmp_path_factory.mktemp("slurm")) as found:
        yield found
