"""Synthetic energies from a surrogate model of one subset (the paper's GPR augmentation).

Owns the labelling in blocks. The model comes in as plain functions of positions, so that augmentation knows
nothing of kernels or solvers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aenet_gpr_cli.augmentation.displacements import as_augmented_set
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import AugmentedSet, FloatArray, IntArray, StructureSet


def label_with_gp(
    structures: StructureSet,
    positions: FloatArray,
    parents: IntArray,
    copies: IntArray,
    predict_energies: Callable[[FloatArray], FloatArray],
    sigma: Callable[[FloatArray], FloatArray] | None,
    block_size: int = 4096,  # copies per call of the model; bounds memory, does not change the labels
    progress: Progress | None = None,
    domain: Callable[[FloatArray], FloatArray] | None = None,
) -> AugmentedSet:
    """Label displaced copies with the mean of a Gaussian process, and with its standard deviation.

    Parameters
    ----------
    structures : StructureSet
        Reference structures of one subset.
    positions : ndarray of shape (n_copies_in_total, n_atoms, 3), Å
    parents, copies : ndarray of int, shape (n_copies_in_total,)
        As `displace` returns them.
    predict_energies : callable, (m, n_atoms, 3) Å -> (m,) eV
        Posterior mean of the total energy.
    sigma : callable, (m, n_atoms, 3) Å -> (m,) eV, or None
        Posterior standard deviation of the total energy; None where it is not wanted.
    block_size : int
    progress : callable(done, total, message), optional
    domain : callable, (m, n_atoms, 3) Å -> (m,) dimensionless, optional
        Distance to the training data.

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
        energies[block] = predict_energies(positions[block])
        if sigma is not None and deviations is not None:
            deviations[block] = sigma(positions[block])
        if domain is not None and distances is not None:
            distances[block] = domain(positions[block])
        if progress is not None:
            progress(block.stop, total, "labelling copies")
    for quantity, values in (("energies", energies), ("standard deviations", deviations)):
        if values is not None and not np.isfinite(values).all():
            raise NumericalError(
                f"surrogate model: {np.count_nonzero(~np.isfinite(values))} of {total} predicted {quantity} "
                "are not finite; refit with more noise or a shorter length scale, or use a smaller δ"
            )
    return as_augmented_set(structures, positions, parents, copies, energies, deviations, "gpr", distances)
