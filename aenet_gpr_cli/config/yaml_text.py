"""Strict YAML, and the settings of a command line on top of it.

The YAML is read by a safe loader made strict: duplicate keys are refused, `1e-6` is a number, and only
`true` and `false` are booleans (so `No` stays nobelium).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from aenet_gpr_cli.errors import ConfigError


class _StrictLoader(yaml.SafeLoader):
    """Safe loader with YAML 1.2 scalars and without duplicate keys."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise ConfigError(
                f"line {line}: key {key!r} is given twice (first in line {seen[key]}); keep one"
            )
        seen[key] = key_node.start_mark.line + 1
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


def _integer(loader: _StrictLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))  # decimal: YAML 1.1 would read 012 as octal


def _text(loader: _StrictLoader, node: yaml.ScalarNode) -> str:
    text: str = loader.construct_scalar(node)
    if "\0" in text:
        line = node.start_mark.line + 1
        raise ConfigError(f"line {line}: expected text that a file can hold, got the character NUL in it")
    return text


def _binary(_: _StrictLoader, node: yaml.Node) -> None:
    raise ConfigError(f"line {node.start_mark.line + 1}: expected text, got !!binary")


_StrictLoader.add_constructor("tag:yaml.org,2002:str", _text)
_StrictLoader.add_constructor("tag:yaml.org,2002:binary", _binary)
_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_StrictLoader.add_constructor("tag:yaml.org,2002:int", _integer)
_StrictLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("merge", r"^(?:<<)$", "<"),
):
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), [*_first, ""] if _tag == "null" else list(_first)
    )


def parse_yaml(text: str, source: str) -> Any:
    """Read YAML text strictly.

    Parameters
    ----------
    source : str
        Named in messages.

    Returns
    -------
    object
        Mappings, lists and scalars.

    Raises
    ------
    ConfigError
        If the text is not YAML, or a key is given twice.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)  # a subclass of SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}:{mark.line + 1}" if mark else source
        raise ConfigError(f"{where}: not valid YAML: {getattr(error, 'problem', error)}") from error
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    except (RecursionError, ValueError, TypeError) as error:
        raise ConfigError(f"{source}: not a usable configuration: {error}") from error


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises
    ------
    ConfigError
        If the file cannot be read or holds something else.
    """
    if path.exists() and not path.is_file():  # a pipe or a device may never end
        raise ConfigError(f"{path}: expected a file of keys and values, got a folder, pipe or device")
    if not path.exists():
        raise ConfigError(f"{path}: no such file; expected keys and values as `aenet-gpr init` writes them")
    try:
        data = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(data).__name__}")
    return data


def apply_overrides(data: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return ``data`` with ``key.sub=value`` settings of the command line; they win.

    Parameters
    ----------
    overrides : iterable of str
        Values are read as YAML.

    Raises
    ------
    ConfigError
        If a setting has no ``=`` or goes through a value that is no mapping.
    """
    result: dict[str, Any] = dict(data)
    for item in overrides:
        path, equals, text = item.partition("=")
        if not equals or not path.strip():
            raise ConfigError(f"--set {item}: expected key=value, for example --set displacement=0.021")
        keys = path.strip().split(".")
        level = result
        for key in keys[:-1]:
            child = level.get(key)
            if child is not None and not isinstance(child, dict):
                raise ConfigError(f"--set {item}: {key} is a value, not a group of keys")
            level[key] = dict(child or {})
            level = level[key]
        level[keys[-1]] = parse_yaml(text, f"--set {item[:60]}")
    return result
