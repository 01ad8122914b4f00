"""`Weight`: one named array of a layer."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core, data

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike

    from .._types import Array
    from ..layers.base import Layer


class Weight:
    """One named float32 array of a layer: `kernel`, `bias`, ...

    Inside a model it is a view of the model's one buffer of parameters, so that what is read is
    always what training has made of it.
    """

    def __init__(self, layer: Layer, name: str, array: np.ndarray, trainable: bool) -> None:
        self._layer = weakref.ref(layer)
        self.name = name
        self._array = array
        self._trainable = trainable

    @property
    def value(self) -> np.ndarray:
        """A read-only view: it changes with the weight."""
        view = self._array.view()
        view.flags.writeable = False
        return view

    def numpy(self) -> np.ndarray:
        """A copy."""
        return self._array.copy()

    def assign(self, value: ArrayLike) -> None:
        """Overwrite the weight. ValueError unless the shape is the same."""
        self._write(self._checked(value))

    def _write(self, value: np.ndarray) -> None:
        """The only way to write: the core keeps what it has made of the weights for predictions."""
        self._array[...] = value
        network = self._array.base
        if isinstance(network, _core.Network):
            network.changed()

    def _checked(self, value: Any) -> np.ndarray:
        value = np.asarray(value)
        if value.dtype.kind not in "fiub":
            raise TypeError(f"weight '{self.path}' takes real numbers, got type {value.dtype}")
        if value.shape != self.shape:
            raise ValueError(f"weight '{self.path}' has shape {self.shape}, got {value.shape}")
        return data.to_float32(value, f"weight '{self.path}'")

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        return self._array.dtype

    @property
    def trainable(self) -> bool:
        layer = self._layer()
        return self._trainable and (layer is None or layer.trainable)

    @property
    def path(self) -> str:
        layer = self._layer()
        return f"{layer._path}/{self.name}" if layer is not None else self.name

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            return self.value if dtype in (None, np.float32) else self.value.astype(dtype)
        return np.array(self._array, dtype=dtype)

    def __repr__(self) -> str:
        return f"<Weight {self.path}, shape={self.shape}>"

    def __str__(self) -> str:
        values = np.array2string(self._array, precision=4, threshold=60)
        return f"{self.path}, shape={self.shape}\n{values}"

    def _repr_html_(self) -> str:
        from .._html import of_weight

        return of_weight(self)


def assign_all(own: list[Weight], values: Iterable[ArrayLike], who: str) -> None:
    """Overwrite the weights `own` with `values`, or raise with none of them changed."""
    if not isinstance(values, (list, tuple)) and not hasattr(values, "__iter__"):
        raise TypeError(f"{who}: weights must be a list of arrays, got {type(values).__name__}")
    values = list(values)
    if len(values) != len(own):
        raise ValueError(f"{who} has {len(own)} weights, got {len(values)} arrays")
    checked = [weight._checked(value) for weight, value in zip(own, values, strict=True)]
    # A value may be a view of another weight (swapping two): copy before the first is written.
    checked = [value.copy() for value in checked]
    for weight, value in zip(own, checked, strict=True):
        weight._write(value)
