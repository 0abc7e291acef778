"""Elements of an XYZ file: symbols as they are written, and those in capitals that have two meanings."""

from __future__ import annotations

import logging

import numpy as np

from aenet_gpr_cli.errors import InputError

log = logging.getLogger(__name__)

# Names of atoms in proteins: an element, and a Greek letter for its place (CA: carbon alpha).
_PLACES = "ABGDEZ"
_ISOTOPES = {"D": "H", "T": "H"}
_GHOSTS = {"X", "XX", "BQ", "GH", "Q", "DA", "VAC"}


class Symbols:
    """Elements of the atoms of one file.

    ``CA`` is calcium only where other symbols of the file show that it writes two-letter symbols in capitals
    (``LI``, ``ZN``, ``CL``, which cannot be the name of an atom in a protein).
    """

    def __init__(self, where: str) -> None:
        self._where, self._capitals, self._ambiguous = where, set[str](), dict[str, str]()
        self._known: dict[str, str] = {}
        self._isotopes = set[str]()

    def of_tokens(self, tokens: object, where: str) -> tuple[str, ...]:
        """Return the symbols of a column of text.

        Raises
        ------
        InputError
            If one is no element.
        """
        return tuple([self._known.get(t) or self._symbol(t, where) for t in tokens])  # type: ignore[attr-defined]

    def of_numbers(self, numbers: object, where: str) -> tuple[str, ...]:
        """Return the symbols of a column of atomic numbers.

        Raises
        ------
        InputError
            If one is no element.
        """
        from ase.data import chemical_symbols

        values = np.ravel(np.asarray(numbers, float))
        if (
            not (values == np.rint(values)).all()
            or not ((values > 0) & (values < len(chemical_symbols))).all()
        ):
            raise InputError(f"{where}: expected atomic numbers in the column Z, got something else")
        return tuple(chemical_symbols[int(number)] for number in values)

    def finish(self) -> None:
        """Say what capitals were read as, or refuse them.

        Raises
        ------
        InputError
            If they have two meanings.
        """
        if self._ambiguous and not self._capitals:
            token, where = next(iter(self._ambiguous.items()))
            element = token.capitalize()
            raise InputError(
                f"{where}: expected an element symbol such as {element} or {token[0]}, got {token!a}: "
                f"{element} in capitals, or the name of an atom {token[0]} in a protein; write the element"
            )
        if self._isotopes:
            read = ", ".join(f"{t} as {_ISOTOPES[t]}" for t in sorted(self._isotopes))
            log.warning("%s: isotopes: read %s, whose energies are the same", self._where, read)
        if self._ambiguous or self._capitals:
            read = ", ".join(f"{t} as {t.capitalize()}" for t in sorted({*self._ambiguous, *self._capitals}))
            log.warning("%s: element symbols in capitals: read %s", self._where, read)

    def _symbol(self, token: str, where: str) -> str:
        from ase.data import atomic_numbers, chemical_symbols

        if token.isascii() and token.isdecimal() and 0 < int(token[:4]) < len(chemical_symbols):
            symbol = chemical_symbols[int(token[:4])]
        else:
            symbol = _ISOTOPES.get(token, token.capitalize())
            if token in _ISOTOPES:
                self._isotopes.add(token)
        if symbol == "X" or symbol not in atomic_numbers:
            ghost = token.upper() in _GHOSTS or token.endswith(("-Bq", ":"))
            hint = "; leave ghost and dummy atoms out" if ghost else ""
            raise InputError(f"{where}: expected atoms of known elements, got {token[:20]!a}{hint}")
        if len(token) == 2 and token.isupper():
            if token[1] in _PLACES and token[0] in "CHNOS":
                self._ambiguous.setdefault(token, where)
            else:
                self._capitals.add(token)
        self._known[token] = symbol
        return symbol
