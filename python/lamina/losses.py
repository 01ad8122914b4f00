"""Losses: what training makes small. Names, arguments and numbers are Keras's.

The loss of a batch is the sum over rows of sample_weight * row's loss, divided by the number of
rows ("sum_over_batch_size": by the rows, not by the sum of the weights). A row's loss is the mean
over its elements, or the cross-entropy of its classes.

Cross-entropies of probabilities divide a row by its sum (not the binary one) and clip it to
[1e-7, 1 - 1e-7]; the gradient is zero where clipping is active. In a model whose last activation is
softmax (or sigmoid, for the binary one), loss and activation are computed as one from the logits:
exact where probabilities would be clipped, equal everywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _core, data
from ._hints import Named, explained, module_hooks
from ._names import snake_case
from ._results import Number, Output, output

if TYPE_CHECKING:
    from types import ModuleType

    from typing_extensions import Self

    from ._types import F32, Array, Config, LossLike, Shape

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "get",
    "mean_absolute_error",
    "mean_squared_error",
    "sparse_categorical_crossentropy",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = module_hooks(__name__, __all__)


def _kernels() -> ModuleType:
    from . import kernels

    return kernels


class Loss(Named):
    """Base class. A loss of your own defines, in NumPy,

    - `forward(y_true, y_pred)`, which returns one value a row, shape (rows,);
    - `backward(y_true, y_pred)`, which returns the gradient of the sum of these values with
      respect to y_pred, in y_pred's shape. Not needed for `evaluate`.

    Both get float32 arrays of the same shape (rows, *output_shape), read-only copies, which
    you may keep. Weights and the mean over the batch are applied by the caller.

    Calling a loss, `loss(y_true, y_pred, sample_weight=None)`, returns the batch's loss, a float.
    """

    _kind = ""
    _sparse = False  # whether y_true holds class numbers

    def __init__(self, name: str | None = None, reduction: str = "sum_over_batch_size") -> None:
        self.name = snake_case(type(self).__name__) if name is None else name
        if reduction not in ("sum_over_batch_size", "mean_with_sample_weight", "mean"):
            raise ValueError(
                f"{self.name}: reduction must be 'sum_over_batch_size', got "
                f"{_checks.shown(reduction)}"
            )
        if reduction == "mean_with_sample_weight":
            raise ValueError(f"{self.name}: reduction {reduction!r} is not offered yet")
        self.reduction = reduction

    def forward(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """One value a row."""
        raise NotImplementedError(f"loss {self.name!r} does not define forward(y_true, y_pred)")

    def backward(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """The gradient of the sum of forward's values with respect to y_pred."""
        raise NotImplementedError(
            f"loss {self.name!r} cannot train: it does not define backward(y_true, y_pred)"
        )

    def _defines_backward(self) -> bool:
        return getattr(self.backward, "__func__", None) is not Loss.backward

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Number:
        """The mean of sample_weight * forward(y_true, y_pred), see `weighted`."""
        values = np.asarray(self.forward(np.asarray(y_true), np.asarray(y_pred)), np.float64)
        if sample_weight is not None:
            values = weighted(values, sample_weight, self.name)
        return Number(values.mean() if values.size else 0.0)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)

    def _core_loss(self) -> _core.Loss:
        name = self.name
        alive = _checks.weakly(f"loss {name!r}", self)  # the compiled model keeps it
        if type(self).forward is Loss.forward:
            raise TypeError(f"loss {name!r} must define forward(y_true, y_pred)")

        def forward(y_true: F32, y_pred: F32) -> F32:
            values = alive().forward(y_true, y_pred)
            return rows_of(values, len(y_pred), f"loss {name!r}: forward")

        def backward(y_true: F32, y_pred: F32) -> F32:
            dy = np.asarray(alive().backward(y_true, y_pred))
            if dy.shape != y_pred.shape:
                raise ValueError(
                    f"loss {name!r}: backward returned an array of shape {dy.shape}, expected "
                    f"{y_pred.shape}"
                )
            return data.rounded(dy)

        return _core.host_loss(forward, backward)


def fit_weight(weight: Any, values: np.ndarray, who: str) -> np.ndarray:
    """A sample_weight as float64, its axes those of `values`, so that NumPy broadcasts it.

    A last axis of 1 that values have not is dropped. Weights of fewer axes are laid along the
    first ones, the rows: with one a row, all values of the row have it. Keras's metrics do the
    same; its losses refuse such weights, or, where there are as many rows as values in a row, lay
    them along the values.
    """
    from . import data

    weight = data.as_array(weight, f"{who}: sample_weight").astype(np.float64)
    if weight.ndim == values.ndim + 1 and weight.shape[-1] == 1:
        weight = weight[..., 0]
    if weight.ndim < values.ndim and weight.shape == values.shape[: weight.ndim]:
        weight = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
    return weight


