"""The published reference sets: where they are, their checksums, and how they get here.

The HSE06 and Lennard-Jones data that the authors published with aenet-gpr (MPL-2.0; paper:
doi 10.1038/s41524-025-01651-0), and Li, Si, Ge and Mo of the benchmark mlearn (BSD-3-Clause; PBE; Zuo et al.,
J. Phys. Chem. A 124, 731 (2020)), which are turned into extended XYZ (see `readers.mlearn`). They are
fetched, never shipped. Reading them is left to `sources`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from aenet_gpr_cli.errors import InputError, ResourceError
from aenet_gpr_cli.io.files import sha256_of, write_text, written_whole
from aenet_gpr_cli.io.readers.mlearn import extxyz_of
from aenet_gpr_cli.progress import Progress

_RAW = "https://raw.githubusercontent.com"
_PAPER = f"{_RAW}/atomisticnet/aenet-gpr/093018d9ee5db9dd4e00bf76f97b50fee9b226e4/example"
_MLEARN = f"{_RAW}/materialsvirtuallab/mlearn/10c427a5480c6281c15c64efaf869b03be04818f/data"
_FOLDERS = {
    "h2": f"{_PAPER}/1_H2",
    "ec-dimer": f"{_PAPER}/2_EC-EC",
    "li-ec": f"{_PAPER}/3_Li-EC",
    "mlearn-li": f"{_MLEARN}/Li",
    "mlearn-si": f"{_MLEARN}/Si",
    "mlearn-ge": f"{_MLEARN}/Ge",
    "mlearn-mo": f"{_MLEARN}/Mo",
}
# names of several sets
SEVERAL = {
    "all": ("h2", "ec-dimer", "li-ec"),
    "mlearn": ("mlearn-li", "mlearn-si", "mlearn-ge", "mlearn-mo"),
}

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
    "mlearn-li": {
        "training.json": "1cac01475c5a4fb85771ee1fd23366a6b8abfb9891e0c9e088b6e37228e147b3",
        "test.json": "554d0ce60b35a07b357be3a80bf04f68eb8fc97b5a88328caf08c860b5e9b260",
    },
    "mlearn-si": {
        "training.json": "ae6d4b0a65b00e0fcf7ba0a6fad366716710d2f0d21d70199203089c6866b500",
        "test.json": "d452b30a89f23bff76f7cc529b7b6c2d159ea81ccd5a4599fb1a18207654fa91",
    },
    "mlearn-ge": {
        "training.json": "43dee02009a5167f94c7aafce19051222bcfc328c46181750cc2a2018187ca00",
        "test.json": "737ea6159c9dd27ebee7fb8ffae22f15e20466884927771248ca4f5b2cd3f093",
    },
    "mlearn-mo": {
        "training.json": "b13305fca0d0d2631ab080c8fcf13c743ee79a911712fb65a34ca88fadf09f9a",
        "test.json": "68169e2927c2115daa2f504805fcb9548ee65daf2dd015428807ba92f8e13bb8",
    },
}

ENVIRONMENT_VARIABLE = "AENET_GPR_DATA"
PREFIX = "published:"


def url(name: str, file: str) -> str:
    """Return the address of one file of a published set.

    Parameters
    ----------
    name : str
        A key of `SHA256`.
    file : str
        ``train_set.zip`` or ``test_set.zip``; ``training.json`` or ``test.json`` of mlearn.
    """
    return f"{_FOLDERS[name]}/{file}"


def sets_named(names: Iterable[str]) -> list[str]:
    """Return the names of sets, with those of `SEVERAL` spelt out.

    Raises
    ------
    InputError
        If there is no such set.
    """
    found = [name for given in names for name in SEVERAL.get(given, (given,))]
    for name in found:
        _files_of(name)
    return list(dict.fromkeys(found))


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

    Sets of mlearn are read from ``training.xyz`` and ``test.xyz``.

    Raises
    ------
    InputError
        If there is no such set or file, or it has not been fetched yet.
    """
    if not path.startswith(PREFIX):
        return Path(path)
    name, _, file = path.removeprefix(PREFIX).partition("/")
    files = [_readable(file) for file in _files_of(name)]
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
        A key of `SHA256`.
    destination : Path
        Folder for all sets; the files go to ``destination/name/``. JSON is also written as extended XYZ.
    mirror : Path, optional
        Local folder with the same layout (``mirror/name/train_set.zip``; of mlearn also
        ``mirror/Li_training.json``), read in place of the network.
    progress : callable, optional
        Called with files done, files in total, and a message.

    Returns
    -------
    list of Path
        The files of the set that can be read.

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
        if target.is_file() and sha256_of(target) == sha256:
            message = f"{target} is there already"
        else:
            message = f"{target} fetched"
            _bring(name, file, target, mirror)
        targets.append(_as_readable(target))
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
                source = str(_in_mirror(mirror, name, file))
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


def _in_mirror(mirror: Path, name: str, file: str) -> Path:
    usual = mirror / name / file
    flat = mirror / f"{name.removeprefix('mlearn-').capitalize()}_{file}"
    return flat if name.startswith("mlearn-") and not usual.is_file() and flat.is_file() else usual


def _readable(file: str) -> str:
    return file.replace(".json", ".xyz")


def _as_readable(path: Path) -> Path:
    """Write a JSON file of mlearn as extended XYZ beside it, unless it is there; return what to read."""
    readable = path.with_name(_readable(path.name))
    if readable == path:
        return path
    text = extxyz_of(path.read_bytes(), str(path))
    if not readable.is_file() or readable.read_text(encoding="utf-8") != text:
        write_text(readable, text)
    return readable


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
        known = ", ".join([*SHA256, *SEVERAL])
        raise InputError(f"expected one of the published sets {known}, got '{name}'")
    return SHA256[name]
