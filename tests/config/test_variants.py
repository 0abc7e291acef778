"""Short notation of variants: common keys, sweeps, and patterns of augmentation variants."""

import itertools

import pytest

from aenet_gpr_cli.config.reading import build
from aenet_gpr_cli.config.variants import expand_variants
from aenet_gpr_cli.config.workflow_config import WorkflowConfig
from aenet_gpr_cli.errors import ConfigError

CASE = {"name": "case", "split": {"inputs": ["a.xsf"]}, "fit_gpr": {}}
SWEEP = {
    "defaults": {"n_copies": 3},
    "gpr_{displacement}": {"method": "gpr", "displacement": [0.021, 0.034]},
    "taylor": {"method": "taylor"},
}


def test_a_key_in_braces_gives_one_variant_per_value():
    assert expand_variants(SWEEP) == {
        "gpr_0.021": {"method": "gpr", "displacement": 0.021, "n_copies": 3},
        "gpr_0.034": {"method": "gpr", "displacement": 0.034, "n_copies": 3},
        "taylor": {"method": "taylor", "n_copies": 3},
    }


def test_several_keys_give_all_combinations_and_other_lists_stay():
    deltas, copies = [0.01, 0.02, 0.03], [4, 16]
    variants = expand_variants(
        {"{n_copies}_{displacement}": {"displacement": deltas, "n_copies": copies, "fixed_atoms": [0, 1]}}
    )
    assert list(variants) == [f"{m}_{d}" for m, d in itertools.product(copies, deltas)]
    assert all(v["fixed_atoms"] == [0, 1] for v in variants.values())


def test_a_swept_key_may_lie_in_a_group_and_its_neighbours_stay():
    section = {
        "defaults": {"loss": {"alpha": 0.3, "force_fraction": [0.1, 1]}},
        "direct_{loss.force_fraction}": {"mode": "direct"},
    }
    variants = expand_variants(section)
    assert [v["loss"] for v in variants.values()] == [
        {"alpha": 0.3, "force_fraction": 0.1},
        {"alpha": 0.3, "force_fraction": 1},
    ]
    assert list(variants) == ["direct_0.1", "direct_1"]
    assert section["defaults"]["loss"]["force_fraction"] == [0.1, 1]


def test_a_training_per_augmentation_variant_of_a_name():
    training = {"gpr_*": {"mode": "gpr"}, "energy_only": {"mode": "energy_only"}}
    config = build(WorkflowConfig, {**CASE, "augment": SWEEP, "train_ann": training}, "w")
    assert {name: v.augmented for name, v in config.train_ann.items()} == {
        "gpr_0.021": "gpr_0.021",
        "gpr_0.034": "gpr_0.034",
        "energy_only": None,
    }


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"augment": {"g_{displacement}": {}}}, r"augment\.g_\{displacement\}: expected a list .* got None"),
        ({"augment": {"g_{displacement}": {"displacement": 0.1}}}, r"expected a list of values .* got 0\.1"),
        ({"augment": {"g_{n}": {"displacement": [0.1]}}}, r"expected a list of values of 'n'"),
        ({"augment": {"g_{n_copies}": {"n_copies": [1]}, "g_1": {}}}, r"augment\.g_1: two entries"),
        (
            {"augment": SWEEP, "train_ann": {"tylor*": {"mode": "taylor"}}},
            r"train_ann\.tylor\*: expected a pattern .* known: gpr_0\.021, gpr_0\.034, taylor",
        ),
    ],
)
def test_a_sweep_without_values_or_with_a_taken_name_is_refused(section, message):
    with pytest.raises(ConfigError, match=message):
        build(WorkflowConfig, {**CASE, **section}, "w")


def test_what_is_wrong_in_defaults_is_told_once_where_it_is_written():
    section = {
        "defaults": {"n_memberz": 3, "optimiser": "x"},
        "a": {"mode": "direct"},
        "b": {"mode": "direct", "n_memberz": 4, "network": {"hidden": [5, -1]}},
        "c_{loss.alpha}": {"mode": "direct", "loss": {"alpha": [0.1, -1], "betta": 2}},
    }
    with pytest.raises(ConfigError) as caught:
        build(WorkflowConfig, {**CASE, "train_ann": section}, "w")
    lines = str(caught.value).splitlines()
    assert sum("n_memberz" in line for line in lines) == 2
    assert "w: unknown key 'train_ann.defaults.n_memberz'; did you mean 'n_members'?" in lines
    assert "w: unknown key 'train_ann.b.n_memberz'; did you mean 'n_members'?" in lines
    (optimiser,) = (line for line in lines if "optimiser" in line)
    assert optimiser.startswith("w: train_ann.defaults.optimiser: ")
    (hidden,) = (line for line in lines if "hidden" in line)
    assert hidden.startswith("w: train_ann.b.network.hidden.1: ")
    assert "w: unknown key 'train_ann.c_{loss.alpha}.loss.betta'; did you mean 'beta'?" in lines
    (alpha,) = (line for line in lines if ".loss.alpha: " in line)
    assert "train_ann.c_{loss.alpha}.loss.alpha: " in alpha
    assert alpha.endswith("got -1")


def test_two_wrong_sections_are_told_together():
    data = {**CASE, "augment": [], "train_ann": {"a": {"mode": "dirct"}}}
    with pytest.raises(ConfigError, match=r"(?s)augment: .*train_ann\.a\.mode: "):
        build(WorkflowConfig, data, "w")


def test_a_wrong_override_of_defaults_is_said_to_come_from_there():
    data = {**CASE, "train_ann": {"defaults": {"n_members": 0}, "a": {"mode": "direct"}}}
    with pytest.raises(ConfigError, match=r"^--set train_ann\.defaults\.n_members=0: train_ann\.defaults\."):
        build(WorkflowConfig, data, "w", ["train_ann.defaults.n_members=0"])