def unfit_weight(weight: Any, values: np.ndarray, who: str) -> ValueError:
    """The error for weights that do not broadcast to the values."""
    return ValueError(
        f"{who}: sample_weight must be a number, or have one weight a row or one for each of the "
        f"values, which have the shape {values.shape}; got {np.shape(weight)}"
    )


def weighted(values: np.ndarray, weight: Any, who: str) -> np.ndarray:
    """values * weight, as NumPy broadcasts them once `fit_weight` has matched their axes."""
    fitted = fit_weight(weight, values, who)
    try:
        return values * fitted
    except ValueError:
        raise unfit_weight(weight, values, who) from None


def rows_of(values: Any, rows: int, what: str) -> np.ndarray:
    """Checks what a function of the user's made of a batch: float32, one value a row."""
    values = np.asarray(values)
    if values.dtype.kind not in "fiub" or values.shape != (rows,):
        raise ValueError(
            f"{what} must return one number a row, an array of shape ({rows},), got shape "
            f"{values.shape} and type {values.dtype}"
        )
    return data.rounded(values)


class _Kernel(Loss):
    """A loss that is a kernel: computed by the core in a model, by the same kernel when called."""

    def _run(self, y_true: Array, y_pred: Array) -> tuple[F32, F32]:
        """(values, gradient) of the rows of two matrices."""
        raise NotImplementedError

    def _both(self, y_true: Any, y_pred: Any) -> tuple[F32, F32]:
        y_pred = np.asarray(y_pred)
        if y_pred.ndim == 0:
            raise ValueError(f"{self.name}: y_pred must have an axis, got a number")
        shape = y_pred.shape
        y_true = fit_targets(y_true, shape, self._sparse, self.name)
        cols = shape[-1]
        matrix = np.reshape(y_pred, (-1, cols))
        truth = y_true.reshape(-1) if self._sparse else y_true.reshape(-1, cols)
        values, gradient = self._run(truth, matrix)
        return values.reshape(shape[:-1]), gradient.reshape(shape)

    def forward(self, y_true: Any, y_pred: Any) -> F32:
        """One value for each row along the last axis: y_pred.shape[:-1]."""
        return self._both(y_true, y_pred)[0]

    def backward(self, y_true: Any, y_pred: Any) -> F32:
        return self._both(y_true, y_pred)[1]

    def _core_loss(self) -> _core.Loss:
        return _core.Loss(self._kind, **self._options())

    def _options(self) -> dict[str, Any]:
        """from_logits and label_smoothing, as the core takes them."""
        return {}

    def get_config(self) -> Config:
        return {**super().get_config(), **self._options()}


def fit_targets(y_true: Any, shape: Shape, sparse: bool, who: str) -> Array:
    """y_true for predictions of `shape`, an axis of 1 added or dropped where that makes it fit."""
    y_true = np.asarray(y_true)
    wanted = shape[:-1] if sparse else shape
    if y_true.shape == wanted:
        return y_true
    if y_true.shape == (*wanted, 1):
        return y_true[..., 0]
    if (*y_true.shape, 1) == wanted:
        return y_true[..., None]
    raise ValueError(
        f"{who}: y_true must have shape {wanted} for y_pred of shape {shape}, got {y_true.shape}"
    )


class MeanSquaredError(_Kernel):
    """mean((y_pred - y_true)^2) of a row."""

    _kind = "mean_squared_error"

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str = "mean_squared_error"
    ) -> None:
        super().__init__(name, reduction)

    def _run(self, y_true: Array, y_pred: Array) -> tuple[F32, F32]:
        return _kernels().mean_squared_error(y_pred, y_true)


class MeanAbsoluteError(_Kernel):
    """mean(|y_pred - y_true|) of a row; the gradient is 0 where they are equal."""

    _kind = "mean_absolute_error"

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str = "mean_absolute_error"
    ) -> None:
        super().__init__(name, reduction)

    def _run(self, y_true: Array, y_pred: Array) -> tuple[F32, F32]:
        return _kernels().mean_absolute_error(y_pred, y_true)


class _CrossEntropy(_Kernel):
    def __init__(
        self, from_logits: bool, label_smoothing: float, axis: int, reduction: str, name: str
    ) -> None:
        super().__init__(name, reduction)
        if axis != -1:
            raise ValueError(f"{name}: axis must be -1, got {_checks.shown(axis)}")
        self.from_logits = _checks.flag(f"{name}: from_logits", from_logits)
        self.label_smoothing = _checks.number(f"{name}: label_smoothing", label_smoothing, 0.0, 1.0)

    def _options(self) -> Config:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}

    @np.errstate(all="ignore")
    def _smooth(self, y_true: Any, classes: int) -> F32:
        s = self.label_smoothing
        return np.asarray(y_true, np.float32) * np.float32(1 - s) + np.float32(s / classes)


