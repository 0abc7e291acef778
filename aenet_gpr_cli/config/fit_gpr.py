"""Configuration of `fit-gpr`: one Gaussian process on energies and forces per subset."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from aenet_gpr_cli.config.base import Fraction, PositiveFloat, PositiveInt, StageConfig, StrictModel

DescriptorName = Literal["inverse_distance", "cartesian", "soap"]
Atom = Annotated[int, Field(ge=0)]


class SearchConfig(StrictModel):
    """How length scale, power and noise are chosen, with training data only."""

    method: Literal["auto", "likelihood", "leave_one_out", "validation"] = Field(
        "auto",
        description="log marginal likelihood (along its gradient); errors of predicting each training "
        "structure from the others; errors on training structures held out (the paper's); auto: the "
        "likelihood, but leave_one_out for subsets with few data",
    )
    likelihood_rows: PositiveInt = Field(
        500, description="energies and force components from which on auto takes the likelihood"
    )
    max_rows: PositiveInt = Field(
        4000,
        description="energies and force components (of a seeded choice of structures) that are compared on",
    )
    max_evaluations: PositiveInt = Field(30, description="steps per descriptor where no list is given")
    length_bounds: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.3, 100.0), description="range of the length scale, in median distances between structures"
    )
    fit_noise: bool = Field(False, description="search the noises of energies and forces too")
    noise_bounds: tuple[PositiveFloat, PositiveFloat] = Field(
        (1e-7, 1e-1), description="range of the noises, where searched"
    )
    validation_fraction: Fraction = Field(
        0.2, description="of the compared structures, held out for the method validation"
    )

    def method_for(self, n_rows: int) -> str:
        """Return the method for a subset with so many energies and force components."""
        if self.method != "auto":
            return self.method
        return "likelihood" if n_rows >= self.likelihood_rows else "leave_one_out"


class ConjugateGradientConfig(StrictModel):
    """The matrix-free solver."""

    tolerance: PositiveFloat = Field(1e-4, lt=1, description="relative residual to reach")
    max_iterations: PositiveInt = Field(5000, description="iterations before giving up")
    max_rank: int = Field(
        8000, ge=0, description="largest rank of the preconditioner; less where memory asks for it"
    )
    n_probes: int = Field(
        0,
        ge=0,
        description="random vectors for an estimate of the log likelihood, each as dear as the fit; 0: none",
    )


class SoapConfig(StrictModel):
    """The SOAP power spectrum, as dscribe's, where the descriptor is soap."""

    cutoff: float = Field(5.0, gt=1, description="reach of the radial functions, in Å")
    n_max: PositiveInt = Field(6, description="radial functions")
    l_max: int = Field(4, ge=0, description="largest degree of the spherical harmonics")
    sigma: PositiveFloat = Field(0.5, description="width of the Gaussian that stands for an atom, in Å")
    average: Literal["outer", "inner", "species", "off"] = Field(
        "outer",
        description="outer: mean spectrum of all centres; inner: spectrum of their mean density; species: "
        "mean spectrum of the atoms of each species; off: the spectra of all centres one after another",
    )
    centres: list[tuple[float, float, float]] | None = Field(
        None,
        min_length=1,
        description="points fixed in space, [[x, y, z], ...] in Å, usually with average: off; default: every "
        "atom, moving with it",
    )

    compare: Literal["vector", "pairs"] = Field(
        "vector",
        description="with average: off, the kernel of all spectra as one vector, or pairs: the mean of the "
        "kernels of all pairs of centres (the paper's), which costs the square of their number",
    )

    @model_validator(mode="after")
    def _species_need_atoms(self) -> SoapConfig:
        if self.average == "species" and self.centres is not None:
            raise ValueError("average: species needs centres on atoms; leave centres out")
        if self.compare == "pairs" and self.average != "off":
            raise ValueError("compare: pairs needs average: off")
        return self


