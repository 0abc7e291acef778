"""`model: auto`: whichever process predicts left-out training structures better, full or local.

A subset with an expensive full process is first judged on few of its structures, on which both are fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import h5py

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.gpr.covariance.observation_order import n_rows
from aenet_gpr_cli.gpr.left_out_errors import LeftOut, chosen_to_leave_out, ratio
from aenet_gpr_cli.gpr.local.accumulation import Sums, add_up, model_of
from aenet_gpr_cli.gpr.local.local_fit import choose_design
from aenet_gpr_cli.gpr.local.local_left_out import leave_out
from aenet_gpr_cli.io.artefacts.stored_gps import read_left_out, write_left_out
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.stages.fit_gpr.descriptor_contest import MOST_COMPARED, errors_in_words, sample_of
from aenet_gpr_cli.stages.fit_gpr.fit_plan import rows_within_memory
from aenet_gpr_cli.structures import StructureSet

CLEARLY = 2.0  # ratio of the errors beyond which a full process that can be fitted exactly is not
# Errors of full processes fall faster with data: EC dimers, 16 to 250 structures, as n^-1.2 and n^-0.8
HEAD_START = 0.5
CHEAP = 10.0  # s, forecast: a full process that takes less is fitted at once
RATE = 9e10  # operations of a core in a second
FACTORISATIONS = 12  # of a search, with the inverse, for each power that is compared

Way = Literal["fit", "sample", "pass"]


@dataclass(frozen=True, slots=True)
class Sample:
    """Errors of both processes on few structures of a subset, each predicted from the others of these."""

    full: LeftOut
    local: LeftOut
    n_structures: int

    def ratio(self, n_structures: int) -> float:
        """Return how large the errors of the full process will be, in those of the local one.

        Parameters
        ----------
        n_structures : int
            That both would be fitted to.
        """
        return ratio(self.full, self.local) * (self.n_structures / n_structures) ** HEAD_START

    def write(self, group: h5py.Group) -> None:
        """Store the errors."""
        group.attrs["n_structures"] = self.n_structures
        write_left_out(group.create_group("full"), self.full)
        write_left_out(group.create_group("local"), self.local)

    @classmethod
    def read(cls, group: h5py.Group) -> Sample:
        """Read the errors."""
        return cls(
            read_left_out(group["full"]), read_left_out(group["local"]), int(group.attrs["n_structures"])
        )


def local_errors(config: FitGprConfig, structures: StructureSet, progress: Progress) -> LeftOut:
    """Return the left-out errors of a local process that is fitted to some structures only."""
    design = choose_design([structures], config.local, config.seed, progress)
    model, _ = model_of(design, add_up(design, [structures], Sums(len(design.inducing)), progress))
    return leave_out(model, structures.select(chosen_to_leave_out(len(structures), config.seed)))


def full_seconds(config: FitGprConfig, subset: StructureSet) -> float:
    """Return about how long search and fit of a full process by Cholesky take on one core, s."""
    rows = n_rows(len(subset), subset.n_atoms)
    searched = min(rows, config.search.max_rows)
    operations, widest = 0.5 * rows**3, 0
    for one in config.alternatives:
        evaluations = 0 if len(config.length_scales) == 1 else FACTORISATIONS * len(one.powers)
        groups = FACTORISATIONS / 3 if one.searches_permutations else 0
        features = _soap_features(one, subset)
        operations += evaluations * (searched**3 + 2.0 * searched**2 * min(features, searched))
        operations += groups * (searched / 2) ** 3
        if len(config.alternatives) > 1 and rows > searched:
            again = min(rows, MOST_COMPARED, rows_within_memory(config))
            operations += again**3 + 2.0 * again**2 * min(features, again)
        widest = max(widest, features)
    return (operations + 2.0 * rows**2 * min(widest, rows)) / RATE


def _soap_features(config: FitGprConfig, subset: StructureSet) -> int:
    """Return the number of features of soap, whose products with each other take as long as a factor."""
    if "soap" not in config.descriptors:
        return 0
    n_species = len(set(subset.species))
    densities = n_species * config.soap.n_max
    count = densities * (densities + 1) // 2 * (config.soap.l_max + 1)
    return count * n_species if config.soap.average == "species" else count


def ways(config: FitGprConfig, subsets: Mapping[str, StructureSet]) -> dict[str, Way]:
    """Return what the comparison does for each subset, cheap ones first, within ``comparison_minutes``.

    Parameters
    ----------
    subsets : mapping of str to StructureSet
        Those for which a full process is possible.

    Returns
    -------
    dict of str to str
        ``fit`` the full process, unless it is clearly worse on few structures; decide on these (``sample``)
        and fit it if it is better; ``pass``: take the local process.
    """
    left, found = 60.0 * config.comparison_minutes, dict[str, Way]()
    for name in sorted(subsets, key=lambda name: full_seconds(config, subsets[name])):
        whole = full_seconds(config, subsets[name])
        some = full_seconds(*sample_of(config, subsets[name]))
        if whole <= left:
            found[name], left = "fit", left - whole
        elif some <= left:
            found[name], left = "sample", left - some
        else:
            found[name] = "pass"
    return {name: found[name] for name in subsets}


def budget(config: FitGprConfig, subsets: Mapping[str, StructureSet]) -> str:
    """Say what the full processes that are compared would take, and what they may."""
    seconds = sum(full_seconds(config, subset) for subset in subsets.values())
    about = f"{seconds / 60.0:.1f} minutes" if seconds > 60.0 else f"{max(seconds, 1.0):.0f} s"
    return (
        f"full processes for a comparison with the local one: {len(subsets)}, about {about} of one core; "
        f"comparison_minutes allows {config.comparison_minutes:g}"
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which process a subset gets, and why.

    Attributes
    ----------
    full : bool
    why : str
        With the errors of both where they were compared.
    """

    full: bool
    why: str


def verdict(
    full: LeftOut | None, local: LeftOut | None, sample: Sample | None, n_structures: int, note: str
) -> Verdict:
    """Compare the left-out errors of both processes.

    Parameters
    ----------
    full, local : LeftOut or None
        Of the fits to all structures; None where there is none.
    sample : Sample or None
        Of fits to few structures, which decide where there is no other.
    n_structures : int
        Of the subset.
    note : str
        Why there is no full process, or nothing.
    """
    if full is not None and local is not None:
        return Verdict(ratio(full, local) <= 1.0, _errors(full, local))
    if sample is not None:
        better = sample.ratio(n_structures) <= 1.0
        on = f"{_errors(sample.full, sample.local)}, fitted to {sample.n_structures} of its structures"
        return Verdict(better and not note, f"{on}; {note}" if note else on)
    return Verdict(not note, note)


def _errors(full: LeftOut, local: LeftOut) -> str:
    parts = [f"{name} {errors_in_words(off)}" for name, off in (("full", full), ("local", local))]
    return f"left-out errors {', '.join(parts)}"
