"""A frame of a file: its atoms, and every number in it that could be its energy or its forces."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.frames.declared_units import energy_of_text
from aenet_gpr_cli.structures import FloatArray, Structure

# of formats that have one energy and one set of forces, and no names for them
TOTAL = "total energy"
COLUMNS = "columns 5 to 7"
_LENGTHS = ("position", "cell")
_FARTHEST = 1e6  # Å
_GROUP = ("config_type", "config", "group")
_STATE = {
    **dict.fromkeys(("charge", "total_charge", "tot_charge", "net_charge"), "charge"),
    **dict.fromkeys(("spin", "total_spin"), "spin"),
    **dict.fromkeys(("multiplicity", "spin_multiplicity", "mult"), "multiplicity"),
}
_WORDS = ("singlet", "doublet", "triplet", "quartet", "quintet", "sextet", "septet")
_PART = r"(?:scf|electronic|elec|dft|qm)"
_CONVERGED = re.compile(
    rf"(?P<before>{_PART}_?)?(?:is_?)?(?P<not>not_?|un)?converged(?P<after>_?{_PART})?", re.IGNORECASE
)
_SAYS: dict[object, bool] = {
    **dict.fromkeys((True, "t", "true", "yes", "1"), True),
    **dict.fromkeys((False, "f", "false", "no", "0"), False),
}
NOT_REACHED = "the electronic self-consistency was not reached"
_MOMENT = {"magmom", "total_magmom", "total_magnetization", "magnetization", "tot_magnetization"}


@dataclass(slots=True)
class Frame:
    """One frame as the file has it.

    Attributes
    ----------
    structure : Structure
        Without energy and forces.
    energies : dict of str to float, eV
        Every energy of the frame by its name in the file.
    forces : dict of str to ndarray of shape (n_atoms, 3), eV/Å
        Every force column by its name in the file.
    other_numbers, other_columns : tuple of str
        Names of single numbers and of columns of three that neither are called an energy or a force nor were
        asked for.
    stresses : dict of str to ndarray of shape (3, 3), eV/Å³
        Every stress by its name in the file, positive under tension; NaN where it cannot be one.
    unconverged : str
        Why the frame is no converged calculation, empty where nothing says so.
    units : str
        What was converted, for the table.
    """

    structure: Structure
    energies: dict[str, float] = field(default_factory=dict)
    forces: dict[str, FloatArray] = field(default_factory=dict)
    stresses: dict[str, FloatArray] = field(default_factory=dict)
    other_numbers: tuple[str, ...] = ()
    other_columns: tuple[str, ...] = ()
    unconverged: str = ""
    units: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame that is not used, and why."""

    name: str
    why: str