class FitGprConfig(StageConfig):
    """Fit a full GP on energies and forces for each subset."""

    neutral: ClassVar[frozenset[str]] = frozenset({"workers"})
    descriptor: DescriptorName | list[DescriptorName] = Field(
        "inverse_distance",
        description="global descriptor: inverse_distance of all pairs, cartesian coordinates, or soap; a "
        "list joins several, each in units of its median distance between structures",
    )
    weights: list[PositiveFloat] | None = Field(
        None, description="of the parts where descriptor is a list; default: all 1"
    )
    power: PositiveFloat | list[PositiveFloat] = Field(
        default_factory=lambda: [1.0, 1.5, 2.0],
        description="inverse distances (only) enter as 1/r^power; the best of a list is taken",
    )
    pair_cutoff: PositiveFloat | None = Field(
        None, description="inverse distances go smoothly to zero at this distance, in Å; default: none"
    )
    permutations: Literal["none", "auto"] | list[list[Atom]] = Field(
        "none",
        description="atoms whose exchange leaves the energy unchanged: auto finds equal molecules and equal "
        "atoms within them and keeps what raises the likelihood; or generators, [[1, 0, 2], ...]",
    )
    max_permutations: PositiveInt = Field(
        8, le=120, description="largest group to consider; the cost of a fit grows with its square"
    )
    soap: SoapConfig = Field(default_factory=SoapConfig, description="settings of the descriptor soap")
    kernel: Literal["squared_exponential", "matern52"] = Field(
        "squared_exponential", description="kernel (covariance function)"
    )
    length_scale: PositiveFloat | list[PositiveFloat] | None = Field(
        None,
        description="length scale in units of the descriptor (1/Å^power, Å, or those of soap); the best of a "
        "list is taken; default: searched",
    )
    search: SearchConfig = Field(
        default_factory=SearchConfig, description="search for length scale, power and noise"
    )
    noise_std_energy: PositiveFloat = Field(
        1e-4, description="noise of the energies, as a fraction of signal_std"
    )
    noise_std_force: PositiveFloat = Field(
        1e-4, description="noise of the forces, as a fraction of signal_std per Å"
    )
    solver: Literal["auto", "cholesky", "mixed_precision", "conjugate_gradient"] = Field(
        "auto",
        description="auto: cholesky while the matrix fits into max_memory_gib, else conjugate_gradient, "
        "which needs no matrix; mixed_precision (with soap.compare: pairs) takes half of cholesky's memory "
        "and time where the noise is about 1e-3",
    )
    conjugate_gradient: ConjugateGradientConfig = Field(
        default_factory=ConjugateGradientConfig, description="settings of the matrix-free solver"
    )
    device: str | None = Field(
        None, description="device of torch that factorises or multiplies, such as cuda; default: the CPU"
    )
    max_jitter: float = Field(
        1e-8,
        ge=0,
        description="largest variance (of the signal's) added to the diagonal where a factorisation fails",
    )
    duplicate_distance: float = Field(
        1e-3,
        ge=0,
        description="structures nearer than this are named as duplicates, in median distances between "
        "structures",
    )
    compatibility: Literal["none", "aenet-gpr"] = Field(
        "none",
        description="aenet-gpr: reproduce version 3.7.9 of that package with its noise, for descriptor "
        "cartesian and a given length_scale (its scale)",
    )
    max_memory_gib: PositiveFloat = Field(16.0, description="memory that a fit may take, in GiB")
    subsets: list[str] | None = Field(None, description="fit only these subsets; default: all")
    workers: PositiveInt = Field(
        1, description="subsets fitted at the same time, in processes that share cores and max_memory_gib"
    )

    @field_validator("length_scale", "power")
    @classmethod
    def _not_empty(cls, value: float | list[float] | None) -> float | list[float] | None:
        if isinstance(value, list) and not value:
            raise ValueError("expected a number or a list with at least one number")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> FitGprConfig:
        parts = self.descriptors
        if not parts or len(set(parts)) < len(parts):
            raise ValueError("descriptor: expected different names, at least one")
        if self.weights is not None and len(self.weights) != len(parts):
            raise ValueError(f"weights: expected one per part of descriptor, {len(parts)}")
        if isinstance(self.length_scale, list) and len(self.length_scale) > 1 and self.search.fit_noise:
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
        return self

    @property
    def descriptors(self) -> list[str]:
        """Names of the parts of the descriptor."""
        return list(self.descriptor) if isinstance(self.descriptor, list) else [self.descriptor]
