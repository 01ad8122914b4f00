"""Layers of the everyday kind: inputs, shapes, Dense, activations, Dropout, Rescaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _checks, _core, _random, activations, initializers
from .._hints import explained
from .base import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._types import Config, Function, InitializerLike, Shape


class InputLayer(Layer):
    """Says what shape a row of the input has; first in a model, and not one of `model.layers`."""

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        *,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        # The type of the data is looked at when it comes; batches may have any size.
        super().__init__(name=name, **kwargs)
        if shape is None:
            shape = self._declared_input_shape
        if shape is None:
            raise ValueError("Input needs the shape of one row: Input(shape=(28, 28))")
        self.shape = _checks.shape("Input: shape", shape)
        if batch_size is not None:
            batch_size = _checks.integer("Input: batch_size", batch_size, 1)
        self.batch_size = batch_size
        self._declared_input_shape = self._input_shape = self._output_shape = self.shape

    def get_config(self) -> Config:
        return {"name": self.name, "shape": self.shape, "batch_size": self.batch_size}


@explained
def Input(  # noqa: N802
    shape: Sequence[int] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> InputLayer:
    """The first item of a Sequential: the shape of one row, without the batch axis."""
    return InputLayer(shape, batch_size, dtype, name=name)


class Flatten(Layer):
    """(batch, a, b, ...) -> (batch, a * b * ...)."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        channels_last(self, data_format)

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        return _core.flatten(self.name)


class Reshape(Layer):
    """(batch, ...) -> (batch, *target_shape); one size may be -1 and follows from the others."""

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        who = f"{self._label}: target_shape"
        if not isinstance(target_shape, (tuple, list)):
            raise TypeError(f"{who} must be a tuple of integers, got {_checks.shown(target_shape)}")
        self.target_shape = tuple(_checks.integer(who, size, -1) for size in target_shape)
        if 0 in self.target_shape or self.target_shape.count(-1) > 1:
            raise ValueError(
                f"{who} must have sizes of at least 1 and at most one -1, got "
                f"{_checks.shown(target_shape)}"
            )

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        return _core.reshape(self.name, self.target_shape)

    def get_config(self) -> Config:
        return {**super().get_config(), "target_shape": self.target_shape}


class Dense(Layer):
    """y = activation(x @ kernel + bias), along the last axis: (batch, ..., in) -> (..., units).

    Weights: kernel (in, units), bias (units,).
    """

    def __init__(
        self,
        units: int,
        activation: str | Function | None = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        bias_initializer: InitializerLike | None = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = _checks.integer(f"{self._label}: units", units, 1)
        self.activation = activations.for_layer(activation, self._label)
        self.use_bias = _checks.flag(f"{self._label}: use_bias", use_bias)
        self.kernel_initializer = self._initializer_of(kernel_initializer, "kernel")
        self.bias_initializer = self._initializer_of(bias_initializer, "bias")

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        name, alpha = activations.core_name(self.activation)
        return _core.dense(self.name, self.units, name, alpha, self.use_bias)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }


class Activation(Layer):
    """An activation function as a layer of its own: Activation("tanh")."""

    def __init__(self, activation: str | Function, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.for_layer(activation, self._label)

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        return _core.activation(self.name, *activations.core_name(self.activation))

    def get_config(self) -> Config:
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class ReLU(Layer):
    """x where x > 0, else negative_slope * x. max_value and threshold are not offered."""

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_value is not None or threshold != 0:
            raise ValueError(
                f"{self._label}: max_value and threshold are not offered yet, got "
                f"max_value={max_value!r}, threshold={threshold!r}"
            )
        self.negative_slope = _checks.number(f"{self._label}: negative_slope", negative_slope, 0.0)

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        if self.negative_slope:
            return _core.activation(self.name, "leaky_relu", self.negative_slope)
        return _core.activation(self.name, "relu", 0.0)

    def get_config(self) -> Config:
        return {**super().get_config(), "negative_slope": self.negative_slope}


class LeakyReLU(Layer):
    """x where x > 0, else negative_slope * x."""

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative_slope = _checks.number(f"{self._label}: negative_slope", negative_slope, 0.0)

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        return _core.activation(self.name, "leaky_relu", self.negative_slope)

    def get_config(self) -> Config:
        return {**super().get_config(), "negative_slope": self.negative_slope}


class ELU(Layer):
    """x where x > 0, else alpha * (exp(x) - 1)."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = _checks.number(f"{self._label}: alpha", alpha, 0.0)

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        return _core.activation(self.name, "elu", self.alpha)

    def get_config(self) -> Config:
        return {**super().get_config(), "alpha": self.alpha}


class Softmax(Layer):
    """exp(x) / sum of exp(x), along the last axis."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _checks.integer(f"{self._label}: axis", axis)

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        last_axis_only(self, self.axis, input_shape)
        return _core.activation(self.name, "softmax", 0.0)

    def get_config(self) -> Config:
        return {**super().get_config(), "axis": self.axis}


class Dropout(Layer):
    """In training, 0 with probability `rate`, else x / (1 - rate); x itself otherwise.

    The mask is a function of the seed, the layer and the step. Without `seed` it follows from
    `utils.set_random_seed`.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rate = _checks.number(f"{self._label}: rate", rate, 0.0, 1.0)
        if noise_shape is not None:
            raise ValueError(
                f"{self._label}: noise_shape is not offered yet, got {_checks.shown(noise_shape)}"
            )
        self.seed = None if seed is None else _checks.integer(f"{self._label}: seed", seed)
        self._calls = 0  # by itself

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        return _core.dropout(self.name, self.rate)

    def _next_mask_seed(self) -> int:
        if self.seed is None:
            return super()._next_mask_seed()
        self._calls += 1
        return _random.combine([self.seed, self._calls])

    def get_config(self) -> Config:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class Rescaling(Layer):
    """scale * x + offset."""

    def __init__(self, scale: float, offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = _checks.number(f"{self._label}: scale", scale)
        self.offset = _checks.number(f"{self._label}: offset", offset)

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        return _core.rescaling(self.name, self.scale, self.offset)

    def get_config(self) -> Config:
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


def channels_last(layer: Layer, data_format: str | None) -> None:
    """The only order of axes there is: images are (batch, height, width, channels)."""
    if data_format not in (None, "channels_last"):
        raise ValueError(
            f"{layer._label}: data_format must be 'channels_last', got {_checks.shown(data_format)}"
        )


def last_axis_only(layer: Layer, axis: int, input_shape: Shape) -> None:
    """ValueError unless `axis`, which counts the batch axis, is the last one."""
    if axis not in (-1, len(input_shape)):
        raise ValueError(
            f"{layer._label}: axis must be the last one, -1 or {len(input_shape)} for inputs of "
            f"shape {(None, *input_shape)}, got {axis}"
        )
