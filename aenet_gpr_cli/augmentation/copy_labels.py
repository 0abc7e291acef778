"""Synthetic energies of displaced copies: of a surrogate model, or of a first-order Taylor expansion.

The paper's GPR augmentation, and its Taylor-ANN (after Cooper et al.). Owns the expansion, and the labelling
in blocks; takes geometries from `displacements` and returns an `AugmentedSet`. A surrogate comes in as plain
functions of structures, so that nothing here depends on kernels or solvers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from aenet_gpr_cli.augmentation.displacements import as_augmented_set
from aenet_gpr_cli.augmentation.strains import displacements_of, strain_freedom, strain_of
from aenet_gpr_cli.errors import InputError, NumericalError
from aenet_gpr_cli.lattice import volumes
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import AugmentedSet, FloatArray, IntArray, StructureSet

Labels = Callable[[StructureSet], FloatArray]
Deviations = Callable[[StructureSet, StructureSet], FloatArray]
BLOCK = 4096  # copies handled at once: bounds temporary memory, does not change the labels


def label_with_gp(
    structures: StructureSet,
    positions: FloatArray,
    parents: IntArray,
    copies: IntArray,
    predict_energies: Labels,
    sigma: Deviations | None,
    block_size: int = BLOCK,
    progress: Progress | None = None,
    domain: Labels | None = None,
    cells: FloatArray | None = None,
    missed: StructureSet | None = None,
) -> AugmentedSet:
    """Label displaced copies with the mean of a Gaussian process, and with its standard deviation.

    Parameters
    ----------
    structures : StructureSet
        Reference structures of one subset.
    positions, parents, copies
        From `displace`.
    predict_energies : callable, StructureSet -> (m,) eV
        Posterior mean of the total energy.
    sigma : callable, two StructureSet -> (m,) eV, or None
        Posterior standard deviation of the total energy, of copies of some structures; None where it is not
        wanted.
    block_size : int
        Copies per call of the model.
    progress : callable(done, total, message), optional
    domain : callable, StructureSet -> (m,) dimensionless, optional
        Distance to the training data.
    cells : ndarray of shape (n_copies_in_total, 3, 3), Å, or None
        Of strained copies, from `strained`.
    missed : StructureSet, optional
        From `missed_by`: its linear expansion is added to the mean.

    Returns
    -------
    AugmentedSet
        Labelled ``gpr``.

    Raises
    ------
    NumericalError
        If the model predicts an energy or a standard deviation that is not finite.
    """
    total = len(positions)
    energies = np.empty(total)
    deviations = None if sigma is None else np.empty(total)
    distances = None if domain is None else np.empty(total)
    for start in range(0, total, block_size):
        block = slice(start, min(start + block_size, total))
        own = None if cells is None else cells[block]
        before = structures.select(parents[block])
        moved = before.moved_to(positions[block], own)
        energies[block] = predict_energies(moved)
        if missed is not None:
            energies[block] += taylor_energies(missed, positions[block], parents[block], own)
        if sigma is not None and deviations is not None:
            deviations[block] = sigma(moved, before)
        if domain is not None and distances is not None:
            distances[block] = domain(moved)
        if progress is not None:
            progress(block.stop, total, "labelling copies")
    for quantity, values in (("energies", energies), ("standard deviations", deviations)):
        if values is not None and not np.isfinite(values).all():
            raise NumericalError(
                f"surrogate model: {np.count_nonzero(~np.isfinite(values))} of {total} predicted {quantity} "
                "are not finite; refit with more noise or a shorter length scale, or use a smaller δ"
            )
    return as_augmented_set(
        structures, positions, parents, copies, energies, deviations, "gpr", distances, cells
    )


def missed_by(
    structures: StructureSet, energies: FloatArray, forces: FloatArray, stress: FloatArray | None = None
) -> StructureSet:
    """Return reference structures with what a surrogate misses of their energies, forces and stress.

    With E' = m(R') + ΔE - ΔF · d + V Δσ:ε a label has the energy and the slopes of its reference, and only
    the curvature of the surrogate m: its error is of the order δ².

    Parameters
    ----------
    structures : StructureSet
        Reference structures with energies and forces.
    energies, forces : ndarray, eV and eV/Å
        Of the surrogate.
    stress : ndarray of shape (n_structures, 3, 3), eV/Å³, or None
        Of the surrogate. Without it, or where that of a reference is unknown, Δσ is 0.
    """
    assert structures.energies is not None
    assert structures.forces is not None
    known = np.zeros((len(structures), 3, 3))
    if stress is not None and structures.stress is not None:
        known = np.nan_to_num(structures.stress - stress)
    return replace(
        structures,
        energies=structures.energies - energies,
        forces=structures.forces - forces,
        stress=known,
    )


def taylor_energies(
    structures: StructureSet, positions: FloatArray, parents: IntArray, cells: FloatArray | None = None
) -> FloatArray:
    """Estimate the energies of displaced copies by a linear Taylor expansion.

    E' = E - Σ_i F_i · d_i + V σ:ε, with F = -∂E/∂R and V σ = ∂E/∂ε at the reference structure, the strain ε
    of the cell and displacements d_i = R'_i - (1 + ε) R_i beyond it.

    Parameters
    ----------
    structures : StructureSet
        Reference structures with energies and forces.
    positions : ndarray of shape (n_copies_in_total, n_atoms, 3), Å
    parents : ndarray of int, shape (n_copies_in_total,)
        Index of the reference structure of each copy.
    cells : ndarray of shape (n_copies_in_total, 3, 3), Å, or None
        Of strained copies.

    Returns
    -------
    ndarray of shape (n_copies_in_total,), eV

    Raises
    ------
    InputError
        If the reference structures have no energies or no forces, or, with strain, not all have a stress.

    Notes
    -----
    Exact on a linear surface; the error grows with δ². Positions must be those of `displace`: a wrapped atom
    would be read as a displacement by a lattice vector.
    """
    if structures.energies is None or structures.forces is None:
        raise InputError("Taylor augmentation: expected reference energies and forces, got none")
    energies = structures.energies[parents]
    for start in range(0, len(parents), BLOCK):
        block = slice(start, start + BLOCK)
        own = None if cells is None else cells[block]
        displacements = displacements_of(structures, parents[block], positions[block], own)
        forces = structures.forces[parents[block]]
        energies[block] -= np.einsum("cax,cax->c", displacements, forces)  # copy, atom, x
    if cells is not None and strain_freedom(structures):
        energies += _work_of_strains(structures, parents, cells)
    return energies


def _work_of_strains(structures: StructureSet, parents: IntArray, cells: FloatArray) -> FloatArray:
    """Return V σ:ε of each copy, eV."""
    stress, volume = structures.stress, volumes(structures)
    assert volume is not None  # it has strains
    if stress is None or not np.isfinite(stress).all():
        lacking = len(structures) if stress is None else int((~np.isfinite(stress).all(axis=(1, 2))).sum())
        raise InputError(
            f"Taylor augmentation with strain: expected the stress of all structures, {lacking} of "
            f"{len(structures)} have none; set strain: 0, or method: gpr with the local process"
        )
    strains = strain_of(structures, parents, cells)
    return volume[parents] * np.einsum("cab,cab->c", strains, stress[parents])


def label_with_taylor(
    structures: StructureSet,
    positions: FloatArray,
    parents: IntArray,
    copies: IntArray,
    cells: FloatArray | None = None,
) -> AugmentedSet:
    """Label displaced copies with `taylor_energies`.

    Parameters
    ----------
    structures : StructureSet
        Reference structures with energies and forces.
    positions, parents, copies
        From `displace`.
    cells : ndarray of shape (n_copies_in_total, 3, 3), Å, or None
        Of strained copies, from `strained`.

    Returns
    -------
    AugmentedSet
        Labelled ``taylor``; without σ, of which the expansion has no estimate.
    """
    energies = taylor_energies(structures, positions, parents, cells)
    return as_augmented_set(
        structures, positions, parents, copies, energies, None, "taylor", domain_distance=None, cells=cells
    )
