"""`Sequential`: a list of layers, each of which feeds the next.

This file knows the structure of a model: its layers, shapes, names and weights. How it is compiled,
trained and used is in training.py. Layers hold configuration; the core's network, which holds the
weights and computes, is made when it is first needed, and anew after layers were added or removed,
with the weights of the layers that stayed.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from . import _checks, _core, data
from . import layers as _layers
from ._hints import explained, module_hooks
from ._names import auto_name, check_name, snake_case
from .building import bind_weights, check_fits, make_network, unbuild
from .layers.base import Layer
from .layers.core import Dropout, Flatten, InputLayer, Reshape
from .layers.embedding import Embedding
from .layers.weight import assign_all
from .training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike

    from ._types import BatchShape, Shape

# Layers that hand an index on unchanged: an Embedding behind them is still the model's front.
_TRANSPARENT = (Flatten, Reshape, Dropout)


class TensorSpec(NamedTuple):
    """What goes into a model, or comes out: shape with None for the batch."""

    shape: tuple[Any, ...]
    dtype: str
    name: str


class Sequential(Trainer):
    """A model made of a list of layers.

    layers: a list of layers; the first may be an `Input`, or have an input_shape, and then all
    shapes are checked as layers are added. Otherwise they are known from the first data on.
    trainable: False freezes all weights. name: "sequential", "sequential_1", ... by default.
    """

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        trainable: bool = True,
        name: str | None = None,
        *more: Layer,
    ) -> None:
        given = [layers, trainable, name, *more]
        if more or any(isinstance(argument, Layer) for argument in given[1:]):
            kinds = [type(argument).__name__ for argument in given if isinstance(argument, Layer)]
            raise TypeError(
                f"{type(self).__name__} takes one list of layers: pass a list, "
                f"{type(self).__name__}([{', '.join(f'{kind}(...)' for kind in kinds)}])"
            )
        super().__init__()
        prefix = snake_case(type(self).__name__)
        self.name = auto_name(prefix) if name is None else check_name(name)
        self._trainable = _checks.flag(f"model '{self.name}': trainable", trainable)
        self._input: InputLayer | None = None
        self._layers: list[Layer] = []
        self._in_shape: Any = None  # all shapes without the batch axis
        self._shapes: list[tuple[int, ...]] = []  # each layer's output, if _in_shape is known
        self._front_embedding: Embedding | None = None
        self._network = None
        self._lock = threading.RLock()  # held while weights are made: threads find one set of them
        self._maker: int | None = None  # the thread that makes them
        self._rows_at_once = 32
        if layers is not None:
            if isinstance(layers, Layer) or not hasattr(layers, "__iter__"):
                layers = [layers]  # type: ignore[list-item]
            for layer in layers:  # pyright: ignore[reportOptionalIterable]
                self.add(layer)

    # ---- structure ------------------------------------------------------------------------------

    def add(self, layer: Layer, rebuild: bool = True) -> None:
        """Append a layer. ValueError, and no change, if it is no layer or does not fit.

        Where the model has weights already, the layer gets its own now, and the model is as it was
        if that fails.
        """
        self._check_idle("add a layer")
        if isinstance(rebuild, Layer):
            raise TypeError("add takes one layer, got two: call add() for each of them")
        if not isinstance(layer, Layer):
            hint = "; call it: layers.Dense(...)" if isinstance(layer, type) else ""
            if isinstance(layer, (list, tuple)):
                hint = "; call add() for each of them"
            if isinstance(layer, Sequential):
                hint = "; a model inside a model is not offered yet"
            raise ValueError(f"Sequential takes layers, got {_checks.shown(layer)}{hint}")
        layer._check_initialised()
        owner = layer._model()
        if owner is not None:
            raise ValueError(
                f"{layer._label} already belongs to model '{owner.name}'; make a new layer with "
                f"{type(layer).__name__}.from_config(layer.get_config()), or pop() it there"
            )
        if isinstance(layer, InputLayer):
            self._add_input(layer)
            return
        if any(layer.name == other.name for other in self._layers):
            raise ValueError(
                f"model '{self.name}' already has a layer named '{layer.name}'; names must differ"
            )
        in_shape = self._in_shape
        if in_shape is None and not self._layers:
            in_shape = layer._declared_input_shape
        old = layer._input_shape, layer._output_shape
        if in_shape is not None:
            before = self._shapes[-1] if self._shapes else in_shape
            check_fits(layer, before)
            after = layer._chain(before)
            layer._input_shape, layer._output_shape = before, after
            self._shapes.append(after)
        self._in_shape = in_shape
        layer._owner = weakref.ref(self)
        self._layers.append(layer)
        network = self._network
        self._changed()
        if network is None:
            return
        try:
            self._realise()
        except BaseException:
            self._remove_last()
            layer._input_shape, layer._output_shape = old
            self._network = network
            raise

    def _add_input(self, layer: InputLayer) -> None:
        if self._layers or self._input is not None:
            raise ValueError(
                f"an Input must come first and once, model '{self.name}' already begins with "
                f"{(self._input or self._layers[0])._label}"
            )
        layer._owner = weakref.ref(self)
        self._input = layer
        self._in_shape = layer.shape

    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the last layer and return it, with its weights; it may join another model."""
        self._check_idle("remove a layer")
        if not self._layers:
            raise ValueError(f"model '{self.name}' has no layers to remove")
        # Where the weights cannot be made, it is for this layer as a rule, and this the way out.
        with contextlib.suppress(Exception):
            self._realise_if_possible()
        made = self._network is not None
        layer = self._remove_last()
        if not layer._weights:
            unbuild(layer)  # and is built for its next place
            if not made:
                layer._input_shape = layer._output_shape = None
        for weight in layer._weights:  # or one small layer would keep the whole buffer alive
            weight._array = weight._array.copy()
        return layer

    def _remove_last(self) -> Layer:
        layer = self._layers.pop()
        if self._shapes:
            self._shapes.pop()
        layer._owner = None
        if not self._layers and self._input is None:
            self._in_shape = None
        self._changed()
        return layer

    def _changed(self) -> None:
        self._network = None
        self._forget_runners()
        self._front_embedding = None
        for layer in self._layers:
            if isinstance(layer, Embedding):
                self._front_embedding = layer
            if not isinstance(layer, _TRANSPARENT):
                break

    def build(self, input_shape: BatchShape | None = None) -> None:
        """Make the weights. input_shape begins with the batch axis: (None, 28, 28).

        Not needed where the first layer says its input_shape, and done by the first data.
        """
        if not self._layers:
            raise ValueError(f"model '{self.name}' cannot be built without layers; add() some")
        if input_shape is not None:
            shape = _checks.batched_shape("input_shape", input_shape)
            if self._in_shape is not None and shape != self._in_shape:
                raise ValueError(
                    f"model '{self.name}' takes inputs of shape {self.input_shape}, "
                    f"got {tuple(input_shape)}"
                )
            self._adopt((shape, self._chain(shape)[-1]))
        self._realise()

    def _chain(self, input_shape: Shape) -> list[tuple[int, ...]]:
        """Each layer's output shape for this input; nothing is changed."""
        shapes, shape = [], tuple(input_shape)
        for layer in self._layers:
            check_fits(layer, shape)
            shape = layer._chain(shape)
            shapes.append(shape)
        return shapes

    def _shapes_for(self, x: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of input and output; the rows of x tell the first if it is not known yet."""
        if not self._layers:
            raise ValueError(f"model '{self.name}' has no layers; add() some")
        if self._in_shape is not None:
            return self._in_shape, self._shapes[-1]
        input_shape = data.as_array(x, "x").shape[1:]
        if not input_shape and self._front_embedding is not self._layers[0]:
            input_shape = (1,)  # (n,) is n rows of one number, but of indices
        return input_shape, self._chain(input_shape)[-1]

    def _adopt(self, shapes: tuple[Shape, Shape]) -> None:
        """Take on the shapes that `_shapes_for` found, and make the weights: both or neither."""
        if self._network is not None:
            return
        with self._lock:
            known = self._in_shape is not None
            old = [(layer._input_shape, layer._output_shape) for layer in self._layers]
            if not known:
                self._shapes = self._chain(shapes[0])
                self._in_shape = shapes[0]
            try:
                self._realise()
            except BaseException:
                if not known:
                    self._in_shape, self._shapes = None, []
                    for layer, before in zip(self._layers, old, strict=True):
                        layer._input_shape, layer._output_shape = before
                raise

    def _realise(self) -> _core.Network:
        """The core's network, made now if there is none."""
        if self._network is not None:
            return self._network
        if not self.built:
            raise ValueError(
                f"model '{self.name}' is not built yet: give its first layer an input_shape, "
                "call build(), or train it"
            )
        with self._lock:
            if self._network is None:
                if self._maker is not None:
                    raise RuntimeError(
                        f"model '{self.name}' is being built: what it computes, and the other "
                        "layers' weights, are not there for a layer's build()"
                    )
                self._maker = threading.get_ident()
                try:
                    network = make_network(self._layers, self._in_shape)
                finally:
                    self._maker = None
                bind_weights(self._layers, network)
                # What predict takes at once: rows whose buffers are a few MB, between 32 and 512.
                widest = max(map(math.prod, [self._in_shape, *self._shapes]))
                self._rows_at_once = max(32, min(512, (1 << 20) // max(1, widest)))
                self._network = network
            return self._network

    def _realise_if_possible(self) -> None:
        """Unless shapes are unknown, or this is asked from within, by a layer's build()."""
        if self.built and self._maker != threading.get_ident():
            self._realise()

    # ---- what it is -----------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the Input. A copy: use add() and pop() to change the model."""
        return list(self._layers)

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError("layers cannot be assigned; use add() and pop()")

    @property
    def built(self) -> bool:
        return self._in_shape is not None and bool(self._layers)

    @property
    def input_shape(self) -> tuple[Any, ...]:
        """With None for the batch. AttributeError before the model is built."""
        if not self.built:
            raise AttributeError(f"model '{self.name}' has no input_shape before it is built")
        return (None, *self._in_shape)

    @property
    def output_shape(self) -> tuple[Any, ...]:
        """With None for the batch. AttributeError before the model is built."""
        if not self.built:
            raise AttributeError(f"model '{self.name}' has no output_shape before it is built")
        return (None, *self._shapes[-1])

    @property
    def inputs(self) -> list[TensorSpec]:
        """One TensorSpec. AttributeError before the model is built."""
        first = self._input or self._layers[0] if self._layers else self
        return [TensorSpec(self.input_shape, "float32", first.name)]

    @property
    def outputs(self) -> list[TensorSpec]:
        """One TensorSpec. AttributeError before the model is built."""
        last = self._layers[-1] if self._layers else self
        return [TensorSpec(self.output_shape, "float32", last.name)]

    @explained
    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name, or at this place. ValueError if there is none."""
        if (name is None) == (index is None):
            raise ValueError("get_layer takes a name or an index")
        if index is not None:
            index = _checks.integer("index", index)
            if not -len(self._layers) <= index < len(self._layers):
                raise ValueError(f"there is no layer {index}, the model has {len(self._layers)}")
            return self._layers[index]
        for layer in self._layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self._layers)
        raise ValueError(f"there is no layer named {name!r}; there are: {names}")

    @explained
    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print the layers, their output shapes and parameters as a table.

        print_fn: called with each line, instead of print. layer_range: the names of the first and
        the last layer to show. Works before the model is built, with "?" for the shapes.
        """
        from .summary import print_summary

        self._realise_if_possible()
        print_summary(self, line_length, positions, print_fn, show_trainable, layer_range)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` makes the same model of, with new weights."""
        layers = [self._input] if self._input is not None else []
        config = {
            "name": self.name,
            "trainable": self._trainable,
            "layers": [
                {"class_name": type(layer).__name__, "config": layer.get_config()}
                for layer in [*layers, *self._layers]
            ],
        }
        if self.built:
            config["build_input_shape"] = self.input_shape
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Sequential:
        """The model of a get_config(). custom_objects: {class name: class} of your own layers."""
        names = [item["class_name"] for item in config["layers"]]
        classes = [_layers.by_class_name(name, custom_objects) for name in names]
        return _made(cls, config, classes)

    # ---- copies ---------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """copy.deepcopy and pickle: the same layers by their get_config(), the weights, what was
        given to compile and the optimizer's state. Classes of your own must be importable to be
        unpickled; TypeError for a model that is not built and yet has layers with weights.
        """
        if not self.built and any(layer._weights for layer in self._layers):
            raise TypeError(
                f"model '{self.name}' has layers with weights, but is not built yet: build() it "
                "before it is copied or pickled"
            )
        first = [self._input] if self._input is not None else []
        classes = [type(layer) for layer in [*first, *self._layers]]
        state: dict[str, Any] = {"weights": self.get_weights()}
        if self._compiled is not None:
            state["compile"] = self._compiled.arguments()
            if self.built and self.optimizer._network is self._realise():
                state["iterations"] = self.optimizer.iterations
                state["trained"] = self.optimizer._trained
                state["slots"] = {name: slot.copy() for name, slot in self.optimizer.state.items()}
        return _made, (type(self), self.get_config(), classes), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if self.built:
            self.set_weights(state["weights"])
        if "compile" in state:
            self.compile(**state["compile"])
        if "slots" in state:
            self.optimizer._build(self, self._network)
            self.optimizer._core.iterations = state["iterations"]
            self.optimizer._trained = state["trained"]
            for name, slot in self.optimizer.state.items():
                slot[...] = state["slots"][name]

    def __copy__(self) -> NoReturn:
        raise TypeError(
            f"model '{self.name}' cannot share its layers with a copy; use copy.deepcopy(model), "
            "or Sequential.from_config(model.get_config()) for one with new weights"
        )

    def __repr__(self) -> str:
        text = f"<{type(self).__name__} name={self.name}, built={self.built}"
        if self.built:
            count = len(self._layers)
            layers = "1 layer" if count == 1 else f"{count} layers"
            text += f", {layers}: {self.input_shape} -> {self.output_shape}"
        return text + ">"

    def _repr_html_(self) -> str:
        """The summary, for a notebook."""
        from ._html import of_summary
        from .summary import summary_cells

        self._realise_if_possible()
        return of_summary(*summary_cells(self))

    # ---- weights --------------------------------------------------------------------------------

    @property
    def trainable(self) -> bool:
        """Setting it sets it for every layer. Takes effect at the next call of fit."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = _checks.flag(f"model '{self.name}': trainable", value)
        for layer in self._layers:
            layer.trainable = value

    @property
    def weights(self) -> list[Any]:
        """All layers' weights; empty before the model is built."""
        self._realise_if_possible()
        return [weight for layer in self._layers for weight in layer._weights]

    variables = weights

    @property
    def trainable_weights(self) -> list[Any]:
        return [weight for weight in self.weights if weight.trainable and self._trainable]

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self) -> list[Any]:
        return [weight for weight in self.weights if not (weight.trainable and self._trainable)]

    non_trainable_variables = non_trainable_weights

    def get_weights(self) -> list[Any]:
        """Copies of all weights."""
        return [weight.numpy() for weight in self.weights]

    def set_weights(self, weights: Iterable[ArrayLike]) -> None:
        """Overwrite all weights, or none: everything is checked first."""
        self._realise()
        assign_all(self.weights, weights, f"model '{self.name}'")

    def count_params(self) -> int:
        """How many numbers the weights hold. ValueError before the model is built."""
        self._realise()
        return sum(math.prod(weight.shape) for weight in self.weights)

    @explained
    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the weights to a file in the safetensors layout; see lamina.saving."""
        from .saving import save_weights

        save_weights(self, filepath, overwrite)

    @explained
    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Read what save_weights wrote. The model must have the same layers, and be built.

        ValueError, and no weight is changed, if the file is damaged or does not fit.
        """
        from .saving import load_weights

        load_weights(self, filepath)


def _made(cls: type[Sequential], config: dict[str, Any], classes: list[type[Layer]]) -> Sequential:
    """The model of a get_config(), its layers of these classes."""
    model = cls(trainable=config.get("trainable", True), name=config.get("name"))
    for layer_class, item in zip(classes, config["layers"], strict=True):
        model.add(layer_class.from_config(item["config"]))
    shape = config.get("build_input_shape")
    if shape is not None and not model.built and model._layers:
        model.build(tuple(shape))
    return model


__all__ = ["Sequential"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = module_hooks(__name__, __all__)
