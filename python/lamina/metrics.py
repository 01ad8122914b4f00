"""Metrics: means over rows of a number that says how good the predictions are.

Within fit and evaluate the core computes them; on their own they are used as in Keras:
`update_state(y_true, y_pred, sample_weight=None)`, `result()`, `reset_state()`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _core, losses
from ._hints import Named, module_hooks
from ._names import snake_case
from ._results import Number

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._types import F32, Array, Config, Function, MetricLike, Shape

__all__ = [
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "get",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = module_hooks(__name__, __all__)


class Metric(Named):
    """Base class. A metric of your own defines `forward(y_true, y_pred)`: one value a row.

    Inside a model y_pred is float32 (rows, *output_shape); y_true has the same shape, or
    (rows, *output_shape[:-1]) and int32 where the loss is sparse. Both are read-only copies,
    which you may keep. The metric's value is the mean over all rows; as one of `weighted_metrics`,
    sum(weight * value) / sum(weight).
    """

    _kind = "host"
    _sparse: bool | None = None  # whether y_true holds class numbers; None: as the loss has it

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = snake_case(type(self).__name__) if name is None else name
        self.reset_state()

    def forward(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """One value a row."""
        raise NotImplementedError(f"metric {self.name!r} does not define forward(y_true, y_pred)")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the mean. sample_weight: one number for all rows, one a row, or one for
        each of a row's values, of which the mean is then weighted.
        """
        values = np.asarray(self.forward(np.asarray(y_true), np.asarray(y_pred)), np.float64)
        weight = np.ones((1,) * values.ndim)
        if sample_weight is not None:
            weight = losses.fit_weight(sample_weight, values, self.name)
            weight = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
        try:
            weight = np.broadcast_to(weight, values.shape)
        except ValueError:
            raise losses.unfit_weight(sample_weight, values, self.name) from None
        # A row counts once, however many values it has; so does a batch with one weight.
        whole = values.ndim == 0 or (sample_weight is not None and np.ndim(sample_weight) == 0)
        parts = values.size if whole else math.prod(values.shape[1:])
        if parts:
            self._sum += float((values * weight).sum()) / parts
            self._weight += float(weight.sum()) / parts

    def result(self) -> Number:
        """The mean since reset_state(); 0 of no rows."""
        return Number(self._sum / self._weight if self._weight else 0.0)

    def reset_state(self) -> None:
        self._sum = self._weight = 0.0

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Number:
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)

    def _core_metric(self, weighted: bool) -> _core.Metric:
        if type(self).forward is Metric.forward:
            raise TypeError(f"metric {self.name!r} must define forward(y_true, y_pred)")
        who = f"metric {self.name!r}"
        alive = _checks.weakly(who, self)  # the compiled model keeps it

        def forward(y_true: Array, y_pred: F32) -> F32:
            return losses.rows_of(alive().forward(y_true, y_pred), len(y_pred), who)

        return _core.Metric("host", weighted=weighted, forward=forward)


class FunctionMetric(Metric):
    """What a function f(y_true, y_pred) -> one value a row becomes when given as a metric."""

    def __init__(self, function: Function, name: str | None = None) -> None:
        super().__init__(name or getattr(function, "__name__", "metric"))
        self._function = function

    def forward(self, y_true: Any, y_pred: Any) -> F32:
        return self._function(y_true, y_pred)


class SparseCategoricalAccuracy(Metric):
    """1 where the largest of a row's predictions is at y_true, a class number; else 0."""

    _kind = "sparse_categorical_accuracy"
    _sparse = True

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(name)

    def forward(self, y_true: Any, y_pred: Any) -> F32:
        y_true = losses.fit_targets(y_true, y_pred.shape, True, self.name)
        return (y_pred.argmax(axis=-1) == y_true).astype(np.float32)

    def _core_metric(self, weighted: bool) -> _core.Metric:
        return _core.Metric(self._kind, weighted=weighted)


class CategoricalAccuracy(SparseCategoricalAccuracy):
    """1 where the largest of a row's predictions is where y_true is largest; else 0."""

    _kind = "categorical_accuracy"
    _sparse = False

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(name)

    def forward(self, y_true: Any, y_pred: Any) -> F32:
        y_true = losses.fit_targets(y_true, y_pred.shape, False, self.name)
        return (y_pred.argmax(axis=-1) == y_true.argmax(axis=-1)).astype(np.float32)


