"""Structures with predicted energies and forces, as extended XYZ and as XSF files; trajectories.

Also what a file says about motion: velocities and fixed atoms.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.files import written_whole
from aenet_gpr_cli.io.formats.archives import is_archive
from aenet_gpr_cli.io.formats.xsf import write_xsf
from aenet_gpr_cli.io.frames.recognise import EXTXYZ, format_of, unpacked
from aenet_gpr_cli.io.frames.xyz_text import write_frame
from aenet_gpr_cli.structures import FloatArray, Structure, StructureSet
from aenet_gpr_cli.units import FS_PER_TIME_UNIT

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

XSF_FOLDER = "_xsf/"
# formats in which ASE finds constraints
_WITH_CONSTRAINTS = (
    EXTXYZ, "traj", "db", "json", "vasp", "vasp-out", "vasp-xml", "aims-output", "castep-castep",
)  # fmt: skip
_MASK = b"move_mask"
_REMEDY = "give fixed_atoms, the numbers of the atoms that do not move, from 0; [] lets all move"


@dataclass(frozen=True, slots=True)
class PredictedStructure:
    """One structure with what a model says about it.

    Attributes
    ----------
    structure : Structure
        With predicted energy (eV) and forces (eV/Å), and stress (eV/Å³) where it is predicted.
    energy_std : float or None, eV
    forces_std : ndarray of shape (n_atoms, 3), eV/Å, or None
    reference_energy : float or None, eV
        What the file said.
    reference_forces : ndarray of shape (n_atoms, 3), eV/Å, or None
    beyond_training : ndarray of shape (n_atoms,), dimensionless, or None
        How far each environment lies outside the training data.
    domain_distance : float or None, dimensionless
        Distance to the training data of a Gaussian process; above 1 is outside.
    force_std : float or None, eV/Å
        One number for all forces.
    reference_stress : ndarray of shape (3, 3), eV/Å³, or None
        Positive under tension.
    """

    structure: Structure
    energy_std: float | None
    forces_std: FloatArray | None
    reference_energy: float | None
    reference_forces: FloatArray | None = None
    beyond_training: FloatArray | None = None
    domain_distance: float | None = None
    force_std: float | None = None
    reference_stress: FloatArray | None = None


def write_extxyz(path: Path, predicted: Sequence[PredictedStructure]) -> None:
    """Write all structures to one extended XYZ file, which appears complete or not at all.

    The comment line carries ``name``, ``energy``, ``energy_std``, ``reference_energy`` (eV), ``force_std``
    (eV/Å), ``stress``, ``reference_stress`` (eV/Å³) and ``domain_distance``, the columns ``forces``,
    ``forces_std``, ``reference_forces`` (eV/Å) and ``beyond_training``.
    """
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for item in predicted:
            s, given = item.structure, ("energy_std", "force_std", "reference_energy", "domain_distance")
            info = {"name": s.name, **dict(s.state), **{key: getattr(item, key) for key in given}}
            info |= {"reference_stress": item.reference_stress, "energy": s.energy, "stress": s.stress}
            if item.energy_std is None:  # of `label`: the energy whose gradient the forces are
                info["free_energy"] = s.energy
            errors = ("forces_std", "reference_forces", "beyond_training")
            write_frame(file, s, info, {key: getattr(item, key) for key in errors} | {"forces": s.forces})


def write_xsf_files(folder: Path, predicted: Sequence[PredictedStructure]) -> None:
    """Write each structure to an XSF file named by its number and where it came from.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(predicted):
        label = re.sub(r"[^A-Za-z0-9_.+-]+", "_", item.structure.name.removesuffix(".xsf"))
        write_xsf(item.structure, folder / f"{number:05d}_{label[-80:]}.xsf")


def structure_endings(formats: Collection[str], what: str = "structures") -> list[str]:
    """Return the endings of the names of what `write_structure_files` writes.

    Parameters
    ----------
    formats : collection of str
        Of ``extxyz`` and ``xsf``.
    what : str
        What the structures are.
    """
    return [{"extxyz": f"_{what}.extxyz", "xsf": XSF_FOLDER}[name] for name in sorted(formats)]


def write_structure_files(
    folder: Path, stem: str, predicted: Sequence[PredictedStructure], endings: Sequence[str]
) -> None:
    """Write structures in the formats of other programs.

    Parameters
    ----------
    folder : Path
        Where to.
    stem : str
        With what the names begin.
    endings : sequence of str
        From `structure_endings`.
    """
    for ending in endings:
        if ending == XSF_FOLDER:
            write_xsf_files(folder / f"{stem}{ending}", predicted)
        else:
            write_extxyz(folder / f"{stem}{ending}", predicted)


