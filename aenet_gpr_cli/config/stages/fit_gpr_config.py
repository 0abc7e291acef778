"""Configuration of `fit-gpr`: one Gaussian process on energies and forces per subset."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from aenet_gpr_cli.config.keys import StageConfig
from aenet_gpr_cli.settings import Fraction, PositiveFloat, PositiveInt, settings

DescriptorName = Literal["inverse_distance", "cartesian", "soap"]
Atom = Annotated[int, Ge(0)]


@settings
class SearchConfig:
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

    def method_for(self, n_rows: int) -> str:
        """Return the method for a subset with so many energies and force components."""
        if self.method != "auto":
            return self.method
        return "likelihood" if n_rows >= self.likelihood_rows else "leave_one_out"


@settings
class ConjugateGradientConfig:
    """The matrix-free solver."""

    tolerance: Annotated[PositiveFloat, Lt(1)] = 0.0001
    """relative residual to reach"""
    max_iterations: PositiveInt = 5000
    """iterations before giving up"""
    max_rank: Annotated[int, Ge(0)] = 8000
    """largest rank of the preconditioner; less where memory asks for it"""
    n_probes: Annotated[int, Ge(0)] = 0
    """random vectors for an estimate of the log likelihood, each as dear as the fit; 0: none"""


@settings
class SoapConfig:
    """The SOAP power spectrum, as dscribe's, where the descriptor is soap."""

    cutoff: Annotated[float, Gt(1)] = 5.0
    """reach of the radial functions, in Å"""
    n_max: PositiveInt = 6
    """radial functions"""
    l_max: Annotated[int, Ge(0)] = 4
    """largest degree of the spherical harmonics"""
    sigma: PositiveFloat = 0.5
    """width of the Gaussian that stands for an atom, in Å"""
    average: Literal["outer", "inner", "species", "off"] = "outer"
    """outer: mean spectrum of all centres; inner: spectrum of their mean density; species: mean spectrum of
    the atoms of each species; off: the spectra of all centres one after another"""
    centres: Annotated[tuple[tuple[float, float, float], ...], MinLen(1)] | None = None
    """points fixed in space, [[x, y, z], ...] in Å, usually with average: off; default: every atom, moving
    with it"""

    compare: Literal["vector", "pairs"] = "vector"
    """with average: off, the kernel of all spectra as one vector, or pairs: the mean of the kernels of all
    pairs of centres (the paper's), which costs the square of their number"""

    def __post_init__(self) -> None:
        if self.average == "species" and self.centres is not None:
            raise ValueError("average: species needs centres on atoms; leave centres out")
        if self.compare == "pairs" and self.average != "off":
            raise ValueError("compare: pairs needs average: off")


