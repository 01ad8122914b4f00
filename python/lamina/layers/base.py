"""`Layer`, the base of every layer.

A layer holds its configuration and its weights; it computes nothing itself. What a model computes
is made by the C++ core from `_core_layer`. A layer belongs to one model at most.
"""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks, _core, _random, initializers
from .._hints import Named, explained
from .._names import auto_name, check_name, snake_case
from .._results import Output
from .custom import given_arguments, host_layer, made_with, once, output_shape
from .weight import Weight, assign_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike
    from typing_extensions import Self

    from .._types import BatchShape, InitializerLike, Shape
    from ..models import Sequential

# Keras arguments that are understood and refused, unless they say what is done anyway.
_NOT_OFFERED = dict.fromkeys(
    [
        prefix + suffix
        for prefix in ("kernel", "bias", "activity", "beta", "gamma", "embeddings")
        for suffix in ("_regularizer", "_constraint")
    ]
    + ["lora_rank", "batch_input_shape", "autocast"],
    (None,),
)


class Layer(Named):
    """Base of all layers; subclass it to write a layer of your own in NumPy.

    A layer of your own defines

    - `__init__`, which calls `super().__init__(**kwargs)`;
    - `build(input_shape)`, which makes weights with `self.add_weight(...)`; input_shape begins
      with None for the batch. Optional;
    - `compute_output_shape(input_shape)`, if the output's shape is not the input's, batch axis
      included;
    - `forward(x, training)`, which returns y, float32, with as many rows as x;
    - `backward(dy, x)`, which returns dx, or (dx, {weight name: gradient}) with the gradient of
      every trainable weight. x is what forward got, for the same batch. It is called where there
      are weights to train, in this layer or below. A layer without it can predict and evaluate;
      training is refused where its gradient is needed.

    x and dy are read-only copies, which you may keep. A weight's current value is
    `self.<attribute>.value`, where the attribute is what add_weight returned. Both calls see a
    batch of any size: the last one of an epoch may be smaller.

        class Scale(lamina.layers.Layer):
            def build(self, input_shape):
                self.scale = self.add_weight(
                    shape=input_shape[-1:], initializer="ones", name="scale"
                )

            def forward(self, x, training):
                return x * self.scale.value

            def backward(self, dy, x):
                return dy * self.scale.value, {"scale": (dy * x).sum(axis=0)}

    Arguments: name (default: the class's name in snake case, numbered), trainable, input_shape
    (of one row, for the first layer of a model), input_dim (the same as input_shape=(input_dim,)).
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls._core_layer is Layer._core_layer:
            if "build" in vars(cls):
                cls.build = once(cls.build)  # type: ignore[method-assign]
            return
        names = ("backward", "build", "call", "forward")
        own = [name for name in names if getattr(cls, name, None) is not getattr(Layer, name, None)]
        if own:
            base = next(c for c in cls.__mro__ if c.__module__.startswith(str(__package__)))
            raise TypeError(
                f"{cls.__name__} defines {', '.join(own)}, which nobody would call: what "
                f"{base.__name__} computes is the core's. Subclass lamina.layers.Layer to compute "
                "in NumPy"
            )

    _given: tuple[tuple[Any, ...], dict[str, Any]]  # arguments of __init__, for get_config

    _more_keywords = _NOT_OFFERED

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        layer = super().__new__(cls, *args, **kwargs)
        if cls.get_config is Layer.get_config and cls._core_layer is Layer._core_layer:
            layer._given = (args, kwargs)
        return layer

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        input_shape: Sequence[int] | None = None,
        input_dim: int | None = None,
        dtype: Any = None,
        **not_offered: Any,
    ) -> None:
        cls = type(self).__name__
        _checks.not_offered(cls, not_offered, _NOT_OFFERED)
        if dtype is not None and not _is_float32(dtype):
            raise ValueError(f"{cls}: dtype must be float32, got {_checks.shown(dtype)}")
        if input_dim is not None:
            if input_shape is not None:
                raise ValueError(f"{cls}: give input_shape or input_dim, not both")
            input_shape = (_checks.integer(f"{cls}: input_dim", input_dim, 1),)
        if input_shape is not None:
            input_shape = _checks.shape(f"{cls}: input_shape", input_shape)
        self._declared_input_shape = input_shape
        self.name = auto_name(snake_case(cls)) if name is None else check_name(name)
        self._trainable = _checks.flag(f"{cls}: trainable", trainable)
        self._weights: list[Weight] = []
        # Of a layer of the user's own: the input that build() has been called for, and how many
        # weights there were before.
        self._made_for: tuple[int, ...] | None = None
        self._before_build = 0
        self._building = False
        self._owner: weakref.ref[Sequential] | None = None
        self._input_shape: tuple[int, ...] | None = None  # without the batch axis
        self._output_shape: tuple[int, ...] | None = None

    # ---- what subclasses override ---------------------------------------------------------------

    def build(self, input_shape: BatchShape) -> None:
        """Make the weights; a layer of your own makes them here. input_shape begins with None.

        A model does this for its layers.
        """
        if not self._building:
            from ..standalone import build_layer

            build_layer(self, input_shape)

    def compute_output_shape(self, input_shape: BatchShape) -> tuple[Any, ...]:
        """The output's shape for an input's, both with the batch axis (None or a number)."""
        if self._is_host():
            return tuple(input_shape)
        who = f"{self._label}: input_shape, after the batch axis,"
        shape = _checks.shape(who, tuple(input_shape[1:]))
        return (input_shape[0], *self._core_layer(shape).output_shape(shape))

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        """y for the rows x."""
        raise NotImplementedError(f"{self._label} does not define forward(x, training)")

    def backward(self, dy: np.ndarray, x: np.ndarray) -> Any:
        """dx, or (dx, {weight name: gradient}), for the gradient dy of the output."""
        raise NotImplementedError(
            f"{self._label} cannot be trained: it does not define backward(dy, x)"
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` makes the same layer of.

        A layer of your own that does not override this is made again with the arguments it was
        made with: override it where those do not tell, or change meanwhile.
        """
        config = {"name": self.name, "trainable": self._trainable}
        if self._declared_input_shape is not None:
            config["input_shape"] = self._declared_input_shape
        if "_given" not in self.__dict__:
            return config
        arguments = given_arguments(type(self), *self._given)
        if arguments.get("input_dim") is not None and "input_shape" in config:
            del config["input_shape"]  # which is said by input_dim
        return arguments | config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        if cls.get_config is not Layer.get_config:
            return cls(**config)
        return made_with(cls, config)

    # ---- weights --------------------------------------------------------------------------------

    @explained
    def add_weight(
        self,
        shape: Sequence[int] | None = None,
        initializer: InitializerLike | None = None,
        dtype: Any = None,
        trainable: bool = True,
        *,
        name: str | None = None,
    ) -> Weight:
        """Make a weight, in `build`. initializer defaults to glorot_uniform, dtype is float32."""
        name = check_name(name if name is not None else f"weight_{len(self._weights)}")
        if any(weight.name == name for weight in self._weights):
            raise ValueError(f"{self._label} already has a weight named '{name}'")
        if dtype is not None and not _is_float32(dtype):
            raise ValueError(
                f"{self._label}: dtype of a weight must be float32, got {_checks.shown(dtype)}"
            )
        shape = _checks.shape(f"{self._label}: shape of weight '{name}'", shape if shape else ())
        who = f"{self._label}: initializer of weight '{name}'"
        initializer = initializers.for_weight(initializer, who)
        array = np.array(
            initializers.initial_values(initializer, shape, f"{self._label}, weight '{name}'")
        )
        weight = Weight(self, name, array, bool(trainable))
        self._weights.append(weight)
        return weight

    @property
    def weights(self) -> list[Weight]:
        """All weights, in the order of get_weights(); empty before the layer is built."""
        self._realise()
        return list(self._weights)

    variables = weights

    @property
    def trainable_weights(self) -> list[Weight]:
        return [weight for weight in self.weights if weight.trainable]

    @property
    def non_trainable_weights(self) -> list[Weight]:
        return [weight for weight in self.weights if not weight.trainable]

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights."""
        return [weight.numpy() for weight in self.weights]

    def set_weights(self, weights: Iterable[ArrayLike]) -> None:
        """Overwrite all weights, or none: everything is checked first."""
        own = self.weights
        assign_all(own, weights, self._label)

    def count_params(self) -> int:
        """How many numbers the weights hold. ValueError before the layer is built."""
        weights = self.weights
        if not self.built:
            raise ValueError(
                f"{self._label} is not built yet: its weights depend on the shape of its input"
            )
        return sum(math.prod(weight.shape) for weight in weights)

    # ---- state ----------------------------------------------------------------------------------

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights. Takes effect at the next call of fit."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = _checks.flag(f"{self._label}: trainable", value)

    @property
    def built(self) -> bool:
        return self._input_shape is not None

    @built.setter
    def built(self, value: bool) -> None:
        """Assigned by the build() of layers written for Keras; whether a layer is built follows
        from its shapes."""

    @property
    def input_shape(self) -> tuple[Any, ...]:
        """With None for the batch. AttributeError before the layer is built."""
        return (None, *self._known(self._input_shape, "input_shape"))

    @property
    def output_shape(self) -> tuple[Any, ...]:
        """With None for the batch. AttributeError before the layer is built."""
        return (None, *self._known(self._output_shape, "output_shape"))

    @property
    def dtype(self) -> str:
        return "float32"

    def __call__(self, x: Any, training: bool = False) -> Output:
        """The layer alone, on an array (batch, ...): for trying things out, not for speed."""
        from ..standalone import call_layer

        return call_layer(self, x, training)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    def __getstate__(self) -> dict[str, Any]:
        # Weights are views of a model's buffer, and attributes that build() made refer to them.
        if self._weights:
            raise TypeError(
                f"{self._label} has weights and cannot be copied or pickled alone; make a new "
                f"layer with {type(self).__name__}.from_config(layer.get_config()), or copy the "
                "model with copy.deepcopy"
            )
        state = {**self.__dict__, "_weights": [], "_owner": None}
        for of_this_one in ("_alone", "_lock"):
            state.pop(of_this_one, None)
        return state

    def __getattr__(self, name: str) -> Any:
        # Only for names that are nowhere else: weights such as `kernel`; and for properties that
        # raised AttributeError, to raise it again.
        if not name.startswith("__"):
            self._check_initialised()
        if hasattr(type(self), name):
            return object.__getattribute__(self, name)
        if not name.startswith("_"):
            for weight in self.weights:
                if weight.name == name:
                    return weight
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # ---- for the model --------------------------------------------------------------------------

    def _check_initialised(self) -> None:
        if "_owner" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__}.__init__ must call super().__init__(**kwargs), "
                "before it sets anything"
            )

    @property
    def _label(self) -> str:
        return f"{type(self).__name__} '{self.name}'"

    @property
    def _path(self) -> str:
        model = self._model()
        return self.name if model is None else f"{model.name}/{self.name}"

    def _model(self) -> Sequential | None:
        return self._owner() if self._owner is not None else None

    def _realise(self) -> None:
        model = self._model()
        if model is not None:
            model._realise_if_possible()

    def _known(self, shape: Shape | None, name: str) -> Shape:
        if shape is None:
            raise AttributeError(f"{self._label} has no {name} before it is built")
        return shape

    def _find(self, name: str) -> Weight | None:
        return next((weight for weight in self._weights if weight.name == name), None)

    def _initializer_of(self, given: Any, name: str) -> Any:
        """The initializer that the argument `name`_initializer stands for."""
        return initializers.for_weight(given, f"{self._label}: {name}_initializer")

    def _initializer(self, name: str) -> Any:
        """Which initializer a weight that the core asks for has."""
        return getattr(self, f"{name}_initializer")

    def _is_host(self) -> bool:
        return type(self)._core_layer is Layer._core_layer

    def _defines_build(self) -> bool:
        return type(self).build is not Layer.build

    def _defines_backward(self) -> bool:
        own = getattr(self.backward, "__func__", None) is not Layer.backward
        return own or not self._is_host()

    def _core_layer(self, input_shape: tuple[int, ...]) -> _core.Layer:
        """This layer's computation in the core, a new one at every call."""
        if type(self).forward is Layer.forward:
            raise TypeError(
                f"{self._label} must define forward(x, training); see help(lamina.layers.Layer)"
            )
        return host_layer(self, input_shape)

    def _chain(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The output's shape, both without the batch axis; makes no weights."""
        if self._is_host():
            return output_shape(self, input_shape)
        return tuple(self._core_layer(input_shape).output_shape(input_shape))

    def _next_mask_seed(self) -> int:
        """The seed of what is random in the layer's next call by itself."""
        return _random.next_seed()


def _is_float32(dtype: Any) -> bool:
    try:
        return np.dtype(dtype) == np.float32
    except TypeError:
        return False
