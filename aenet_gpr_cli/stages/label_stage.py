"""`label`: a work list → labelled.h5 and files that `split` reads, with energies and forces of a calculator.

Every structure is calculated on its own, by a fresh calculator (a warm one would make the last digits depend
on the order); what is finished is kept beside the output, failures are recorded and do not stop the others.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.calculators.named_calculators import calculator_class, make_calculator, unknown_parameters
from aenet_gpr_cli.config.stages.active_config import CalculatorConfig, LabelConfig
from aenet_gpr_cli.errors import AenetGprError, ConfigError, InputError, NumericalError, ResourceError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact, publish, publish_with_files
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.side_files import beside
from aenet_gpr_cli.io.artefacts.structure_sets import read_structures, write_structures
from aenet_gpr_cli.io.formats.prediction_files import (
    PredictedStructure,
    structure_endings,
    write_structure_files,
)
from aenet_gpr_cli.io.formats.source_files import source_hashes
from aenet_gpr_cli.io.formats.sources import read_sources
from aenet_gpr_cli.io.frames.frame import state_in
from aenet_gpr_cli.io.hdf5.checksums import identity
from aenet_gpr_cli.stages.select_stage import load_selected
from aenet_gpr_cli.stages.shared.context import (
    Context,
    Progress,
    Summary,
    by_name,
    log,
    make_job,
    nothing_to_do,
    planned,
)
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.stages.shared.processes import run_tasks
from aenet_gpr_cli.structures import FloatArray, Structure, StructureSet
from aenet_gpr_cli.subsystems.grouping import group
from aenet_gpr_cli.subsystems.label_checks.checks import require_one_state
from aenet_gpr_cli.subsystems.ordering import in_file_order

KIND = "label"
STORED = "stored"
COLUMNS = ("subset", "structures", "energy range / eV", "largest ‖F‖ / eV/Å")
SHOWN = 5  # failures under the table; all are in the artefact


def run(config: LabelConfig, work_list: Sequence[Path], output: Path, context: Context) -> Summary:
    """Calculate energies and forces of the structures of a work list.

    Parameters
    ----------
    work_list : sequence of Path
        Output of `select`, or files and folders of structures.
    output : Path
        Files for `split` are written beside it: ``NAME_xsf``, ``NAME_structures.extxyz``.

    Raises
    ------
    ConfigError
        If there is no such calculator.
    NumericalError
        If every calculation fails.
    InterruptedRun
        If the context asked to stop; finished calculations are kept.
    """
    require_calculator(config.calculator)  # before anything else
    endings = structure_endings(config.write)
    claim(KIND, output, work_list, endings)
    job = make_job(KIND, config, {}, context, _hashes(work_list))

    def write(file: h5py.File, folder: Path) -> None:
        sets = [read_structures(part) for part in file["subsets"].values()]
        found = {s.name: s for each in sets for s in (each.structure(i) for i in range(len(each)))}
        ordered = [in_file_order(found[s.name]) for s in _read(work_list, context) if s.name in found]
        listed = [PredictedStructure(s, None, None, None) for s in ordered]
        write_structure_files(folder, output.stem, listed, endings)

    if (done := nothing_to_do(output, job, context, write)) is not None:
        return done
    structures = _read(work_list, context)
    say_doubts("calculator", config.calculator, structures)
    if context.dry_run:
        lines = [f"{len(structures)} structures with {config.calculator.name}", _method(config.calculator)]
        return planned(KIND, output, lines)
    checkpoint = Checkpoint(output, job)
    with publish_with_files(output, job) as (file, folder):
        checkpoint.prepare(context.resume, context.restart)
        failures = _label_missing(config, structures, checkpoint, context)
        labelled = [
            _read_one(checkpoint.path_of((_key(number),)), s.name)
            for number, s in enumerate(structures)
            if s.name not in failures
        ]
        if not labelled:
            name, reason = next(iter(failures.items()), ("", "the work list is empty"))
            raise NumericalError(f"label: every calculation failed, the first one ({name}): {reason}")
        subsets = {name: StructureSet.from_structures(each) for name, each in group(labelled).items()}
        for name, subset in subsets.items():
            write_structures(file.create_group(f"subsets/{name}"), subset)
        file.attrs["failures"] = json.dumps(failures)
        write(file, folder)
        written = [beside(output, ending) for ending in endings]
        notes = [_method(config.calculator)]
        notes += [f"failed: {name}: {reason}" for name, reason in list(failures.items())[:SHOWN]]
        if failures:
            notes.append(f"{len(failures)} of {len(structures)} calculations failed and were left out")
        if "xsf" in config.write and any(s.stress is not None for s in subsets.values()):
            notes.append("the XSF files hold no stress; the artefact and extended XYZ do")
        notes += [f"wrote {path}" for path in (output, *written)]
        summary = Summary("Labelled structures", COLUMNS, [_row(n, s) for n, s in subsets.items()], notes)
        file.attrs["summary"] = summary.to_json()
    checkpoint.discard()
    return summary


def require_calculator(calculator: CalculatorConfig, key: str = "calculator.name") -> None:
    """Make sure that a calculator is named and can be imported.

    Parameters
    ----------
    key : str
        Where it was given, for messages.

    Raises
    ------
    ConfigError
    """
    if calculator.name != STORED:
        calculator_class(calculator.name, key, others=[STORED])


def _method(calculator: CalculatorConfig) -> str:
    """Say what energies and forces are calculated with."""
    if calculator.name == STORED:
        return "energies and forces: those that the files hold (calculator: stored)"
    given = ", ".join(f"{key}: {value}" for key, value in calculator.parameters.items())
    return f"energies and forces by {calculator.name}, {given or 'no parameters given: its own defaults'}"


def say_doubts(key: str, calculator: CalculatorConfig, structures: Sequence[Structure]) -> None:
    """Warn of keywords that a calculator may ignore, and of charges that it is not told.

    Parameters
    ----------
    key : str
        Where the calculator was given.
    """
    if calculator.name == STORED:
        return
    if unknown := unknown_parameters(calculator.name, calculator.parameters):
        log.warning(
            "%s.parameters: %s does not list %s among its own and may ignore it; check the spelling",
            key,
            calculator.name,
            ", ".join(unknown),
        )
    states = dict.fromkeys(f"{key}={value:g}" for s in structures for key, value in s.state)
    if states and not state_in(calculator.parameters):
        log.warning(
            "structures say %s, which %s is not told; set it in %s.parameters (charge: -1)",
            ", ".join(states),
            calculator.name,
            key,
        )


def calculate(
    calculator: CalculatorConfig, structure: Structure, folder: Path, progress: Progress
) -> Structure:
    """Calculate one structure.

    Parameters
    ----------
    folder : Path
        For a calculator that runs another program.

    Returns
    -------
    Structure
        With energy (eV) and forces (eV/Å), and the stress (eV/Å³) where the calculator gives it, too.

    Raises
    ------
    InputError
        If the labels should be stored with the structure and are not.
    NumericalError
        If the calculation fails, for whatever reason, or its result is not finite.
    """
    if calculator.name == STORED:
        if structure.energy is None or structure.forces is None:
            raise InputError(f"{structure.name}: expected stored energy and forces, got none")
        return structure
    from ase import Atoms

    atoms = Atoms(structure.species, structure.positions, cell=structure.cell, pbc=structure.pbc)
    atoms.calc = make_calculator(calculator.name, calculator.parameters, folder)
    try:
        forces = np.array(atoms.get_forces(), float)
        energy = float(_force_consistent_energy(atoms))
        stress = _stress(atoms)
    except Exception as error:  # whatever goes wrong inside a calculator
        raise NumericalError(f"{type(error).__name__}: {error}".splitlines()[0][:300]) from error
    if not (np.isfinite(energy) and np.isfinite(forces).all()):
        raise NumericalError("expected finite energy and forces, got NaN or infinity")
    state = state_in(calculator.parameters) or structure.state
    return replace(structure, energy=energy, forces=forces, stress=stress, state=state)


def _force_consistent_energy(atoms) -> float:  # type: ignore[no-untyped-def]  # ase.Atoms: heavy to import
    """Forces are the gradient of the free energy where there is an electronic temperature.

    Some calculators (tblite) have it among their results without a property of that name.
    """
    found: float | None = getattr(atoms.calc, "results", {}).get("free_energy")
    return atoms.get_potential_energy() if found is None else found


def _stress(atoms) -> FloatArray | None:  # type: ignore[no-untyped-def]
    """Return the stress that was calculated with the forces, which costs nothing more."""
    found = getattr(atoms.calc, "results", {}).get("stress")
    if found is None or not atoms.pbc.any() or atoms.cell.rank < 3 or not np.isfinite(found).all():
        return None
    from ase.stress import voigt_6_to_full_3x3_stress

    return np.array(voigt_6_to_full_3x3_stress(found) if np.size(found) == 6 else found, float)


def _hashes(work_list: Sequence[Path]) -> dict[str, str]:
    found = source_hashes(work_list)
    artefacts = [path for path in work_list if path.suffix == ".h5"]
    return by_name(found | {str(path): identity(path) for path in artefacts})


def _read(work_list: Sequence[Path], context: Context) -> list[Structure]:
    selected = [s for path in work_list if path.suffix == ".h5" for s in load_selected(path)]
    files = [path for path in work_list if path.suffix != ".h5"]
    structures = [*selected, *(read_sources(files, context.report) if files else [])]
    if len({s.name for s in structures}) < len(structures):
        raise InputError("label: expected every structure once, but some names are repeated in the work list")
    for text in require_one_state(structures):
        log.warning("%s", text)
    return structures


def _label_missing(
    config: LabelConfig, structures: Sequence[Structure], checkpoint: Checkpoint, context: Context
) -> dict[str, str]:
    """Calculate what the checkpoint does not hold; return the failures by name."""
    have = {name for part in checkpoint.finished().values() for name in part}
    if have:
        log.info("%d of %d structures are finished already", len(have), len(structures))
    scratch = checkpoint.folder / "runs"
    tasks = {
        _key(number): (config.calculator, s, scratch / _key(number))
        for number, s in enumerate(structures)
        if _key(number) not in have
    }
    failures: dict[str, str] = {}
    said = {key: f"calculating {structures[int(key)].name}" for key in tasks}
    with contextlib.closing(run_tasks(calculate, tasks, config.workers, context, said)) as results:
        for key, result in results:
            name = structures[int(key)].name
            if isinstance(result, Structure):
                _keep(checkpoint, key, result)
            elif isinstance(result, ConfigError):
                raise result  # the same for every structure
            elif isinstance(result, AenetGprError | ResourceError | MemoryError):
                failures[name] = str(result)
                log.warning("%s: %s", name, result)
            else:
                raise result
    return failures


def _key(number: int) -> str:
    return f"{number:07d}"


def _keep(checkpoint: Checkpoint, key: str, structure: Structure) -> None:
    with publish(checkpoint.path_of((key,)), checkpoint.job_of((key,))) as file:
        write_structures(file.create_group("structure"), StructureSet.from_structures([structure]))


def _read_one(path: Path, name: str) -> Structure:
    with open_artefact(path, KIND) as file:
        found = read_structures(file["structure"]).structure(0)
    if found.name != name:
        raise InputError(f"{path}: expected {name}, got {found.name}; start over with --restart")
    return found


def _row(name: str, subset: StructureSet) -> list[str]:
    assert subset.energies is not None  # both are calculated
    assert subset.forces is not None
    largest = np.linalg.norm(subset.forces, axis=2).max()
    return [
        name,
        str(len(subset)),
        f"{subset.energies.max() - subset.energies.min():.3f}",
        f"{largest:.2f}",
    ]
