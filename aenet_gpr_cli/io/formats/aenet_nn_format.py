"""One `.nn` or `.nn.ascii` file of ænet as a record of its content, read and written without loss.

Owns the layout: the same fields in the same order, as Fortran records (binary) or as lines (ASCII). What the
fields mean for a potential is `aenet_nn`'s.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import FloatArray, IntArray

MAX_BYTES = 64 * 2**20  # eight million weights; a larger file is not a potential of ænet
MAX_LAYERS = 1000


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
class _Field:
    """One record: its name, type, and how many values, which earlier records may decide."""

    name: str
    kind: str  # integer, real, flag, symbols, text; a plural s for arrays
    count: Callable[[dict[str, Any]], int] = lambda found: 1
    plain: bool = False  # ASCII: as short as possible instead of in columns


def _of(name: str, factor: int = 1, less: int = 0) -> Callable[[dict[str, Any]], int]:
    return lambda found: factor * found[name] - less


_TEXT_WIDTH = {"description": 1024, "basis_type": 100, "training_file": 1024}
_LAYOUT = (
    _Field("n_layers", "integer"),
    _Field("max_nodes", "integer"),
    _Field("n_weights", "integer"),
    _Field("n_values", "integer"),
    _Field("n_nodes", "integers", _of("n_layers")),
    _Field("activations", "integers", _of("n_layers", less=1)),
    _Field("first_weight", "integers", _of("n_layers")),
    _Field("first_value", "integers", _of("n_layers")),
    _Field("weights", "reals", _of("n_weights")),
    _Field("description", "text"),
    _Field("species", "symbol"),
    _Field("n_environment", "integer"),
    _Field("environment", "symbols", _of("n_environment")),
    _Field("min_distance", "real"),
    _Field("cutoff", "real"),
    _Field("basis_type", "text"),
    _Field("n_features", "integer"),
    _Field("n_parameters", "integer"),
    _Field("function_kinds", "integers", _of("n_features")),
    _Field("parameters", "reals", lambda found: found["n_features"] * found["n_parameters"]),
    _Field("function_species", "integers", _of("n_features", 2)),
    _Field("n_evaluations", "integer"),
    _Field("lowest", "reals", _of("n_features")),
    _Field("highest", "reals", _of("n_features")),
    _Field("mean", "reals", _of("n_features")),
    _Field("second_moment", "reals", _of("n_features")),
    _Field("training_file", "text"),
    _Field("normalized", "flag"),
    _Field("scale", "real", plain=True),
    _Field("shift", "real", plain=True),
    _Field("n_species", "integer", plain=True),
    _Field("training_species", "symbols", _of("n_species")),
    _Field("atomic_energies", "reals", _of("n_species"), plain=True),
    _Field("n_atoms", "integer", plain=True),
    _Field("n_structures", "integer", plain=True),
    _Field("energy_range", "reals", lambda found: 3, plain=True),
)
# What is only there to size arrays follows from the rest.
_DERIVED = {
    *("n_layers", "max_nodes", "n_weights", "n_values", "first_weight", "first_value", "n_environment"),
    *("n_features", "n_parameters", "n_species"),
}


def parse(data: bytes, where: str) -> NetworkFile:
    """Read the content of a binary or ASCII file.

    Parameters
    ----------
    data : bytes
    where : str
        File name for messages.

    Raises
    ------
    InputError
        If the file is too large, truncated, not of this kind or contradicts itself.
    """
    if len(data) > MAX_BYTES:
        raise InputError(
            f"{where}: expected a potential of at most {MAX_BYTES // 2**20} MiB, got a larger file"
        )
    reader = _Records(data, where) if data[:4] == struct.pack("<i", 4) else _Lines(data, where)
    found: dict[str, Any] = {}
    for field in _LAYOUT:
        count = field.count(found)
        if not 0 <= count <= MAX_BYTES:
            reader.fail(field.name, "a positive number of values", str(count))
        found[field.name] = reader.read(field, count)
        if field.name == "n_layers" and not 2 <= found["n_layers"] <= MAX_LAYERS:
            reader.fail("number of layers", f"2 to {MAX_LAYERS}", str(found["n_layers"]))
    reader.finish()
    content = NetworkFile(**{name: value for name, value in found.items() if name not in _DERIVED})
    _check(found, content, where)
    return content


def format_binary(content: NetworkFile) -> bytes:
    """Return the content of a `.nn` file: little-endian records of gfortran.

    Returns
    -------
    bytes
    """
    values = asdict(content) | _derived(content)
    records = [_pack(field, values[field.name]) for field in _LAYOUT]
    return b"".join(struct.pack("<i", len(r)) + r + struct.pack("<i", len(r)) for r in records)


def format_ascii(content: NetworkFile) -> str:
    """Return the content of a `.nn.ascii` file as ænet-PyTorch writes it, one field per line.

    Notes
    -----
    Numbers that 17 decimals do not hold exactly are written with an exponent, so that nothing is lost.
    """
    values = asdict(content) | _derived(content)
    return "".join(_line(field, values[field.name]) + "\n" for field in _LAYOUT)


def _derived(content: NetworkFile) -> dict[str, Any]:
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


def _check(found: dict[str, Any], content: NetworkFile, where: str) -> None:
    if (content.n_nodes < 1).any():
        raise InputError(f"{where}: number of nodes: expected positive numbers, got {content.n_nodes}")
    for name, expected in _derived(content).items():
        if not np.array_equal(found[name], expected):
            got = (
                f"{found[name]}, which does not follow from layers of {list(map(int, content.n_nodes))} nodes"
            )
            raise InputError(f"{where}: {name}: expected {expected}, got {got}")
    for field in _LAYOUT:
        if field.kind in ("real", "reals") and not np.isfinite(found[field.name]).all():
            raise InputError(f"{where}: {field.name}: expected finite numbers, got NaN or infinity")


class _Records:
    """Fields from gfortran's sequential unformatted records."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where, self.position = data, where, 0

    def read(self, field: _Field, count: int) -> Any:
        record = self._record(field.name)
        width = {"i": 4, "f": 4, "r": 8, "s": 2}.get(field.kind[0], 1)
        size = _TEXT_WIDTH[field.name] if field.kind == "text" else width * count
        if len(record) != size:
            self.fail(field.name, f"a record of {size} bytes", f"{len(record)}")
        if field.kind in ("text", "symbol"):
            return _text(record)
        if field.kind == "symbols":
            return tuple(_text(record[i : i + 2]) for i in range(0, size, 2))
        numbers = np.frombuffer(record, "<f8" if field.kind[0] == "r" else "<i4")
        return _typed(field, numbers)

    def _record(self, name: str) -> bytes:
        start = self.position
        if len(self.data) < start + 4:
            self.fail(name, "another record", "the end of the file")
        (size,) = struct.unpack_from("<i", self.data, start)
        end = start + 4 + size
        if size < 0 or len(self.data) < end + 4 or struct.unpack_from("<i", self.data, end)[0] != size:
            self.fail(name, "a complete Fortran record", "a truncated or damaged one")
        self.position = end + 4
        return self.data[start + 4 : end]

    def finish(self) -> None:
        if self.position != len(self.data):
            self.fail("after the last record", "the end of the file", "more")

    def fail(self, what: str, expected: str, got: str) -> NoReturn:
        place = f"{self.where}, byte {self.position}"
        raise InputError(f"{place}: {what}: expected {expected} (ænet's .nn, binary), got {got}")


