"""What an older version stored under the paper's name is read under the present one."""

import json

from aenet_gpr_cli.reports.finished_run import stored_metrics


def test_the_spread_of_an_old_evaluation_is_found_under_its_name():
    part = {"energy_mae": 1.0, "energy_msd": 0.5, "energy_msd_per_atom": 0.1}
    old = {"ann": {"total": part, "subsets": {"a": part}, "species": {}, "members": [part]}}
    new = stored_metrics({"metrics": json.dumps(old)})["ann"]
    for found in (new["total"], new["subsets"]["a"], new["members"][0]):
        assert (found["energy_spread"], found["energy_spread_per_atom"]) == (0.5, 0.1)
        assert found["energy_msd"] == 0.5


def test_a_present_one_is_left_as_it_is():
    part = {"energy_spread": 0.5, "energy_msd": 0.4}
    new = {"ann": {"total": part, "subsets": {}, "species": {}, "members": []}}
    assert stored_metrics({"metrics": json.dumps(new)}) == new
