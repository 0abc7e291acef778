"""Copies as files of other programs: XSF for ænet, extended XYZ for everything that reads through ASE."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aenet_gpr_cli.io.formats.xsf import write_xsf
from aenet_gpr_cli.io.frames.xyz_text import write_frame
from aenet_gpr_cli.structures import AugmentedSet
from aenet_gpr_cli.subsystems.ordering import in_file_order

FILES_PER_FOLDER = 10_000  # of XSF: many file systems are slow with more


def write_copies_as_xsf(folder: Path, blocks: Iterable[AugmentedSet]) -> None:
    """Write every copy to an XSF file, named by the place of its parent in the set and its own number.

    Parameters
    ----------
    folder : Path
        Made if it does not exist. Beyond 10,000 files it gets subfolders.
    blocks : iterable of AugmentedSet
        Of one subset, in order.
    """
    numbers: dict[str, int] = {}
    done = 0
    folder.mkdir(parents=True, exist_ok=True)
    for block in blocks:
        for index, (parent, copy) in enumerate(zip(block.parents, block.copies, strict=True)):
            number = numbers.setdefault(parent, len(numbers))
            place = folder / (f"{done // FILES_PER_FOLDER:05d}" if done >= FILES_PER_FOLDER else "")
            place.mkdir(exist_ok=True)
            structure = in_file_order(block.structures.structure(index))
            write_xsf(structure, place / f"{number:05d}_{copy:04d}.xsf")
            done += 1


def write_copies_as_extxyz(path: Path, blocks: Iterable[AugmentedSet]) -> None:
    """Write all copies to one extended XYZ file.

    The comment line carries ``energy`` and ``sigma`` (eV), ``domain_distance``, ``parent``, ``copy`` and
    ``label``; there are no forces, because the copies have none.

    Parameters
    ----------
    blocks : iterable of AugmentedSet
        Of one or several subsets.
    """
    with path.open("w", encoding="utf-8") as file:
        for block in blocks:
            for index, (parent, copy) in enumerate(zip(block.parents, block.copies, strict=True)):
                s = in_file_order(block.structures.structure(index))
                info = {"parent": parent, "copy": int(copy), "label": block.label}
                for key, values in (("sigma", block.sigma), ("domain_distance", block.domain_distance)):
                    info[key] = None if values is None else float(values[index])
                write_frame(file, s, {**info, "energy": s.energy}, {})