class BinaryCrossentropy(_CrossEntropy):
    """mean(-y_true log(p) - (1 - y_true) log(1 - p)) of a row, p = y_pred or sigmoid(y_pred).

    label_smoothing s: y_true becomes y_true (1 - s) + s / 2.
    """

    _kind = "binary_crossentropy"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str = "binary_crossentropy",
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name)

    def _run(self, y_true: Array, y_pred: Array) -> tuple[F32, F32]:
        k = _kernels()
        function = k.sigmoid_cross_entropy if self.from_logits else k.binary_cross_entropy
        return function(y_pred, self._smooth(y_true, 2))


class CategoricalCrossentropy(_CrossEntropy):
    """-sum(y_true log(p)) of a row, y_true one-hot, p = y_pred or softmax(y_pred).

    label_smoothing s: y_true becomes y_true (1 - s) + s / classes.
    """

    _kind = "categorical_crossentropy"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name)

    def _run(self, y_true: Array, y_pred: Array) -> tuple[F32, F32]:
        k = _kernels()
        f = k.softmax_cross_entropy_onehot if self.from_logits else k.cross_entropy_onehot
        return f(y_pred, self._smooth(y_true, y_pred.shape[1]))


class SparseCategoricalCrossentropy(_CrossEntropy):
    """-log(p[y_true]) of a row, y_true a class number, p = y_pred or softmax(y_pred)."""

    _kind = "sparse_categorical_crossentropy"
    _sparse = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
    ) -> None:
        super().__init__(from_logits, 0.0, axis, reduction, name)
        if ignore_class is not None:
            raise ValueError(f"{name}: ignore_class is not offered yet, got {ignore_class!r}")

    def _options(self) -> Config:
        return {"from_logits": self.from_logits}

    def _run(self, y_true: Array, y_pred: Array) -> tuple[F32, F32]:
        from .data import class_numbers

        k = _kernels()
        f = k.softmax_cross_entropy_sparse if self.from_logits else k.cross_entropy_sparse
        return f(y_pred, class_numbers(y_true, y_pred.shape[1], f"{self.name}: y_true"))


def mean_squared_error(y_true: Any, y_pred: Any) -> Output:
    """mean((y_pred - y_true)^2) along the last axis."""
    return output(MeanSquaredError().forward(y_true, y_pred))


def mean_absolute_error(y_true: Any, y_pred: Any) -> Output:
    """mean(|y_pred - y_true|) along the last axis."""
    return output(MeanAbsoluteError().forward(y_true, y_pred))


@explained
def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0
) -> Output:
    """BinaryCrossentropy, one value for each row along the last axis."""
    return output(BinaryCrossentropy(from_logits, label_smoothing).forward(y_true, y_pred))


@explained
def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0
) -> Output:
    """CategoricalCrossentropy, one value for each row along the last axis."""
    return output(CategoricalCrossentropy(from_logits, label_smoothing).forward(y_true, y_pred))


@explained
def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Output:
    """SparseCategoricalCrossentropy, one value for each row along the last axis."""
    return output(SparseCategoricalCrossentropy(from_logits).forward(y_true, y_pred))


_CLASSES = (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
_BY_NAME = {cls._kind: cls for cls in _CLASSES} | {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
}
_ALIASES = {cls.__name__: cls for cls in _CLASSES} | {
    "MSE": MeanSquaredError,
    "MAE": MeanAbsoluteError,
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
}
_BY_FUNCTION = {
    mean_squared_error: MeanSquaredError,
    mean_absolute_error: MeanAbsoluteError,
    binary_crossentropy: BinaryCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
}


def get(identifier: LossLike | None) -> Loss | None:
    """The loss that a name, class, config, instance or function of this module stands for."""
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str):
        cls = _BY_NAME.get(identifier) or _ALIASES.get(identifier)
        if cls is None:
            raise _checks.unknown("loss", identifier, _BY_NAME)
        return cls()
    if isinstance(identifier, dict):
        name = identifier.get("class_name")
        if name not in _ALIASES:
            raise _checks.unknown("loss", name, _ALIASES)
        return _ALIASES[name].from_config(identifier.get("config", {}))
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier):
        if identifier in _BY_FUNCTION:
            return _BY_FUNCTION[identifier]()
        raise TypeError(
            f"loss {getattr(identifier, '__name__', identifier)!r} is a function, of which the "
            "gradient is not known: subclass lamina.losses.Loss with forward and backward"
        )
    raise TypeError(f"loss must be a name or a Loss, got {type(identifier).__name__}")
