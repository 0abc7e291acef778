"""Files of ænet: the content of a `.nn` or `.nn.ascii` file as a record, its layout, and how it is written.

Both formats have the same fields in the same order, as Fortran records (binary) or as lines (ASCII). They
have no checksum: files of this package carry one over the numbers of all species in the name of the training
file, which ænet only prints. Reading is left to `aenet_nn_parser`, what the fields mean for a potential to
`aenet_nn`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.structures import FloatArray, IntArray

# ænet sizes its neighbour lists by it: shorter than any distance between atoms.
MIN_DISTANCE = 0.55
OURS = "aenet-gpr-cli:"  # and the checksum
DIGITS = 32


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """Content of one file: the network of one species and the descriptor it was trained with.

    Attributes
    ----------
    n_nodes : ndarray of int, shape (n_layers,)
        Inputs, hidden layers, output.
    activations : ndarray of int, shape (n_layers - 1,)
        ænet's codes: 0 linear, 1 tanh, 2 sigmoid, 3 mtanh, 4 twist.
    weights : ndarray of shape (n_weights,)
        Layer after layer, each (n_out, n_in + 1) in Fortran order; the last column is the bias.
    description : str
    species : str
        The central atom.
    environment : tuple of str
        ænet's ENV list; its order decides the type spins.
    min_distance, cutoff : float, Å
    basis_type : str
        ``Chebyshev``.
    function_kinds : ndarray of int, shape (n_features,)
    parameters : ndarray of shape (n_features * n_parameters,)
        Its first four are radial cutoff (Å) and order, angular cutoff (Å) and order.
    function_species : ndarray of int, shape (2 * n_features,)
    n_evaluations : int
        Atoms behind the statistics.
    lowest, highest, mean, second_moment : ndarray of shape (n_features,), dimensionless
        Statistics of the features; the second moment is <G²>, not centred.
    training_file : str
    normalized : bool
    scale : float, 1/eV
    shift : float, eV per atom
    training_species : tuple of str
    atomic_energies : ndarray of shape (n_species,), eV
        In the order of ``training_species``.
    n_atoms, n_structures : int
        Of the training set.
    energy_range : ndarray of shape (3,), eV per atom
        Minimum, maximum, average.
    """

    n_nodes: IntArray
    activations: IntArray
    weights: FloatArray
    description: str
    species: str
    environment: tuple[str, ...]
    min_distance: float
    cutoff: float
    basis_type: str
    function_kinds: IntArray
    parameters: FloatArray
    function_species: IntArray
    n_evaluations: int
    lowest: FloatArray
    highest: FloatArray
    mean: FloatArray
    second_moment: FloatArray
    training_file: str
    normalized: bool
    scale: float
    shift: float
    training_species: tuple[str, ...]
    atomic_energies: FloatArray
    n_atoms: int
    n_structures: int
    energy_range: FloatArray


@dataclass(frozen=True, slots=True)
class Field:
    """One record: its name, type, and how many values, which earlier records may decide."""

    name: str
    kind: str  # integer, real, flag, symbols, text; a plural s for arrays
    count: Callable[[dict[str, Any]], int] = lambda found: 1
    plain: bool = False  # ASCII: as short as possible instead of in columns


def _of(name: str, factor: int = 1, less: int = 0) -> Callable[[dict[str, Any]], int]:
    return lambda found: factor * found[name] - less


TEXT_WIDTH = {"description": 1024, "basis_type": 100, "training_file": 1024}
LAYOUT = (
    Field("n_layers", "integer"),
    Field("max_nodes", "integer"),
    Field("n_weights", "integer"),
    Field("n_values", "integer"),
    Field("n_nodes", "integers", _of("n_layers")),
    Field("activations", "integers", _of("n_layers", less=1)),
    Field("first_weight", "integers", _of("n_layers")),
    Field("first_value", "integers", _of("n_layers")),
    Field("weights", "reals", _of("n_weights")),
    Field("description", "text"),
    Field("species", "symbol"),
    Field("n_environment", "integer"),
    Field("environment", "symbols", _of("n_environment")),
    Field("min_distance", "real"),
    Field("cutoff", "real"),
    Field("basis_type", "text"),
    Field("n_features", "integer"),
    Field("n_parameters", "integer"),
    Field("function_kinds", "integers", _of("n_features")),
    Field("parameters", "reals", lambda found: found["n_features"] * found["n_parameters"]),
    Field("function_species", "integers", _of("n_features", 2)),
    Field("n_evaluations", "integer"),
    Field("lowest", "reals", _of("n_features")),
    Field("highest", "reals", _of("n_features")),
    Field("mean", "reals", _of("n_features")),
    Field("second_moment", "reals", _of("n_features")),
    Field("training_file", "text"),
    Field("normalized", "flag"),
    Field("scale", "real", plain=True),
    Field("shift", "real", plain=True),
    Field("n_species", "integer", plain=True),
    Field("training_species", "symbols", _of("n_species")),
    Field("atomic_energies", "reals", _of("n_species"), plain=True),
    Field("n_atoms", "integer", plain=True),
    Field("n_structures", "integer", plain=True),
    Field("energy_range", "reals", lambda found: 3, plain=True),
)
# What is only there to size arrays follows from the rest.
DERIVED = {
    *("n_layers", "max_nodes", "n_weights", "n_values", "first_weight", "first_value", "n_environment"),
    *("n_features", "n_parameters", "n_species"),
}


def format_binary(content: NetworkFile) -> bytes:
    """Return the content of a `.nn` file: little-endian records of gfortran.

    Returns
    -------
    bytes
    """
    values = asdict(content) | derived(content)
    records = [_pack(field, values[field.name]) for field in LAYOUT]
    return b"".join(struct.pack("<i", len(r)) + r + struct.pack("<i", len(r)) for r in records)


def format_ascii(content: NetworkFile) -> str:
    """Return the content of a `.nn.ascii` file as ænet-PyTorch writes it, one field per line.

    Notes
    -----
    Numbers that 17 decimals do not hold exactly are written with an exponent, so that nothing is lost.
    """
    values = asdict(content) | derived(content)
    return "".join(_line(field, values[field.name]) + "\n" for field in LAYOUT)


def checksum(files: Iterable[NetworkFile]) -> str:
    """Return the checksum of a potential's numbers, equal in both formats and in any order of the files."""
    found = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.species):
        found.update(format_binary(replace(file, description="", training_file="")))
    return found.hexdigest()[:DIGITS]


