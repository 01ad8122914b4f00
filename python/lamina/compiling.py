"""What `compile` makes of its arguments, checked at once; and the runners made with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _core, _random, losses, metrics, optimizers
from ._hints import Named, explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._types import LossLike, MetricLike, OptimizerLike, Shape, Shapes
    from .layers.base import Layer
    from .layers.embedding import Embedding
    from .metrics import Metric


class Compiled:
    """Optimizer, loss and metrics of a model; the names of what is reported, loss first."""

    def __init__(
        self, model: Any, optimizer: OptimizerLike, loss: Any, metric_list: Any, weighted_list: Any
    ) -> None:
        self.optimizer = optimizers.get(optimizer)
        self.optimizer._check_owner(model)
        if isinstance(loss, (list, tuple)) and len(loss) == 1:
            loss = loss[0]
        if isinstance(loss, dict) and "class_name" not in loss:
            raise TypeError("loss must be one loss: the model has one output, got a dict")
        self.loss: Any = losses.get(loss)  # pyright: ignore[reportArgumentType]
        if self.loss is not None:
            self.loss._core_loss()  # says now what it would say in fit
        self._wanted = [(m, False) for m in _flat("metrics", metric_list)]
        self._wanted += [(m, True) for m in _flat("weighted_metrics", weighted_list)]
        # Those that depend on the model's output are made when its shape is known.
        self._found = [
            None if metrics.depends_on_model(m) else metrics.get(m) for m, _ in self._wanted
        ]
        self.names = self._names()
        # (name, place in names) as logs have them: sorted by name.
        self.order = sorted((name, i) for i, name in enumerate(self.names))
        self.weighted = [False] + [weighted for _, weighted in self._wanted]
        for metric in self._found:
            if metric is not None:
                metric._core_metric(False)
                self._check_targets(metric)
        self.said: set[str] = set()  # "outputs" of diagnosis.py once, "loss" once in a run
        self.metrics: list[Any] = []
        self._resolved_for: tuple[Any, ...] | None = None

    def arguments(self) -> dict[str, Any]:
        """What compile was given, to compile a copy of the model with."""
        return {
            "optimizer": self.optimizer,
            "loss": self.loss,
            "metrics": [wanted for wanted, weighted in self._wanted if not weighted],
            "weighted_metrics": [wanted for wanted, weighted in self._wanted if weighted],
        }

    def _names(self) -> list[str]:
        names = ["loss"]
        for (wanted, weighted), metric in zip(self._wanted, self._found, strict=True):
            name = wanted if metric is None else metric.name
            if weighted and name in names:
                name = f"weighted_{name}"
            if name in names or name.startswith("val_"):
                raise ValueError(
                    f"metric name {name!r} is taken; names must differ from each other and from "
                    "'loss', and not begin with 'val_'"
                )
            names.append(name)
        return names

    def _check_targets(self, metric: Metric) -> None:
        """A metric of class numbers goes with a loss of class numbers only, and so on."""
        if self.loss is None or metric._sparse is None or metric._sparse == self.loss._sparse:
            return
        kind = "class numbers" if self.loss._sparse else "targets in the output's shape"
        raise ValueError(
            f"metric '{metric.name}' does not go with loss '{self.loss.name}', which takes {kind} "
            f"as y; {'sparse_' if self.loss._sparse else ''}categorical_accuracy or 'accuracy' does"
        )

    def check_weights_of_values(self, what: str) -> None:
        """Functions of the user's give one value a row, which takes one weight."""
        judges = [m for m, weighted in zip(self._found, self.weighted[1:], strict=True) if weighted]
        for judge in [self.loss, *judges]:
            if judge is not None and judge._kind in ("", "host"):
                raise ValueError(
                    f"{what} must have one weight a row: {judge.name!r} gives one value a row"
                )

    def resolve(self, output_shape: Shape) -> list[Any]:
        """All metrics, for a model with this output."""
        if self._resolved_for != output_shape:
            self._resolved_for = output_shape
            self.metrics = [
                metric or metrics.resolve(wanted, output_shape, self.loss._sparse)
                for (wanted, _), metric in zip(self._wanted, self._found, strict=True)
            ]
        return self.metrics

    def core_metrics(self, output_shape: Shape) -> list[Any]:
        return [
            metric._core_metric(weighted)
            for metric, weighted in zip(self.resolve(output_shape), self.weighted[1:], strict=True)
        ]


def _flat(argument: str, value: Any) -> list[Any]:
    """A list of metrics; one alone, and lists in the list (one an output), are understood."""
    if value is None:
        return []
    if isinstance(value, dict):
        raise TypeError(f"{argument} must be a list: the model has one output, got a dict")
    if not isinstance(value, (list, tuple)):
        return [value]
    flat: list[Any] = []
    for item in value:
        flat.extend(item if isinstance(item, (list, tuple)) else [item])
    return [item for item in flat if item is not None]


def check_ignored(loss_weights: Any, steps_per_execution: Any) -> None:
    """Arguments of compile that change nothing here; wrong values are still wrong."""
    if isinstance(loss_weights, np.ndarray):
        loss_weights = loss_weights.tolist()
    if loss_weights not in (None, 1, 1.0, [1], [1.0], (1.0,)):
        raise ValueError(
            "loss_weights, the third argument of compile, is for models with several outputs; got "
            f"{loss_weights!r} (metrics are given as metrics=[...])"
        )
    automatic = isinstance(steps_per_execution, str) and steps_per_execution == "auto"
    if steps_per_execution is not None and not automatic:
        _checks.integer("steps_per_execution", steps_per_execution, 1)