@settings
class FitGprConfig(StageConfig):
    """Fit a full GP on energies and forces for each subset."""

    neutral: ClassVar[frozenset[str]] = frozenset({"workers"})
    descriptor: DescriptorName | tuple[DescriptorName, ...] = "inverse_distance"
    """global descriptor: inverse_distance of all pairs, cartesian coordinates, or soap; a list joins
    several, each in units of its median distance between structures"""
    weights: tuple[PositiveFloat, ...] | None = None
    """of the parts where descriptor is a list; default: all 1"""
    power: PositiveFloat | tuple[PositiveFloat, ...] = (1.0, 1.5, 2.0)
    """inverse distances (only) enter as 1/r^power; the best of a list is taken"""
    pair_cutoff: PositiveFloat | None = None
    """inverse distances go smoothly to zero at this distance, in Å; default: none"""
    permutations: Literal["none", "auto"] | tuple[tuple[Atom, ...], ...] = "none"
    """atoms whose exchange leaves the energy unchanged: auto finds equal molecules and equal atoms within
    them and keeps what raises the likelihood; or generators, [[1, 0, 2], ...]"""
    max_permutations: Annotated[PositiveInt, Le(120)] = 8
    """largest group to consider; the cost of a fit grows with its square"""
    soap: SoapConfig = SoapConfig()
    """settings of the descriptor soap"""
    kernel: Literal["squared_exponential", "matern52"] = "squared_exponential"
    """kernel (covariance function)"""
    length_scale: PositiveFloat | tuple[PositiveFloat, ...] | None = None
    """length scale in units of the descriptor (1/Å^power, Å, or those of soap); the best of a list is
    taken; default: searched"""
    search: SearchConfig = SearchConfig()
    """search for length scale, power and noise"""
    noise_std_energy: PositiveFloat = 0.0001
    """noise of the energies, as a fraction of signal_std"""
    noise_std_force: PositiveFloat = 0.0001
    """noise of the forces, as a fraction of signal_std per Å"""
    solver: Literal["auto", "cholesky", "mixed_precision", "conjugate_gradient"] = "auto"
    """auto: cholesky while the matrix fits into max_memory_gib, else conjugate_gradient, which needs no
    matrix; mixed_precision (with soap.compare: pairs) takes half of cholesky's memory and time where the
    noise is about 1e-3"""
    conjugate_gradient: ConjugateGradientConfig = ConjugateGradientConfig()
    """settings of the matrix-free solver"""
    device: str | None = None
    """device of torch that factorises or multiplies, such as cuda; default: the CPU"""
    max_jitter: Annotated[float, Ge(0)] = 1e-08
    """largest variance (of the signal's) added to the diagonal where a factorisation fails"""
    duplicate_distance: Annotated[float, Ge(0)] = 0.001
    """structures nearer than this are named as duplicates, in median distances between structures"""
    compatibility: Literal["none", "aenet-gpr"] = "none"
    """aenet-gpr: reproduce version 3.7.9 of that package with its noise, for descriptor cartesian and a
    given length_scale (its scale)"""
    max_memory_gib: PositiveFloat = 16.0
    """memory that a fit may take, in GiB"""
    subsets: tuple[str, ...] | None = None
    """fit only these subsets; default: all"""
    workers: PositiveInt = 1
    """subsets fitted at the same time, in processes that share cores and max_memory_gib"""

    def __post_init__(self) -> None:
        for key in ("length_scale", "power"):
            if getattr(self, key) == ():
                raise ValueError(f"{key}: expected a number or a list with at least one number, got []")
        parts = self.descriptors
        if not parts or len(set(parts)) < len(parts):
            raise ValueError("descriptor: expected different names, at least one")
        if self.weights is not None and len(self.weights) != len(parts):
            raise ValueError(f"weights: expected one per part of descriptor, {len(parts)}")
        if isinstance(self.length_scale, tuple) and len(self.length_scale) > 1 and self.search.fit_noise:
            raise ValueError("search.fit_noise: does not go with a list of length scales; leave one out")
        if self.soap.compare == "pairs" and "soap" in parts and len(parts) > 1:
            raise ValueError("soap.compare: pairs does not go with other descriptors")
        if self.solver == "mixed_precision" and (self.soap.compare != "pairs" or "soap" not in parts):
            raise ValueError("solver: mixed_precision goes with descriptor: soap and soap.compare: pairs")
        if self.permutations != "none" and "soap" in parts:
            raise ValueError("permutations: soap is invariant already; use inverse_distance or cartesian")
        if self.compatibility == "aenet-gpr":
            plain = parts == ["cartesian"] and self.kernel == "squared_exponential"
            if not (plain and isinstance(self.length_scale, float) and self.permutations == "none"):
                raise ValueError(
                    "compatibility: aenet-gpr needs descriptor: cartesian, kernel: squared_exponential, one "
                    "length_scale and no permutations"
                )
            if self.solver == "conjugate_gradient":
                raise ValueError("compatibility: aenet-gpr needs solver: cholesky")

    @property
    def descriptors(self) -> list[str]:
        """Names of the parts of the descriptor."""
        return [self.descriptor] if isinstance(self.descriptor, str) else list(self.descriptor)
