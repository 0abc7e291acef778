"""Which structures train and which test: by number over the whole set or each subset, or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.io.formats.source_files import source_labels
from aenet_gpr_cli.stages.split.input_paths import Inputs
from aenet_gpr_cli.structures import Structure
from aenet_gpr_cli.subsystems.sampling import Division, by_names, match_names, sample
from aenet_gpr_cli.subsystems.stratification import sample_spread

DEFAULT_TRAIN = 0.25  # when nothing is said about the division; as in the paper
WHOLE = "all structures"
Chosen = tuple[set[str] | None, set[str] | None]


def divide(
    config: SplitConfig, inputs: Inputs, groups: Mapping[str, Sequence[Structure]]
) -> tuple[dict[str, Division], list[str]]:
    """Divide every subset; what is in ``train_inputs`` trains and takes no part in the division.

    Parameters
    ----------
    groups : mapping of str to sequence of Structure
        Members of each subset.

    Returns
    -------
    divisions : dict of str to Division
        By subset, of the members in their order.
    notes : list of str
        About the whole.
    """
    everything = [s for members in groups.values() for s in members]
    names = [s.name for s in everything]
    chosen = _chosen(names, inputs)
    more = match_names(names, source_labels(inputs.paths)[-len(inputs.more) :]) if inputs.more else set()
    notes: list[str] = []
    if chosen is None and config.count == "whole":
        others = [s for s in everything if s.name not in more]
        whole = _drawn(config, others, WHOLE)
        notes += whole.notes
        train, test = ({others[i].name for i in part} for part in (whole.train, whole.test))
        parts = {name: _taken(members, train | more, test) for name, members in groups.items()}
    else:
        parts = {name: _one_subset(config, name, members, chosen, more) for name, members in groups.items()}
    return parts, notes


def _drawn(config: SplitConfig, structures: Sequence[Structure], key: str) -> Division:
    train = DEFAULT_TRAIN if config.train is None else config.train
    return sample_spread(
        structures, key, config.seed, train, config.test, config.blocks or 1, config.block_gap
    )


def _taken(members: Sequence[Structure], train: set[str], test: set[str]) -> Division:
    in_train, in_test = (np.array([s.name in part for s in members], bool) for part in (train, test))
    return Division(np.flatnonzero(in_train), np.flatnonzero(in_test))


def _one_subset(
    config: SplitConfig, name: str, members: Sequence[Structure], chosen: Chosen | None, more: set[str]
) -> Division:
    others = [i for i, s in enumerate(members) if s.name not in more]
    if not others:
        return Division(np.arange(len(members)), np.arange(0))
    divided = [members[i] for i in others]
    names = [s.name for s in divided]
    if chosen is not None:
        found = by_names(names, name, *chosen)
    elif config.blocks:
        found = _drawn(config, divided, name)
    else:
        train = DEFAULT_TRAIN if config.train is None else config.train
        found = sample(names, name, config.seed, train, config.test)
    index = np.array(others, np.int64)
    added = np.setdiff1d(np.arange(len(members)), index)
    return Division(np.union1d(index[found.train], added), index[found.test], found.notes)


def _chosen(names: Sequence[str], inputs: Inputs) -> Chosen | None:
    """Return the given names of training and test structures; None where they are drawn."""
    if inputs.test:
        labels = source_labels(inputs.paths)
        train, both = len(inputs.train), len(inputs.train) + len(inputs.test)
        return match_names(names, labels[:train]), match_names(names, labels[train:both])
    if not inputs.lists:
        return None
    listed = {key: match_names(names, _entries(path)) for key, path in inputs.lists.items()}
    return listed.get("train_list"), listed.get("test_list")


def _entries(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
