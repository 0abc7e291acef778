"""The potential of an artefact, of either kind, as molecular dynamics asks for it."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from aenet_gpr_cli.calculators.committee import CommitteeEvaluator, CommitteeResult
from aenet_gpr_cli.calculators.gpr_calculator import GPRCalculator, SigmaMethod
from aenet_gpr_cli.calculators.skin_list import SkinList
from aenet_gpr_cli.descriptors.interface.neighbour_list import NeighbourList, joined
from aenet_gpr_cli.dynamics.asking import Ask, Potentials
from aenet_gpr_cli.dynamics.evaluation import Evaluation, Place, Potential
from aenet_gpr_cli.errors import AenetGprError, InputError
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.gpr.regression.structure_distances import OUTSIDE
from aenet_gpr_cli.gpr.surrogate import Surrogate
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.structures import FloatArray, IntArray, Structure
from aenet_gpr_cli.subsystems.grouping import group

OF_PROCESS = "the largest in training (distance to an inducing environment or repulsion of two atoms)"
OF_FULL = "the largest distance between neighbouring structures in training"


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


def are_answered_together(path: Path, structures: Sequence[Structure]) -> bool:
    """Whether one evaluation serves all of them: networks, and the same atoms in the same order."""
    with open_artefact(path) as file:
        networks = str(file.attrs["kind"]) == "train-ann"
    return networks and len({(each.species, each.pbc, each.cell is None) for each in structures}) == 1


def load_md_potentials(
    path: Path,
    structures: Sequence[Structure],
    members: Sequence[int] | None,
    sigma: SigmaMethod,
    max_rows: int,
    strained: bool,
) -> Potentials:
    """Return the potentials for runs of several structures, by number.

    What is said of a run does not depend, bit by bit, on the others. See `load_md_potential`.
    """
    if len(structures) > 1 and are_answered_together(path, structures):
        evaluator = CommitteeEvaluator.from_file(path, members)
        evaluator.model.basis.species_index(structures[0].species)
        return _Together(evaluator, structures)
    each = [load_md_potential(path, one, members, sigma, max_rows, strained) for one in structures]

    def one_by_one(asks: Mapping[int, Ask]) -> dict[int, Evaluation | AenetGprError]:
        found: dict[int, Evaluation | AenetGprError] = {}
        for number, ask in asks.items():
            try:
                found[number] = each[number](*ask)
            except AenetGprError as error:
                found[number] = error
        return found

    return one_by_one


class _Together:
    """Networks for runs of the same atoms: a neighbour list for each, one call of the loops for all."""

    def __init__(self, evaluator: CommitteeEvaluator, structures: Sequence[Structure]) -> None:
        self._evaluator, self._structure = evaluator, structures[0]
        own = evaluator.neighbours
        self._lists = [SkinList(own.cutoff, own.skin) for _ in structures]
        self._offsets: list[IntArray] = []  # of the lists that were joined last
        self._block: NeighbourList | None = None

    def __call__(self, asks: Mapping[int, Ask]) -> dict[int, Evaluation | AenetGprError]:
        found: dict[int, Evaluation | AenetGprError] = {}
        lists: dict[int, NeighbourList] = {}
        for number, ask in asks.items():
            try:
                if ask.listed is not None:
                    self._lists[number].make_at(*ask.listed, self._structure.pbc)
                lists[number] = self._lists[number](ask.positions, ask.cell, self._structure.pbc)
            except AenetGprError as error:
                found[number] = error
        if not lists:
            return found
        looks = [asks[number].look for number in lists]
        strains = [asks[number].strain and asks[number].cell is not None for number in lists]
        # looks cost more than steps, and runs that go on from different steps look at different times
        for look in {*looks}:
            some = [number for number, own in zip(lists, looks, strict=True) if own == look]
            strain = any(own for own, its in zip(strains, looks, strict=True) if its == look)
            results = self._evaluate([lists[number] for number in some], strain, look)
            for number, result in zip(some, results, strict=True):
                found[number] = _evaluation(result, look, self._lists[number].made_at)
        return found

    def _evaluate(self, lists: list[NeighbourList], strain: bool, look: bool) -> list[CommitteeResult]:
        offsets = [each.offsets for each in lists]
        same = len(offsets) == len(self._offsets) and all(map(operator.is_, offsets, self._offsets))
        self._block = joined(lists, self._block if same else None)
        self._offsets = offsets
        return self._evaluator.together(self._structure.species, lists, self._block, strain, look)


def _of_networks(evaluator: CommitteeEvaluator, structure: Structure) -> Potential:
    def evaluate(
        positions: FloatArray, cell: FloatArray | None, strain: bool, look: bool, listed: Place | None = None
    ) -> Evaluation:
        strain = strain and cell is not None
        if listed is not None:
            evaluator.neighbours.make_at(*listed, structure.pbc)
        found = evaluator(
            structure.species, positions, cell, structure.pbc, strain=strain, look=look, sigma=look
        )
        return _evaluation(found, look, evaluator.neighbours.made_at)

    return evaluate


def _evaluation(found: CommitteeResult, look: bool, listed: Place) -> Evaluation:
    return Evaluation(
        float(found.energies.mean()),
        found.forces,
        found.strain_gradient,
        found.energy_sigma,
        found.beyond_training if look else None,
        "the range of a feature",
        listed,
    )


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
    is_full = not isinstance(calculator.process_of(atoms), LocalModel)

    def evaluate(
        positions: FloatArray, cell: FloatArray | None, strain: bool, look: bool, listed: Place | None = None
    ) -> Evaluation:
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
        full = None
        if look and is_full:
            full = max(calculator.domain_distance(atoms) - OUTSIDE, 0.0)
        return Evaluation(
            found["energy"],
            found["forces"][back],
            None if stress is None else voigt_6_to_full_3x3_stress(stress) * atoms.cell.volume,
            found.get("energy_std"),
            None if not look or beyond is None else beyond[back],
            OF_FULL if is_full else OF_PROCESS,
            beyond_of_all=full,
        )

    if strained and evaluate(structure.positions, structure.cell, True, False).strain_gradient is None:
        raise InputError("npt: this Gaussian process gives no stress; expected networks, or model: local")
    return evaluate
