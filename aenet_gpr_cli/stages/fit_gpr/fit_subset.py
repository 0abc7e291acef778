"""The Gaussian process of one subset: descriptor and length scale chosen, then conditioned on all data."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import h5py

from aenet_gpr_cli.baseline.repulsion import repulsion_of
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.descriptors.build import RotatedSettings
from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.errors import NumericalError
from aenet_gpr_cli.gpr.covariance.observation_order import n_rows
from aenet_gpr_cli.gpr.kernels.stationary import make_kernel
from aenet_gpr_cli.gpr.left_out_errors import LeftOut
from aenet_gpr_cli.gpr.regression.aenet_gpr import NOISE, NOISE_FACTOR, fit_as_aenet_gpr
from aenet_gpr_cli.gpr.regression.conditioning import fit
from aenet_gpr_cli.gpr.regression.gp_model import GPModel
from aenet_gpr_cli.gpr.regression.structure_distances import Duplicates, near_duplicates
from aenet_gpr_cli.gpr.surrogate import Geometry, Surrogate
from aenet_gpr_cli.io.artefacts.fields import write_field
from aenet_gpr_cli.io.artefacts.stored_gps import write_gp, write_left_out
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.stages.fit_gpr.candidates import short_name
from aenet_gpr_cli.stages.fit_gpr.descriptor_contest import choose_process
from aenet_gpr_cli.stages.fit_gpr.fit_plan import Noting, make_solver, plan_fit, searched_within_memory
from aenet_gpr_cli.stages.fit_gpr.model_search import Choice
from aenet_gpr_cli.stages.shared.context import log
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.contacts import naming_atoms_at_one_place

LARGE_NET_FORCE = 1e-2  # eV/Å: far above what converged calculations leave
NAMED = 3  # pairs of near duplicates that are named; all of them are stored
COLUMNS = (
    "subset",
    "structures",
    "rows",
    "descriptor",
    "length scale",
    "signal std / eV",
    "log likelihood",
    "solver",
    "time / s",
)


@dataclass(frozen=True, slots=True)
class FittedSubset:
    """A fitted subset.

    Attributes
    ----------
    surrogate : Surrogate
    choice : Choice
        With the search behind it.
    duplicates : Duplicates
    row : tuple of str
        Of the table, as in `COLUMNS`.
    left_out : LeftOut or None
        Errors of structures predicted without them; only where they are asked for and the solver gives them.
    doubts : tuple of str
        What the user is warned of, if the process is kept.
    """

    surrogate: Surrogate
    choice: Choice
    duplicates: Duplicates
    row: tuple[str, ...]
    left_out: LeftOut | None = None
    doubts: tuple[str, ...] = ()

    def write(self, group: h5py.Group) -> None:
        """Store model, search, near duplicates and doubts."""
        write_gp(group, self.surrogate)
        self.choice.write(group)
        write_field(group, "duplicates", self.duplicates.pairs)
        write_field(group, "duplicate_distance", self.duplicates.distance)
        group.attrs["doubts"] = json.dumps(self.doubts)
        if self.left_out is not None:
            write_left_out(group.create_group("left_out"), self.left_out)


def fit_subset(
    config: FitGprConfig,
    name: str,
    subset: StructureSet,
    progress: Progress,
    with_left_out: bool = False,
    options: Sequence[FitGprConfig] = (),
) -> FittedSubset:
    """Fit the Gaussian process of one subset.

    Parameters
    ----------
    name : str
        Of the subset, for messages.
    with_left_out : bool
        Whether some structures are left out afterwards, where the matrix is factorised.
    options : sequence of FitGprConfig
        Descriptors that are left to compare, see `near_options`; default: what the configuration compares.

    Raises
    ------
    NumericalError
        If the covariance is singular, or the iterations do not converge; names near duplicates.
    """
    started = time.perf_counter()
    config = searched_within_memory(config, name, subset)
    options = [replace(option, search=config.search) for option in options]
    with naming_atoms_at_one_place(subset):
        choice = choose_process(config, name, subset, progress, options)
    geometry, found = choice.geometry, choice.parameters
    duplicates = _duplicates(config, subset, geometry)
    kernel = make_kernel(config.kernel, found.length_scale)
    plan, fastest = plan_fit(config, name, subset), _may_iterate(config) and not with_left_out
    solver = Noting(make_solver(config, plan, progress, fastest))
    noise, descriptor = (found.noise_energy, found.noise_force), geometry.make_descriptor()
    try:
        if config.compatibility == "aenet-gpr":
            model = fit_as_aenet_gpr(subset, descriptor, found.length_scale, NOISE, NOISE_FACTOR)
        else:
            try:
                model = fit(subset, descriptor, kernel, *noise, solver, geometry.n_centres)
            except NumericalError:
                if not fastest:
                    raise
                log.info("%s: no solution by conjugate gradients; takes a factor", name)
                solver = Noting(make_solver(config, plan, progress))
                model = fit(subset, descriptor, kernel, *noise, solver, geometry.n_centres)
    except NumericalError as error:
        note = f"; {_named(subset, duplicates)}" if len(duplicates.pairs) else ""
        raise NumericalError(f"{error}{note}") from error
    spectra = isinstance(geometry.settings, SoapSettings | RotatedSettings)
    doubts = (
        *_doubts_of_search(config, choice),
        *([_named(subset, duplicates)] if len(duplicates.pairs) else []),
        *_doubts_of_model(model, subset, descriptor.n_features if spectra else None),
    )
    for doubt in doubts:
        log.debug("%s: %s", name, doubt)
    off = solver.leave_out(subset, model.signal_std, config.seed) if with_left_out else None
    likelihood = model.log_marginal_likelihood
    row = (
        name,
        str(len(subset)),
        str(n_rows(len(subset), subset.n_atoms)),
        short_name(geometry.settings) + (f" ×{geometry.n_centres}" if geometry.n_centres > 1 else ""),
        f"{found.length_scale:.4g}",
        f"{model.signal_std:.3g}",
        "–" if likelihood is None else f"{likelihood:.1f}",
        f"cg ({model.iterations})" if model.iterations else model.solver,
        f"{time.perf_counter() - started:.1f}",
    )
    repulsion = repulsion_of(sorted(set(subset.species)), [subset]) if config.baseline == "zbl" else None
    surrogate = Surrogate(model, geometry, repulsion=repulsion)
    return FittedSubset(surrogate, choice, duplicates, row, off, doubts)


def _may_iterate(config: FitGprConfig) -> bool:
    """Whether a factor may be left out where iterations are faster."""
    return config.solver == "auto" and config.compatibility == "none" and config.device is None


def _duplicates(config: FitGprConfig, subset: StructureSet, geometry: Geometry) -> Duplicates:
    with naming_atoms_at_one_place(subset):
        values = geometry.make_descriptor().values(subset.positions)
    return near_duplicates(values, geometry.n_images, config.duplicate_distance)


def _named(subset: StructureSet, duplicates: Duplicates) -> str:
    def label(i: int) -> str:
        return subset.names[i] if subset.names else f"number {i}"

    pairs = [
        f"{label(int(i))} and {label(int(j))} ({distance:.1e})"
        for (i, j), distance in zip(duplicates.pairs[:NAMED], duplicates.distance, strict=False)
    ]
    more = len(duplicates.pairs) - len(pairs)
    return (
        f"{len(duplicates.pairs)} pairs of structures are nearly the same: {', '.join(pairs)}"
        f"{f', and {more} more' if more else ''}; distances as the kernel sees them, typical are "
        f"{duplicates.typical:.1e}"
    )


def _doubts_of_search(config: FitGprConfig, choice: Choice) -> Iterator[str]:
    if choice.at_bound:
        yield (
            f"length scale {choice.parameters.length_scale:.3g} is at the edge of what was compared; widen "
            + ("length_scale" if config.length_scales else "search.length_bounds")
        )


def _doubts_of_model(model: GPModel, subset: StructureSet, n_features_of_soap: int | None) -> Iterator[str]:
    if model.jitter:
        yield (
            f"the factorisation needed a jitter of {model.jitter:.0e} signal_std² on the diagonal; look for "
            "duplicates, raise the noise or shorten length_scale"
        )
    if model.net_force_rms <= LARGE_NET_FORCE:
        return
    outside = f"{model.net_force_rms:.1e} eV/Å per atom"
    if n_features_of_soap is not None:
        yield (
            f"{outside} of the forces lie outside what {n_features_of_soap} features of soap can describe "
            "(few for many atoms, or the forces have a net force): raise soap.n_max and soap.l_max, or use "
            "inverse_distance or model: local"
        )
    elif subset.is_periodic:
        yield (
            f"{outside} of the forces lie outside what distances of pairs at their nearest image can "
            "describe; in a small cell further images count too: use descriptor: soap"
        )
    else:
        yield f"forces have a net force or torque of {outside}, which no invariant model can learn"
