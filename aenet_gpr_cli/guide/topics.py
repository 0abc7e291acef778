"""Topics of the guide, in reading order, and their texts."""

from __future__ import annotations

import difflib
import re
from importlib.resources import files

from aenet_gpr_cli.config.annotate import annotated, annotated_active
from aenet_gpr_cli.errors import ConfigError

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
        If there is no such topic; the message names the nearest.
    """
    if topic not in TOPICS:
        near = difflib.get_close_matches(topic.lower(), TOPICS, n=1, cutoff=0.4)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"the guide has no topic {topic!r}{meant or '.'} Topics: {', '.join(TOPICS)}")
    found = files("aenet_gpr_cli.guide").joinpath(f"{topic}.md").read_text(encoding="utf-8")
    found = re.sub(r"<!--.*?-->\n?", "", found, flags=re.DOTALL)
    return found + _every_key() if topic == "keys" else found


def glossary() -> dict[str, str]:
    """Return the words of the glossary with their meanings, as plain text."""
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", text("glossary").replace("`", ""), re.MULTILINE)
    return dict(rows[1:])  # without the heads of the columns


def _every_key() -> str:
    return (
        f"\n## Every key of a workflow\n\n```yaml\n{annotated()}```\n"
        f"\n## Every key of active learning\n\n```yaml\n{annotated_active()}```\n"
    )
