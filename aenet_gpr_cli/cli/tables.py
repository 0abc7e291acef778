"""Tables on a terminal: no number is ever cut, whatever the width.

A table whose columns do not fit side by side becomes two, or one block per row.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aenet_gpr_cli.text import visible

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_FILES = 120  # where standard output is no terminal
LONGEST_NUMBER = 24  # characters of a cell, an interval of two for example; what is longer is text
MOST_TABLES = 2  # below each other, of one whose columns do not fit side by side
GAP = 3  # between columns, as rich draws them
BETWEEN = "   "  # pairs of a block
STROKE = " / "  # between the name of a column and its unit
KEPT = "\N{NO-BREAK SPACE}"


def show(summary: Any, quiet: bool = False) -> None:
    """Print the table of a stage, its notes and warnings included, to standard output; nothing if quiet."""
    if quiet:
        return
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH_OF_FILES
    print_summary(summary, Console(width=width, highlight=False, emoji=False))


def print_summary(summary: Any, console: Console) -> None:
    """Print the table of a stage to a console, as wide as that is.

    Parameters
    ----------
    summary : Summary
    """
    console.print(visible(summary.title), style="bold", markup=False, soft_wrap=True)
    columns = [visible(str(column)) for column in summary.columns]
    rows = [[visible(str(cell)) for cell in row] for row in summary.short or summary.rows]
    tables = _side_by_side(columns, rows, console.width) if rows else []
    with_text = any(_is_text(cell) for row in rows for cell in row)
    needed = max((_width(columns, rows, chosen) for chosen in tables), default=0)
    if len(tables) > (1 if with_text else MOST_TABLES) or needed > console.width:
        _print_blocks(columns, rows, console)
    else:
        for chosen in tables:
            _print_table([columns[n] for n in chosen], [[row[n] for n in chosen] for row in rows], console)
    for note in summary.notes:
        text = visible(note, keep="\n")
        if console.is_terminal:  # which would break words
            text = "\n".join(wrapped(line, console.width) for line in text.split("\n"))
        console.print(text, markup=False, soft_wrap=True)
    for line in summary.closing:
        console.print(wrapped(visible(line), console.width), markup=False, soft_wrap=True)


def _side_by_side(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """Return which columns stand in which table, the first one in each; a single column may be too wide."""
    widths = [_narrowest(columns, rows, number) + GAP for number in range(len(columns))]
    tables = _filled(widths, width)
    for narrower in range(width, widths[0], -1):  # about the same number in each
        if len(other := _filled(widths, narrower)) > len(tables):
            break
        tables = other
    return tables


def _filled(widths: Sequence[int], limit: int) -> list[list[int]]:
    tables, taken = [[0]], widths[0]
    for number in range(1, len(widths)):
        if taken + widths[number] > limit and len(tables[-1]) > 1:
            tables.append([0])
            taken = widths[0]
        tables[-1].append(number)
        taken += widths[number]
    return tables


def _width(columns: Sequence[str], rows: Sequence[Sequence[str]], chosen: Sequence[int]) -> int:
    return sum(_narrowest(columns, rows, number) + GAP for number in chosen)


def _narrowest(columns: Sequence[str], rows: Sequence[Sequence[str]], number: int) -> int:
    from rich.cells import cell_len

    pieces = _head_pieces(columns[number])
    for row in rows:
        cell = row[number]
        pieces += cell.split() if _is_text(cell) else [cell]
    return max(map(cell_len, pieces), default=0)


def _head_pieces(column: str) -> list[str]:
    """Return between what the head of a column may be broken: its words, and its unit with the stroke."""
    name, stroke, unit = column.rpartition(STROKE)
    return [*name.split(), stroke.lstrip() + unit] if stroke else column.split()


def _head_lines(column: str, width: int) -> list[str]:
    """Break the head of a column, a unit staying whole."""
    whole = [piece.replace(" ", KEPT) for piece in _head_pieces(column)]
    return [line.replace(KEPT, " ") for line in textwrap.wrap(" ".join(whole), width)]


def _is_text(cell: str) -> bool:
    """Return whether a cell may be broken between words."""
    return len(cell) > LONGEST_NUMBER


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text  # no markup: names in brackets are names

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(columns))
    for number, width in enumerate(_widths(columns, rows, console.width)):
        column = columns[number]
        left = not number or not column or any(_is_text(row[number]) for row in rows)
        head = "\n".join(_head_lines(column, width))
        table.add_column(Text(head), justify="left" if left else "right", width=width)
    for row in rows:
        table.add_row(*(Text(cell, no_wrap=not _is_text(cell)) for cell in row))
    console.print(table)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the widths of the columns: as narrow as may be, wider for the tallest heads and for text."""
    from rich.cells import cell_len

    found = [_narrowest(columns, rows, number) for number in range(len(columns))]
    room = width - sum(found) - GAP * len(found)
    while room > 0:
        lines = [len(_head_lines(column, found[n])) for n, column in enumerate(columns)]
        if max(lines) < 2:
            break
        found[lines.index(max(lines))] += 1
        room -= 1
    for number in range(len(found)):
        widest = max(cell_len(row[number]) for row in rows)
        more = max(0, min(room, widest - found[number]))
        found[number] += more
        room -= more
    return found


def _print_blocks(columns: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Print each row as its name and, below it, pairs of column and cell."""
    for name, *cells in rows:
        console.print(name, style="bold", markup=False, soft_wrap=True)
        line = ""
        for column, cell in zip(columns[1:], cells, strict=True):
            if not cell:
                continue
            pair = f"{column}: {cell}"
            if line and len(line) + len(BETWEEN) + len(pair) > console.width:
                console.print(wrapped(line, console.width), markup=False, soft_wrap=True)
                line = ""
            line += (BETWEEN if line else "  ") + pair
        if line:
            console.print(wrapped(line, console.width), markup=False, soft_wrap=True)


def wrapped(line: str, width: int) -> str:
    """Break a line between words; what goes on stands below the second column of an indented line."""
    found = re.match(r" +\S.*?  +", line)
    indent = " " * (len(found.group()) if found else 0)
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
