"""`fit-gpr`: split.h5 → gpr.h5, one Gaussian process on energies and forces per subset."""

from __future__ import annotations

import time
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.config.fit_gpr import FitGprConfig
from aenet_gpr_cli.errors import ResourceError
from aenet_gpr_cli.gpr.covariance import n_rows
from aenet_gpr_cli.gpr.hyperparameters import length_scale_by_likelihood
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
COLUMNS = ("subset", "structures", "rows", "length scale", "signal std / eV", "log likelihood", "solver", "s")


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
    geometry = Geometry.of(subset, config.descriptor)
    length_scale = _length_scale(config, name, subset, geometry, group, context)
    kernel = make_kernel(config.kernel, length_scale)
    noise = config.noise_std_energy, config.noise_std_force
    model = fit(subset, geometry.make_descriptor(), kernel, *noise, exact_solver)
    if model.jitter:
        log.warning(
            "%s: the matrix needed a jitter of %.0e of its diagonal; look for duplicates", name, model.jitter
        )
    write_gp(group, Surrogate(model, geometry))
    likelihood = model.log_marginal_likelihood
    return [
        name,
        str(len(subset)),
        str(n_rows(len(subset), subset.n_atoms)),
        f"{length_scale:g}",
        f"{model.signal_std:.3g}",
        "–" if likelihood is None else f"{likelihood:.1f}",
        model.solver + (f" (jitter {model.jitter:.0e})" if model.jitter else ""),
        f"{time.perf_counter() - started:.1f}",
    ]


def _length_scale(
    config: FitGprConfig,
    name: str,
    subset: StructureSet,
    geometry: Geometry,
    group: h5py.Group,
    context: Context,
) -> float:
    """Return the length scale, searched where a list is given; the search is stored."""
    if not isinstance(config.length_scale, list):
        return config.length_scale
    if len(config.length_scale) == 1:
        return config.length_scale[0]
    search = length_scale_by_likelihood(
        subset,
        geometry.make_descriptor(),
        config.kernel,
        config.length_scale,
        config.noise_std_energy,
        config.noise_std_force,
        exact_solver,
        config.length_scale_search.n_structures,
        config.seed,
        context.progress,
    )
    write_field(group, "length_scale_grid", np.array([point.length_scale for point in search.table]))
    likelihoods = [point.log_marginal_likelihood for point in search.table]
    write_field(
        group,
        "log_marginal_likelihood_grid",
        np.array([np.nan if value is None else value for value in likelihoods]),
    )
    if search.at_edge:
        log.warning(
            "%s: the best length scale, %g, is at the edge of the grid; widen it", name, search.length_scale
        )
    return search.length_scale
