"""The one way from a file and a command line to a configuration: read, recognise, override, seed, build."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from aenet_gpr_cli.config.problems import explain, known_keys, unknown_key
from aenet_gpr_cli.config.stages.active_config import ActiveConfig
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.benchmark_config import BenchmarkConfig
from aenet_gpr_cli.config.stages.evaluate_config import EvaluateConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.label_config import LabelConfig
from aenet_gpr_cli.config.stages.predict_config import PredictConfig
from aenet_gpr_cli.config.stages.select_config import SelectConfig
from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.config.variants import choose_variant
from aenet_gpr_cli.config.workflow_config import WITH_VARIANTS, WorkflowConfig
from aenet_gpr_cli.config.yaml_text import apply_overrides, read_mapping
from aenet_gpr_cli.errors import ConfigError

CASES: dict[str, type] = {"workflow": WorkflowConfig, "active": ActiveConfig}  # files with a section a stage
STAGES: dict[str, type] = {
    "split": SplitConfig,
    "fit-gpr": FitGprConfig,
    "augment": AugmentConfig,
    "train-ann": TrainAnnConfig,
    "evaluate": EvaluateConfig,
    "predict": PredictConfig,
    "benchmark": BenchmarkConfig,
    "select": SelectConfig,
    "label": LabelConfig,
}
MODELS = CASES | STAGES

Config = TypeVar("Config")


def read_config(
    what: str | None,
    path: Path | None,
    overrides: Iterable[str] = (),
    seed: int | None = None,
    section: str | None = None,
    variant: str | None = None,
) -> tuple[str, Any]:
    """Return what a file is for, and its configuration.

    Parameters
    ----------
    what : str or None
        A key of `MODELS`. Without it: seen from the keys of the file.
    path : Path or None
        The keys of one stage, or a whole case, of which a stage takes its section. Without it: defaults.
    overrides : iterable of str
        ``key.sub=value``; they win over the file.
    seed : int, optional
        Wins over that of the file.
    section : str, optional
        Of a whole case, for a stage whose keys stand in several; default: the one named like the stage.
    variant : str, optional
        Of a section that holds several.

    Returns
    -------
    what : str
    config
        An instance of ``MODELS[what]``.

    Raises
    ------
    ConfigError
        With a line for each wrong key or value, or if the file may be for several stages.
    """
    source = str(path or "command line")
    data = read_mapping(path) if path else {}
    kind = recognise(data, source, what)
    if what is not None and kind in CASES and what not in CASES:
        data = _section(kind, data, section or what.replace("-", "_"), variant, source)
        kind = what
    data = apply_overrides(data, overrides)
    if seed is not None:
        data["seed"] = seed
    return kind, build(MODELS[kind], data, source)


def recognise(data: Mapping[str, Any], source: str, wanted: str | None = None) -> str:
    """Return the key of `MODELS` that a mapping is for.

    Parameters
    ----------
    data : mapping
    source : str
        Named in messages.
    wanted : str, optional
        What the command takes. A stage takes a file of its own keys or a whole case.

    Returns
    -------
    str

    Raises
    ------
    ConfigError
        If without ``wanted`` the keys fit several models equally well.
    """
    own = _count(data, MODELS[wanted]) if wanted else 0
    if wanted in CASES or (wanted and own == len(data)):
        return wanted
    if "pool" in data:
        return "active"
    if "name" in data or isinstance(data.get("split"), dict):
        return "workflow"
    if wanted:
        sections = sum(isinstance(v, dict) and k in known_keys(WorkflowConfig) for k, v in data.items())
        return "workflow" if sections > own else wanted
    known = {what: _count(data, model) for what, model in MODELS.items()}
    best = [what for what, number in known.items() if number == max(known.values())]
    if len(best) > 1:
        raise ConfigError(f"{source}: may be for {', '.join(best)}; say which with --for")
    return best[0]


def _count(data: Mapping[str, Any], model: type) -> int:
    return len(data.keys() & {field.name for field in fields(model)})


def _section(
    kind: str, data: dict[str, Any], section: str, variant: str | None, source: str
) -> dict[str, Any]:
    """Return the keys of one stage from those of a whole case, whose other sections must be known ones."""
    known = known_keys(CASES[kind])
    if strangers := [key for key in data if key not in known]:
        raise ConfigError("\n".join(f"{source}: {unknown_key(str(key), known)}" for key in strangers))
    content = data.get(section) or {}
    if section in WITH_VARIANTS and kind == "workflow":
        content = choose_variant(data, section, variant, source)
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: {section}: expected keys and values, got {content!r}")
    return ({"seed": data["seed"]} if "seed" in data else {}) | content


def build(model: type[Config], data: Mapping[str, Any], source: str) -> Config:
    """Check keys and values and return the typed configuration.

    Parameters
    ----------
    model : type
        A group of keys (`settings`); one with a class method ``expand`` has its short notation written out.
    data : mapping
    source : str
        Named in messages.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        With one line per problem: dotted key, what was expected, what was found, and the nearest known key.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        expand = getattr(model, "expand", None)
        return TypeAdapter(model).validate_python(expand(data) if expand else data)
    except ValidationError as error:
        lines = list(dict.fromkeys(explain(model, problem) for problem in error.errors()))
        raise ConfigError("\n".join(f"{source}: {line}" for line in lines)) from error
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from error
