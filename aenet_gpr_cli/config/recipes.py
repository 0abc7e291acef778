"""What `init` writes: one recipe for an afternoon, one for minutes, one for a night."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

How = Literal["quick", "usual", "best"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How much a workflow does; None where the default of the key is taken.

    Attributes
    ----------
    n_members : int
        Of each committee.
    n_copies : int or None
        M.
    iterations : int or None
        Of Levenberg-Marquardt.
    """

    n_members: int
    n_copies: int | None = None
    iterations: int | None = None


RECIPES: dict[How, Recipe] = {
    "quick": Recipe(n_members=1, n_copies=8, iterations=40),
    "usual": Recipe(n_members=4),
    "best": Recipe(n_members=10, iterations=170),
}
TRAIN = 0.8


def stages(how: How, forces: bool, mixed: bool, blocks: int | None) -> dict[str, Any]:
    """Return the stages of a workflow; `split` still lacks its inputs.

    Parameters
    ----------
    how : str
        Name of a recipe.
    forces : bool
        Whether all structures have forces; without them networks are trained on energies alone.
    mixed : bool
        Whether there are more species than ænet's descriptor tells apart.
    blocks : int or None
        Frames of a trajectory that stay together.
    """
    recipe = RECIPES[how]
    split: dict[str, Any] = {"train": TRAIN} | ({"blocks": blocks} if blocks else {})
    members: dict[str, Any] = {"n_members": recipe.n_members}
    if recipe.iterations:
        members["levenberg_marquardt"] = {"iterations": recipe.iterations}
    energy_only = {"energy_only": {"mode": "energy_only"}}
    if not forces:
        split["require_forces"] = False
        return {"split": split, "train_ann": {"defaults": members} | energy_only}
    network = {"angular_cutoffs": "auto"} | ({"resolve_species": "auto"} if mixed else {})
    copies: dict[str, Any] = {"method": "gpr"} | ({"n_copies": recipe.n_copies} if recipe.n_copies else {})
    loss = {"alpha": 0.1, "force_fraction": "auto", "balance": "evidence"}
    return {
        "split": split,
        "fit_gpr": {},
        "augment": {"gpr": copies},
        "train_ann": {
            "defaults": members | {"network": network},
            **energy_only,
            "direct": {"mode": "direct", "loss": dict(loss)},
            "combined": {"mode": "combined", "loss": dict(loss)},
        },
    }
