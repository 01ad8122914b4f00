"""Between the core and a layer that is written in NumPy: checks of what its functions return; and
its configuration, where it does not say it itself."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks, _core, data

if TYPE_CHECKING:
    from .._types import F32, BatchShape, Config, Function, Shape
    from ..layers.base import Layer
    from ..layers.weight import Weight


def host_layer(layer: Layer, input_shape: Shape) -> _core.Layer:
    """The core's side of a subclass of Layer that defines forward and backward."""
    label = layer._label
    output = output_shape(layer, input_shape)
    names = [weight.name for weight in layer._weights]
    parameters = [(weight.name, weight.shape, weight._trainable) for weight in layer._weights]
    alive = _checks.weakly(label, layer)

    def shape_of_output(shape: Shape) -> Shape:
        return output_shape(alive(), tuple(shape))

    def forward(x: F32, training: bool) -> F32:
        y = alive().forward(x, training)
        return _checked(label, "forward", y, (len(x), *output))

    def backward(dy: F32, x: F32) -> tuple[F32, list[Any]]:
        result = alive().backward(dy, x)
        dx, gradients = result if isinstance(result, tuple) else (result, {})
        if not isinstance(gradients, dict):
            raise TypeError(
                f"{label}: backward must return dx or (dx, {{weight name: gradient}}), got a "
                f"tuple with {type(gradients).__name__}"
            )
        dx = _checked(label, "backward (dx)", dx, x.shape)
        strange = sorted(set(gradients) - set(names))
        if strange:
            raise ValueError(f"{label}: backward returned a gradient of {strange}, of {names}")
        return dx, [_gradient(label, weight, gradients) for weight in alive()._weights]

    return _core.host_layer(layer.name, shape_of_output, forward, backward, parameters)


def _gradient(label: str, weight: Weight, gradients: Config) -> F32 | None:
    if not weight._trainable:
        return None
    if weight.name not in gradients:
        raise ValueError(f"{label}: backward returned no gradient of weight '{weight.name}'")
    found = gradients[weight.name]
    return _checked(label, f"backward (gradient of '{weight.name}')", found, weight.shape)


def output_shape(layer: Layer, input_shape: Shape) -> Shape:
    shape = layer.compute_output_shape((None, *input_shape))
    if not isinstance(shape, (tuple, list)) or not shape:
        raise TypeError(
            f"{layer._label}: compute_output_shape must return a tuple, got {_checks.shown(shape)}"
        )
    return _checks.shape(f"{layer._label}: compute_output_shape, after the batch axis,", shape[1:])


# What every layer takes: it is asked for it itself.
_COMMON = {"name", "trainable", "input_shape", "input_dim", "dtype"}


def given_arguments(cls: type[Layer], args: tuple[Any, ...], kwargs: Config) -> dict[str, Any]:
    """By name, the arguments of its own that __init__ was called with."""
    import inspect

    needed = NotImplementedError(
        f"{cls.__name__} must override get_config, and from_config if need be: its arguments have "
        "no names by which the same layer could be made"
    )
    try:
        bound = inspect.signature(cls.__init__).bind(None, *args, **kwargs)
    except TypeError:  # a __new__ of its own keeps them
        raise needed from None
    arguments: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:  # without self
        kind = bound.signature.parameters[name].kind
        if kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
            raise needed
        if kind is inspect.Parameter.VAR_KEYWORD:
            arguments.update({key: value[key] for key in value.keys() - _COMMON})
        else:
            arguments[name] = value
    return arguments


def made_with(cls: type[Any], config: dict[str, Any]) -> Any:
    """The layer of a config, also where __init__ does not take what every layer has."""
    import inspect

    parameters = inspect.signature(cls.__init__).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return cls(**config)
    layer = cls(**{name: value for name, value in config.items() if name in parameters})
    if "name" in config:
        layer.name = config["name"]
    if "trainable" in config:
        layer.trainable = config["trainable"]
    return layer


def once(build: Function) -> Function:
    """A build() that makes weights once: called by hand, it is what a model would do."""

    @functools.wraps(build)
    def wrapped(self: Layer, input_shape: BatchShape) -> None:
        if self._building:
            return build(self, input_shape)
        from ..standalone import build_layer

        return build_layer(self, input_shape)

    return wrapped


def _checked(label: str, function: str, value: Any, shape: Shape) -> F32:
    if value is None:
        raise TypeError(f"{label}: {function} returned None; end it in `return` and an array")
    value = np.asarray(value)
    if value.dtype.kind not in "fiub":
        raise TypeError(f"{label}: {function} returned an array of type {value.dtype}")
    if value.shape != tuple(shape):
        raise ValueError(
            f"{label}: {function} returned an array of shape {value.shape}, expected {tuple(shape)}"
        )
    return data.rounded(value)
