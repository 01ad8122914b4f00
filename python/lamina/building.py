"""From layers to the core's network: which input a layer can take, when the build() of a layer of
the user's own is called, and where weights come from.

A layer keeps its weights when the network is made anew, as views of the new network's parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core, initializers
from .layers.weight import Weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._types import Shape
    from .layers.base import Layer


def check_fits(layer: Layer, input_shape: tuple[int, ...]) -> None:
    """ValueError if the layer was built for another input, and cannot take this one."""
    if layer._input_shape in (None, input_shape):
        return
    if layer._is_host():
        built = layer._made_for is not None and layer._defines_build()
        if not built and not layer._weights:
            return
    else:
        shapes = layer._core_layer(input_shape).weight_shapes(input_shape)
        if all(shapes[weight.name] == weight.shape for weight in layer._weights):
            return
    raise ValueError(
        f"{layer._label} was built for inputs of shape {(None, *layer._input_shape)} and "
        f"cannot take {(None, *input_shape)}; make a new layer with "
        f"{type(layer).__name__}.from_config(layer.get_config())"
    )


def core_layer(layer: Layer, input_shape: tuple[int, ...]) -> _core.Layer:
    """The core's layer for a network; a layer of the user's own gets its weights now."""
    if layer._is_host() and layer._made_for is None:
        layer._made_for, layer._before_build = input_shape, len(layer._weights)
        layer._building = True
        try:
            layer.build((None, *input_shape))
        finally:
            layer._building = False
    return layer._core_layer(input_shape)


def unbuild(layer: Layer) -> None:
    """Take back what build() has made."""
    if layer._made_for is not None:
        del layer._weights[layer._before_build :]
        layer._made_for = None


def make_network(layers: Sequence[Layer], input_shape: Shape) -> _core.Network:
    """The core's network of these layers, holding their weights or newly initialised ones.

    The layers themselves are left as they are until `bind_weights`.
    """
    fresh = [layer for layer in layers if layer._made_for is None]
    try:
        return _network_of(layers, tuple(input_shape))
    except BaseException:
        for layer in fresh:
            unbuild(layer)
        raise


def _network_of(layers: Sequence[Layer], input_shape: Shape) -> _core.Network:
    shape, cores = input_shape, []
    for layer in layers:
        check_fits(layer, shape)
        core = core_layer(layer, shape)
        cores.append(core)
        shape = tuple(core.output_shape(shape))
    try:
        network = _core.Network(input_shape, cores)
    except MemoryError:
        labels = ", ".join(layer._label for layer in layers)
        raise MemoryError(f"there is not enough memory for the weights of {labels}") from None
    for param, view in zip(network.params, network.weights, strict=True):
        layer = layers[param.layer]
        old = layer._find(param.name)
        if old is None:
            who = f"{layer._label}, weight '{param.name}'"
            initializers.fill(layer._initializer(param.name), view, who)
        elif old.shape != view.shape:
            raise ValueError(
                f"{layer._label}: weight '{param.name}' has shape {old.shape}, and its new place "
                f"takes {view.shape}"
            )
        else:
            view[...] = old._array
    return network


def bind_weights(layers: Sequence[Layer], network: _core.Network) -> None:
    """Make the layers' weights views of the network's."""
    shapes = [tuple(network.input_shape), *map(tuple, network.output_shapes)]
    for i, layer in enumerate(layers):
        layer._input_shape, layer._output_shape = shapes[i], shapes[i + 1]
    for param, view in zip(network.params, network.weights, strict=True):
        layer = layers[param.layer]
        weight = layer._find(param.name)
        if weight is None:
            layer._weights.append(Weight(layer, param.name, view, param.trainable))
        else:
            weight._array = view