class _Lines:
    """Fields from lines; arrays may continue on further lines, as Fortran's formats make them."""

    def __init__(self, data: bytes, where: str) -> None:
        self.where, self.position = where, 0
        if b"\0" in data:
            self.fail("start", "text, or binary data that begin with a record of 4 bytes", "other data")
        self.lines = data.decode("latin-1").splitlines()

    def read(self, field: _Field, count: int) -> Any:
        if field.kind == "text":
            return self._next(field.name).strip()
        tokens = self._tokens(field.name, count)
        if field.kind == "symbol":
            return tokens[0]
        if field.kind == "symbols":
            return tuple(tokens)
        if field.kind == "flag":
            if tokens[0].strip(".").upper() not in ("T", "F", "TRUE", "FALSE"):
                self.fail(field.name, "True or False", repr(tokens[0]))
            return tokens[0].strip(".")[0] in "Tt"
        try:
            if field.kind[0] == "i":
                return _typed(field, np.array([int(token) for token in tokens]))
            return _typed(field, np.array([float(t.upper().replace("D", "E")) for t in tokens]))
        except ValueError:
            self.fail(field.name, f"{count} numbers", repr(" ".join(tokens)[:60]))

    def _tokens(self, name: str, count: int) -> list[str]:
        tokens: list[str] = []
        while len(tokens) < count:
            tokens += self._next(name).split()
        if len(tokens) != count:
            self.fail(name, f"{count} values", f"{len(tokens)}")
        return tokens

    def _next(self, name: str) -> str:
        if self.position >= len(self.lines):
            self.fail(name, "another line", "the end of the file")
        self.position += 1
        return self.lines[self.position - 1]

    def finish(self) -> None:
        if any(line.strip() for line in self.lines[self.position :]):
            self.fail("after the last line", "the end of the file", "more")

    def fail(self, what: str, expected: str, got: str) -> NoReturn:
        raise InputError(
            f"{self.where}:{self.position}: {what}: expected {expected} (ænet's .nn.ascii), got {got}"
        )


def _text(record: bytes) -> str:
    return record.decode("latin-1").rstrip(" \0")


def _typed(field: _Field, numbers: np.ndarray) -> Any:
    if field.kind == "flag":
        return bool(numbers[0])
    if field.kind in ("integer", "real"):
        return numbers[0].item()
    return numbers.astype(np.float64 if field.kind == "reals" else np.int64)


def _pack(field: _Field, value: Any) -> bytes:
    if field.kind == "text":
        return (
            str(value).encode("latin-1", "replace")[: _TEXT_WIDTH[field.name]].ljust(_TEXT_WIDTH[field.name])
        )
    if field.kind in ("symbol", "symbols"):
        names = [value] if field.kind == "symbol" else value
        return b"".join(name.encode("ascii")[:2].ljust(2) for name in names)
    return np.asarray(value, "<f8" if field.kind[0] == "r" else "<i4").tobytes()


def _line(field: _Field, value: Any) -> str:
    if field.kind in ("text", "symbol"):
        return str(value)
    if field.kind == "flag":
        return str(bool(value))
    if field.name == "energy_range":
        return " ".join(repr(float(x)) for x in value)
    many: Sequence[Any] = [value] if field.kind in ("integer", "real") else list(value)
    shown = [_shown(field, item) for item in many]
    return shown[0] if field.kind in ("integer", "real") else "".join(f"{item} " for item in shown)


def _shown(field: _Field, item: Any) -> str:
    if field.kind == "symbols":
        return str(item)
    if field.kind[0] == "i":
        return str(int(item)) if field.plain else f"{int(item):17d}"
    if field.plain:
        return repr(float(item))
    columns = f"{float(item):24.17f}"
    return columns if float(columns) == float(item) else f"{float(item):24.16E}"
