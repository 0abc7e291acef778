"""The full process of a subset that may get the local one instead: fitted unless it is clearly worse."""

from __future__ import annotations

from dataclasses import dataclass

import h5py

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.errors import NumericalError, ResourceError
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.stages.fit_gpr.contest import (
    CHEAP,
    CLEARLY,
    Sample,
    Way,
    full_seconds,
    local_errors,
)
from aenet_gpr_cli.stages.fit_gpr.descriptor_contest import near_options, sample_of
from aenet_gpr_cli.stages.fit_gpr.fit_plan import plan_fit, searched_within_memory
from aenet_gpr_cli.stages.fit_gpr.fit_subset import FittedSubset, fit_subset
from aenet_gpr_cli.structures import StructureSet


@dataclass(frozen=True, slots=True)
class Candidate:
    """What came out for a subset.

    Attributes
    ----------
    fitted : FittedSubset or None
        The full process; None where it is not fitted.
    sample : Sample or None
        Errors on few structures.
    note : str
        Why it is not fitted, where errors do not say it.
    row : tuple of str
        Of the table.
    """

    fitted: FittedSubset | None
    sample: Sample | None
    note: str
    row: tuple[str, ...]

    def write(self, group: h5py.Group) -> None:
        """Store process and errors."""
        if self.fitted is not None:
            self.fitted.write(group)
        if self.sample is not None:
            self.sample.write(group.create_group("sample"))
        group.attrs["declined"] = self.fitted is None
        group.attrs["note"] = self.note


def fit_candidate(
    config: FitGprConfig, name: str, subset: StructureSet, way: Way, progress: Progress
) -> Candidate:
    """Fit the full process of a subset, unless few structures say that it is not worth it.

    Parameters
    ----------
    name : str
        Of the subset, for messages.
    way : str
        See `contest.ways`.
    """
    row = (name, str(len(subset)), *"–––––––")
    if way == "pass":
        minutes = f"comparison_minutes: {config.comparison_minutes:g}"
        return Candidate(None, None, f"a full process is beyond {minutes}", row)
    try:
        exact = plan_fit(config, name, subset).solver == "cholesky"
        config = searched_within_memory(config, name, subset)
    except ResourceError as error:
        return Candidate(None, None, f"no full process: {error}", row)
    sample, options = None, list[FitGprConfig]()
    try:
        if way == "sample" or not exact or full_seconds(config, subset) > CHEAP:
            options, errors = near_options(config, name, subset, progress)
            _, few = sample_of(config, subset)
            sample = Sample(errors, local_errors(config, few, progress), len(few))
            limit = CLEARLY if exact and way == "fit" else 1.0
            if sample.ratio(len(subset)) > limit:
                return Candidate(None, sample, "", row)
        fitted = fit_subset(config, name, subset, progress, with_left_out=True, options=options)
    except NumericalError as error:
        return Candidate(None, sample, f"no full process: {error}", row)
    return Candidate(fitted, sample, "", fitted.row)
