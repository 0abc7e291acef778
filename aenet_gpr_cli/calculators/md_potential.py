"""The potential of an artefact, of either kind, as molecular dynamics asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from aenet_gpr_cli.calculators.committee import CommitteeEvaluator
from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator, SigmaMethod
from aenet_gpr_cli.dynamics.integrator import Evaluation, Potential
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.surrogate import Surrogate
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.structures import FloatArray, Structure
from aenet_gpr_cli.subsystems.grouping import group


def load_md_potential(
    path: Path,
    structure: Structure,
    members: Sequence[int] | None,
    sigma: SigmaMethod,
    max_rows: int,
    strained: bool,
) -> Potential:
    """Return the potential for structures with the atoms, in the order, of one.

    Parameters
    ----------
    path : Path
        Output of `fit-gpr`, `train-ann` or `import`.
    sigma, max_rows
        See `GPRCalculator`.
    strained : bool
        Whether the pressure will be needed.

    Raises
    ------
    InputError
        If the file is something else, knows no such structure, or cannot give the pressure.
    """
    with open_artefact(path) as file:
        kind = str(file.attrs["kind"])
    if kind == "train-ann":
        evaluator = CommitteeEvaluator.from_file(path, members)
        evaluator.model.basis.species_index(structure.species)
        return _of_networks(evaluator, structure)
    if kind == "fit-gpr":
        return _of_process(GPRCalculator.from_file(path, None, sigma, max_rows), structure, strained)
    raise InputError(f"{path}: expected the output of fit-gpr, train-ann or import, got that of {kind}")


def _of_networks(evaluator: CommitteeEvaluator, structure: Structure) -> Potential:
    def evaluate(positions: FloatArray, cell: FloatArray | None, strain: bool, look: bool) -> Evaluation:
        strain = strain and cell is not None
        found = evaluator(
            structure.species, positions, cell, structure.pbc, strain=strain, look=look, sigma=look
        )
        return Evaluation(
            float(found.energies.mean()),
            found.forces,
            found.strain_gradient,
            found.energy_sigma,
            found.beyond_training if look else None,
            "the range of a feature",
        )

    return evaluate


def _of_process(calculator: GPRCalculator, structure: Structure, strained: bool) -> Potential:
    """Evaluate in the order of atoms that the process knows; forces go back into that of the file."""
    templates = [
        Structure(p.geometry.species, p.model.training_positions[0], p.geometry.cell, p.geometry.pbc)
        for p in calculator.processes.values()
        if isinstance(p, Surrogate)
    ]
    ((known,),) = group([structure], templates=templates).values()
    order = np.arange(structure.n_atoms) if known.atom_order is None else np.array(known.atom_order)
    back = np.argsort(order)
    atoms = Atoms(known.species, known.positions, cell=known.cell, pbc=known.pbc)
    has_sigma = calculator.has_sigma

    def evaluate(positions: FloatArray, cell: FloatArray | None, strain: bool, look: bool) -> Evaluation:
        atoms.positions[:] = positions[order]
        if cell is not None:
            atoms.set_cell(cell)
        wanted = ["energy", "forces"]
        wanted += ["stress"] if strain and cell is not None else []
        wanted += ["energy_std"] if look and has_sigma else []
        calculator.results = {}
        calculator.evaluate(atoms, wanted)
        found = calculator.results
        stress = found.get("stress")
        beyond = calculator.beyond_training(atoms) if look else None
        return Evaluation(
            found["energy"],
            found["forces"][back],
            None if stress is None else voigt_6_to_full_3x3_stress(stress) * atoms.cell.volume,
            found.get("energy_std"),
            None if not look or beyond is None else beyond[back],
            "the largest distance to an inducing environment in training",
        )

    if strained and evaluate(structure.positions, structure.cell, True, False).strain_gradient is None:
        raise InputError("npt: this Gaussian process gives no stress; expected networks, or model: local")
    return evaluate
