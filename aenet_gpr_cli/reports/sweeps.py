"""Networks of a run that differ in one key of their augmentation."""

from __future__ import annotations

from typing import Any

METHODS = ("taylor", "gpr")
SURROGATE = "gpr"
UNGIVEN_DISPLACEMENT = ("adaptive", "thermal")
Row = dict[str, Any]


def varying(rows: tuple[Row, ...], against: str) -> list[Row] | None:
    """Return the longest sweep over one key.

    Parameters
    ----------
    rows : tuple of dict
        Of `FinishedRun`.
    against : str
        ``displacement`` or ``n_copies``.

    Returns
    -------
    list of dict, or None
        Of each method, with the networks that have no augmentation; None if nothing varies.
    """
    other = "n_copies" if against == "displacement" else "displacement"
    chosen = [row for row in rows if row["method"] is None]
    found = False
    for method in METHODS:
        own = [row for row in rows if row["method"] == method and row["mode"] not in UNGIVEN_DISPLACEMENT]
        if not own:
            continue
        held = [[r for r in own if r[other] == value] for value in {row[other] for row in own}]
        longest = max(held, key=lambda group: len({row[against] for row in group}))
        found |= len({row[against] for row in longest}) > 1
        chosen += longest
    return chosen if found else None


def sweep_rows(rows: tuple[Row, ...], against: str) -> list[Row] | None:
    """Return `varying`, and the adaptive choice of δ with the same M beside it.

    Parameters
    ----------
    rows : tuple of dict
        Of `FinishedRun`.
    against : str
        ``displacement`` or ``n_copies``.

    Returns
    -------
    list of dict, or None
        None if nothing varies.
    """
    chosen = varying(rows, against)
    if chosen is None:
        return None
    amounts = {row["n_copies"] for row in chosen if row["method"] == SURROGATE}
    free = [r for r in rows if r["mode"] == "adaptive" and r["displacement"] and r["n_copies"] in amounts]
    return chosen + free
