"""A neighbour list that is kept from step to step until it might be incomplete."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList, neighbour_list
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.structures import FloatArray, Pbc


class SkinList:
    """Neighbours of one structure within a cutoff, found again only where needed.

    The list is built with cutoff + skin. As long as no atom has moved by more than skin/2 since, it contains
    every pair within the cutoff, and only the vectors are brought up to date. Another cell, periodicity or
    number of atoms, and an atom that jumps across a periodic boundary, lead to a new list.

    Parameters
    ----------
    cutoff : float, Å
    skin : float, Å
        0 builds a list every time.

    Raises
    ------
    ConfigError
        If the skin is negative.
    """

    def __init__(self, cutoff: float, skin: float) -> None:
        if not 0.0 <= skin < np.inf:
            raise ConfigError(f"skin: expected a distance of 0 or more in Å, got {skin}")
        self.cutoff = cutoff
        self.skin = skin
        self.n_builds = 0
        self._list: NeighbourList | None = None
        self._positions: FloatArray = np.empty((0, 3))
        self._cell: FloatArray | None = None
        self._pbc: Pbc = (False, False, False)

    def __call__(self, positions: FloatArray, cell: FloatArray | None, pbc: Pbc) -> NeighbourList:
        """Return the neighbours, complete up to the cutoff; longer edges may be among them.

        Parameters
        ----------
        positions : ndarray of shape (n_atoms, 3), Å
            Wrapped into the cell or not.
        cell : ndarray of shape (3, 3), Å, or None

        Returns
        -------
        NeighbourList
            Of one structure.
        """
        if self._list is not None and self._same_box(positions, cell, pbc):
            moved = positions - self._positions
            # not (... > ...), so that NaN leads to a new list, which says what is wrong
            if np.einsum("ax,ax->a", moved, moved).max(initial=0.0) <= (0.5 * self.skin) ** 2:
                return self._list.moved(moved[None])
        cells = None if cell is None else cell[None]
        self._list = neighbour_list(positions[None], cells, pbc, self.cutoff + self.skin)
        self._positions, self._pbc = positions.copy(), pbc
        self._cell = None if cell is None else cell.copy()
        self.n_builds += 1
        return self._list

    def _same_box(self, positions: FloatArray, cell: FloatArray | None, pbc: Pbc) -> bool:
        if pbc != self._pbc or positions.shape != self._positions.shape:
            return False
        if cell is None or self._cell is None:
            return cell is self._cell
        return np.array_equal(cell, self._cell)
