"""Keys that do nothing are named, and what is at its default is not."""

import pytest

from aenet_gpr_cli.config.idle_keys import RULES, idle_keys
from aenet_gpr_cli.config.reading import STAGES, build
from aenet_gpr_cli.config.stages.active_config import LabelConfig, SelectConfig
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.md_config import MdConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.stages.shared.context import Context, make_job


@pytest.mark.parametrize(
    ("stage", "keys", "idle"),
    [
        ("md", {"pressure_gpa": 1.0}, "pressure_gpa does nothing with ensemble: nvt"),
        ("md", {"ensemble": "nve", "thermostat_ps": 1.0}, "thermostat_ps does nothing with ensemble: nve"),
        ("md", {"reference_every": 2}, "reference_every does nothing with no reference"),
        ("train-ann", {"adamw": {"epochs": 3}}, "adamw does nothing with optimiser: levenberg_marquardt"),
        ("train-ann", {"mode": "gpr", "loss": {"alpha": 0.5}}, "loss.alpha does nothing with mode: gpr"),
        ("train-ann", {"mode": "direct", "loss": {"sigma_scale": 0.1}}, "loss.sigma_scale does nothing"),
        (
            "train-ann",
            {"mode": "direct", "loss": {"alpha": 0, "beta": 1.0}},
            "loss.beta does nothing with loss",
        ),
        (
            "fit-gpr",
            {"model": "local", "local": {"virials": False, "noise_std_virial": 0.1}},
            "local.noise_std_virial does nothing with local.virials: false",
        ),
        ("fit-gpr", {"model": "local", "kernel": "matern52"}, "kernel does nothing with model: local"),
        (
            "fit-gpr",
            {"local": {"descriptor": "chebyshev", "soap": {"n_max": 3}}},
            "local.soap does nothing with local.descriptor: chebyshev",
        ),
        (
            "fit-gpr",
            {"local": {"length_scale": 8.0, "soap": {"n_max": 3}}},
            "local.soap does nothing with local.angular_cutoffs or length_scale given",
        ),
        (
            "fit-gpr",
            {"local": {"descriptor": "soap", "radial_order": 3}},
            "local.radial_order does nothing with local.descriptor: soap",
        ),
        ("fit-gpr", {"model": "full", "local": {"n_inducing": 9}}, "local does nothing with model: full"),
        (
            "fit-gpr",
            {"descriptor": "inverse_distance", "soap": {"n_max": 3}},
            "soap does nothing with descriptor: inverse_distance",
        ),
        ("augment", {"adaptive": {"smallest": 0.01}}, "adaptive does nothing with mode: gaussian"),
        ("augment", {"method": "taylor", "anchored": True}, "anchored does nothing with method: taylor"),
        ("select", {"batch": "ranked", "diversity": 2.0}, "diversity does nothing with batch: ranked"),
        (
            "label",
            {"calculator": {"name": "stored", "parameters": {"a": 1}}},
            "calculator.parameters does nothing with calculator.name: stored",
        ),
    ],
)
def test_a_key_that_does_nothing_is_named_with_what_decides(caplog, stage, keys, idle):
    make_job(stage, build(STAGES[stage], keys, "test"), {}, Context())
    assert [idle in record.getMessage() for record in caplog.records] == [True]


WITH_RULES = (MdConfig, TrainAnnConfig, FitGprConfig, AugmentConfig, SelectConfig, LabelConfig)


def test_rules_bear_the_names_of_classes():
    assert {kind.__name__ for kind in WITH_RULES} == RULES.keys()


@pytest.mark.parametrize("kind", WITH_RULES, ids=lambda kind: kind.__name__)
def test_defaults_say_nothing_and_every_rule_names_keys_that_there_are(kind):
    assert idle_keys(kind()) == []
    for _, _, keys in RULES[kind.__name__](kind()):
        for key in keys:
            value = kind()
            for name in key.split("."):
                value = getattr(value, name)
