"""The published reference sets: where they are, their checksums, and how they get here.

The HSE06 and Lennard-Jones data that the authors published with aenet-gpr (MPL-2.0; paper:
doi 10.1038/s41524-025-01651-0). They are fetched, never shipped. Reading them is left to `sources`.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from aenet_gpr_cli.errors import InputError, ResourceError
from aenet_gpr_cli.io.files import sha256_of, written_whole
from aenet_gpr_cli.progress import Progress

COMMIT = "093018d9ee5db9dd4e00bf76f97b50fee9b226e4"
_SOURCE = f"https://raw.githubusercontent.com/atomisticnet/aenet-gpr/{COMMIT}"
_FOLDERS = {"h2": "example/1_H2", "ec-dimer": "example/2_EC-EC", "li-ec": "example/3_Li-EC"}

SHA256: dict[str, dict[str, str]] = {
    "h2": {
        "train_set.zip": "9ab81a222aae956b05538137f710250d3129f440001793c61870acc3a55598aa",
        "test_set.zip": "e6d2dd62b190c012c672151775d64162077782f7c5d765220bb8e1430cda4222",
    },
    "ec-dimer": {
        "train_set.zip": "b04a9088884fa1a148b6f9283dbeb24b299cea1b78885de2c013650397ba0e6a",
        "test_set.zip": "e46df7c2bfe95087f157d3f19d5399fe4e355733244b6d51705213bd184df4dd",
    },
    "li-ec": {
        "train_set.zip": "9b418f0285a73c6fb4c4f8aeeb5a217740a8c4532d928bf46892537dfd2d42e9",
        "test_set.zip": "82aea9815e85119cbb5a430484fad0ef6159ab6a89b064cf9fcd10fadd559f2f",
    },
}

ENVIRONMENT_VARIABLE = "AENET_GPR_DATA"
PREFIX = "published:"


def url(name: str, file: str) -> str:
    """Return the address of one file of a published set.

    Parameters
    ----------
    name : str
        ``h2``, ``ec-dimer`` or ``li-ec``.
    file : str
        ``train_set.zip`` or ``test_set.zip``.
    """
    return f"{_SOURCE}/{_FOLDERS[name]}/{file}"


def published_root() -> Path:
    """Return the folder that holds the published sets, one subfolder per set.

    Returns
    -------
    Path
        ``$AENET_GPR_DATA``, or pooch's cache folder for ``aenet-gpr`` if that is not set.
    """
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    if given:
        return Path(given).expanduser()
    import pooch

    return Path(pooch.os_cache("aenet-gpr"))


def resolve(path: str) -> Path:
    """Turn ``published:ec-dimer/train_set.zip`` into the file on this machine; leave other paths alone.

    Raises
    ------
    InputError
        If there is no such set or file, or it has not been fetched yet.
    """
    if not path.startswith(PREFIX):
        return Path(path)
    name, _, file = path.removeprefix(PREFIX).partition("/")
    files = _files_of(name)
    if file not in files:
        raise InputError(f"{path}: expected one of {', '.join(files)} after '{PREFIX}{name}/', got '{file}'")
    found = published_root() / name / file
    if not found.is_file():
        raise InputError(
            f"{path}: expected {found}, but it is not there; get it with 'aenet-gpr fetch {name}' "
            f"(or 'aenet-gpr fetch {name} --mirror FOLDER' without a network)"
        )
    return found


def fetch(
    name: str,
    destination: Path,
    mirror: Path | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Bring one published set to this machine and check it by SHA-256.

    A file appears under its name only after its checksum was right. Files that are there and right
    are left alone.

    Parameters
    ----------
    name : str
        ``h2``, ``ec-dimer`` or ``li-ec``.
    destination : Path
        Folder for all sets; the files go to ``destination/name/``.
    mirror : Path, optional
        Local folder with the same layout (``mirror/name/train_set.zip``), read in place of the network.
    progress : callable, optional
        Called with files done, files in total, and a message.

    Returns
    -------
    list of Path
        The files of the set.

    Raises
    ------
    InputError
        If the set is unknown, the network or the mirror does not give the file, or a checksum is wrong.
    ResourceError
        If the destination cannot be written.
    """
    files = _files_of(name)
    targets = []
    for done, (file, sha256) in enumerate(files.items()):
        target = destination / name / file
        targets.append(target)
        if target.is_file() and sha256_of(target) == sha256:
            message = f"{target} is there already"
        else:
            message = f"{target} fetched"
            _bring(name, file, target, mirror)
        if progress:
            progress(done + 1, len(files), message)
    return targets


def _bring(name: str, file: str, target: Path, mirror: Path | None) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target) as temporary:
            if mirror is None:
                source = url(name, file)
                _download(source, temporary)
            else:
                source = str(mirror / name / file)
                if not Path(source).is_file():
                    raise InputError(f"{source}: expected the file in the mirror, but it is not there")
                shutil.copyfile(source, temporary)
            found, expected = sha256_of(temporary), SHA256[name][file]
            if found != expected:
                raise InputError(f"{source}: expected SHA-256 {expected}, got {found}; nothing was kept")
    except OSError as error:
        raise ResourceError(f"{target}: cannot write: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # not empty, as it should be
            target.parent.rmdir()


def _download(source: str, temporary: Path) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        # The checksum is compared by the caller, so that a wrong one is told apart from a dead network.
        pooch.retrieve(source, known_hash=None, fname=temporary.name, path=temporary.parent)
    except Exception as error:  # requests, urllib and pooch each have their own
        got = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise InputError(
            f"{source}: expected to download it, got {got}; check the network, or use "
            "--mirror FOLDER with a local copy (FOLDER/h2/train_set.zip, ...)"
        ) from error


def _files_of(name: str) -> dict[str, str]:
    if name not in SHA256:
        raise InputError(f"expected one of the published sets {', '.join(SHA256)}, got '{name}'")
    return SHA256[name]
