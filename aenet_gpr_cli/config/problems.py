"""What is said about a refused key: where, what was expected, what was found, the nearest known key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

from aenet_gpr_cli.settings import SMALLEST, is_group

SHOWN = 60  # characters of a refused value
_NO_INTEGER = ("int_parsing", "int_type")
_NO_NUMBER = ("float_parsing", "float_type")


def explain(model: type, problem: Any, path: Sequence[str]) -> str:
    """Return one line for a problem that pydantic has found in the keys of a group.

    Parameters
    ----------
    path : sequence of str
        Keys, names and positions that lead to it.
    """
    dotted = ".".join(path)
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return unknown_key(dotted, known_keys(model, path[:-1]))
    message = _bound(problem) or problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if problem["type"] == "missing":
        return f"{dotted}: this key is required"
    got = problem.get("input")
    if problem["type"] == "value_error" or isinstance(got, dict | list):
        return f"{dotted}: {message}" if dotted else message
    return f"{dotted}: {message}, got {_short(got)}{_as_fraction(problem)}"


def one_each(problems: Sequence[Any]) -> list[Any]:
    """Return problems found by pydantic; of a value that is neither integer nor number only the latter."""
    numbers = {tuple(path_of(problem)) for problem in problems if problem["type"] in _NO_NUMBER}
    return [p for p in problems if p["type"] not in _NO_INTEGER or tuple(path_of(p)) not in numbers]


def _as_fraction(problem: Any) -> str:
    """Return how a percentage is written, where a number was expected."""
    text = str(problem.get("input")).strip()
    if problem["type"] != "float_parsing" or not re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)? ?%", text):
        return ""
    return f"; {text} is {float(text.rstrip('% ')) / 100:g}"


def path_of(problem: Any) -> list[str]:
    """Return the keys, names and positions that lead to a problem that pydantic has found."""
    return [str(part) for part in problem["loc"] if not _is_type_label(part)]


def _bound(problem: Any) -> str | None:
    """Return what is said about a number out of range, whose bound is written short."""
    for key, words in (("ge", "greater than or equal to"), ("le", "less than or equal to")):
        bound = problem.get("ctx", {}).get(key)
        if bound == SMALLEST:
            return f"input should be greater than 0 (at least {SMALLEST:g})"
        if isinstance(bound, float):
            return f"input should be {words} {bound:g}"
    return None


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def unknown_key(dotted: str, known: Sequence[str]) -> str:
    """Return what is said about a key that a group does not have."""
    near = difflib.get_close_matches(dotted.rpartition(".")[2].replace("-", "_"), known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
    return f"unknown key {dotted!r}; {hint}"


def place_of(model: type, key: str) -> str:
    """Return the dotted path of a key in a group or in those below it, but for variants; empty if not one."""
    if key in known_keys(model):
        return key
    hints = get_type_hints(model, include_extras=True)
    groups = {name: group_of(hint) for name, hint in hints.items() if get_origin(hint) is not dict}
    below = [f"{name}.{found}" for name, group in groups.items() if group and (found := place_of(group, key))]
    return below[0] if len(below) == 1 else ""


def group_of(annotation: Any) -> type | None:
    """Return the group of keys behind a type: itself, of an optional one, or of the values of a mapping."""
    if is_group(annotation):
        found: type = annotation
        return found
    inner = get_args(annotation)[-1:] if get_origin(annotation) is dict else get_args(annotation)
    groups = [group_of(part) for part in inner]
    return next((group for group in groups if group is not None), None)


def known_keys(model: type, path: Iterable[Any] = ()) -> list[str]:
    """Return the keys of a group, or of the one to which a path of keys, names and positions leads."""
    current: Any = model
    for part in path:
        if is_group(current):
            current = get_type_hints(current, include_extras=True).get(str(part))
            continue
        current = group_of(current)  # a name of a mapping, or a position in a list
    group = group_of(current) or model
    return [field.name for field in fields(group)]


def _is_type_label(part: Any) -> bool:
    # pydantic adds the member of a union to the path, for example 'list[constrained-float]'
    return isinstance(part, str) and (part in ("int", "float", "str") or "[" in part or "constrained" in part)
