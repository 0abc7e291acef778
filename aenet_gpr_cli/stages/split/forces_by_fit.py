"""Whether forces fit the energies, by a quick local process that has seen the forces only.

It knows structures that are far apart, of any composition and cell, where near structures say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aenet_gpr_cli.errors import InputError, NumericalError
from aenet_gpr_cli.stages.shared.many_subsets import Finding, some
from aenet_gpr_cli.stages.split.force_rows import Rows, distinct, rows_of
from aenet_gpr_cli.stages.split.force_verdict import FEWEST, both, judged
from aenet_gpr_cli.stages.split.stress_by_fit import few
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.subsystems.label_checks.force_units import per_atom

MOST_STRUCTURES, MOST_ATOMS = 60, 2000  # of the fit: about a second
LENGTH_SCALES = 16.0, 8.0  # both have to find the same
MOST_OF_LARGE, _FEW_LARGE = 6000, 15  # atoms; large structures, which are too few otherwise
_FEWEST_ZERO = 3  # structures
_AS_THEY_ARE = "take them as they are with check_forces: false"


def check_forces_by_fit(subsets: Sequence[StructureSet], name: str, seed: int) -> list[Finding]:
    """Return what is wrong with the forces, or the energies, of a data set; nothing where that is unknown.

    Parameters
    ----------
    subsets : sequence of StructureSet
        With energies, and forces where they are known.
    name : str
        Of all of them, for the findings.
    seed : int
        Of the choice of structures.

    Raises
    ------
    InputError
        If forces are zero everywhere and not by symmetry, or energies are per atom.
    """
    usable = [s for s in subsets if s.energies is not None and s.forces is not None and s.n_atoms > 1]
    if sum(map(len, usable)) < FEWEST:
        return []
    most_atoms = max(MOST_ATOMS, min(MOST_OF_LARGE, _FEW_LARGE * max(s.n_atoms for s in usable)))
    chosen = few(usable, np.random.default_rng([seed, 13]), MOST_STRUCTURES, most_atoms)
    try:
        rows = distinct(rows_of(chosen, LENGTH_SCALES[0], seed))
        zero = _zeros(rows, name, any(any(s.pbc) for s in usable))
        found = judged(rows)
        if found is not None:
            found = both(found, judged(distinct(rows_of(chosen, LENGTH_SCALES[1], seed))))
    except NumericalError:
        return []
    if found is None:
        return zero
    if found.kind == "per atom":
        raise InputError(f"{name}: {per_atom(found.numbers)}")
    return [*zero, Finding(f"forces {found.kind}", name, found.text)]


def _zeros(rows: Rows, name: str, periodic: bool) -> list[Finding]:
    """Tell forces that are exactly zero where symmetry does not make them so."""
    many = int(rows.asymmetric.sum())
    zero = [rows.names[i] for i in np.flatnonzero(rows.asymmetric & (rows.sizes == 0.0))]
    if not zero:
        return []
    if not rows.sizes.any() and len(zero) >= _FEWEST_ZERO and np.ptp(rows.energies) > 0.0:
        raise InputError(
            f"{name}: all forces are exactly zero, though in {len(zero)} of {len(rows.names)} structures "
            "no symmetry makes them so: they are missing; expected forces in eV/Å. Leave their column out "
            f"and set require_forces: false, or {_AS_THEY_ARE}"
        )
    if not periodic or not rows.sizes.any():  # of isolated structures `plausibility` tells
        return []
    text = (
        f"forces of {len(zero)} of {many} structures that were looked at are exactly zero though no symmetry "
        f"makes them so, such as {some(zero)}; if they were not calculated, leave these structures out"
    )
    return [Finding("forces zero", name, text)]
