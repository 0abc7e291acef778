"""The command line in this process."""

from tests.cli.conftest import run_cli

__all__ = ["run_cli"]
