"""compile, fit, evaluate and predict: the half of `Sequential` that drives the core.

The loop hands the core stretches of 50 ms, so that progress is shown and Ctrl-C is heard, and
single batches only where a callback asks for them. Everything is checked before anything is
changed: a fit that raises for its arguments has left the weights, and an unbuilt model, as they
were.
"""

from __future__ import annotations

import numpy as np

from . import _checks, _core, _random, data, feeds
from .callbacks import CallbackList, History
from .compiling import Compiled, check_ignored
from .progress import Progress

_STRETCH = 0.05  # seconds of one call into the core
_ALL = 1 << 62


class Trainer:
    """Base of Sequential. Subclasses know layers and shapes."""

    def __init__(self) -> None:
        self._compiled: Compiled | None = None
        self._runners: dict = {}  # mode -> (what it was made for, runner), while not in use
        self._fitting = 0
        self.stop_training = False
        self.history: History | None = None

    # ---- compile --------------------------------------------------------------------------------

    def compile(
        self,
        optimizer="adam",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
    ) -> None:
        """Choose how the model is trained and judged. Wrong names raise here.

        optimizer: "adam", "sgd", or an Optimizer. loss: a name, a Loss, or None for a model that
        only predicts. metrics: names ("accuracy", "mse", ...), Metrics, or functions
        f(y_true, y_pred) -> one value a row; weighted_metrics: the same, weighted by sample_weight.
        The other arguments are accepted and change nothing.
        """
        self._check_idle("compile")
        check_ignored(loss_weights, steps_per_execution)
        compiled = Compiled(self, optimizer, loss, metrics, weighted_metrics)
        self._compiled = compiled
        self._forget_runners()

    @property
    def compiled(self) -> bool:
        return self._compiled is not None

    @property
    def optimizer(self):
        """The optimizer given to compile; None before."""
        return self._compiled.optimizer if self._compiled is not None else None

    @property
    def loss(self):
        """The loss given to compile; None before."""
        return self._compiled.loss if self._compiled is not None else None

    @property
    def metrics_names(self) -> list[str]:
        """What evaluate returns, in its order: "loss" and the metrics' names."""
        return list(self._compiled.names) if self._compiled is not None else []

    def _require_loss(self, what: str) -> Compiled:
        if self._compiled is None:
            raise ValueError(f"call compile() before {what}()")
        if self._compiled.loss is None:
            raise ValueError(f"{what}() needs a loss: compile(optimizer, loss=...)")
        return self._compiled

    def _check_idle(self, what: str) -> None:
        if self._fitting:
            raise RuntimeError(f"cannot {what} while the model is being trained")

    # ---- runners --------------------------------------------------------------------------------

    @property
    def _result_weighted(self) -> list[bool]:
        return self._compiled.weighted

    def _take_runner(self, mode: str, rows: int):
        """A runner for batches of up to `rows`, taken out of the cache so that nobody else uses it."""
        network = self._realise()
        made_for: tuple = (network,)
        if mode != "predict":
            flags = tuple(layer.trainable and self._trainable for layer in self._layers)
            made_for = (network, self._compiled, flags, _random.generation())
        kept = self._runners.pop(mode, None)
        if kept is not None and kept[0] == made_for and kept[1].batch_size >= rows:
            return kept[1]
        if mode == "predict":
            runner = _core.Runner(network, mode, rows, seed=_random.next_seed())
        else:
            runner = self._make_runner(network, mode, rows, flags)
        self._made_for = made_for
        runner_key = self._keys = getattr(self, "_keys", {})
        runner_key[id(runner)] = made_for
        return runner

    def _keep_runner(self, mode: str, runner) -> None:
        self._runners[mode] = (self._keys[id(runner)], runner)
