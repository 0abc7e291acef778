"""Relaxations of one crystal in a fixed order, each kept when it ends: an interrupted run does the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from ase import Atoms

from aenet_gpr_cli.errors import InterruptedRun
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.stages.shared.context import Context
from aenet_gpr_cli.structures import FloatArray

EVERY = 2.0  # s between writings, so that quick ones take no longer


class KeptRelaxations:
    """Relaxes, or gives what an earlier run has relaxed.

    Parameters
    ----------
    checkpoint : Checkpoint
        Where cells and positions are kept.
    context : Context
        Told of each; an interruption between two is found here.
    number : int
        Of all relaxations, for the progress.
    """

    def __init__(self, checkpoint: Checkpoint, context: Context, number: int) -> None:
        self._checkpoint, self._context, self._number = checkpoint, replace(context, keeps=True), number
        self._found: list[tuple[FloatArray, FloatArray]] = []
        self._asked, self.seconds_before = 0, 0.0
        self._began = self._written = time.perf_counter()
        if (kept := checkpoint.load_state()) is not None:
            self._found = list(zip(kept.arrays["cells"], kept.arrays["positions"], strict=True))
            self.seconds_before = kept.wall_time

    def __call__(self, atoms: Atoms, what: str, relax: Callable[[Atoms], None]) -> None:
        """Bring the next crystal to its relaxed cell and positions, in place.

        Parameters
        ----------
        what : str
            What is being done, for the progress.
        relax : callable
            Relaxes it, in place.

        Raises
        ------
        InterruptedRun
            If the context asked to stop; what was relaxed is kept.
        """
        number, self._asked = self._asked, self._asked + 1
        if number < len(self._found):
            cell, positions = self._found[number]
            atoms.set_cell(cell)
            atoms.set_positions(positions)
            return
        try:
            self._context.report(number, self._number, what)
            relax(atoms)
        except InterruptedRun:
            self._write()
            raise
        self._found.append((atoms.cell.array.copy(), atoms.get_positions()))
        if time.perf_counter() - self._written > EVERY:
            self._write()

    def _write(self) -> None:
        self._written = time.perf_counter()
        if self._found:
            cells, positions = (np.array(each) for each in zip(*self._found, strict=True))
            seconds = self.seconds_before + self._written - self._began
            self._checkpoint.save_state(("relaxed",), {"cells": cells, "positions": positions}, seconds)
