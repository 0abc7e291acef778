"""Groups of keys: frozen dataclasses that the numerics take and that a configuration file is checked against.

A key stands once, where it is used: name, type with its bounds, default, and below it what it means::

    @settings
    class Adaptive:
        smallest: PositiveFloat = 0.003
        \"\"\"smallest δ, in Å\"\"\"

`config` reads them from YAML and refuses what does not fit.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Annotated, Any, TypeVar, dataclass_transform

from annotated_types import Ge, Le, Lt

# No key needs more; squares and products of such numbers neither overflow nor vanish.
LARGEST, SMALLEST, MOST = 1e30, 1e-30, 10**9

Number = Annotated[float, Ge(-LARGEST), Le(LARGEST)]
PositiveFloat = Annotated[float, Ge(SMALLEST), Le(LARGEST)]
NonNegativeFloat = Annotated[float, Ge(0), Le(LARGEST)]
PositiveInt = Annotated[int, Ge(1), Le(MOST)]
NonNegativeInt = Annotated[int, Ge(0), Le(MOST)]
Seed = Annotated[int, Ge(0), Lt(2**64)]
Fraction = Annotated[float, Ge(0), Lt(1)]

Group = TypeVar("Group")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def settings(cls: type[Group]) -> type[Group]:
    """Make a class a group of keys: a frozen dataclass with keywords only.

    Unknown keys and infinite numbers are refused where it is read from a file. ``__post_init__`` raises
    `ValueError` for keys that do not fit together; it need not check single values, whose bounds are in their
    types.
    """
    made = dataclass(frozen=True, kw_only=True)(cls)
    made.__pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False}  # type: ignore[attr-defined]
    return made


def is_group(kind: Any) -> bool:
    """Return whether a type is a group of keys."""
    return isinstance(kind, type) and is_dataclass(kind)


def as_json(group: Any) -> dict[str, Any]:
    """Return the keys and values of a group, nested, in the types of JSON.

    Examples
    --------
    >>> @settings
    ... class Copies:
    ...     displacement: PositiveFloat = 0.034
    ...     hidden: tuple[int, ...] = (10, 10)
    >>> as_json(Copies(displacement=0.021))
    {'displacement': 0.021, 'hidden': [10, 10]}
    """
    found: dict[str, Any] = json.loads(json.dumps(asdict(group)))
    return found
