"""The keys of a training: descriptor and networks, committee, mode, optimisers, loss.

They stand apart from what they steer so that a configuration is read without torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from annotated_types import Ge, Gt, Le

from aenet_gpr_cli.descriptors.environment_keys import Auto, Cutoffs, EnvironmentKeys
from aenet_gpr_cli.settings import Fraction, NonNegativeFloat, Number, PositiveFloat, PositiveInt, settings
from aenet_gpr_cli.structures import FloatArray
from aenet_gpr_cli.units import MEV_PER_EV

if TYPE_CHECKING:
    from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis

Mode = Literal["energy_only", "taylor", "gpr", "direct", "combined"]
NetworkSigmaMethod = Literal["laplace", "committee", "none"]
COMPONENTS_PER_WEIGHT = 10  # of forces, where their share is auto
Label = Literal["taylor", "gpr"]  # of copies: where their energies come from
Losses = TypeVar("Losses", float, FloatArray)


@settings
class Network(EnvironmentKeys):
    """Chebyshev descriptor of the atomic environment, and one multilayer perceptron per species."""

    radial_cutoff: PositiveFloat = 6.5
    """radial cutoff in Å"""
    radial_order: Annotated[int, Ge(0), Le(1000)] = 12
    """highest radial Chebyshev order"""
    angular_cutoff: PositiveFloat = 4.0
    """angular cutoff in Å"""
    angular_cutoffs: Auto | Cutoffs | None = None
    """several angular cutoffs in Å side by side, in place of angular_cutoff: angles then know how far their
    neighbours are; ænet's files cannot carry them; auto: angular_cutoff, three or four, by the evidence of
    local Gaussian processes of the training structures"""
    angular_order: Annotated[int, Ge(-1), Le(1000)] = 4
    """highest angular Chebyshev order; -1: radial only"""
    resolve_species: Auto | bool = False
    """with three species or more, sums over the neighbours of each species, too, which ænet's descriptor does
    not tell apart and its files cannot carry; auto: by evidence, as angular_cutoffs"""
    species: tuple[str, ...] | None = None
    """order of the species, which sets their weights; default: alphabetical"""
    hidden: tuple[Annotated[PositiveInt, Le(100_000)], ...] = (10, 10)
    """nodes of the hidden layers"""
    activation: Literal["tanh", "sigmoid", "linear", "mtanh", "twist"] = "tanh"
    """ænet's names"""

    def __post_init__(self) -> None:
        for angles in self.angle_choices:
            self.check_angles(angles)

    @property
    def angle_choices(self) -> tuple[tuple[float, ...], ...]:
        """Angular cutoffs to choose from by evidence, Å."""
        if self.angular_cutoffs == "auto":
            return self.several(self.angular_cutoff)
        return (self.angular_cutoffs or (self.angular_cutoff,),)

    @property
    def angular_reach(self) -> float:
        """Largest angular cutoff, Å, of all choices."""
        return max(max(angles) for angles in self.angle_choices)

    @property
    def decided(self) -> bool:
        """Whether nothing is left to evidence."""
        return len(self.angle_choices) == len(self.resolutions) == 1

    def basis(self, species: Iterable[str]) -> ChebyshevBasis:
        """Return the descriptor for the species of the data: the largest where evidence is to decide."""
        angles, resolved = self.angle_choices[-1], self.resolutions[-1]
        return self.environment_basis(self.species or tuple(sorted(species)), angles, resolved)


@settings
class AdamW:
    """AdamW: the paper's optimiser."""

    learning_rate: PositiveFloat = 0.001
    """learning rate (the paper: 1e-4)"""
    weight_decay: NonNegativeFloat = 0.001
    """decoupled weight decay"""
    batch_size: PositiveInt = 32
    """structures per batch (the paper: 32; 256 for augmented sets)"""
    epochs: Annotated[PositiveInt, Le(10_000_000)] = 2000
    """at most this many passes over the data"""
    patience: PositiveInt = 300
    """stop after this many epochs without a better validation error"""
    schedule: Literal["constant", "cosine"] = "cosine"
    """learning rate over the epochs"""