class _AtWork:
    """A context that stands in `busy`. A class, because contextlib's costs a tenth of a row's
    prediction."""

    __slots__ = ("_busy", "_doing")

    def __init__(self, busy: dict[Any, str], doing: str) -> None:
        self._busy, self._doing = busy, doing

    def __enter__(self) -> None:
        self._busy[self] = self._doing  # and no counter: threads may do this at the same time

    def __exit__(self, *_: object) -> None:
        del self._busy[self]


class Compilable(Named):
    """The part of a model that compiles, and makes and keeps the core's runners."""

    if TYPE_CHECKING:  # what is defined in Sequential, the one class that is made of this one
        name: str
        _trainable: bool
        _layers: list[Layer]
        _in_shape: Any
        _shapes: list[Shape]
        _front_embedding: Embedding | None
        _network: _core.Network | None
        _rows_at_once: int

        @property
        def built(self) -> bool: ...
        def _realise(self) -> _core.Network: ...
        def _shapes_for(self, x: Any) -> Shapes: ...
        def _adopt(self, shapes: Shapes) -> None: ...

    def __init__(self) -> None:
        self._compiled: Any = None  # a Compiled, after compile
        self._runners: dict[
            str, Any
        ] = {}  # mode -> (what it was made for, runner), while not in use
        self._busy: dict[Any, str] = {}  # a key of its own for each call at work -> what it does

    @explained
    def compile(
        self,
        optimizer: OptimizerLike = "adam",
        loss: LossLike | None = None,
        loss_weights: Any = None,
        metrics: Sequence[MetricLike] | MetricLike | None = None,
        weighted_metrics: Sequence[MetricLike] | MetricLike | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int | str | None = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
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
    def optimizer(self) -> Any:
        """The optimizer given to compile; None before."""
        return self._compiled.optimizer if self._compiled is not None else None

    @property
    def loss(self) -> Any:
        """The loss given to compile; None before."""
        return self._compiled.loss if self._compiled is not None else None

    @property
    def metrics(self) -> list[Any]:
        """The metrics given to compile, without the loss; those that depend on the model's output,
        such as "accuracy", once it is built.
        """
        if self._compiled is None:
            return []
        if self.built:
            return list(self._compiled.resolve(self._shapes[-1]))
        return [metric for metric in self._compiled._found if metric is not None]

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

    def _at_work(self, doing: str) -> _AtWork:
        """For as long as the model is "trained", "evaluated" or "used to predict"."""
        return _AtWork(self._busy, doing)

    def _check_idle(self, what: str, harmless: tuple[Any, ...] = ()) -> None:
        for doing in list(self._busy.values()):
            if doing not in harmless:
                raise RuntimeError(f"cannot {what} while the model is being {doing}")

    def _check_backward(self) -> None:
        """NotImplementedError where a gradient must pass a layer or loss of the user's own that
        defines no backward."""
        learns = False  # does anything up to here need a gradient?
        for layer in self._layers:
            learns = learns or (self._trainable and any(w.trainable for w in layer._weights))
            if learns and not layer._defines_backward():
                raise NotImplementedError(
                    f"{layer._label} cannot be trained: it does not define backward(dy, x)"
                )
        if learns and not self._compiled.loss._defines_backward():
            raise NotImplementedError(
                f"loss {self._compiled.loss.name!r} cannot train: it does not define "
                "backward(y_true, y_pred)"
            )

    # ---- runners --------------------------------------------------------------------------------

    def _take_runner(self, mode: str, rows: int) -> tuple[Any, ...]:
        """(what it was made for, a runner for batches of up to `rows`), for `_keep_runner`.

        mode: the core's "train", "test", "predict", or "rehearse", which is predict as in
        training. The runner is taken out of the cache: whoever runs in a callback of this run, or
        in another thread, gets another.
        """
        network = self._realise()
        made_for: tuple[Any, ...] = (network,)
        if mode != "predict":
            flags = tuple(layer.trainable and self._trainable for layer in self._layers)
            made_for = (network, self._compiled, flags, _random.generation())
        kept = self._runners.pop(mode, None)
        if kept is not None and kept[0] == made_for:
            runner = kept[1]
            if runner.batch_size >= rows and runner.up_to_date:
                return kept
        seed = 0
        if mode == "train":
            self._check_backward()
            self._compiled.optimizer._build(self, network)
        if mode in ("train", "rehearse"):
            seed = self._runner_seed()
        return made_for, self._make_runner(mode, rows, seed)

    def _make_runner(self, mode: str, rows: int, seed: int) -> _core.Runner:
        """Allocates no buffers: the runner's first pass does."""
        network = self._realise()
        for i, layer in enumerate(self._layers):
            network.set_trainable(i, layer.trainable and self._trainable)
        if mode in ("predict", "rehearse"):
            return _core.Runner(network, mode, rows, seed=seed)
        compiled = self._compiled
        options: dict[str, Any] = {
            "loss": compiled.loss._core_loss(),
            "metrics": compiled.core_metrics(self._shapes[-1]),
        }
        if mode == "train":
            options["optimizer"] = compiled.optimizer._core
        return _core.Runner(network, mode, rows, seed=seed, **options)

    def _keep_runner(self, mode: str, kept: tuple[Any, ...]) -> None:
        kept[1].release()  # of the caller's arrays
        self._runners[mode] = kept

    def _forget_runners(self) -> None:
        self._runners.clear()

    @property
    def _train_runner(self) -> _core.Runner | None:
        """The runner of the last fit, for measurements; None if there is none."""
        return self._runners.get("train", (None, None))[1]

    def _runner_seed(self) -> int:
        """The seed of dropout masks: those of the layers where they have one."""
        seeds: list[Any] = [getattr(layer, "seed", None) for layer in self._layers]
        seeds = [seed for seed in seeds if seed is not None]
        return _random.combine(seeds) if seeds else _random.next_seed()
