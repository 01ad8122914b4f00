"""Convolutions of images (batch, height, width, channels)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _checks, _core, activations, initializers
from .base import Layer
from .core import channels_last

if TYPE_CHECKING:
    from .._types import Config, Function, InitializerLike, Shape, Sizes


class Conv2D(Layer):
    """y[i, j, f] = activation(sum of x[i s + ki d, j s + kj d, c] kernel[ki, kj, c, f] + bias[f]).

    (batch, height, width, channels) -> (batch, out_height, out_width, filters); "same" pads with
    zeros so that out = ceil(in / stride), the odd zero at the bottom and at the right.
    Weights: kernel (kh, kw, channels, filters), bias (filters,).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = (1, 1),
        groups: int = 1,
        activation: str | Function | None = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        bias_initializer: InitializerLike | None = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        who = self._label
        channels_last(self, data_format)
        if _checks.integer(f"{who}: groups", groups, 1) != 1:
            raise ValueError(f"{who}: groups other than 1 are not offered yet, got {groups}")
        self.filters = _checks.integer(f"{who}: filters", filters, 1)
        self.kernel_size = _checks.pair(f"{who}: kernel_size", kernel_size)
        self.strides = _checks.pair(f"{who}: strides", strides)
        self.padding = _checks.choice(f"{who}: padding", padding, ("valid", "same"))
        self.dilation_rate = _checks.pair(f"{who}: dilation_rate", dilation_rate)
        self.activation = activations.for_layer(activation, who)
        self.use_bias = _checks.flag(f"{self._label}: use_bias", use_bias)
        self.kernel_initializer = self._initializer_of(kernel_initializer, "kernel")
        self.bias_initializer = self._initializer_of(bias_initializer, "bias")

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        return _core.conv2d(
            self.name,
            self.filters,
            self.kernel_size,
            self.strides,
            self.padding,
            self.dilation_rate,
            *activations.core_name(self.activation),
            self.use_bias,
        )

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }


Convolution2D = Conv2D
