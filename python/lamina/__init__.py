"""Fast deep learning on the CPU: C++ kernels under a Keras-shaped Sequential API.

    import lamina as la

    model = la.Sequential([
        la.layers.Flatten(input_shape=(28, 28)),
        la.layers.Dense(128, activation="relu"),
        la.layers.Dropout(0.2),
        la.layers.Dense(10, activation="softmax"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x / 255.0, y, epochs=5)

`import lamina as keras` runs Keras scripts that keep to what is here. `lamina.kernels` has each
kernel alone, on NumPy arrays; `lamina.reference` the same in plain NumPy; `lamina.datasets` data.
These three, and `lamina.saving`, are imported when they are first used.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from . import (
    _interpreter,  # noqa: F401  (before all that would not work)
    _threadpoolctl,
)

# isort: split
from . import (
    activations,
    backend,
    callbacks,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    utils,
)
from ._core import __version__, get_num_threads, set_num_threads
from ._hints import MissingModules, missing_name
from .layers import Input, Layer
from .models import Sequential
from .precision import get_float32_matmul_precision, set_float32_matmul_precision

__all__ = [
    "Input",
    "Layer",
    "Sequential",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "datasets",
    "get_float32_matmul_precision",
    "get_num_threads",
    "initializers",
    "kernels",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "reference",
    "saving",
    "set_float32_matmul_precision",
    "set_num_threads",
    "show_config",
    "utils",
]

if TYPE_CHECKING:
    from . import datasets, kernels, reference, saving

_threadpoolctl.install()

_LAZY = ("datasets", "kernels", "reference", "saving")


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """What was built, which instruction set was picked, how products multiply, and how many threads
    there are.

    mode: "stdout" prints it, "dicts" returns it.
    """
    from . import _console, _core

    config = _core.show_config()
    if mode == "dicts":
        return config
    if mode != "stdout":
        raise ValueError(f"mode must be 'stdout' or 'dicts', got {mode!r}")
    width = max(map(len, config))
    for name, value in config.items():
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        _console.write(f"{name:{width}}  {text}\n")
    return None


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _LAZY:
            import importlib

            return importlib.import_module(f".{name}", __name__)
        raise missing_name(__name__, name, __all__)

    def __dir__() -> list[str]:
        return sorted(__all__)


sys.meta_path.append(MissingModules)
