"""`fit-gpr`: split.h5 → gpr.h5, one Gaussian process on energies and forces per subset."""

from __future__ import annotations

import time
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.config.fit_gpr import FitGprConfig
from aenet_gpr_cli.errors import ResourceError
from aenet_gpr_cli.gpr.covariance import n_rows
from aenet_gpr_cli.gpr.hyperparameters import descriptor_by_likelihood, length_scale_by_likelihood
from aenet_gpr_cli.gpr.kernels import make_kernel
from aenet_gpr_cli.gpr.regression import fit
from aenet_gpr_cli.gpr.solvers import dense_bytes
from aenet_gpr_cli.gpr.surrogate import Geometry, Surrogate, exact_solver
from aenet_gpr_cli.io.artefact import publish, write_field
from aenet_gpr_cli.io.models import write_gp
from aenet_gpr_cli.io.structures import choose_subsets, load_split
from aenet_gpr_cli.stages.base import Context, Summary, log, make_job, nothing_to_do, planned
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.units import BYTES_PER_GIB

KIND = "fit-gpr"
MIN_SEARCHED = 10  # structures, below which a likelihood says little
LARGE_NET_FORCE = 1e-2  # eV/Å: far above what converged calculations leave
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


def run(config: FitGprConfig, split: Path, output: Path, context: Context) -> Summary:
    """Fit one Gaussian process per subset.

    Parameters
    ----------
    config : FitGprConfig
    split : Path
        Output of `split`.
    output : Path
    context : Context

    Returns
    -------
    Summary

    Raises
    ------
    ConfigError
        If a subset is asked for that the split does not have.
    ResourceError
        If a matrix would not fit into the memory allowed; said before anything is computed.
    """
    job = make_job(KIND, config, {"split": split}, context)
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    subsets = choose_subsets(load_split(split, "train"), config.subsets, split)
    plan = [_forecast(config, name, subset) for name, subset in subsets.items()]
    if context.dry_run:
        return planned(KIND, output, plan)
    for line in plan:
        log.info(line)
    rows = []
    with publish(output, job) as file:
        for number, (name, subset) in enumerate(subsets.items()):
            context.progress(number, len(subsets), f"fitting {name}")
            rows.append(_fit_subset(config, name, subset, file.create_group(f"subsets/{name}"), context))
        summary = Summary("Gaussian processes", COLUMNS, rows, [f"wrote {output}"])
        file.attrs["summary"] = summary.to_json()
    return summary


def _forecast(config: FitGprConfig, name: str, subset: StructureSet) -> str:
    """Say what memory a fit takes; refuse what does not fit."""
    gib = dense_bytes(len(subset), subset.n_atoms) / BYTES_PER_GIB
    if gib > config.max_memory_gib:
        raise ResourceError(
            f"subset {name}: {len(subset)} structures of {subset.n_atoms} atoms need {gib:.1f} GiB for the "
            f"dense matrix, allowed are {config.max_memory_gib} GiB; use fewer training structures or raise "
            "max_memory_gib"
        )
    return f"{name}: {len(subset)} structures, dense matrix of {gib:.2f} GiB"


def _fit_subset(
    config: FitGprConfig, name: str, subset: StructureSet, group: h5py.Group, context: Context
) -> list[str]:
    started = time.perf_counter()
    geometry, length_scale = _choose(config, name, subset, group, context)
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
    write_gp(group, Surrogate(model, geometry))
    likelihood = model.log_marginal_likelihood
    return [
        name,
        str(len(subset)),
        str(n_rows(len(subset), subset.n_atoms)),
        f"{geometry.power:g}" if config.descriptor == "inverse_distance" else "–",
        f"{length_scale:g}",
        f"{model.signal_std:.3g}",
        "–" if likelihood is None else f"{likelihood:.1f}",
        model.solver,
        f"{time.perf_counter() - started:.1f}",
    ]


def _choose(
    config: FitGprConfig, name: str, subset: StructureSet, group: h5py.Group, context: Context
) -> tuple[Geometry, float]:
    """Return descriptor and length scale, searched where lists are given; the search is stored."""
    powers, lengths = _as_list(config.power), _as_list(config.length_scale)
    if config.descriptor != "inverse_distance":
        powers = powers[:1]
    geometries = [Geometry.of(subset, config.descriptor, power) for power in powers]
    if len(powers) == len(lengths) == 1:
        return geometries[0], lengths[0]
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
            context.progress,
        )
        for geometry in geometries
    ]
    best = descriptor_by_likelihood(searches)
    write_field(group, "length_scale_grid", np.array(lengths))
    write_field(group, "power_grid", np.array(powers))
    table = [[point.log_marginal_likelihood for point in search.table] for search in searches]
    write_field(group, "log_marginal_likelihood_grid", np.array(table, float))  # None becomes NaN
    if searches[best].at_edge:
        log.warning(
            "%s: length scale %g is at the edge of the grid; widen it", name, searches[best].length_scale
        )
    return geometries[best], searches[best].length_scale


def _as_list(value: float | list[float]) -> list[float]:
    return value if isinstance(value, list) else [value]
