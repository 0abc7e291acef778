"""Which energy and which forces of a frame are its labels: one choice for each file, one definition for all.

Owns the usual names of reference energies and forces. Where the numbers come from is left to the readers.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.frames.frame import COLUMNS, TOTAL, Frame, LeftOut, check_finite
from aenet_gpr_cli.io.frames.stress import STANDARD, stress_keys_of, stress_of
from aenet_gpr_cli.structures import Structure
from aenet_gpr_cli.subsystems.reading_rules import ReadingRules

log = logging.getLogger(__name__)

FREE, PLAIN, EITHER = "free_energy", "energy", "energy = free_energy"
SAME_ENERGY = 1e-6  # eV; below the last digit of any output
SAME_FORCE = 1e-5  # eV/Å
_STANDARD = (FREE, PLAIN, TOTAL)
_REFERENCE_ENERGY = re.compile(
    r"(?:(?:ref|dft|qm|true|target|total|pbe|scf|potential)_?)?(?:free_?)?energy"
    r"|energy_(?:ref|dft|qm|true|target|total|potential)",
    re.IGNORECASE,
)
_REFERENCE_FORCES = re.compile(
    r"forces?|(?:ref|dft|qm|true|target|total|pbe|scf)_?forces?|forces?_(?:ref|dft|qm|true|target|total)",
    re.IGNORECASE,
)
_NO_FORCES = re.compile(r"mom|vel|mag|spin|dip|charge", re.IGNORECASE)
_MOST_NAMES = 12  # that a message lists


class NoSuchKey(InputError):
    """A file without the key that was asked for; others may have it."""

    def __init__(self, why: str, where: str) -> None:
        super().__init__(f"{where}: {why}")
        self.why = why


@dataclass(frozen=True, slots=True)
class Labelled:
    """A frame with its labels.

    Attributes
    ----------
    structure : Structure
    energy_key, forces_key : str
        Their names in the file; empty where there is none.
    definition : str
        ``free_energy`` where it differs from ``energy``, ``energy`` where there is no other, or that both
        agree.
    units : str
        What was converted.
    stress_key : str
    """

    structure: Structure
    energy_key: str
    forces_key: str
    definition: str
    units: str = ""
    stress_key: str = ""


def label(
    frames: Sequence[Frame], rules: ReadingRules | None, where: str
) -> tuple[list[Labelled], list[LeftOut]]:
    """Choose energy and forces of the frames of one file.

    Parameters
    ----------
    rules : ReadingRules or None
        None where labels are not needed: nothing is refused or left out then.
    where : str
        File for messages.

    Returns
    -------
    used : list of Labelled
    left_out : list of LeftOut
        Frames that did not converge, or lack the energy or forces that others of the file have.

    Raises
    ------
    InputError
        If several energies differ and no key decides, a key is not there, or the rules refuse a frame.
    """
    energy_key = _energy_key(frames, rules, where)
    forces_key = _forces_key(frames, rules, energy_key, where)
    asked_for = None if rules is None else rules.stress_key
    stress_keys = stress_keys_of(frames, asked_for, energy_key, where, strict=rules is not None)
    factor = 1.0 if rules is None else rules.stress_factor
    found = [_labelled(frame, energy_key, forces_key, stress_keys, factor) for frame in frames]
    _refuse_not_finite(frames, found, rules, where)
    if rules is None:
        return found, []
    _say_names(found, rules, where)
    _say_lost(frames, stress_keys, where)
    return _usable(frames, found, rules, where)


def one_definition(found: Sequence[Labelled], rules: ReadingRules) -> str:
    """Return what the energies of a data set are.

    Raises
    ------
    InputError
        If some are free energies that differ from the energy, and others have no free energy.
    """
    if rules.energy_key:
        return rules.energy_key
    free = [item for item in found if item.definition == FREE]
    plain = [item for item in found if item.definition == PLAIN and item.energy_key not in ("", TOTAL)]
    unnamed = [item for item in found if item.energy_key == TOTAL]
    if free and plain:
        raise InputError(
            f"expected one definition of the energy for all structures, got free_energy (which differs from "
            f"energy) in {len(free)}, e.g. {free[0].structure.name}, and only {plain[0].energy_key} in "
            f"{len(plain)}, e.g. {plain[0].structure.name}; set energy_key to energy or free_energy "
            "(frames without it are left out), or read the files apart"
        )
    if free and unnamed:  # what `label` writes as XSF is the free energy, too
        log.warning(
            "%d structures have free_energy, %d only a total energy without a name, e.g. %s; make sure that "
            "it is the same",
            *(len(free), len(unnamed), unnamed[0].structure.name),
        )
    if free:
        return f"{FREE} (differs from energy)"
    if any(item.definition == EITHER for item in found):
        unlike = {item.definition for item in found if item.energy_key} - {EITHER}
        return f"{FREE} (the same as energy{' where both are given' if unlike else ''})"
    names = sorted({item.energy_key for item in found if item.energy_key and item.definition != EITHER})
    return " and ".join(names) or PLAIN


def say_no_stress(found: Sequence[Labelled], rules: ReadingRules) -> None:
    """Say that no frame has the stress that is asked for by its name."""
    if rules.stress_key and not any(item.stress_key for item in found):
        log.warning(
            "stress_key: expected a stress named %r in some periodic frames, got none; its name must have "
            "stress or virial in it (leave stress_key out where there is none)",
            rules.stress_key,
        )


def _energy_key(frames: Sequence[Frame], rules: ReadingRules | None, where: str) -> str:
    """Return the name of the energy, empty for the standard ones (frame by frame, free_energy first)."""
    names = list(dict.fromkeys(key for frame in frames for key in frame.energies))
    if rules is not None and rules.energy_key:
        if re.search(r"per_?atom", rules.energy_key, re.IGNORECASE):
            raise InputError(
                f"{where}: expected an energy of the whole structure, got energy_key {rules.energy_key!r}; "
                "write total energies into the files"
            )
        if rules.energy_key in names or names == [TOTAL] or not frames:
            return rules.energy_key
        got = _some([*names, *_other_numbers(frames)]) or "no energy"
        raise NoSuchKey(f"expected the energy_key {rules.energy_key!r}, got {got}", where)
    known = [name for name in names if name not in _STANDARD and _REFERENCE_ENERGY.fullmatch(name)]
    if any("kinetic" in name.lower() for name in names):  # of molecular dynamics: the total has it, too
        known = [name for name in known if "total" not in name.lower()]
    standard = [name for name in names if name in _STANDARD]
    if standard:
        rivals = [name for name in known if _differ(frames, name, standard)]
        if rivals and rules is not None:
            _refuse_several([*standard, *rivals], where)
        return ""
    if len(known) > 1 and rules is not None and any(_differ(frames, name, known) for name in known):
        _refuse_several(known, where)
    if known:
        return known[0]
    names = names or _other_numbers(frames)
    if names and rules is not None:
        log.warning("%s: no key 'energy', but %s; name the right one as energy_key", where, _some(names))
    return ""


def _differ(frames: Sequence[Frame], name: str, others: Sequence[str]) -> bool:
    return any(
        abs(frame.energies[name] - frame.energies[other]) > SAME_ENERGY
        for frame in frames
        for other in others
        if name in frame.energies and other in frame.energies
    )


def _refuse_several(names: Sequence[str], where: str) -> None:
    raise InputError(
        f"{where}: expected one energy in each frame, got several that differ: {', '.join(names)}; say which "
        f"with energy_key (energy_key: {names[-1]}), and forces_key where it has forces of its own"
    )


def _forces_key(frames: Sequence[Frame], rules: ReadingRules | None, energy_key: str, where: str) -> str:
    names = list(dict.fromkeys(key for frame in frames for key in frame.forces))
    if rules is not None and rules.forces_key:
        if rules.forces_key in names or names == [COLUMNS] or (not names and _lone(frames)):
            return rules.forces_key
        got = _some([*names, *_other_columns(frames)]) or "no forces"
        raise NoSuchKey(f"expected the forces_key {rules.forces_key!r}, got {got}", where)
    known = [name for name in names if _REFERENCE_FORCES.fullmatch(name)]
    belonging = [name for name in known if _stem(name) == _stem(energy_key)] if energy_key else []
    if belonging:
        return belonging[0]
    if "forces" in names and rules is not None:
        others = [name for name in known if name != "forces" and _unlike(frames, name)]
        if others:
            got = ", ".join(["forces", *others])
            raise InputError(
                f"{where}: expected one column of forces, got several that differ: {got}; say which with "
                f"forces_key (forces_key: {others[-1]})"
            )
    perhaps = [] if names or _lone(frames) else _other_columns(frames)
    if perhaps and rules is not None:
        log.warning("%s: no column 'forces', but %s; name the right one as forces_key", where, _some(perhaps))
    if "forces" in names or not known:
        return "forces"
    if len(known) > 1 and rules is not None:
        raise InputError(
            f"{where}: expected one column of forces, got {', '.join(known)}; say which with forces_key "
            f"(forces_key: {known[0]})"
        )
    return known[0]


def _other_numbers(frames: Sequence[Frame]) -> list[str]:
    return list(dict.fromkeys(key for frame in frames for key in frame.other_numbers))


def _other_columns(frames: Sequence[Frame]) -> list[str]:
    found = dict.fromkeys(key for frame in frames for key in frame.other_columns)
    return [key for key in found if not _NO_FORCES.search(key)]


def _lone(frames: Sequence[Frame]) -> bool:
    """Whether all frames are single atoms, whose forces are zero and often not written."""
    return all(frame.structure.n_atoms == 1 for frame in frames)


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:_MOST_NAMES], *(["..."] if len(names) > _MOST_NAMES else [])])


def _unlike(frames: Sequence[Frame], name: str) -> bool:
    return any(
        float(np.abs(frame.forces[name] - frame.forces["forces"]).max()) > SAME_FORCE
        for frame in frames
        if name in frame.forces and "forces" in frame.forces
    )


def _stem(name: str) -> str:
    """Return what names of an energy and of forces that belong together share."""
    return re.sub(r"_?(?:free_?)?(?:energy|forces?)_?", "", name, flags=re.IGNORECASE).lower()


def _labelled(
    frame: Frame, energy_key: str, forces_key: str, stress_keys: Sequence[str], factor: float
) -> Labelled:
    energies, forces = frame.energies, frame.forces
    if energy_key:
        key = energy_key if energy_key in energies else (TOTAL if list(energies) == [TOTAL] else "")
        definition = energy_key
    else:
        key = next((name for name in _STANDARD if name in energies), "")
        same = FREE in energies and abs(energies[FREE] - energies.get(PLAIN, np.inf)) <= SAME_ENERGY
        definition = EITHER if same else (FREE if key == FREE else PLAIN)
    column = forces_key if forces_key in forces else (COLUMNS if COLUMNS in forces else "")
    stress_key, stress = stress_of(frame, stress_keys)
    structure = replace(
        frame.structure,
        energy=energies[key] if key else None,
        forces=forces[column] if column else None,
        stress=None if stress is None else factor * stress,
    )
    if structure.forces is None and structure.n_atoms == 1:  # zero by symmetry, and often not written
        structure = replace(structure, forces=np.zeros((1, 3)))
    return Labelled(structure, key, column, definition, frame.units, stress_key)


def _refuse_not_finite(
    frames: Sequence[Frame], found: Sequence[Labelled], rules: ReadingRules | None, where: str
) -> None:
    """Refuse energies and forces that are no numbers: the user is to look at what is wrong."""
    wrong: list[tuple[int, str]] = []
    for index, (frame, item) in enumerate(zip(frames, found, strict=True)):
        if rules is not None and rules.unconverged != "keep" and frame.unconverged:
            continue  # left out below, and some readers give no number then
        at = f"{where}, frame {index}" if len(found) > 1 or "#" in item.structure.name else where
        try:
            check_finite(at, energy=item.structure.energy, force=item.structure.forces)
        except InputError as error:
            wrong.append((index, str(error)))
    if not wrong:
        return
    also = [str(index) for index, _ in wrong[1:]]
    more = f", also in frame{'s' * (len(also) > 1)} {_some(also)}" if also else ""
    hint = "mend or remove " + ("these frames" if also else "it" if len(found) == 1 else "this frame")
    if rules is not None:
        hint += "; a frame of extended XYZ with converged=F in its header is left out (unconverged: skip)"
    raise InputError(f"{wrong[0][1]}{more}; {hint}")


def _say_names(found: Sequence[Labelled], rules: ReadingRules, where: str) -> None:
    """Say once for a file what was taken under names that are not the standard ones."""
    energies = {item.energy_key for item in found} - {"", *_STANDARD}
    forces = {item.forces_key for item in found} - {"", COLUMNS, "forces"}
    stress = {item.stress_key for item in found} - {"", STANDARD}
    given = (rules.energy_key, rules.forces_key, rules.stress_key)
    if any(names and not key for names, key in zip((energies, forces, stress), given, strict=True)):
        named = [f"energy from {name}" for name in sorted(energies)]
        named += [f"forces from {name}" for name in sorted(forces)]
        named += [
            f"stress from {name}" if STANDARD in name.lower() else f"stress from -{name}/V"
            for name in sorted(stress)
        ]
        keys = "energy_key, forces_key and stress_key" if stress else "energy_key and forces_key"
        log.warning("%s: %s (%s choose others)", where, ", ".join(named), keys)


def _say_lost(frames: Sequence[Frame], stress_keys: Sequence[str], where: str) -> None:
    lost = sum(
        any(key in f.stresses for key in stress_keys) and not stress_of(f, stress_keys)[0] for f in frames
    )
    if lost:
        why = (
            "it is not six or nine finite numbers, not symmetric, exactly zero, or has no unit "
            "(stress_unit=...) beside others that are declared"
        )
        log.warning(
            "%s: %s of %d of %d frames is not used, as %s",
            where,
            "/".join(stress_keys),
            lost,
            len(frames),
            why,
        )


def _usable(
    frames: Sequence[Frame], found: Sequence[Labelled], rules: ReadingRules, where: str
) -> tuple[list[Labelled], list[LeftOut]]:
    any_energy = any(item.structure.energy is not None for item in found)
    any_forces = any(item.structure.forces is not None and item.structure.n_atoms > 1 for item in found)
    used: list[Labelled] = []
    unconverged: list[LeftOut] = []
    incomplete: list[LeftOut] = []
    for frame, item in zip(frames, found, strict=True):
        s = item.structure
        if frame.unconverged and rules.unconverged != "keep":
            unconverged.append(LeftOut(s.name, frame.unconverged))
        elif any_energy and s.energy is None:
            incomplete.append(LeftOut(s.name, "no energy"))
        elif any_forces and s.forces is None:
            incomplete.append(LeftOut(s.name, "no forces"))
        else:
            used.append(item)
    if unconverged and rules.unconverged == "refuse":
        refuse(unconverged, len(frames), "unconverged", where)
    if incomplete and rules.incomplete == "refuse":
        refuse(incomplete, len(frames), "incomplete", where)
    return used, [*unconverged, *incomplete]


def refuse(left_out: Sequence[LeftOut], n_frames: int, key: str, where: str) -> None:
    """Refuse frames that a rule does not let pass.

    Raises
    ------
    InputError
    """
    names = ", ".join(item.name for item in left_out[:3]) + (", ..." if len(left_out) > 3 else "")
    raise InputError(
        f"{where}: expected usable frames only ({key}: refuse), got {len(left_out)} of {n_frames} with: "
        f"{left_out[0].why}: {names}; {key}: skip leaves them out"
    )
