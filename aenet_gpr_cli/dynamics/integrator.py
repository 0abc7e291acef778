"""One step of molecular dynamics: velocity Verlet, Langevin (BAOAB), stochastic cell rescaling.

Everything that the next step depends on is in `Motion`, so that a stored one goes on as if never stopped.
Times are in Å √(u/eV), see `units.FS_PER_TIME_UNIT`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aenet_gpr_cli.dynamics.asking import Ask, Asking, answer
from aenet_gpr_cli.dynamics.evaluation import Evaluation, Place, Potential
from aenet_gpr_cli.structures import FloatArray
from aenet_gpr_cli.units import BOLTZMANN

LARGEST_STRAIN = 0.03  # of the volume in a step: no pressure may turn the cell inside out


@dataclass(slots=True)
class Motion:
    """Where the atoms are and how they move.

    Attributes
    ----------
    positions : ndarray of shape (n_atoms, 3), Å
        Not wrapped into the cell.
    velocities : ndarray of shape (n_atoms, 3), √(eV/u)
    cell : ndarray of shape (3, 3), Å, or None
    masses : ndarray of shape (n_atoms,), u
    heat : float, eV
        What the thermostat has given to the atoms so far.
    step : int
        Steps so far.
    held : int
        Steps in which the volume was held back, see `LARGEST_STRAIN`.
    listed : pair of ndarray, or None
        Where the neighbour list was made, in a stored one; see `Evaluation`.
    free : ndarray of bool, shape (n_atoms,), or None
        Atoms that move, None for all. The others stay where they are, at rest.
    """

    positions: FloatArray
    velocities: FloatArray
    cell: FloatArray | None
    masses: FloatArray
    heat: float = 0.0
    step: int = 0
    held: int = 0
    listed: Place | None = None
    free: NDArray[np.bool_] | None = None

    @property
    def kinetic_energy(self) -> float:
        """½ Σ m v², eV."""
        return 0.5 * float(self.masses @ np.einsum("ax,ax->a", self.velocities, self.velocities))

    @property
    def volume(self) -> float:
        """Of the cell, Å³; 0 without one."""
        return 0.0 if self.cell is None else abs(float(np.linalg.det(self.cell)))

    def pressure(self, strain_gradient: FloatArray) -> float:
        """Return (2K - tr dE/dε) / 3V, eV/Å³."""
        return (2.0 * self.kinetic_energy - float(np.trace(strain_gradient))) / (3.0 * self.volume)


@dataclass(frozen=True, slots=True)
class Bath:
    """Surroundings of constant temperature, and of constant pressure where ``barostat_time`` is given.

    Attributes
    ----------
    temperature : float, eV
        k_B T.
    thermostat_time : float
        1/γ of Langevin's friction.
    pressure : float, eV/Å³
    barostat_time : float or None
        Within which the volume relaxes, as long as the compressibility is right.
    compressibility : float, Å³/eV
        Sets how fast the volume follows, not where it ends.
    """

    temperature: float
    thermostat_time: float
    pressure: float = 0.0
    barostat_time: float | None = None
    compressibility: float = 1.0


class Integrator:
    """Steps from one state to the next.

    Without a bath: velocity Verlet, constant energy. With one: BAOAB (B. Leimkuhler, C. Matthews, J. Chem.
    Phys. 138, 174102 (2013)), and stochastic cell rescaling for the volume (M. Bernetti, G. Bussi, J. Chem.
    Phys. 153, 114107 (2020)): dε = -(β/τ)(P₀ - P) dt + √(2 k_B T β / V τ) dW with ε = ln V.

    Parameters
    ----------
    potential : Potential or None
        Of `step`. Without one, `begin` and then `moving` ask for what it would say.
    motion : Motion
        Changed by every step.
    time_step : float
    bath : Bath, optional
    rng : Generator
        Of the random forces.
    """

    found: Evaluation  # at the present positions

    def __init__(
        self,
        potential: Potential | None,
        motion: Motion,
        time_step: float,
        bath: Bath | None,
        rng: np.random.Generator,
        look: bool = True,
    ) -> None:
        self.potential, self.motion, self.time_step, self.bath, self.rng = (
            potential, motion, time_step, bath, rng,
        )  # fmt: skip
        self._strained = bath is not None and bath.barostat_time is not None
        if potential is not None:
            answer(self.begin(look), potential)

    def step(self, look: bool = False) -> Evaluation:
        """Move by one step; return what the potential says about the new positions.

        Parameters
        ----------
        look : bool
            With σ, pressure and what is beyond the training data.
        """
        assert self.potential is not None
        return answer(self.moving(look), self.potential)

    def begin(self, look: bool = True) -> Asking[Evaluation]:
        """Ask about the positions at the start."""
        self.found = yield self._ask(look)._replace(listed=self.motion.listed)
        return self.found

    def moving(self, look: bool = False, strain: bool = False) -> Asking[Evaluation]:
        """Move by one step, as `step`, and ask about the new positions on the way.

        Parameters
        ----------
        strain : bool
            With the pressure, also without a look.
        """
        m, dt = self.motion, self.time_step
        m.velocities = m.velocities + self._kick()
        if self.bath is None:
            m.positions = m.positions + dt * m.velocities
        else:
            m.positions = m.positions + 0.5 * dt * m.velocities
            self._exchange_heat(self.bath)
            m.positions = m.positions + 0.5 * dt * m.velocities
            if self._strained:
                self._rescale(self.bath)
        self.found = yield self._ask(look, strain)
        m.velocities = m.velocities + self._kick()
        m.step += 1
        return self.found

    def _ask(self, look: bool, strain: bool = False) -> Ask:
        return Ask(self.motion.positions, self.motion.cell, look or strain or self._strained, look)

    def _kick(self) -> FloatArray:
        kick: FloatArray = (0.5 * self.time_step) * self.found.forces / self.motion.masses[:, None]
        return of_free(kick, self.motion.free)

    def _exchange_heat(self, bath: Bath) -> None:
        m = self.motion
        keep = np.exp(-self.time_step / bath.thermostat_time)
        width = np.sqrt((1.0 - keep**2) * bath.temperature / m.masses)
        before = m.kinetic_energy
        random = of_free(self.rng.standard_normal(m.velocities.shape), m.free)
        m.velocities = keep * m.velocities + width[:, None] * random
        m.heat += m.kinetic_energy - before

    def _rescale(self, bath: Bath) -> None:
        """Change the volume; the pressure is that of the last forces and the present velocities."""
        m = self.motion
        assert self.found.strain_gradient is not None
        assert bath.barostat_time is not None
        assert m.cell is not None
        rate = bath.compressibility * self.time_step / bath.barostat_time
        noise = np.sqrt(2.0 * bath.temperature * rate / m.volume) * self.rng.standard_normal()
        strain = rate * (m.pressure(self.found.strain_gradient) - bath.pressure) + noise
        m.held += not abs(strain) <= LARGEST_STRAIN
        scale = np.exp(np.clip(strain, -LARGEST_STRAIN, LARGEST_STRAIN) / 3.0)
        m.positions, m.cell, m.velocities = m.positions * scale, m.cell * scale, m.velocities / scale


def thermal_velocities(
    masses: FloatArray, temperature: float, rng: np.random.Generator, free: NDArray[np.bool_] | None = None
) -> FloatArray:
    """Return velocities of Maxwell and Boltzmann, √(eV/u).

    Without motion of the centre of mass, but where atoms are fixed: these take up momentum.

    Parameters
    ----------
    masses : ndarray of shape (n_atoms,), u
    temperature : float, K
    free : ndarray of bool, shape (n_atoms,), or None
        See `Motion`.
    """
    velocities = np.sqrt(BOLTZMANN * temperature / masses)[:, None] * rng.standard_normal((len(masses), 3))
    if free is None and len(masses) > 1:
        velocities -= masses @ velocities / masses.sum()
    return of_free(velocities, free)


def degrees_of_freedom(motion: Motion, bath: Bath | None) -> int:
    """Return how many share the kinetic energy.

    Three for each atom that moves; without a bath and fixed atoms the centre of mass stays at rest.
    """
    if motion.free is not None:
        return 3 * int(motion.free.sum())
    n_atoms = len(motion.masses)
    return 3 * n_atoms if bath is not None or n_atoms == 1 else 3 * n_atoms - 3


def of_free(vectors: FloatArray, free: NDArray[np.bool_] | None) -> FloatArray:
    """Return vectors of shape (n_atoms, 3) with zero for atoms that are fixed."""
    return vectors if free is None else np.where(free[:, None], vectors, 0.0)
