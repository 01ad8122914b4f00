"""Writing to stdout and stderr: the only place of the package that prints.

A training run of hours must not end because its progress cannot be shown. So nothing here raises:
a stream that is None (pythonw), closed, full, without flush or isatty, or of an encoding that has
no box-drawing characters gets what it can take, and the rest is left out.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

_PLAIN = str.maketrans("┏┳┓┡╇┩├┼┤└┴┘━─┃│", "++++++++++++=-||")


def write(text: str, to: str = "stdout", flush: bool = True) -> None:
    """Writes to sys.stdout, or to="stderr", as much as that stream takes."""
    stream: Any = getattr(sys, to, None)
    with contextlib.suppress(Exception):
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(encodable(text, stream.encoding))
        if flush:
            stream.flush()


def encodable(text: str, encoding: str) -> str:
    """The text in what the encoding has: boxes of ASCII, other characters as escapes."""
    return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)


def encodes(text: str) -> bool:
    """Whether stdout can write the text as it is."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError, TypeError):
        return False
    return True


def redraws(to: str = "stdout") -> bool:
    """Whether the stream is a terminal on which a line can be written over."""
    try:
        return bool(getattr(sys, to).isatty()) and os.environ.get("TERM") != "dumb"
    except Exception:
        return False


def columns(to: str = "stdout") -> int:
    """The terminal's width: COLUMNS if it is set, else as the terminal says; 80 if neither does.

    Asked for at every redraw: the user may drag the window's edge while a model trains.
    """
    try:
        width = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        width = 0
    if width <= 0:
        try:
            width = os.get_terminal_size(getattr(sys, to).fileno()).columns
        except Exception:
            width = 0
    return width if width > 0 else 80


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def shell() -> Any:
    """The IPython shell of a notebook's kernel, if what is printed goes to the notebook; else None.

    Not where stdout was redirected, to a file or by %%capture: there, text is what is wanted.
    """
    if not type(sys.stdout).__module__.startswith("ipykernel."):
        return None
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython() if get_ipython is not None else None
