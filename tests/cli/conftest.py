"""Run the command line in this process, with its exit code and what it says."""

import logging

import pytest

from aenet_gpr_cli.cli.main import main


@pytest.fixture
def run_cli(capsys, monkeypatch, tmp_path):
    """Return a function that runs ``aenet-gpr`` in an empty folder: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["aenet-gpr", *map(str, arguments)])
        code: int | str = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    yield run
    logging.getLogger("aenet_gpr_cli").handlers.clear()
