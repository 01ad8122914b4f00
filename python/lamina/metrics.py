"""Metrics: means over rows of a number that says how good the predictions are.

Within fit and evaluate the core computes them; on their own they are used as in Keras:
`update_state(y_true, y_pred, sample_weight=None)`, `result()`, `reset_state()`.
"""

from __future__ import annotations

import numpy as np

from . import _checks, _core, losses
from ._names import snake_case


class Metric:
    """Base class. A metric of your own defines `forward(y_true, y_pred)`: one value a row.

    Inside a model y_pred is float32 (rows, *output_shape); y_true has the same shape, or
    (rows, *output_shape[:-1]) and int32 where the loss is sparse. Both are read-only views that
    are valid during the call only. The metric's value is the mean over all rows; as one of
    `weighted_metrics`, sum(weight * value) / sum(weight).
    """

    _kind = "host"
    _sparse: bool | None = None  # whether y_true holds class numbers; None: as the loss has it

    def __init__(self, name: str | None = None, dtype=None) -> None:
        self.name = snake_case(type(self).__name__) if name is None else name
        self.reset_state()

    def forward(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """One value a row."""
        raise NotImplementedError(f"metric {self.name!r} does not define forward(y_true, y_pred)")

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Add a batch to the mean."""
        values = np.asarray(self.forward(np.asarray(y_true), np.asarray(y_pred)), np.float64)
        if sample_weight is None:
            self._sum += float(values.sum())
            self._weight += values.size
            return
        weight = np.asarray(sample_weight, np.float64)
        weight = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
        weight = np.broadcast_to(weight, values.shape)
        self._sum += float((values * weight).sum())
        self._weight += float(weight.sum())

    def result(self) -> float:
        """The mean since reset_state(); 0 of no rows."""
        return self._sum / self._weight if self._weight else 0.0

    def reset_state(self) -> None:
        self._sum = self._weight = 0.0

    def __call__(self, y_true, y_pred, sample_weight=None) -> float:
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    def get_config(self) -> dict:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict):
        return cls(**config)

    def _core_metric(self, weighted: bool) -> _core.Metric:
        if type(self).forward is Metric.forward:
            raise TypeError(f"metric {self.name!r} must define forward(y_true, y_pred)")
        who = f"metric {self.name!r}"
        alive = _checks.weakly(who, self)  # the compiled model keeps it

        def forward(y_true, y_pred):
            return losses.rows_of(alive().forward(y_true, y_pred), len(y_pred), who)

        return _core.Metric("host", weighted=weighted, forward=forward)


class FunctionMetric(Metric):
    """What a function f(y_true, y_pred) -> one value a row becomes when given as a metric."""

    def __init__(self, function, name=None) -> None:
        super().__init__(name or getattr(function, "__name__", "metric"))
        self._function = function

    def forward(self, y_true, y_pred):
        return self._function(y_true, y_pred)


class SparseCategoricalAccuracy(Metric):
    """1 where the largest of a row's predictions is at y_true, a class number; else 0."""

    _kind = "sparse_categorical_accuracy"
    _sparse = True

    def __init__(self, name="sparse_categorical_accuracy", dtype=None):
        super().__init__(name)

    def forward(self, y_true, y_pred):
        y_true = losses.fit_targets(y_true, y_pred.shape, True, self.name)
        return (y_pred.argmax(axis=-1) == y_true).astype(np.float32)

    def _core_metric(self, weighted):
        return _core.Metric(self._kind, weighted=weighted)


class CategoricalAccuracy(SparseCategoricalAccuracy):
    """1 where the largest of a row's predictions is where y_true is largest; else 0."""

    _kind = "categorical_accuracy"
    _sparse = False

    def __init__(self, name="categorical_accuracy", dtype=None):
        super().__init__(name)

    def forward(self, y_true, y_pred):
        y_true = losses.fit_targets(y_true, y_pred.shape, False, self.name)
        return (y_pred.argmax(axis=-1) == y_true.argmax(axis=-1)).astype(np.float32)


class BinaryAccuracy(Metric):
    """The share of a row's elements for which y_pred > threshold says what y_true says."""

    _kind = "binary_accuracy"
    _sparse = False

    def __init__(self, name="binary_accuracy", dtype=None, threshold=0.5):
        super().__init__(name)
        self.threshold = _checks.number("BinaryAccuracy: threshold", threshold)

    def forward(self, y_true, y_pred):
        y_true = losses.fit_targets(y_true, y_pred.shape, False, self.name)
        said = (y_pred > np.float32(self.threshold)).astype(np.float32)
        return (said == y_true).mean(axis=-1, dtype=np.float32)

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold}

    def _core_metric(self, weighted):
        return _core.Metric(self._kind, weighted=weighted, threshold=self.threshold)