class BinaryAccuracy(Metric):
    """The share of elements for which y_pred > threshold says what y_true says.

    On its own, forward gives a value, and takes a weight, for each element, as in Keras.
    """

    _kind = "binary_accuracy"
    _sparse = False

    def __init__(
        self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(name)
        self.threshold = _checks.number("BinaryAccuracy: threshold", threshold)

    def forward(self, y_true: Any, y_pred: Any) -> F32:
        y_true = losses.fit_targets(y_true, y_pred.shape, False, self.name)
        said = (y_pred > np.float32(self.threshold)).astype(np.float32)
        return (said == y_true).astype(np.float32)

    def get_config(self) -> Config:
        return {**super().get_config(), "threshold": self.threshold}

    def _core_metric(self, weighted: bool) -> _core.Metric:
        return _core.Metric(self._kind, weighted=weighted, threshold=self.threshold)


class _LossMetric(Metric):
    """The values of one of the losses."""

    _loss: type[losses._Kernel]

    def __init__(self, name: str | None = None, dtype: Any = None, **options: Any) -> None:
        self._of = self._loss(**options)
        super().__init__(name or self._of.name)

    def forward(self, y_true: Any, y_pred: Any) -> F32:
        return self._of.forward(y_true, y_pred)

    def get_config(self) -> Config:
        return {**super().get_config(), **self._of._options()}

    def _core_metric(self, weighted: bool) -> _core.Metric:
        return _core.Metric(self._of._kind, weighted=weighted, **self._of._options())


class MeanSquaredError(_LossMetric):
    """mean((y_pred - y_true)^2) of a row."""

    _loss, _sparse = losses.MeanSquaredError, False

    def __init__(self, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name)


class MeanAbsoluteError(_LossMetric):
    """mean(|y_pred - y_true|) of a row."""

    _loss, _sparse = losses.MeanAbsoluteError, False

    def __init__(self, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(name)


class BinaryCrossentropy(_LossMetric):
    """See losses.BinaryCrossentropy."""

    _loss, _sparse = losses.BinaryCrossentropy, False

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(_LossMetric):
    """See losses.CategoricalCrossentropy."""

    _loss, _sparse = losses.CategoricalCrossentropy, False

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name, from_logits=from_logits, label_smoothing=label_smoothing)


class SparseCategoricalCrossentropy(_LossMetric):
    """See losses.SparseCategoricalCrossentropy."""

    _loss, _sparse = losses.SparseCategoricalCrossentropy, True

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name, from_logits=from_logits)


_CLASSES = (
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
)
_BY_NAME = {cls().name: cls for cls in _CLASSES} | {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
}
_ALIASES = {cls.__name__: cls for cls in _CLASSES} | {
    "MSE": MeanSquaredError,
    "MAE": MeanAbsoluteError,
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
}
# Which class these stand for depends on the model: see `resolve`.
_ACCURACY = ("accuracy", "acc")
_CROSSENTROPY = ("crossentropy", "ce")


def get(identifier: MetricLike | None) -> Metric | None:
    """The metric that a name, class, config, instance or function stands for."""
    if identifier is None or isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        cls = _BY_NAME.get(identifier) or _ALIASES.get(identifier)
        if cls is None:
            known = {*_BY_NAME, *_ACCURACY, *_CROSSENTROPY}
            raise _checks.unknown("metric", identifier, known)
        return cls(name=identifier)
    if isinstance(identifier, dict):
        name = identifier.get("class_name")
        if name not in _ALIASES:
            raise _checks.unknown("metric", name, _ALIASES)
        return _ALIASES[name].from_config(identifier.get("config", {}))
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if isinstance(identifier, losses.Loss):
        return FunctionMetric(identifier.forward, identifier.name)
    if callable(identifier):
        kind: Any = losses._BY_FUNCTION.get(identifier)  # type: ignore[arg-type]
        return _BY_NAME[kind._kind]() if kind else FunctionMetric(identifier)
    raise TypeError(
        f"a metric must be a name, a Metric or a function, got {_checks.shown(identifier)}"
    )


def depends_on_model(identifier: Any) -> bool:
    """Whether it is one of the names that `resolve` needs the model's output for."""
    return isinstance(identifier, str) and identifier.lower() in _ACCURACY + _CROSSENTROPY


def resolve(identifier: str, output_shape: Shape, sparse: bool) -> Metric:
    """ "accuracy" and "crossentropy" by the output's shape and the kind of targets, as in Keras."""
    accuracy = identifier.lower() in _ACCURACY
    cls: type[Metric]
    if output_shape and output_shape[-1] == 1 and not sparse:
        cls = BinaryAccuracy if accuracy else BinaryCrossentropy
    elif sparse:
        cls = SparseCategoricalAccuracy if accuracy else SparseCategoricalCrossentropy
    else:
        cls = CategoricalAccuracy if accuracy else CategoricalCrossentropy
    return cls(name=identifier)
