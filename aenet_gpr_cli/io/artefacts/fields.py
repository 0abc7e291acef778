"""Arrays in the groups of an artefact: their names with unit and meaning, how they are written and read.

Every array that a stage stores is listed in `FIELDS`; unit and meaning are written beside the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from aenet_gpr_cli import units

CHUNK_BYTES = 2**18  # of arrays that grow: a few reads a megabyte, and little waste in short ones
MAX_CHUNK_ROWS = 1024


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
    "stress": Field(
        units.STRESS, "(structure, xyz, xyz) stress, positive under tension; NaN where not known"
    ),
    "names": Field("", "(structure) where each structure came from"),
    "groups": Field("", "(structure) kind of structure that its file says it is (config_type)"),
    "atom_orders": Field(units.DIMENSIONLESS, "(structure, atom) number, from 0, of each atom in its file"),
    "state_names": Field("", "charge, multiplicity, spin: what all structures share"),
    "state_values": Field("e, dimensionless", "values of these"),
    # repulsion of nuclei (baseline: zbl)
    "charges": Field("e", "(species) charges of the nuclei"),
    "outer": Field(units.LENGTH, "(species, species) distance beyond which there is no repulsion"),
    # molecular dynamics
    "velocities": Field("Å/fs", "(structure, atom, xyz) velocities"),
    "times": Field("fs", "(structure) time since the start"),
    "fixed_atoms": Field(units.DIMENSIONLESS, "numbers, from 0, of atoms that did not move; absent for none"),
    "table": Field("", "(row, column) what was noted along the way; columns: see the attribute of the group"),
    # augmentation
    "parents": Field("", "(copy) name of the reference structure"),
    "copies": Field(units.DIMENSIONLESS, "(copy) number of the copy within its parent"),
    "sigma": Field(units.ENERGY, "standard deviation of each energy"),
    "force_sigma": Field(units.FORCE, "(structure) standard deviation of the forces, over their components"),
    # Gaussian process (K in units of signal_std²)
    "cell": Field(units.LENGTH, "(vector, xyz) lattice vectors of the descriptor as rows"),
    "reference_positions": Field(units.LENGTH, "(atom, xyz) structure that fixes the periodic images"),
    "centres": Field(units.LENGTH, "(centre, xyz) points that SOAP looks at its surroundings from"),
    "rotation_origin": Field(units.DIMENSIONLESS, "(block, feature) mean SOAP of the training structures"),
    "rotation_basis": Field(
        units.DIMENSIONLESS, "(feature, column) orthonormal basis that SOAP is expressed in"
    ),
    "training_positions": Field(units.LENGTH, "(structure, atom, xyz) what the process was conditioned on"),
    "origin": Field("of the descriptor", "(feature) mean descriptor, subtracted before products"),
    "training_x": Field("of the descriptor", "(structure, feature) centred descriptors"),
    "energy_weights": Field(units.ENERGY, "(structure) weights of the energies"),
    "descriptor_weights": Field(
        "eV × descriptor", "(structure, feature) contracted weights of the gradients"
    ),
    "permutations": Field(units.DIMENSIONLESS, "(permutation, atom) group under which energies are the same"),
    "duplicates": Field(units.DIMENSIONLESS, "(pair, 2) structures that are nearly the same"),
    "duplicate_distance": Field("of the descriptor", "(pair) their distance"),
    "domain_distance": Field(
        units.DIMENSIONLESS,
        "(structure) distance to the training data, in their largest gap; above 1: outside",
    ),
    # σ of networks
    "factors": Field(
        units.DIMENSIONLESS,
        "(member, element) rows of L up to the diagonal, L Lᵀ the inverse covariance of the weights",
    ),
    "left_out_errors": Field(
        units.ENERGY, "(member, structure) predicted less reference energies of structures left out"
    ),
    "left_out_variances": Field(f"{units.ENERGY}²", "(member, structure) their variances, not calibrated"),
    # local process (features in units of their spread)
    "feature_inverse_std": Field(units.DIMENSIONLESS, "(species, feature) 1/standard deviation; 0: unused"),
    "feature_metric": Field(
        units.DIMENSIONLESS, "(species, feature, direction) learned directions, each as long as it counts"
    ),
    "soap_directions": Field(
        units.DIMENSIONLESS, "(feature, direction) orthonormal directions of normalised SOAP spectra"
    ),
    "inducing": Field(units.DIMENSIONLESS, "(environment, feature) inducing environments, by species"),
    "inducing_offsets": Field(units.DIMENSIONLESS, "(species + 1) where those of each species begin"),
    "coefficients": Field(units.ENERGY, "(environment) weights of the kernels"),
    "directions": Field(units.DIMENSIONLESS, "(environment, direction) independent in the posterior"),
    "variances": Field(f"{units.ENERGY}²", "(direction) posterior variances"),
    "atomic_energies": Field(units.ENERGY, "(species) prior mean"),
    "reach": Field(units.DIMENSIONLESS, "(species) largest distance of an environment to inducing ones"),
    "shortest": Field(units.LENGTH, "(species, species) distance below which no two atoms were in training"),
    "factor": Field(units.DIMENSIONLESS, "(row, environment + 1) triangle of the rows with their targets"),
    # training structures left out of a fit
    "energy_errors": Field(units.ENERGY, "(structure) reference minus prediction without the structure"),
    "force_errors": Field(units.FORCE, "(component) the same of the forces, structure by structure"),
    "stress_errors": Field(units.STRESS, "(component) the same of xx, yy, zz, yz, xz, xy of the stress"),
    "stress_z": Field(units.DIMENSIONLESS, "(component) errors over their standard deviation"),
    "energy_z": Field(units.DIMENSIONLESS, "(structure) errors over their standard deviation"),
    "force_z": Field(units.DIMENSIONLESS, "(component) errors over their standard deviation"),
    # search for hyperparameters, one entry per evaluation
    "descriptor_tried": Field(units.DIMENSIONLESS, "(trial) number of the descriptor among the candidates"),
    "n_structures_compared": Field(units.DIMENSIONLESS, "(trial) structures that the score was taken on"),
    "length_scale": Field("of the descriptor", "(trial) length scale"),
    "noise_energy": Field(units.DIMENSIONLESS, "(trial) noise of the energies, relative to signal_std"),
    "noise_force": Field("1/Å", "(trial) noise of the forces, relative to signal_std"),
    "score": Field(units.DIMENSIONLESS, "(trial) objective per observation; NaN where it failed"),
    "signal_std": Field(units.ENERGY, "(trial) standard deviation of the signal"),
    "group_order": Field(units.DIMENSIONLESS, "(trial) permutations in the group that was tried"),
    # networks
    "feature_mean": Field(units.DIMENSIONLESS, "(feature) mean subtracted from the descriptor"),
    "feature_std": Field(units.DIMENSIONLESS, "(feature) standard deviation dividing the descriptor"),
    "feature_min": Field(units.DIMENSIONLESS, "(feature) smallest value of the descriptor in training"),
    "feature_max": Field(units.DIMENSIONLESS, "(feature) largest value of the descriptor in training"),
    "compositions": Field(
        units.DIMENSIONLESS,
        "(row, species) orthonormal; the compositions of the training data are their sums",
    ),
    "layer": Field(units.DIMENSIONLESS, "(member, output, input + 1) weights; the last column is the bias"),
    # learning curves
    "training_loss": Field(units.DIMENSIONLESS, "(step, member) loss on the training structures"),
    "validation_loss": Field(units.DIMENSIONLESS, "(step, member) loss on the structures held out"),
    # predictions
    "predicted_energies": Field(units.ENERGY, "(member, structure) predicted total energies"),
    "beyond_training": Field(
        units.DIMENSIONLESS,
        "(structure, atom) how far an environment leaves the training data, in ranges of a feature; 0 inside",
    ),
    "predicted_forces": Field(units.FORCE, "(member, structure, atom, xyz) predicted forces"),
    "reference_energies": Field(units.ENERGY, "(structure) reference total energies"),
    "predicted_stress": Field(
        units.STRESS, "(member, structure, xyz, xyz) predicted stress, positive under tension"
    ),
    "reference_forces": Field(units.FORCE, "(structure, atom, xyz) reference forces"),
    "eos_volumes": Field("Å³", "(point) volumes of the equation of state, of the whole cell"),
    "eos_energies": Field(units.ENERGY, "(point) their energies"),
    "elastic_constants": Field("GPa", "(6, 6) in the order xx, yy, zz, yz, xz, xy"),
    "reference_stress": Field(units.STRESS, "(structure, xyz, xyz) reference stress; NaN where not known"),
}


def write_field(group: h5py.Group, name: str, values: Any) -> None:
    """Store one array under its registered name, with its unit.

    Parameters
    ----------
    name : str
        Must be a key of `FIELDS`.
    values : array_like
        Numbers are stored as they are (float64 stays float64), sequences of str as UTF-8.
    """
    field = FIELDS[name]  # an unknown name leaves nothing behind
    if len(values) and isinstance(values[0], str):
        dataset = group.create_dataset(name, data=list(values), dtype=h5py.string_dtype())
    else:
        dataset = group.create_dataset(name, data=np.asarray(values))
    _explain(dataset, field)


def append_field(group: h5py.Group, name: str, values: Any) -> None:
    """Add rows to an array that grows, made on the first call: chunked, never held in memory as a whole.

    Parameters
    ----------
    name : str
        Must be a key of `FIELDS`.
    values : ndarray, or tuple of str
        Rows; all calls with the same shape after the first axis.
    """
    strings = isinstance(values, tuple)
    rows = np.array(values, object) if strings else np.asarray(values)
    if name not in group:
        row_bytes = max(1, rows.dtype.itemsize * int(np.prod(rows.shape[1:], dtype=int)))
        dataset = group.create_dataset(
            name,
            shape=(0, *rows.shape[1:]),
            maxshape=(None, *rows.shape[1:]),
            chunks=(max(1, min(MAX_CHUNK_ROWS, CHUNK_BYTES // row_bytes)), *rows.shape[1:]),
            dtype=h5py.string_dtype() if strings else rows.dtype,
        )
        _explain(dataset, FIELDS[name])
    dataset = group[name]
    before = len(dataset)
    dataset.resize(before + len(rows), axis=0)
    if len(rows):
        dataset[before:] = rows


def _explain(dataset: h5py.Dataset, field: Field) -> None:
    dataset.attrs["unit"], dataset.attrs["meaning"] = field.unit, field.meaning


def read_strings(group: h5py.Group, name: str, rows: slice = slice(None)) -> tuple[str, ...]:
    """Read an array of strings.

    Parameters
    ----------
    rows : slice, optional
        Of the array; default: all.
    """
    return tuple(group[name].asstr()[rows]) if len(group[name]) else ()


def read_optional(group: h5py.Group, name: str, rows: slice = slice(None)) -> np.ndarray | None:
    """Read an array, or None where it is absent.

    Parameters
    ----------
    rows : slice, optional
        Along the first axis; default: all.
    """
    return group[name][rows] if name in group else None


def as_attributes(group: h5py.Group, values: Mapping[str, Any]) -> None:
    """Store scalars and strings as attributes; None is left out."""
    for key, value in values.items():
        if value is not None:
            group.attrs[key] = value


def read_label_error(group: h5py.Group) -> float | None:
    """Return the error of the process that labelled an augmented set, eV, if it is known."""
    return float(group.attrs["label_error"]) if "label_error" in group.attrs else None
