"""Copies of an artefact as a whole, which only tests need in memory."""

from pathlib import Path

from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.structure_sets import read_augmented
from aenet_gpr_cli.structures import AugmentedSet


def load_augmented(path: Path) -> dict[str, AugmentedSet]:
    """The augmented sets of an artefact, by subset."""
    with open_artefact(path, "augment") as file:
        return {name: read_augmented(group) for name, group in file["subsets"].items()}
