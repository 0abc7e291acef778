"""Configuration: strict YAML, dotted paths, and hints (a mistyped key must never be ignored)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aenet_gpr_cli.config.reading import build, read_config, recognise
from aenet_gpr_cli.config.stages.augment_config import AugmentConfig
from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.config.workflow_config import WorkflowConfig
from aenet_gpr_cli.config.yaml_text import apply_overrides, parse_yaml, read_mapping
from aenet_gpr_cli.errors import ConfigError

MINIMAL = {"name": "case", "split": {"inputs": ["a.xsf"]}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6),
        ("2.5E3", 2500.0),
        (".5", 0.5),
        ("3", 3),
        ("-7", -7),
        ("No", "No"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("012", 12),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2025-01-01", "2025-01-01"),
    ],
)
def test_scalars_mean_what_they_look_like(text, value):
    assert parse_yaml(f"key: {text}", "x") == {"key": value}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("80%", "x: train: input should be a valid number, .*, got '80%'; 80% is 0.8"),
        ("12.5 %", "x: train: input should be a valid number, .*; 12.5 % is 0.125"),
        ("most", "x: train: input should be a valid number, .*, got 'most'"),
    ],
)
def test_what_is_no_number_is_told_once(value, said):
    with pytest.raises(ConfigError, match=f"^{said}$"):
        build(SplitConfig, {"train": value}, "x")


def test_a_duplicate_key_is_refused_with_its_lines():
    with pytest.raises(ConfigError, match=r"c\.yaml: line 3: key 'a' is given twice \(first in line 1\)"):
        parse_yaml("a: 1\nb: 2\na: 3\n", "c.yaml")


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['true']", "a: !!python/name:os.system"])
def test_yaml_cannot_run_code(text):
    with pytest.raises(ConfigError, match="not valid YAML"):
        parse_yaml(text, "x")


@pytest.mark.parametrize(
    ("text", "says"),
    [('a: 1\nb: ["x\\0"]', "x: line 2: .*NUL"), ("a: !!binary AA==", "x: line 1: expected text")],
)
def test_yaml_holds_no_text_that_a_file_cannot(text, says):
    with pytest.raises(ConfigError, match=says):
        parse_yaml(text, "x")


@given(st.text(max_size=200))
def test_any_text_gives_a_value_or_a_configuration_error(text):
    with contextlib.suppress(ConfigError):
        parse_yaml(text, "x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"fit_gpr": {"lenght_scale": 1}},
            r"unknown key 'fit_gpr\.lenght_scale'; did you mean 'length_scale'\?",
        ),
        ({"splitt": {}}, r"unknown key 'splitt'; did you mean 'split'\?"),
        (
            {"train_ann": {"energy_only": {"network": {"hiden": [5]}}}},
            r"unknown key 'train_ann\.energy_only\.network\.hiden'; did you mean 'hidden'\?",
        ),
        (
            {"benchmark": {"cutoffs": [{"radial": 6, "angular": 4, "x": 1}]}},
            r"unknown key 'benchmark\.cutoffs\.0\.x'; known",
        ),
        ({"fit_gpr": {"length_scale": -1}}, r"fit_gpr\.length_scale: .*greater than 0.*got -1"),
        ({"augment": {"t": {"method": "tailor"}}}, r"augment\.t\.method: .*'gpr' or 'taylor'.*got 'tailor'"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_path(data, message):
    with pytest.raises(ConfigError, match=message):
        build(WorkflowConfig, {**MINIMAL, **data}, "w.yaml")


def test_all_problems_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        build(AugmentConfig, {"n_copys": 3, "displacement": -1}, "a.yaml")
    assert len(str(caught.value).splitlines()) == 2


def test_overrides_win_and_keep_their_neighbours():
    data = apply_overrides(
        {"augment": {"gpr": {"n_copies": 4}}, "seed": 1}, ["augment.gpr.displacement=1e-2", "seed=5"]
    )
    assert data == {"augment": {"gpr": {"n_copies": 4, "displacement": 0.01}}, "seed": 5}


@pytest.mark.parametrize("item", ["displacement", "=3", "a.b.c=1"])
def test_a_malformed_override_is_refused(item):
    with pytest.raises(ConfigError, match="--set"):
        apply_overrides({"a": {"b": 2}}, [item])


def test_overrides_do_not_change_the_original():
    data = {"a": {"b": 1}}
    apply_overrides(data, ["a.b=2"])
    assert data == {"a": {"b": 1}}


def test_compared_processes_are_variants_with_the_seed_of_the_workflow(tmp_path):
    path = tmp_path / "workflow.yaml"
    path.write_text(
        "{name: x, seed: 7, split: {inputs: [a]}, compare_gpr: {defaults: {descriptor: cartesian}, "
        "'l_{length_scale}': {length_scale: [0.4, 1.5]}}}"
    )
    config = build(WorkflowConfig, read_mapping(path), str(path))
    assert {name: (c.descriptor, c.length_scale, c.seed) for name, c in config.compare_gpr.items()} == {
        "l_0.4": ("cartesian", 0.4, 7),
        "l_1.5": ("cartesian", 1.5, 7),
    }
    _, alone = read_config("fit-gpr", path, section="compare_gpr", variant="l_1.5")
    assert alone == config.compare_gpr["l_1.5"]


def test_variants_start_from_the_defaults_of_their_section():
    config = build(
        WorkflowConfig,
        {
            **MINIMAL,
            "seed": 7,
            "train_ann": {
                "defaults": {"n_members": 3, "network": {"hidden": [5], "radial_order": 8}},
                "energy_only": {"mode": "energy_only", "network": {"hidden": [20]}},
            },
        },
        "w",
    )
    variant = config.train_ann["energy_only"]
    assert set(config.train_ann) == {"energy_only"}
    assert (variant.n_members, variant.network.hidden, variant.network.radial_order) == (3, (20,), 8)
    assert variant.seed == config.split.seed == 7


def test_a_training_without_its_augmentation_is_refused():
    with pytest.raises(ConfigError, match="needs the augmentation variant 'gpr'; known: none"):
        build(WorkflowConfig, {**MINIMAL, "train_ann": {"gpr": {"mode": "gpr"}}}, "w")
    with pytest.raises(ConfigError, match="needs the augmentation variant 'gpr'; known: none"):
        build(WorkflowConfig, {**MINIMAL, "train_ann": {"both": {"mode": "combined"}}}, "w")


def test_two_ways_of_dividing_are_refused():
    with pytest.raises(ConfigError, match="one way of dividing"):
        build(SplitConfig, {"inputs": ["a"], "test_inputs": ["b"], "train": 3}, "s")


@pytest.mark.parametrize(("given_value", "meant"), [(0.25, 0.25), (250, 250), (250.0, 250)])
def test_an_amount_is_a_count_or_a_fraction(given_value, meant):
    config = build(SplitConfig, {"train": given_value}, "s")
    assert config.train == meant
    assert isinstance(config.train, type(meant))


def test_an_angular_cutoff_beyond_the_radial_one_is_refused():
    with pytest.raises(ConfigError, match="angular_cutoff <= radial_cutoff"):
        build(TrainAnnConfig, {"network": {"radial_cutoff": 4, "angular_cutoff": 5}}, "t")


def test_a_length_scale_is_a_number_or_a_list():
    assert build(FitGprConfig, {"length_scale": 1.5}, "g").length_scale == 1.5
    assert build(FitGprConfig, {"length_scale": [0.5, 1]}, "g").length_scale == (0.5, 1.0)
    with pytest.raises(ConfigError, match="at least one number"):
        build(FitGprConfig, {"length_scale": []}, "g")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file; .*`aenet-gpr init` writes"):
        read_mapping(tmp_path / "none.yaml")


def test_a_list_is_no_configuration(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("- 1\n- 2\n")
    with pytest.raises(ConfigError, match="expected keys and values, got list"):
        read_mapping(path)


def test_a_decay_beside_that_of_evidence_is_refused():
    with pytest.raises(ConfigError, match=r"levenberg_marquardt.*regularisation: none"):
        build(TrainAnnConfig, {"levenberg_marquardt": {"weight_decay": 1e-3}}, "train-ann")
    given = {"levenberg_marquardt": {"weight_decay": 1e-3, "regularisation": "none"}}
    assert build(TrainAnnConfig, given, "train-ann").levenberg_marquardt.weight_decay == 1e-3


def test_evidence_needs_no_structures_held_out():
    plain = {"levenberg_marquardt": {"regularisation": "none"}}
    for keys, share in (
        ({}, 0.0),
        (plain, 0.1),
        ({"optimiser": "adamw"}, 0.1),
        ({"validation_fraction": 0.2}, 0.2),
    ):
        assert build(TrainAnnConfig, keys, "train-ann").held_out == share


@pytest.mark.parametrize(
    ("text", "wanted", "what"),
    [
        ("fit_gpr: {length_scale: 2}", None, "benchmark"),  # of a workflow it would lack name and split
        ("{fit_gpr: {length_scale: 2}, n_epochs: 2}", "benchmark", "benchmark"),
        ("{fit_gpr: {length_scale: 2}, n_epohcs: 2}", "benchmark", "benchmark"),
        ("{fit_gpr: {length_scale: 2}, benchmark: {n_epochs: 2}}", "benchmark", "workflow"),
        ("fit_gpr: {length_scale: 2}", "fit-gpr", "workflow"),
        ("fit-gpr: {length_scale: 2}", "fit-gpr", "workflow"),
        ("{adaptive: {smallest: 0.01}, mode: adaptive}", "augment", "augment"),
        ("{adaptive: {smallest: 0.01}, mod: adaptive}", "augment", "augment"),
        ("{adaptive: {smallest: 0.01}, mod: adaptive}", None, "augment"),
        ("{pool: [a], select: {n_select: 3}}", "select", "active"),
        ("{name: x, split: {inputs: [a]}}", None, "workflow"),
        ("{name: x, split: {inputs: [a]}, rounds: 3}", None, "active"),
        ("{nam: x, split: {inputs: [a]}}", None, "workflow"),
        ("seed: 3", "label", "label"),
        ("{}", "label", "label"),
    ],
)
def test_a_file_is_for_what_has_most_of_its_keys(text, wanted, what):
    assert recognise(parse_yaml(text, "f"), "f", wanted) == what


@pytest.mark.parametrize(
    ("text", "command", "key", "value"),
    [
        ("{pool: [a], name: x, split: {}, select: {n_select: 3}}", "select", "n_select", 3),
        ("{pool: [a], name: x, split: {}, fit_gpr: {workers: 3}}", "fit-gpr", "workers", 3),
        ("{pool: [a], name: x, split: {}, augment: {n_copies: 3}}", "augment", "n_copies", 3),
        ("{name: x, split: {}, fit_gpr: {workers: 3}}", "fit-gpr", "workers", 3),
        ("{name: x, split: {}, augment: {t: {n_copies: 3}}}", "augment", "n_copies", 3),
        ("{fit_gpr: {workers: 3}, n_epochs: 7}", "benchmark", "n_epochs", 7),
        ("{name: x, split: {}, seed: 5, label: {}, pool: [a]}", "label", "seed", 5),
        ("{name: x, split: {}, seed: 5, label: {seed: 6}, pool: [a]}", "label", "seed", 6),
    ],
)
def test_a_stage_takes_its_section_of_any_case(tmp_path, text, command, key, value):
    (tmp_path / "f.yaml").write_text(text)
    what, config = read_config(command, tmp_path / "f.yaml")
    assert what == command
    assert getattr(config, key) == value


@pytest.mark.parametrize(("amount", "meant"), [(1, 1), (1.0, 1.0), (250.0, 250), (0.5, 0.5)])
def test_one_structure_is_not_all_of_them(amount, meant):
    found = build(SplitConfig, {"inputs": ["a.xyz"], "train": amount}, "test").train
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ("local.angular_cutoffs=[[3,4]]",),
            r"^--set local.angular_cutoffs=\[\[3,4\]\]: local.angular_cutoffs",
        ),
        (("local.nonsense=1", "seed=2"), "^--set local.nonsense=1: unknown key 'local.nonsense'"),
        (("seed=-1", "seed=-2"), "^--set seed=-2: seed: .* got -2"),
        (("seed=2",), "^{file}: length_scale"),
        (
            ("comparison_minutes=-1",),
            "^{file}: length_scale(.|\n)*^--set comparison_minutes=-1: comparison_minutes",
        ),
    ],
)
def test_a_wrong_value_is_said_to_come_from_where_it_was_given(tmp_path, overrides, said):
    (tmp_path / "fit.yaml").write_text("length_scale: -1\n" if "file" in said else "max_permutations: 2\n")
    with pytest.raises(ConfigError, match="(?m)" + said.replace("{file}", str(tmp_path / "fit.yaml"))):
        read_config("fit-gpr", tmp_path / "fit.yaml", overrides)


def test_what_only_several_keys_show_names_file_and_command_line(tmp_path):
    (tmp_path / "split.yaml").write_text("inputs: [a.xyz]\ntest_inputs: [b.xyz]\n")
    with pytest.raises(ConfigError, match=r"split.yaml with --set train=3: expected one way of dividing"):
        read_config("split", tmp_path / "split.yaml", ["train=3"])
