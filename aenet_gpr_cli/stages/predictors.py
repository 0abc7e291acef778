"""Any fitted model as one function: subset name and structures in, energies, forces and σ out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aenet_gpr_cli.ann.potential import predict
from aenet_gpr_cli.config.evaluate import EvaluateConfig
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefact import open_artefact
from aenet_gpr_cli.io.models import load_ann, load_gps
from aenet_gpr_cli.structures import FloatArray, StructureSet


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about some structures.

    Attributes
    ----------
    energies : ndarray of shape (n_members, n_structures), eV
    forces : ndarray of shape (n_members, n_structures, n_atoms, 3), eV/Å
    sigma : ndarray of shape (n_structures,), eV, or None
        Standard deviation of the energies, where the model has its own.
    """

    energies: FloatArray
    forces: FloatArray
    sigma: FloatArray | None


Predictor = Callable[[str, StructureSet], Prediction]


def load_predictor(path: Path, config: EvaluateConfig) -> Predictor:
    """Read a model of either kind.

    Parameters
    ----------
    path : Path
        Output of `fit-gpr` or `train-ann`.
    config : EvaluateConfig

    Returns
    -------
    callable

    Raises
    ------
    InputError
        If the file is something else.
    """
    with open_artefact(path) as file:
        kind = str(file.attrs["kind"])
    if kind == "fit-gpr":
        return _gp_predictor(path, config)
    if kind == "train-ann":
        return _ann_predictor(path)
    raise InputError(f"{path}: expected the output of fit-gpr or train-ann, got that of {kind}")


def _gp_predictor(path: Path, config: EvaluateConfig) -> Predictor:
    surrogates = load_gps(path)

    def predict_block(name: str, structures: StructureSet) -> Prediction:
        if name not in surrogates:
            raise InputError(f"{path}: no Gaussian process for subset {name}; it has {', '.join(surrogates)}")
        surrogate = surrogates[name]
        surrogate.check(structures, name)
        energies, forces = surrogate.energies_and_forces(structures.positions)
        sigma = surrogate.sigma(config.sigma, config.sigma_n_nearest)
        return Prediction(energies[None], forces[None], sigma(structures.positions) if sigma else None)

    return predict_block


def _ann_predictor(path: Path) -> Predictor:
    model = load_ann(path)

    def predict_block(name: str, structures: StructureSet) -> Prediction:
        energies, forces = predict(model, structures, True, len(structures))
        assert forces is not None  # asked for
        return Prediction(energies, forces, None)

    return predict_block
