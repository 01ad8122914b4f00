"""One layer on its own, called on an array: a network of that layer alone, kept for the next call.

For exploring and for tests; a model is what is fast.
"""

from __future__ import annotations

import threading

import numpy as np

from . import _checks, _core, data


def build_layer(layer, input_shape) -> None:
    """Layer.build, when it is called for a layer by itself."""
    shape = _checks.batched_shape(f"{layer._label}: input_shape", input_shape)
    model = layer._model()
    if model is None:
        _alone(layer, shape)
    elif layer._input_shape != shape:
        raise ValueError(
            f"{layer._label} belongs to model '{model.name}', which builds it; build the model"
        )


def _alone(layer, shape) -> _core.Network:
    """The network of this layer alone, for inputs of this shape, with the layer's weights."""
    layer._realise()
    with layer.__dict__.setdefault("_lock", threading.RLock()):
        network = layer.__dict__.get("_alone")
        if network is None or network.input_shape != shape:
            layer._built_for(shape)
            network = make_network([layer], shape)
            if layer._model() is None:
                bind_weights([layer], network)
            layer.__dict__["_alone"] = network
        return network


def call_layer(layer, x, training) -> np.ndarray:
    if hasattr(x, "_core_layer"):
        raise TypeError(
            f"{layer._label} was called on a layer: the functional API is not offered, "
            "pass a list of layers to Sequential"
        )
    x = data.as_rows(data.as_array(x, f"input of {layer._label}"))
    if x.ndim == 0:
        raise ValueError(f"{layer._label} needs an array with a batch axis, got a number")
    model = layer._model()
    if model is not None and not model.built:
        raise ValueError(
            f"{layer._label} belongs to model '{model.name}', which is not built yet: build() the "
            "model before one of its layers is called alone"
        )
    network = _alone(layer, x.shape[1:])
    copies = [
        (view, weight)
        for view, weight in zip(network.weights, layer._weights, strict=True)
        if weight._array is not view
    ]
    for view, weight in copies:
        view[...] = weight._array
    network.set_trainable(0, layer.trainable)
    seed = layer._next_mask_seed() if training else 0
    out = np.empty((len(x), *network.output_shape), np.float32)
    # With training=True the batch is one, as in a model.
    rows = max(1, len(x) if training else min(len(x), 32))
    runner = _core.Runner(network, "rehearse" if training else "predict", rows, seed=seed)
    runner.predict(x, out)
    if training and not layer._is_host():
        for view, weight in copies:
            if not weight._trainable:  # moving averages
                weight._write(view)
    return out


def make_network(layers, input_shape) -> _core.Network:
    """The core's network of these layers, holding their weights or newly initialised ones.

    The layers themselves are left as they are until `bind_weights`.
    """
    fresh = [layer for layer in layers if layer._made_for is None]
    try:
        return _network_of(layers, tuple(input_shape))
    except BaseException:
        for layer in fresh:
            layer._unmake()
        raise


def _network_of(layers, input_shape) -> _core.Network:
    from . import initializers

    shape, cores = input_shape, []
    for layer in layers:
        layer._built_for(shape)
        core = layer._make(shape)
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


def bind_weights(layers, network) -> None:
    """Make the layers' weights views of the network's."""
    from .layers.weight import Weight

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
