"""Published data: fetched once, checked always, never left half done. No test uses the network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pooch
import pytest

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats import published as module
from aenet_gpr_cli.io.formats.published import SHA256, fetch, published_root, resolve, sets_named, url

CONTENT = {"train_set.zip": b"train", "test_set.zip": b"test"}


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a mirror of a small set that takes the place of h2."""
    folder = tmp_path / "mirror"
    (folder / "h2").mkdir(parents=True)
    for file, content in CONTENT.items():
        (folder / "h2" / file).write_bytes(content)
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in CONTENT.items()}
    monkeypatch.setitem(module.SHA256, "h2", sums)
    return folder


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_addresses_name_the_commit() -> None:
    assert url("li-ec", "test_set.zip") == (
        "https://raw.githubusercontent.com/atomisticnet/aenet-gpr/"
        "093018d9ee5db9dd4e00bf76f97b50fee9b226e4/example/3_Li-EC/test_set.zip"
    )
    assert all(len(sum_) == 64 for files in SHA256.values() for sum_ in files.values())


def test_fetch_from_a_mirror(tmp_path: Path, mirror: Path) -> None:
    files = fetch("h2", tmp_path / "data", mirror)
    assert [file.read_bytes() for file in files] == [b"train", b"test"]
    assert contents(tmp_path / "data") == {"h2", "train_set.zip", "test_set.zip"}


def test_what_is_there_and_right_is_left_alone(tmp_path: Path, mirror: Path) -> None:
    files = fetch("h2", tmp_path / "data", mirror)
    before = [file.stat().st_mtime_ns for file in files]
    messages: list[str] = []
    fetch("h2", tmp_path / "data", tmp_path / "no_such_mirror", lambda *args: messages.append(args[2]))
    assert [file.stat().st_mtime_ns for file in files] == before
    assert all("there already" in message for message in messages)


def test_a_damaged_file_is_replaced(tmp_path: Path, mirror: Path) -> None:
    (file, _) = fetch("h2", tmp_path / "data", mirror)
    file.write_bytes(b"damaged")
    fetch("h2", tmp_path / "data", mirror)
    assert file.read_bytes() == b"train"


def test_a_wrong_checksum_leaves_nothing(tmp_path: Path, mirror: Path) -> None:
    (mirror / "h2" / "train_set.zip").write_bytes(b"tampered")
    with pytest.raises(InputError, match=r"expected SHA-256 .*, got .*; nothing was kept") as caught:
        fetch("h2", tmp_path / "data", mirror)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "data" / "h2").exists()


def test_a_mirror_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train_set.zip: expected the file in the mirror"):
        fetch("h2", tmp_path / "data", tmp_path)


def test_a_dead_network_names_address_and_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **kwargs: object) -> str:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", unreachable)
    with pytest.raises(
        InputError, match=r"https://raw.*1_H2/train_set.zip: .*no route to host.*--mirror FOLDER"
    ):
        fetch("h2", tmp_path / "data")
    assert not (tmp_path / "data" / "h2").exists()


def test_a_download_goes_through_a_temporary_name(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def retrieve(address: str, known_hash: None, fname: str, path: Path) -> str:
        asked.append(address)
        (path / fname).write_bytes(CONTENT[address.rsplit("/", 1)[1]])
        return str(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    fetch("h2", tmp_path / "data")
    assert asked == [url("h2", file) for file in CONTENT]
    assert contents(tmp_path / "data") == {"h2", "train_set.zip", "test_set.zip"}


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected one of the published sets h2, ec-dimer, li-ec, .*, got 'H2O'"
    ):
        fetch("H2O", tmp_path)
    with pytest.raises(InputError, match="expected one of the published sets"):
        resolve("published:../../etc/passwd")
    with pytest.raises(
        InputError, match=r"expected one of train_set.zip, test_set.zip after .* got '\.\./a'"
    ):
        resolve("published:h2/../a")


def test_names_of_several_sets() -> None:
    assert sets_named(["all"]) == ["h2", "ec-dimer", "li-ec"]
    assert sets_named(["mlearn", "h2", "mlearn-si"])[:2] == ["mlearn-li", "mlearn-si"]
    assert len(sets_named(["mlearn", "mlearn-si"])) == 4
    with pytest.raises(InputError, match="got 'gold'"):
        sets_named(["h2", "gold"])


@pytest.fixture(params=["mlearn-li/training.json", "Li_training.json"])
def mlearn_mirror(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a mirror of a set of mlearn without structures, of either layout."""
    sums = {}
    for file in ("training.json", "test.json"):
        path = tmp_path / "mirror" / request.param.replace("training.json", file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"[]")
        sums[file] = hashlib.sha256(b"[]").hexdigest()
    monkeypatch.setitem(module.SHA256, "mlearn-li", sums)
    return tmp_path / "mirror"


def test_json_is_turned_into_what_can_be_read(
    mlearn_mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AENET_GPR_DATA", str(tmp_path / "data"))
    files = fetch("mlearn-li", published_root(), mlearn_mirror)
    assert [file.name for file in files] == ["training.xyz", "test.xyz"]
    assert resolve("published:mlearn-li/training.xyz") == files[0]
    with pytest.raises(InputError, match=r"expected one of training.xyz, test.xyz after"):
        resolve("published:mlearn-li/training.json")
    files[0].write_text("damaged")
    fetch("mlearn-li", published_root(), mlearn_mirror)
    assert files[0].read_text() == ""


def test_resolve(tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AENET_GPR_DATA", str(tmp_path / "data"))
    assert published_root() == tmp_path / "data"
    assert resolve("some/file.xsf") == Path("some/file.xsf")
    with pytest.raises(InputError, match="it is not there; get it with 'aenet-gpr fetch h2'"):
        resolve("published:h2/train_set.zip")
    fetch("h2", published_root(), mirror)
    assert resolve("published:h2/train_set.zip") == tmp_path / "data" / "h2" / "train_set.zip"


def test_the_cache_is_used_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AENET_GPR_DATA", raising=False)
    assert published_root() == Path(pooch.os_cache("aenet-gpr"))


@pytest.mark.published
@pytest.mark.parametrize("name", list(SHA256))
def test_the_checksums_are_those_of_the_data(published, tmp_path: Path, name: str) -> None:
    assert len(fetch(name, tmp_path, published(name).parent)) == 2
