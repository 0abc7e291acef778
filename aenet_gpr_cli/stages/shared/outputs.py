"""What a stage is going to write, checked before it starts: nothing of the user's may be in the way.

A path that is an input, contains one or lies in one is refused, and so is everything that is there already
and that no earlier run of the stage has written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py

from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.io.artefacts.artefact import kind_of
from aenet_gpr_cli.io.artefacts.checkpoint import FOLDER_SUFFIX
from aenet_gpr_cli.io.artefacts.side_files import beside, changed, listed, not_ours
from aenet_gpr_cli.io.formats.published import resolve
from aenet_gpr_cli.io.hdf5.locks import LOCK_SUFFIX

HINT = "choose another --output (run: --workdir)"
DEEPEST = 200  # folders above a path; each is looked at


def claim(kind: str, output: Path, inputs: Iterable[Path | str | None], endings: Sequence[str] = ()) -> None:
    """Make sure that a stage may write where it is going to, before it touches anything.

    Parameters
    ----------
    kind : str
        Name of the stage.
    inputs : iterable of Path or str
        All files and folders that it reads; None is left out.
    endings : sequence of str
        Of what it writes beside the artefact, after the name of that without ``.h5``: ``_copies.extxyz``;
        a folder ends with ``/``.

    Raises
    ------
    InputError
        Naming the path that is in the way.
    ConfigError
        If the output has no name.
    """
    if output.name in ("", ".."):
        raise ConfigError(f"--output: expected the name of a file to write, got {str(output)!r}")
    files = [beside(output, ending.rstrip("/")) for ending in endings]
    if output in files:
        raise InputError(
            f"{output}: {kind} writes another file of that name; choose an --output that ends with .h5"
        )
    hidden = [output.with_name(f".{output.name}{suffix}") for suffix in (LOCK_SUFFIX, FOLDER_SUFFIX)]
    refuse_inputs(kind, [output, *files, *hidden], inputs)
    _refuse_others(kind, output)
    own = listed(output)
    for path, ending in zip(files, endings, strict=True):
        if os.path.lexists(path) and not _is_ours(path, output, own, ending.endswith("/")):
            raise InputError(f"{path} {not_ours(output)}")


def refuse_inputs(kind: str, outputs: Iterable[Path], inputs: Iterable[Path | str | None]) -> None:
    """Refuse paths to write that are, contain or lie in one to read, also by another name or through links.

    Raises
    ------
    InputError
    """
    outputs = list(outputs)
    for path in outputs:
        if len(path.absolute().parents) > DEEPEST:
            raise InputError(f"{kind}: expected a path of at most {DEEPEST} folders to write to; {HINT}")
    read = [resolve(str(path)) for path in inputs if path is not None]
    for path in outputs:
        for source in read:
            if (how := _meets(path, source)) is not None:
                raise InputError(f"{path}, which {kind} would write, {how} its input {source}; {HINT}")


def refuse_changed(output: Path) -> None:
    """Refuse to replace files beside an artefact that are not as they were written.

    Raises
    ------
    InputError
    """
    if found := changed(output):
        raise InputError(
            f"{found[0]} was changed since it was written with {output.name}; move it away, or {HINT}"
        )


def _meets(path: Path, source: Path) -> str | None:
    """Say how a path to write meets one to read, None if it does not."""
    if _same(path, source):
        return "is"
    if any(_same(folder, source) for folder in _above(path)):
        return "lies in"
    if any(_same(path, folder) for folder in _above(source)):
        return "contains"
    return None


def _above(path: Path) -> Sequence[Path]:
    """The folders that a path lies in, as it is written and with links followed."""
    return [*Path(os.path.abspath(path)).parents, *Path(os.path.realpath(path)).parents]


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)  # also by hard links, and where case does not matter
    except OSError:
        return os.path.abspath(one) == os.path.abspath(other) or os.path.realpath(one) == os.path.realpath(
            other
        )


def _refuse_others(kind: str, output: Path) -> None:
    """Refuse to replace what is no artefact of this stage; a damaged or empty one may be replaced."""
    if not os.path.lexists(output) or (output.is_file() and not output.stat().st_size):
        return
    if not output.is_file():
        raise InputError(f"{output} is there and is no file; move it away, or {HINT}")
    if not h5py.is_hdf5(output):
        raise InputError(f"{output} is there and is no artefact of {kind}; move it away, or {HINT}")
    found = kind_of(output)
    if found not in (None, kind):
        raise InputError(f"{output} is there and is the output of {found}; move it away, or {HINT}")


def _is_ours(path: Path, output: Path, own: Iterable[str], folder: bool) -> bool:
    """Whether the artefact lists a file, or one in a folder; nothing is lost with an empty folder."""
    name = path.relative_to(output.parent).as_posix()
    if not folder:
        return path.is_file() and name in own
    if not path.is_dir():
        return False
    return any(each.startswith(f"{name}/") for each in own) or not any(path.iterdir())
