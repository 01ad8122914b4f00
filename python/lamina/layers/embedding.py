"""Embedding: rows of a table, picked by integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _checks, _core, initializers
from .base import Layer

if TYPE_CHECKING:
    from .._types import Config, InitializerLike, Shape


class Embedding(Layer):
    """y[...] = embeddings[x[...]]: integers (batch, ...) -> (batch, ..., output_dim).

    The integers lie in [0, input_dim); fit, evaluate and predict check it. Inside a model they
    travel as float32, which is exact up to 2^24: the largest input_dim.
    Weights: embeddings (input_dim, output_dim).
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: InitializerLike | None = "uniform",
        mask_zero: bool = False,
        **kwargs: Any,
    ) -> None:
        # Here `input_dim` is the vocabulary, so the base class's short form is out of the way.
        super().__init__(**kwargs)
        if mask_zero:
            raise ValueError(f"{self._label}: mask_zero=True is not offered yet")
        self.input_dim = _checks.integer(f"{self._label}: input_dim", input_dim, 1)
        if self.input_dim > 1 << 24:
            raise ValueError(f"{self._label}: input_dim must be at most 2**24, got {input_dim}")
        self.output_dim = _checks.integer(f"{self._label}: output_dim", output_dim, 1)
        self.embeddings_initializer = self._initializer_of(embeddings_initializer, "embeddings")

    def _core_layer(self, input_shape: Shape) -> _core.Layer:
        return _core.embedding(self.name, self.input_dim, self.output_dim)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
        }
