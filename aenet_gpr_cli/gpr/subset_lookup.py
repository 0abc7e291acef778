"""Which of several fitted Gaussian processes belongs to a structure.

A full process is that of one subset: the same atoms in the same order, and where periodic the same cell. The
local one takes what no full one does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.process import Process
from aenet_gpr_cli.structures import Structure

LOCAL = "local"  # name of the process of all subsets


def find_process(processes: Mapping[str, Process], structure: Structure, subset: str | None) -> str:
    """Return the name of the process that can predict a structure.

    Parameters
    ----------
    processes : mapping of str to Process
        Full ones by subset, the local one as `LOCAL`.
    subset : str or None
        The only one to consider besides the local one, or None for all.

    Raises
    ------
    InputError
        If none fits, with what the nearest one expects, or if several do.
    """
    if subset is not None and subset not in processes and LOCAL not in processes:
        raise InputError(f"subset {subset}: no such Gaussian process; there are {', '.join(processes)}")
    considered = {n: p for n, p in processes.items() if subset is None or n in (subset, LOCAL)}
    reasons = {name: process.mismatch(structure) for name, process in considered.items()}
    fitting = [name for name, reason in reasons.items() if reason is None]
    own = [name for name in fitting if name != LOCAL] or fitting
    if len(own) == 1:
        return own[0]
    label = structure.name or structure.formula
    if fitting:
        raise InputError(
            f"{label}: the Gaussian processes of several subsets fit ({', '.join(fitting)}); choose one"
        )
    # the most useful reason is that of the process that agrees furthest
    closest = max(reasons, key=lambda name: _agreement(considered[name], structure))
    which = "the local one" if closest == LOCAL else f"that of subset {closest}"
    raise InputError(f"{label}: no Gaussian process fits; {which} {reasons[closest]}")


def _agreement(process: Process, structure: Structure) -> tuple[bool, bool, bool]:
    geometry = getattr(process, "geometry", None)
    return (
        geometry is not None and Counter(geometry.species) == Counter(structure.species),
        geometry is not None and geometry.species == structure.species,
        geometry is not None and geometry.pbc == structure.pbc,
    )
