"""Rows of all structures added up, block by block: what each process and part of a job does with its share.

What is chosen before (`Design`) is the same everywhere; the sums of shares merge to those of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aenet_gpr_cli.baseline.repulsion import Repulsion
from aenet_gpr_cli.descriptors.atomic_environments import EnvironmentBasis
from aenet_gpr_cli.descriptors.chebyshev.strain import known_components
from aenet_gpr_cli.gpr.local.design import Inducing, energy_rows, rows_of_lengths
from aenet_gpr_cli.gpr.local.environments import Environments, Scale, environments
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.gpr.local.posterior import solve, whiten, whitening_parts
from aenet_gpr_cli.gpr.local.products import Products
from aenet_gpr_cli.gpr.local.triangle import Triangle
from aenet_gpr_cli.gpr.local.virials import virial_rows, virials, with_stress
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import AnySet, FloatArray, IntArray, StructureSet

# of each length scale, rows in units of their noise; targets in the same units, and that noise
Rows = tuple[list[FloatArray], FloatArray, float]

ATOMS_PER_BLOCK = 300  # of rows: 300 atoms, 1,000 inducing environments: 7 MB


@dataclass(frozen=True, slots=True)
class Design:
    """What the rows are taken of.

    Attributes
    ----------
    basis : EnvironmentBasis
    scale : Scale
    inducing : Inducing
    atomic_energies, reach : ndarray of shape (n_species,)
        See `LocalModel`.
    noise_energy, noise_force : float, eV per square root of the atoms, eV/Å
        Assumed noises, which the evidence scales.
    noise_virial : float, eV per square root of the atoms
        The same of the virials; 0 where they are not trained on.
    shortest : ndarray of shape (n_species, n_species), Å, or None
        See `LocalModel`; the rows know nothing of it.
    repulsion : Repulsion or None
        Of the process that comes out; the rows know nothing of it.
    """

    basis: EnvironmentBasis
    scale: Scale
    inducing: Inducing
    atomic_energies: FloatArray
    reach: FloatArray
    noise_energy: float
    noise_force: float
    noise_virial: float = 0.0
    shortest: FloatArray | None = None
    repulsion: Repulsion | None = None

    def of_length(self, length_scale: float) -> Design:
        """Return the same with another length scale."""
        return replace(self, inducing=replace(self.inducing, length_scale=length_scale))


class Sums:
    """The triangle of rows added up so far.

    Attributes
    ----------
    triangle : Triangle
    log_noises : float
        Sum of the logarithms of the assumed noises of the rows.
    n_blocks : int
        Blocks behind it, of the share that is being added up.
    """

    def __init__(self, n_inducing: int) -> None:
        self.triangle, self.log_noises, self.n_blocks = Triangle(n_inducing), 0.0, 0

    def merge(self, state: dict[str, FloatArray]) -> None:
        """Add what another one has given as its state."""
        self.triangle.merge(state["factor"], int(state["n_rows"]))
        self.log_noises += float(state["log_noises"])
        self.n_blocks += int(state["n_blocks"])

    def state(self) -> dict[str, FloatArray]:
        """Return what another process, a later run or the collection of parts needs."""
        return {
            "factor": self.triangle.factor,
            "n_rows": np.array(float(self.triangle.n_rows)),
            "log_noises": np.array(float(self.log_noises)),
            "n_blocks": np.array(float(self.n_blocks)),
        }


def add_up(
    design: Design,
    sets: Sequence[AnySet],
    sums: Sums,
    progress: Progress,
    share: tuple[int, int] = (0, 1),
    keep: Callable[[Sums], None] | None = None,
) -> Sums:
    """Add the rows of a share of all structures, from the block on that the sums have come to.

    Parameters
    ----------
    sets : sequence of AnySet
        With energies, and forces where they are known; read block by block.
    sums : Sums
        Changed.
    share : tuple of two int
        Every n-th structure, beginning with the k-th: (k, n).
    keep : callable, optional
        Called with the sums after each block.
    """
    blocks = list(_blocks(sets, *share))
    total = sum(len(indices) for _, indices in blocks)
    done = sum(len(indices) for _, indices in blocks[: sums.n_blocks])
    for k, indices in blocks[sums.n_blocks :]:
        block = sets[k].select(indices).in_memory()
        for (rows,), targets, noise in _rows(design, block, (design.inducing.length_scale,)):
            sums.triangle.add(rows, targets)
            sums.log_noises += len(rows) * float(np.log(noise))
        sums.n_blocks += 1
        done += len(indices)
        if keep is not None:
            keep(sums)
        progress(done, total, "structures")
    return sums


def evidences_of(design: Design, sets: Sequence[StructureSet], lengths: Sequence[float]) -> list[float]:
    """Return the log evidence of the process that all rows would give, to about 0.1, for length scales."""
    products, log_noises = _products(design, sets, _rows, lengths)
    return [one.log_evidence(log_noises) for one in products]


def products_of(design: Design, sets: Sequence[StructureSet]) -> tuple[Products, float]:
    """Return the sums of products of all rows, and the sum of the logarithms of their assumed noises."""
    (products,), log_noises = _products(design, sets, _rows, (design.inducing.length_scale,))
    return products, log_noises


def evidence_of_virials(
    design: Design, sets: Sequence[StructureSet], noises: Sequence[float]
) -> dict[float, float]:
    """Return the log evidence with the virials, too, for each assumed noise of theirs; {} without any.

    Parameters
    ----------
    design : Design
        Without a noise of virials.
    sets : sequence of StructureSet
    noises : sequence of float, eV per square root of the atoms
    """
    known, log_noises = products_of(design, sets)
    # rows of virials are summed apart from the others, so that another noise scales their sums
    own = (design.inducing.length_scale,)
    (added,), log_units = _products(replace(design, noise_virial=1.0), sets, _virials_alone, own)
    if not added.n_rows:
        return {}
    return {
        noise: known.plus(added, noise).log_evidence(
            log_noises + log_units + added.n_rows * float(np.log(noise))
        )
        for noise in noises
    }


def _products(
    design: Design,
    sets: Sequence[StructureSet],
    rows_of: Callable[[Design, StructureSet, Sequence[float]], Iterator[Rows]],
    lengths: Sequence[float],
) -> tuple[list[Products], float]:
    """Return the sums of products for each length scale; environments and their products are shared."""
    log_noises, designs = 0.0, [design.of_length(length) for length in lengths]
    products = [Products(whitening_parts(one.inducing.covariance())) for one in designs]
    for k, indices in _blocks(sets):
        for rows, targets, noise in rows_of(design, sets[k].select(indices), lengths):
            for sums, own in zip(products, rows, strict=True):
                sums.add(own, targets)
            log_noises += len(targets) * float(np.log(noise))
    return products, log_noises


def model_of(design: Design, sums: Sums) -> tuple[LocalModel, float]:
    """Return the process that all rows give, and its log evidence."""
    triangle, inducing = sums.triangle, design.inducing
    known = solve(triangle.factor, triangle.n_rows, sums.log_noises, whiten(inducing.covariance()))
    model = LocalModel(
        basis=design.basis,
        scale=design.scale,
        inducing=inducing,
        coefficients=known.coefficients,
        directions=known.directions,
        variances=known.variances,
        signal_variance=known.signal_variance,
        noise_energy=known.noise_scale * design.noise_energy,
        noise_force=known.noise_scale * design.noise_force,
        noise_virial=known.noise_scale * design.noise_virial,
        atomic_energies=design.atomic_energies,
        reach=design.reach,
        shortest=design.shortest,
        repulsion=design.repulsion,
    )
    return model, known.log_evidence


def _blocks(sets: Sequence[AnySet], share: int = 0, of: int = 1) -> Iterator[tuple[int, IntArray]]:
    """Yield a set and which of its structures: those of the share, some atoms at a time."""
    before = 0
    for k, s in enumerate(sets):
        own = np.arange((share - before) % of, len(s), of)
        size = max(1, ATOMS_PER_BLOCK // max(s.n_atoms, 1))
        for start in range(0, len(own), size):
            yield k, own[start : start + size]
        before += len(s)


def _rows(design: Design, block: StructureSet, lengths: Sequence[float]) -> Iterator[Rows]:
    """Yield the rows of forces, energies and virials of some structures."""
    inducing = design.inducing
    prior = float(design.atomic_energies[design.basis.species_index(block.species)].sum())
    noise = design.noise_energy * np.sqrt(block.n_atoms)
    strained = with_stress(block) if design.noise_virial else np.zeros(len(block), bool)
    slopes = block.forces is not None or bool(strained.any())
    found = environments(design.basis, design.scale, block, slopes)
    assert block.energies is not None  # the choice of atomic energies has checked
    if block.forces is None or block.n_atoms == 1:  # the force on one atom is zero, whatever the energy
        energies = [energy_rows(found, design.of_length(length).inducing) for length in lengths]
    else:
        both = rows_of_lengths(found, inducing, lengths)
        energies = [own for own, _ in both]
        yield (
            [forces.reshape(-1, len(inducing)) / design.noise_force for _, forces in both],
            block.forces.ravel() / design.noise_force,
            design.noise_force,
        )
    yield [own / noise for own in energies], (block.energies - prior) / noise, noise
    if strained.any():
        yield _virials(design, block, found, lengths)


def _virials_alone(design: Design, block: StructureSet, lengths: Sequence[float]) -> Iterator[Rows]:
    if len(chosen := np.flatnonzero(with_stress(block))):
        strained = block.select(chosen)
        yield _virials(design, strained, environments(design.basis, design.scale, strained, True), lengths)


def _virials(design: Design, block: StructureSet, found: Environments, lengths: Sequence[float]) -> Rows:
    """Return the rows of each structure that has a stress: six of crystals, those in the plane of slabs."""
    chosen = np.flatnonzero(with_stress(block))
    known = block.select(chosen)
    along, turns = known_components(known)
    noise = design.noise_virial * np.sqrt(block.n_atoms)
    each = [virial_rows(found, design.of_length(length).inducing)[chosen] for length in lengths]
    targets = virials(known)
    if turns is not None:
        each, targets = [turns @ rows for rows in each], np.einsum("nab,nb->na", turns, targets)
    return [rows[along] / noise for rows in each], targets[along] / noise, noise