def signed(files: Mapping[str, NetworkFile]) -> dict[str, NetworkFile]:
    """Return the files of one potential, by species, with the checksum over all of them in each."""
    mark = OURS + checksum(files.values())
    return {symbol: replace(file, training_file=mark) for symbol, file in files.items()}


def format_setup(basis: ChebyshevBasis, symbol: str) -> str:
    """Return the `.stp` setup file of one species for ænet's generate.x.

    Parameters
    ----------
    symbol : str
        The central atom.
    """
    environment = "\n".join(basis.species)
    return (
        f"DESCR\n  Chebyshev descriptor of {symbol}\nEND DESCR\n\n"
        f"ATOM {symbol}\n\nENV {len(basis.species)}\n{environment}\n\nRMIN {MIN_DISTANCE}d0\n\n"
        "BASIS type=Chebyshev\n"
        f"radial_Rc = {basis.radial_cutoff!r} radial_N = {basis.radial_order} "
        f"angular_Rc = {basis.angular_cutoff!r} angular_N = {basis.angular_order}\n"
    )


def format_predict_input(species: Sequence[str], file_format: str) -> str:
    """Return an example `predict.in` for ænet's predict.x."""
    networks = [f"{symbol} {symbol}.{file_format}" for symbol in species]
    types = "\n".join([str(len(species)), *species])
    return "\n".join(
        ["TYPES", types, "", "NETWORKS", *networks, "", "FORCES", "", "FILES", "1", "structure.xsf", ""]
    )


def derived(content: NetworkFile) -> dict[str, Any]:
    """Return the fields that are only there to size arrays: they follow from the rest."""
    sizes = [int(n) for n in content.n_nodes]
    weights = np.cumsum([0, *((i + 1) * o for i, o in pairwise(sizes))])
    values = np.cumsum([0, *(n + 1 for n in sizes[:-1])])
    return {
        "n_layers": len(sizes),
        "max_nodes": max(sizes),
        "n_weights": int(weights[-1]),
        "n_values": int(values[-1]) + sizes[-1],
        "first_weight": weights,
        "first_value": values,
        "n_environment": len(content.environment),
        "n_features": len(content.function_kinds),
        "n_parameters": len(content.parameters) // max(len(content.function_kinds), 1),
        "n_species": len(content.training_species),
    }


def _pack(field: Field, value: Any) -> bytes:
    if field.kind == "text":
        return str(value).encode("latin-1", "replace")[: TEXT_WIDTH[field.name]].ljust(TEXT_WIDTH[field.name])
    if field.kind in ("symbol", "symbols"):
        names = [value] if field.kind == "symbol" else value
        return b"".join(name.encode("ascii")[:2].ljust(2) for name in names)
    return np.asarray(value, "<f8" if field.kind[0] == "r" else "<i4").tobytes()


def _line(field: Field, value: Any) -> str:
    if field.kind in ("text", "symbol"):
        return str(value)
    if field.kind == "flag":
        return str(bool(value))
    if field.name == "energy_range":
        return " ".join(repr(float(x)) for x in value)
    many: Sequence[Any] = [value] if field.kind in ("integer", "real") else list(value)
    shown = [_shown(field, item) for item in many]
    return shown[0] if field.kind in ("integer", "real") else "".join(f"{item} " for item in shown)


def _shown(field: Field, item: Any) -> str:
    if field.kind == "symbols":
        return str(item)
    if field.kind[0] == "i":
        return str(int(item)) if field.plain else f"{int(item):17d}"
    if field.plain:
        return repr(float(item))
    columns = f"{float(item):24.17f}"
    return columns if float(columns) == float(item) else f"{float(item):24.16E}"
