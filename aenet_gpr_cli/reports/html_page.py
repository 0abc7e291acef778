"""A self-contained HTML page: sections of text, tables and pictures, all inline, with a table of contents.

Owns the look of the page; what it says belongs to the caller. Nothing is loaded from a network.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.figure import Figure

from aenet_gpr_cli.figures.style import RESOLUTION, print_style

BROAD = 600  # pixels of a picture, beyond which a phone scrolls along it
NOTHING = "–"  # cell without a value
UNIT = r"(?<= )(/ .+)"  # at the end of the head of a column
# Pictures are dark ink on white. Blended with the page their white is its paper; where the page is dark they
# are inverted first, with their hues kept. The edges of what scrolls sideways are shaded where it goes on.
STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d8dee4; --accent: #b2541a;
  --paper: #ffffff; --shade: #f6f8fa; --edge: #c4cbd2; --good: #1a7f37; --fair: #9a6700; --poor: #cf222e;
  --inversion: none; --blend: multiply; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --line: #30363d;
  --accent: #f0883e; --paper: #0d1117; --shade: #161b22; --edge: #3d444d;
  --good: #3fb950; --fair: #d29922; --poor: #f85149;
  --inversion: invert(1) hue-rotate(180deg); --blend: screen; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
.page { display: grid; grid-template-columns: 11rem minmax(0, 62rem); gap: 2rem;
  padding: 2.5rem; margin: 0 auto; max-width: 84rem; }
nav { position: sticky; top: 2.5rem; align-self: start; font-size: .9rem; }
nav ol { list-style: none; margin: 0; padding: 0; border-left: 2px solid var(--line); }
nav a { display: block; padding: .25rem .9rem; color: var(--soft); text-decoration: none; }
nav a:hover, nav a:focus { color: var(--accent); }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
p, li { max-width: 46rem; }
p, li, dd { overflow-wrap: break-word; }
main a { color: var(--accent); }
.lead, figcaption { color: var(--soft); }
figure { margin: 1.2rem 0; }
figure img { display: block; max-width: 100%; height: auto; filter: var(--inversion);
  mix-blend-mode: var(--blend); }
figcaption { font-size: .9rem; max-width: 46rem; margin-top: .4rem; }
.wide, pre { overflow-x: auto; background:
  linear-gradient(to right, var(--under) 50%, transparent) left / 2rem calc(100% + 4px) no-repeat local,
  linear-gradient(to left, var(--under) 50%, transparent) right / 2rem calc(100% + 4px) no-repeat local,
  linear-gradient(to right, var(--edge), transparent) left / .8rem 100% no-repeat scroll,
  linear-gradient(to left, var(--edge), transparent) right / .8rem 100% no-repeat scroll, var(--under); }
.wide { --under: var(--paper); margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .75rem .35rem 0; text-align: right; border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
th:not(:first-child) { min-width: 4.6rem; } .unit { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
table.text { min-width: 20rem; } .text th, .text td { text-align: left; vertical-align: top; }
.text td { white-space: normal; }
tbody tr:hover { background: var(--shade); }
tr.best td { font-weight: 700; } tr.best td:first-child::after { content: " ★"; color: var(--accent); }
.verdict { font-size: 1.15rem; font-weight: 600; } .verdict.good { color: var(--good); }
.verdict.fair { color: var(--fair); } .verdict.poor { color: var(--poor); }
dl { display: grid; grid-template-columns: max-content minmax(0, 46rem); gap: .35rem 1.2rem; margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--accent); }
pre { --under: var(--shade); padding: 1rem; font-size: .82rem; line-height: 1.45; }
@media (max-width: 60rem) { .page { grid-template-columns: minmax(0, 1fr); gap: 1rem; padding: 1.2rem; }
  nav { position: static; } nav ol { border: 0; display: flex; flex-wrap: wrap; }
  nav a { padding: .2rem .8rem .2rem 0; } }
@media (max-width: 40rem) { .page { padding: .8rem; } h1 { font-size: 1.5rem; } h2 { margin-top: 2rem; }
  figure img.broad { max-width: none; width: 44rem; } ul, ol { padding-left: 1.3rem; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: .5rem; }
  :not(.text) > * > tr > :first-child { position: sticky; left: 0; background: var(--paper); } }
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


def bullets(lines: Sequence[str]) -> str:
    """Return a list of lines of plain text."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def terms(pairs: Sequence[tuple[str, str]]) -> str:
    """Return words, and what is said of each."""
    items = "".join(f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for word, text in pairs)
    return f"<dl>{items}</dl>"


def verdict(headline: str, grade: str, statements: Sequence[tuple[str, str]]) -> str:
    """Return a judgement, in the colour of its grade (good, fair, poor), and what it says of what."""
    return f'<p class="verdict {escape(grade)}">{escape(headline)}</p>{terms(statements)}'


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], best: str | None = None, text: bool = False
) -> str:
    """Return a table; the first column is aligned left, the others right; row ``best`` is marked.

    Columns without any value are left out, and units stay whole where a head is broken. Cells of
    ``text`` are aligned left, and broken into lines.
    """
    shown = [n for n in range(len(columns)) if not n or any(str(row[n]) != NOTHING for row in rows)]
    kind = ' class="text"' if text else ""
    heads = [re.sub(UNIT, r'<span class="unit">\1</span>', escape(str(columns[n]))) for n in shown]
    head = "".join(f'<th scope="col">{words}</th>' for words in heads)
    body = "".join(
        ('<tr class="best">' if best is not None and row[0] == best else "<tr>")
        + "".join(f"<td>{escape(str(row[n]))}</td>" for n in shown)
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def picture(figure: Figure, caption: str) -> str:
    """Return a figure as an inline picture with its caption, which is its text for readers without images."""
    data = io.BytesIO()
    with print_style():
        figure.savefig(data, format="png", dpi=RESOLUTION)
    text = base64.b64encode(data.getvalue()).decode("ascii")
    width = round(figure.get_figwidth() * 130)  # larger than in print: screens are read from farther away
    shape = ' class="broad"' if width > BROAD else ""
    return (
        f'<figure><div class="wide"><img{shape} width="{width}" alt="{escape(caption)}" '
        f'src="data:image/png;base64,{text}"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def verbatim(text: str) -> str:
    """Return text with its lines as they are."""
    return f"<pre>{escape(text)}</pre>"


def folded(title: str, block: str) -> str:
    """Return a block that opens on a click."""
    return f"<details><summary>{escape(title)}</summary>{block}</details>"


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
