"""How large a training is: what its time and its memory are counted from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.structures import StructureSet


@dataclass(frozen=True, slots=True)
class TrainingSize:
    """Numbers of one training.

    Attributes
    ----------
    n_features : int
        Of the descriptor; of the largest where evidence chooses among several.
    weights_per_species : int
    n_species : int
    n_structures : int
        With copies.
    n_environments : int
        Atoms of all structures.
    n_environments_held : int
        Those of references, whose positions are in memory; copies are read block by block.
    n_rows : float
        Energies, and components of forces that are trained on.
    n_groups : int
        Layers of all species.
    """

    n_features: int
    weights_per_species: int
    n_species: int
    n_structures: int
    n_environments: int
    n_environments_held: int
    n_rows: float
    n_groups: int

    @property
    def n_weights(self) -> int:
        """Weights of one member, all species together."""
        return self.weights_per_species * self.n_species

    @classmethod
    def of(
        cls, config: TrainAnnConfig, subsets: Mapping[str, StructureSet], copies: AugmentConfig | None
    ) -> TrainingSize:
        """Count what is trained on.

        Parameters
        ----------
        copies : AugmentConfig or None
            How the copies are made that the training reads.
        """
        network = config.network
        n_species = len(present := {symbol for subset in subsets.values() for symbol in subset.species})
        n_features = network.basis(present).n_features
        layers = [n_features, *network.hidden, 1]
        counts = [len(s) + (copies.copies_in_all(len(s)) if copies else 0) for s in subsets.values()]
        n_weights = n_species * (weights_per_species := sum((a + 1) * b for a, b in pairwise(layers)))
        n_components = sum(3 * len(s) * s.n_atoms for s in subsets.values()) if config.with_forces else 0
        return cls(
            n_features=n_features,
            weights_per_species=weights_per_species,
            n_species=n_species,
            n_structures=sum(counts),
            n_environments=sum(n * s.n_atoms for n, s in zip(counts, subsets.values(), strict=True)),
            n_environments_held=sum(len(s) * s.n_atoms for s in subsets.values()),
            n_rows=sum(counts) + n_components * config.loss.share_of_forces(n_components, n_weights),
            n_groups=n_species * (len(layers) - 1),
        )