class Incomplete(InputError):
    """A file without one complete frame: cut short, of a failed calculation, or empty; others may have some.

    Attributes
    ----------
    why : str
        Why it is left out, where others are used.
    """

    def __init__(self, where: str, problem: str, why: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.why = why


def energies_in(
    values: Mapping[str, Any], asked: Collection[str] = ()
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return what is called an energy of the whole frame, and the names of all other single numbers.

    Also text that is a number as Fortran writes it, or a number with a unit (``-12.5 eV``).

    Parameters
    ----------
    asked : collection of str
        Names that are taken, too, whatever they say.
    """
    found: dict[str, float] = {}
    others: list[str] = []
    for key, value in values.items():
        name = str(key)
        if isinstance(value, bool | np.bool_) or np.ndim(value) != 0:
            continue
        try:
            number_there = energy_of_text(value) if isinstance(value, str) else float(value)
        except (TypeError, ValueError):
            continue
        if "energy" in name.lower() or name in asked:
            found[name] = number_there
        else:
            others.append(name)
    return found, tuple(others)


def number(text: str) -> float:
    """Return the number in a text, also with Fortran's exponent (``1.0D-03``).

    Raises
    ------
    ValueError
        If it is none.
    """
    return float(text.replace("D", "E").replace("d", "e"))


def is_number(text: str) -> bool:
    """Return whether `number` reads a text."""
    try:
        number(text)
    except ValueError:
        return False
    return True


def state_in(values: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Return charge and spin of the whole frame under one name each, sorted."""
    found = {}
    for key, value in values.items():
        name = _STATE.get(str(key).lower())
        if name in ("spin", "multiplicity") and str(value).lower() in _WORDS:
            found["multiplicity"] = float(_WORDS.index(str(value).lower()) + 1)
        elif name and (single := _single(value)) is not None:
            found[name] = single
    return tuple(sorted(found.items()))


def moment_in(values: Mapping[str, Any]) -> float | None:
    """Return the magnetic moment of the whole frame, in μB."""
    numbers = [_single(value) for key, value in values.items() if str(key).lower() in _MOMENT]
    given = next((single for single in numbers if single is not None), None)
    atoms = np.asarray(values.get("magmoms", []))
    return float(atoms.sum()) if given is None and atoms.ndim == 1 and atoms.size else given


def _single(value: Any) -> float | None:
    if isinstance(value, bool) or np.ndim(value) != 0:
        return None
    try:
        single = number(value) if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        return None
    return single if np.isfinite(single) else None


def unconverged_in(values: Mapping[str, Any]) -> str:
    """Return why a frame is left out whose keys say that it did not converge; empty where none says so.

    ``converged=F``, ``scf_converged=0``, ``converged_electronic="false"``, ``unconverged=T``, and the like.
    Numbers other than 0 and 1 say nothing, nor does a key of a relaxation (``ionic_converged``) or a limit
    (``convergence=0``).
    """
    for key, value in values.items():
        found = _CONVERGED.fullmatch(str(key))
        single = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
        if found is None or np.ndim(single) != 0:
            continue
        said = _SAYS.get(single.strip().lower() if isinstance(single, str) else single)
        if said is bool(found["not"]):
            return NOT_REACHED if found["before"] or found["after"] else f"the frame says {key}={value}"
    return ""


def group_in(values: Mapping[str, Any]) -> str:
    """Return what the frame says which kind of structure it is; empty where it does not."""
    found = {str(key).lower(): value for key, value in values.items()}
    named = (found[key] for key in _GROUP if isinstance(found.get(key), str))
    return next(named, "").strip()


def forces_in(arrays: Mapping[str, Any], n_atoms: int, asked: Collection[str] = ()) -> dict[str, FloatArray]:
    """Return columns of three numbers per atom called forces, or asked for."""
    found = {}
    for key, value in arrays.items():
        named = "force" in str(key).lower() or str(key) in asked
        if named and np.shape(value) == (n_atoms, 3):
            found[str(key)] = np.array(value, float)
    return found


def checked_cell(cell: FloatArray, pbc: tuple[bool, ...], where: str) -> FloatArray | None:
    """Return the lattice vectors, missing ones of other directions completed; None without periodicity.

    Raises
    ------
    InputError
        If a periodic direction has no vector, or the vectors are not independent.
    """
    if not any(pbc):
        return None
    if not np.linalg.norm(cell, axis=1)[list(pbc)].all():
        raise InputError(f"{where}: expected a lattice vector for each periodic direction, got none")
    lengths = np.linalg.norm(cell, axis=1)
    present = cell[lengths > 0] / lengths[lengths > 0][:, None]
    if not np.linalg.svd(present, compute_uv=False)[-1] > 1e-10:
        raise InputError(f"{where}: expected independent lattice vectors, got a cell without volume")
    if len(present) == 3:
        return np.array(cell, float)
    from ase.geometry import complete_cell

    return np.array(complete_cell(cell), float)


def volume_of(cell: FloatArray | None, pbc: tuple[bool, ...]) -> float:
    """Return the volume in Å³ that a stress counts for; 0 without periodicity or three vectors."""
    if cell is None or not any(pbc) or not np.isfinite(cell).all():
        return 0.0
    return abs(float(np.linalg.det(cell)))


def check_finite(where: str, **labelled: object) -> None:
    """Refuse numbers that are not finite, and positions and cells that no structure has.

    Raises
    ------
    InputError
        Naming which.
    """
    for label, value in labelled.items():
        if value is not None and not np.isfinite(np.asarray(value, float)).all():
            raise InputError(f"{where}: expected finite numbers, got NaN or infinity in {label}")
        if value is None or label not in _LENGTHS:
            continue
        if np.abs(np.asarray(value, float)).max(initial=0.0) > _FARTHEST:
            raise InputError(f"{where}: expected lengths of at most {_FARTHEST:g} Å, got more in {label}")
