"""The one registry of dataset names in artefacts, with unit and meaning.

Every array that a stage stores is listed here; the unit is written beside the data.
"""

from __future__ import annotations

from dataclasses import dataclass

from aenet_gpr_cli import units


@dataclass(frozen=True, slots=True)
class Field:
    """Unit and meaning of a stored array."""

    unit: str
    meaning: str


FIELDS: dict[str, Field] = {
    # structures
    "species": Field("", "chemical symbols, one per atom"),
    "positions": Field(units.LENGTH, "(structure, atom, xyz) Cartesian coordinates"),
    "cells": Field(units.LENGTH, "(structure, vector, xyz) lattice vectors as rows"),
    "pbc": Field(units.DIMENSIONLESS, "periodicity along each lattice vector"),
    "energies": Field(units.ENERGY, "(structure) total energies"),
    "forces": Field(units.FORCE, "(structure, atom, xyz) physical forces F = -dE/dR"),
    "names": Field("", "(structure) where each structure came from"),
    # augmentation
    "parents": Field("", "(copy) name of the reference structure"),
    "copies": Field(units.DIMENSIONLESS, "(copy) number of the copy within its parent"),
    "sigma": Field(units.ENERGY, "standard deviation of each energy"),
    # Gaussian process
    "weights_energy": Field(
        "eV^-1", "(structure) K^-1 (y - m) of the energy rows, K in units of signal_std^2"
    ),
    "weights_descriptor": Field(
        "see descriptor", "(structure, feature) J alpha_F: weights of the derivatives"
    ),
    "centre": Field("see descriptor", "(feature) mean descriptor, subtracted before products"),
    "length_scale_grid": Field("see descriptor", "length scales that were compared"),
    "log_marginal_likelihood_grid": Field(units.DIMENSIONLESS, "log marginal likelihood at each of them"),
    # networks
    "feature_mean": Field(units.DIMENSIONLESS, "(feature) mean subtracted from the descriptor"),
    "feature_std": Field(units.DIMENSIONLESS, "(feature) standard deviation dividing the descriptor"),
    "feature_min": Field(units.DIMENSIONLESS, "(feature) smallest value in the training data"),
    "feature_max": Field(units.DIMENSIONLESS, "(feature) largest value in the training data"),
    "weight": Field(units.DIMENSIONLESS, "(member, input, output) weights of a layer"),
    "bias": Field(units.DIMENSIONLESS, "(member, output) biases of a layer"),
    # learning curves
    "train_loss": Field("see history", "(step, member) training error"),
    "validation_loss": Field("see history", "(step, member) validation error"),
    # predictions
    "predicted_energies": Field(units.ENERGY, "(member, structure) predicted total energies"),
    "predicted_forces": Field(units.FORCE, "(member, structure, atom, xyz) predicted forces"),
    "reference_energies": Field(units.ENERGY, "(structure) reference total energies"),
    "reference_forces": Field(units.FORCE, "(structure, atom, xyz) reference forces"),
}
