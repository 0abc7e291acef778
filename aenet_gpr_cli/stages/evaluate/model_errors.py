"""Errors of one model on one or several subsets: of all, of each species, and of each member alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aenet_gpr_cli.evaluation.error_sums import ErrorSums, error_sums, species_sums
from aenet_gpr_cli.evaluation.metrics import Metrics, force_metrics, metrics_from_sums
from aenet_gpr_cli.stages.shared.predictors import Prediction
from aenet_gpr_cli.structures import StructureSet


@dataclass(frozen=True, slots=True)
class ModelErrors:
    """Sums of errors.

    Attributes
    ----------
    committee : ErrorSums
        Of the mean over the members.
    species : dict of str to ErrorSums
        The same by chemical symbol, forces only.
    members : tuple of ErrorSums
        Of each member alone; empty where there is only one.
    """

    committee: ErrorSums
    species: dict[str, ErrorSums]
    members: tuple[ErrorSums, ...]

    def metrics(self) -> Metrics:
        """Return the error measures of the committee."""
        return metrics_from_sums(self.committee)

    def species_metrics(self) -> dict[str, Metrics]:
        """Return the measures of the forces on the atoms of each species."""
        return {
            symbol: {**force_metrics(sums), "n_structures": sums.n_structures, "n_members": sums.n_members}
            for symbol, sums in self.species.items()
        }

    def member_metrics(self) -> list[Metrics]:
        """Return the error measures of each member."""
        return [metrics_from_sums(sums) for sums in self.members]


def errors_of(subset: StructureSet, prediction: Prediction, smallest_force: float) -> ModelErrors:
    """Sum the errors of a prediction.

    Parameters
    ----------
    subset : StructureSet
        The reference; without forces only energies are compared.
    prediction : Prediction
    smallest_force : float, eV/Å
        Reference forces must be larger for their direction to be compared.

    Returns
    -------
    ModelErrors
    """
    energies = prediction.energies
    forces = prediction.forces if subset.forces is not None else None

    def one(member: slice) -> ErrorSums:
        chosen = None if forces is None else forces[member]
        return error_sums(subset, energies[member], chosen, smallest_force)

    alone = range(len(energies)) if len(energies) > 1 else ()
    return ModelErrors(
        one(slice(None)),
        {} if forces is None else species_sums(subset, forces, smallest_force),
        tuple(one(slice(m, m + 1)) for m in alone),
    )


def joined_errors(parts: Sequence[ModelErrors]) -> ModelErrors:
    """Pool subsets as if they were one set of samples.

    Parameters
    ----------
    parts : sequence of ModelErrors
        Of one model.

    Returns
    -------
    ModelErrors
    """
    species: dict[str, ErrorSums] = {}
    for part in parts:
        for symbol, sums in part.species.items():
            species[symbol] = species.get(symbol, ErrorSums()) + sums
    return ModelErrors(
        sum((part.committee for part in parts), ErrorSums()),
        dict(sorted(species.items())),
        tuple(sum(m, ErrorSums()) for m in zip(*(part.members for part in parts), strict=True)),
    )
