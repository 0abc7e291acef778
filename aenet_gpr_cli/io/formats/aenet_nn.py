"""Potentials of ænet: `.nn` and `.nn.ascii` files of all species as one `ANNModel`, and back.

Owns what the numbers mean; the layout of a file is left to `aenet_nn_format`, reading to `aenet_nn_parser`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aenet_gpr_cli.ann.data.normalisation import MIN_FEATURE_STD
from aenet_gpr_cli.ann.network.architecture import ACTIVATIONS
from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.files import require_file, written_whole
from aenet_gpr_cli.io.formats.aenet_nn_format import (
    MIN_DISTANCE,
    NetworkFile,
    format_ascii,
    format_binary,
    format_predict_input,
    format_setup,
    signed,
)
from aenet_gpr_cli.io.formats.aenet_nn_parser import MAX_BYTES, check_statistics, parse, require_one_potential
from aenet_gpr_cli.structures import FloatArray

FORMATS = ("nn", "nn.ascii")
# The file holds <G²>, from which ænet takes s = sqrt(<G²> - <G>²). Below this ratio s/|<G>| that difference
# has too few digits; a larger s and larger weights of the first layer describe the same potential.
MIN_RELATIVE_STD = 1e-4


def read_nn(paths: Sequence[Path]) -> ANNModel:
    """Read the potential in ænet's files, one per species, as a committee of one.

    With f, s of the file: energy_scale = 1/f, energy_shift = s, feature_std = sqrt(<G²> - <G>²).

    Parameters
    ----------
    paths : sequence of Path
        Binary or ASCII, in any order.

    Returns
    -------
    ANNModel
        Species in the order of ænet's ENV list, which sets the type spins.

    Raises
    ------
    InputError
        If a file is damaged, a species is missing or repeated, or the files do not belong together.
    """
    files = {str(path): _read(path) for path in paths}
    if not files:
        raise InputError("import: expected one .nn file per species, got none")
    for path, file in files.items():
        _check_supported(path, file)
        check_statistics(file, path)
    require_one_potential(files)
    by_species = {file.species: file for file in files.values()}
    first = next(iter(files.values()))
    reference = dict(zip(first.training_species, first.atomic_energies.tolist(), strict=True))
    radial_cutoff, radial_order, angular_cutoff, angular_order = first.parameters[:4].tolist()
    return ANNModel(
        basis=ChebyshevBasis(
            species=first.environment,
            radial_cutoff=radial_cutoff,
            radial_order=round(radial_order),
            angular_cutoff=angular_cutoff,
            angular_order=round(angular_order),
        ),
        hidden=tuple(int(n) for n in first.n_nodes[1:-1]),
        activation=ACTIVATIONS[int(first.activations[0])],
        weights={s: _layers(by_species[s]) for s in first.environment},
        feature_mean={s: by_species[s].mean for s in first.environment},
        feature_std={s: _std(by_species[s]) for s in first.environment},
        energy_scale=1.0 / first.scale,
        energy_shift=first.shift,
        atomic_energies={s: reference[s] for s in first.environment},
        feature_min={s: _range(by_species[s])[0] for s in first.environment},
        feature_max={s: _range(by_species[s])[1] for s in first.environment},
    )


def write_nn(model: ANNModel, member: int, folder: Path, file_format: str) -> list[Path]:
    """Write one member as ænet's files: `El.nn` and `El.stp` for each species, and an example `predict.in`.

    Parameters
    ----------
    member : int
        Counted from 0.
    folder : Path
        Made if it does not exist.
    file_format : str
        ``nn`` (binary, what predict.x reads) or ``nn.ascii``.

    Returns
    -------
    list of Path
        Everything written.

    Raises
    ------
    InputError
        If there is no such member or format, the angular cutoff is larger than the radial one, the
        descriptor is not ænet's, or there are numbers that no training has given.

    Notes
    -----
    A radial-only basis gets the one angular function that ænet asks for at least, switched off. Where ænet
    would lose digits of a standard deviation, the weights of the first layer make up for it.
    """
    if not 0 <= member < model.n_members:
        raise InputError(f"export: expected a member from 0 to {model.n_members - 1}, got {member}")
    if file_format not in FORMATS:
        raise InputError(f"export: expected the format {' or '.join(FORMATS)}, got {file_format!r}")
    if model.repulsion is not None:
        raise InputError(
            "export: ænet's files cannot carry the repulsion of nuclei (baseline: zbl); export as metatomic, "
            "or train with baseline: none"
        )
    if not model.basis.is_aenet:
        raise InputError(
            "export: expected ænet's descriptor (one angular cutoff, species not resolved), all that "
            "its files can carry; export as metatomic, or train without network.angular_cutoffs and "
            "resolve_species"
        )
    if not model.basis.n_angular:
        model = _with_angular_part(model)
    elif model.basis.cutoff > model.basis.radial_cutoff:
        raise InputError(
            "export: expected an angular cutoff within the radial one, as ænet computes nothing else"
        )
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, str | bytes] = {}
    contents = {}
    for symbol in model.basis.species:
        with np.errstate(over="ignore", invalid="ignore"):  # of absurd numbers, which are refused
            contents[symbol] = _network_file(model, member, symbol)
        check_statistics(contents[symbol], f"network of {symbol}")
    for symbol, content in signed(contents).items():
        binary = file_format == "nn"
        texts[f"{symbol}.{file_format}"] = format_binary(content) if binary else format_ascii(content)
        texts[f"{symbol}.stp"] = format_setup(model.basis, symbol)
    texts["predict.in"] = format_predict_input(model.basis.species, file_format)
    for name, text in texts.items():
        with written_whole(folder / name) as temporary:
            temporary.write_bytes(text if isinstance(text, bytes) else text.encode("ascii"))
    return [folder / name for name in texts]


def _read(path: Path) -> NetworkFile:
    require_file(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: expected a readable .nn file, got: {error.strerror or error}") from error
    return parse(data, str(path))


def _check_supported(path: str, file: NetworkFile) -> None:
    codes = [int(code) for code in file.activations]
    if file.basis_type.lower() != "chebyshev" or len(file.parameters) < 4:
        raise InputError(f"{path}: expected a Chebyshev descriptor, got {file.basis_type!r}")
    if file.parameters[2] > file.parameters[0]:
        # beyond its radial cutoff ænet takes the type spin of whichever neighbour came before
        raise InputError(
            f"{path}: expected an angular cutoff within the radial one, got {file.parameters[:4]}"
        )
    halves = 1 if len(file.environment) == 1 else 2
    expected = halves * (round(file.parameters[1]) + round(file.parameters[3]) + 2)
    if not len(file.function_kinds) == len(file.mean) == file.n_nodes[0] == expected:
        orders = f"orders {file.parameters[1]:g} and {file.parameters[3]:g}"
        raise InputError(f"{path}: expected {expected} features for {orders}, got {len(file.function_kinds)}")
    if file.n_nodes[-1] != 1 or codes[-1] != 0:
        raise InputError(
            f"{path}: expected one linear output node, got {file.n_nodes[-1]} of code {codes[-1]}"
        )
    if len(set(codes[:-1])) > 1 or not all(0 <= code < len(ACTIVATIONS) for code in codes):
        raise InputError(
            f"{path}: expected one activation (codes 0 to 4) for all hidden layers, got {codes[:-1]}"
        )
    if not file.scale:
        raise InputError(f"{path}: expected an energy scaling factor other than 0")
    unknown = set(file.environment) - set(file.training_species)
    if unknown:
        raise InputError(f"{path}: expected an atomic energy of {', '.join(sorted(unknown))}, got none")


def _layers(file: NetworkFile) -> tuple[FloatArray, ...]:
    """Return the weights of the layers, (member, n_out, n_in + 1)."""
    layers, start = [], 0
    for inputs, outputs in zip(file.n_nodes[:-1], file.n_nodes[1:], strict=True):
        size = int(outputs * (inputs + 1))
        flat = file.weights[start : start + size]
        layers.append(np.ascontiguousarray(flat.reshape((int(outputs), -1), order="F"))[None])
        start += size
    return tuple(layers)


def _std(file: NetworkFile) -> FloatArray:
    std = np.sqrt(np.maximum(file.second_moment - file.mean**2, 0.0))
    return np.where(std > MIN_FEATURE_STD, std, 0.0)


def _with_angular_part(model: ANNModel) -> ANNModel:
    """Add to a radial-only potential the one angular function that ænet asks for at least, switched off."""
    basis = model.basis
    cutoff = min(basis.angular_cutoff or basis.radial_cutoff, basis.radial_cutoff)
    places = [basis.n_radial * (half + 1) for half in range(basis.n_features // basis.n_radial)]

    def widened(array: FloatArray) -> FloatArray:
        return np.insert(array, places, 0.0, axis=-1)

    return replace(
        model,
        basis=replace(basis, angular_cutoff=cutoff, angular_order=0),
        weights={s: (widened(first), *rest) for s, (first, *rest) in model.weights.items()},
        feature_mean={s: widened(mean) for s, mean in model.feature_mean.items()},
        feature_std={s: widened(std) for s, std in model.feature_std.items()},
        feature_min={s: widened(lowest) for s, lowest in model.feature_min.items()},
        feature_max={s: widened(highest) for s, highest in model.feature_max.items()},
    )


def _range(file: NetworkFile) -> tuple[FloatArray, FloatArray]:
    """Return the range of each feature in training; a feature that is switched off may have any value."""
    on = _std(file) > 0.0
    return np.where(on, file.lowest, -np.inf), np.where(on, file.highest, np.inf)


def _network_file(model: ANNModel, member: int, symbol: str) -> NetworkFile:
    basis, architecture = model.basis, model.architecture
    mean, second_moment, layers = _features_and_layers(model, member, symbol)
    spread = 3.0 * model.feature_std[symbol]
    # ænet only stores the range, and knows no infinity
    lowest, highest = (
        np.where(np.isfinite(known[symbol]), known[symbol], mean + sign * spread)
        for known, sign in ((model.feature_min, -1.0), (model.feature_max, 1.0))
    )
    n = basis.n_features
    parameters = np.zeros((n, 4))
    parameters[0] = basis.radial_cutoff, basis.radial_order, basis.angular_cutoff, basis.angular_order
    hidden = [ACTIVATIONS.index(model.activation)] * len(model.hidden)
    energy = model.energy_shift + np.array([-1.0, 1.0, 0.0]) * model.energy_scale
    return NetworkFile(
        n_nodes=np.array([n, *architecture.hidden, 1]),
        activations=np.array([*hidden, 0]),
        weights=np.concatenate([layer.flatten(order="F") for layer in layers]),
        description=f"aenet-gpr-cli:{symbol}",  # ænet's converter keeps the first word
        species=symbol,
        environment=basis.species,
        min_distance=MIN_DISTANCE,
        cutoff=basis.cutoff,
        basis_type="Chebyshev",
        function_kinds=np.zeros(n, np.int64),
        parameters=parameters.ravel(),
        function_species=np.zeros(2 * n, np.int64),
        n_evaluations=1,
        lowest=lowest,
        highest=highest,
        mean=mean,
        second_moment=second_moment,
        training_file="",  # see `signed`
        normalized=True,
        scale=1.0 / model.energy_scale,
        shift=model.energy_shift,
        training_species=basis.species,
        atomic_energies=np.array([model.atomic_energies[s] for s in basis.species]),
        n_atoms=0,
        n_structures=0,
        energy_range=energy,
    )


def _features_and_layers(
    model: ANNModel, member: int, symbol: str
) -> tuple[FloatArray, FloatArray, list[FloatArray]]:
    """Return mean and second moment as ænet needs them, and weights that undo their rounding.

    The s that ænet will take from the two differs a little from ours; the first layer is scaled by the ratio,
    so that the potential is the same. A feature that is switched off gets zeros: <G²> - <G>² must not round
    to something positive.
    """
    std, layers = model.feature_std[symbol], [layer[member] for layer in model.weights[symbol]]
    on = std > MIN_FEATURE_STD
    mean = np.where(on, model.feature_mean[symbol], 0.0)
    wanted = np.maximum(std, MIN_RELATIVE_STD * np.abs(mean))
    second_moment = np.where(on, wanted**2 + mean**2, 0.0)
    stored = np.sqrt(second_moment - mean**2)
    ratio = np.divide(stored, std, out=np.ones_like(std), where=on)
    layers[0] = layers[0] * np.append(ratio, 1.0)
    return mean, second_moment, layers
