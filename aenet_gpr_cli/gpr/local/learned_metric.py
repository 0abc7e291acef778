"""The metric between environments that training data teach: directions along which energies vary count more.

With the average outer product of the gradients of a fitted process by the scaled descriptors of a species,
M = ⟨∇f ∇fᵀ⟩, environments are as far apart as |Aᵀ(x − z)| with A Aᵀ ∝ M^(1/2). The root is what the first
layers of trained networks amount to (Radhakrishnan, Beaglehole, Pandit, Belkin, Science 383, 1461 (2024);
Beaglehole, Súkeník, Mondelli, Belkin, arXiv:2402.13728).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aenet_gpr_cli.gpr.local.accumulation import Design, products_of
from aenet_gpr_cli.gpr.local.design import energies_and_slopes
from aenet_gpr_cli.gpr.local.environments import blocks_of, environments
from aenet_gpr_cli.structures import FloatArray, StructureSet

NEGLIGIBLE = 1e-6  # part of the squared distances that the directions left out make up
ATOMS_AT_A_TIME = 4000


def learned_metric(design: Design, sets: Sequence[StructureSet]) -> FloatArray:
    """Return the metric of the environments of each species, see `Scale.metric`.

    Parameters
    ----------
    design : Design
        Whose process is fitted to the structures, in a metric in which all features count alike.
    sets : sequence of StructureSet

    Returns
    -------
    ndarray of shape (n_species, n_features, n_kept), dimensionless
        A; its squared norm is the number of features, as without a metric.
    """
    products, log_noises = products_of(design, sets)
    coefficients = products.coefficients(log_noises)
    n_species, n_features = design.scale.mean.shape
    outer = np.zeros((n_species, n_features, n_features))
    for one in sets:
        for block in blocks_of(one, ATOMS_AT_A_TIME):
            found = environments(design.basis, design.scale, block, False)
            _, slopes = energies_and_slopes(found, design.inducing, coefficients)
            for kind in range(n_species):
                own = slopes[found.kinds == kind]
                outer[kind] += own.T @ own
    return metric_of(outer)


def metric_of(outer: FloatArray) -> FloatArray:
    """Return A of each species from its sum of outer products of gradients.

    Parameters
    ----------
    outer : ndarray of shape (n_species, n_features, n_features)
        A species without any gradient keeps its features as they are.

    Returns
    -------
    ndarray of shape (n_species, n_features, n_kept), dimensionless
    """
    n_features = outer.shape[1]
    found, n_kept = [], 1
    for one in outer:
        values, directions = np.linalg.eigh(one)
        lengths = np.maximum(values[::-1], 0.0) ** 0.25
        if not lengths[0]:
            lengths = np.ones(n_features)
        lengths *= np.sqrt(n_features / (lengths @ lengths))
        found.append(directions[:, ::-1] * lengths)
        left_out = 1.0 - np.cumsum(lengths**2) / n_features
        n_kept = max(n_kept, int(np.argmax(left_out <= NEGLIGIBLE)) + 1)
    return np.ascontiguousarray(np.stack(found)[:, :, :n_kept])
