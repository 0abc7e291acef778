"""`descriptor: auto`: which descriptor wins, and that only training data decide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aenet_gpr_cli.config.stages.fit_gpr_config import FitGprConfig
from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.errors import NumericalError, ResourceError
from aenet_gpr_cli.gpr.hyperparameters import objectives
from aenet_gpr_cli.gpr.left_out_errors import LeftOut
from aenet_gpr_cli.gpr.process_settings import Search
from aenet_gpr_cli.gpr.solvers.cholesky import CholeskySolver
from aenet_gpr_cli.stages.fit_gpr import descriptor_contest, fit_plan
from aenet_gpr_cli.stages.fit_gpr.descriptor_contest import choose_process, near_options
from aenet_gpr_cli.stages.fit_gpr.fit_plan import plan_fit
from aenet_gpr_cli.stages.fit_gpr.fit_subset import fit_subset
from aenet_gpr_cli.structures import StructureSet
from aenet_gpr_cli.units import BYTES_PER_GIB

QUICK = FitGprConfig(power=1.0, search=Search(max_rows=600, max_evaluations=6))
SMALL_SOAP = SoapSettings(cutoff=4.0, n_max=3, l_max=2)


def quiet(*_: object) -> None:
    """Show nothing."""


def molecules(energy, n=24, seed=0):
    """Return displaced tetrahedra of one species, with the energy (and forces) of a function of positions."""
    rng = np.random.default_rng(seed)
    corners = 1.2 * np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    positions = corners + 0.12 * rng.normal(size=(n, 4, 3))
    energies, forces = zip(*(energy(x) for x in positions), strict=True)
    return StructureSet(("C",) * 4, positions, energies=np.array(energies), forces=np.array(forces))


def pairs(x):
    """Return Σ 1/r over all pairs, and minus its gradient: linear in inverse distances."""
    total, forces = 0.0, np.zeros_like(x)
    for i in range(len(x)):
        for j in range(i):
            d = x[i] - x[j]
            r = float(np.linalg.norm(d))
            total += 1.0 / r
            forces[i] += d / r**3
            forces[j] -= d / r**3
    return total, forces


def test_distances_win_where_the_energy_is_a_sum_over_inverse_distances():
    subset = molecules(pairs)
    config = replace(QUICK, soap=SMALL_SOAP)
    choice = choose_process(config, "C4", subset, quiet)
    assert choice.geometry.settings.name == "inverse_distance"
    options, errors = near_options(config, "C4", subset, quiet)
    assert "soap" not in [option.descriptor for option in options]
    assert errors.energy_mae < 0.05 * subset.energies.std()


def test_only_structures_of_the_subset_decide_and_the_choice_does_not_depend_on_the_order_of_options():
    subset = molecules(pairs, n=12, seed=3)
    options = replace(QUICK, soap=SMALL_SOAP).alternatives
    first = choose_process(QUICK, "C4", subset, quiet, options)
    second = choose_process(QUICK, "C4", subset, quiet, options[::-1])
    assert first.geometry.settings.name == second.geometry.settings.name
    assert first.parameters == second.parameters


def test_what_auto_compares():
    names = [(c.descriptor, c.soap.average) for c in FitGprConfig().alternatives]
    assert names == [("inverse_distance", "outer"), ("soap", "outer"), ("soap", "species")]
    # soap that the user has set is compared as it is; a length scale has the unit of inverse distances
    own = replace(QUICK, soap=replace(SMALL_SOAP, average="inner")).alternatives
    assert [(c.descriptor, c.soap.average) for c in own[1:]] == [("soap", "inner")]
    assert [c.descriptor for c in FitGprConfig(length_scale=2.0).alternatives] == ["inverse_distance"]
    assert FitGprConfig(descriptor="soap").alternatives == (FitGprConfig(descriptor="soap"),)


@pytest.mark.parametrize(
    ("descriptor", "searched"),
    [
        ("inverse_distance", True),
        ("soap", False),
        ("cartesian", False),
        (("inverse_distance", "soap"), False),
    ],
)
def test_permutations_are_looked_for_where_the_descriptor_is_not_invariant(descriptor, searched):
    assert FitGprConfig(descriptor=descriptor).searches_permutations is searched


def test_only_the_descriptor_that_wins_is_warned_about_and_trials_on_few_structures_are_silent(caplog):
    # inverse distances are linear here: their length scale ends at the upper bound, that of soap does not
    bounds = Search(max_rows=600, max_evaluations=12, length_bounds=(0.3, 12.0))
    config = replace(QUICK, soap=SMALL_SOAP, search=bounds)
    subset, options = molecules(pairs, n=12), config.alternatives
    fitted = fit_subset(config, "C4", subset, quiet, options=options)
    edges = [doubt for doubt in fitted.doubts if "at the edge of what was compared" in doubt]
    assert fitted.choice.at_bound
    assert len(edges) == 1
    assert f"{fitted.choice.parameters.length_scale:.3g}" in edges[0]
    with caplog.at_level("INFO"):
        near_options(config, "C4", subset, quiet)
    assert not caplog.records


def test_soap_by_species_is_not_compared_where_there_is_one_species(monkeypatch):
    monkeypatch.setattr(descriptor_contest, "NEAR", np.inf)
    config = replace(QUICK, search=Search(max_rows=200, max_evaluations=3))
    options, _ = near_options(config, "C4", molecules(pairs, n=6), quiet)
    assert [option.descriptor for option in options] == ["inverse_distance", "soap"]


@pytest.mark.filterwarnings("error")
def test_constant_energies_leave_no_error_and_divide_nothing_by_zero():
    subset = molecules(lambda x: (-5.0, np.zeros_like(x)), n=6)
    _, errors = near_options(replace(QUICK, soap=SMALL_SOAP), "C4", subset, quiet)
    assert errors.energy_mae == errors.force_mae == 0.0
    assert np.isfinite(errors.energy_z).all()
    assert np.isfinite(errors.force_z).all()


def test_one_structure_gets_inverse_distances_as_it_leaves_none_to_compare_on():
    choice = choose_process(QUICK, "C4", molecules(pairs, n=1), quiet)
    assert choice.geometry.settings.name == "inverse_distance"


@pytest.mark.parametrize("given", ["auto", ("inverse_distance", "soap")])
def test_kernels_of_pairs_of_spectra_name_the_descriptor_that_they_need(given):
    pairs_of_spectra = SoapSettings(average="off", compare="pairs")
    with pytest.raises(ValueError, match="needs descriptor: soap, got"):
        FitGprConfig(descriptor=given, soap=pairs_of_spectra)


def test_small_cells_never_get_inverse_distances():
    rng = np.random.default_rng(1)
    subset = molecules(pairs, n=8, seed=2)
    cells = np.tile(4.5 * np.eye(3), (8, 1, 1))
    small = replace(subset, positions=subset.positions + rng.normal(size=3), cells=cells, pbc=(True,) * 3)
    options, _ = near_options(replace(QUICK, soap=SMALL_SOAP), "C4", small, quiet)
    assert [option.descriptor for option in options] == ["soap"]


def test_what_is_compared_fits_into_the_memory_allowed(monkeypatch):
    """And is said before; less than a search needs is refused, also before."""
    subset, rows = molecules(pairs, n=40), list[int]()

    class Seen(CholeskySolver):
        def __init__(self, covariance, *arguments):
            super().__init__(covariance, *arguments)
            rows.append(covariance.n_rows)

    monkeypatch.setattr(objectives, "CholeskySolver", Seen)
    monkeypatch.setattr(descriptor_contest, "CholeskySolver", Seen)

    def searched(gib):
        rows.clear()
        config = replace(QUICK, soap=SMALL_SOAP, max_memory_gib=gib)
        fit_subset(config, "C4", subset, quiet)
        return max(rows), plan_fit(config, "C4", subset).message

    most, said = searched(16.0)
    assert 450 < most <= 520
    assert "max_memory_gib" not in said
    for allowed in (400, 450):
        most, said = searched(fit_plan.SEARCH_BYTES * (allowed + 0.5) ** 2 / BYTES_PER_GIB)
        assert 0.7 * allowed < most <= allowed
        assert said.endswith(f"; max_memory_gib lets {allowed} rows be compared, not 520")
    with pytest.raises(ResourceError, match=r"C4: descriptor and length scale .* at least 130 rows"):
        plan_fit(replace(QUICK, max_memory_gib=1e-4), "C4", subset)
    fixed = replace(QUICK, descriptor="inverse_distance", length_scale=2.0, permutations="none")
    with pytest.raises(ResourceError, match="by cholesky"):  # compares nothing
        plan_fit(replace(fixed, solver="cholesky", max_memory_gib=1e-4), "C4", subset)


@pytest.mark.parametrize(
    ("spread", "most", "winner"),
    [(1.4, 8000, "soap"), (1.6, 8000, "inverse_distance"), (1.4, 150, "inverse_distance")],
)
def test_what_few_structures_leave_in_doubt_more_of_them_decide(monkeypatch, spread, most, winner):
    """Here soap is worse on few by a factor, and better on more: as EC dimers turn between 65 and 131."""
    monkeypatch.setattr(descriptor_contest, "MOST_COMPARED", most)
    seen = []

    def left_out(config, _choice, structures):
        seen.append(len(structures))
        few = len(structures) < 20
        factor = (spread if few else 1 / spread) if config.descriptor == "soap" else 1.0
        return LeftOut(*(np.full(len(structures), factor) for _ in range(4)))

    monkeypatch.setattr(descriptor_contest, "_left_out", left_out)
    config = replace(QUICK, soap=SMALL_SOAP, search=Search(max_rows=150, max_evaluations=3))
    subset = molecules(pairs, n=40)
    choice = choose_process(config, "C4", subset, quiet, config.alternatives[:2])
    assert choice.geometry.settings.name == winner
    assert max(seen) == (40 if winner == "soap" else 11)


@pytest.mark.parametrize("fails", ["best", "all"])
def test_what_fails_on_more_structures_only_is_out_and_the_best_of_fewer_stays_where_all_do(
    monkeypatch, fails
):
    config = replace(QUICK, soap=SMALL_SOAP, search=Search(max_rows=60, max_evaluations=3))
    subset, options = molecules(pairs, n=16), config.alternatives
    first, left_out, compared = options[0], descriptor_contest._left_out, []

    def failing(option, choice, structures):
        compared.append(len(structures))
        if len(structures) > compared[0] and (fails == "all" or option == first):
            raise NumericalError("no factor")
        return left_out(option, choice, structures)

    monkeypatch.setattr(descriptor_contest, "_left_out", failing)
    monkeypatch.setattr(descriptor_contest, "DOUBTFUL", np.inf)
    choice = choose_process(config, "C4", subset, quiet, options)
    assert max(compared) > min(compared)
    assert choice.geometry.settings.name == ("inverse_distance" if fails == "all" else "soap")
