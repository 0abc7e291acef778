"""A self-contained HTML page: sections of text, tables and pictures, all inline, with a table of contents.

Owns the look of the page; what it says belongs to the caller. Nothing is loaded from a network.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.figure import Figure

from aenet_gpr_cli.figures.style import RESOLUTION, print_style

BROAD = 600  # pixels of a picture, beyond which a phone scrolls along it
STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d8dee4; --accent: #b2541a;
  --paper: #ffffff; --shade: #f6f8fa; --good: #1a7f37; --fair: #9a6700; --poor: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --line: #30363d;
  --accent: #f0883e; --paper: #0d1117; --shade: #161b22;
  --good: #3fb950; --fair: #d29922; --poor: #f85149; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
.page { display: grid; grid-template-columns: 14rem minmax(0, 62rem); gap: 3rem;
  padding: 2.5rem; margin: 0 auto; max-width: 84rem; }
nav { position: sticky; top: 2.5rem; align-self: start; font-size: .9rem; }
nav ol { list-style: none; margin: 0; padding: 0; border-left: 2px solid var(--line); }
nav a { display: block; padding: .25rem .9rem; color: var(--soft); text-decoration: none; }
nav a:hover, nav a:focus { color: var(--accent); }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
p { max-width: 46rem; }
.lead, figcaption { color: var(--soft); }
figure { margin: 1.2rem 0; overflow-x: auto; }
figure img { max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; }
figcaption { font-size: .9rem; max-width: 46rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem .35rem 0; text-align: right; border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
th:not(:first-child) { min-width: 4.6rem; }
th:first-child, td:first-child { text-align: left; }
tbody tr:hover { background: var(--shade); }
tr.best td { font-weight: 700; } tr.best td:first-child::after { content: " ★"; color: var(--accent); }
.verdict { font-size: 1.15rem; font-weight: 600; } .verdict.good { color: var(--good); }
.verdict.fair { color: var(--fair); } .verdict.poor { color: var(--poor); }
dl { display: grid; grid-template-columns: max-content minmax(0, 46rem); gap: .35rem 1.2rem; margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--accent); }
pre { background: var(--shade); padding: 1rem; overflow-x: auto; font-size: .82rem; line-height: 1.45; }
@media (max-width: 60rem) { .page { grid-template-columns: minmax(0, 1fr); gap: 1rem; padding: 1.2rem; }
  nav { position: static; } nav ol { border: 0; display: flex; flex-wrap: wrap; }
  nav a { padding: .2rem .8rem .2rem 0; } }
@media (max-width: 40rem) { .page { padding: .8rem; } h1 { font-size: 1.5rem; } h2 { margin-top: 2rem; }
  figure img.broad { max-width: none; width: 44rem; } dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: .5rem; } }
@media print { nav { display: none; } .page { display: block; } figure, table { break-inside: avoid; } }
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page: its title and its blocks of HTML, made by the functions below."""

    title: str
    blocks: tuple[str, ...]


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def verdict(headline: str, grade: str, statements: Sequence[tuple[str, str]]) -> str:
    """Return a judgement, in the colour of its grade (good, fair, poor), and what it says of what."""
    items = "".join(f"<dt>{escape(about)}</dt><dd>{escape(text)}</dd>" for about, text in statements)
    return f'<p class="verdict {escape(grade)}">{escape(headline)}</p><dl>{items}</dl>'


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], best: str | None = None) -> str:
    """Return a table; the first column is aligned left, the others right; row ``best`` is marked."""
    head = "".join(f'<th scope="col">{escape(str(column))}</th>' for column in columns)
    body = "".join(
        ('<tr class="best">' if best is not None and row[0] == best else "<tr>")
        + "".join(f"<td>{escape(str(cell))}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def picture(figure: Figure, caption: str) -> str:
    """Return a figure as an inline picture with its caption, which is its text for readers without images."""
    data = io.BytesIO()
    with print_style():
        figure.savefig(data, format="png", dpi=RESOLUTION)
    text = base64.b64encode(data.getvalue()).decode("ascii")
    width = round(figure.get_figwidth() * 130)  # larger than in print: screens are read from farther away
    shape = ' class="broad"' if width > BROAD else ""
    return (
        f'<figure><img{shape} width="{width}" alt="{escape(caption)}" src="data:image/png;base64,{text}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def folded(title: str, text: str) -> str:
    """Return preformatted text that opens on a click."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def render(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Put a page together.

    Parameters
    ----------
    title, lead : str
        Heading, and the sentence under it.

    Returns
    -------
    str
        HTML that loads nothing.
    """
    links = "".join(f'<li><a href="#part-{i}">{escape(s.title)}</a></li>' for i, s in enumerate(sections))
    body = "".join(
        f'<section id="part-{i}"><h2>{escape(s.title)}</h2>{"".join(s.blocks)}</section>'
        for i, s in enumerate(sections)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><style>{STYLE}</style></head><body><div class="page">'
        f'<nav aria-label="Contents"><ol>{links}</ol></nav>'
        f'<main><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>{body}</main></div></body></html>\n'
    )
