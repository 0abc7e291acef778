"""Clusters of ethylene carbonate molecules of any size, for measuring cost against structure size.

Geometry and neighbour counts are those of the dense liquid; the labels are those of a smooth pair potential,
because what a training costs does not depend on them.
"""

from __future__ import annotations

import numpy as np

from aenet_gpr_cli.structures import FloatArray, StructureSet

SPECIES = ("O", "O", "O", "C", "C", "C", "H", "H", "H", "H")
# textbook bond lengths, Å; the ring lies in the xy plane, the carbonyl group along +y
MOLECULE = np.array(
    [
        *((1.121, -0.770, 0.0), (-1.121, -0.770, 0.0), (0.0, 1.190, 0.0)),
        *((0.760, -2.154, 0.10), (-0.760, -2.154, -0.10), (0.0, 0.0, 0.0)),
        *((1.260, -2.520, 0.99), (1.360, -2.480, -0.78)),
        *((-1.260, -2.520, -0.99), (-1.360, -2.480, 0.78)),
    ]
)
# one molecule per box of 111 Å³: 1.32 g/cm³, the density of liquid EC; no two atoms nearer than 1.7 Å
SPACING = np.array([5.2, 5.7, 3.75])
RANGE = 2.0  # Å, of the pair potential exp(-r²/2 RANGE²) eV
SPREAD = 0.05  # Å, standard deviation of the random displacements


def clusters(n_molecules: int, n_structures: int, seed: int) -> StructureSet:
    """Return labelled structures of one cluster, each with other random displacements.

    Parameters
    ----------
    n_molecules : int
        Of ten atoms; those of a lattice that are nearest to its centre.

    Returns
    -------
    StructureSet
        Isolated, with energies (eV) and forces (eV/Å).
    """
    reach = int(np.ceil(np.cbrt(n_molecules))) + 2
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    places = steps * SPACING
    order = np.argsort(np.linalg.norm(places, axis=1), kind="stable")
    relaxed = (places[order[:n_molecules], None] + MOLECULE).reshape(-1, 3)
    rng = np.random.default_rng(seed)
    positions = relaxed + SPREAD * rng.normal(size=(n_structures, *relaxed.shape))
    energies, forces = _pair_potential(positions)
    names = tuple(f"EC{n_molecules}/{i}" for i in range(n_structures))
    return StructureSet(SPECIES * n_molecules, positions, energies=energies, forces=forces, names=names)


def _pair_potential(positions: FloatArray) -> tuple[FloatArray, FloatArray]:
    energies, forces = np.empty(len(positions)), np.empty_like(positions)
    for s, points in enumerate(positions):
        away = points[:, None] - points[None]
        pair = np.exp(-0.5 * np.einsum("ijx,ijx->ij", away, away) / RANGE**2)
        energies[s] = 0.5 * (pair.sum() - len(points))
        # (i, j), (i, j, x) -> (i, x): F_i = Σ_j pair (r_i - r_j)/RANGE²
        forces[s] = np.einsum("ij,ijx->ix", pair, away) / RANGE**2
    return energies, forces