@settings
class LevenbergMarquardt:
    """Levenberg-Marquardt: few iterations, each a linear least-squares problem in all weights."""

    iterations: Annotated[PositiveInt, Le(1_000_000)] = 60
    """at most this many linearisations, but see extension"""
    extension: Annotated[float, Ge(1), Le(100)] = 3.0
    """a network that is still learning in its last iterations, far from the data or fast, goes on, up to so
    many times as many; 1: none does"""
    damping: PositiveFloat = 0.001
    """first damping, relative to the largest diagonal of JᵀJ"""
    scaling: Literal["identity", "diagonal"] = "identity"
    """what the damping multiplies: 1, or the diagonal of JᵀJ (Marquardt)"""
    regularisation: Literal["evidence", "none"] = "evidence"
    """evidence: a weight decay for each layer and species, determined from the training data at every
    iteration (MacKay); none: weight_decay"""
    weight_decay: NonNegativeFloat = 0.0
    """quadratic penalty on all weights without evidence"""
    smallest_noise: PositiveFloat = 0.001
    """noise that evidence assumes at least, relative to the spread of the data; among the networks that
    agree with them so closely it finds the smoothest"""
    trials: PositiveInt = 10
    """dampings tried per linearisation before a member stops"""
    patience: PositiveInt = 10
    """stop after this many iterations without a better validation error"""
    tolerance: NonNegativeFloat = 1e-05
    """stop when the training error falls by less than this fraction"""
    window: PositiveInt = 10
    """iterations over which window_gain is looked at"""
    window_gain: Fraction = 0.01
    """stop when the training error fell by less than this fraction in the last window of iterations; 0: do
    not"""

    def __post_init__(self) -> None:
        if self.regularisation == "evidence" and self.weight_decay > 0.0:
            raise ValueError(
                f"expected weight_decay 0 where evidence determines it, got {self.weight_decay}; "
                "set regularisation: none to give it"
            )


@settings
class Loss:
    """What is minimised."""

    form: Literal["mse", "rmse"] = "mse"
    """mean squares, or their roots (as ænet-PyTorch)"""
    per: Literal["atom", "structure"] = "structure"
    """energy error per atom, or of the whole structure"""
    alpha: Annotated[float, Ge(0), Le(1)] = 0.3
    """α, weight of the forces (mean square per atom) where they are trained on; that of all energies, also of
    copies, is 1 - α"""
    beta: NonNegativeFloat = 0.003
    """β, weight of the virials of crystals and slabs (mean square of the six components, or of those in the
    plane, divided as energies are, see per) where forces are (α above 0) and data carry stress; added to the
    two others, so that β = 1 - α makes all virials together weigh as much as all energies; 0: off"""
    balance: Literal["alpha", "evidence"] = "alpha"
    """alpha: α and β decide how energies, forces and virials weigh; evidence: they are where it begins, and
    the noises of reference energies, of energies of copies, of forces and of virials are determined from the
    training data at every iteration of Levenberg-Marquardt (MacKay)"""
    force_fraction: Auto | Annotated[float, Gt(0), Le(1)] = 1.0
    """share of the reference forces that is trained on; auto: all, but of very many ten components for
    each weight of a network; with fewer than two its weights are not determined"""
    force_selection: Literal["structures", "components"] = "components"
    """draw whole structures, or force components of every structure"""
    sigma_scale: PositiveFloat | None = None
    """a copy whose label has σ (eV) gets the weight 1/(1 + (σ/sigma_scale)²); default: all 1"""

    def share_of_forces(self, n_components: float, n_weights: int) -> float:
        """Return force_fraction, or where it is auto the share that leaves enough for the weights.

        Parameters
        ----------
        n_components : int
            Force components of the references.
        n_weights : int
            Of one network.
        """
        if self.force_fraction != "auto":
            return self.force_fraction
        return min(1.0, COMPONENTS_PER_WEIGHT * n_weights / max(n_components, 1))

    def error_of(self, losses: Losses, energy_scale: float) -> Losses:
        """Return the errors that losses stand for, in meV: their roots where they are mean squares.

        Parameters
        ----------
        losses : float, or ndarray of any shape
            In the units of the network.
        energy_scale : float, eV
            Of one in these units.
        """
        roots = losses if self.form == "rmse" else losses**0.5
        return roots * (energy_scale * MEV_PER_EV)


