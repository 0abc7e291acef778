"""Rows of the benchmark: what each runs, on which data, what it has to reach, how long it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EC_ATOMS, LI_ATOMS = 20, 46


@dataclass(frozen=True)
class Size:
    """How much data and work; structures as (training, test), None for published sets."""

    name: str
    ec: tuple[int, int]
    li: tuple[int, int]
    published: bool = False
    copies: int = 36
    iterations: tuple[int, ...] = (15, 25, 40, 60)  # of Levenberg-Marquardt, until the stated error is met
    members: int = 10
    md_iterations: int = 25
    md_steps: tuple[int, int] = (2000, 12000)
    md_steps_large: tuple[int, int] = (200, 1200)


SIZES = {
    size.name: size
    for size in (
        Size("full", (250, 750), (100, 300), published=True),
        Size("quick", (60, 100), (24, 40), False, 8, (10,), 4, 4, (1000, 5000), (100, 500)),
        Size("tiny", (8, 4), (6, 4), False, 2, (2,), 2, 2, (10, 20), (2, 4)),
    )
}
LM = "levenberg_marquardt.iterations"
ONLY = "--set ?levenberg_marquardt.extension=1"  # iterations, and no more
MD_STEPS = f"--set {LM}={{md_iterations}} {ONLY}"
COPIES = "--set n_copies={copies} --set displacement=0.034"
MEMBERS = "--set n_members={members}"
FULL = "--set ?model=full --set descriptor=inverse_distance"  # the same work in every version
# artefact: command that makes it. Names in braces are artefacts or files; ?KEY is left out where a version
# has no such key, as it had no choice
RECIPES = {
    "split_ec": 'split {train_ec} --set test_inputs=["{test_ec}"]',
    "split_li": 'split {train_li} --set test_inputs=["{test_li}"]',
    "gpr_ec": f"fit-gpr {{split_ec}} {FULL} --set permutations=none",
    "gpr_ec_permutations": f"fit-gpr {{split_ec}} {FULL} --set permutations=auto",
    "gpr_li": f"fit-gpr {{split_li}} {FULL} --set permutations=none",
    "default_ec": "fit-gpr {split_ec}",
    "default_li": "fit-gpr {split_li}",
    "labels": f"augment {{split_ec}} {{gpr_ec_permutations}} --set sigma=bound {COPIES}",
    "aug_ec": f"augment {{split_ec}} {{gpr_ec}} --set sigma=none {COPIES}",
    "aug_li": f"augment {{split_li}} {{gpr_li}} --set sigma=none {COPIES}",
    "ann_li": "train-ann {split_li} {aug_li} --set mode=gpr",
    "direct_li": "train-ann {split_li} --set mode=direct --set loss.alpha=0.1",
    "ann_10": "train-ann {split_li} {aug_li} --set mode=gpr --set network.hidden=[10,10]",
    "ann_20": "train-ann {split_li} {aug_li} --set mode=gpr --set network.hidden=[20,20]",
    "ann_40": "train-ann {split_li} {aug_li} --set mode=gpr --set network.hidden=[40,40]",
    "committee": f"train-ann {{split_ec}} {{aug_ec}} --set mode=gpr {MEMBERS} --set {LM}={{steps}} {ONLY}",
    "md_ec": f"train-ann {{split_ec}} {{aug_ec}} --set mode=gpr {MEMBERS} {MD_STEPS}",
    "md_li": f"train-ann {{split_li}} {{aug_li}} --set mode=gpr {MD_STEPS}",
}
TIMESTEP = 0.005  # fs: short, as networks of so few references leave them within 0.2 ps
MD = (
    "md {{{model}}} {{{start}}} --ensemble nve --temperature 100 "
    "--set timestep_fs=%FS% --set time_ps=%PS% {more}"
)
MD_ASE = "{{child}} steps {{{model}}} {{{start}}} %N% %FS% {members}"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    ``seconds`` are the forecast for a quiet core, full and quick; ``iterations`` two numbers whose difference
    measures one iteration; ``target`` the errors to reach: energy (meV), force on an atom (eV/Å); ``limit``
    the product whose arithmetic is compared with: cholesky, copies or forces (JᵀJ and its factor).
    """

    name: str
    about: str
    words: str
    seconds: tuple[float, float]
    output: str = ""
    split: str = ""
    target: tuple[float, float] | None = None
    iterations: tuple[int, int] | None = None
    md: str = ""  # which number of steps
    without_md: str = ""
    threads: int = 1
    limit: str = ""
    ladder: bool = False
    sizes: tuple[str, ...] = ("full", "quick", "tiny")


def _made(
    name: str, about: str, seconds: tuple[float, float], output: str, split: str = "", **more: Any
) -> Row:
    return Row(name, about, RECIPES[output], seconds, output, split, **more)


def _md(name: str, about: str, seconds: tuple[float, float], model: str, start: str, everyone: bool) -> Row:
    more = "" if everyone else "--set members=[0]"
    return Row(
        name,
        about,
        MD.format(model=model, start=start, more=more),
        seconds,
        md="large" if start == "start_368" else "small",
        without_md=MD_ASE.format(model=model, start=start, members="all" if everyone else "one"),
    )


