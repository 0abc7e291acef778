"""The look of pages: readable in light and dark, on a phone and on a screen.

Each rule comes from a fault that was seen in a browser.
"""

import re

import pytest
from matplotlib.figure import Figure

from aenet_gpr_cli.guide.topics import TOPICS
from aenet_gpr_cli.reports.guide_page import page
from aenet_gpr_cli.reports.html_page import STYLE, picture, table

LIGHT, DARK = (
    dict(re.findall(r"--(\w+): ([^;]+);", root)) for root in re.findall(r":root \{([^}]*)\}", STYLE)
)
READABLE = 4.5  # contrast of text, by the Web Content Accessibility Guidelines (AA)


def luminance(colour):
    """Relative luminance of a colour, as these guidelines define it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def rule(selector):
    """Declarations of a selector outside media queries."""
    return re.search(rf"^{re.escape(selector)} \{{([^}}]*)\}}", STYLE, re.MULTILINE)[1]


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "soft", "accent", "good", "fair", "poor"])
@pytest.mark.parametrize("ground", ["paper", "shade"])
def test_text_is_readable(colours, ink, ground):
    low, high = sorted(luminance(colours[name]) for name in (ink, ground))
    assert (high + 0.05) / (low + 0.05) >= READABLE


def test_the_white_of_pictures_is_the_paper_of_the_page():
    shown = rule("figure img")
    assert "background" not in shown
    assert "filter: var(--inversion)" in shown
    assert "mix-blend-mode: var(--blend)" in shown
    assert (LIGHT["inversion"], LIGHT["blend"]) == ("none", "multiply")  # white × paper = paper
    assert DARK["inversion"].startswith("invert(1)")  # black on paper, by screen = paper
    assert DARK["blend"] == "screen"


def test_what_is_too_wide_scrolls_by_itself_and_shows_where_it_goes_on():
    assert "overflow-x: auto" in rule(".wide, pre")
    assert rule(".wide, pre").count("scroll") == rule(".wide, pre").count("local") == 2
    assert table(["a", "b"], [["x", 1]]).startswith('<div class="wide"><table>')
    html = picture(Figure(figsize=(7, 2)), "what it shows")
    assert re.fullmatch(
        r'<figure><div class="wide"><img [^>]*></div><figcaption>what it shows</figcaption></figure>', html
    )  # the caption stays where it is


def test_names_of_rows_stay_in_sight_on_a_phone():
    phone = STYLE[STYLE.index("@media (max-width: 40rem)") :]
    assert ":not(.text) > * > tr > :first-child { position: sticky; left: 0;" in phone


def test_a_head_is_broken_before_its_unit_only():
    assert 'train F <span class="unit">/ eV/Å</span></th>' in table(["m", "train F / eV/Å"], [["x", 1]])
    assert ".unit { white-space: nowrap; }" in STYLE


def test_a_column_without_values_is_left_out():
    html = table(["model", "E", "spread"], [["a", "1", "–"], ["b", "–", "–"]], best="b")
    assert re.findall(r"<th[^>]*>(\w+)</th>", html) == ["model", "E"]
    assert re.findall(r"<td>(.)</td>", html) == ["a", "1", "b", "–"]


def test_tables_of_the_guide_are_text_that_is_broken_into_lines():
    html = page()
    assert html.count("<table") == html.count('<table class="text">') > 20
    assert "white-space: normal" in rule(".text td")
    assert STYLE.index(".text td {") > STYLE.index("\ntd { white-space: nowrap")  # the later rule holds


def test_every_table_of_the_guide_is_one():
    assert re.findall(r"<p>\|[^<]*", page()) == []


def test_only_topics_have_headings_of_their_level():
    html = page()
    assert html.count("<h2>") == len(TOPICS)
    assert html.count("<h1>") == 1
    assert html.count("<h3>") > len(TOPICS)
