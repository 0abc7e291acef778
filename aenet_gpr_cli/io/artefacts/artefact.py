"""HDF5 artefacts that explain themselves, published whole or not at all.

Every artefact records its kind and format version, the resolved configuration, what identifies each input,
the seed, package versions, wall time and peak memory, a checksum of its numbers and the files written beside
it. Writing goes to a temporary file in the same folder, is flushed to disk, and renamed; a reader never sees
half a file. No pickled objects anywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from aenet_gpr_cli import __version__
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact_record import FORMAT_VERSION, check_artefact
from aenet_gpr_cli.io.artefacts.side_files import (
    copy_content,
    hidden_folder,
    list_files,
    put_in_place,
    remove_leftovers,
)
from aenet_gpr_cli.io.files import require_file, written_whole
from aenet_gpr_cli.io.hdf5.checksums import DAMAGE, damaged, seal, verify
from aenet_gpr_cli.io.hdf5.full_disk import NotingFile
from aenet_gpr_cli.io.hdf5.locks import lock
from aenet_gpr_cli.io.hdf5.probing import probe, trust
from aenet_gpr_cli.io.process_memory import peak_memory

# Of the results: raised when a change makes them incomparable with earlier ones, which are then made again.
NUMERICS = 1
VERSIONED = ("numpy", "scipy", "torch", "ase", "dscribe", "numba", "h5py")


@dataclass(frozen=True, slots=True)
class Job:
    """What determines the content of an artefact.

    Attributes
    ----------
    kind : str
        Name of the stage.
    config : dict
        Resolved configuration, as plain JSON values.
    inputs : dict of str to str
        What identifies the content of each input, by a name that does not depend on the folder.
    part : tuple of str
        Names of the parts (members, subsets) that the artefact holds; empty for all of them.
    whole : tuple of str
        Names of all parts, where ``part`` is given.
    neutral : frozenset of str
        Keys of the configuration, dotted, that do not change the result.
    """

    kind: str
    config: dict[str, Any]
    inputs: dict[str, str]
    part: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    neutral: frozenset[str] = frozenset()

    @property
    def fingerprint(self) -> str:
        """SHA-256 over kind, versions of format and numerics, keys that are not neutral, inputs and part."""
        return self._fingerprint(self.kind, NUMERICS, self.config, self.inputs, self.part)

    def is_that_of(self, file: h5py.File) -> bool:
        """Whether an artefact has the result of this job."""
        if "checksum" in file.attrs:
            return bool(file.attrs.get("fingerprint") == self.fingerprint)
        # of version 0.1, which counted other keys
        config, inputs, part = (
            json.loads(file.attrs.get(name, "[]")) for name in ("config", "inputs", "part")
        )
        return self.fingerprint == self._fingerprint(str(file.attrs["kind"]), 1, config, inputs, part)

    def _fingerprint(
        self, kind: str, numerics: int, config: dict[str, Any], inputs: dict[str, str], part: Sequence[str]
    ) -> str:
        kept = {key: value for key, value in flat(config).items() if key not in self.neutral}
        content = [kind, FORMAT_VERSION, numerics, kept, inputs, *([list(part)] if part else [])]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested configuration by dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def is_current(path: Path, job: Job) -> bool:
    """Whether ``path`` already holds the complete result of ``job``."""
    if not path.is_file():
        return False
    try:
        probe(path)
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("complete", False)) and job.is_that_of(file)
    except (InputError, *DAMAGE):
        return False


@contextlib.contextmanager
def publish(path: Path, job: Job) -> Iterator[h5py.File]:
    """Write an artefact: the block fills the file, which appears under ``path`` when the block succeeds.

    Yields
    ------
    h5py.File
        Open for writing. Set ``file.attrs["summary"]`` to JSON for a table that is shown again later, and
        ``file.attrs["wall_time_s"]`` to the seconds of earlier, interrupted runs.

    Raises
    ------
    ResourceError
        If the disk is full or not writable, or another process writes the same file. An earlier artefact
        stays as it was.
    """
    with lock(path):
        remove_leftovers(path)
        with _published(path, job) as file:
            yield file
        trust(path)


@contextlib.contextmanager
def publish_with_files(path: Path, job: Job) -> Iterator[tuple[h5py.File, Path]]:
    """Write an artefact and files beside it; see `publish` and `side_files`.

    Yields
    ------
    file : h5py.File
    folder : Path
        Whatever the block writes here is put beside the artefact, under the same name, after that.

    Raises
    ------
    InputError
        If a file of one of these names is there that the artefact before does not list as its own.
    """
    with lock(path):
        remove_leftovers(path)
        with hidden_folder(path) as folder:
            with _published(path, job) as file:
                yield file, folder
                list_files(file, folder, path)
            trust(path)
            put_in_place(path, folder)


def write_files_again(path: Path, job: Job, write: Callable[[h5py.File, Path], object]) -> None:
    """Write the files beside an artefact again, from what it holds.

    Parameters
    ----------
    write : callable
        Called with the artefact and the folder to write to.
    """
    with open_artefact(path) as old, publish_with_files(path, job) as (file, folder):
        copy_content(old, file)
        write(old, folder)


@contextlib.contextmanager
def _published(path: Path, job: Job) -> Iterator[h5py.File]:
    started = time.perf_counter()
    with (
        written_whole(path) as temporary,
        NotingFile(temporary) as disk,
        h5py.File(disk, "w", libver="v110") as file,
    ):
        _write_provenance(file, job)
        yield file
        earlier = float(file.attrs.get("wall_time_s", 0.0))
        file.attrs["wall_time_s"] = earlier + time.perf_counter() - started
        file.attrs["peak_rss_bytes"] = peak_memory()
        file.flush()
        disk.raise_failure()
        seal(file)
        file.attrs["complete"] = True
        file.flush()
        disk.raise_failure()


@contextlib.contextmanager
def open_artefact(path: Path, kind: str | None = None, numbers: bool = True) -> Iterator[h5py.File]:
    """Open an artefact for reading after checking what it is.

    Parameters
    ----------
    kind : str, optional
        The stage that must have written it.
    numbers : bool
        Compare the numbers with their checksum, once per process; not needed for a look at attributes.

    Raises
    ------
    InputError
        If it is missing, damaged, altered, incomplete, of another kind or version, or links to other files.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; expected the output of {kind or 'an earlier stage'}")
    require_file(path)
    probe(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if not h5py.is_hdf5(path):
            raise InputError(
                f"{path}: expected an HDF5 file that a stage has written, got another kind of file; "
                "structures go to init, split or predict"
            ) from error
        raise InputError(
            f"{path}: expected an HDF5 artefact, but it cannot be opened ({error}); write it again"
        ) from error
    with file:
        try:
            check_artefact(file, path, kind)
        except DAMAGE as error:
            raise damaged(path, error) from error
        if numbers:
            verify(file, path)
        try:
            yield file
        except KeyError as error:
            raise InputError(f"{path}: a part of the artefact is missing: {error}; write it again") from error
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: a text in it is damaged ({error}); write it again") from error
        except OSError as error:
            if error.errno is not None or "read" not in str(error):  # of another file
                raise
            raise damaged(path, error) from error


def read_summary(path: Path) -> dict[str, Any]:
    """Return the table that the stage stored with its artefact (empty if none)."""
    with open_artefact(path) as file:
        return json.loads(file.attrs.get("summary", "{}"))


def kind_of(path: Path) -> str | None:
    """Return the stage that wrote an HDF5 file; None where it is too damaged to say."""
    try:
        probe(path)
        with h5py.File(path, "r") as file:
            return str(file.attrs.get("kind", "another program"))
    except (InputError, *DAMAGE):
        return None


def written_with(path: Path) -> dict[str, str]:
    """Return the versions with which an artefact was written, as `versions` does."""
    with open_artefact(path) as file:
        return dict(json.loads(file.attrs.get("versions", "{}")))


def versions() -> dict[str, str]:
    """Return the versions of this package, Python and the numerical libraries."""
    from importlib import metadata

    found = {"aenet-gpr-cli": __version__, "python": platform.python_version()}
    for package in VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _write_provenance(file: h5py.File, job: Job) -> None:
    file.attrs["format"] = "aenet-gpr-cli"
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["numerics"] = NUMERICS
    file.attrs["kind"] = job.kind
    file.attrs["complete"] = False
    file.attrs["fingerprint"] = job.fingerprint
    file.attrs["config"] = json.dumps(job.config, sort_keys=True)
    file.attrs["inputs"] = json.dumps(job.inputs, sort_keys=True)
    if job.part:
        file.attrs["part"] = json.dumps(job.part)
        file.attrs["whole"] = json.dumps(job.whole)
    file.attrs["seed"] = int(job.config.get("seed", 0))
    file.attrs["versions"] = json.dumps(versions())
    file.attrs["created"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
