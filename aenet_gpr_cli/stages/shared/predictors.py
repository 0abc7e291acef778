"""Any fitted model as one object: structures with the same atoms in, energies, forces and σ out.

Loads only what the kind of model needs: a Gaussian process starts without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.formats.prediction_files import PredictedStructure
from aenet_gpr_cli.lattice import volumes
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.stages.shared.context import log
from aenet_gpr_cli.structures import FloatArray, Structure, StructureSet
from aenet_gpr_cli.subsystems.ordering import in_file_order
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import BYTES_PER_GIB


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about some structures.

    Attributes
    ----------
    energies : ndarray of shape (n_members, n_structures), eV
    forces : ndarray of shape (n_members, n_structures, n_atoms, 3), eV/Å
    sigma : ndarray of shape (n_structures,), eV, or None
        Standard deviation of the energies: the GP's own, or that of a committee, see `network_sigma`.
    beyond_training : ndarray of shape (n_structures, n_atoms), dimensionless, or None
        Of networks: how far each environment lies outside the training data, see `beyond_range`.
    domain_distance : ndarray of shape (n_structures,), dimensionless, or None
        Of Gaussian processes: distance to the training data, see `TrainingDomain`; above 1 is outside.
    energy_noise : float, eV
        Standard deviation of the noise that a Gaussian process takes the reference energies to have.
    force_sigma : ndarray of shape (n_structures, n_atoms, 3), eV/Å, or None
        Standard deviation of the forces with noise, of the local process where it is asked for.
    stress : ndarray of shape (n_members, n_structures, 3, 3), eV/Å³, or None
        Positive under tension; of networks and the local process, for crystals and slabs, where asked for.
    stress_sigma : ndarray of shape (n_structures, 3, 3), eV/Å³, or None
        Standard deviation of its components with noise, of the local process where forces have theirs.
    """

    energies: FloatArray
    forces: FloatArray
    sigma: FloatArray | None
    beyond_training: FloatArray | None = None
    domain_distance: FloatArray | None = None
    energy_noise: float = 0.0
    force_sigma: FloatArray | None = None
    stress: FloatArray | None = None
    stress_sigma: FloatArray | None = None


def farther(structure: Structure, distance: float) -> str:
    """Say how far a structure is outside the training data of a Gaussian process."""
    from aenet_gpr_cli.gpr.regression.structure_distances import OUTSIDE  # of networks nothing asks for it

    share = rounded(100.0 * (distance - OUTSIDE), 2)
    return f"it is {share} % farther away than any training structure from its nearest"


@dataclass(frozen=True, slots=True)
class Predictor:
    """A fitted model.

    Attributes
    ----------
    predict : callable
        Structures and the name of their subset (None: the process that fits the atoms) → Prediction.
    templates : tuple of Structure
        One per subset of a Gaussian process, whose order of the atoms it expects; networks expect none.
    processes : tuple of str
        Subsets of the Gaussian processes, `LOCAL` for that of all.
    lacks : callable
        Symbols of the atoms → whether training left the energy of their composition open, see `Compositions`.
    why_outside : callable
        A structure and its domain distance → what puts it outside the training data.
    """

    predict: Callable[[StructureSet, str | None], Prediction]
    templates: tuple[Structure, ...] = ()
    processes: tuple[str, ...] = ()
    lacks: Callable[[Sequence[str]], bool] = lambda symbols: False
    why_outside: Callable[[Structure, float], str] = farther

    def blocks(
        self, structures: StructureSet, subset: str | None, size: int, report: Progress, message: str
    ) -> Iterator[Prediction]:
        """Yield the predictions of ``size`` structures at a time; ``report`` gets the message before each."""
        for start in range(0, len(structures), size):
            report(start, len(structures), message)
            yield self.predict(structures.select(slice(start, start + size)), subset)


