"""What errors mean: which model to use, whether it is good enough for dynamics, what to do next.

A pure function of error measures; every limit has a name here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import BOLTZMANN, MEV_PER_EV

Grade = Literal["good", "fair", "poor"]
GRADES: tuple[Grade, ...] = ("good", "fair", "poor")
ENERGY = (1 / 10, 1 / 3)  # RMSE per atom over kT: good below the first, fair below the second
FORCE = (0.10, 0.25)  # RMSE over the root mean square of the reference, of force components
OUTLIERS = (0.0, 1e-3)  # share of atoms with ‖F‖ wrong by more than 1 eV/Å
OUTSIDE = (0.05, 0.20)  # share of structures outside the training data
STIFF = 100.0  # GPa, a usual bulk modulus, by which an error of the pressure becomes one of the volume
COVERAGE = (0.90, 0.75)  # of errors by their 95 % intervals: good above the first, fair above the second; few
# errors may be one standard deviation of their share below
WIDE = 0.95  # share of errors within ±1.96σ
WEAK = 1.5  # times the error of all, from where on a kind of structure asks for more data
FEW = 3  # structures of a kind, below which its error says nothing
BEHIND = 1.3  # times the error of the process that labels its copies, from where on a network lags
NEAR = 1.1  # times the error of the best, below which another model is as good
KURTOSIS = 6.0  # of errors of energies, see `relative_error_of_rmse`
MANY = 50  # independent test structures, from where on the error of an error is not told
UNCERTAIN = 0.5  # relative error of an error, from where on the headline says how little it rests on
CONTRADICT = (
    1.0  # Å: RMSE of energies per atom over that of force components; 0.01 to 0.05 in potentials that fit
)
SURROGATE = "gp"


@dataclass(frozen=True, slots=True)
class Judged:
    """A model and its errors.

    Attributes
    ----------
    name : str
    mode : str or None
        Training mode of a network, ``gp`` for a Gaussian process, None where not known.
    total : mapping of str to float, int or None
        Measures of `metrics_from_sums` and of σ, over all test structures.
    parts : mapping of str to mapping
        The same for each kind of structure, or where kinds are not named for each subset.
    n_training : mapping of str to int
        Training structures of each of these.
    """

    name: str
    mode: str | None
    total: Mapping[str, Any]
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    n_training: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence, what it is about, and where it is a judgement its grade."""

    about: str
    text: str
    grade: Grade | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to: which model, for what, and what next.

    Attributes
    ----------
    best : str
        Name of the model to use.
    temperature : float, K
        Of the dynamics that are meant.
    grade : str
        Of the dynamics: that of the worst of energies, forces and outliers.
    headline : str
    statements : tuple of Statement
        About the best model.
    """

    best: str
    temperature: float
    grade: Grade
    headline: str
    statements: tuple[Statement, ...]

    def lines(self) -> list[str]:
        """Return the headline and a line for each statement."""
        width = max(len(s.about) for s in self.statements) + 2
        return [self.headline, *(f"  {s.about:<{width}}{s.text}" for s in self.statements)]

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return asdict(self)


def judge(models: Sequence[Judged], temperature: float, provenance: str = "", frames: int = 1) -> Verdict:
    """Say which model to use, whether it is good enough for dynamics, and what to do next.

    The best model has the smallest product of energy and force errors (RMSE; of energies alone where forces
    were not compared). Energies count per atom against kT, forces against the root mean square of the
    reference forces.

    Parameters
    ----------
    temperature : float, K
        Of the dynamics that are meant.
    provenance : str
        Where the test structures come from, as in "drawn by chance".
    frames : int
        Test structures that follow each other in a trajectory, which are as good as one.

    Raises
    ------
    InputError
        If there is no model.
    """
    if not models:
        raise InputError("verdict: expected at least one model, got none")
    best = min(models, key=_score)
    tested = [*_energies(best.total, temperature), *_forces(best.total), *_outliers(best.total)]
    grade = GRADES[max(GRADES.index(s.grade) for s in tested if s.grade)]
    limits = " and ".join(s.about for s in tested if s.grade == grade and grade != "good")
    degree = {
        "good": f"good enough for dynamics at {temperature:g} K",
        "fair": f"usable for dynamics at {temperature:g} K with care ({limits})",
        "poor": f"not good enough for dynamics at {temperature:g} K ({limits})",
    }[grade]
    statements = (
        *_choice(models, best),
        *tested,
        *_stress(best.total),
        *_sigma(best.total),
        *_outside(best.total),
        *_test_set(best.total, provenance, frames),
        *_next(models, best, grade),
    )
    number = _independent(best.total, frames)
    if relative_error_of_rmse(number) > UNCERTAIN:
        degree += f", as far as {_counted(number, frames)} can tell"
    return Verdict(best.name, temperature, grade, f"Verdict: use {best.name}; {degree}.", statements)


def _score(model: Judged) -> float:
    """Return the product of the energy error per atom and the force error, where both are known."""
    force = model.total.get("force_component_rmse")
    energy = float(model.total["energy_rmse_per_atom"])
    return energy if force is None else energy * float(force)


def _error(metrics: Mapping[str, Any]) -> float:
    """Return the one error that compares kinds and models: of forces, or of energies without them."""
    force = metrics.get("force_component_rmse")
    return float(metrics["energy_rmse_per_atom"] if force is None else force)


def _graded(value: float, limits: tuple[float, float]) -> Grade:
    return GRADES[sum(value > limit for limit in limits)]


def _choice(models: Sequence[Judged], best: Judged) -> list[Statement]:
    """Name models that are as good, and those that are better in one of the two."""
    near = [m.name for m in models if m is not best and _score(m) <= NEAR**2 * _score(best)]
    said = [f"as good within the measurement: {', '.join(near)}"] if near else []
    for key, what in (("energy_rmse_per_atom", "energies"), ("force_component_rmse", "forces")):
        known = [m for m in models if m.total.get(key) is not None]
        first = min(known, key=lambda m: m.total[key], default=best)
        if first is not best and first.name not in near:
            said.append(f"{first.name} has the better {what} (RMSE)")
    return [Statement("models", "; ".join(said))] if said else []


def _energies(total: Mapping[str, Any], temperature: float) -> list[Statement]:
    error, thermal = float(total["energy_rmse_per_atom"]), BOLTZMANN * temperature
    grade = _graded(error / thermal, ENERGY)
    text = (
        f"{grade}: {rounded(error * MEV_PER_EV, 2)} meV per atom (RMSE), {_percent(error / thermal)} of "
        f"kT, which is {rounded(thermal * MEV_PER_EV)} meV at {temperature:g} K "
        f"(good up to {_percent(ENERGY[0])})"
    )
    return [Statement("energies", text, grade)]


def _forces(total: Mapping[str, Any]) -> list[Statement]:
    error, size = total.get("force_component_rmse"), total.get("force_component_rms_reference")
    if error is None:
        lone = total.get("n_lone")
        why = f"{lone} of one atom, on which forces are zero by symmetry" if lone else "they have none"
        return [Statement("forces", f"not tested by the test structures: {why}", "fair")]
    if not size:
        return []
    grade = _graded(error / size, FORCE)
    text = (
        f"{grade}: {rounded(error, 2)} eV/Å per component (RMSE), {_percent(error / size)} of the rms force "
        f"{rounded(size)} eV/Å (good up to {_percent(FORCE[0])})"
    )
    return [Statement("forces", text, grade)]


def _outliers(total: Mapping[str, Any]) -> list[Statement]:
    number, of = total.get("force_outliers"), total.get("n_atoms")
    if number is None or not of:
        return []
    grade = _graded(number / of, OUTLIERS)
    share = f", {_percent(number / of)}," if number else ""
    return [
        Statement(
            "outliers",
            f"{grade}: {number} of {of} atoms{share} have a force wrong by more than 1 eV/Å in size",
            grade,
        )
    ]


def _stress(total: Mapping[str, Any]) -> list[Statement]:
    """Tell the error of the stress and what it means for volumes; no grade, as not all dynamics need it."""
    error, pressure = total.get("stress_rmse_gpa"), total.get("pressure_rmse_gpa")
    if error is None or pressure is None:
        return []
    text = (
        f"{rounded(error, 2)} GPa per component, pressure {rounded(pressure, 2)} GPa (RMSE): volumes to "
        f"{_percent(pressure / STIFF)} where the bulk modulus is {STIFF:g} GPa"
    )
    return [Statement("stress", text)]


def _sigma(total: Mapping[str, Any]) -> list[Statement]:
    covered, spread = total.get("coverage_95"), total.get("z_rms")
    if covered is None or spread is None:
        text = "the model does not say where it is wrong (a single network, or σ was not asked for)"
        return [Statement("sigma", text)]
    number = total["n_structures"]
    chance = (COVERAGE[0] * (1.0 - COVERAGE[0]) / number) ** 0.5  # one standard deviation of a share
    grade = GRADES[sum(covered < limit - chance for limit in COVERAGE)]
    within, expected = round(covered * number), round(WIDE * number)
    text = f"{grade}: {within} of {number} errors lie within ±2σ, where {expected} should"
    if grade != "good" and spread > 1.0:
        text += f"; σ is too small, take {rounded(spread, 2)} times as much"
    elif spread < 0.5:
        text += f"; σ is cautious, errors are about {rounded(spread, 2)} of it"
    return [Statement("sigma", text, grade)]


def _outside(total: Mapping[str, Any]) -> list[Statement]:
    """Count the structures outside the training data, by the measure that the model has."""
    for key, said in (
        ("n_outside_domain", "lie outside the training data"),
        ("n_beyond_training", "have an atom far outside the training data"),
    ):
        if (number := total.get(key)) is not None:
            of = total["n_structures"]
            grade = _graded(number / of, OUTSIDE)
            share = f", {_percent(number / of)}," if number else ""
            return [Statement("domain", f"{grade}: {number} of {of} test structures{share} {said}", grade)]
    return []


def relative_error_of_rmse(number: int) -> float:
    """Return the standard error of the RMSE of so many errors, as a part of it.

    It is ½ √((κ − 1)/N) with their kurtosis κ: 3 were they normal, 6 with the longer tails of a Laplace
    distribution, which errors of potentials have; few errors do not tell their own.

    Examples
    --------
    >>> relative_error_of_rmse(20)
    0.25
    """
    return 0.5 * ((KURTOSIS - 1.0) / number) ** 0.5


def _independent(total: Mapping[str, Any], frames: int) -> int:
    return max(1, round(total["n_structures"] / frames))


def _counted(number: int, frames: int) -> str:
    plural = "" if number == 1 else "s"
    return f"{number} test structure{plural}" if frames == 1 else f"{number} block{plural} of a trajectory"


def _test_set(total: Mapping[str, Any], provenance: str, frames: int) -> list[Statement]:
    of, number = total["n_structures"], _independent(total, frames)
    wide = ""
    if number < MANY:
        few = "so few" if frames == 1 else f"{_counted(number, frames)}, which"
        wide = f"; {few} give errors to about ±{_percent(relative_error_of_rmse(number))}"
    lead = f"{of} structures{', ' if provenance else ''}{provenance}{wide}"
    where = "hotter, denser, other molecules" + (", later in time" if frames > 1 else "")
    return [Statement("test set", f"{lead}; elsewhere ({where}) errors grow")]


def _next(models: Sequence[Judged], best: Judged, grade: Grade) -> list[Statement]:
    """Say what to do next: the labels, the kinds that lack structures, what is outside, another mode, σ."""
    if contradiction := _contradiction(best.total):
        return [Statement("next", contradiction)]
    said = []
    tested = best.total.get("force_component_rmse") is not None
    weak = [
        (name, _error(part) / _error(best.total))
        for name, part in best.parts.items()
        if part["n_structures"] >= FEW
        and _error(best.total) > 0
        and tested == (part.get("force_component_rmse") is not None)
    ]
    for name, ratio in sorted(weak, key=lambda item: -item[1])[:2]:
        if ratio > WEAK:
            train = best.n_training.get(name)
            has = "" if train is None else f"; {train} of them train now"
            said.append(f"more structures like {name} (errors {ratio:.1f} times those of all{has})")
    outside = best.total.get("n_outside_domain") or 0
    if outside > OUTSIDE[0] * best.total["n_structures"]:
        said.append("structures like those outside the training data (`aenet-gpr select` finds such)")
    said += _training(models)
    network = best.mode not in (SURROGATE, None)
    if network and best.total["n_members"] == 1 and best.total.get("coverage_95") is None:
        said.append("n_members: 4, so that the network says where it is wrong")
    if grade != "good" and not said:
        said.append("two to four times as many training structures, which usually halve the errors")
    if not said:
        said.append("run the dynamics, and look at σ on the way")
    return [Statement("next", text) for text in said]


def _contradiction(total: Mapping[str, Any]) -> str:
    """Say that energies do not belong to the forces, where a model has learnt these and not those."""
    energy, force = float(total["energy_rmse_per_atom"]), total.get("force_component_rmse")
    size = total.get("force_component_rms_reference")
    if not force or not size or _graded(force / size, FORCE) != "good" or energy < CONTRADICT * force:
        return ""
    return (
        f"look at the labels: forces are right to {_percent(force / size)}, but energies err by "
        f"{rounded(energy * MEV_PER_EV, 2)} meV per atom, which no potential with such forces does; are "
        "energies those of the whole structure, in eV, of the same calculations as the forces?"
    )


def _training(models: Sequence[Judged]) -> list[str]:
    """Compare networks with the Gaussian process that labels their copies."""
    networks = [m for m in models if m.mode not in (SURROGATE, None)]
    processes = [m for m in models if m.mode == SURROGATE]
    if not networks:
        return []
    network, modes = min(networks, key=_score), {m.mode for m in networks}
    forces = network.total.get("force_component_rmse") is not None
    if "combined" not in modes and forces:
        return ["mode combined, which learns forces and copies together"]
    if not processes:
        return []
    ratio = (_score(network) / max(min(map(_score, processes)), 1e-300)) ** (0.5 if forces else 1.0)
    if ratio > BEHIND and network.mode in ("gpr", "combined", "taylor"):
        return [
            f"more copies (n_copies), more weights or steps: {network.name} has {ratio:.1f} times the errors "
            "of the Gaussian process that labels its copies"
        ]
    if ratio > 1 / BEHIND and network.mode in ("gpr", "combined"):
        return [f"more structures rather than more copies: {network.name} is as good as the Gaussian process"]
    return []


def _percent(share: float) -> str:
    return f"{rounded(100 * share, 2)} %" if share < 1 else f"{100 * share:.0f} %"
