"""Tables and messages about many subsets in a few lines; everything is in the artefact, for `show`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_ROWS = 10  # of a table that is printed as it is
LARGEST = 3  # subsets that keep a row of their own
SIZES = (100, 10, 2, 1)  # the others are counted by these numbers of structures
SHOWN = 3  # names in a line
_ALONE = 2  # messages of a kind that are printed one by one


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one subset.

    Attributes
    ----------
    kind : str
        Findings of a kind are told together.
    subset : str
    text : str
    """

    kind: str
    subset: str
    text: str

    def __str__(self) -> str:
        return f"{self.subset}: {self.text}"


def few_rows(
    rows: Sequence[Sequence[str]], by: int, summed: Sequence[int] = ()
) -> tuple[tuple[str, ...], ...]:
    """Return the rows of the largest subsets, and one row for all others of about one size.

    Parameters
    ----------
    rows : sequence of sequence of str
        One for each subset, its name first.
    by : int
        Column with the number of structures.
    summed : sequence of int
        Columns with other numbers that add up.

    Returns
    -------
    tuple of tuple of str
        Empty where there are few rows anyway.
    """
    if len(rows) <= MOST_ROWS:
        return ()
    ordered = sorted(rows, key=lambda row: -int(row[by]))
    short = [tuple(row) for row in ordered[:LARGEST]]
    rest, above = ordered[LARGEST:], None
    for size in SIZES:
        part = [row for row in rest if int(row[by]) >= size and (above is None or int(row[by]) < above)]
        if part:
            most = max(int(row[by]) for row in part)
            least = min(int(row[by]) for row in part)
            of = f"{least}" if most == least else f"{least}–{most}"
            sums = {c: str(sum(int(row[c]) for row in part)) for c in (by, *summed)}
            label = f"{len(part)} more, of {of} each"
            short.append((label, *(sums.get(c, "") for c in range(1, len(rows[0])))))
        above = size
    return tuple(short)


def told(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each finding, or one for all of a kind that there are many of."""
    lines: list[str] = []
    for kind in dict.fromkeys(f.kind for f in findings):
        found = [f for f in findings if f.kind == kind]
        if len(found) <= _ALONE:
            lines += map(str, found)
        else:
            others = list(dict.fromkeys(f.subset for f in found[1:]))
            lines.append(f"{found[0]}; {len(others)} other subsets alike: {some(others)}")
    return lines


def some(items: Sequence[str]) -> str:
    """Return the first of many names, and how many more there are."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
