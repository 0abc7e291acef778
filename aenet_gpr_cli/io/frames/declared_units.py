"""Units that the header of a frame declares, as factors to eV and Å."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aenet_gpr_cli.errors import InputError

# CODATA 2018
HARTREE = 27.211386245988
BOHR = 0.529177210903
_KCAL_PER_MOL = 4184.0 / 96485.33212331001
GPA = 1.0 / 160.21766339999998

_ENERGY = {
    **dict.fromkeys(("ev", "electronvolt", "electronvolts"), 1.0),
    "mev": 1e-3,
    **dict.fromkeys(("ha", "hartree", "hartrees", "eh", "au", "a.u."), HARTREE),
    **dict.fromkeys(("ry", "rydberg", "rydbergs"), HARTREE / 2.0),
    **dict.fromkeys(("kcal/mol", "kcal", "kcalmol", "kcalmol-1"), _KCAL_PER_MOL),
    **dict.fromkeys(("kj/mol", "kj", "kjmol", "kjmol-1"), _KCAL_PER_MOL / 4.184),
}
_LENGTH = {
    **dict.fromkeys(("a", "å", "ang", "angs", "angstrom", "angstroms", "ångström", "ångstrom"), 1.0),
    **dict.fromkeys(("bohr", "bohrs", "a0", "au", "a.u."), BOHR),
    "nm": 10.0,
    "pm": 0.01,
}
_PRESSURE = {
    **{"gpa": GPA, "mpa": 1e-3 * GPA, "pa": 1e-9 * GPA, "bar": 1e-4 * GPA},
    **dict.fromkeys(("kbar", "kb"), 0.1 * GPA),
    **dict.fromkeys(("au", "a.u."), HARTREE / BOHR**3),
}
_WHAT = r"(energ(?:y|ies)|forces?|lengths?|positions?|pos|distances?|stress(?:es)?|virials?)"
_STANDARD_UNITS = {"ev", "metal", "ase", "ev, å", "ev,å", "ev, ang", "ev, angstrom", "ev/å"}
_KINDS = {"e": "energy", "f": "force", "s": "stress", "v": "virial"}
_KEY = re.compile(_WHAT + r"[-_]?units?", re.IGNORECASE)
_KEY_BEFORE = re.compile(r"units?[-_]?(?:of[-_])?" + _WHAT, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Factors:
    """What energies, positions, forces, stress and virial are multiplied by, and what is said about it.

    The factors of stress and virial are None where other units are declared but not theirs.
    """

    energy: float = 1.0
    length: float = 1.0
    force: float = 1.0
    stress: float | None = 1.0
    virial: float | None = 1.0
    said: str = ""
    undeclared: str = ""

    def require_forces_unit(self, has_forces: bool, where: str) -> None:
        """Refuse forces whose unit is not clear though that of the energy is declared.

        Raises
        ------
        InputError
        """
        if has_forces and self.undeclared:
            raise InputError(
                f"{where}: expected the unit of the forces (force-unit=...) beside {self.undeclared}, "
                "got none; declare it, or convert both to eV and eV/Å"
            )


def declared(info: Mapping[str, object], where: str) -> Factors:
    """Return the factors to eV, Å and eV/Å that the header of a frame asks for.

    Raises
    ------
    InputError
        If a unit is unknown, or that of the energy is declared and that of the forces is not.
    """
    given: dict[str, tuple[str, str]] = {}
    for key in ("units", "unit"):
        if key in info and str(info[key]).strip().lower() not in _STANDARD_UNITS:
            raise InputError(
                f"{where}: expected energy-unit=..., length-unit=... and force-unit=..., got "
                f"{key}={str(info[key])[:40]!a}, which does not say them; write them, or convert to eV and Å"
            )
    for key, value in info.items():
        found = _KEY.fullmatch(str(key)) or _KEY_BEFORE.fullmatch(str(key))
        if found:
            kind = _KINDS.get(found[1][0].lower(), "length")
            given[kind] = str(key), str(value)
    if not given:
        return Factors()
    energy = _factor(given.get("energy"), _energy_factor, "eV, Hartree, Ry, kcal/mol or kJ/mol", where)
    length = _factor(given.get("length"), _length_factor, "Å, Bohr or nm", where)
    force = _factor(given.get("force"), _force_factor, "eV/Å, Hartree/Bohr, kcal/mol/Å, ...", where)
    stress = _factor(given.get("stress"), _stress_factor, "eV/Å^3, GPa, kbar or Hartree/Bohr^3", where)
    virial = _factor(given.get("virial"), _energy_factor, "eV, Hartree, Ry, kcal/mol or kJ/mol", where)
    other = [f"{key}={text}" for key, text in given.values()]
    undeclared = other[0] if "force" not in given and (energy != 1.0 or length != 1.0) else ""
    factors = {"energy": energy, "length": length, "force": force, "stress": stress, "virial": virial}
    converted = [f"{given[kind][0]}={given[kind][1]}" for kind, factor in factors.items() if factor != 1.0]
    said = f"converted from {', '.join(converted)}" if converted else ""
    standard = energy == 1.0 and length == 1.0
    return Factors(
        energy,
        length,
        force,
        stress if standard or "stress" in given else None,
        virial if standard or "virial" in given else energy,
        said,
        undeclared,
    )


def energy_of_text(text: str) -> float:
    """Return the energy in eV of a number with or without a unit.

    Raises
    ------
    ValueError
        If it is none.
    """
    value, _, unit = text.strip().partition(" ")
    factor = _energy_factor(unit) if unit.strip() else 1.0
    if factor is None:
        raise ValueError(f"no unit of energy: {unit}")
    return float(value.replace("D", "E").replace("d", "e")) * factor


def _factor(given, factor_of, expected: str, where: str) -> float:  # type: ignore[no-untyped-def]
    if given is None:
        return 1.0
    key, text = given
    found: float | None = factor_of(text)
    if found is None:
        raise InputError(f"{where}: expected {key} to be {expected}, got {text[:40]!a}; convert the numbers")
    return found


def _energy_factor(text: str) -> float | None:
    return _ENERGY.get(_plain(text))


def _length_factor(text: str) -> float | None:
    return _LENGTH.get(_plain(text))


def _force_factor(text: str) -> float | None:
    plain = re.sub(r"(?:\^|\*\*)", "", _plain(text))
    if plain in ("au", "a.u."):
        return HARTREE / BOHR
    energy, slash, length = plain.rpartition("/")
    if not slash or energy not in _ENERGY or length not in _LENGTH:
        return None
    return _ENERGY[energy] / _LENGTH[length]


def _stress_factor(text: str) -> float | None:
    plain = re.sub(r"[³()]|\^|\*\*", lambda m: "3" if m[0] == "³" else "", _plain(text))
    if plain in _PRESSURE:
        return _PRESSURE[plain]
    energy, slash, volume = plain.rpartition("/")
    length = volume.removesuffix("3")
    if not slash or energy not in _ENERGY or length not in _LENGTH or length == volume:
        return None
    return float(_ENERGY[energy] / _LENGTH[length] ** 3)


def _plain(text: str) -> str:
    return re.sub(r"[\s\"']", "", text).lower()
