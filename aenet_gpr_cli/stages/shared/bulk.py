"""Whether a structure fills its cell, so that the cell may be changed as a whole."""

from __future__ import annotations

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.lattice import widest_gaps
from aenet_gpr_cli.structures import Structure

VACUUM = 8.0  # Å without an atom: wider than between layers of crystals, narrower than beside usual slabs


def require_bulk(structure: Structure, what: str, instead: str) -> None:
    """Refuse slabs, wires and molecules, also those in cells with three periodic directions.

    Parameters
    ----------
    what : str
        What needs it; begins the message.
    instead : str
        What to do; ends the message.

    Raises
    ------
    InputError
        With fewer than three periodic directions, or `VACUUM` without atoms across the cell.
    """
    if structure.cell is None or not all(structure.pbc):
        raise InputError(
            f"{what}: expected a cell with three periodic directions, got {structure.name} with "
            f"{sum(structure.pbc)}; {instead}"
        )
    gaps = widest_gaps(structure.positions, structure.cell)
    if gaps.max() >= VACUUM:
        raise InputError(
            f"{what}: expected atoms throughout the cell, got {structure.name} with {gaps.max():.1f} Å of "
            f"vacuum across lattice vector {'abc'[int(gaps.argmax())]}, which has no pressure of its own; "
            f"{instead}"
        )
