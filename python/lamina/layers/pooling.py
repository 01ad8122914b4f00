"""Pooling of images (batch, height, width, channels)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _checks, _core
from .base import Layer
from .core import channels_last

if TYPE_CHECKING:
    from .._types import Config, Shape, Sizes


class _Pooling2D(Layer):
    def __init__(
        self,
        pool_size: Sizes = (2, 2),
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        channels_last(self, data_format)
        self.pool_size = _checks.pair(f"{self._label}: pool_size", pool_size)
        self.strides = (
            self.pool_size if strides is None else _checks.pair(f"{self._label}: strides", strides)
        )
        self.padding = _checks.choice(f"{self._label}: padding", padding, ("valid", "same"))

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }


class MaxPooling2D(_Pooling2D):
    """The largest value of each window; strides default to pool_size."""

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        return _core.max_pooling2d(self.name, self.pool_size, self.strides, self.padding)


class AveragePooling2D(_Pooling2D):
    """The mean of each window, over what lies inside the image; strides default to pool_size."""

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        return _core.average_pooling2d(self.name, self.pool_size, self.strides, self.padding)


class GlobalAveragePooling2D(Layer):
    """The mean over height and width: (batch, h, w, c) -> (batch, c), or (batch, 1, 1, c)."""

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        channels_last(self, data_format)
        self.keepdims = _checks.flag(f"{self._label}: keepdims", keepdims)

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        return _core.global_average_pooling2d(self.name, self.keepdims)

    def get_config(self) -> Config:
        return {**super().get_config(), "keepdims": self.keepdims}


MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
