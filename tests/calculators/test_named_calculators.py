"""Calculators by name, and what they say where their program is not there."""

import pytest

from aenet_gpr_cli.calculators import named_calculators
from aenet_gpr_cli.errors import ConfigError


def test_a_calculator_without_its_program_is_one_message(tmp_path, monkeypatch):
    class Missing:
        def __init__(self):
            raise RuntimeError("no configuration")

    monkeypatch.setattr(named_calculators, "calculator_class", lambda name: Missing)
    with pytest.raises(ConfigError, match=r"calculator: espresso cannot be set up \(RuntimeError: no conf"):
        named_calculators.make_calculator("espresso", {}, tmp_path)


def test_keywords_that_a_calculator_would_ignore_are_named():
    unknown = named_calculators.unknown_parameters
    assert unknown("lj", {"epsilon": 1.0, "epsilom": 2.0, "label": "x"}) == ["epsilom"]
    assert unknown("emt", {"asap_cutoff": True}) == []
    assert unknown("aims", {"anything": 1}) == []
