"""The JSON of the benchmark mlearn (Zuo et al., J. Phys. Chem. A 124, 731 (2020)) → extended XYZ.

Owns what its ``virial_stress`` means. Its description does not say; it is the stress that VASP prints:
kilobar, positive under pressure, so that the stress used here is −1/1602.18 of it, in eV/Å³. The first three
numbers are xx, yy, zz; the order of the others differs. Energies of sheared cells tell, and so do local
processes fitted to energies and forces: root mean squares of the difference to the fitted stress, kbar, where
the numbers are taken as xy yz xz and as xy xz yz:

====== ========== ============ ============
set    group      xy yz xz     xy xz yz
====== ========== ============ ============
Li     AIMD-NVT   **0.50**     2.85
Li     Vacancy    **0.34**     1.20
Si     Elastic    **1.1**      64
Si     AIMD-NVT   7.2          **1.8**
Si     Vacancy    6.5          **1.7**
Ge     Elastic    **1.6**      49
Ge     AIMD-NVT   5.0          **1.2**
Ge     Vacancy    4.9          **1.1**
Mo     Elastic    35           **0.6**
Mo     AIMD-NVT   18           **3.2**
Mo     Vacancy    5.9          **2.5**
====== ========== ============ ============

Where the fit does not tell, symmetry does: a slab with a mirror plane normal to x, like (3 3 2) of Li and
(2 1 1) of Si and Ge, (3 2 0) of Mo, has no shear but yz.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.structures import FloatArray

KBAR = 1 / 1602.176634  # eV/Å³
_XY_YZ_XZ = ((0, 3, 5), (3, 1, 4), (5, 4, 2))
_XY_XZ_YZ = ((0, 3, 4), (3, 1, 5), (4, 5, 2))


def stress_of_virial(numbers: Any, element: str, group: str) -> FloatArray:
    """Return the stress, shape (3, 3), eV/Å³, positive under tension, of the six numbers of an entry."""
    as_vasp = element == "Li" or (element in ("Si", "Ge") and group == "Elastic")
    return -KBAR * np.asarray(numbers, float)[np.array(_XY_YZ_XZ if as_vasp else _XY_XZ_YZ)]


def extxyz_of(content: bytes, where: str) -> str:
    """Return the structures of a file as extended XYZ.

    ``energy`` is the total energy in eV, ``forces`` are in eV/Å, ``stress`` in eV/Å³ (positive under tension,
    nine numbers), ``config_type`` is the group: AIMD-NVT, Elastic, Surface or Vacancy.

    Parameters
    ----------
    content : bytes
        Of ``training.json`` or ``test.json``.
    where : str
        File for messages.

    Raises
    ------
    InputError
        If it is another kind of file.
    """
    try:
        return "".join(_frame(entry) for entry in json.loads(content))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        got = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{where}: expected JSON of mlearn (structure, outputs, group), got {got}"
        ) from error


def _frame(entry: Any) -> str:
    sites, outputs = entry["structure"]["sites"], entry["outputs"]
    stress = stress_of_virial(outputs["virial_stress"], entry["element"], entry["group"])
    header = (
        f'Lattice="{_row(np.ravel(entry["structure"]["lattice"]["matrix"]))}" '
        "Properties=species:S:1:pos:R:3:forces:R:3 "
        f'energy={float(outputs["energy"])!r} stress="{_row(stress.ravel())}" '
        f'config_type={entry["group"]} description="{entry["description"]}" pbc="T T T"'
    )
    rows = [
        f"{site['species'][0]['element']} {_row(site['xyz'])} {_row(force)}"
        for site, force in zip(sites, outputs["forces"], strict=True)
    ]
    return "\n".join([str(len(sites)), header, *rows, ""])


def _row(numbers: Any) -> str:
    return " ".join(repr(float(x)) for x in numbers)
