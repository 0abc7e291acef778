"""Keys that were set and do nothing, as another key decides: each with the reason.

A key counts as set where it is not at its default: one file may serve several kinds of training or model, and
what is written out in full says nothing wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from aenet_gpr_cli.descriptors.descriptor_settings import DescriptorChoice
from aenet_gpr_cli.gpr.process_settings import KernelChoice

if TYPE_CHECKING:
    from aenet_gpr_cli.config.stages.active_config import LabelConfig, SelectConfig
    from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
    from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
    from aenet_gpr_cli.config.stages.md_config import MdConfig
    from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig

FULL = (
    *(field.name for group in (KernelChoice, DescriptorChoice) for field in fields(group)),
    *("solver", "conjugate_gradient", "compatibility", "max_jitter"),
)
CHEBYSHEV = tuple(
    f"local.{name}"
    for name in ("radial_cutoff", "radial_order", "angular_cutoffs", "angular_order", "resolve_species")
)
OF_FORCES = ("loss.alpha", "loss.beta", "loss.force_selection")
Rule = tuple[bool, str, tuple[str, ...]]
"""whether it holds, the reason, the keys that then do nothing"""


def idle_keys(config: Any) -> list[tuple[str, str]]:
    """Return keys that were set and do nothing, each with the reason.

    Parameters
    ----------
    config
        Of a stage; of one without such keys the list is empty.

    Examples
    --------
    >>> from aenet_gpr_cli.config.stages.md_config import MdConfig
    >>> idle_keys(MdConfig(ensemble="nvt", pressure_gpa=1.0))
    [('pressure_gpa', 'ensemble: nvt')]
    """
    rules = next((RULES[kind.__name__] for kind in type(config).__mro__ if kind.__name__ in RULES), None)
    if rules is None:
        return []
    default = type(config)()
    return [
        (key, reason)
        for holds, reason, keys in rules(config)
        if holds
        for key in keys
        if _value(config, key) != _value(default, key)
    ]


def _value(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = getattr(config, name)
    return config


def _of_md(c: MdConfig) -> Iterator[Rule]:
    of_pressure = ("pressure_gpa", "barostat_ps", "compressibility", "largest_gap")
    yield c.ensemble != "npt", f"ensemble: {c.ensemble}", of_pressure
    yield c.ensemble == "nve", "ensemble: nve", ("thermostat_ps",)
    yield c.reference is None, "no reference", ("reference_every",)
    yield c.replicas == 1 and not c.replica, "replicas: 1", ("each_frame",)


def _of_training(c: TrainAnnConfig) -> Iterator[Rule]:
    others = "adamw" if c.optimiser == "levenberg_marquardt" else "levenberg_marquardt"
    yield True, f"optimiser: {c.optimiser}", (others,)
    yield not c.with_copies, f"mode: {c.mode}", ("loss.sigma_scale",)
    of_forces = c.mode in ("direct", "combined")
    yield not of_forces, f"mode: {c.mode}", OF_FORCES
    yield of_forces and not c.with_forces, "loss.alpha: 0", ("loss.beta", "loss.force_selection")


def _of_fit(c: FitGprConfig) -> Iterator[Rule]:
    yield c.model == "local", "model: local", FULL
    yield c.model == "full", "model: full", ("local", "comparison_minutes")
    yield not c.local.virials, "local.virials: false", ("local.noise_std_virial",)
    yield c.local.descriptor == "chebyshev", "local.descriptor: chebyshev", ("local.soap",)
    yield c.local.descriptor == "soap", "local.descriptor: soap", CHEBYSHEV
    compares = c.local.descriptor != "auto" or c.local.compares_soap(1)
    yield not compares, "local.angular_cutoffs or length_scale given", ("local.soap",)
    if c.model == "local":
        return
    distances = "inverse_distance" in c.descriptors
    yield "soap" not in c.descriptors, f"descriptor: {', '.join(c.descriptors)}", ("soap",)
    yield not distances, f"descriptor: {', '.join(c.descriptors)}", ("power", "pair_cutoff")
    idle = c.permutations == "none" or not distances
    yield (
        idle,
        "permutations: none" if distances else f"descriptor: {', '.join(c.descriptors)}",
        ("max_permutations",),
    )
    yield c.solver in ("cholesky", "mixed_precision"), f"solver: {c.solver}", ("conjugate_gradient",)


def _of_copies(c: AugmentConfig) -> Iterator[Rule]:
    adaptive = c.mode == "adaptive" or c.strain == "auto"
    yield not adaptive, f"mode: {c.mode}", ("adaptive",)
    yield c.mode == "adaptive", "mode: adaptive", ("displacement",)
    yield c.method == "taylor", "method: taylor", ("anchored", "sigma", "sigma_max_rows")
    yield c.n_total is not None, "n_total", ("n_copies",)


def _of_choice(c: SelectConfig) -> Iterator[Rule]:
    drawn = ("rank_by", "over_atoms", "batch", "n_probes", "candidates", "diversity")
    yield c.strategy == "random" and c.threshold is None, "strategy: random", drawn
    yield c.batch in ("far_apart", "ranked"), f"batch: {c.batch}", ("candidates",)
    yield c.batch == "ranked", "batch: ranked", ("diversity",)


def _of_labels(c: LabelConfig) -> Iterator[Rule]:
    yield c.calculator.name == "stored", "calculator.name: stored", ("calculator.parameters",)


# by the names of classes: a stage need not load the keys of all others
RULES: dict[str, Callable[[Any], Iterator[Rule]]] = {
    "MdConfig": _of_md,
    "TrainAnnConfig": _of_training,
    "FitGprConfig": _of_fit,
    "AugmentConfig": _of_copies,
    "SelectConfig": _of_choice,
    "LabelConfig": _of_labels,
}
