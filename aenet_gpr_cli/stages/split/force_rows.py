"""Rows of structures in the kernels of a quick local process: what it says of their energies and forces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.gpr.process_settings import Local
from aenet_gpr_cli.stages.shared.context import no_progress
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet
from aenet_gpr_cli.subsystems.label_checks.energy_slope import EnergySlope, energy_slope

BoolArray = NDArray[np.bool_]
MOST_INDUCING, FEWEST_INDUCING = 400, 60  # of all species, of each
UNEXPLAINED = 0.6  # share of the squares of forces that those of other structures leave
_FEWEST_ROWS = 200  # force components
_ASYMMETRIC = 1e-3  # 1/Å: derivatives of kernels; where symmetry makes forces zero these are, too
_SMALL_FORCE = 0.05  # eV/Å: noise of calculations, which no fit explains
_SAME = 1e-6  # relative; of the rows of two copies


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of some structures in the kernels of a local process, one item for each structure.

    Attributes
    ----------
    names : list of str
    energies, sizes : ndarray of shape (n,), eV, eV/Å
        Reference energies; root mean squares of the forces.
    counts : ndarray of shape (n, n_species)
    energy_rows : ndarray of shape (n, n_inducing), dimensionless
    force_rows : list of ndarray of shape (3 n_atoms, n_inducing), 1/Å
        Of atoms whose forces are not exactly zero, as those of fixed atoms and by symmetry.
    forces : list of ndarray of shape (3 n_atoms,), eV/Å
    asymmetric : ndarray of bool, shape (n,)
        Whether symmetry lets forces be other than zero.
    whitening : ndarray of shape (n_inducing, n_kept)
    """

    names: list[str]
    energies: FloatArray
    sizes: FloatArray
    counts: FloatArray
    energy_rows: FloatArray
    force_rows: list[FloatArray]
    forces: list[FloatArray]
    asymmetric: BoolArray
    whitening: FloatArray


def rows_of(chosen: Sequence[StructureSet], length_scale: float, seed: int) -> Rows:
    """Return the rows of structures, in a process of one length scale (dimensionless)."""
    # compiled code, and needed here only
    from aenet_gpr_cli.gpr.local.design import energy_and_force_rows
    from aenet_gpr_cli.gpr.local.environments import blocks_of, environments
    from aenet_gpr_cli.gpr.local.local_fit import choose_design, species_of
    from aenet_gpr_cli.gpr.local.posterior import whiten

    count = max(FEWEST_INDUCING, MOST_INDUCING // len(species_of(chosen)))
    settings = Local(
        n_inducing=count,
        length_scale=length_scale,
        angular_cutoffs=(5.0,),
        resolve_species=False,
        virials=False,
    )
    design = choose_design(chosen, settings, seed, no_progress)
    names: list[str] = []
    energies, counts, energy_rows, force_rows, forces, asymmetric = [], [], [], [], [], []
    for s in chosen:
        for block in blocks_of(s, 300):
            own, pulls = energy_and_force_rows(
                environments(design.basis, design.scale, block, True), design.inducing
            )
            assert block.energies is not None
            assert block.forces is not None
            energy_rows.append(own)
            energies.append(block.energies)
            names += list(block.names) or [str(len(names) + k) for k in range(len(block))]
            counts += [[s.species.count(symbol) for symbol in design.basis.species]] * len(block)
            pulls = pulls.reshape(len(block), s.n_atoms, 3, -1)
            for each, known in zip(pulls, block.forces, strict=True):
                acted = known.any(axis=1)
                force_rows.append(each[acted].reshape(-1, each.shape[-1]))
                forces.append(known[acted].ravel())
                asymmetric.append(float(np.sqrt(np.mean(each**2))) > _ASYMMETRIC)
    sizes = np.array([np.sqrt(np.mean(f**2)) if len(f) else 0.0 for f in forces])
    return Rows(
        names,
        np.concatenate(energies),
        sizes,
        np.array(counts, float),
        np.concatenate(energy_rows),
        force_rows,
        forces,
        np.array(asymmetric),
        whiten(design.inducing.covariance()),
    )


def select(rows: Rows, index: IntArray) -> Rows:
    """Return the rows of some structures."""
    return Rows(
        [rows.names[i] for i in index],
        rows.energies[index],
        rows.sizes[index],
        rows.counts[index],
        rows.energy_rows[index],
        [rows.force_rows[i] for i in index],
        [rows.forces[i] for i in index],
        rows.asymmetric[index],
        rows.whitening,
    )


def distinct(rows: Rows) -> Rows:
    """Return the rows of structures that are no copies of an earlier one."""
    from scipy.spatial.distance import cdist  # heavy, and needed here only

    points = np.hstack([rows.energy_rows, rows.counts])
    same = np.tril(cdist(points, points) < _SAME * np.linalg.norm(points, axis=1), -1)
    return select(rows, np.flatnonzero(~same.any(axis=1)))


def slope_of(rows: Rows, factors: FloatArray | float = 1.0) -> tuple[EnergySlope | None, float]:
    """Return the slope of the energies, and the share of the squares of the forces that is not explained.

    Parameters
    ----------
    factors : ndarray of shape (n,) or float
        Of the energies.
    """
    from aenet_gpr_cli.gpr.local.accumulation import Sums
    from aenet_gpr_cli.gpr.local.posterior import solve

    every = np.concatenate(rows.forces)
    size = float(np.sqrt(np.mean(every**2))) if len(every) else 0.0
    if len(every) < _FEWEST_ROWS or size == 0.0:
        return None, 0.0
    triangle = Sums(rows.energy_rows.shape[1]).triangle
    for own, forces in zip(rows.force_rows, rows.forces, strict=True):
        triangle.add(own, forces / size)
    known = solve(triangle.factor, triangle.n_rows, 0.0, rows.whitening)
    unexplained = known.noise_scale**2
    if unexplained > UNEXPLAINED:
        plain = len(every) > rows.energy_rows.shape[1] and size > _SMALL_FORCE
        return None, unexplained if plain else 0.0
    spread = size * (rows.energy_rows @ known.directions) * np.sqrt(known.variances)
    model = size * (rows.energy_rows @ known.coefficients)
    return energy_slope(rows.energies * factors, model, spread @ spread.T, rows.counts), unexplained
