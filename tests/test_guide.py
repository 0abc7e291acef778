"""The guide and README: every topic is there, links lead somewhere, blocks are valid, and commands run.

A block of commands runs unless the comment before it says why not (``<!-- not run: … -->``). From the
comment ``<!-- slow -->`` on, the blocks of a text run with ``make test-slow`` only. The blocks of a text run
one after another in one folder that has ``configs``, ``example_data``, ``my_runs`` and ``start.xyz`` (H2).
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from aenet_gpr_cli.cli.main import COMMANDS, cli
from aenet_gpr_cli.config.annotate import annotated, annotated_active
from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.workflow_config import WorkflowConfig
from aenet_gpr_cli.config.yaml_text import parse_yaml
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.guide.topics import TOPICS, text
from tests.cli.conftest import run_cli as run_cli

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "aenet_gpr_cli" / "guide"
TEXTS = [ROOT / "README.md", *(FOLDER / f"{topic}.md" for topic in TOPICS)]
BLOCK = re.compile(r"(?:<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.M | re.S)
BASH = "set -euo pipefail; shopt -s expand_aliases\n"


def blocks(path: Path) -> list[tuple[str, str, str, bool]]:
    """Kind, note and body of each block, and whether it runs with the slow tests only."""
    whole = path.read_text(encoding="utf-8")
    slow = position if (position := whole.find("<!-- slow -->")) >= 0 else len(whole)
    return [(m["kind"], m["note"] or "", m["body"], m.start() >= slow) for m in BLOCK.finditer(whole)]


def names(path: Path) -> str:
    return path.stem


def to_run(path: Path, slow: bool) -> list[tuple[str, str]]:
    return [
        (kind, body)
        for kind, note, body, is_slow in blocks(path)
        if kind in ("sh", "python") and not note.startswith("not run: ") and (slow or not is_slow)
    ]


def run_blocks(path: Path, folder: Path, slow: bool) -> None:
    """Run the blocks of a text as a user does, with a command `aenet-gpr` that is this package."""
    programs = folder / "programs"
    programs.mkdir()
    for name, arguments in {"aenet-gpr": "-m aenet_gpr_cli", "python": ""}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (programs / name).chmod(0o755)
    work = folder / "work"
    work.mkdir()
    for name in ("configs", "example_data"):
        (work / name).symlink_to(ROOT / name)
    (work / "my_runs").symlink_to(ROOT / "example_data" / "h2")
    (work / "start.xyz").write_text("2\n\nH 0 0 0\nH 0 0 1.12\n")
    around = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    for kind, body in to_run(path, slow):
        command = [sys.executable, "-c", body] if kind == "python" else ["bash", "-c", BASH + body]
        done = subprocess.run(command, cwd=work, env=around, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{body}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("path", [p for p in TEXTS if to_run(p, False)], ids=names)
def test_commands_run(path, tmp_path):
    run_blocks(path, tmp_path, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in TEXTS if to_run(p, True) != to_run(p, False)], ids=names)
def test_slow_commands_run(path, tmp_path):
    run_blocks(path, tmp_path, slow=True)


@pytest.mark.parametrize("path", TEXTS, ids=names)
def test_commands_and_their_options_exist(path):
    for kind, note, body, _ in blocks(path):
        assert kind in ("sh", "python", "yaml", "text"), f"{path}: a block of {kind!r}"
        assert not note.startswith("not run") or len(note) > len("not run: why"), note
        for line in body.replace("\\\n", " ").splitlines() if kind == "sh" else ():
            words = shlex.split(line, comments=True)
            if "aenet-gpr" not in words[:1]:
                continue
            end = next((i for i, word in enumerate(words) if word in (">", "|", "&&", ";")), len(words))
            name, arguments = words[1], words[2:end]
            if name.startswith("-"):
                continue
            assert name in COMMANDS, line
            command = cli.get_command(None, name)
            if "--help" not in arguments:
                command.make_context(name, arguments)


@pytest.mark.parametrize("path", TEXTS, ids=names)
def test_configurations_are_valid(path):
    for body in (body for kind, _, body, _ in blocks(path) if kind == "yaml"):
        required = {"name": "my_case", "split": {"inputs": ["my_runs/"]}, "fit_gpr": {}}
        build(WorkflowConfig, required | parse_yaml(body, path.name), path.name)


@pytest.mark.parametrize("path", TEXTS, ids=names)
def test_links_lead_somewhere(path):
    found = re.findall(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)", path.read_text(encoding="utf-8"))
    missing = [link for link in found if "://" not in link and not (path.parent / link).exists()]
    assert missing == []


def test_every_text_is_a_topic_with_a_title():
    assert {path.stem for path in FOLDER.glob("*.md")} == set(TOPICS)
    for topic in TOPICS:
        assert text(topic).startswith("# ")
        assert "<!--" not in text(topic)


def test_troubled_messages_are_those_of_the_program():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in FOLDER.parent.rglob("*.py"))
    said = re.sub(r'"\s*\n\s*f?"', "", sources)
    quoted = re.findall(r"^\| `([^`]+)` \|", text("troubleshooting"), re.M)
    assert len(quoted) > 20
    assert [words for words in quoted if words not in said] == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("energies", [[-1.0], [-1.0, -1.5]])
def test_the_example_of_lammps_is_right_for_one_network(energies, capsys):
    """With one network a standard deviation between networks would be NaN, with a warning of numpy."""
    (body,) = (
        body for _, _, body, _ in blocks(FOLDER / "exchange.md") if "LammpsSimulation.from_file" in body
    )
    lines = [line.strip() for line in body.splitlines() if "energies" in line]
    md = SimpleNamespace(result=SimpleNamespace(energies=np.array(energies)))
    exec("\n".join(lines), {"md": md})
    said = capsys.readouterr().out
    assert "nan" not in said
    assert said.startswith(str(np.mean(energies)))


def test_the_keys_end_with_every_key():
    assert annotated() in text("keys")
    assert annotated_active() in text("keys")


def test_the_command_lists_shows_and_writes(run_cli, tmp_path):
    code, out, _ = run_cli("guide")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(TOPICS)
    code, out, _ = run_cli("guide", "glossary")
    assert (code, out) == (0, text("glossary"))
    code, _, said = run_cli("guide", "chosing")
    assert code == 2
    assert "did you mean 'choosing'?" in said
    code, out, _ = run_cli("guide", "--html", "guide.html")
    assert (code, out) == (0, "wrote guide.html\n")
    page = (tmp_path / "guide.html").read_text(encoding="utf-8")
    assert page.count("<section") == len(TOPICS)
    assert not re.search(r'(?:src|href)="(?!#|data:|https?:)', page)
    code, _, said = run_cli("guide", "--html", "guide.html")
    assert code == 2
    assert "--force" in said
    code, _, _ = run_cli("guide", "--html", "new/folder/guide.html")
    assert code == 0
    assert (tmp_path / "new" / "folder" / "guide.html").is_file()


def test_where_results_go_is_said(run_cli):
    for told in (text("keys"), run_cli("run", "--help")[1], annotated()):
        said = " ".join(re.sub(r"\n#?", " ", told).split())
        assert "current folder" in said
        assert "runs/NAME" in said


def test_only_a_page_is_replaced(run_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ann.h5").write_bytes(b"mine")
    code, _, said = run_cli("guide", "--html", "ann.h5", "--force")
    assert (code, (tmp_path / "ann.h5").read_bytes()) == (2, b"mine")
    assert "is no HTML page; choose another file" in said


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("glosary", "; did you mean 'glossary'?"),
        ("trouble", "; did you mean 'troubleshooting'?"),
        ("molecules", "; did you mean 'molecule'?"),
        ("barostat", "; that word stands in dynamics"),
        ("phonons", "; that word stands in crystal"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_a_word_that_is_no_topic_leads_to_topics(word, says):
    """By its name, or by their texts; one that only looks a little like it is no help."""
    with pytest.raises(ConfigError) as caught:
        text(word)
    first, *others = str(caught.value).splitlines()
    assert first.startswith(f"the guide has no topic {word!r}{says}")
    assert says or first.endswith("'")
    assert [line.split()[0] for line in others] == list(TOPICS)
