"""Configuration of `fit-gpr`: one Gaussian process on energies and forces per subset."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from aenet_gpr_cli.config.keys import StageConfig
from aenet_gpr_cli.descriptors.descriptor_settings import DescriptorChoice, SoapSettings
from aenet_gpr_cli.gpr.process_settings import ConjugateGradient, KernelChoice, Local
from aenet_gpr_cli.settings import NonNegativeFloat, PositiveFloat, PositiveInt, settings


@settings
class FitGprConfig(KernelChoice, DescriptorChoice, StageConfig):
    """Fit a full GP on energies and forces for each subset."""

    model: Literal["auto", "full", "local"] = "auto"
    """full: one process per subset, of the same atoms in the same cell; local: one process of atomic
    environments for all subsets, any composition and cell; auto: for each subset the one that predicts its
    left-out training structures better (geometric mean of both errors, of energies and of forces); local
    where a subset has fewer than three structures, no forces, cells that vary or, for inverse distances, are
    below 5 Å"""
    comparison_minutes: PositiveFloat = 30.0
    """forecast minutes of one core for the full processes of auto, cheapest first; of the others a process
    is fitted only if it is better on few structures"""
    local: Local = Local()
    """settings of the local process"""
    baseline: Literal["none", "zbl"] = "none"
    """zbl: add the universal repulsion of nuclei to predictions and labels where two atoms come closer than
    in any structure that is fitted (from 0.9 of the shortest distance of their elements): no fit changes, and
    hot dynamics meet a wall where a process falls back to its prior mean"""
    solver: Literal["auto", "cholesky", "mixed_precision", "conjugate_gradient"] = "auto"
    """auto: conjugate_gradient, which needs no matrix, where it is faster by forecast or the matrix does not
    fit into max_memory_gib; else cholesky, which also gives likelihood and left-out errors;
    mixed_precision (with soap.compare: pairs) takes half of cholesky's memory and time where the noise is
    about 1e-3"""
    conjugate_gradient: ConjugateGradient = ConjugateGradient()
    """settings of the matrix-free solver"""
    device: str | None = None
    """device of torch that factorises or multiplies, such as cuda; default: the CPU"""
    max_jitter: NonNegativeFloat = 1e-08
    """largest variance (of the signal's) added to the diagonal where a factorisation fails"""
    duplicate_distance: NonNegativeFloat = 0.001
    """structures nearer than this are named as duplicates, in median distances between structures"""
    compatibility: Literal["none", "aenet-gpr"] = "none"
    """aenet-gpr: reproduce version 3.7.9 of that package with its noise, for descriptor cartesian and a
    given length_scale (its scale)"""
    max_memory_gib: PositiveFloat = 16.0
    """memory that a fit may take, in GiB; where search.max_rows need more, fewer rows are compared"""
    subsets: tuple[str, ...] | None = None
    """fit only these subsets; default: all"""
    workers: PositiveInt = 1
    """subsets fitted at the same time, in processes that share cores and max_memory_gib"""

    def __post_init__(self) -> None:
        KernelChoice.__post_init__(self)
        DescriptorChoice.__post_init__(self)
        if self.solver == "mixed_precision" and not (
            self.descriptors == ("soap",) and self.soap.compare == "pairs"
        ):
            raise ValueError("solver: mixed_precision goes with descriptor: soap and soap.compare: pairs")
        if self.compatibility == "aenet-gpr":
            plain = self.descriptors == ("cartesian",) and self.kernel == "squared_exponential"
            if not (plain and isinstance(self.length_scale, float) and isinstance(self.permutations, str)):
                raise ValueError(
                    "compatibility: aenet-gpr needs descriptor: cartesian, kernel: squared_exponential, one "
                    "length_scale and no permutations"
                )
            if self.solver == "conjugate_gradient":
                raise ValueError("compatibility: aenet-gpr needs solver: cholesky")

    @property
    def searches(self) -> bool:
        """Whether a full process is chosen from several by its training data."""
        fixed = len(self.alternatives) == len(self.powers) == len(self.length_scales) == 1
        return not fixed or self.search.fit_noise or self.searches_permutations

    @property
    def alternatives(self) -> tuple[FitGprConfig, ...]:
        """What `descriptor: auto` compares; itself where a descriptor is given."""
        if self.descriptor != "auto":
            return (self,)
        distances = replace(self, descriptor="inverse_distance")
        if self.length_scale is not None:
            return (distances,)
        spectra = [replace(self, descriptor="soap", permutations="none")]
        if self.soap == SoapSettings():
            by_species = replace(self.soap, average="species")
            spectra.append(replace(spectra[0], soap=by_species))
        return (distances, *spectra)
