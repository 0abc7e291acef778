"""Flipped bits, blocks of zeros and cut ends in every artefact, given to everything that reads it in turn."""

import random

import pytest

from .conftest import CONSUMERS
from .judge import Account, Call, clear

pytestmark = pytest.mark.hostile
EACH = 12  # damages of each sort for each file
ZEROS = 512


def flipped(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def zeroed(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(max(1, len(content) - ZEROS))
    block = min(ZEROS, len(content) - at)
    return content[:at] + bytes(block) + content[at + block :]


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def garbled(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + rng.randbytes(16) + content[at + 16 :]


@pytest.mark.parametrize("damage", [flipped, zeroed, cut, garbled])
@pytest.mark.parametrize("name", CONSUMERS)
def test_damaged_bytes(fresh, base, account: Account, name, damage):
    folder = fresh()
    good, rng = (base / name).read_bytes(), random.Random(f"{name} {damage.__name__}")
    for number in range(EACH):
        bad, kept = damage(good, rng), folder.parent / f"damage_{number}"
        kept.write_bytes(bad)
        readers = CONSUMERS[name]
        if name.endswith(".h5"):  # one door leads to all artefacts: those behind it take turns
            readers = (readers[number % len(readers)],)
        for arguments in readers:
            (folder / name).write_bytes(bad)
            call = Call(f"{damage.__name__} {name}", (*arguments, "-q"), folder, note=f"cp {kept} {name}; ")
            account.try_(call)
            clear(folder / "out")
