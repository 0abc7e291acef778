"""Errors of networks on the references that they were trained on, and on those that were left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet
from aenet_gpr_cli.units import MEV_PER_EV

DIGITS = {
    "train E / meV": 2,
    "train F / eV/Å": 4,
    "left-out E / meV": 2,
    "left-out F / eV/Å": 4,
}
ERROR_COLUMNS = tuple(DIGITS)
NONE = "–"
MOST_ATOMS = 50_000  # whose forces are compared: of more an even choice of the structures
BLOCK = 64  # structures evaluated at a time


@dataclass(frozen=True, slots=True)
class TrainingErrors:
    """Mean absolute errors of single members, averaged over them.

    Attributes
    ----------
    energy, energy_left_out : float, eV, or None
        None where nothing is known.
    force, force_left_out : float, eV/Å, or None
        Of Cartesian components.
    n_left_out : int
    held_out : bool
        Whether training never saw what was left out; else it was taken out afterwards, to first order.
    """

    energy: float | None
    force: float | None
    energy_left_out: float | None
    force_left_out: float | None
    n_left_out: int
    held_out: bool

    def cells(self) -> list[str]:
        """Return the cells of `ERROR_COLUMNS`."""
        values = self.energy, self.force, self.energy_left_out, self.force_left_out
        units = MEV_PER_EV, 1.0, MEV_PER_EV, 1.0
        return [
            NONE if value is None else f"{unit * value:.{digits}f}"
            for value, unit, digits in zip(values, units, DIGITS.values(), strict=True)
        ]

    def notes(self) -> list[str]:
        """Say what the errors are of."""
        said = "E, F: mean absolute errors of a member on the references, F of components"
        if self.n_left_out:
            how = "held out" if self.held_out else "trained on, each left out to first order"
            said += f"; left out: {self.n_left_out} {how}"
        return [said]


def join_cells(parts: Sequence[Sequence[str]]) -> list[str]:
    """Return the cells of a committee from those of its members, trained one by one."""
    return [
        NONE if NONE in cells else f"{np.mean([float(cell) for cell in cells]):.{digits}f}"
        for cells, digits in zip(zip(*parts, strict=True), DIGITS.values(), strict=True)
    ]


def training_errors(model: ANNModel, subsets: Sequence[StructureSet], held_out: IntArray) -> TrainingErrors:
    """Compare networks with the references.

    Parameters
    ----------
    subsets : sequence of StructureSet
        With energies; all that were given to the training.
    held_out : ndarray of int
        Positions of those held out, counted through all subsets.
    """
    out = np.zeros(sum(map(len, subsets)), bool)
    out[held_out] = True
    inside = _errors(model, subsets, ~out)
    outside, n = _errors(model, subsets, out), len(held_out)
    if not n and model.sigma is not None and model.sigma.n_left_out:
        n = model.sigma.n_left_out
        outside = float(np.abs(model.sigma.left_out_errors).mean()), None
    return TrainingErrors(*inside, *outside, n, held_out=bool(len(held_out)))


def _errors(
    model: ANNModel, subsets: Sequence[StructureSet], chosen: IntArray
) -> tuple[float | None, float | None]:
    """Return the mean absolute errors of energies and force components on the chosen structures."""
    ends = np.cumsum([len(subset) for subset in subsets])
    parts = [np.flatnonzero(part) for part in np.split(chosen, ends[:-1])]
    n_atoms = sum(len(part) * subset.n_atoms for part, subset in zip(parts, subsets, strict=True))
    every = max(1, -(-n_atoms // MOST_ATOMS))
    energies: list[FloatArray] = []
    forces: list[FloatArray] = []
    for part, subset in zip(parts, subsets, strict=True):
        some = subset.select(part[::every])
        if not len(some) or some.energies is None:
            continue
        several = some.n_atoms > 1  # the force on one atom is zero, whatever the network
        energy, force = predict(model, some, several and some.forces is not None, BLOCK)
        energies.append(np.abs(energy - some.energies).ravel())
        if force is not None and some.forces is not None:
            forces.append(np.abs(force - some.forces).ravel())
    return _mean(energies), _mean(forces)


def _mean(errors: Sequence[FloatArray]) -> float | None:
    return float(np.concatenate(errors).mean()) if errors else None
