"""Normalisation layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _checks, _core, initializers
from .base import Layer
from .core import last_axis_only

if TYPE_CHECKING:
    from .._types import Config, InitializerLike, Shape


class BatchNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, each per channel, the last axis.

    In training mean and (biased) variance are the batch's, and the moving ones follow:
    moving = momentum * moving + (1 - momentum) * batch's; otherwise the moving ones are used. So
    it is too where the layer is not trainable. (Ioffe and Szegedy, 2015.)
    Weights: gamma, beta (trainable), moving_mean, moving_variance, each (channels,).
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: InitializerLike | None = "zeros",
        gamma_initializer: InitializerLike | None = "ones",
        moving_mean_initializer: InitializerLike | None = "zeros",
        moving_variance_initializer: InitializerLike | None = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, (tuple, list)) and len(axis) == 1:
            axis = axis[0]
        self.axis = _checks.integer(f"{self._label}: axis", axis)
        self.momentum = _checks.number(f"{self._label}: momentum", momentum, 0.0, 1.0)
        self.epsilon = _checks.number(f"{self._label}: epsilon", epsilon, 0.0)
        self.center = _checks.flag(f"{self._label}: center", center)
        self.scale = _checks.flag(f"{self._label}: scale", scale)
        self.beta_initializer = self._initializer_of(beta_initializer, "beta")
        self.gamma_initializer = self._initializer_of(gamma_initializer, "gamma")
        self.moving_mean_initializer = self._initializer_of(moving_mean_initializer, "moving_mean")
        self.moving_variance_initializer = self._initializer_of(
            moving_variance_initializer, "moving_variance"
        )

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        last_axis_only(self, self.axis, input_shape)
        return _core.batch_normalization(
            self.name, self.momentum, self.epsilon, self.center, self.scale
        )

    def get_config(self) -> Config:
        names = ("beta", "gamma", "moving_mean", "moving_variance")
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            **{
                f"{name}_initializer": initializers.serialize(getattr(self, f"{name}_initializer"))
                for name in names
            },
        }
