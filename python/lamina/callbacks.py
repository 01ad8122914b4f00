"""Callbacks: code of yours that runs at certain moments of fit, evaluate and predict.

Hooks of batches cost speed: a model whose callbacks override one of them is driven batch by batch,
otherwise in stretches of 50 ms.
"""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

from . import _checks, _console
from ._hints import Named, module_hooks
from ._warnings import warn

if TYPE_CHECKING:
    from ._types import Config, Function, Logs

__all__ = [
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = module_hooks(__name__, __all__)


class Callback(Named):
    """Base class; override what you need. `self.model` and `self.params` are there in every hook.

    `logs` is a dict of floats: the running means for a batch, the epoch's values (with val_...)
    for an epoch. Setting `self.model.stop_training = True` ends fit after the batch or epoch.
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] | None = None
        self._model: Any = None

    @property
    def model(self) -> Any:
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}  # a copy belongs to no model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self._model = model

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """At the start of fit."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """At the end of fit; logs are those of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Short for on_train_batch_begin."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Short for on_train_batch_end."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of fit, counted from 0 in its epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of fit."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """At the start of evaluate, and of the validation in fit."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """At their end."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of evaluate or of the validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After it."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """At the start of predict."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """At its end."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of predict."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After it; logs holds its "outputs"."""


class CallbackList(Callback):
    """Calls each of its callbacks in turn."""

    def __init__(
        self, callbacks: Any = None, model: Any = None, params: Config | None = None
    ) -> None:
        super().__init__()
        if callbacks is None:
            callbacks = []
        elif isinstance(callbacks, (Callback, type)) or not hasattr(callbacks, "__iter__"):
            callbacks = [callbacks]
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(
                    "callbacks must be instances of lamina.callbacks.Callback, got "
                    f"{_checks.shown(callback)}"
                )
        if model is not None:
            self.set_model(model)
        if params is not None:
            self.set_params(params)

    def append(self, callback: Callback) -> None:
        self.callbacks.append(callback)

    def set_params(self, params: Config) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)

    def overrides(self, mode: str) -> bool:
        """Whether a callback wants to hear of single batches; mode: "train", "test", "predict"."""
        return any(self.of_batches(mode))

    def of_batches(self, mode: str) -> list[list[Any]]:
        """The hooks before and those after a batch, of the callbacks that have any: to call them
        all takes longer than a small batch."""
        found = []
        for when in ("begin", "end"):
            names = [f"on_{mode}_batch_{when}"]
            if mode == "train":
                names.append(f"on_batch_{when}")  # which the former calls
            having = [c for c in self.callbacks if any(_overrides(c, name) for name in names)]
            found.append([getattr(callback, names[0]) for callback in having])
        return found


def _overrides(callback: Callback, name: str) -> bool:
    if isinstance(callback, CallbackList):
        return any(_overrides(inner, name) for inner in callback.callbacks)
    method = getattr(callback, name)
    return getattr(method, "__func__", method) is not getattr(Callback, name)


def _forward(name: str) -> Function:
    def hook(self: CallbackList, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, name)(*args, **kwargs)

    hook.__name__ = name
    return hook


for _name in [name for name in vars(Callback) if name.startswith("on_")]:
    setattr(CallbackList, _name, _forward(_name))
del _name  # pyright: ignore[reportPossiblyUnboundVariable]


class History(Callback):
    """What fit returns: `history`, a dict {name: [value of each epoch]}, and `epoch`."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    @property
    def model(self) -> Any:
        return self._model() if self._model is not None else None

    def set_model(self, model: Any) -> None:
        # The model holds its History: a strong reference back would keep both, and the model's
        # buffers, until the garbage collector comes by.
        self._model = weakref.ref(model)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.history = {}
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.history = dict(sorted(self.history.items()))

    def __repr__(self) -> str:
        from .progress import metric_texts

        epochs = "1 epoch" if len(self.epoch) == 1 else f"{len(self.epoch)} epochs"
        last = metric_texts({name: values[-1] for name, values in self.history.items() if values})
        return f"<History of {epochs}{'; the last: ' if last else ''}{', '.join(last)}>"

    def _repr_html_(self) -> str:
        from ._html import of_history

        return of_history(self)


class LambdaCallback(Callback):
    """A callback of functions: LambdaCallback(on_epoch_end=lambda epoch, logs: ...).

    Takes on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin,
    on_train_batch_end, and as further keywords all other hooks of Callback.
    """

    _more_keywords = tuple(name for name in vars(Callback) if name.startswith("on_"))

    def __init__(
        self,
        on_epoch_begin: Function | None = None,
        on_epoch_end: Function | None = None,
        on_train_begin: Function | None = None,
        on_train_end: Function | None = None,
        on_train_batch_begin: Function | None = None,
        on_train_batch_end: Function | None = None,
        **others: Function | None,
    ) -> None:
        super().__init__()
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **others,
        }
        for name, function in hooks.items():
            if not (name.startswith("on_") and hasattr(Callback, name)):
                raise TypeError(f"LambdaCallback got an unexpected keyword argument {name!r}")
            if function is None:
                continue
            if not callable(function):
                raise TypeError(
                    f"LambdaCallback: {name} must be a function, got {_checks.shown(function)}"
                )
            setattr(self, name, function)


