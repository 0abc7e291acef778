"""The Gaussian process of one subset: descriptor and length scale chosen, then conditioned on all data."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import h5py
import numpy as np

from aenet_gpr_cli.config.fit_gpr import FitGprConfig
from aenet_gpr_cli.descriptors.build import (
    CartesianSettings,
    InverseDistanceSettings,
    SoapSettings,
    build_soap,
)
from aenet_gpr_cli.descriptors.soap_basis import SoapParameters
from aenet_gpr_cli.descriptors.soap_check import check_soap
from aenet_gpr_cli.gpr.covariance import n_rows
from aenet_gpr_cli.gpr.hyperparameters import descriptor_by_likelihood, length_scale_by_likelihood
from aenet_gpr_cli.gpr.kernels import make_kernel
from aenet_gpr_cli.gpr.regression import fit
from aenet_gpr_cli.gpr.surrogate import Geometry, Surrogate, exact_solver
from aenet_gpr_cli.io.artefact import write_field
from aenet_gpr_cli.io.models import write_gp
from aenet_gpr_cli.stages.base import Progress, log
from aenet_gpr_cli.structures import FloatArray, StructureSet

MIN_SEARCHED = 10  # structures, below which a likelihood says little
LARGE_NET_FORCE = 1e-2  # eV/Å: far above what converged calculations leave
ROTATION_TOLERANCE = 1e-10  # of the mean square: the square of a relative force noise of 1e-5
COLUMNS = (
    "subset",
    "structures",
    "rows",
    "power",
    "length scale",
    "signal std / eV",
    "log likelihood",
    "solver",
    "s",
)


@dataclass(frozen=True, slots=True)
class FittedSubset:
    """A fitted subset.

    Attributes
    ----------
    surrogate : Surrogate
    search : dict of str to ndarray
        What was compared, by the names of `FIELDS`; empty where nothing was searched.
    row : tuple of str
        Of the table, as in `COLUMNS`.
    """

    surrogate: Surrogate
    search: dict[str, FloatArray]
    row: tuple[str, ...]

    def write(self, group: h5py.Group) -> None:
        """Store model and search.

        Parameters
        ----------
        group : h5py.Group
        """
        write_gp(group, self.surrogate)
        for name, values in self.search.items():
            write_field(group, name, values)


def fit_subset(config: FitGprConfig, name: str, subset: StructureSet, progress: Progress) -> FittedSubset:
    """Fit the Gaussian process of one subset.

    Parameters
    ----------
    config : FitGprConfig
    name : str
        Of the subset, for messages.
    subset : StructureSet
    progress : callable

    Returns
    -------
    FittedSubset
    """
    started = time.perf_counter()
    geometry, length_scale, search = _choose(config, name, subset, progress)
    kernel = make_kernel(config.kernel, length_scale)
    noise = config.noise_std_energy, config.noise_std_force
    model = fit(subset, geometry.make_descriptor(), kernel, *noise, exact_solver)
    if model.jitter:
        log.warning("%s: needed a jitter of %.0e signal_std²; look for duplicates", name, model.jitter)
    if model.net_force_rms > LARGE_NET_FORCE:
        log.warning(
            "%s: forces have a net force or torque of %.1e eV/Å per atom, which no invariant model can learn",
            name,
            model.net_force_rms,
        )
    likelihood = model.log_marginal_likelihood
    row = (
        name,
        str(len(subset)),
        str(n_rows(len(subset), subset.n_atoms)),
        f"{geometry.settings.power:g}" if isinstance(geometry.settings, InverseDistanceSettings) else "–",
        f"{length_scale:g}",
        f"{model.signal_std:.3g}",
        "–" if likelihood is None else f"{likelihood:.1f}",
        model.solver,
        f"{time.perf_counter() - started:.1f}",
    )
    return FittedSubset(Surrogate(model, geometry), search, row)


def _choose(
    config: FitGprConfig, name: str, subset: StructureSet, progress: Progress
) -> tuple[Geometry, float, dict[str, FloatArray]]:
    """Return descriptor and length scale, searched where lists are given, and the search."""
    lengths, geometries = _as_list(config.length_scale), _geometries(config, name, subset)
    if len(geometries) == len(lengths) == 1:
        return geometries[0], lengths[0], {}
    max_structures = max(MIN_SEARCHED, config.search.max_rows // n_rows(1, subset.n_atoms))
    noise = config.noise_std_energy, config.noise_std_force
    searches = [
        length_scale_by_likelihood(
            subset,
            geometry.make_descriptor(),
            config.kernel,
            lengths,
            *noise,
            exact_solver,
            max_structures,
            config.seed,
            progress,
        )
        for geometry in geometries
    ]
    best = descriptor_by_likelihood(searches)
    table = [[point.log_marginal_likelihood for point in search.table] for search in searches]
    stored = {
        "length_scale_grid": np.array(lengths),
        "log_marginal_likelihood_grid": np.array(table, float),  # None becomes NaN
    }
    if config.descriptor == "inverse_distance":
        stored["power_grid"] = np.array(_as_list(config.power))
    if searches[best].at_edge:
        log.warning(
            "%s: length scale %g is at the edge of the grid; widen it", name, searches[best].length_scale
        )
    return geometries[best], searches[best].length_scale, stored


def _geometries(config: FitGprConfig, name: str, subset: StructureSet) -> list[Geometry]:
    """Return the descriptors to compare."""
    if config.descriptor == "soap":
        return [_soap_geometry(config, name, subset)]
    if config.descriptor == "cartesian":
        return [Geometry.of(subset, CartesianSettings())]
    return [Geometry.of(subset, InverseDistanceSettings(power)) for power in _as_list(config.power)]


def _soap_geometry(config: FitGprConfig, name: str, subset: StructureSet) -> Geometry:
    """Check SOAP on the first structure, and shorten it to what the training structures span."""
    c = config.soap
    parameters = SoapParameters(c.cutoff, c.n_max, c.l_max, c.sigma)
    centres = None if c.centres is None else np.array(c.centres)
    settings = SoapSettings(parameters, c.average, centres, rotation=None)
    geometry = Geometry.of(subset, settings)
    soap = build_soap(settings, geometry.species, geometry.cell, geometry.pbc)
    check_soap(soap, subset.positions[0], config.seed)
    geometry = replace(
        geometry, settings=settings.rotated(soap, subset.positions, ROTATION_TOLERANCE, config.seed)
    )
    log.info("%s: %d features of soap as %d", name, soap.n_features, geometry.make_descriptor().n_features)
    return geometry


def _as_list(value: float | list[float]) -> list[float]:
    return value if isinstance(value, list) else [value]
