"""The annotated configurations: every key with its default and meaning, written from the models themselves.

These renew the files in the repository::

    python -m aenet_gpr_cli.config.annotate > configs/annotated.yaml
    python -m aenet_gpr_cli.config.annotate active > configs/annotated_active.yaml
"""

from __future__ import annotations

import json
import sys
import textwrap
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from aenet_gpr_cli.config.active import ActiveConfig
from aenet_gpr_cli.config.workflow import WorkflowConfig

HEADER = """\
# Every key of a workflow with its default. Required keys and those of variants are shown with an example.
# Give only what differs. A stage command takes the keys of its own section, or a whole workflow:
#   aenet-gpr fit-gpr split.h5 -c fit_gpr.yaml      (length_scale: 1.0)
#   aenet-gpr fit-gpr split.h5 -c workflow.yaml     (the section fit_gpr)
#   aenet-gpr fit-gpr split.h5 --set length_scale=1.0
# Paths are relative to the file that names them; published:NAME/FILE is fetched data.
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
    """Return the annotated workflow as YAML text.

    Returns
    -------
    str
    """
    return HEADER + "\n" + "\n".join(_lines(WorkflowConfig, 0, top=True)) + "\n"


def annotated_active() -> str:
    """Return the annotated configuration of active learning as YAML text, without keys that workflows have.

    Returns
    -------
    str
    """
    shared = ActiveConfig.model_fields.keys() & WorkflowConfig.model_fields.keys()
    lines: list[str] = []
    for key, field in ActiveConfig.model_fields.items():
        one_line = key in shared or _nested(field)[0] is None
        lines += _scalar("", key, field) if one_line else ["", *_section(key, field, 0)]
    return ACTIVE_HEADER + "\n" + "\n".join(lines) + "\n"


def _lines(model: type[BaseModel], indent: int, top: bool = False) -> list[str]:
    lines: list[str] = []
    for key, field in model.model_fields.items():
        if _nested(field)[0] is None or key in REPEATED:
            lines += _scalar(" " * indent, key, field)
            continue
        if top:
            lines.append("")
        lines += _section(key, field, indent)
    return lines


def _section(key: str, field: FieldInfo, indent: int) -> list[str]:
    nested, is_variants = _nested(field)
    assert nested is not None  # the caller has looked
    pad = " " * indent
    lines = textwrap.wrap(
        f"{field.description}", WIDTH, initial_indent=f"{pad}# ", subsequent_indent=f"{pad}# "
    )
    lines.append(f"{pad}{key}:")
    if is_variants:
        lines.append(f"{pad}  {VARIANT_EXAMPLES[key]}:")
    return lines + _lines(nested, indent + (4 if is_variants else 2))


def _scalar(pad: str, key: str, field: FieldInfo) -> list[str]:
    default = field.get_default(call_default_factory=True, validated_data={})
    if field.is_required() or not default:
        default = EXAMPLES.get(key, default)
    text = f"{pad}{key}: {_yaml(default)}"
    if len(text) >= COMMENT_COLUMN:
        words = textwrap.wrap(field.description or "", WIDTH - len(pad) - 2)
        return [*(f"{pad}# {word}" for word in words), text]
    words = textwrap.wrap(field.description or "", WIDTH - COMMENT_COLUMN - 2)
    first, rest = words[0], words[1:]
    return [f"{text:<{COMMENT_COLUMN}}# {first}", *(f"{'':<{COMMENT_COLUMN}}# {word}" for word in rest)]


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, BaseModel):
        return (
            "{" + ", ".join(f"{k}: {_yaml(v)}" for k, v in value.model_dump(exclude_unset=True).items()) + "}"
        )
    return json.dumps(value) if not isinstance(value, str) else value


def _nested(field: FieldInfo) -> tuple[type[BaseModel] | None, bool]:
    """Return the model behind a field, and whether the field maps names of variants to it."""
    annotation = field.annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    models = [a for a in get_args(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
    if not models or getattr(annotation, "__origin__", None) is list:
        return None, False
    return models[0], getattr(annotation, "__origin__", None) is dict


if __name__ == "__main__":
    sys.stdout.write(annotated_active() if sys.argv[1:] == ["active"] else annotated())
