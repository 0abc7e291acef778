"""Files beside an artefact: made in a hidden folder, listed in it with their hash, then put in place.

The artefact is published first. So whatever is killed when, each file in place is one that an artefact lists,
and what is still to be put in place lies in the hidden folder. Only files that are listed, and that have not
changed since, are ever replaced or removed.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.artefact_record import BEFORE, FILES, files_of
from aenet_gpr_cli.io.files import cannot_write, sha256_of
from aenet_gpr_cli.io.hdf5.checksums import DAMAGE
from aenet_gpr_cli.io.hdf5.locks import lock
from aenet_gpr_cli.io.hdf5.probing import probe

Listed = dict[str, list[str]]  # hashes that each file, named from the folder of the artefact, may have


def beside(output: Path, what: str) -> Path:
    """Return the path of a file or folder beside an artefact: ``what`` follows its name without ``.h5``."""
    return output.parent / f"{output.stem}{what}"


def leftovers(output: Path) -> list[Path]:
    """Return temporary files and folders that killed processes left; call it with the lock only."""
    pattern = re.compile(re.escape(f".{output.name}.") + r"\d+(\.reserve|\.files)?\.tmp")
    found = output.parent.glob(f".{glob.escape(output.name)}.*.tmp")
    return [path for path in found if pattern.fullmatch(path.name)]


def remove_leftovers(output: Path) -> None:
    """Remove what `leftovers` finds."""
    for path in leftovers(output):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def hidden_folder(output: Path) -> Iterator[Path]:
    """Make the folder in which the files are written, with the names that they will have."""
    folder = output.with_name(f".{output.name}.{os.getpid()}.files.tmp")
    try:
        folder.mkdir()
    except OSError as error:
        raise cannot_write(output, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def listed(output: Path, latest: bool = False) -> Listed:
    """Return the files that an artefact lists as its own; empty where it cannot be read.

    Parameters
    ----------
    latest : bool
        Leave out those of the artefact that it replaced. (They count, because a run may be killed before all
        files are in place.)
    """
    try:
        if not output.is_file():
            return {}
        probe(output)
        with h5py.File(output, "r") as file:
            return files_of(file.attrs, latest)
    except (InputError, *DAMAGE):
        return {}


def list_files(file: h5py.File, folder: Path, output: Path) -> None:
    """List in an artefact what the hidden folder holds, and what the artefact that it replaces lists.

    Raises
    ------
    InputError
        If a file of one of the names is not ours.
    """
    earlier = listed(output)
    new = {path.relative_to(folder).as_posix(): sha256_of(path) for path in files_in(folder)}
    for name, value in new.items():
        target = output.parent / name
        if os.path.lexists(target) and not is_one_of(target, [*earlier.get(name, []), value]):
            raise InputError(f"{target} {not_ours(output)}")
    before = {name: values for name, values in earlier.items() if is_one_of(output.parent / name, values)}
    if new or before:
        file.attrs[FILES], file.attrs[BEFORE] = json.dumps(new), json.dumps(before)


def not_ours(output: Path) -> str:
    """Return the end of the message about a file that is in the way."""
    return f"is not a file that {output.name} lists as its own; move it away, or choose another --output"


def put_in_place(output: Path, folder: Path) -> None:
    """Move listed files from the hidden folder to their places; remove those of the artefact before."""
    new, known = listed(output, latest=True), listed(output)
    for path in files_in(folder):
        name = path.relative_to(folder).as_posix()
        target = output.parent / name
        if is_one_of(path, new.get(name, [])) and (
            not os.path.lexists(target) or is_one_of(target, known[name])
        ):
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    for name in known.keys() - new.keys():
        if is_one_of(output.parent / name, known[name]):
            (output.parent / name).unlink()
            for parent in Path(name).parents[:-1]:
                with contextlib.suppress(OSError):  # something else is in it
                    (output.parent / parent).rmdir()


def put_left_in_place(output: Path) -> None:
    """Finish what was killed between publishing an artefact and putting its files in place."""
    with lock(output):
        for folder in leftovers(output):
            if folder.is_dir():
                put_in_place(output, folder)
        remove_leftovers(output)


def changed(output: Path) -> list[Path]:
    """Return listed files that are there, but are not what they were."""
    paths = ((output.parent / name, values) for name, values in listed(output).items())
    return [path for path, values in paths if os.path.lexists(path) and not is_one_of(path, values)]


def wrong(output: Path) -> list[Path]:
    """Return files of the artefact that are missing, or not what they should be."""
    paths = ((output.parent / name, values) for name, values in listed(output, latest=True).items())
    return [path for path, values in paths if not is_one_of(path, values)]


def set_aside(path: Path) -> Path:
    """Rename a file that was changed, so that nothing of it is lost; return its new name."""
    number, free = 1, path.with_name(f"{path.name}.changed")
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.name}.changed{number}")
    path.rename(free)
    return free


def copy_content(source: h5py.File, target: h5py.File) -> None:
    """Copy an artefact into one that is being written: all but the list of files."""
    for name in source:
        source.copy(source[name], target, name)
    attributes: Mapping[str, Any] = source.attrs
    for name in attributes:
        if name not in (FILES, BEFORE, "complete"):
            target.attrs[name] = attributes[name]


def files_in(folder: Path) -> list[Path]:
    """Return what is no folder in a folder, at any depth."""
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def is_one_of(path: Path, hashes: list[str]) -> bool:
    """Whether a path is a file with one of the hashes."""
    return path.is_file() and sha256_of(path) in hashes
