"""What is measured of every model, peers and ours, by its ASE calculator; runs within its environment."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MOVE = 0.002  # Å, about what atoms move in a step of dynamics
WARM_UP = 5
MOST_CALLS = 200
MOST_SECONDS = 20.0


def measure(structures: Sequence[Any], calculator: Any, output: Path) -> None:
    """Write errors on labelled structures and the cost of a step of dynamics, as JSON."""
    largest = max(structures, key=len).copy()
    found = {"structures": differences(structures, calculator), "step": step(largest, calculator)}
    output.write_text(json.dumps(found), encoding="utf-8")


def differences(structures: Sequence[Any], calculator: Any) -> list[dict[str, Any]]:
    """Return what an ASE calculator is wrong by: energies (eV, of the structure), forces, ‖F‖ (eV/Å)."""
    found = []
    for atoms in structures:
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = calculator
        predicted = atoms.get_forces()
        found.append(
            {
                "group": atoms.info.get("config_type", ""),
                "energy": float(atoms.get_potential_energy() - energy),
                "forces": (predicted - forces).tolist(),
                "norms": ((predicted**2).sum(axis=1) ** 0.5 - (forces**2).sum(axis=1) ** 0.5).tolist(),
            }
        )
    return found


def step(atoms: Any, calculator: Any) -> dict[str, float]:
    """Return milliseconds of CPU, the median of many calls, and the number of atoms.

    Each call gives energy and forces after all atoms moved a little; the threads of this process count,
    other processes do not.
    """
    atoms.calc = calculator
    start, seconds = atoms.get_positions(), []
    end = time.perf_counter() + MOST_SECONDS
    for call in range(WARM_UP + MOST_CALLS):
        atoms.set_positions(start)
        atoms.rattle(MOVE, seed=call)
        before = time.process_time()
        atoms.get_forces()
        atoms.get_potential_energy()
        seconds.append(time.process_time() - before)
        if call > WARM_UP and time.perf_counter() > end:
            break
    return {"ms": 1000 * statistics.median(seconds[WARM_UP:]), "atoms": len(atoms)}
