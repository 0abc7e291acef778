"""ASE calculators by name, as a configuration gives them.

Only classes that follow ASE's interface are made; nothing else is ever called.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aenet_gpr_cli.errors import ConfigError

KNOWN = {"tblite": "tblite.ase.TBLite"}  # calculators that live outside ASE


def calculator_class(name: str) -> type:
    """Return the class of an ASE calculator.

    Parameters
    ----------
    name : str
        ASE's name of a calculator, or the dotted path of a class.

    Raises
    ------
    ConfigError
        If there is no such class, or it is no ASE calculator.
    """
    from ase.calculators.abc import GetPropertiesMixin
    from ase.calculators.calculator import get_calculator_class
    from ase.calculators.calculator import names as known_to_ase

    path = KNOWN.get(name, name)
    try:
        if "." in path:
            module, _, attribute = path.rpartition(".")
            found = getattr(importlib.import_module(module), attribute)
        elif name in known_to_ase:
            found = get_calculator_class(name)
        else:
            raise ConfigError(
                f"calculator.name: expected a calculator of ASE ({', '.join(sorted(known_to_ase)[:8])}, …), "
                f"{', '.join(KNOWN)}, stored, or package.module.Class, got {name!r}"
            )
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"calculator.name: {name!r} cannot be imported ({error}); is it installed?"
        ) from error
    if not (isinstance(found, type) and issubclass(found, GetPropertiesMixin)):
        raise ConfigError(f"calculator.name: expected the class of an ASE calculator, got {found!r}")
    return found


def make_calculator(name: str, parameters: Mapping[str, Any], folder: Path) -> Any:
    """Make a fresh calculator.

    Parameters
    ----------
    name : str
        See `calculator_class`.
    parameters : mapping
        Its keywords.
    folder : Path
        Where a calculator that runs another program keeps its files.

    Raises
    ------
    ConfigError
        If the keywords do not fit.
    """
    from ase.calculators.calculator import FileIOCalculator
    from ase.calculators.genericfileio import GenericFileIOCalculator

    found = calculator_class(name)
    keywords = dict(parameters)
    if issubclass(found, FileIOCalculator | GenericFileIOCalculator):
        folder.mkdir(parents=True, exist_ok=True)
        keywords.setdefault("directory", str(folder))
    if name == "tblite":
        keywords.setdefault("verbosity", 0)
    try:
        return found(**keywords)
    except TypeError as error:
        raise ConfigError(f"calculator.parameters: {name} does not take them ({error})") from error
