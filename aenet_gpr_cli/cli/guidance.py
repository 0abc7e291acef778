"""The command that shows the guide."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from aenet_gpr_cli.cli.options import PATH, gather


@click.command("guide")
@click.argument("topic", required=False)
@click.option("--html", "page", type=PATH, help="Write all topics to this file, as one HTML page.")
@click.option("--force", is_flag=True, help="Replace the file.")
@gather
def guide(topic: str | None, page: Path | None, force: bool, options: dict[str, Any]) -> None:
    """Show a TOPIC of the guide; without one, list the topics.

    \b
    aenet-gpr guide
    aenet-gpr guide choosing
    aenet-gpr guide --html guide.html
    """
    from aenet_gpr_cli.guide import topics

    if page is not None:
        _write(page, force, options)
    elif topic is None:
        click.echo(topics.listed())
    elif sys.stdout.isatty():
        _print(topics.text(topic))
    else:
        click.echo(topics.text(topic), nl=False)


def _print(text: str) -> None:
    """Print Markdown to a terminal; where cells of a table take several lines, its rows stand apart."""
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown, TableElement
    from rich.measure import Measurement
    from rich.table import Table
    from rich.theme import Theme

    class SpacedTable(TableElement):
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for table in super().__rich_console__(console, options):
                if isinstance(table, Table):
                    unbroken = options.update(max_width=console.width * 100)
                    table.leading = int(Measurement.get(console, unbroken, table).maximum > console.width)
                yield table

    class Page(Markdown):
        elements = {**Markdown.elements, "table_open": SpacedTable}  # noqa: RUF012

    # rich writes code on black, which is a blot on a light terminal
    Console(theme=Theme({"markdown.code": "bold cyan"})).print(Page(text))


def _write(page: Path, force: bool, options: dict[str, Any]) -> None:
    from aenet_gpr_cli.errors import ConfigError
    from aenet_gpr_cli.io.files import write_text
    from aenet_gpr_cli.reports import guide_page
    from aenet_gpr_cli.text import visible

    if page.is_file() and not page.read_bytes()[:20].lower().startswith(b"<!doctype html"):
        raise ConfigError(f"{page} is there already and is no HTML page; choose another file")
    if page.exists() and not force:
        raise ConfigError(f"{page} is there already; choose another file, or --force to replace it")
    write_text(page, guide_page.page())
    if not options["quiet"]:
        click.echo(visible(f"wrote {page}"))
