"""Parser of ænet's `.nn` and `.nn.ascii` files: bytes in, `NetworkFile` out, errors with their place."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats.aenet_nn_format import (
    DERIVED,
    LAYOUT,
    OURS,
    TEXT_WIDTH,
    Field,
    NetworkFile,
    checksum,
    derived,
)

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 2**20  # eight million weights; a larger file is not a potential of ænet
MAX_LAYERS = 1000
# The format has no checksum. Values beyond these, or statistics that contradict each other, are damage.
LARGEST_NUMBER = 1e6
LARGEST_FEATURE = 1e12
LARGEST_ENERGY = 1e7  # eV per atom
LARGEST_CUTOFF = 100.0  # Å
ROUNDING = 1e-6  # relative
# What one training gives to the networks of all species. Kinds and species of the functions have no meaning
# for Chebyshev descriptors, and the shortest distance none for a potential.
SHARED = (
    *("environment", "basis_type", "n_nodes", "activations", "parameters", "cutoff", "normalized", "scale"),
    *("shift", "energy_range", "n_atoms", "n_structures", "training_species", "atomic_energies"),
)


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
    for field in LAYOUT:
        count = field.count(found)
        if not 0 <= count <= MAX_BYTES:
            reader.fail(field.name, "a positive number of values", str(count))
        found[field.name] = reader.read(field, count)
        if field.name == "n_layers" and not 2 <= found["n_layers"] <= MAX_LAYERS:
            reader.fail("number of layers", f"2 to {MAX_LAYERS}", str(found["n_layers"]))
    reader.finish()
    content = NetworkFile(**{name: value for name, value in found.items() if name not in DERIVED})
    _check(found, content, where)
    return content


def _check(found: dict[str, Any], content: NetworkFile, where: str) -> None:
    if (content.n_nodes < 1).any():
        raise InputError(f"{where}: number of nodes: expected positive numbers, got {content.n_nodes}")
    for name, expected in derived(content).items():
        if not np.array_equal(found[name], expected):
            got = (
                f"{found[name]}, which does not follow from layers of {list(map(int, content.n_nodes))} nodes"
            )
            raise InputError(f"{where}: {name}: expected {expected}, got {got}")
    for field in LAYOUT:
        if field.kind in ("real", "reals") and not np.isfinite(found[field.name]).all():
            raise InputError(f"{where}: {field.name}: expected finite numbers, got NaN or infinity")


def check_statistics(content: NetworkFile, where: str) -> None:
    """Refuse numbers that no training can have given: the only sign of overwritten bytes in this format.

    Raises
    ------
    InputError
        Naming what cannot be.
    """
    for what, expected, fulfilled in chain(_magnitudes(content), _relations(content)):
        if not fulfilled:
            raise InputError(f"{where}: {what}: expected {expected}, got others; the file is damaged")


def require_one_potential(files: Mapping[str, NetworkFile]) -> None:
    """Refuse files that are not the parts of one potential, and warn where nothing can tell.

    Parameters
    ----------
    files : mapping of str to NetworkFile
        By path.

    Raises
    ------
    InputError
        If a species is missing or repeated, or two files differ in what one training gives to all.
    """
    (first_path, first), *others = files.items()
    species = [file.species for file in files.values()]
    for path, file in others:
        for name in SHARED:
            ours, theirs = getattr(first, name), getattr(file, name)
            if not np.array_equal(ours, theirs):
                raise InputError(
                    f"{path}: expected the same {name.replace('_', ' ')} as in {first_path} ({ours}), got "
                    f"{theirs}; give the files of one potential"
                )
    if len(set(species)) < len(species) or set(species) != set(first.environment):
        expected, got = ", ".join(first.environment), ", ".join(species)
        raise InputError(f"{first_path}: expected one file for each of the species {expected}, got {got}")
    for path, file in others:
        if file.training_file != first.training_file and OURS in first.training_file + file.training_file:
            raise InputError(
                f"{path}: expected a file of the same potential as {first_path} "
                f"({first.training_file.removeprefix(OURS)}), got one of another member or export "
                f"({file.training_file.removeprefix(OURS)}); give the files of one export"
            )
    if first.training_file.startswith(OURS):
        if first.training_file != OURS + checksum(files.values()):
            log.warning(
                "%s: the numbers of these files are not those that were exported: damaged, or written again "
                "with fewer digits by another program; export once more to be sure",
                first_path,
            )
    elif len({Path(path).resolve().parent for path in files}) > 1:
        log.warning(
            "%s and %s are in different folders, and nothing in files of ænet tells one network of a "
            "training from another; make sure that all are of one potential",
            first_path,
            others[0][0],
        )


def _magnitudes(c: NetworkFile) -> Iterator[tuple[str, str, bool]]:
    for what, values, largest, unit in (
        ("weights", c.weights, LARGEST_NUMBER, ""),
        ("energies of atoms", c.atomic_energies, LARGEST_ENERGY, " eV"),
        ("energy range", c.energy_range, LARGEST_ENERGY, " eV"),
        ("parameters of the features", c.parameters[:4], LARGEST_NUMBER, ""),
        ("statistics of the features", (c.lowest, c.highest, c.mean, c.second_moment), LARGEST_FEATURE, ""),
    ):
        yield what, f"at most {largest:g}{unit}", bool((np.abs(values) <= largest).all())
    cutoffs, orders = c.parameters[[0, 2]], c.parameters[[1, 3]]
    yield "orders", "whole numbers", bool((orders == np.rint(orders)).all() and (orders >= 0.0).all())
    yield (
        "cutoffs",
        f"0 to {LARGEST_CUTOFF:g} Å and none above the largest",
        0.0 <= c.min_distance < c.cutoff <= LARGEST_CUTOFF
        and bool(((cutoffs > 0.0) & (cutoffs <= c.cutoff * (1.0 + ROUNDING))).all()),
    )
    yield "species", "symbols of elements", _are_elements((c.species, *c.environment, *c.training_species))
    yield "counts", "none below zero", min(c.n_evaluations, c.n_atoms, c.n_structures) >= 0


def _relations(c: NetworkFile) -> Iterator[tuple[str, str, bool]]:
    size, square = np.maximum(np.abs(c.lowest), np.abs(c.highest)), c.mean**2
    spread = c.second_moment - square
    on = spread > ROUNDING**2 * square  # of a feature that is switched off only the moments count
    inside = (c.lowest - ROUNDING * size <= c.mean) & (c.mean <= c.highest + ROUNDING * size)
    yield "moments of a feature", "<G²> of at least <G>²", bool((spread >= -ROUNDING * square).all())
    yield "range of a feature", "its mean inside", bool((inside | ~on).all())
    yield (
        "moments of a feature",
        "<G²> within its range",
        bool(((c.second_moment <= 16 * size**2) | ~on).all()),
    )
    low, high, average = c.energy_range.tolist()
    width = ROUNDING * max(1.0, abs(low), abs(high))
    yield "energy range", "minimum, maximum, average", low - width <= average <= high + width
    if c.normalized and c.scale:
        said = np.array([2.0 / c.scale, 2.0 * c.shift])
        agree = np.allclose(said, [high - low, high + low], rtol=ROUNDING, atol=width)
        yield "energy scale and shift", "those of the energy range", agree
    elif not c.normalized:
        yield "energy scale and shift", "1 and 0 where not normalised", (c.scale, c.shift) == (1.0, 0.0)


def _are_elements(symbols: Sequence[str]) -> bool:
    from ase.data import atomic_numbers

    return all(atomic_numbers.get(symbol, 0) > 0 for symbol in symbols)


class _Records:
    """Fields from gfortran's sequential unformatted records."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where, self.position = data, where, 0

    def read(self, field: Field, count: int) -> Any:
        record = self._record(field.name)
        width = {"i": 4, "f": 4, "r": 8, "s": 2}.get(field.kind[0], 1)
        size = TEXT_WIDTH[field.name] if field.kind == "text" else width * count
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

    def read(self, field: Field, count: int) -> Any:
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


def _typed(field: Field, numbers: np.ndarray) -> Any:
    if field.kind == "flag":
        return bool(numbers[0])
    if field.kind in ("integer", "real"):
        return numbers[0].item()
    return numbers.astype(np.float64 if field.kind == "reals" else np.int64)
