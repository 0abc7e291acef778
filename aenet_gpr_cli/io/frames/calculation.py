"""What an output says of its calculation: frames not converged electronically, charge and spin.

Owns the words and counts of each code. What becomes of such frames is left to `labels`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import mul
from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Words:
    """What a code writes.

    Attributes
    ----------
    begins : str
        What begins the part of a frame; empty where ``ends`` ends it, or every statement is one.
    ends : str
        What ends it.
    result : str
        What a part must have to be a frame of the reader.
    good, bad : str
        Statements on convergence; the last one of a part holds.
    """

    begins: str
    ends: str
    result: str
    good: str
    bad: str


_SAYS = {
    # hybrid functionals converge several times in a frame; a relaxation prints its last structure twice
    "espresso-out": _Words(
        begins=r"Program PWSCF|ATOMIC_POSITIONS",
        ends="",
        result=r"^!    total energy|Forces acting on atoms|total   stress|Magnetic moment per site|"
        r"End of (?:self-consistent|band structure) calculation",
        good=r"convergence has been achieved",
        bad=r"convergence NOT achieved",
    ),
    # geometry cycles "have not yet converged", too: that is no reason
    "orca-output": _Words(
        begins="",
        ends=r"ORCA TERMINATED NORMALLY|ORCA GEOMETRY RELAXATION STEP",
        result="",
        good=r"SCF CONVERGED AFTER",
        bad=r"SCF NOT CONVERGED AFTER|[Ww]avefunction (?:not fully converged|IS NOT FULLY CONVERGED)",
    ),
    "gaussian-out": _Words(
        begins="",
        ends=r"SCF Done:",
        result="",
        good="",
        bad=r"Convergence criterion not met|Convergence failure",
    ),
    "aims-output": _Words(
        begins="",
        ends="",
        result="",
        good=r"Self-consistency cycle converged",
        bad=r"SELF-CONSISTENCY CYCLE DID NOT CONVERGE",
    ),
    "castep-castep": _Words(
        begins=r"^\s+Unit Cell\s*$",
        ends="",
        result=r"^Final (?:free )?energy",
        good="",
        bad=r"has not reached the groundstate|electronic minimisation did not converge",
    ),
    "nwchem-out": _Words(
        begins="", ends=r"Total (?:DFT|SCF) energy", result="", good="", bad=r"Calculation failed to converge"
    ),
    "gamess-us-out": _Words(
        begins="",
        ends=r"FINAL .*ENERGY IS",
        result="",
        good="",
        bad=r"SCF IS UNCONVERGED|SCF DID NOT CONVERGE",
    ),
    # every geometry is a frame of `gpaw_blocks`; GPAW stops, unless its error is caught or converged is set
    "gpaw-out": _Words(
        begins=r"^Positions:\s*$",
        ends="",
        result=r"^Positions:\s*$",
        good=r"^Converged [Aa]fter",
        bad=r"^Did not converge!|^Not enough bands for",
    ),
    "abinit-out": _Words(
        begins="", ends=r"END DATASET", result="", good="", bad=r"was not enough SCF cycles to converge"
    ),
}
# format → what precedes the charge and the multiplicity
_NUMBER = r"\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)"
_STATES: dict[str, dict[str, str]] = {
    "gaussian-out": {"charge": r"^\s*Charge =", "multiplicity": r"^\s*Charge =\s*\S+\s+Multiplicity ="},
    "orca-output": {
        "charge": r"Total Charge\s+Charge\s+\.+",
        "multiplicity": r"Multiplicity\s+Mult\s+\.+",
    },
    "aims-output": {"charge": r"^\s*Charge ="},
}


def stated(path: Path, file_format: str) -> tuple[tuple[str, float], ...]:
    """Return charge and multiplicity that an output tells, as `structures.Structure` has them."""
    if file_format in ("vasp-xml", "vasp-out"):
        charge = _charge_of_vasp(path)
        return () if charge is None else (("charge", charge),)
    patterns = {name: re.compile(words + _NUMBER) for name, words in _STATES.get(file_format, {}).items()}
    found: dict[str, float] = {}
    if patterns:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                for name in patterns.keys() - found.keys():
                    if match := patterns[name].search(line):
                        found[name] = float(match[1])
                if len(found) == len(patterns):
                    break
    return tuple(sorted(found.items()))


def _charge_of_vasp(path: Path) -> float | None:
    """Return the valence electrons of the atoms less those that there are (NELECT); None if not said."""
    numbers: dict[str, list[float]] = {}
    patterns = {
        "electrons": r"NELECT(?:\s*=|\">)\s*([\d.]+)",
        "valences": r"^\s*ZVAL\s*=((?:\s+\d+\.\d*)+)\s*$",
        "counts": r"ions per type =((?:\s+\d+)+)",
        "type": r"<rc><c>\s*(\d+)\s*</c><c>\s*[A-Z][a-z]?\s*</c><c>[^<]*</c><c>\s*([\d.]+)\s*</c>",
    }
    compiled = {name: re.compile(pattern) for name, pattern in patterns.items()}
    electrons: float | None = None
    core = 0.0
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if "TOTAL-FORCE" in line or "<calculation>" in line:
                break
            for name, pattern in compiled.items():
                for match in pattern.finditer(line):
                    if name == "electrons":
                        electrons = float(match[1])
                    elif name == "type":
                        core += float(match[1]) * float(match[2])
                    else:
                        numbers[name] = [float(x) for x in match[1].split()]
    counts, valences = numbers.get("counts", []), numbers.get("valences", [])
    core = core or (sum(map(mul, counts, valences)) if len(counts) == len(valences) else 0.0)
    return None if electrons is None or not core else round(core - electrons, 4) + 0.0


def unconverged(path: Path, file_format: str, n_frames: int) -> set[int]:
    """Return the frames that did not reach self-consistency, counted from 0.

    Parameters
    ----------
    n_frames : int
        As the reader found them. Where a file says that some did not converge but not which, all are
        returned.

    Notes
    -----
    VASP stops at NELM steps without an error, version 5 even as if EDIFF were reached. One step is legitimate
    where it is the only one that was asked for (NELM = 1, as with ALGO = Exact).
    """
    counter: Callable[[Path], list[bool]] | None = {
        "vasp-xml": _of_vasprun,
        "vasp-out": _of_outcar,
    }.get(file_format)
    if counter is not None:
        flags = counter(path)
    elif file_format in _SAYS:
        flags = _of_words(path, _SAYS[file_format])
    else:
        return set()
    if not any(flags):
        return set()
    if len(flags) < n_frames or any(flags[n_frames:]):
        return set(range(n_frames))
    return {i for i, bad in enumerate(flags[:n_frames]) if bad}


def _of_vasprun(path: Path) -> list[bool]:
    """Count the steps of each ``<calculation>`` against NELM, and the last change of energy against EDIFF."""
    import xml.etree.ElementTree as ET

    nelm, ediff = 60, 1e-4
    flags: list[bool] = []
    steps: list[float] = []
    known: set[str] = set()  # "response functions" have a NELM of their own, after that of the calculation
    try:
        for _, element in ET.iterparse(path):
            name = element.attrib.get("name")
            if element.tag == "i" and name in ("NELM", "EDIFF") and name not in known:
                known.add(name)
                value = _float(element.text)
                nelm, ediff = (nelm if name == "EDIFF" else int(value)), (value if name == "EDIFF" else ediff)
            elif element.tag == "scstep":
                steps.append(_float(element.findtext("energy/i[@name='e_fr_energy']")))
                element.clear()
            elif element.tag == "calculation":
                flags.append(_reached_the_limit(steps, nelm, ediff))
                steps = []
                element.clear()
    except ET.ParseError:
        if steps:  # the last one is cut short
            flags.append(_reached_the_limit(steps, nelm, ediff))
    return flags


def _reached_the_limit(energies: list[float], nelm: int, ediff: float) -> bool:
    if nelm <= 1 or len(energies) < nelm:
        return False
    return not abs(energies[-1] - energies[-2]) <= ediff


_OUTCAR = re.compile(
    r"Iteration\s+\d+\(\s*(?P<step>\d+)\)|NELM\s*=\s*(?P<nelm>\d+)|EDIFF\s*=\s*(?P<ediff>\S+)"
    r"|energy-change \(2\. order\)\s*:\s*(?P<change>\S+)\s+\(\s*(?P<bands>\S+?)\s*\)"
)


def _of_outcar(path: Path) -> list[bool]:
    """Judge frames of NELM steps by their last change of energy, others by what is said.

    VASP 5 says that "EDIFF is reached" also where NELM was; VASP 6 does not. The criterion holds for the
    changes of the energy and of the band energies.
    """
    nelm, ediff = 60, 1e-4
    flags: list[bool] = []
    changes: list[float] = []
    said, step = "", 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if "TOTAL-FORCE (eV/Angst)" in line:
                missed = bool(said) and "EDIFF is reached" not in said
                if step >= nelm and changes:
                    missed = not max(map(abs, changes)) <= ediff
                elif step >= nelm:
                    missed = "EDIFF is reached" not in said
                flags.append(nelm > 1 and missed)
                said, step, changes = "", 0, []
            elif "aborting loop" in line:  # also: because hard stop was set
                said = line
            elif ("Iteration" in line or "NELM " in line or "EDIFF " in line or "energy-change" in line) and (
                found := _OUTCAR.search(line)
            ):
                if found["step"]:
                    step = int(found["step"])
                elif found["change"]:
                    changes = [_float(found["change"]), _float(found["bands"])]
                else:
                    nelm, ediff = int(found["nelm"] or nelm), _float(found["ediff"] or str(ediff))
    return flags


def _of_words(path: Path, words: _Words) -> list[bool]:
    """Return for each part of a file that is a frame whether it ends unconverged."""
    begins, ends, result, good, bad = (
        re.compile(pattern) if pattern else None
        for pattern in (words.begins, words.ends, words.result, words.good, words.bad)
    )
    flags: list[bool] = []
    complained, has_result, each_is_one = False, not words.result, not (words.begins or words.ends)
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if begins and begins.search(line):
                flags += [complained] if has_result else []
                complained = has_result = False
            if result and result.search(line):
                has_result = True
            is_bad = bad is not None and bad.search(line) is not None
            if is_bad or (good is not None and good.search(line)):
                complained = is_bad
                flags += [is_bad] if each_is_one else []
            if ends and ends.search(line):
                flags.append(complained)
                complained = False
    left = has_result if words.begins else complained and not each_is_one
    return [*flags, complained] if left else flags


def _float(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
