"""All topics of the guide on one HTML page."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

from aenet_gpr_cli.guide.topics import TOPICS, text
from aenet_gpr_cli.reports.html_page import Section, render

TO_TOPIC = r'href="(\w+)\.md"'
TO_REPOSITORY = r'<a href="\.\./[^"]*">(.*?)</a>'  # which a page by itself does not have
HEADING = r"(</?h)(\d)>"
PICTURE = r'<img src="\.\./[^"]*" alt="([^"]*)" />'


def page() -> str:
    """Return the guide as HTML that loads nothing; links between topics lead to their places on it."""
    markdown = MarkdownIt("commonmark").enable("table")
    sections = []
    for topic in TOPICS:
        title, _, body = text(topic).partition("\n")
        html = markdown.render(body).replace("<table>", '<div class="wide"><table class="text">')
        html = html.replace("</table>", "</table></div>")
        html = re.sub(HEADING, _one_deeper, html)
        for pattern, instead in (
            (TO_TOPIC, _place),
            (TO_REPOSITORY, r"\1"),
            (PICTURE, r"<em>(picture: \1)</em>"),
        ):
            html = re.sub(pattern, instead, html)
        sections.append(Section(title.removeprefix("# "), (html,)))
    return render("aenet-gpr", "The guide on one page.", sections)


def _one_deeper(heading: re.Match[str]) -> str:
    """Put a heading of a topic below the title of its topic."""
    return f"{heading[1]}{int(heading[2]) + 1}>"


def _place(link: re.Match[str]) -> str:
    return f'href="#part-{list(TOPICS).index(link[1])}"'
