"""Fixtures for all tests."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from aenet_gpr_cli.io.formats.published import ENVIRONMENT_VARIABLE, SHA256, published_root
from tests.finished_runs import finished, two_subsets  # noqa: F401 fixtures


@pytest.fixture(autouse=True)
def messages_reach_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let caplog see messages also where a command ran before, which sends them to its own stream."""
    logger = logging.getLogger("aenet_gpr_cli")
    monkeypatch.setattr(logger, "propagate", True)
    logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def published() -> Callable[[str], Path]:
    """Return the folder that holds the two zip files of a published set, or skip the test."""

    def folder(name: str) -> Path:
        found = published_root() / name
        missing = [file for file in SHA256[name] if not (found / file).is_file()]
        if missing:
            pytest.skip(
                f"needs {found / missing[0]}: run 'aenet-gpr fetch {name}' or set {ENVIRONMENT_VARIABLE}"
            )
        return found

    return folder