@settings
class Training:
    """Train a committee of neural-network potentials in one of five modes."""

    mode: Mode = "gpr"
    """energy_only: reference energies; gpr, taylor: augmented energies; direct: reference energies and
    forces; combined: these, and energies of copies labelled by the Gaussian process"""
    network: Network = Network()
    """descriptor and layers"""
    baseline: Literal["none", "zbl"] = "none"
    """zbl: add the universal repulsion of nuclei where two atoms come closer than in any structure that is
    trained on (from 0.9 of the shortest distance of their elements): no fit changes, and hot dynamics meet a
    wall where networks may have a hole; ænet's files cannot carry it"""
    n_members: Annotated[PositiveInt, Le(10_000)] = 1
    """size of the committee"""
    bootstrap: bool = False
    """train each member on a resampling of the structures, copies with their parents"""
    optimiser: Literal["levenberg_marquardt", "adamw"] = "levenberg_marquardt"
    """which optimiser"""
    adamw: AdamW = AdamW()
    """settings of AdamW"""
    levenberg_marquardt: LevenbergMarquardt = LevenbergMarquardt()
    """settings of Levenberg-Marquardt"""
    loss: Loss = Loss()
    """what is minimised"""
    network_sigma: NetworkSigmaMethod = "laplace"
    """σ of the energies: laplace, of each network from JᵀJ of Levenberg-Marquardt, with the spread over the
    members (2 n_weights² bytes a member in the potential); committee, the spread alone; both calibrated on
    structures that were left out; none: the spread as it is"""
    validation_fraction: Fraction | None = None
    """share of the training structures, with their copies, kept for early stopping; default: none where
    evidence decays the weights, else 0.1"""
    atomic_energies: dict[str, Number] | None = None
    """reference energy per species in eV; default: isolated atoms of the split, least squares for others"""
    energy_scaling: Literal["range", "std"] = "range"
    """unit of the network's energies: range (as ænet) or standard deviation"""
    dtype: Literal["float64", "float32"] = "float64"
    """precision of AdamW; the potential is float64"""
    device: str = "cpu"
    """cpu, or cuda where there is one"""
    block_size: PositiveInt = 1024
    """structures evaluated at a time: bounds the memory"""
    max_memory_gib: PositiveFloat = 8.0
    """memory that descriptors may take, in GiB; larger sets keep them on disk, as float32, beside the
    output for the time of the training"""
    jacobian_memory_gib: NonNegativeFloat = 1.0
    """store the descriptor derivatives of the forces that are trained on up to this size, in GiB"""

    @property
    def held_out(self) -> float:
        """Share of the training structures kept for early stopping."""
        if self.validation_fraction is not None:
            return self.validation_fraction
        lm = self.optimiser == "levenberg_marquardt"
        return 0.0 if lm and self.levenberg_marquardt.regularisation == "evidence" else 0.1

    @property
    def label(self) -> Label | None:
        """Label that the copies carry which are trained on; None: no copies."""
        if self.mode == "combined":
            return "gpr"
        return self.mode if self.mode in ("gpr", "taylor") else None

    @property
    def with_copies(self) -> bool:
        """Whether labelled copies are trained on."""
        return self.label is not None

    @property
    def with_forces(self) -> bool:
        """Whether forces are trained on."""
        return self.mode in ("direct", "combined") and self.loss.alpha > 0.0

    @property
    def error_words(self) -> tuple[str, str]:
        """What the error that a loss stands for is, and its unit.

        It is weighted where the loss weighs kinds of data against each other: energies and forces, or, by
        evidence, reference energies and those of copies.
        """
        if self.with_forces or (self.with_copies and self.loss.balance == "evidence"):
            return "weighted error", "meV"
        return "error", f"meV per {self.loss.per}"

    def __post_init__(self) -> None:
        if self.optimiser == "levenberg_marquardt":
            if self.dtype != "float64":
                raise ValueError(f"dtype: expected float64 with Levenberg-Marquardt, got {self.dtype}")
            if self.loss.form != "mse":
                raise ValueError(f"loss.form: expected mse with Levenberg-Marquardt, got {self.loss.form}")
        if self.loss.balance == "evidence":
            lm = self.optimiser == "levenberg_marquardt"
            if not lm or self.levenberg_marquardt.regularisation != "evidence":
                raise ValueError(
                    "loss.balance: evidence needs optimiser levenberg_marquardt with regularisation evidence"
                )
            if self.loss.alpha == 1.0:
                raise ValueError("loss.alpha: expected less than 1 where balance is by evidence, got 1")