def load_predictor(
    path: Path,
    sigma: str,
    max_rows: int,
    max_gib: float,
    members: Sequence[int] | None = None,
    with_force_sigma: bool = False,
    with_stress: bool = False,
) -> Predictor:
    """Read a model of either kind.

    Parameters
    ----------
    path : Path
        Output of `fit-gpr`, `train-ann` or `import`.
    sigma : str
        For Gaussian processes: ``bound``, ``exact`` or ``none``.
    max_rows : int
        Training observations behind each bound.
    max_gib : float
        Memory for the dense factor of exact σ; without it linear systems are solved one by one.
    members : sequence of int, optional
        Members of a committee to use; default: all.
    with_force_sigma : bool
        Whether the local process gives the σ of the forces, which takes longer than the forces.
    with_stress : bool
        Whether periodic structures get a stress.

    Raises
    ------
    InputError
        If the file is something else.
    """
    with open_artefact(path) as file:
        kind = str(file.attrs["kind"])
    if kind == "fit-gpr":
        return _process(path, sigma, max_rows, max_gib * BYTES_PER_GIB, with_force_sigma, with_stress)
    if kind == "train-ann":
        return _committee(path, members, with_stress)
    raise InputError(f"{path}: expected the output of fit-gpr, train-ann or import, got that of {kind}")


def std_over_members(values: FloatArray) -> FloatArray | None:
    """Return the sample standard deviation over the members.

    Parameters
    ----------
    values : ndarray of shape (n_members, ...)

    Returns
    -------
    ndarray of shape (...), or None
        None for a single member, whose spread is unknown.
    """
    return values.std(axis=0, ddof=1) if len(values) > 1 else None


def join_predictions(parts: Sequence[Prediction]) -> Prediction:
    """Put the predictions of blocks together."""
    sigma = [part.sigma for part in parts if part.sigma is not None]
    beyond = [part.beyond_training for part in parts if part.beyond_training is not None]
    distance = [part.domain_distance for part in parts if part.domain_distance is not None]
    of_forces = [part.force_sigma for part in parts if part.force_sigma is not None]
    stress = [part.stress for part in parts if part.stress is not None]
    of_stress = [part.stress_sigma for part in parts if part.stress_sigma is not None]
    return Prediction(
        energies=np.concatenate([part.energies for part in parts], axis=1),
        forces=np.concatenate([part.forces for part in parts], axis=1),
        sigma=np.concatenate(sigma) if sigma else None,
        beyond_training=np.concatenate(beyond) if beyond else None,
        domain_distance=np.concatenate(distance) if distance else None,
        energy_noise=parts[0].energy_noise,
        force_sigma=np.concatenate(of_forces) if of_forces else None,
        stress=np.concatenate(stress, axis=1) if stress else None,
        stress_sigma=np.concatenate(of_stress) if of_stress else None,
    )


def predicted_structures(
    members: Sequence[Structure], prediction: Prediction
) -> Iterator[PredictedStructure]:
    """Yield structures with what a model says about them, their atoms in the order of their files.

    Parameters
    ----------
    members : sequence of Structure
        With reference labels where they are known.
    """
    energies, forces = prediction.energies.mean(axis=0), prediction.forces.mean(axis=0)
    spread, beyond = std_over_members(prediction.forces), prediction.beyond_training
    distance = prediction.domain_distance
    stress = None if prediction.stress is None else prediction.stress.mean(axis=0)
    for i, given in enumerate(members):
        back = slice(None) if given.atom_order is None else np.argsort(given.atom_order)
        found = replace(
            given,
            energy=float(energies[i]),
            forces=forces[i],
            stress=None if stress is None else stress[i],
        )
        yield PredictedStructure(
            structure=in_file_order(found),
            energy_std=None if prediction.sigma is None else float(prediction.sigma[i]),
            forces_std=None if spread is None else spread[i][back],
            reference_energy=given.energy,
            reference_forces=None if given.forces is None else given.forces[back],
            reference_stress=given.stress,
            beyond_training=None if beyond is None else beyond[i][back],
            domain_distance=None if distance is None else float(distance[i]),
        )


