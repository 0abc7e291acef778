"""Text on its way to a terminal, a shell or a file name: what others wrote, and numbers."""

from __future__ import annotations

import unicodedata

LARGEST = 1e7  # that is written without an exponent
MAX_NAME = 100  # characters; file names with a prefix and a suffix stay below the usual limit of 255 bytes
# control characters, invisible ones that turn the direction of writing, halves of pairs, ends of lines
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_SEPARATORS = "/\\"


def visible(text: str, keep: str = "") -> str:
    r"""Return text with control and invisible characters written out, so that it cannot steer a terminal.

    Parameters
    ----------
    keep : str
        Characters that stay as they are, such as ends of lines.

    Examples
    --------
    >>> print(visible("a\x1b[31mb"))
    a\x1b[31mb
    """
    return "".join(c if c in keep or not _is_unseen(c) else ascii(c)[1:-1] for c in text)


def encodable(text: str) -> str:
    r"""Return text with what UTF-8 cannot hold, such as other bytes in the name of a file, written out.

    Examples
    --------
    >>> print(encodable("a\udcff"))
    a\xff
    """
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "backslashreplace")
    return raw.decode("utf-8", "backslashreplace")


def rounded(value: float, digits: int = 3) -> str:
    """Write a number with some significant digits, as people do: large ones without an exponent.

    Examples
    --------
    >>> rounded(263.5, 2), rounded(0.0123456), rounded(1234.5), rounded(2e-7, 2)
    ('260', '0.0123', '1230', '2e-07')
    """
    number = float(f"{value:.{digits}g}")
    return f"{number:.0f}" if 10**digits <= abs(number) < LARGEST else f"{number:.{digits}g}"


def refuse_unseen(value: str, key: str) -> str:
    """Return a value without control characters as it is.

    Parameters
    ----------
    key : str
        Named in the message.

    Raises
    ------
    ValueError
        If there is one; it could end a line of a script.
    """
    if any(map(_is_unseen, value)):
        raise ValueError(f"{key}: expected text without line breaks and control characters, got {value!r}")
    return value


def refuse_bad_name(name: str) -> str:
    """Return a name that may become part of a file name and of a job's name as it is.

    Raises
    ------
    ValueError
        If it is empty or long, begins with a dot or a hyphen, or holds ``/``, a backslash or a control
        character.
    """
    good = 0 < len(name) <= MAX_NAME and name[0] not in ".-" and name == name.strip()
    if not good or any(_is_unseen(c) or c in _SEPARATORS for c in name):
        raise ValueError(
            f"{visible(name[:MAX_NAME])}: expected a name that can be part of a file name: at most "
            f"{MAX_NAME} characters, no / or \\ or control character, no dot, hyphen or space first"
        )
    return name


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN
