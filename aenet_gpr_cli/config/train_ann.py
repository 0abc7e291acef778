"""Configuration of `train-ann`: descriptor, network, committee, mode and optimiser."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from aenet_gpr_cli.config.base import Fraction, PositiveFloat, PositiveInt, StageConfig, StrictModel

Mode = Literal["energy_only", "taylor", "gpr", "direct"]


class NetworkConfig(StrictModel):
    """Chebyshev descriptor of the atomic environment, and one multilayer perceptron per species."""

    radial_cutoff: PositiveFloat = Field(6.5, description="radial cutoff in Å")
    radial_order: int = Field(12, ge=0, description="highest radial Chebyshev order")
    angular_cutoff: PositiveFloat = Field(4.0, description="angular cutoff in Å")
    angular_order: int = Field(4, ge=-1, description="highest angular Chebyshev order; -1: radial only")
    species: list[str] | None = Field(
        None, description="order of the species, which sets their weights; default: alphabetical"
    )
    hidden: list[PositiveInt] = Field(
        default_factory=lambda: [10, 10], description="nodes of the hidden layers"
    )
    activation: Literal["tanh", "sigmoid", "linear", "mtanh", "twist"] = Field(
        "tanh", description="ænet's names"
    )

    @model_validator(mode="after")
    def _angular_within_radial(self) -> NetworkConfig:
        if self.angular_order >= 0 and self.angular_cutoff > self.radial_cutoff:
            raise ValueError(
                f"expected angular_cutoff <= radial_cutoff, got {self.angular_cutoff} > {self.radial_cutoff}"
            )
        return self


class AdamWConfig(StrictModel):
    """AdamW: the paper's optimiser."""

    learning_rate: PositiveFloat = Field(1e-3, description="learning rate (the paper: 1e-4)")
    weight_decay: float = Field(1e-3, ge=0, description="decoupled weight decay")
    batch_size: PositiveInt = Field(
        32, description="structures per batch (the paper: 32; 256 for augmented sets)"
    )
    epochs: PositiveInt = Field(2000, description="at most this many passes over the data")
    patience: PositiveInt = Field(
        300, description="stop after this many epochs without a better validation error"
    )
    schedule: Literal["constant", "cosine"] = Field("cosine", description="learning rate over the epochs")


class LevenbergMarquardtConfig(StrictModel):
    """Levenberg-Marquardt: few iterations, each a linear least-squares problem in all weights."""

    iterations: PositiveInt = Field(60, description="at most this many linearisations")
    damping: PositiveFloat = Field(1e-3, description="first damping, relative to the largest diagonal of JᵀJ")
    scaling: Literal["identity", "diagonal"] = Field(
        "identity", description="what the damping multiplies: 1, or the diagonal of JᵀJ (Marquardt)"
    )
    regularisation: Literal["evidence", "none"] = Field(
        "evidence",
        description="evidence: a weight decay for each layer and species, determined from the training data "
        "at every iteration (MacKay); none: weight_decay",
    )
    weight_decay: float = Field(0.0, ge=0, description="quadratic penalty on all weights without evidence")
    smallest_noise: PositiveFloat = Field(
        1e-3,
        description="noise that evidence assumes at least, relative to the spread of the data; among the "
        "networks that agree with them so closely it finds the smoothest",
    )
    trials: PositiveInt = Field(10, description="dampings tried per linearisation before a member stops")
    patience: PositiveInt = Field(
        10, description="stop after this many iterations without a better validation error"
    )
    tolerance: float = Field(
        1e-5, ge=0, description="stop when the training error falls by less than this fraction"
    )

    restarts: PositiveInt = Field(
        1, description="initialisations per member; the best after restart_iterations goes on"
    )
    restart_iterations: PositiveInt = Field(5, description="linearisations before that choice")

    @model_validator(mode="after")
    def _one_decay(self) -> LevenbergMarquardtConfig:
        if self.regularisation == "evidence" and self.weight_decay > 0.0:
            raise ValueError(
                f"expected weight_decay 0 where evidence determines it, got {self.weight_decay}; "
                "set regularisation: none to give it"
            )
        return self


class LossConfig(StrictModel):
    """What is minimised."""

    form: Literal["mse", "rmse"] = Field("mse", description="mean squares, or their roots (as ænet-PyTorch)")
    per: Literal["atom", "structure"] = Field(
        "structure", description="energy error per atom, or of the whole structure"
    )
    alpha: float = Field(0.3, ge=0, le=1, description="α, weight of the forces in direct force training")
    force_fraction: float = Field(1.0, gt=0, le=1, description="share of the forces in direct force training")
    force_selection: Literal["structures", "components"] = Field(
        "components", description="draw whole structures, or force components of every structure"
    )
    sigma_scale: PositiveFloat | None = Field(
        None,
        description="a copy whose label has σ (eV) gets the weight 1/(1 + (σ/sigma_scale)²); default: all 1",
    )


class TrainAnnConfig(StageConfig):
    """Train a committee of neural-network potentials in one of four modes."""

    neutral: ClassVar[frozenset[str]] = frozenset({"checkpoint_seconds"})
    mode: Mode = Field(
        "gpr",
        description="energy_only: reference energies; gpr, taylor: augmented energies; direct: forces",
    )
    network: NetworkConfig = Field(default_factory=NetworkConfig, description="descriptor and layers")
    n_members: PositiveInt = Field(1, description="size of the committee")
    bootstrap: bool = Field(
        False, description="train each member on a resampling of the structures, copies with their parents"
    )
    optimiser: Literal["levenberg_marquardt", "adamw"] = Field(
        "levenberg_marquardt", description="which optimiser"
    )
    adamw: AdamWConfig = Field(default_factory=AdamWConfig, description="settings of AdamW")
    levenberg_marquardt: LevenbergMarquardtConfig = Field(
        default_factory=LevenbergMarquardtConfig, description="settings of Levenberg-Marquardt"
    )
    loss: LossConfig = Field(default_factory=LossConfig, description="what is minimised")
    validation_fraction: Fraction | None = Field(
        None,
        description="share of the training structures, with their copies, kept for early stopping; default: "
        "none where evidence decays the weights, else 0.1",
    )
    atomic_energies: dict[str, float] | None = Field(
        None, description="reference energy per species in eV; default: least squares"
    )
    energy_scaling: Literal["range", "std"] = Field(
        "range", description="unit of the network's energies: range (as ænet) or standard deviation"
    )
    dtype: Literal["float64", "float32"] = Field(
        "float64", description="precision of AdamW; the potential is float64"
    )
    device: str = Field("cpu", description="cpu, or cuda where there is one")
    block_size: PositiveInt = Field(1024, description="structures evaluated at a time: bounds the memory")
    max_memory_gib: PositiveFloat = Field(
        8.0,
        description="memory that descriptors may take, in GiB; larger sets keep them on disk, as float32, "
        "beside the output for the time of the training",
    )
    jacobian_memory_gib: float = Field(
        1.0,
        ge=0,
        description="store the descriptor derivatives of direct force training up to this size, in GiB",
    )
    subsets: list[str] | None = Field(None, description="train on these subsets only; default: all")
    checkpoint_seconds: float = Field(
        60.0, ge=0, description="keep the state of the training every so often, to go on after a kill"
    )

    @property
    def held_out(self) -> float:
        """Share of the training structures kept for early stopping."""
        if self.validation_fraction is not None:
            return self.validation_fraction
        lm = self.optimiser == "levenberg_marquardt"
        return 0.0 if lm and self.levenberg_marquardt.regularisation == "evidence" else 0.1
