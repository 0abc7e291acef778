"""Variants of a stage from their short notation: common keys, and sweeps over values.

A section maps names to settings. The entry ``defaults`` holds what all share. A name with a key in braces
gives one variant per value of that key, a name with several keys gives all combinations:

    gpr_{displacement}_{n_copies}: {method: gpr, displacement: [0.021, 0.034], n_copies: [4, 16]}

gives ``gpr_0.021_4``, ``gpr_0.021_16``, ``gpr_0.034_4`` and ``gpr_0.034_16``. Keys in groups are written with
dots. In `train_ann` a name may be a pattern: ``gpr_*: {mode: gpr}`` is one training for each augmentation
variant of such a name, called as it is.
"""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from aenet_gpr_cli.errors import ConfigError
from aenet_gpr_cli.text import refuse_bad_name

DEFAULTS = "defaults"
SOURCE = "augmented"
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def expand_variants(section: dict[str, Any], sources: Sequence[str] = ()) -> dict[str, Any]:
    """Write out the short notation of a section.

    Parameters
    ----------
    section : dict
        Name → settings; the settings of ``defaults`` go into every other entry, nested mappings key by key.
    sources : sequence of str
        Names of augmentation variants, which patterns match; empty where there are no patterns.

    Returns
    -------
    dict
        One entry for each variant, in the order of the file.

    Raises
    ------
    ValueError
        If a key in braces has no list of values, a pattern matches nothing, two entries give one name, or a
        name cannot be part of a file name.

    Examples
    --------
    >>> expand_variants({"defaults": {"n_copies": 4}, "gpr_{displacement}": {"displacement": [0.021, 0.03]}})
    {'gpr_0.021': {'n_copies': 4, 'displacement': 0.021}, 'gpr_0.03': {'n_copies': 4, 'displacement': 0.03}}
    >>> expand_variants({"gpr_*": {"mode": "gpr"}}, sources=["gpr_0.021", "taylor"])
    {'gpr_0.021': {'mode': 'gpr', 'augmented': 'gpr_0.021'}}
    """
    defaults = section.get(DEFAULTS) or {}
    variants: dict[str, Any] = {}
    for name, settings in section.items():
        if name == DEFAULTS:
            continue
        for variant, values in _sweep(str(name), _merge(defaults, settings or {}), sources):
            if variant in variants:
                raise ValueError(f"{variant}: two entries give a variant of this name; rename one")
            variants[refuse_bad_name(variant)] = values
    return variants


def place_of(section: dict[str, Any], variant: str, keys: Sequence[str], sources: Sequence[str] = ()) -> str:
    """Return the entry of a section in which a key of a variant is written.

    Parameters
    ----------
    section : dict
        As `expand_variants` takes it, with ``sources``.
    keys : sequence of str
        That lead to the key.

    Returns
    -------
    str
        That of the variant, or ``defaults``; the variant itself where neither has the key.

    Examples
    --------
    >>> sweep = {"defaults": {"n_copys": 4}, "gpr_{displacement}": {"displacement": [0.021, 0.03]}}
    >>> place_of(sweep, "gpr_0.021", ["n_copys"]), place_of(sweep, "gpr_0.03", ["displacement"])
    ('defaults', 'gpr_{displacement}')
    """
    defaults = section.get(DEFAULTS) or {}
    for entry, settings in section.items():
        if entry == DEFAULTS or not keys:
            continue
        if variant in dict(_sweep(str(entry), _merge(defaults, settings or {}), sources)):
            written = [name for name in (entry, DEFAULTS) if _has(section.get(name), keys)]
            return str(written[0]) if written else variant
    return variant


def _has(settings: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        if isinstance(settings, list):
            return True  # positions of a list stand where it does
        if not isinstance(settings, dict) or key not in settings:
            return False
        settings = settings[key]
    return True


def choose_variant(case: dict[str, Any], section: str, variant: str | None, source: str) -> dict[str, Any]:
    """Return the keys of one variant of a section.

    Parameters
    ----------
    case : dict
        A whole workflow.
    section : str
        One that maps names to settings.
    variant : str or None
        Its name; may be left out where there is one only.
    source : str
        Named in messages.

    Returns
    -------
    dict
        Without the key that names the copies of a training: the command line does.

    Raises
    ------
    ConfigError
        If there is no such variant, or several and none is named.
    """
    try:
        copies = list(expand_variants(case.get("augment") or {}))
        variants = expand_variants(case.get(section) or {}, copies)
    except ValueError as error:
        raise ConfigError(f"{source}: {section}.{error}") from error
    if variant is None and len(variants) == 1:
        variant = next(iter(variants))
    if variant not in variants:
        got = f", got {variant!r}" if variant else ""
        raise ConfigError(
            f"{source}: {section} has the variants {', '.join(variants)}; choose one with --variant{got}"
        )
    return {key: value for key, value in variants[variant].items() if key != SOURCE}


def _sweep(name: str, settings: Any, sources: Sequence[str]) -> Iterable[tuple[str, Any]]:
    if "*" in name:
        matches = [source for source in sources if fnmatch.fnmatchcase(source, name)]
        if not matches:
            known = ", ".join(sources) or "none"
            raise ValueError(f"{name}: expected a pattern that augmentation variants match; known: {known}")
        return [(source, _merge(settings, {SOURCE: source})) for source in matches]
    keys = list(dict.fromkeys(PLACEHOLDER.findall(name)))
    if not keys:
        return [(name, settings)]
    values = [_values(name, settings, key) for key in keys]
    return [_variant(name, settings, dict(zip(keys, c, strict=True))) for c in itertools.product(*values)]


def _values(name: str, settings: Any, key: str) -> list[Any]:
    value = settings
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, list) or not value:
        raise ValueError(
            f"{name}: expected a list of values of {key!r}, whose name stands in braces, got {value!r}"
        )
    return value


def _variant(name: str, settings: Any, chosen: dict[str, Any]) -> tuple[str, Any]:
    for key, value in chosen.items():
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        settings = _merge(settings, nested)
    return PLACEHOLDER.sub(lambda match: _text(chosen[match[1]]), name), settings


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _merge(base: Any, top: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(top, dict)):
        return top
    return {
        key: _merge(base[key], top[key]) if key in base and key in top else top.get(key, base.get(key))
        for key in {**base, **top}
    }
