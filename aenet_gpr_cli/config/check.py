"""Which configuration a file holds, whether it is right, and its JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aenet_gpr_cli.config.active import ActiveConfig
from aenet_gpr_cli.config.augment import AugmentConfig
from aenet_gpr_cli.config.benchmark import BenchmarkConfig
from aenet_gpr_cli.config.evaluate import EvaluateConfig
from aenet_gpr_cli.config.fit_gpr import FitGprConfig
from aenet_gpr_cli.config.label import LabelConfig
from aenet_gpr_cli.config.load import build, read_mapping
from aenet_gpr_cli.config.predict import PredictConfig
from aenet_gpr_cli.config.select import SelectConfig
from aenet_gpr_cli.config.split import SplitConfig
from aenet_gpr_cli.config.train_ann import TrainAnnConfig
from aenet_gpr_cli.config.workflow import WorkflowConfig
from aenet_gpr_cli.errors import ConfigError

MODELS: dict[str, type[BaseModel]] = {
    "workflow": WorkflowConfig,
    "split": SplitConfig,
    "fit-gpr": FitGprConfig,
    "augment": AugmentConfig,
    "train-ann": TrainAnnConfig,
    "evaluate": EvaluateConfig,
    "predict": PredictConfig,
    "benchmark": BenchmarkConfig,
    "select": SelectConfig,
    "label": LabelConfig,
    "active": ActiveConfig,
}


def read_config(path: Path, what: str | None = None) -> tuple[str, BaseModel]:
    """Read and check a configuration file.

    Parameters
    ----------
    path : Path
    what : str, optional
        A key of `MODELS`. Without it: a workflow or a case of active learning if the file has their required
        keys, else the stage that has most of its keys.

    Returns
    -------
    what : str
    config : BaseModel

    Raises
    ------
    ConfigError
        If a key or value is wrong, or the file may be for several stages.
    """
    data = read_mapping(path)
    if what is None:
        what = _recognise(data, path)
    return what, build(MODELS[what], data, str(path))


def _recognise(data: dict[str, Any], path: Path) -> str:
    if "name" in data or isinstance(data.get("split"), dict):
        return "active" if "pool" in data else "workflow"
    known = {what: len(set(data) & set(model.model_fields)) for what, model in MODELS.items()}
    most = max(known.values())
    best = [what for what, number in known.items() if number == most]
    if len(best) > 1:
        raise ConfigError(f"{path}: may be for {', '.join(best)}; say which with --for")
    return best[0]


def json_schema(what: str) -> dict[str, Any]:
    """Return the JSON Schema of a configuration, for editors.

    Parameters
    ----------
    what : str
        A key of `MODELS`.

    Returns
    -------
    dict
    """
    schema = MODELS[what].model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
