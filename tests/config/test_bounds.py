"""Every number of a configuration has bounds; absurd ones are refused by key."""

import re
from dataclasses import fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest

from aenet_gpr_cli.config.json_schema import _groups
from aenet_gpr_cli.config.reading import MODELS
from tests.finished_runs import CASE

BOUNDS = {"lower": ("ge", "gt"), "upper": ("le", "lt")}


def unbounded(annotation: Any, found: tuple[Any, ...] = ()) -> bool:
    """Whether a type holds a number that may be as small or as large as anyone likes."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return unbounded(inner, (*found, *marks))
    if annotation in (int, float):
        return not all(any(hasattr(mark, key) for mark in found for key in keys) for keys in BOUNDS.values())
    return any(unbounded(part, found) for part in get_args(annotation))


@pytest.mark.parametrize("group", sorted(set().union(*map(_groups, MODELS.values())), key=str))
def test_every_number_has_bounds(group):
    hints = get_type_hints(group, include_extras=True)
    assert [field.name for field in fields(group) if unbounded(hints[field.name])] == []


@pytest.mark.parametrize(
    ("command", "key", "value", "says"),
    [
        ("split", "seed", 2**64, "less than 18446744073709551616"),
        ("split", "minimum_distance", "1e300", r"less than or equal to 1e\+30"),
        ("fit-gpr", "length_scale", "1e-300", "at least 1e-30"),
        ("fit-gpr", "power", "1e9", "less than or equal to 20"),
        ("fit-gpr", "noise_std_energy", "0.0", "greater than 0"),
        ("fit-gpr", "search.length_bounds", "[10, 1]", r"expected \[lower, upper\], got \[10.0, 1.0\]"),
        ("augment", "n_copies", 2**63, "less than or equal to 1000000"),
        ("augment", "energy_window", "[1, 0]", r"expected \[lower, upper\], got \[1.0, 0.0\]"),
        ("augment", "fixed_atoms", "[-1]", "greater than or equal to 0"),
        ("train-ann", "network.hidden", f"[{2**64}]", "less than or equal to 100000"),
        ("train-ann", "adamw.epochs", 10**30, "less than or equal to 10000000"),
        ("train-ann", "network.radial_order", 10**30, "less than or equal to 1000"),
    ],
)
def test_an_absurd_number_is_refused_by_key(run_cli, command, key, value, says):
    files = ["a.h5"] if command != "split" else ["a.xsf"]
    code, _, said = run_cli(command, *files, "--set", f"{key}={value}")
    assert code == 2
    assert said.startswith(f"error: command line: {key.partition('.')[0]}"), said
    assert len(said) < 300

    assert re.search(says, said), said


def test_one_structure_is_no_start(run_cli, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "name: x\npool: [p]\nstart: 1\ntarget_sigma: 0.1\nsplit: {test_inputs: [p]}\n"
    )
    code, _, said = run_cli("active", "a.yaml")
    assert code == 2
    assert "start: expected at least 2 for target_sigma" in said


def test_a_number_of_thousands_of_digits_is_not_repeated(run_cli):
    code, _, said = run_cli("split", "a.xsf", "--set", "seed=1" + "0" * 5000)
    assert code == 2
    assert said.startswith("error: --set seed=1000")
    assert len(said) < 300


@pytest.mark.parametrize("device", ["cuda:99", "meta", "nonsense", "''"])
@pytest.mark.parametrize("stage", ["fit-gpr", "train-ann"])
def test_a_device_that_is_not_there_is_refused_by_key(run_cli, tmp_path, stage, device):
    run_cli("split", CASE / "../../example_data/h2", "--set", "train=4")
    keys = ["mode=energy_only"] if stage == "train-ann" else ["length_scale=1.0", "power=1.0"]
    before = (tmp_path / "split.h5").read_bytes()
    code, _, said = run_cli(stage, "split.h5", *(f"--set={k}" for k in (*keys, f"device={device}")), "-q")
    assert code == 2, said
    assert "device: expected cpu or an available accelerator" in said
    assert "Traceback" not in said
    assert (tmp_path / "split.h5").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["split.h5"]