ROWS = (
    _made("fit_ec", "fit of EC dimers, full process", (15, 5), "gpr_ec", "split_ec", limit="cholesky"),
    _made(
        "fit_ec_permutations",
        "fit of EC dimers, full process, permutations: auto",
        (30, 8),
        "gpr_ec_permutations",
        "split_ec",
        limit="cholesky",
    ),
    _made("fit_li", "fit of Li-EC, full process", (20, 6), "gpr_li", "split_li", limit="cholesky"),
    _made("default_ec", "fit of EC dimers, default keys", (20, 8), "default_ec", "split_ec"),
    _made("default_li", "fit of Li-EC, default keys", (25, 8), "default_li", "split_li"),
    _made("labels", "labels with a bound of σ, group of 8", (15, 5), "labels"),
    _made(
        "gpr_ann",
        "GPR-ANN of Li-EC, to the stated error",
        (130, 8),
        "ann_li",
        "split_li",
        target=(8.6, 0.021),
        ladder=True,
        limit="copies",
    ),
    _made(
        "direct",
        "direct training of Li-EC, all forces, to the stated error",
        (220, 15),
        "direct_li",
        "split_li",
        target=(10.6, 0.025),
        ladder=True,
        limit="forces",
    ),
    _made("iteration_10", "an iteration, 10-10", (15, 12), "ann_10", iterations=(2, 8), limit="copies"),
    _made(
        "iteration_20",
        "an iteration, 20-20",
        (35, 20),
        "ann_20",
        iterations=(1, 3),
        limit="copies",
        sizes=("full", "quick"),
    ),
    _made(
        "iteration_40",
        "an iteration, 40-40",
        (130, 0),
        "ann_40",
        iterations=(1, 2),
        limit="copies",
        sizes=("full",),
    ),
    _made(
        "committee",
        "committee of ten on EC dimers, two cores",
        (600, 20),
        "committee",
        "split_ec",
        threads=2,
        limit="copies",
    ),
    _md("md_one", "a step of 20 atoms, one network", (15, 8), "md_ec", "start_20", False),
    _md("md_ten", "a step of 20 atoms, ten networks", (18, 9), "md_ec", "start_20", True),
    _md("md_368", "a step of 368 atoms", (10, 6), "md_li", "start_368", False),
    Row("predict", "predict of the test set, Gaussian process", "predict {gpr_ec} {test_ec}", (10, 8)),
    Row("show", "show of a Gaussian process", "show {gpr_ec}", (4, 4)),
    Row("help", "--help", "--help", (1, 1)),
)
# seconds of artefacts that are no rows, full and quick
PREPARED = {"aug_ec": (5, 3), "aug_li": (5, 3), "md_ec": (90, 10), "md_li": (12, 4)}


def chosen(names: str, size: str) -> list[Row]:
    """Return the rows named, by name or beginning (``md``: all of them); all if none is."""
    rows = [row for row in ROWS if size in row.sizes]
    wanted = names.replace(",", " ").split()
    for name in wanted:
        if not any(row.name.startswith(name) for row in rows):
            known = " ".join(row.name for row in rows)
            raise SystemExit(f"ROWS: no row is called or begins with {name}; the rows of {size} are {known}")
    return [row for row in rows if not wanted or row.name in wanted or _begins(row.name, wanted)]


def _begins(name: str, wanted: list[str]) -> bool:
    exact = {row.name for row in ROWS}
    return any(name.startswith(word) for word in wanted if word not in exact)


def needs(words: str) -> list[str]:
    """Return the artefacts that a command reads, in the order in which they have to be made."""
    found: list[str] = []
    for name, recipe in RECIPES.items():
        if f"{{{name}}}" in words:
            found += [item for item in [*needs(recipe), name] if item not in found]
    return found


def forecast(rows: list[Row], size: str) -> float:
    """Return the seconds that rows take on a quiet core, with what has to be made for them."""
    column = 0 if size == "full" else 1
    own = {row.output: row.seconds[column] for row in ROWS if row.output}
    made = {name for row in rows for name in needs(row.words)} - {row.output for row in rows}
    cost = own | {name: seconds[column] for name, seconds in PREPARED.items()}
    return sum(row.seconds[column] for row in rows) + sum(cost.get(name, 3.0) for name in made)


def limit_flops(row: Row, size: Size, weights: int, steps: float, members: int) -> float | None:
    """Return the floating-point operations of the products that a row cannot do without, None if undefined.

    Cholesky of n rows of the covariance n³/3; of Levenberg-Marquardt n w² for JᵀJ (half of it, by symmetry)
    and w³/3 for its factor, times steps and members.
    """
    if row.limit == "cholesky":
        structures, atoms = (size.ec[0], EC_ATOMS) if row.split == "split_ec" else (size.li[0], LI_ATOMS)
        return (structures * (1 + 3 * atoms)) ** 3 / 3
    if not row.limit or not weights:
        return None
    structures = size.ec[0] if row.name == "committee" else size.li[0]
    n = structures * (1 + (size.copies if row.limit == "copies" else 3 * LI_ATOMS))
    return float(steps * members * (n * weights**2 + weights**3 / 3))
