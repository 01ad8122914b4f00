"""Makes the limits of threadpoolctl hold for lamina, as for any library that it knows itself.

threadpoolctl finds the core among the libraries of the process and calls two of its functions. It
is not imported for that: the controller is registered when somebody else imports it.
"""

from __future__ import annotations

import sys
from typing import Any

_NAME = "threadpoolctl"


def _register(threadpoolctl: Any) -> None:
    if not hasattr(threadpoolctl, "register"):  # before 3.3
        return

    class LaminaController(threadpoolctl.LibController):  # type: ignore[misc]
        user_api = "openmp"  # so that limits of OpenMP's threads hold for these too
        internal_api = "lamina"
        filename_prefixes = ("_core.",)
        check_symbols = ("lamina_get_num_threads", "lamina_set_num_threads")

        def get_num_threads(self) -> int:
            return int(self.dynlib.lamina_get_num_threads())

        def set_num_threads(self, num_threads: int) -> None:
            self.dynlib.lamina_set_num_threads(num_threads)

        def get_version(self) -> str:
            from ._core import __version__

            return __version__

    threadpoolctl.register(LaminaController)


class _Finder:
    """Stands first among those who look for modules until somebody asks for threadpoolctl."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != _NAME:
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                break
        else:  # not installed; it may be later
            sys.meta_path.insert(0, self)
            return None
        if spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                _register(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def install() -> None:
    if _NAME in sys.modules:
        _register(sys.modules[_NAME])
    else:
        sys.meta_path.insert(0, _Finder())
