"""A neighbour list that is kept from step to step until it might be incomplete."""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList, neighbour_list
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.structures import FloatArray, Pbc

WORST_CELL = (
    1e3  # condition up to which a deformation is accurate; a slab may have a cell without a third vector
)


class SkinList:
    """Neighbours of one structure within a cutoff, found again only where needed.

    The list is built with cutoff + skin. As long as no atom has moved by more than skin/2 since, it contains
    every pair within the cutoff, and only the vectors are brought up to date. A cell that changes takes all
    atoms along, and uses up as much of the skin as it shrinks the distance cutoff + skin; moves count from
    there. Another periodicity or number of atoms, and an atom that jumps across a periodic boundary, lead to
    a new list.

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
        if self._list is not None and (known := self._deformation(positions, cell, pbc)) is not None:
            deformation, shrunk = known
            moved = positions - (self._positions if deformation is None else self._positions @ deformation)
            left = self.skin - shrunk * (self.cutoff + self.skin)
            # not (... > ...), so that NaN leads to a new list, which says what is wrong
            if left >= 0.0 and np.einsum("ax,ax->a", moved, moved).max(initial=0.0) <= (0.5 * left) ** 2:
                return self._list.moved(moved[None], deformation)
        cells = None if cell is None else cell[None]
        self._list = neighbour_list(positions[None], cells, pbc, self.cutoff + self.skin)
        self._positions, self._pbc = positions.copy(), pbc
        self._cell = None if cell is None else cell.copy()
        self.n_builds += 1
        return self._list

    @property
    def made_at(self) -> tuple[FloatArray, FloatArray | None]:
        """Positions and cell of which the list is, Å."""
        return self._positions, self._cell

    def make_at(self, positions: FloatArray, cell: FloatArray | None, pbc: Pbc) -> None:
        """Find the neighbours here: vectors that are brought up to date round by where they began."""
        self._list = None
        self(positions, cell, pbc)

    def _deformation(
        self, positions: FloatArray, cell: FloatArray | None, pbc: Pbc
    ) -> tuple[FloatArray | None, float] | None:
        """Return D with the cell = that of the list times D, and by which part it shrinks a distance at most.

        D is None for the same cell; all is None where the list is of another kind of box.
        """
        if pbc != self._pbc or positions.shape != self._positions.shape:
            return None
        if cell is None or self._cell is None:
            return (None, 0.0) if cell is self._cell else None
        if np.array_equal(cell, self._cell):
            return None, 0.0
        if not np.isfinite(cell).all() or np.linalg.cond(self._cell) > WORST_CELL:
            return None
        deformation = np.asarray(np.linalg.solve(self._cell, cell), float)
        return deformation, 1.0 - float(np.linalg.svd(deformation, compute_uv=False)[-1])
