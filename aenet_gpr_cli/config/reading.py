"""The one way from a file and a command line to a configuration: read, recognise, override, seed, build."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from aenet_gpr_cli.config.keys import with_seed
from aenet_gpr_cli.config.problems import explain, known_keys, one_each, path_of, place_of, unknown_key
from aenet_gpr_cli.config.variants import choose_variant
from aenet_gpr_cli.config.yaml_text import apply_overrides, read_mapping
from aenet_gpr_cli.errors import ConfigError


class Models(Mapping[str, type]):
    """Groups of keys by what they are for, each imported when it is asked for.

    To import all of them takes a tenth of the time of a short prediction, which needs one.

    Parameters
    ----------
    places : mapping of str to str
        Module in `config`, and class.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)

    def __getitem__(self, what: str) -> type:
        module, _, name = self._places[what].rpartition(".")
        found: type = getattr(importlib.import_module(f"aenet_gpr_cli.config.{module}"), name)
        return found

    def __contains__(self, what: object) -> bool:
        return what in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __or__(self, other: Models) -> Models:
        return Models(self._places | other._places)


# files with a section a stage
CASES = Models({"workflow": "workflow_config.WorkflowConfig", "active": "stages.active_config.ActiveConfig"})
STAGES = Models(
    {
        "split": "stages.split_config.SplitConfig",
        "fit-gpr": "stages.fit_gpr_config.FitGprConfig",
        "augment": "stages.augment_config.AugmentConfig",
        "train-ann": "stages.train_ann_config.TrainAnnConfig",
        "evaluate": "stages.prediction_config.EvaluateConfig",
        "predict": "stages.prediction_config.PredictConfig",
        "benchmark": "stages.benchmark_config.BenchmarkConfig",
        "select": "stages.active_config.SelectConfig",
        "label": "stages.active_config.LabelConfig",
        "md": "stages.md_config.MdConfig",
        "properties": "stages.properties_config.PropertiesConfig",
    }
)
MODELS = CASES | STAGES
SHOWN = 60  # characters of a --set in messages

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
    config
        An instance of ``MODELS[what]``.

    Raises
    ------
    ConfigError
        With a line for each wrong key or value, or if the file may be for several stages.
    """
    source, overrides = str(path or "command line"), list(overrides)
    data = read_mapping(path) if path else {}
    kind = recognise(data, source, what)
    if what is not None and kind in CASES and what not in CASES:
        data = _section(kind, data, section or what.replace("-", "_"), variant, source)
        kind = what
    data = apply_overrides(data, overrides)
    if seed is not None:
        data["seed"] = seed
    return kind, build(MODELS[kind], data, source, overrides if path else ())


def place_in(what: str, key: str) -> str:
    """Return the dotted path of a key in one of `MODELS`, as --set takes it; empty where it is none."""
    return place_of(MODELS[what], key)


def recognise(data: Mapping[str, Any], source: str, wanted: str | None = None) -> str:
    """Return the key of `MODELS` whose keys fit a mapping best.

    Parameters
    ----------
    source : str
        Named in messages.
    wanted : str, optional
        What the command takes. A stage takes its own keys, or a whole case that has more of the keys.

    Raises
    ------
    ConfigError
        If without ``wanted`` the keys fit several models equally well.
    """
    if wanted and (wanted in CASES or not data):
        return wanted
    candidates = [wanted, *CASES] if wanted else list(MODELS)
    fits = {what: _fit(data, MODELS[what]) for what in candidates}
    best = [what for what in candidates if fits[what] == max(fits.values())]
    if wanted is None and len(best) > 1:
        raise ConfigError(f"{source}: may be for {', '.join(best)}; say which with --for")
    return best[0]


def _fit(data: Mapping[str, Any], model: type) -> tuple[int, int]:
    """Return how many keys a model has, hyphens taken for underscores, and (negative) how many it lacks."""
    given = {str(key).replace("-", "_") for key in data}
    required = {field.name for field in fields(model) if field.default is field.default_factory is MISSING}
    return len(given & set(known_keys(model))), -len(required - given)


def _section(
    kind: str, data: dict[str, Any], section: str, variant: str | None, source: str
) -> dict[str, Any]:
    """Return the keys of one stage from those of a whole case, whose other sections must be known ones."""
    known = known_keys(CASES[kind])
    if strangers := [key for key in data if key not in known]:
        raise ConfigError("\n".join(f"{source}: {unknown_key(str(key), known)}" for key in strangers))
    if section not in known:
        raise ConfigError(f"{source}: expected the keys of {section}, got a file for {kind}, which has none")
    from aenet_gpr_cli.config.workflow_config import WITH_VARIANTS  # as all of `Models`

    content = data.get(section) or {}
    if kind == "workflow" and section in WITH_VARIANTS:
        content = choose_variant(data, section, variant, source)
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: {section}: expected keys and values, got {content!r}")
    return with_seed(content, data.get("seed"))


def build(model: type[Config], data: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> Config:
    """Check keys and values and return the typed configuration.

    Parameters
    ----------
    model : type
        A group of keys (`settings`); one with a class method ``expand`` has its short notation written out,
        and says with ``written_at`` where in it a value stands.
    source : str
        Named in messages.
    overrides : sequence of str
        ``key.sub=value`` that are in the data already: named in place of the source, or beside it where a
        problem is of several keys.

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
        written_at = getattr(model, "written_at", lambda _, path: path)
        lines = dict.fromkeys(
            f"{_origin(path, source, overrides)}: {explain(model, problem, path)}"
            for problem in one_each(error.errors())
            for path in [written_at(data, path_of(problem))]
        )
        raise ConfigError("\n".join(lines)) from error
    except ValueError as error:
        raise ConfigError(f"{_origin([], source, overrides)}: {error}") from error


def _origin(path: Sequence[str], source: str, overrides: Sequence[str]) -> str:
    """Return where the value at a path of keys comes from, for a message."""
    inside = []
    for item in reversed(overrides):  # the last one wins
        keys = item.partition("=")[0].strip().split(".")
        if list(path[: len(keys)]) == keys:
            return f"--set {item[:SHOWN]}"
        if keys[: len(path)] == list(path):
            inside.append(f" with --set {item[:SHOWN]}")
    return source + "".join(reversed(inside))
