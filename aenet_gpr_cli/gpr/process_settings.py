"""Keys of a process: kernel, length scale and noise, given or searched; the solver. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from aenet_gpr_cli.descriptors.environment_keys import Auto, Cutoffs, EnvironmentKeys
from aenet_gpr_cli.settings import Fraction, NonNegativeInt, Number, PositiveFloat, PositiveInt, settings
from aenet_gpr_cli.structures import FloatArray

if TYPE_CHECKING:
    from aenet_gpr_cli.descriptors.atomic_environments import EnvironmentBasis
    from aenet_gpr_cli.descriptors.soap.soap_environments import SoapEnvironments


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Length scale and noises of a process.

    Attributes
    ----------
    length_scale : float, unit of the descriptor
    noise_energy : float, dimensionless
        Noise standard deviation of energies relative to the signal standard deviation.
    noise_force : float, 1/Å
        The same for force components.
    """

    length_scale: float
    noise_energy: float
    noise_force: float

    @property
    def logs(self) -> FloatArray:
        """Logarithms, in the order of the attributes."""
        return np.log([self.length_scale, self.noise_energy, self.noise_force])

    @classmethod
    def from_logs(cls, logs: FloatArray) -> Hyperparameters:
        """Undo ``logs``, of shape (3,)."""
        return cls(*(float(v) for v in np.exp(logs)))


@settings
class Search:
    """How length scale, power and noise are chosen, with training data only."""

    method: Literal["auto", "likelihood", "leave_one_out", "validation"] = "auto"
    """log marginal likelihood (along its gradient); errors of predicting each training structure from the
    others; errors on training structures held out (the paper's); auto: the likelihood, but leave_one_out
    for subsets with few data"""
    likelihood_rows: PositiveInt = 500
    """energies and force components from which on auto takes the likelihood"""
    max_rows: PositiveInt = 4000
    """energies and force components (of a seeded choice of structures) that are compared on"""
    max_evaluations: PositiveInt = 30
    """steps per descriptor where no list is given"""
    length_bounds: tuple[PositiveFloat, PositiveFloat] = (0.3, 100.0)
    """range of the length scale, in median distances between structures"""
    fit_noise: bool = False
    """search the noises of energies and forces too"""
    noise_bounds: tuple[PositiveFloat, PositiveFloat] = (1e-07, 0.1)
    """range of the noises, where searched"""
    validation_fraction: Fraction = 0.2
    """of the compared structures, held out for the method validation"""

    def __post_init__(self) -> None:
        for key in ("length_bounds", "noise_bounds"):
            low, high = getattr(self, key)
            if low > high:
                raise ValueError(f"search.{key}: expected [lower, upper], got [{low}, {high}]")

    def method_for(self, n_rows: int) -> str:
        """Return the method for a subset with so many energies and force components."""
        if self.method != "auto":
            return self.method
        return "likelihood" if n_rows >= self.likelihood_rows else "leave_one_out"


@settings
class KernelChoice:
    """Kernel, its length scale and the noise: given, or to be searched."""

    kernel: Literal["squared_exponential", "matern52"] = "squared_exponential"
    """kernel (covariance function)"""
    length_scale: PositiveFloat | tuple[PositiveFloat, ...] | None = None
    """length scale in units of the descriptor (1/Å^power, Å, or those of soap); the best of a list is
    taken; default: searched"""
    search: Search = Search()
    """search for length scale, power and noise"""
    noise_std_energy: PositiveFloat = 0.0001
    """noise of the energies, as a fraction of signal_std"""
    noise_std_force: PositiveFloat = 0.0001
    """noise of the forces, as a fraction of signal_std per Å"""

    def __post_init__(self) -> None:
        if self.length_scale == ():
            raise ValueError("length_scale: expected a number or a list with at least one number, got []")
        if len(self.length_scales) > 1 and self.search.fit_noise:
            raise ValueError("search.fit_noise: does not go with a list of length scales; leave one out")

    @property
    def length_scales(self) -> tuple[float, ...]:
        """Length scales given: none where it is searched, several where the best is taken."""
        given = self.length_scale
        if given is None:
            return ()
        return given if isinstance(given, tuple) else (given,)

    def at(self, length_scale: float) -> Hyperparameters:
        """Return a length scale with the noises given."""
        return Hyperparameters(length_scale, self.noise_std_energy, self.noise_std_force)


@settings
class ConjugateGradient:
    """The matrix-free solver."""

    tolerance: Annotated[PositiveFloat, Lt(1)] = 0.0001
    """relative residual to reach"""
    max_iterations: PositiveInt = 5000
    """iterations before giving up"""
    max_rank: NonNegativeInt = 8000
    """largest rank of the preconditioner; less where memory asks for it"""


