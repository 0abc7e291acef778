"""What a run of `fit-gpr` has to do: full processes of subsets, a share of the local one, or all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.gpr.subset_lookup import LOCAL
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.structure_sets import choose_subsets, load_heads, load_split, subset_names
from aenet_gpr_cli.stages.fit_gpr.contest import Way, full_seconds, ways
from aenet_gpr_cli.stages.fit_gpr.fit_local_stage import LocalTask, Share
from aenet_gpr_cli.stages.fit_gpr.model_kinds import (
    full_candidates,
    local_is_fitted,
    passed_by,
    why_local,
)
from aenet_gpr_cli.stages.shared.subset_parts import asked_for
from aenet_gpr_cli.structures import StructureSet

Task = tuple[FitGprConfig, str, StructureSet | LocalTask, Way | None]


@dataclass(frozen=True, slots=True)
class Work:
    """Processes to fit.

    Attributes
    ----------
    split : Path
        With the structures.
    subsets : mapping of str to StructureSet
        All, which the local process is fitted to, without positions and forces, see `load_heads`.
    full : mapping of str to StructureSet
        Those whose full processes are to be fitted.
    share : Share or None
        Of the local process.
    whole : tuple of str
        Names of all processes, in this run and in others.
    unseen : tuple of str
        Subsets with test structures only, which the local process is to predict.
    """

    split: Path
    subsets: Mapping[str, StructureSet]
    full: Mapping[str, StructureSet]
    share: Share | None
    whole: tuple[str, ...]
    unseen: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is done here."""
        return (*self.full, *([self.share.name] if self.share else []))

    def divided(self, number: int, of: int, config: FitGprConfig) -> Work:
        """Return the k-th of n parts: every n-th full process, the largest first, and a share."""
        if of == 1:
            return self
        ordered = sorted(self.full, key=lambda name: -full_seconds(config, self.full[name]))
        mine = set(ordered[number::of])
        full = {name: subset for name, subset in self.full.items() if name in mine}
        return replace(self, full=full, share=Share(number, of) if self.share else None)

    def tasks(self, config: FitGprConfig, checkpoint: Checkpoint) -> dict[str, Task]:
        """Return the arguments of `fit_one` for each process, the local one first: the others may wait."""
        found: dict[str, Task] = {}
        if self.share is not None:
            reasons = {name: why_local(config, s) for name, s in self.subsets.items()}
            without_full = {name: why for name, why in reasons.items() if why is not None}
            if config.model == "local":
                without_full = dict.fromkeys(self.subsets, "model: local")
            without_full |= dict.fromkeys(self.unseen, "no training structure")
            name = self.share.name
            state = checkpoint.folder / f"sums_{name}.h5"
            job = checkpoint.job_of((name,))
            task = LocalTask(self.split, tuple(self.subsets), without_full, self.share, state, job)
            found[name] = config, name, task, None
        every = full_candidates(config, self.subsets) if local_is_fitted(config) else {}
        chosen = ways(config, every)
        return found | {name: (config, name, s, chosen.get(name)) for name, s in self.full.items()}


def plan_work(config: FitGprConfig, split: Path, only: Sequence[str], share: tuple[int, int]) -> Work:
    """Return what a run has to do.

    Parameters
    ----------
    only, share
        See `fit_gpr_stage.run`.

    Raises
    ------
    ConfigError
        If a subset has no full process, or a part has nothing to do.
    """
    _, names = asked_for(split, only, config.subsets, lambda s: passed_by(config, s))
    if not names:  # a dry run before the split is there
        return Work(split, {}, {}, None, ())
    subsets = choose_subsets(load_heads(split, "train"), list(names), split)
    possible, local = list(full_candidates(config, subsets)), local_is_fitted(config)
    full = load_split(split, "train", possible) if possible else {}
    tested, trained = (set(subset_names(split, part)) for part in ("test", "train"))
    unseen = () if config.subsets else tuple(sorted(tested - trained))
    whole = (*full, *([LOCAL] if local else []))
    work = Work(split, subsets, full, Share() if local else None, whole, unseen)
    if only:
        if refused := [name for name in only if name not in full]:
            raise ConfigError(
                f"--subset: {', '.join(refused)} has no full process (the local one is one for all subsets); "
                "divide its structures by --part K/N, or set model: full"
            )
        return replace(work, full={name: s for name, s in full.items() if name in only}, share=None)
    number, of = share
    work = work.divided(number, of, config)
    if not work.names:
        raise ConfigError(f"--part: expected at most {len(full)} parts, one for each subset, got {of}")
    return work
