"""One layer on its own, called on an array: a network of that layer alone, kept for the next call.

For exploring and for tests; a model is what is fast.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _core, data
from ._results import Output
from .building import bind_weights, check_fits, make_network

if TYPE_CHECKING:
    from ._types import Shape
    from .layers.base import Layer


def build_layer(layer: Layer, input_shape: Any) -> None:
    """Layer.build, when it is called for a layer by itself."""
    shape = _checks.batched_shape(f"{layer._label}: input_shape", input_shape)
    model = layer._model()
    if model is None:
        _alone(layer, shape)
    elif layer._input_shape != shape:
        raise ValueError(
            f"{layer._label} belongs to model '{model.name}', which builds it; build the model"
        )


def _alone(layer: Layer, shape: Shape) -> _core.Network:
    """The network of this layer alone, for inputs of this shape, with the layer's weights."""
    layer._realise()
    with layer.__dict__.setdefault("_lock", threading.RLock()):
        network = layer.__dict__.get("_alone")
        if network is None or network.input_shape != shape:
            check_fits(layer, shape)
            network = make_network([layer], shape)
            if layer._model() is None:
                bind_weights([layer], network)
            layer.__dict__["_alone"] = network
        return network


def call_layer(layer: Layer, x: Any, training: bool) -> Output:
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
    return out.view(Output)
