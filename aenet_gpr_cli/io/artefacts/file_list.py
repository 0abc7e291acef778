"""Files of a command that makes no artefact: a list beside them says which are its own, with their hash."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.artefacts.side_files import (
    Listed,
    files_in,
    hidden_folder,
    is_one_of,
    remove_leftovers,
)
from aenet_gpr_cli.io.files import require_file, sha256_of, write_json
from aenet_gpr_cli.io.hdf5.locks import lock

LIST = ".aenet-gpr.json"
NOT_OURS = (
    "is there, and was not written by an earlier call or was changed since; move it away, or choose another "
    "--output"
)


@contextlib.contextmanager
def publish_files(folder: Path) -> Iterator[Path]:
    """Write files into a folder, where only those that the list there names, unchanged, are replaced.

    Yields
    ------
    Path
        A hidden folder; what the block writes here takes its place, under the same name, when it succeeds.

    Raises
    ------
    InputError
        If a file of one of these names is there that is not listed, or was changed since.
    """
    listing = folder / LIST
    with lock(listing):
        remove_leftovers(listing)
        with hidden_folder(listing) as made:
            yield made
            own, now = _read(listing), dict[str, list[str]]()
            for path in files_in(made):
                name = path.relative_to(made).as_posix()
                target, value = folder / name, sha256_of(path)
                if os.path.lexists(target):
                    if not is_one_of(target, [*own.get(name, []), value]):
                        raise InputError(f"{target} {NOT_OURS}")
                    now[name] = [sha256_of(target)]  # a run may be killed before all files are in place
                now[name] = list(dict.fromkeys([*now.get(name, []), value]))
            write_json(listing, own | now)
            for name in now:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (made / name).replace(folder / name)


def _read(listing: Path) -> Listed:
    """Return the hashes that each file may have; a damaged list names none."""
    if not listing.exists():
        return {}
    require_file(listing)
    with contextlib.suppress(ValueError, AttributeError, TypeError, RecursionError):
        return {str(name): [str(value) for value in values] for name, values in _content(listing).items()}
    return {}


def _content(listing: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(listing.read_text(encoding="utf-8"))
    return found