ONE_ANGULAR = 5 / 6  # angular cutoff, where there is one, as a fraction of the radial one


@settings
class SoapOfAtoms:
    """SOAP power spectra of atomic environments, normalised, where local.descriptor is soap."""

    cutoff: Annotated[PositiveFloat, Gt(1)] = 5.0
    """neighbours beyond do not count, in Å; they fade out over the last one"""
    n_max: Annotated[PositiveInt, Le(30)] = 6
    """radial functions"""
    l_max: Annotated[int, Ge(0), Le(20)] = 6
    """largest degree of the spherical harmonics"""
    sigma: PositiveFloat = 0.5
    """width of the Gaussian that represents an atom, in Å"""

    def basis(self, species: tuple[str, ...]) -> SoapEnvironments:
        """Return the descriptor of some species."""
        from aenet_gpr_cli.descriptors.soap.soap_environments import SoapEnvironments  # compiles

        return SoapEnvironments(species, self.cutoff, self.n_max, self.l_max, self.sigma)


@settings
class Local(EnvironmentKeys):
    """The local (atom-centred, sparse) Gaussian process."""

    descriptor: Literal["auto", "chebyshev", "soap"] = "auto"
    """of atomic environments: chebyshev, with the keys below; soap: more accurate where few elements meet in
    many ways, several times slower; auto: chebyshev, of a single element whichever evidence favours, unless
    angular_cutoffs or length_scale are given"""
    soap: SoapOfAtoms = SoapOfAtoms()
    """the descriptor soap"""
    radial_cutoff: PositiveFloat = 6.0
    """radial cutoff in Å"""
    radial_order: Annotated[int, Ge(0), Le(1000)] = 14
    """highest radial Chebyshev order"""
    angular_cutoffs: Auto | Cutoffs = "auto"
    """angular cutoffs in Å; several side by side tell how far the neighbours of an angle are, at the price of
    more features; auto: one, three or four, by evidence"""
    angular_order: Annotated[int, Ge(-1), Le(1000)] = 8
    """highest angular Chebyshev order"""
    resolve_species: Auto | bool = "auto"
    """with three species or more, sums over the neighbours of each species, too; auto: by evidence"""
    n_inducing: PositiveInt | None = None
    """inducing environments per species, far apart; default: one for five energies and force components, at
    most 600, of a single species 1200; molecules gain from more"""
    length_scale: PositiveFloat | None = None
    """in units of the spread of a feature; default: by evidence"""
    learn_metric: bool = True
    """let directions of the descriptor along which energies vary more count more, if evidence favours it: a
    second pass over at most 40,000 rows; not with a given length_scale or fewer than 50 structures"""
    noise_std_energy: PositiveFloat = 2e-3
    """assumed noise of the energies, in eV for each square root of the atoms; scaled by evidence"""
    noise_std_force: PositiveFloat = 0.05
    """assumed noise of the forces, in eV/Å; scaled by evidence"""
    virials: bool = True
    """train on the stress, too, of crystals, and of slabs in their plane, that have one"""
    noise_std_virial: PositiveFloat | None = None
    """assumed noise of the virials (stress times volume), in eV for each square root of the atoms, scaled
    with the others; default: by evidence"""
    max_rows: PositiveInt = 4000
    """energies and force components on which length scales are compared"""
    atomic_energies: dict[str, Number] | None = None
    """reference energy per species in eV, least squares for those not given; default: isolated atoms of the
    split"""

    def __post_init__(self) -> None:
        for angles in self.angle_choices:
            self.check_angles(angles)

    @property
    def angle_choices(self) -> tuple[tuple[float, ...], ...]:
        """Angular cutoffs to choose from by evidence, Å."""
        if self.angular_cutoffs == "auto":
            return self.several(ONE_ANGULAR * self.radial_cutoff)
        return (self.angular_cutoffs,)

    @property
    def resolutions(self) -> tuple[bool, ...]:
        """Whether the Chebyshev descriptor resolves species, to choose from by evidence."""
        return (False,) if self.descriptor == "soap" else super().resolutions

    def bases(self, species: tuple[str, ...]) -> list[EnvironmentBasis]:
        """Return the descriptors to choose from by evidence, before species are resolved."""
        if self.descriptor == "soap":
            return [self.soap.basis(species)]
        found = super().bases(species)
        return [*found, self.soap.basis(species)] if self.compares_soap(len(species)) else found

    def compares_soap(self, n_species: int) -> bool:
        """Whether evidence decides between both descriptors."""
        given = self.angular_cutoffs != "auto" or self.length_scale is not None
        return self.descriptor == "auto" and n_species == 1 and not given
