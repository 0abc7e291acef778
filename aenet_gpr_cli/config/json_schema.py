"""What the keys mean, from the text below each of them; the JSON Schema of a configuration, for editors."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import fields
from functools import cache
from typing import Any, get_args, get_type_hints

from aenet_gpr_cli.config.problems import group_of
from aenet_gpr_cli.settings import is_group


@cache
def descriptions(group: type) -> dict[str, str]:
    """Return what each key of a group means, also of inherited ones.

    Parameters
    ----------
    group : type
        A group of keys (`settings`).

    Returns
    -------
    dict of str to str
        In the order of the keys; empty where a key has no text below it.
    """
    found: dict[str, str] = {}
    for cls in reversed(group.__mro__):
        if is_group(cls):
            found |= _texts(cls)
    return {field.name: found.get(field.name, "") for field in fields(group)}


def json_schema(model: type) -> dict[str, Any]:
    """Return the JSON Schema of a configuration.

    Parameters
    ----------
    model : type
        A group of keys.
    """
    from pydantic import TypeAdapter

    schema = TypeAdapter(model).json_schema()
    named = {group.__name__: group for group in _groups(model)}
    for title, part in {model.__name__: schema, **schema.get("$defs", {})}.items():
        for key, text in descriptions(named[title]).items():
            part["properties"][key]["description"] = text
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _groups(annotation: Any) -> set[type]:
    """Return all groups that a type mentions, nested ones included."""
    if group_of(annotation) is None:
        return set()
    if not is_group(annotation):
        return set().union(*map(_groups, get_args(annotation)))
    return {annotation}.union(*map(_groups, get_type_hints(annotation).values()))


def _texts(cls: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)  # the source of a class
    return {
        key.target.id: " ".join(text.value.value.split())
        for key, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(key, ast.AnnAssign)
        and isinstance(key.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