def _process(
    path: Path, sigma: str, max_rows: int, max_bytes: float, with_force_sigma: bool, with_stress: bool
) -> Predictor:
    from aenet_gpr_cli.gpr.local.local_model import LocalModel
    from aenet_gpr_cli.gpr.process import SigmaOf
    from aenet_gpr_cli.gpr.subset_lookup import find_process
    from aenet_gpr_cli.gpr.surrogate import Surrogate
    from aenet_gpr_cli.gpr.uncertainty.energy_sigma import exact_sigma_cost
    from aenet_gpr_cli.io.artefacts.stored_gps import load_gps
    from aenet_gpr_cli.subsystems.contacts import naming_atoms_at_one_place

    processes = load_gps(path)
    deviations: dict[str, SigmaOf | None] = {}

    def predict_block(structures: StructureSet, subset: str | None) -> Prediction:
        name = find_process(processes, structures.structure(0), subset)
        process = processes[name]
        if name not in deviations:
            if sigma == "exact" and isinstance(process, Surrogate):
                model = process.model
                log.info("%s: %s", name, exact_sigma_cost(model.n_structures, model.n_atoms, max_bytes))
            deviations[name] = process.sigma(sigma, max_rows, max_bytes)
        prepared = process.prepare(structures)
        with naming_atoms_at_one_place(structures):
            energies, forces = process.energies_and_forces(prepared)
        deviation = deviations[name]
        of_forces = None
        if deviation and with_force_sigma and isinstance(process, LocalModel):
            of_forces = np.hypot(process.force_component_sigma(prepared), process.force_noise)
        stress = of_stress = None
        if with_stress and isinstance(process, LocalModel) and (volume := volumes(structures)) is not None:
            stress = process.stresses(prepared)[None]
            if of_forces is not None:
                noise = process.virial_noise(structures.n_atoms) / volume
                of_stress = np.hypot(process.stress_sigma(prepared), noise[:, None, None])
        return Prediction(
            energies[None],
            forces[None],
            deviation(prepared) if deviation else None,
            domain_distance=process.domain(prepared),
            energy_noise=process.energy_noise(structures.n_atoms),
            force_sigma=of_forces,
            stress=stress,
            stress_sigma=of_stress,
        )

    def why_outside(structure: Structure, distance: float) -> str:
        process = processes[find_process(processes, structure, None)]
        pair = process.worst_pair(structure) if isinstance(process, LocalModel) else None
        if pair is None:
            return farther(structure, distance)
        first, second = structure.species[pair.first], structure.species[pair.second]
        atoms = f"atoms {pair.first + 1} ({first}) and {pair.second + 1} ({second})"
        lengths = f"{rounded(pair.distance)} Å apart, nearer than any such pair in training"
        return f"its {atoms} are {lengths} ({rounded(pair.shortest)} Å)"

    expected = [
        Structure(s.geometry.species, s.model.training_positions[0], s.geometry.cell, s.geometry.pbc)
        for s in processes.values()
        if isinstance(s, Surrogate)
    ]
    return Predictor(predict_block, tuple(expected), tuple(processes), why_outside=why_outside)


def _committee(path: Path, members: Sequence[int] | None, with_stress: bool) -> Predictor:
    from aenet_gpr_cli.ann.potential.committee_sigma import CommitteeSigma
    from aenet_gpr_cli.ann.potential.extrapolation import beyond_range
    from aenet_gpr_cli.ann.potential.prediction import predict, predict_with_strain
    from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import features
    from aenet_gpr_cli.io.artefacts.stored_anns import load_ann

    model = load_ann(path).select(members)
    sigma_of = CommitteeSigma(model)

    def predict_block(structures: StructureSet, subset: str | None) -> Prediction:
        volume = volumes(structures) if with_stress else None
        stress = None
        if volume is None:
            energies, forces = predict(model, structures, True, len(structures))
            assert forces is not None  # asked for
        else:
            energies, forces, strain = predict_with_strain(model, structures, len(structures))
            stress = strain / volume[:, None, None]
        raw = features(model.basis, structures, len(structures))
        kinds = model.basis.species_index(structures.species)
        everyone, flat = np.tile(kinds, len(structures)), raw.reshape(-1, raw.shape[2])
        limits = (model.feature_min, model.feature_max)
        beyond = beyond_range(model.basis.species, everyone, flat, *limits).reshape(raw.shape[:2])
        return Prediction(energies, forces, sigma_of(energies, kinds, raw), beyond, stress=stress)

    return Predictor(predict_block, lacks=model.lacks)