class _Watch:
    """What a callback monitors, of an epoch's logs. Says once, in a run, that it is not there."""

    def __init__(self, who: str, monitor: str) -> None:
        self._who, self._monitor = who, monitor
        self._said = False

    def value(self, model: Any, logs: dict[str, Any]) -> float | None:
        """None in an epoch that has none: as one between two validations has no val_loss."""
        if self._monitor in logs:
            return logs[self._monitor]
        if not self._said and self._monitor not in getattr(model, "_awaited", ()):
            self._said = True
            warn(
                f"{self._who} monitors {self._monitor!r}, which is not there, and so does nothing; "
                f"there are: {', '.join(sorted(logs))}{self._hint(logs)}"
            )
        return None

    def _hint(self, logs: dict[str, Any]) -> str:
        if self._monitor.startswith("val_") and not any(name.startswith("val_") for name in logs):
            plain = self._monitor[len("val_") :]
            other = f", or monitor={plain!r}" if plain in logs else ""
            return f". Give fit validation_data or validation_split{other}"
        import difflib

        near = difflib.get_close_matches(self._monitor, logs, 1)
        return f". Did you mean {near[0]!r}?" if near else ""


class EarlyStopping(Callback):
    """Ends fit when `monitor` has not become better by `min_delta` for `patience` epochs.

    mode: "min", "max", or "auto", which is "max" for names with "acc" in them. baseline: what must
    be beaten at all. restore_best_weights: at the end of fit, whether or not it was stopped, the
    weights are those of the best epoch. start_from_epoch: epochs before it do not count.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__()

        self.monitor = monitor
        self.min_delta = abs(_checks.number("EarlyStopping: min_delta", min_delta))
        self.patience = _checks.integer("EarlyStopping: patience", patience, 0)
        self.verbose = verbose
        self.mode = _checks.choice("EarlyStopping: mode", mode, ("auto", "min", "max"))
        if baseline is not None:
            baseline = _checks.number("EarlyStopping: baseline", baseline)
        self.baseline = baseline
        self.restore_best_weights = bool(restore_best_weights)
        self.start_from_epoch = start_from_epoch
        rises = self.mode == "max" or (self.mode == "auto" and "acc" in monitor)
        self._sign = 1.0 if rises else -1.0
        self._reset()

    def _reset(self) -> None:
        self._watch = _Watch("EarlyStopping", self.monitor)
        self.wait = 0
        self.stopped_epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if epoch < self.start_from_epoch:
            return
        value = self._watch.value(self.model, logs)
        if value is None:
            return
        self.wait += 1
        if self._better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self._better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            _console.write(f"Epoch {self.stopped_epoch + 1}: early stopping\n")
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
            if self.verbose:
                _console.write(f"Restoring the weights of the best epoch, {self.best_epoch + 1}\n")

    def _better(self, value: float, than: float | None) -> bool:
        if math.isnan(value):
            return False
        return than is None or self._sign * (value - than) - self.min_delta > 0
