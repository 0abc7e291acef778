"""Whether a structure fills its cell, so that the cell may be changed as a whole."""

from __future__ import annotations

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.lattice import widest_gaps
from aenet_gpr_cli.structures import Structure


def require_bulk(structure: Structure, what: str, largest_gap: float, instead: str) -> None:
    """Refuse slabs, wires and molecules, also those in cells with three periodic directions.

    Parameters
    ----------
    what : str
        What needs it; begins the message.
    largest_gap : float, Å
        From so much without atoms across the cell on it is no bulk.
    instead : str
        What to do; ends the message.

    Raises
    ------
    InputError
        With fewer than three periodic directions, or such a gap.
    """
    if structure.cell is None or not all(structure.pbc):
        raise InputError(
            f"{what}: expected a cell with three periodic directions, got {structure.name} with "
            f"{sum(structure.pbc)}; {instead}"
        )
    gaps = widest_gaps(structure.positions, structure.cell)
    if gaps.max() >= largest_gap:
        raise InputError(
            f"{what}: expected atoms throughout the cell, got {structure.name} with {gaps.max():.1f} Å of "
            f"vacuum across lattice vector {'abc'[int(gaps.argmax())]}, which has no pressure of its own; "
            f"{instead}, or increase largest_gap ({largest_gap:g} Å) where it is a pore of a bulk"
        )
