"""Absurd values for every key that the groups of a configuration have."""

import random
from dataclasses import fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest

from aenet_gpr_cli.config.problems import group_of
from aenet_gpr_cli.config.reading import MODELS
from aenet_gpr_cli.settings import is_group

from .conftest import STAGES
from .judge import Account, Call, clear

pytestmark = pytest.mark.hostile
NUMBERS = (
    "-1", "0", "-0.0", "0.5", "1e-300", "1e300", "-1e300", "1e-20", "1e20", "2147483647", "4294967296",
    "9223372036854775808", "18446744073709551616", "1" + "0" * 30, "1" + "0" * 5000, ".nan", ".inf", "nan",
)  # fmt: skip
TEXTS = (
    "''", "cuda", "meta", "cuda:99", "cpu:7", "mps", '"\\0"', '"\\x1b[31m"', "'[red]x[/red]'", "../x",
    '"a\\nb"', "ü", '"\\udcff"', "!!binary AA==",
)  # fmt: skip
OTHERS = (
    "null", "true", "[]", "{}", "[[]]", "[-1]", "[0, 0]", "[1, 0]", "[1e300]", "[1e300, 1e-300]", "{a: 1}",
    "[a]", "{H: 1e300}", "{Xx: 1}", "[18446744073709551616]", "&a [*a]", "!!python/object:os.system {}",
)  # fmt: skip
SEEDS = ("18446744073709551615", "18446744073709551616", "9223372036854775808", "1" + "0" * 40, "-1", "1e3")
EACH = 5  # values for each key
DRY_KEYS = 25
DRY = {
    "workflow": ("run", "workflow.yaml", "--workdir", "out", "--dry-run"),
    "benchmark": ("benchmark", "split.h5", "-o", "out/benchmark.h5", "--dry-run"),
    "active": ("active", "active.yaml", "--workdir", "out", "--dry-run"),
}
NO_CRYSTAL = {"properties": ("properties", "ann.h5", "runs/w0.xsf", "-o", "out/properties.h5")}
ACTIVE = """name: small
pool: [runs]
split: {inputs: [runs], train: 4}
fit_gpr: {model: full, length_scale: 1.0, power: 1.0}
label: {calculator: {name: stored}}
"""


def keys(model: type, prefix: str = "") -> list[str]:
    """Return all dotted keys, those of groups within groups included."""
    found = []
    for field in fields(model):
        found.append(prefix + field.name)
        annotation: Any = get_type_hints(model, include_extras=True)[field.name]
        while get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        group = group_of(annotation)
        if group is not None and is_group(group) and get_origin(annotation) is not tuple:
            name = "gpr." if get_origin(annotation) is dict else ""
            found += keys(group, f"{prefix}{field.name}.{name}")
    return found


@pytest.mark.parametrize("stage", MODELS)
def test_absurd_values(fresh, account: Account, stage):
    folder, rng = fresh(), random.Random(stage)
    (folder / "active.yaml").write_text(ACTIVE)
    arguments = (*(STAGES | NO_CRYSTAL | DRY)[stage], "-q")
    names = keys(MODELS[stage])
    if stage in DRY:  # most of its keys are those of stages
        names = rng.sample(names, DRY_KEYS)
    for name in names:
        for value in rng.sample(NUMBERS + TEXTS + OTHERS, EACH):
            account.try_(Call(f"values of {stage}", (*arguments, f"--set={name}={value}"), folder))
            clear(folder / "out")


@pytest.mark.parametrize("stage", STAGES)
def test_absurd_seeds(fresh, account: Account, stage):
    folder = fresh()
    for seed in SEEDS:
        account.try_(Call("seeds", (*STAGES[stage], "-q", f"--seed={seed}"), folder))
        account.try_(Call("seeds", (*STAGES[stage], "-q", f"--set=seed={seed}"), folder))
        clear(folder / "out")
