"""Fit of the local process: inducing environments, length scale by evidence, σ by structures left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.descriptors.interface.feature_distances import farthest_points
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.local.design import Inducing, energy_and_force_rows, energy_rows, nearest
from aenet_gpr_cli.gpr.local.environments import Scale, blocks_of, environments, sample
from aenet_gpr_cli.gpr.local.local_model import LocalModel
from aenet_gpr_cli.gpr.local.posterior import solve, whiten
from aenet_gpr_cli.gpr.local.triangle import Triangle
from aenet_gpr_cli.gpr.process_settings import Local
from aenet_gpr_cli.progress import Progress
from aenet_gpr_cli.structures import FloatArray, IntArray, StructureSet

GRID = 2.0 ** np.arange(1.0, 8.1, 1.0)  # length scales compared first, in units of the spread of a feature
START = 16.0
ATOMS_PER_BLOCK = 300  # of rows: 300 atoms, 1,000 inducing environments: 7 MB
MOST_INDUCING = (
    600  # per species, where none are asked for; molecules gain from more, at the square of the cost
)
ROWS_PER_INDUCING = 8
SMALLEST_REACH = 0.5  # in units of the spread of a feature: where all environments are inducing ones
LEFT_OUT = 60  # structures left out for σ and for the comparison with other models


def fit_local(
    sets: Sequence[StructureSet], given: Local, seed: int, progress: Progress
) -> tuple[LocalModel, float]:
    """Return the local process of some sets, and its log evidence.

    Parameters
    ----------
    sets : sequence of StructureSet
        Any compositions and cells; with energies, and forces where they are known.
    given : Local
    seed : int
        Of the choice of environments and structures.
    progress : callable

    Raises
    ------
    InputError
        If a set has no energies.
    """
    species = tuple(sorted({symbol for s in sets for symbol in s.species}))
    basis = given.environment_basis(species)
    rng = np.random.default_rng(seed)
    atomic = atomic_energies(sets, species)
    raw, kinds = sample(basis, sets, rng)
    scale = Scale.of(raw, kinds, len(species))
    x = (raw - scale.mean[kinds]) * scale.inverse_std[kinds]
    total = count_rows(sets)
    count = given.n_inducing or min(MOST_INDUCING, -(-total // (ROWS_PER_INDUCING * len(species))))
    fit = _Fit(basis, scale, given, atomic, x, kinds)
    length = given.length_scale
    if length is None:
        few = thin(sets, given.max_rows, rng)
        # as many rows to an inducing environment as in the fit: with fewer, long length scales look better
        fewer = max(50, round(count * count_rows(few) / total))
        length = best_length(fit, few, inducing_environments(x, kinds, len(species), fewer), progress)
    chosen = replace(inducing_environments(x, kinds, len(species), count), length_scale=length)
    model, evidence = fit.solve(sets, chosen, progress)
    off = left_out(model, sets, rng)
    force_error = float(np.abs(off.force_errors).mean()) if len(off.force_errors) else np.nan
    return replace(
        model,
        sigma_factor=off.sigma_factor,
        left_out_error=float(np.median(np.abs(off.energy_errors))),
        left_out_force_error=force_error,
    ), evidence


@dataclass(frozen=True, slots=True)
class _Fit:
    """What all solves of one fit share."""

    basis: ChebyshevBasis
    scale: Scale
    given: Local
    atomic_energies: FloatArray
    x: FloatArray
    kinds: IntArray

    def solve(
        self, sets: Sequence[StructureSet], inducing: Inducing, progress: Progress
    ) -> tuple[LocalModel, float]:
        """Return the process on given inducing environments, and its log evidence."""
        given, total, done, log_noises = self.given, sum(map(len, sets)), 0, 0.0
        rows = Triangle(len(inducing))
        for s in sets:
            prior = float(self.atomic_energies[self.basis.species_index(s.species)].sum())
            noise = given.noise_std_energy * np.sqrt(s.n_atoms)
            for block in blocks_of(s, ATOMS_PER_BLOCK):
                found = environments(self.basis, self.scale, block, block.forces is not None)
                assert block.energies is not None  # atomic_energies has checked
                if block.forces is None:
                    energies = energy_rows(found, inducing)
                else:
                    energies, forces = energy_and_force_rows(found, inducing)
                    rows.add(
                        forces.reshape(-1, len(inducing)) / given.noise_std_force,
                        block.forces.ravel() / given.noise_std_force,
                    )
                    log_noises += block.forces.size * np.log(given.noise_std_force)
                rows.add(energies / noise, (block.energies - prior) / noise)
                log_noises += len(block) * np.log(noise)
                done += len(block)
                progress(done, total, "structures")
        known = solve(rows.factor, rows.n_rows, float(log_noises), whiten(inducing.covariance()))
        model = LocalModel(
            basis=self.basis,
            scale=self.scale,
            inducing=inducing,
            coefficients=known.coefficients,
            directions=known.directions,
            variances=known.variances,
            signal_variance=known.signal_variance,
            noise_energy=known.noise_scale * given.noise_std_energy,
            noise_force=known.noise_scale * given.noise_std_force,
            atomic_energies=self.atomic_energies,
            reach=np.array([self._reach(inducing, kind) for kind in range(len(self.basis.species))]),
        )
        return model, known.log_evidence

    def _reach(self, inducing: Inducing, kind: int) -> float:
        """Return the largest distance of a sampled environment to the inducing ones."""
        off = nearest(self.x[self.kinds == kind], inducing.z[inducing.of(kind)])
        return max(float(off.max()), SMALLEST_REACH)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Errors of structures predicted from all others, in closed form.

    Attributes
    ----------
    energy_errors : ndarray of shape (n,), eV
    force_errors : ndarray of shape (n_components,), eV/Å
    sigma_factor : float, dimensionless
        √⟨z²⟩ of the energies: above 1, σ was too small.
    """

    energy_errors: FloatArray
    force_errors: FloatArray
    sigma_factor: float


