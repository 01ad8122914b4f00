"""What `compile` makes of its arguments: an optimizer, a loss and metrics, checked at once."""

from __future__ import annotations

from . import _checks, losses, metrics, optimizers


class Compiled:
    """Optimizer, loss and metrics of a model; the names of what is reported, loss first."""

    def __init__(self, model, optimizer, loss, metric_list, weighted_list) -> None:
        self.optimizer = optimizers.get(optimizer)
        self.optimizer._check_owner(model)
        if isinstance(loss, (list, tuple)) and len(loss) == 1:
            loss = loss[0]
        self.loss = losses.get(loss)
        if self.loss is not None:
            self.loss._core_loss()  # says now what it would say in fit
        self._wanted = [(m, False) for m in _flat("metrics", metric_list)]
        self._wanted += [(m, True) for m in _flat("weighted_metrics", weighted_list)]
        # Those that depend on the model's output are made when its shape is known.
        self._found = [
            None if metrics.depends_on_model(m) else metrics.get(m) for m, _ in self._wanted
        ]
        self.names = self._names()
        self.weighted = [False] + [weighted for _, weighted in self._wanted]
        for metric in self._found:
            if metric is not None:
                metric._core_metric(False)
                self._check_targets(metric)
        self.metrics: list | None = None

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

    def _check_targets(self, metric) -> None:
        """A metric of class numbers goes with a loss of class numbers only, and so on."""
        if self.loss is None or metric._sparse is None or metric._sparse == self.loss._sparse:
            return
        kind = "class numbers" if self.loss._sparse else "targets in the output's shape"
        raise ValueError(
            f"metric '{metric.name}' does not go with loss '{self.loss.name}', which takes {kind} "
            f"as y; {'sparse_' if self.loss._sparse else ''}categorical_accuracy or 'accuracy' does"
        )

    def resolve(self, output_shape) -> list:
        """All metrics; ValueError where the loss does not fit the output."""
        if self.metrics is None:
            self.metrics = [
                metric or metrics.resolve(wanted, output_shape, self.loss._sparse)
                for (wanted, _), metric in zip(self._wanted, self._found, strict=True)
            ]
        return self.metrics

    def core_metrics(self, output_shape) -> list:
        return [
            metric._core_metric(weighted)
            for metric, weighted in zip(self.resolve(output_shape), self.weighted[1:], strict=True)
        ]


def _flat(argument, value) -> list:
    """A list of metrics; one alone, and lists in the list (one an output), are understood."""
    if value is None:
        return []
    if isinstance(value, dict):
        raise TypeError(f"{argument} must be a list: the model has one output, got a dict")
    if not isinstance(value, (list, tuple)):
        return [value]
    flat = []
    for item in value:
        flat.extend(item if isinstance(item, (list, tuple)) else [item])
    return [item for item in flat if item is not None]


def check_ignored(loss_weights, steps_per_execution) -> None:
    """Arguments of compile that change nothing here; wrong values are still wrong."""
    if loss_weights not in (None, 1, 1.0, [1], [1.0], (1.0,)):
        raise ValueError(
            "loss_weights, the third argument of compile, is for models with several outputs; got "
            f"{loss_weights!r} (metrics are given as metrics=[...])"
        )
    if steps_per_execution not in (None, "auto"):
        _checks.integer("steps_per_execution", steps_per_execution, 1)