class _LossMetric(Metric):
    """The values of one of the losses."""

    _loss: type

    def __init__(self, name=None, dtype=None, **options):
        self._of = self._loss(**options)
        super().__init__(name or self._of.name)

    def forward(self, y_true, y_pred):
        return self._of.forward(y_true, y_pred)

    def get_config(self):
        return {**super().get_config(), **self._of._options()}

    def _core_metric(self, weighted):
        return _core.Metric(self._of._kind, weighted=weighted, **self._of._options())


class MeanSquaredError(_LossMetric):
    """mean((y_pred - y_true)^2) of a row."""

    _loss, _sparse = losses.MeanSquaredError, False

    def __init__(self, name="mean_squared_error", dtype=None):
        super().__init__(name)


class MeanAbsoluteError(_LossMetric):
    """mean(|y_pred - y_true|) of a row."""

    _loss, _sparse = losses.MeanAbsoluteError, False

    def __init__(self, name="mean_absolute_error", dtype=None):
        super().__init__(name)


class BinaryCrossentropy(_LossMetric):
    """See losses.BinaryCrossentropy."""

    _loss, _sparse = losses.BinaryCrossentropy, False

    def __init__(
        self, name="binary_crossentropy", dtype=None, from_logits=False, label_smoothing=0.0
    ):
        super().__init__(name, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(_LossMetric):
    """See losses.CategoricalCrossentropy."""

    _loss, _sparse = losses.CategoricalCrossentropy, False

    def __init__(
        self, name="categorical_crossentropy", dtype=None, from_logits=False, label_smoothing=0.0
    ):
        super().__init__(name, from_logits=from_logits, label_smoothing=label_smoothing)


class SparseCategoricalCrossentropy(_LossMetric):
    """See losses.SparseCategoricalCrossentropy."""

    _loss, _sparse = losses.SparseCategoricalCrossentropy, True

    def __init__(self, name="sparse_categorical_crossentropy", dtype=None, from_logits=False):
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


def get(identifier) -> Metric | None:
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
        kind = losses._BY_FUNCTION.get(identifier)
        return _BY_NAME[kind._kind]() if kind else FunctionMetric(identifier)
    raise TypeError(f"a metric must be a name, a Metric or a function, got {identifier!r}")


def depends_on_model(identifier) -> bool:
    """Whether it is one of the names that `resolve` needs the model's output for."""
    return isinstance(identifier, str) and identifier.lower() in _ACCURACY + _CROSSENTROPY


def resolve(identifier: str, output_shape, sparse: bool) -> Metric:
    """ "accuracy" and "crossentropy" by the output's shape and the kind of targets, as in Keras."""
    accuracy = identifier.lower() in _ACCURACY
    if output_shape and output_shape[-1] == 1 and not sparse:
        cls = BinaryAccuracy if accuracy else BinaryCrossentropy
    elif sparse:
        cls = SparseCategoricalAccuracy if accuracy else SparseCategoricalCrossentropy
    else:
        cls = CategoricalAccuracy if accuracy else CategoricalCrossentropy
    return cls(name=identifier)
