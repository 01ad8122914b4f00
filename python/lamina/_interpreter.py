"""The first import of the package: says at once where it cannot work, and loads the core.

In a sub-interpreter the core's module would wait for ever for a lock that its own thread holds, or
fail for a reason that names neither, depending on Python's version.
"""

from __future__ import annotations

import importlib


def _is_main() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # since Python 3.13, and before
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True  # built without sub-interpreters


if not _is_main():
    raise ImportError(
        "lamina cannot be imported in a sub-interpreter: like NumPy it keeps state of which there "
        "is one a process. Import it in the main interpreter, and use threads or processes; with "
        "mod_wsgi set WSGIApplicationGroup %{GLOBAL}"
    )

# Ctrl-C stops an import as KeyboardInterrupt, but C code on the way makes an ImportError of it:
# pybind11 keeps it as the cause, NumPy may lose it where it imports datetime.
import datetime  # noqa: E402, F401

try:
    import numpy  # noqa: F401

    from . import _core  # noqa: F401
except ImportError as error:
    reason: BaseException | None = error
    while reason is not None and not isinstance(reason, KeyboardInterrupt):
        reason = reason.__cause__ or reason.__context__
    if reason is not None:
        raise reason from None
    raise
