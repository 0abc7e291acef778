"""Topics of the guide, in reading order, and their texts."""

from __future__ import annotations

import difflib
import re
from importlib.resources import files

from aenet_gpr_cli.config.annotate import annotated, annotated_active
from aenet_gpr_cli.errors import ConfigError

MOST = 4  # topics that are named for a word
TOPICS = {
    "molecule": "Tutorial: an isolated system, from files to a potential.",
    "crystal": "Tutorial: an alloy whose composition and cell vary.",
    "slab": "Tutorial: a molecule or an atom on a surface.",
    "data": "Preparing data: formats, keys, units, checks, training and test.",
    "choosing": "Which model, copies and training: one rule and one number each.",
    "report": "Reading tables, report and artefacts.",
    "dynamics": "Using a potential in dynamics, and when to trust it.",
    "active": "Active learning: which structures to calculate next.",
    "cluster": "Long runs, SLURM, parts, several processes.",
    "memory": "What needs memory, and how much.",
    "exchange": "Export and import: ASE, LAMMPS, ænet, metatomic.",
    "keys": "Configuration files, and every key.",
    "troubleshooting": "Messages, their causes, what to do; exit codes.",
    "method": "Method and conventions: what is computed, in which units.",
    "glossary": "Words of the field as they are used here.",
    "paper": "Reproducing the paper; all measured results.",
    "python": "The package from Python.",
}


def text(topic: str) -> str:
    """Return a topic as Markdown, without comments; that of the keys ends with every key.

    Raises
    ------
    ConfigError
        If there is no such topic; the message names the nearest, or those with the word, and all topics.
    """
    if topic not in TOPICS:
        raise ConfigError("\n".join([f"the guide has no topic {topic!r}{_instead_of(topic)}", listed()]))
    found = _without_comments(topic)
    return found + _every_key() if topic == "keys" else found


def listed() -> str:
    """Return a line for each topic."""
    width = max(map(len, TOPICS))
    return "\n".join(f"{name:<{width}}  {line}" for name, line in TOPICS.items())


def _instead_of(word: str) -> str:
    """Name topics called much the same, or else those whose text has the word most often."""
    word = word.lower().strip()
    alike = [name for name in TOPICS if len(word) > 2 and (name.startswith(word) or word.startswith(name))]
    near = alike or difflib.get_close_matches(word, TOPICS, n=3, cutoff=0.7)
    if near:
        return f"; did you mean {' or '.join(map(repr, near))}?"
    as_word = re.compile(rf"\b{re.escape(word)}", re.IGNORECASE)
    times = {name: len(as_word.findall(_without_comments(name))) for name in TOPICS} if len(word) > 2 else {}
    most = sorted((name for name in times if times[name]), key=lambda name: -times[name])[:MOST]
    return f"; that word stands in {', '.join(most)}" if most else ""


def _without_comments(topic: str) -> str:
    found = files("aenet_gpr_cli.guide").joinpath(f"{topic}.md").read_text(encoding="utf-8")
    return re.sub(r"<!--.*?-->\n?", "", found, flags=re.DOTALL)


def glossary() -> dict[str, str]:
    """Return the words of the glossary with their meanings, as plain text."""
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", text("glossary").replace("`", ""), re.MULTILINE)
    return dict(rows[1:])  # without the heads of the columns


def _every_key() -> str:
    return (
        f"\n## Every key of a workflow\n\n```yaml\n{annotated()}```\n"
        f"\n## Every key of active learning\n\n```yaml\n{annotated_active()}```\n"
    )
