"""Runs that ask for forces, and who answers: one potential for one run, or one evaluation for many at a time.

A run is a generator: it yields what it wants to know and is sent what the potential says, or is thrown the
error that it met.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

from aenet_gpr_cli.dynamics.evaluation import Evaluation, Place, Potential
from aenet_gpr_cli.errors import AenetGprError
from aenet_gpr_cli.structures import FloatArray

Result = TypeVar("Result")


class Ask(NamedTuple):
    """What a run wants to know.

    Attributes
    ----------
    positions : ndarray of shape (n_atoms, 3), Å
    cell : ndarray of shape (3, 3), Å, or None
    strain : bool
        With the strain gradient.
    look : bool
        With σ and what is beyond the training data.
    listed : pair of ndarray, or None
        Where to make the neighbour list first: see `Evaluation`.
    """

    positions: FloatArray
    cell: FloatArray | None
    strain: bool
    look: bool
    listed: Place | None = None


Asking = Generator[Ask, Evaluation, Result]
# by the number of the run; an error is that run's own
Potentials = Callable[[Mapping[int, Ask]], Mapping[int, Evaluation | AenetGprError]]


def answer(run: Asking[Result], potential: Potential) -> Result:
    """Run to the end with a potential; return what the run returns, raise what it raises."""

    def only(asks: Mapping[int, Ask]) -> dict[int, Evaluation | AenetGprError]:
        try:
            return {0: potential(*asks[0])}
        except AenetGprError as error:
            return {0: error}

    return alone(run, only)


def answer_together(
    runs: Mapping[int, Asking[Result]], potentials: Potentials
) -> dict[int, Result | Exception]:
    """Run all to their ends, a step of each at a time; return by number what each returns or raises."""
    ended: dict[int, Result | Exception] = {}
    asks: dict[int, Ask] = {}

    def go(number: int, step: Callable[[], Ask]) -> None:
        try:
            asks[number] = step()
        except StopIteration as end:
            ended[number] = end.value
        except Exception as error:
            ended[number] = error

    try:
        for number, run in runs.items():
            go(number, partial(next, run))
        while asks:
            found = potentials(asks)
            asks = {}
            for number, said in found.items():
                run = runs[number]
                if isinstance(said, AenetGprError):
                    go(number, partial(run.throw, said))
                else:
                    go(number, partial(run.send, said))
    finally:
        for run in runs.values():  # what they hold open
            run.close()
    return ended


def alone(run: Asking[Result], potentials: Potentials) -> Result:
    """Run one to its end, number 0; return what it returns, raise what it raises."""
    result = answer_together({0: run}, potentials)[0]
    if isinstance(result, Exception):
        raise result
    return result
