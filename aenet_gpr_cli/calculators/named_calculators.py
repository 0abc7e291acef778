"""ASE calculators by name, as a configuration gives them.

Importing a module runs its code, and a workflow file may come from anybody: only ASE's own calculators are
imported, and those that the user lists in the environment variable AENET_GPR_CALCULATORS. Only classes that
follow ASE's interface are made.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aenet_gpr_cli.errors import ConfigError

KNOWN = {"tblite": "tblite.ase.TBLite"}  # calculators that live outside ASE
OWN = "ase.calculators."
ALLOWED = "AENET_GPR_CALCULATORS"  # environment: dotted paths of classes, between commas or colons
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def calculator_class(name: str | None, key: str = "calculator.name", others: Sequence[str] = ()) -> type:
    """Return the class of an ASE calculator.

    Parameters
    ----------
    name : str or None
        ASE's name of a calculator, or the dotted path of a class of ASE or of AENET_GPR_CALCULATORS; None is
        refused, as only the user knows the method of the data.
    key : str
        Where it was given, for messages.
    others : sequence of str
        What else is possible there.

    Raises
    ------
    ConfigError
        If there is no such class, it may not be imported, or it is no ASE calculator.
    """
    from ase.calculators.abc import GetPropertiesMixin
    from ase.calculators.calculator import get_calculator_class
    from ase.calculators.calculator import names as known_to_ase

    if name is None:
        known, parameters = ", ".join((*KNOWN, *others, "emt", "vasp")), key.replace("name", "parameters")
        raise ConfigError(
            f"{key}: expected the calculator that the training data were made with ({known}, …), got none; "
            f"set it, for example --set {key}=tblite, with its method in {parameters}: "
            "energies of another method do not fit the data"
        )
    path = KNOWN.get(name, name)
    try:
        if "." in path:
            if name not in KNOWN:
                _refuse_stranger(path, key)
            module, _, attribute = path.rpartition(".")
            found = getattr(importlib.import_module(module), attribute)
        elif name in known_to_ase:
            found = get_calculator_class(name)
        else:
            raise ConfigError(
                f"{key}: expected a calculator of ASE ({', '.join(sorted(known_to_ase)[:8])}, …), "
                f"{', '.join((*KNOWN, *others))}, or package.module.Class, got {name!r}"
            )
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}: {name!r} cannot be imported ({error}); is it installed?") from error
    if not (isinstance(found, type) and issubclass(found, GetPropertiesMixin)):
        raise ConfigError(f"{key}: expected the class of an ASE calculator, got {found!r}")
    return found


def _refuse_stranger(path: str, key: str) -> None:
    """Refuse to import what is neither ASE's own nor listed by the user, before anything of it runs."""
    listed = re.split(r"[,:\s]+", os.environ.get(ALLOWED, ""))
    if not _DOTTED.fullmatch(path) or not (path.startswith(OWN) or path in listed):
        raise ConfigError(
            f"{key}: {path!r} is not one of ASE's own calculators, and importing it runs its "
            f"code; if you trust it, list it in the environment variable {ALLOWED}, for example "
            f"export {ALLOWED}=mace.calculators.MACECalculator"
        )


def unknown_parameters(name: str | None, parameters: Mapping[str, Any]) -> list[str]:
    """Return keywords that a calculator does not list among its own: most of ASE's ignore them in silence.

    Those that run another program take any keyword, so nothing is said of them.
    """
    from ase.calculators.calculator import Calculator, FileIOCalculator

    found = calculator_class(name)
    listed = dict(getattr(found, "default_parameters", {}))
    if not listed or not issubclass(found, Calculator) or issubclass(found, FileIOCalculator):
        return []
    known = {*listed, *inspect.signature(found).parameters, *inspect.signature(Calculator).parameters}
    return sorted(set(parameters) - known)


def make_calculator(name: str | None, parameters: Mapping[str, Any], folder: Path) -> Any:
    """Make a fresh calculator.

    Parameters
    ----------
    name : str or None
        See `calculator_class`.
    parameters : mapping
        Its keywords.
    folder : Path
        Where a calculator that runs another program keeps its files.

    Raises
    ------
    ConfigError
        If the keywords do not fit, or its program is not configured.
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
    except Exception as error:  # whatever a calculator of others does to say that its program is not there
        raise ConfigError(
            f"calculator: {name} cannot be set up ({type(error).__name__}: {error}); expected its program "
            "to be installed and configured for ASE, and parameters that it knows"
        ) from error
