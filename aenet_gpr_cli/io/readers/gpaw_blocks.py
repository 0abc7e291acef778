"""Outputs of GPAW, one geometry at a time: where one failed ASE gives up on those that follow, silently."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_BEGINS = re.compile(r"^Positions:\s*$")


def blocks_of_gpaw(path: Path) -> Iterator[str]:
    """Iterate over the parts of an output that ASE reads as one geometry each.

    Yields
    ------
    str
        What stands from one ``Positions:`` to the next, also where no energy follows: the calculation did
        not converge, or was cut short.
    """
    block: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if _BEGINS.match(line):
                if block:
                    yield "".join(block)
                block = [line]
            elif block:
                block.append(line)
    if block:
        yield "".join(block)
