"""Activation functions: as NumPy functions to call, and as names for the layers.

Each takes anything that converts to a float32 array and returns a new float32 array of the same
shape. A layer takes one of these functions, or its name; a function of your own is a layer of its
own (`layers.Layer`), because it needs its gradient too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks
from ._hints import explained, module_hooks
from ._results import Output, output

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import ArrayLike

    from ._types import F32, Function

__all__ = [
    "elu",
    "gelu",
    "get",
    "leaky_relu",
    "linear",
    "log_softmax",
    "relu",
    "serialize",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = module_hooks(__name__, __all__)


def _kernels() -> ModuleType:
    from . import kernels

    return kernels


@np.errstate(all="ignore")
def linear(x: ArrayLike) -> Output:
    """x."""
    return output(np.array(x, np.float32))


@explained
def relu(x: ArrayLike) -> Output:
    """max(x, 0)."""
    return output(_kernels().relu_forward(x))


@explained
def leaky_relu(x: ArrayLike, negative_slope: float = 0.2) -> Output:
    """x where x > 0, else negative_slope * x."""
    return output(_kernels().leaky_relu_forward(x, negative_slope))


@explained
def elu(x: ArrayLike, alpha: float = 1.0) -> Output:
    """x where x > 0, else alpha * (exp(x) - 1) (Clevert et al., 2015)."""
    return output(_kernels().elu_forward(x, alpha))


def sigmoid(x: ArrayLike) -> Output:
    """1 / (1 + exp(-x))."""
    return output(_kernels().sigmoid_forward(x))


def tanh(x: ArrayLike) -> Output:
    """tanh(x)."""
    return output(_kernels().tanh_forward(x))


def softplus(x: ArrayLike) -> Output:
    """log(1 + exp(x))."""
    return output(_kernels().softplus_forward(x))


@explained
def gelu(x: ArrayLike, approximate: bool = False) -> Output:
    """x Phi(x), Phi of N(0, 1) (Hendrycks and Gimpel, 2016); approximate: the form with tanh."""
    return output(_kernels().gelu_forward(x, approximate))


@explained
def softmax(x: ArrayLike, axis: int = -1) -> Output:
    """exp(x) / sum of exp(x) along `axis`."""
    return output(_along(_kernels().softmax_forward, x, axis))


@explained
def log_softmax(x: ArrayLike, axis: int = -1) -> Output:
    """x - log(sum of exp(x)) along `axis`."""
    return output(_along(_kernels().log_softmax_forward, x, axis))


def _along(function: Function, x: ArrayLike, axis: int) -> F32:
    x = np.asarray(x)
    if x.ndim == 0:
        raise ValueError("softmax needs an array with at least one axis, got a number")
    return np.moveaxis(function(np.moveaxis(x, axis, -1)), -1, axis)


_BY_NAME = {
    "linear": linear,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "softplus": softplus,
    "gelu": gelu,
    "softmax": softmax,
    "log_softmax": log_softmax,
}
_NAME_OF = {function: name for name, function in _BY_NAME.items()}
# What the core calls `alpha`, where the function is asked for by name.
_ALPHA = {"leaky_relu": 0.2, "elu": 1.0}


def get(identifier: str | Function | None) -> Function:
    """The function of this name; None means linear. ValueError for an unknown name."""
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        if identifier.lower() not in _BY_NAME:
            raise _checks.unknown("activation", identifier, _BY_NAME)
        return _BY_NAME[identifier.lower()]
    if callable(identifier):
        return identifier
    raise TypeError(f"an activation must be a name, got {type(identifier).__name__}")


def serialize(function: Function) -> str:
    """The name of one of this module's functions."""
    return _NAME_OF[function]


def for_layer(identifier: Any, who: str) -> Function:
    """`get`, and in addition only what a layer can compute and differentiate."""
    if hasattr(identifier, "_core_layer"):
        raise ValueError(
            f"{who}: activation must be a name or a function, got the layer {identifier!r}; let it "
            "follow as a layer of its own"
        )
    function = get(identifier)
    if function not in _NAME_OF:
        raise ValueError(
            f"{who}: activation must be one of {', '.join(sorted(_BY_NAME))}, got "
            f"{_checks.shown(identifier)}; "
            "a function of your own is a layer of its own: subclass lamina.layers.Layer"
        )
    return function


def core_name(function: Function) -> tuple[str, float]:
    """What the core calls it, and its alpha."""
    name = _NAME_OF[function]
    return name, _ALPHA.get(name, 0.0)
