"""The report of a finished run: complete, self-contained, and right in a real browser."""

import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser

import h5py
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import mode_style
from aenet_gpr_cli.guide.topics import glossary
from aenet_gpr_cli.reports import report_page as report
from aenet_gpr_cli.reports.html_page import STYLE
from aenet_gpr_cli.stages.shared.context import Context

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PROBE = """<script>addEventListener("load", () => {
  const images = [...document.images];
  document.body.dataset.shown = images.filter(i => i.complete && i.naturalWidth > 0).length;
  document.body.dataset.images = images.length;
  document.body.dataset.overflow = document.documentElement.scrollWidth - innerWidth;
  document.body.dataset.anchors = [...document.querySelectorAll("nav a")]
    .filter(a => document.querySelector(a.getAttribute("href"))).length;
});</script>"""


class Page(HTMLParser):
    """Headings, and every address that the page refers to."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.headings, self._heading = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._heading = tag == "h2"
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data):
        if self._heading:
            self.headings.append(data)
            self._heading = False


@pytest.fixture(scope="module")
def html(finished, tmp_path_factory):
    output = tmp_path_factory.mktemp("report") / "report.html"
    report.run(finished, output, Context())
    return output


def test_every_part_of_the_run_has_its_section(html):
    assert Page(html.read_text()).headings == [
        "Verdict", "Errors", "Data", "Gaussian process", "Augmentation", "Training", "Predictions",
        "Spread of the committees", "Cost", "Configuration", "Environment",
    ]  # fmt: skip


class Tables(HTMLParser):
    """Rows of cells of all tables, each table under the paragraph before it."""

    def __init__(self, text):
        super().__init__()
        self.tables, self._tag, self._title = {}, "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._tag = tag
        if tag == "table":
            self.tables.setdefault(self._title, [])
        if tag == "tr":
            self.tables[self._title].append([])

    def handle_data(self, data):
        if self._tag == "p":
            self._title = data
        elif self._tag in ("td", "th"):
            self.tables[self._title][-1].append(data)
        self._tag = ""


@pytest.mark.parametrize(
    ("title", "part", "key", "factor"),
    [
        ("‖F‖ MAE / eV/Å, by subsets", "subsets", "force_norm_mae", 1.0),
        ("E MAE / meV per atom, by subsets", "subsets", "energy_mae_per_atom", 1000.0),
        ("‖F‖ MAE / eV/Å, by species", "species", "force_norm_mae", 1.0),
    ],
)
def test_errors_by_subset_and_species_are_those_of_the_evaluation(
    two_subsets, tmp_path, title, part, key, factor
):
    report.run(two_subsets, tmp_path / "report.html", Context())
    metrics = json.loads((two_subsets / "metrics.json").read_text())
    head, *rows = Tables((tmp_path / "report.html").read_text()).tables[title]
    if head[0] == "model":  # more models than parts: they go down the page
        assert [row[0] for row in rows] == list(metrics)
        head, *rows = [list(column) for column in zip([part, *head[1:]], *rows, strict=True)]
    assert head == [part, *metrics]
    assert {row[0] for row in rows} == set(metrics["ann_gpr"][part])
    assert len(rows) == {"subsets": 2, "species": 3}[part]
    for name, *cells in rows:
        expected = [result[part][name][key] * factor for result in metrics.values()]
        assert [float(cell) for cell in cells] == pytest.approx(expected, rel=5e-3)


def test_the_page_loads_nothing(html):
    text = html.read_text()
    page = Page(text)
    assert len([a for a in page.addresses if a.startswith("data:image/png;base64,")]) >= 5
    assert all(a.startswith(("data:", "#")) for a in page.addresses)
    assert not re.search(r"@import|url\(|<script|<link", text)


def test_paths_of_the_machine_stay_out_of_the_page(html, finished):
    assert str(finished.parent) not in html.read_text()


def test_a_folder_without_a_finished_run_is_told(tmp_path):
    with pytest.raises(InputError, match=r"expected split\.h5 and metrics\.h5 of a finished run"):
        report.run(tmp_path, tmp_path / "x.html", Context())


def test_a_dry_run_writes_nothing(finished, tmp_path):
    report.run(finished, tmp_path / "x.html", Context(dry_run=True))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine: the report is not looked at")
@pytest.mark.parametrize("width", [1400, 600, 390])
def test_a_browser_shows_all_pictures_and_needs_no_sideways_scrolling(html, tmp_path, width):
    page = tmp_path / "page.html"
    page.write_text(html.read_text().replace("</body>", PROBE + "</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    command = [BROWSER, *options, page.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = {key: int(value) for key, value in re.findall(r'data-(\w+)="(-?\d+)"', run.stdout)}
    assert found["shown"] == found["images"] >= 5
    assert found["anchors"] == 11
    assert found["overflow"] <= 0


def test_the_page_begins_with_the_verdict_and_the_test_set(html, finished):
    with h5py.File(finished / "metrics.h5") as file:
        verdict = json.loads(file.attrs["verdict"])
    text = unescape(html.read_text())
    first = text[text.index("<h2>Verdict") : text.index("<h2>Errors")]
    headline = verdict["headline"].removeprefix("Verdict: u")
    assert f'<p class="verdict {verdict["grade"]}">U{headline}</p>' in first
    assert [s["text"] in first for s in verdict["statements"]] == [True] * len(verdict["statements"])
    assert "drawn by chance" in first or "from files of their own" in first
    assert first.count("<img") == 1
    assert f'<tr class="best"><td>{verdict["best"]}</td>' in text


def test_the_page_is_dark_where_the_reader_wants_it_and_no_colour_is_fixed():
    rules = re.sub(r":root \{[^}]*\}", "", STYLE)
    assert "prefers-color-scheme: dark" in STYLE
    assert re.findall(r"#[0-9a-f]{3,6}\b", rules) == []  # nor a white box behind pictures
    names = set(re.findall(r"var\((--\w+)\)", rules)) - set(re.findall(r"(--\w+):", rules))
    roots = re.findall(r":root \{([^}]*)\}", STYLE)
    assert len(roots) == 2
    assert all(f"{name}:" in root for name in names for root in roots)


def test_what_a_table_or_note_names_is_explained(html, finished):
    text = unescape(html.read_text())
    first = text[text.index("<h2>Verdict") : text.index("<h2>Errors")]
    for word in (
        "committee",
        "domain",
        "outlier",
        "σ",
        "spread",
        "bound",
        "MAE, RMSE",
        "kT",
        "rms force",
        "δ, M",
    ):
        assert f"<dt>{word}</dt>" in first
    assert all(f"<dt>{word}</dt><dd>{meaning}</dd>" in first for word, meaning in glossary().items())
    rows = {row[0]: row[1:] for row in Tables(text).tables["The models"]}
    for name in json.loads((finished / "metrics.json").read_text()):
        assert rows[name] == [mode_style(name).label, rows[name][1]]
        assert "energies" in rows[name][1]


def test_units_are_said_as_they_are(html):
    text = unescape(html.read_text())
    assert "energies in eV per structure" not in text  # tables are in meV, the verdict per atom
    assert "Errors of energies are in meV, of a structure or, where that is said, per atom" in text
    assert '<th scope="col">s</th>' not in text  # a time, without its name


def test_notes_are_text_that_is_broken_into_lines(html):
    text = html.read_text()
    (notes,) = re.findall(r"<summary>\d+ notes</summary>(.*?)</details>", text, re.DOTALL)[:1]
    assert notes.startswith("<ul><li>")
    assert "<pre>" not in notes
