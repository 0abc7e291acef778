"""The verdict on evaluated models, with their training data and where the test set comes from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aenet_gpr_cli.evaluation.verdict import Judged, Verdict, judge
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.structure_sets import load_split
from aenet_gpr_cli.stages.evaluate.model_errors import NO_GROUP


def verdict_of(
    split: Path,
    trainings: Sequence[Mapping[str, Any]],
    results: Mapping[str, Any],
    on: str,
    temperature: float,
) -> Verdict:
    """Judge the models of an evaluation.

    Parameters
    ----------
    trainings : sequence of dict
        Of `training_rows`.
    results : mapping of str to dict
        Metrics by model, with the keys ``total``, ``subsets`` and where kinds are known ``groups``.
    on : str
        Part of the split that was predicted.
    temperature : float, K
    """
    training = load_split(split, "train")
    groups = Counter(name or NO_GROUP for subset in training.values() for name in subset.groups)
    sizes = {name: len(subset) for name, subset in training.items()}
    judged = []
    for row in trainings:
        name, mode = row["model"], row["mode"]
        result = results[name]
        by_group = len(result.get("groups", {})) > 1
        parts = result["groups"] if by_group else result["subsets"]
        known = groups if by_group else sizes
        counts = {part: known.get(part, 0) for part in parts}
        judged.append(Judged(name, mode, result["total"], parts if len(parts) > 1 else {}, counts))
    return judge(judged, temperature, *provenance(split, on))


def provenance(split: Path, on: str) -> tuple[str, int]:
    """Say how the structures of an evaluation were divided from those of training.

    Returns
    -------
    str
    int
        How many of them follow each other in a trajectory.
    """
    with open_artefact(split, "split", numbers=False) as artefact:
        config = json.loads(artefact.attrs["config"])
    if on == "train":
        return "the training structures themselves, which flatter", 1
    if config.get("test_inputs"):
        return "from files of their own", 1
    if config.get("test_list"):
        return "chosen by a list", 1
    if config.get("blocks"):
        said = f"in blocks of {config['blocks']} frames of the same trajectories as training"
        return said, int(config["blocks"])
    return "drawn by chance from the same files as those of training", 1
