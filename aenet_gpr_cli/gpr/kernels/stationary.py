"""Stationary kernels as functions of the squared descriptor distance, with unit signal variance.

Each gives the three numbers from which every covariance of energies and forces is built (k, k1, k2), and
nothing else; row order, noise and batching live in `covariance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.structures import FloatArray

KernelValues = tuple[FloatArray, FloatArray, FloatArray]


class Kernel(Protocol):
    """A stationary kernel k(d) with unit signal variance, elementwise on squared distances.

    Distances are in the unit of the descriptor; k is dimensionless, k1 = -2 dk/d(d²) and k2 = -2 dk1/d(d²).
    """

    @property
    def name(self) -> str:
        """Name used in configurations and artefacts."""
        ...

    @property
    def length_scale(self) -> float:
        """Length scale ℓ (the paper's scale), in units of the descriptor."""
        ...

    def value(self, squared_distance: FloatArray) -> FloatArray:
        """Return k alone."""
        ...

    def __call__(self, squared_distance: FloatArray) -> KernelValues:
        """Return (k, k1, k2)."""
        ...

    def length_scale_derivative(self, squared_distance: FloatArray) -> KernelValues:
        """Return the derivatives of (k, k1, k2) with respect to log ℓ."""
        ...


@dataclass(frozen=True, slots=True)
class SquaredExponential:
    """Squared-exponential kernel k = exp(-|d|²/2ℓ²), k1 = k/ℓ², k2 = k/ℓ⁴ (the paper's kernel).

    Attributes
    ----------
    length_scale : float, unit of the descriptor
        The paper's scale.
    """

    length_scale: float

    @property
    def name(self) -> str:
        """Name used in configurations and artefacts."""
        return "squared_exponential"

    def value(self, squared_distance: FloatArray) -> FloatArray:
        """Return k."""
        return np.exp(squared_distance * (-0.5 / self.length_scale**2))

    def __call__(self, squared_distance: FloatArray) -> KernelValues:
        """Return k, k1 = -2 dk/d(d²) and k2 = -2 dk1/d(d²)."""
        k = self.value(squared_distance)
        return k, k / self.length_scale**2, k / self.length_scale**4

    def length_scale_derivative(self, squared_distance: FloatArray) -> KernelValues:
        """Return d²k1, d²k2 - 2k1 and d²k2/ℓ² - 4k2."""
        _, k1, k2 = self(squared_distance)
        scaled = squared_distance / self.length_scale**2
        return squared_distance * k1, (scaled - 2.0) * k1, (scaled - 4.0) * k2


@dataclass(frozen=True, slots=True)
class Matern52:
    """Matérn-5/2 kernel k = (1 + a + a²/3) e⁻ᵃ, a = √5|d|/ℓ.

    k1 = 5/(3ℓ²) (1+a) e⁻ᵃ and k2 = 25/(3ℓ⁴) e⁻ᵃ, finite at d = 0.

    Attributes
    ----------
    length_scale : float, unit of the descriptor
    """

    length_scale: float

    @property
    def name(self) -> str:
        """Name used in configurations and artefacts."""
        return "matern52"

    def value(self, squared_distance: FloatArray) -> FloatArray:
        """Return k."""
        return self(squared_distance)[0]

    def __call__(self, squared_distance: FloatArray) -> KernelValues:
        """Return k, k1 = -2 dk/d(d²) and k2 = -2 dk1/d(d²)."""
        a2 = squared_distance * (5.0 / self.length_scale**2)
        a = np.sqrt(a2)
        decay = np.exp(-a)
        k1 = (5.0 / (3.0 * self.length_scale**2)) * (1.0 + a) * decay
        return (1.0 + a + a2 / 3.0) * decay, k1, (25.0 / (3.0 * self.length_scale**4)) * decay

    def length_scale_derivative(self, squared_distance: FloatArray) -> KernelValues:
        """Return d²k1, d²k2 - 2k1 and (a - 4) k2."""
        _, k1, k2 = self(squared_distance)
        a = np.sqrt(squared_distance) * (5.0**0.5 / self.length_scale)
        return squared_distance * k1, squared_distance * k2 - 2.0 * k1, (a - 4.0) * k2


@dataclass(frozen=True, slots=True)
class LengthScaleDerivative:
    """Derivative of a kernel with respect to log ℓ in the place of the kernel: gives ∂K/∂log ℓ.

    Attributes
    ----------
    kernel : Kernel
    """

    kernel: Kernel

    @property
    def name(self) -> str:
        """Name of the kernel with a mark."""
        return f"{self.kernel.name}_length_scale_derivative"

    @property
    def length_scale(self) -> float:
        """Length scale ℓ of the kernel."""
        return self.kernel.length_scale

    def value(self, squared_distance: FloatArray) -> FloatArray:
        """Return ∂k/∂log ℓ."""
        return self(squared_distance)[0]

    def __call__(self, squared_distance: FloatArray) -> KernelValues:
        """Return ∂(k, k1, k2)/∂log ℓ."""
        return self.kernel.length_scale_derivative(squared_distance)

    def length_scale_derivative(self, squared_distance: FloatArray) -> KernelValues:
        """Second derivatives are not needed."""
        raise NotImplementedError


KERNELS: dict[str, type[SquaredExponential] | type[Matern52]] = {
    "squared_exponential": SquaredExponential,
    "matern52": Matern52,
}


def make_kernel(name: str, length_scale: float) -> Kernel:
    """Return the kernel ``name`` with the given length scale.

    Parameters
    ----------
    name : str
        One of ``KERNELS``.
    length_scale : float, unit of the descriptor
        Positive.

    Raises
    ------
    ConfigError
        If the name is unknown or the length scale is not a positive number.
    """
    if name not in KERNELS:
        raise ConfigError(f"kernel: expected one of {', '.join(KERNELS)}, got {name!r}")
    if not (np.isfinite(length_scale) and length_scale > 0.0):
        raise ConfigError(f"length_scale: expected a positive number, got {length_scale}")
    return KERNELS[name](float(length_scale))
