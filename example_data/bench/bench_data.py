"""Data of the benchmark: files that every version reads in the same way."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from bench_process import Tree
from bench_rows import Size

EXAMPLES = Path(__file__).resolve().parents[1]
SETS = {"ec": "ec-dimer", "li": "li-ec"}


def files(size: Size, folder: Path, tree: Tree) -> dict[str, Path]:
    """Return training and test sets and structures to start from, made where they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Path] = {}
    for key, name in SETS.items():
        if size.published:
            printed = tree.output([sys.executable, "-m", "aenet_gpr_cli", "fetch", name]).split()
            for part in ("train", "test"):
                found[f"{part}_{key}"] = next(Path(word) for word in printed if f"{part}_set" in word)
        else:
            train, test = folder / f"train_{key}.zip", folder / f"test_{key}.zip"
            some_of(EXAMPLES / name / "structures.zip", train, test, getattr(size, key))
            found |= {f"train_{key}": train, f"test_{key}": test}
    found |= {"start_20": folder / "start_20.extxyz", "start_368": folder / "start_368.extxyz"}
    write_start(found["train_ec"], found["start_20"])
    write_start(found["train_li"], found["start_368"], (4, 2, 1))
    return found


def some_of(archive: Path, train: Path, test: Path, counts: tuple[int, int]) -> None:
    """Write training and test structures of an archive, spread evenly over it, as two archives."""
    with zipfile.ZipFile(archive) as source:
        names = sorted(name for name in source.namelist() if name.endswith(".xsf"))
        stride = len(names) // sum(counts)
        names = names[:: max(stride, 1)]
        step = sum(counts) / counts[0]
        first = [names[int(i * step)] for i in range(counts[0])]
        rest = [name for name in names if name not in set(first)][: counts[1]]
        for path, members in ((train, first), (test, rest)):
            with zipfile.ZipFile(path, "w") as target:
                for name in members:
                    target.writestr(name, source.read(name))


def write_start(archive: Path, output: Path, repeats: tuple[int, int, int] = (1, 1, 1)) -> None:
    """Write the first structure of an archive of XSF, repeated along its lattice vectors, as extended XYZ."""
    with zipfile.ZipFile(archive) as source:
        names = sorted(n for n in source.namelist() if n.endswith(".xsf") and "__MACOSX" not in n)
        lines = [line.split() for line in source.read(names[0]).decode().splitlines()]
    keys = [line[0] if line else "" for line in lines]
    lattice: list[list[float]] = []
    if "PRIMVEC" in keys:
        at = keys.index("PRIMVEC") + 1
        lattice = [[float(x) for x in line[:3]] for line in lines[at : at + 3]]
        at = keys.index("PRIMCOORD") + 2
    else:
        at = keys.index("ATOMS") + 1
    atoms = [(line[0], [float(x) for x in line[1:4]]) for line in lines[at:] if len(line) >= 4]
    rows = []
    for shift in [(i, j, k) for i in range(repeats[0]) for j in range(repeats[1]) for k in range(repeats[2])]:
        offset = [sum(s * v[c] for s, v in zip(shift, lattice)) for c in range(3)] if lattice else [0.0] * 3
        rows += [f"{kind} " + " ".join(f"{x + o:.8f}" for x, o in zip(r, offset)) for kind, r in atoms]
    cell = " ".join(f"{n * x:.8f}" for n, v in zip(repeats, lattice) for x in v)
    head = f'Lattice="{cell}" pbc="T T T" ' if lattice else 'pbc="F F F" '
    text = "\n".join([str(len(rows)), f"{head}Properties=species:S:1:pos:R:3", *rows])
    output.write_text(text + "\n", encoding="utf-8")