def write_trajectory(
    path: Path, pieces: Iterable[tuple[StructureSet, FloatArray, FloatArray]], fixed: Sequence[int] = ()
) -> None:
    """Write frames with energy, forces and momenta (in ASE's unit), which appear complete or not at all.

    Parameters
    ----------
    pieces : iterable of (StructureSet, ndarray, ndarray)
        Frames with energies (eV) and forces (eV/Å), their velocities (n_frames, n_atoms, 3) in Å/fs, and
        their times in fs.
    fixed : sequence of int
        Atoms that do not move: False in a column ``move_mask``, which is FixAtoms for ASE.
    """
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.constraints import FixAtoms
    from ase.io.extxyz import write_xyz

    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for frames, velocities, times in pieces:
            for i in range(len(frames)):
                s = frames.structure(i)
                atoms = Atoms(s.species, s.positions, cell=s.cell, pbc=s.pbc)
                atoms.set_velocities(velocities[i] * FS_PER_TIME_UNIT)
                atoms.info |= {"name": s.name, "time_fs": round(float(times[i]), 6), **dict(s.state)}
                atoms.calc = SinglePointCalculator(atoms, energy=s.energy, forces=s.forces)
                atoms.set_constraint(FixAtoms(fixed) if len(fixed) else None)
                write_xyz(file, [atoms])


def read_velocities(path: Path, frame: int, n_atoms: int) -> FloatArray | None:
    """Return the velocities of a frame of an extended XYZ file, Å/fs; None where it has no momenta.

    Parameters
    ----------
    frame : int
        Counted from 0; negative from the end.
    n_atoms : int
        Of the frame.
    """
    from ase import Atoms
    from ase.io import read

    if not path.is_file() or not path.name.lower().endswith(("xyz", "extxyz")):
        return None
    try:
        atoms = read(path, index=frame, format="extxyz")
    except Exception:  # only our own reader is strict; without ASE's there are no velocities
        return None
    if not isinstance(atoms, Atoms) or len(atoms) != n_atoms or not atoms.has("momenta"):
        return None
    return np.array(atoms.get_velocities()) / FS_PER_TIME_UNIT


def read_fixed_atoms(path: Path, frame: int, n_atoms: int) -> tuple[int, ...]:
    """Return the atoms that a frame of a file fixes, from 0: by constraints of ASE, or ``move_mask``.

    Parameters
    ----------
    frame : int
        Counted from 0.
    n_atoms : int
        Of the frame.

    Raises
    ------
    InputError
        If it has constraints that leave a part of the motion of an atom, or that cannot be read.
    """
    from ase import Atoms
    from ase.io import read

    if not path.is_file() or is_archive(path):
        log.info("%s: constraints of folders and archives are not looked at (key fixed_atoms)", path)
        return ()
    file_format = format_of(path)
    if file_format not in _WITH_CONSTRAINTS:
        return ()
    options = {"non_convergence_ok": True} if file_format == "aims-output" else {}
    with unpacked(path) as plain:
        if file_format == EXTXYZ and not _mentions(plain, _MASK):
            return ()
        try:
            atoms = read(plain, index=frame, format=file_format, **options)
        except Exception as error:  # ASE's parsers raise whatever goes wrong inside them
            raise InputError(
                f"{path}, frame {frame}: expected constraints as ASE reads them, got {type(error).__name__}: "
                f"{error}; {_REMEDY}"
            ) from error
    if not isinstance(atoms, Atoms) or len(atoms) != n_atoms:
        return ()
    return _fixed_by(atoms, f"{path}, frame {frame}")


def _mentions(path: Path, word: bytes) -> bool:
    with path.open("rb") as file:
        return any(word in line for line in file)


def _fixed_by(atoms: Atoms, where: str) -> tuple[int, ...]:
    from ase.constraints import FixAtoms, FixCartesian, FixScaled

    fixed = np.zeros(len(atoms), bool)
    others: set[str] = set()
    for each in atoms.constraints:
        name = type(each).__name__
        by_axis = isinstance(each, FixCartesian | FixScaled)
        if isinstance(each, FixAtoms) or (by_axis and each.mask.all()):
            fixed[each.index] = True
        elif not by_axis or each.mask.any():
            others.add(f"{name} along some axes" if by_axis else name)
    if others:
        raise InputError(
            f"{where}: expected atoms that are fixed or free (FixAtoms, one column move_mask), got "
            f"{', '.join(sorted(others))}; {_REMEDY}"
        )
    return tuple(map(int, np.flatnonzero(fixed)))
