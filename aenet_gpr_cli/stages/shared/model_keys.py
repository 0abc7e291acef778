"""Keys that do nothing with the kind of model that is given: refused or, where they only tune, told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.stages.shared.context import log

OF_NETWORKS = ("members",)
OF_PROCESSES = ("subset",)
TUNING = ("sigma", "sigma_max_rows")  # of processes


def refuse_idle(stage: str, config: Any, model: Path) -> None:
    """Refuse keys that only the other kind of model has; warn of those of its σ.

    Parameters
    ----------
    stage : str
        For messages.
    config
        Of the stage.
    model : Path
        Output of `fit-gpr`, `train-ann` or `import`; anything else is left to the stage.

    Raises
    ------
    ConfigError
    """
    with open_artefact(model) as file:
        kind = str(file.attrs["kind"])
    if kind not in ("fit-gpr", "train-ann"):
        return
    is_process = kind == "fit-gpr"
    what = "Gaussian processes" if is_process else "networks"
    for key in OF_NETWORKS if is_process else OF_PROCESSES:
        if (value := getattr(config, key, None)) is not None:
            raise ConfigError(
                f"{stage}: {key}: does nothing with {what}, and {model} holds those; expected no such key, "
                f"got {value!r}"
            )
    for key in () if is_process else TUNING:
        if hasattr(config, key) and getattr(config, key) != getattr(type(config), key):
            log.warning("%s: %s does nothing with %s", stage, key, what)