def left_out(
    model: LocalModel, sets: Sequence[StructureSet], rng: np.random.Generator, number: int = LEFT_OUT
) -> LeftOut:
    """Return the errors of some training structures as if each had not been trained on.

    With the rows A of a structure in units of the noise and C = A Cov(c) Aᵀ, the residual r of a fit with all
    becomes (1 − C)⁻¹ r without it, and its variance, noise included, the diagonal of (1 − C)⁻¹.

    Parameters
    ----------
    model : LocalModel
    sets : sequence of StructureSet
        Those of the fit.
    rng : Generator
    number : int
        At most so many structures, drawn from all.
    """
    every = [(k, i) for k, s in enumerate(sets) for i in range(len(s))]
    energy_errors, force_errors, z = [], [], []
    for at in np.sort(rng.choice(len(every), min(number, len(every)), replace=False)):
        one = sets[every[at][0]].select([every[at][1]])
        found = environments(model.basis, model.scale, one, True)
        energy, forces = energy_and_force_rows(found, model.inducing)
        assert one.energies is not None
        noise = model.energy_noise(one.n_atoms)
        rows = energy / noise
        residual = (one.energies - model.prior_energy(one.species) - energy @ model.coefficients) / noise
        if one.forces is not None:
            flat = forces.reshape(-1, len(model.inducing))
            rows = np.concatenate([rows, flat / model.noise_force])
            off = (one.forces.ravel() - flat @ model.coefficients) / model.noise_force
            residual = np.concatenate([residual, off])
        half = (rows @ model.directions) * np.sqrt(model.variances)
        inverse = np.linalg.inv(np.eye(len(rows)) - half @ half.T)
        without = inverse @ residual
        rest = model.unspanned(found, energy)[0] / noise**2
        z.append(without[0] / np.sqrt(inverse[0, 0] + rest))
        energy_errors.append(without[0] * noise)
        force_errors.append(without[1:] * model.noise_force)
    factor = float(np.sqrt(np.mean(np.square(z))))
    return LeftOut(np.array(energy_errors), np.concatenate(force_errors), factor)


def count_rows(sets: Sequence[StructureSet]) -> int:
    """Return the number of energies and force components of all sets."""
    return sum(len(s) * (1 + (0 if s.forces is None else 3 * s.n_atoms)) for s in sets)


def inducing_environments(x: FloatArray, kinds: IntArray, n_species: int, count: int) -> Inducing:
    """Return up to `count` environments of each species, far apart."""
    parts = []
    for kind in range(n_species):
        own = x[kinds == kind]
        own = np.unique(own.round(9), axis=0)
        parts.append(own[farthest_points(own, min(count, len(own)))])
    return Inducing(np.concatenate(parts), np.cumsum([0, *map(len, parts)]), 1.0)


def atomic_energies(sets: Sequence[StructureSet], species: tuple[str, ...]) -> FloatArray:
    """Return energies per species by least squares over all structures, eV."""
    counts, means, roots = [], [], []
    for s in sets:
        if s.energies is None:
            raise InputError("the local process needs energies; these structures have none")
        counts.append([s.species.count(symbol) for symbol in species])
        means.append(s.energies.mean())
        roots.append(np.sqrt(len(s)))
    weight = np.array(roots)
    return np.linalg.lstsq(np.array(counts, float) * weight[:, None], np.array(means) * weight, rcond=None)[0]


def thin(sets: Sequence[StructureSet], max_rows: int, rng: np.random.Generator) -> list[StructureSet]:
    """Return a share of the structures of all sets with about so many rows."""
    share = min(1.0, max_rows / count_rows(sets))
    out = []
    for s in sets:
        count = int(share * len(s) + rng.random())
        if count:
            out.append(s.select(np.sort(rng.choice(len(s), min(count, len(s)), replace=False))))
    return out or [sets[0].select([0])]


def best_length(fit: _Fit, sets: Sequence[StructureSet], inducing: Inducing, progress: Progress) -> float:
    """Return the length scale of the largest evidence: up or down a grid, then between its neighbours."""
    found: dict[float, float] = {}

    def evidence(length: float) -> float:
        if length not in found:
            found[length] = fit.solve(sets, replace(inducing, length_scale=length), lambda *_: None)[1]
            progress(len(found), 6, f"length scale {length:.3g}: log evidence {found[length]:.1f}")
        return found[length]

    best = START
    while True:
        near = [x for x in (best / 2.0, best, best * 2.0) if GRID[0] <= x <= GRID[-1]]
        better = max(near, key=evidence)
        if better == best:
            return float(max([best, best * 2**0.5, best / 2**0.5], key=evidence))
        best = better
