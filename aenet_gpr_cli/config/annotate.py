"""The annotated configurations: every key with its default and meaning, written from the models themselves.

These renew the files in the repository::

    python -m aenet_gpr_cli.config.annotate > configs/annotated.yaml
    python -m aenet_gpr_cli.config.annotate active > configs/annotated_active.yaml
"""

from __future__ import annotations

import json
import sys
import textwrap
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from aenet_gpr_cli.config.json_schema import descriptions
from aenet_gpr_cli.config.problems import group_of, known_keys
from aenet_gpr_cli.config.stages.active_config import ActiveConfig
from aenet_gpr_cli.config.workflow_config import WorkflowConfig

HEADER = """\
# Every key of a workflow with its default. Required keys and those of variants are shown with an example.
# Give only what differs. A stage command takes the keys of its own section, or a whole workflow:
#   aenet-gpr fit-gpr split.h5 -c fit_gpr.yaml      (length_scale: 1.0)
#   aenet-gpr fit-gpr split.h5 -c workflow.yaml     (the section fit_gpr)
#   aenet-gpr fit-gpr split.h5 --set length_scale=1.0
# Paths are relative to the file that names them; published:NAME/FILE is fetched data.
# What is written goes below the current folder: to ./runs/NAME, or to --workdir.
"""
ACTIVE_HEADER = """\
# Every key of `aenet-gpr active` with its default. These commands take the sections select and label:
#   aenet-gpr select gpr.h5 md_run.extxyz -c select.yaml      (n_select: 20)
#   aenet-gpr select gpr.h5 md_run.extxyz -c active.yaml      (the section select)
# The keys of the other sections are in annotated.yaml.
"""
EXAMPLES: dict[str, Any] = {
    "name": "my_case",
    "inputs": ["my_dft_runs/"],
    "split": {"inputs": ["my_dft_runs/"]},
    "pool": ["md_run.extxyz"],
}
REPEATED = {"compare_gpr"}  # sections whose keys stand elsewhere already
VARIANT_EXAMPLES = {"augment": "gpr", "train_ann": "gpr", "stages": "fit_gpr"}
COMMENT_COLUMN = 44
WIDTH = 110


def annotated() -> str:
    """Return the annotated workflow as YAML text."""
    return HEADER + "\n" + "\n".join(_lines(WorkflowConfig, 0, top=True)) + "\n"


def annotated_active() -> str:
    """Return the annotated file of active learning as YAML text, without keys that workflows have."""
    lines: list[str] = []
    for field in fields(ActiveConfig):
        one_line = field.name in known_keys(WorkflowConfig) or _nested(ActiveConfig, field)[0] is None
        lines += _scalar("", ActiveConfig, field) if one_line else ["", *_section(ActiveConfig, field, 0)]
    return ACTIVE_HEADER + "\n" + "\n".join(lines) + "\n"


def _lines(model: type, indent: int, top: bool = False) -> list[str]:
    lines: list[str] = []
    for field in fields(model):
        if _nested(model, field)[0] is None or field.name in REPEATED:
            lines += _scalar(" " * indent, model, field)
            continue
        if top:
            lines.append("")
        lines += _section(model, field, indent)
    return lines


def _section(model: type, field: Field[Any], indent: int) -> list[str]:
    nested, is_variants = _nested(model, field)
    assert nested is not None  # the caller has looked
    pad, text = " " * indent, descriptions(model)[field.name]
    lines = textwrap.wrap(text, WIDTH, initial_indent=f"{pad}# ", subsequent_indent=f"{pad}# ")
    lines.append(f"{pad}{field.name}:")
    if is_variants:
        lines.append(f"{pad}  {VARIANT_EXAMPLES[field.name]}:")
    return lines + _lines(nested, indent + (4 if is_variants else 2))


def _scalar(pad: str, model: type, field: Field[Any]) -> list[str]:
    default: Any = field.default_factory() if field.default_factory is not MISSING else field.default
    if default is MISSING or default == ():
        default = EXAMPLES.get(field.name, None if default is MISSING else default)
    text = f"{pad}{field.name}: {_yaml(default)}"
    meaning = descriptions(model)[field.name]
    if len(text) >= COMMENT_COLUMN:
        words = textwrap.wrap(meaning, WIDTH - len(pad) - 2)
        return [*(f"{pad}# {word}" for word in words), text]
    words = textwrap.wrap(meaning, WIDTH - COMMENT_COLUMN - 2)
    first, rest = words[0], words[1:]
    return [f"{text:<{COMMENT_COLUMN}}# {first}", *(f"{'':<{COMMENT_COLUMN}}# {word}" for word in rest)]


def _yaml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if is_dataclass(value):
        changed = {k: v for k, v in vars(value).items() if v != getattr(type(value), k, None)}
        return "{" + ", ".join(f"{k}: {_yaml(v)}" for k, v in changed.items()) + "}"
    return json.dumps(value) if not isinstance(value, str) else value


def _nested(model: type, field: Field[Any]) -> tuple[type | None, bool]:
    """Return the group behind a key, and whether the key maps names of variants to it."""
    annotation = get_type_hints(model, include_extras=True)[field.name]
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is tuple:
        return None, False
    return group_of(annotation), get_origin(annotation) is dict


if __name__ == "__main__":
    sys.stdout.write(annotated_active() if sys.argv[1:] == ["active"] else annotated())
