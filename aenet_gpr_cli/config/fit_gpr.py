"""Configuration of `fit-gpr`: one Gaussian process on energies and forces per subset."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from aenet_gpr_cli.config.base import PositiveFloat, PositiveInt, StageConfig, StrictModel


class SearchConfig(StrictModel):
    """How length scale and power are chosen from lists, with training data only."""

    max_rows: PositiveInt = Field(
        4000,
        description="energies and force components (of a seeded choice of structures) that are compared on",
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

    @model_validator(mode="after")
    def _species_need_atoms(self) -> SoapConfig:
        if self.average == "species" and self.centres is not None:
            raise ValueError("average: species needs centres on atoms; leave centres out")
        return self


class FitGprConfig(StageConfig):
    """Fit a full GP on energies and forces for each subset."""

    neutral: ClassVar[frozenset[str]] = frozenset({"workers"})
    descriptor: Literal["inverse_distance", "cartesian", "soap"] = Field(
        "inverse_distance",
        description="global descriptor: inverse distances of all pairs, Cartesian coordinates, or soap",
    )
    power: PositiveFloat | list[PositiveFloat] = Field(
        default_factory=lambda: [1.0, 1.5, 2.0],
        description="inverse distances (only) enter as 1/r^power; a list is searched like the length scale",
    )
    soap: SoapConfig = Field(default_factory=SoapConfig, description="settings of the descriptor soap")
    kernel: Literal["squared_exponential", "matern52"] = Field(
        "squared_exponential", description="kernel (covariance function)"
    )
    length_scale: PositiveFloat | list[PositiveFloat] = Field(
        default_factory=lambda: [0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6],
        description="length scale in units of the descriptor (1/Å^power, Å, or those of soap, which wants "
        "more: 1 to 16); a list is searched by log marginal likelihood",
    )
    search: SearchConfig = Field(default_factory=SearchConfig, description="settings of these searches")
    noise_std_energy: PositiveFloat = Field(
        1e-4, description="noise of the energies, as a fraction of signal_std"
    )
    noise_std_force: PositiveFloat = Field(
        1e-4, description="noise of the forces, as a fraction of signal_std per Å"
    )
    solver: Literal["auto", "cholesky", "conjugate_gradient"] = Field(
        "auto", description="auto: Cholesky while the matrix fits into max_memory_gib"
    )
    max_memory_gib: PositiveFloat = Field(16.0, description="memory that a fit may take, in GiB")
    subsets: list[str] | None = Field(None, description="fit only these subsets; default: all")
    workers: PositiveInt = Field(
        1, description="subsets fitted at the same time, in processes that share cores and max_memory_gib"
    )

    @field_validator("length_scale", "power")
    @classmethod
    def _not_empty(cls, value: float | list[float]) -> float | list[float]:
        if isinstance(value, list) and not value:
            raise ValueError("expected a number or a list with at least one number")
        return value
