"""`properties`: gpr.h5 or ann.h5 and a crystal → properties.h5, with JSON beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from aenet_gpr_cli.ann.potential.extrapolation import WARN_BEYOND, describe_beyond
from aenet_gpr_cli.calculators.ann_calculator import ANNCalculator
from aenet_gpr_cli.calculators.elasticity import (
    STRAINS,
    Birch,
    Settle,
    elastic_constants,
    equation_of_state,
    is_stable,
    moduli,
    relax,
)
from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator
from aenet_gpr_cli.calculators.strained_cells import (
    CellFit,
    StrainedCells,
    averages,
    fit_energies,
    fit_stresses,
    strained_cells,
)
from aenet_gpr_cli.config.stages.properties_config import PropertiesConfig
from aenet_gpr_cli.errors import ConfigError, InputError, NumericalError
from aenet_gpr_cli.gpr.regression.structure_distances import OUTSIDE
from aenet_gpr_cli.io.artefacts.artefact import open_artefact, publish_with_files
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.fields import write_field
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.files import write_json
from aenet_gpr_cli.io.formats.source_files import source_hashes
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.stages.kept_relaxations import KeptRelaxations
from aenet_gpr_cli.stages.shared.bulk import require_bulk
from aenet_gpr_cli.stages.shared.context import Context, Summary, by_name, make_job, nothing_to_do, planned
from aenet_gpr_cli.stages.shared.model_keys import refuse_idle
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.structures import FloatArray, Structure
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import GPA_PER_EV_PER_CUBIC_ANGSTROM

KIND = "properties"
COLUMNS: tuple[str, ...] = ("property", "value", "unit")
RELAXED = 0.02  # eV/Å; larger forces are those of atoms that were not relaxed
SOURCES = ("same cells", "data: stresses", "data: energies")


def run(
    config: PropertiesConfig,
    model: Path,
    crystal: Path,
    output: Path,
    context: Context,
    reference: Path | None = None,
) -> Summary:
    """Calculate the equation of state and the elastic constants of a crystal.

    Parameters
    ----------
    model : Path
        Output of `fit-gpr` (a local process), `train-ann` or `import`.
    crystal : Path
        A file of structures, of which one is used (key frame).
    output : Path
        ``NAME.json`` is written beside it.
    reference : Path, optional
        Labelled structures, some of which are the crystal in strained cells.

    Raises
    ------
    InterruptedRun
        If the context asked to stop; what was relaxed is kept.
    InputError
        If the structure is no crystal, the model gives it no stress, or the reference
        has no strained cells of it.
    NumericalError
        If a relaxation does not end, or the equation of state has no minimum.
    """
    given = [crystal, *([reference] if reference is not None and reference != crystal else [])]
    claim(KIND, output, [model, *given], [".json"])
    job = make_job(KIND, config, {"model": model}, context, by_name(source_hashes(given)))
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    refuse_idle(KIND, config, model)
    structure = _choose(read_sources([crystal], context.report), config, crystal)
    cells = None
    if reference is not None:
        labelled = read_sources([reference], context.report)
        cells = strained_cells(structure, labelled, config.reference_strain)
    if context.dry_run:
        return planned(KIND, output, [f"{structure.formula}, {structure.name}, with {model}"])
    atoms = Atoms(structure.species, structure.positions, cell=structure.cell, pbc=True)
    atoms.calc = _calculator(model, config.members)
    try:
        atoms.get_stress()
    except PropertyNotImplementedError:
        raise InputError(
            f"{model}: this Gaussian process gives no stress; expected networks, or model: local"
        ) from None
    fits = {} if cells is None else _fits(cells, atoms)
    checkpoint = Checkpoint(output, job)
    with publish_with_files(output, job) as (file, folder):
        checkpoint.prepare(context.resume, context.restart)
        kept = KeptRelaxations(checkpoint, context, config.relax + config.eos_points + STRAINS)
        try:
            state, constants = _measured(config, atoms, kept)
        except NumericalError:  # it would come again, and other settings are not refused then
            checkpoint.discard()
            raise
        file.attrs["wall_time_s"] = kept.seconds_before
        stable, outside = is_stable(constants), _outside(atoms)
        found: dict[str, Any] = {
            "structure": structure.name,
            "n_atoms": structure.n_atoms,
            "cell": atoms.cell.array.tolist(),
            "energy_per_atom": state.energy / structure.n_atoms,
            "volume_per_atom": state.volume / structure.n_atoms,
            "bulk_modulus_gpa": state.bulk_modulus,
            "eos_residual_per_atom": state.residual / structure.n_atoms,
            "eos_volumes": state.volumes.tolist(),
            "eos_energies": state.energies.tolist(),
            "elastic_constants_gpa": constants.tolist(),
            "stable": stable,
            "outside_training": bool(outside),
            "moduli_gpa": asdict(moduli(constants)) if stable else None,
        }
        if cells is not None:
            found["reference"] = _told(cells, fits)
        write_json(folder / beside(output, ".json").name, found)
        write_field(file, "eos_volumes", state.volumes)
        write_field(file, "eos_energies", state.energies)
        write_field(file, "elastic_constants", constants)
        notes = [_cell(atoms), *([] if config.relax else [_strained(atoms)])]
        notes += ["elastic constants, GPa (xx, yy, zz, yz, xz, xy; per engineering strain):"]
        notes += ["  ".join(f"{value:8.2f}" for value in row) for row in constants]
        if not stable:
            notes.append("warning: not stable: there is a strain that lowers the energy (Born)")
        notes += outside
        if cells is not None:
            notes += _notes_of(cells)
        notes += [f"wrote {output}", f"wrote {beside(output, '.json')}"]
        title = f"{structure.formula} with {model.name}"
        rows, columns = _rows(found), COLUMNS
        if cells is not None:
            rows = _with_reference(rows, constants, fits, structure)
            columns = (*COLUMNS[:2], *SOURCES, "unit")
        summary = Summary(title, columns, rows, notes)
        file.attrs["summary"] = summary.to_json()
    checkpoint.discard()
    return summary


def _measured(config: PropertiesConfig, atoms: Atoms, kept: KeptRelaxations) -> tuple[Birch, FloatArray]:
    """Relax the crystal in place; return its equation of state and elastic constants."""

    def settle(what: str, cell: bool = False) -> Settle:
        def relaxed(moved: Atoms) -> None:
            relax(moved, config.largest_force, config.steps, cell)

        return lambda moved: kept(moved, what, relaxed)

    if config.relax:
        settle("relaxing atoms and cell", cell=True)(atoms)
    return (
        equation_of_state(atoms, config.eos_strain, config.eos_points, settle("equation of state")),
        elastic_constants(atoms, config.elastic_strain, settle("elastic constants")),
    )


def _choose(structures: Sequence[Structure], config: PropertiesConfig, source: Path) -> Structure:
    frame = config.frame
    if not -len(structures) <= frame < len(structures):
        raise ConfigError(f"frame: {source} has {len(structures)} structures, counted from 0; got {frame}")
    chosen = structures[frame]
    instead = "choose a crystal (key frame chooses a structure of the file)"
    require_bulk(chosen, "properties", config.largest_gap, instead)
    return chosen


def _outside(atoms: Atoms) -> list[str]:
    """Say whether the crystal, as it is now, is outside the training data of its model."""
    if isinstance(atoms.calc, ANNCalculator):
        beyond: FloatArray = atoms.calc.get_property("beyond_training", atoms)
        far, how = float(beyond.max()) > WARN_BEYOND, describe_beyond(beyond, tuple(atoms.symbols))
    else:
        distance = atoms.calc.domain_distance(atoms)
        far = distance > OUTSIDE
        how = f"domain distance {rounded(distance, 2)}, where 1 is the farthest in training"
    if not far:
        return []
    return [f"warning: these are numbers of a crystal outside the training data ({how}), which may be wrong"]


def _calculator(model: Path, members: Sequence[int] | None) -> ANNCalculator | GPRCalculator:
    with open_artefact(model) as file:
        kind = str(file.attrs["kind"])
    if kind == "train-ann":
        return ANNCalculator.from_file(model, members)
    if kind == "fit-gpr":
        return GPRCalculator.from_file(model, None, "none")
    raise InputError(f"{model}: expected the output of fit-gpr, train-ann or import, got that of {kind}")


def _cell(atoms: Atoms) -> str:
    numbers = atoms.cell.cellpar()
    lengths = ", ".join(f"{n} {x:.4f}" for n, x in zip("abc", numbers[:3], strict=True))
    angles = ", ".join(f"{n} {x:.2f}°" for n, x in zip("αβγ", numbers[3:], strict=True))
    return f"cell: {lengths} Å; {angles}"


def _strained(atoms: Atoms) -> str:
    pressure = -float(atoms.get_stress()[:3].mean()) * GPA_PER_EV_PER_CUBIC_ANGSTROM
    return (
        f"not relaxed (relax: false): pressure {rounded(pressure)} GPa, forces up to "
        f"{rounded(float(np.abs(atoms.get_forces()).max()))} eV/Å; the elastic constants are those of this "
        "cell, energy, volume and bulk modulus (Birch-Murnaghan) those of the lowest of scaled cells"
    )


def _rows(found: dict[str, Any]) -> list[list[str]]:
    rows = [
        ["energy", f"{found['energy_per_atom']:.5f}", "eV per atom"],
        ["volume", f"{found['volume_per_atom']:.4f}", "Å³ per atom"],
        ["bulk modulus (Birch-Murnaghan)", f"{found['bulk_modulus_gpa']:.2f}", "GPa"],
    ]
    if (averages := found["moduli_gpa"]) is not None:
        rows += [
            ["bulk modulus (Hill)", f"{averages['bulk_hill']:.2f}", "GPa"],
            ["shear modulus (Hill)", f"{averages['shear_hill']:.2f}", "GPa"],
            ["Young's modulus (Hill)", f"{averages['young_hill']:.2f}", "GPa"],
            ["Poisson's ratio (Hill)", f"{averages['poisson_hill']:.3f}", ""],
        ]
    return rows


def _fits(cells: StrainedCells, atoms: Atoms) -> dict[str, CellFit | None]:
    """Return the fits to the model at the cells of the data, and to their own labels."""
    stresses = []
    for one in cells.structures:
        moved = Atoms(one.species, one.positions, cell=one.cell, pbc=True)
        moved.calc = atoms.calc
        stresses.append(moved.get_stress(voigt=False))
    found = (
        fit_stresses(cells, stresses),
        fit_stresses(cells, [s.stress for s in cells.structures]),
        fit_energies(cells, [s.energy for s in cells.structures]),
    )
    if found[1] is None and found[2] is None:
        raise InputError(
            f"reference: {len(cells.structures)} strained cells with labels determine no elastic constant; "
            "expected energies or stresses of cells strained both ways, or increase reference_strain"
        )
    return dict(zip(SOURCES, found, strict=True))


def _told(cells: StrainedCells, fits: dict[str, CellFit | None]) -> dict[str, Any]:
    return {
        "n_cells": len(cells.structures),
        "largest_strain": float(abs(cells.strains).max()),
        "largest_force": cells.largest_force,
        **{
            name: None
            if fit is None
            else {
                "elastic_constants_gpa": _without_nan(fit.constants),
                "stress_gpa": _without_nan(fit.stress),
                "residual": fit.residual,
                "mean_constants_gpa": _each_without_nan(averages(fit.constants)),
                "mean_constants_error_gpa": _each_without_nan(fit.errors),
            }
            for name, fit in fits.items()
        },
    }


def _without_nan(values: FloatArray) -> Any:
    """Return nested lists with None where a constant is not determined."""
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()


def _each_without_nan(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _notes_of(cells: StrainedCells) -> list[str]:
    largest = cells.largest_force
    notes = [
        f"reference: {len(cells.structures)} strained cells; same cells: the model's stresses there, "
        "fitted alike",
        "±: standard error of a fit, also from what is not linear in the strain, in both stresses alike",
    ]
    if largest > RELAXED:
        notes.append(
            f"their atoms are not relaxed (forces up to {largest:.2g} eV/Å): compare them with the same "
            "cells; the value is that of relaxed atoms"
        )
    return notes


def _with_reference(
    rows: list[list[str]], constants: FloatArray, fits: dict[str, CellFit | None], structure: Structure
) -> list[list[str]]:
    """Return the rows with a column of each fit, and rows of the mean constants before the averages."""
    assert structure.cell is not None
    volume = abs(float(np.linalg.det(structure.cell))) / structure.n_atoms

    def shown(value: float, digits: int, error: float = np.nan) -> str:
        if not np.isfinite(value):
            return "–"
        return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if np.isfinite(error) else "")

    def of_fits(name: str) -> list[str]:
        if name == "volume":
            each = [float("nan") if f is None else f.relaxed_volume * volume for f in fits.values()]
            return [shown(value, 4) for value in each]
        if name == "bulk modulus (Hill)":
            whole = [
                f is not None and np.isfinite(f.constants).all() and is_stable(f.constants)
                for f in fits.values()
            ]
            return [
                shown(moduli(f.constants).bulk_hill, 2) if ok and f is not None else "–"
                for f, ok in zip(fits.values(), whole, strict=True)
            ]
        return ["–"] * len(fits)

    own = averages(constants)
    elastic = []
    for name, value in own.items():
        of_cells = [
            "–" if f is None else shown(averages(f.constants)[name], 2, f.errors[name]) for f in fits.values()
        ]
        elastic.append([f"{name} (mean over axes)", f"{value:.2f}", *of_cells, "GPa"])
    wide = [[name, value, *of_fits(name), unit] for name, value, unit in rows]
    return [*wide[:2], *elastic, *wide[2:]]
