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

    def _take_runner(self, mode: str, rows: int, training: bool = False) -> tuple:
        """(what it was made for, a runner for batches of up to `rows`), for `_keep_runner`.

        It is taken out of the cache: whoever runs in a callback of this run gets another.
        """
        network = self._realise()
        made_for: tuple = (network, training)
        if mode != "predict":
            flags = tuple(layer.trainable and self._trainable for layer in self._layers)
            made_for = (network, self._compiled, flags, _random.generation())
        elif training:
            made_for = (network, training, _random.generation())
        kept = self._runners.pop(mode, None)
        if kept is not None and kept[0] == made_for and kept[1].batch_size >= rows:
            return kept
        if mode == "predict":
            seed = self._runner_seed() if training else 0
            return made_for, _core.Runner(network, mode, rows, seed=seed)
        compiled = self._compiled
        options = {
            "loss": compiled.loss._core_loss(),
            "metrics": compiled.core_metrics(self._shapes[-1]),
        }
        if mode == "train":
            for i, flag in enumerate(flags):
                network.set_trainable(i, flag)
            compiled.optimizer._build(self, network)
            options |= {"optimizer": compiled.optimizer._core, "seed": self._runner_seed()}
        return made_for, _core.Runner(network, mode, rows, **options)

    def _keep_runner(self, mode: str, kept: tuple) -> None:
        self._runners[mode] = kept

    def _forget_runners(self) -> None:
        self._runners.clear()

    @property
    def _train_runner(self):
        """The runner of the last fit, for measurements; None if there is none."""
        return self._runners.get("train", (None, None))[1]

    def _runner_seed(self) -> int:
        """The seed of dropout masks: those of the layers where they have one."""
        seeds = [getattr(layer, "seed", None) for layer in self._layers]
        seeds = [seed for seed in seeds if seed is not None]
        return _random.combine(seeds) if seeds else _random.next_seed()

    # ---- fit ------------------------------------------------------------------------------------

    def fit(
        self,
        x=None,
        y=None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose="auto",
        callbacks=None,
        validation_split: float = 0.0,
        validation_data=None,
        shuffle: bool = True,
        class_weight: dict | None = None,
        sample_weight=None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq=1,
    ) -> History:
        """Train the model; returns the History of the losses and metrics.

        x: rows (n, *input_shape) of any real type, not copied; or an iterable of batches (x, y) or
        (x, y, sample_weight), and then y, batch_size, weights and validation_split are not given.
        y: targets; class numbers (n,) for a sparse loss, else (n, *output_shape).
        batch_size: 32 by default; the last batch may be smaller.
        epochs: number of the last epoch, so that initial_epoch resumes.
        verbose: 0 silent, 1 a bar, 2 a line an epoch; "auto" is 1.
        validation_split: share of the rows, the last ones before shuffling, to validate with.
        validation_data: (x, y), (x, y, sample_weight), or an iterable of batches; goes before
        validation_split. validation_freq: every so many epochs, or a list of epochs from 1.
        class_weight: {class: weight}, 1 for the others. sample_weight: (n,).
        steps_per_epoch: batches an epoch; the data go on where the last epoch ended.

        The reported loss is the mean over rows of sample_weight times the row's loss.
        KeyboardInterrupt leaves a model that can be used and trained on.
        """
        compiled = self._require_loss("fit")
        self._check_idle("call fit")
        verbose = _verbose(verbose)
        epochs = _checks.integer("epochs", epochs, 0)
        initial_epoch = _checks.integer("initial_epoch", initial_epoch, 0)
        steps = _steps("steps_per_epoch", steps_per_epoch)
        due = _validation_epochs(validation_freq)
        if not isinstance(shuffle, (bool, np.bool_)):
            raise ValueError(f"shuffle must be True or False, got {shuffle!r}")
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError("give class_weight or sample_weight, not both")
            class_weight = data.check_class_weight(class_weight)
        split = _checks.number("validation_split", validation_split, 0.0, 1.0)
        if validation_data is not None:
            split = 0.0
        compiled.optimizer._check_owner(self)

        if feeds.is_iterable_of_batches(x):
            if split:
                raise ValueError("validation_split needs arrays: x is an iterable of batches")
            if class_weight is not None:
                raise ValueError("class_weight needs arrays: x is an iterable of batches")
            feed, shapes = self._batch_feed(x, y, sample_weight, batch_size, steps)
            held_back = None
        else:
            size = _batch_size(batch_size)
            shapes = self._shapes_for(lambda: data.infer_input_shape(data.as_array(x, "x")))
            compiled.resolve(shapes[1])
            rows = feeds.checked_rows(x, y, sample_weight, self, shapes)
            rows, held_back = _split(rows, split)
            if class_weight is not None:
                rows = (*rows[:2], data.weights_of_classes(class_weight, rows[1]))
            feed = feeds.ArrayFeed(*rows, size, bool(shuffle), steps)
        if validation_batch_size is None and feed.batch_size is not None:
            validation_batch_size = feed.batch_size
        validation = self._validation_feed(
            validation_data, held_back, validation_batch_size, validation_steps, shapes
        )
        params = {"verbose": verbose, "epochs": epochs, "steps": feed.steps}
        history = History()
        hooks = CallbackList(callbacks)
        hooks.append(history)

        # From here on the model changes.
        self._adopt(shapes)
        self.stop_training = False
        self.history = history
        hooks.set_model(self)
        hooks.set_params(params)
        self._fitting += 1
        try:
            self._train(feed, validation, hooks, range(initial_epoch, epochs), due, verbose)
        finally:
            self._fitting -= 1
        return history

    def _train(self, feed, validation, hooks, epochs, validation_due, verbose) -> None:
        logs: dict = {}
        known_steps = feed.steps
        training = feeds.Pass(self, "train")
        hooks.on_train_begin()
        for epoch in epochs:
            feed.begin_epoch()
            if not feed.more():
                _warn_out_of_data()
                break
            heading = f"Epoch {epoch + 1}/{epochs.stop}" if epochs.stop > 1 else None
            training.reset()
            hooks.on_epoch_begin(epoch)
            progress = Progress(verbose, known_steps, heading)
            done = self._run(training, feed, hooks, "train", progress)
            logs = self._logs(training)
            ran_out = feed.steps is not None and done < feed.steps and not self.stop_training
            known_steps = done if known_steps is None else known_steps
            if validation is not None and validation_due(epoch + 1):
                results = self._test(validation, hooks, Progress(0, None))
                logs |= {f"val_{name}": value for name, value in results.items()}
            progress.finish(done, logs)
            hooks.on_epoch_end(epoch, logs)
            if ran_out:
                _warn_out_of_data()
            if ran_out or self.stop_training:
                break
        training.close()
        hooks.on_train_end(logs)

    def _run(self, run: feeds.Pass, feed, hooks, mode: str, progress: Progress) -> int:
        """One epoch of a feed; returns the number of batches."""
        done = 0
        if not hooks.overrides(mode):
            # The first batch alone: it is left out of the time a step takes.
            count = feed.run(run, 1, 0.0)
            while count:
                done += count
                progress.update(done, self._logs(run) if progress.drawing else {})
                count = feed.run(run, _ALL, _STRETCH)
            return done
        begin = getattr(hooks, f"on_{mode}_batch_begin")
        end = getattr(hooks, f"on_{mode}_batch_end")
        while feed.more():
            begin(done)
            feed.run(run, 1, 0.0)
            logs = self._logs(run)
            end(done, logs)
            done += 1
            progress.update(done, logs)
            if mode == "train" and self.stop_training:
                break
        return done

    def _logs(self, run: feeds.Pass) -> dict[str, float]:
        return dict(sorted(zip(self._compiled.names, run.results(), strict=True)))

    def _test(self, feed, hooks, progress: Progress) -> dict[str, float]:
        run = feeds.Pass(self, "test")
        hooks.on_test_begin()
        feed.begin_epoch()
        done = self._run(run, feed, hooks, "test", progress)
        if done == 0:
            raise ValueError("the data to evaluate on yield no batch")
        logs = self._logs(run)
        run.close()
        progress.finish(done, logs)
        hooks.on_test_end(logs)
        return logs

    def _batch_feed(self, source, y, sample_weight, batch_size, steps, name="x"):
        """(feed of an iterable of batches, the model's shapes with it)."""
        for argument, value in {"y": y, "sample_weight": sample_weight}.items():
            if value is not None:
                raise ValueError(f"{argument} is part of the batches where x is an iterable")
        if batch_size is not None:
            raise ValueError("batch_size cannot be given where x is an iterable of batches")

        def check(batch):
            x, truth, weight = feeds.split_batch(batch, name)
            return feeds.checked_rows(x, truth, weight, self, shapes)

        feed = feeds.BatchFeed(source, check, steps)
        first = feed.peek()
        x = feeds.split_batch(first, name)[0]
        shapes = self._shapes_for(lambda: data.infer_input_shape(data.as_array(x, "x")))
        self._compiled.resolve(shapes[1])
        check(first)
        return feed, shapes

    def _validation_feed(self, validation, held_back, batch_size, steps, shapes):
        steps = _steps("validation_steps", steps)
        size = _batch_size(batch_size, "validation_batch_size")
        if held_back is not None:
            return feeds.ArrayFeed(*held_back, size, steps=_at_most(steps, held_back[0], size))
        if validation is None:
            return None
        if isinstance(validation, (tuple, list)):
            if len(validation) not in (2, 3):
                raise ValueError(
                    "validation_data must be (x, y) or (x, y, sample_weight), got "
                    f"{len(validation)} things"
                )
            names = tuple(f"validation_data's {name}" for name in ("x", "y", "sample_weight"))
            rows = feeds.checked_rows(*(*validation, None)[:3], self, shapes, names)
            return feeds.ArrayFeed(*rows, size, steps=_at_most(steps, rows[0], size))
        if not feeds.is_iterable_of_batches(validation):
            raise TypeError(
                "validation_data must be a tuple (x, y) or an iterable of batches, got "
                f"{type(validation).__name__}"
            )

        def check(batch):
            return feeds.checked_rows(*feeds.split_batch(batch, "validation_data"), self, shapes)

        return feeds.BatchFeed(validation, check, steps)

    # ---- evaluate, predict ----------------------------------------------------------------------

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size: int | None = None,
        verbose="auto",
        sample_weight=None,
        steps: int | None = None,
        callbacks=None,
        return_dict: bool = False,
    ):
        """The loss and metrics on data, without training: a list in the order of metrics_names,
        the loss alone (a float) where there are no metrics, or a dict with return_dict=True.

        x, y, sample_weight: as in fit. steps: only so many batches.
        """
        self._require_loss("evaluate")
        verbose = _verbose(verbose)
        steps = _steps("steps", steps)
        feed, shapes = self._test_feed(x, y, batch_size, sample_weight, steps)
        hooks = CallbackList(callbacks)
        self._adopt(shapes)
        if hooks.callbacks:
            hooks.set_model(self)
            hooks.set_params({"verbose": verbose, "epochs": 1, "steps": feed.steps})
        return self._returned(self._test(feed, hooks, Progress(verbose, feed.steps)), return_dict)

    def _test_feed(self, x, y, batch_size, sample_weight, steps):
        if feeds.is_iterable_of_batches(x):
            return self._batch_feed(x, y, sample_weight, batch_size, steps)
        size = _batch_size(batch_size)
        shapes = self._shapes_for(lambda: data.infer_input_shape(data.as_array(x, "x")))
        self._compiled.resolve(shapes[1])
        rows = feeds.checked_rows(x, y, sample_weight, self, shapes)
        return feeds.ArrayFeed(*rows, size, steps=_at_most(steps, rows[0], size)), shapes

    def _returned(self, logs: dict, return_dict: bool):
        if return_dict:
            return logs
        values = [logs[name] for name in self._compiled.names]
        return values if len(values) > 1 else values[0]

    def predict(
        self, x, batch_size: int | None = None, verbose="auto", steps=None, callbacks=None
    ) -> np.ndarray:
        """The outputs for x, float32 (n, *output_shape); x may be an iterable of batches.

        A row's output has the same bits whatever the batch; batch_size (by default as many rows
        as a few MB hold, at least 32) costs or saves memory and time only.
        """
        verbose = _verbose(verbose)
        steps = _steps("steps", steps)
        hooks = CallbackList(callbacks)
        if feeds.is_iterable_of_batches(x):
            if batch_size is not None:
                raise ValueError("batch_size cannot be given where x is an iterable of batches")
            batches = (feeds.split_batch(batch, "x")[0] for batch in feeds.iterate(x))
            total = steps
        else:
            x = self._inputs(x)
            shown = _batch_size(batch_size)
            total = -(-len(x) // shown)
            if steps is not None and steps < total:
                total = steps
                x = x[: steps * shown]
            if not hooks.overrides("predict"):
                return self._predict_array(x, batch_size, verbose, total, hooks)
            batches = (x[i : i + shown] for i in range(0, len(x), shown))
        if hooks.callbacks:
            hooks.set_model(self)
            hooks.set_params({"verbose": verbose, "epochs": 1, "steps": total})
        progress = Progress(verbose, total)
        hooks.on_predict_begin()
        outputs: list = []
        for i, batch in enumerate(batches):
            hooks.on_predict_batch_begin(i)
            outputs.append(self(batch))
            hooks.on_predict_batch_end(i, {"outputs": outputs[-1]})
            progress.update(i + 1, {})
            if i + 1 == steps:
                break
        if not outputs:
            raise ValueError("x yields no batch")
        progress.finish(len(outputs), {})
        hooks.on_predict_end()
        return np.concatenate(outputs)

    def _predict_array(self, x, batch_size, verbose, steps, hooks) -> np.ndarray:
        self._realise()
        rows = self._rows_at_once if batch_size is None else batch_size
        out = np.empty((len(x), *self._shapes[-1]), np.float32)
        progress = Progress(verbose, steps)
        if hooks.callbacks:
            hooks.set_model(self)
            hooks.set_params({"verbose": verbose, "epochs": 1, "steps": steps})
        hooks.on_predict_begin()
        kept = self._take_runner("predict", max(1, min(rows, len(x))))
        # In one call, unless there is a bar to move: then in pieces, small ones at first.
        piece = rows if progress.drawing else max(1, len(x))
        first = 0
        while first < len(x):
            kept[1].predict(x[first : first + piece], out[first : first + piece])
            first += piece
            progress.update(min(steps, steps * first // len(x)), {})
            piece = min(2 * piece, 64 * rows) if progress.drawing else piece
        self._keep_runner("predict", kept)
        progress.finish(steps, {})
        hooks.on_predict_end()
        return out

    def __call__(self, x, training: bool = False) -> np.ndarray:
        """The outputs for one batch x, float32 (n, *output_shape); the way for few rows.

        training=True has Dropout drop and BatchNormalization use the batch's moments.
        """
        x = self._inputs(x)
        out = np.empty((len(x), *self._shapes[-1]), np.float32)
        if len(x):
            # With training=True the batch is one: its moments are of all rows.
            rows = len(x) if training else min(len(x), self._rows_at_once)
            kept = self._take_runner("predict", rows, bool(training))
            if training and kept[1].batch_size != rows:
                kept = self._take_runner("predict", rows, True)
            kept[1].predict(x, out, training=bool(training))
            self._keep_runner("predict", kept)
        return out

    def _inputs(self, x) -> np.ndarray:
        """x checked; builds a model that is not built."""
        if not self.built:
            x = data.as_array(x, "x")
            shapes = self._shapes_for(lambda: data.infer_input_shape(x))
            checked = feeds.prepare_inputs(x, self, shapes[0])
            self._adopt(shapes)
            return checked
        return feeds.prepare_inputs(x, self, self._in_shape)

    # ---- single batches -------------------------------------------------------------------------

    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight: dict | None = None, return_dict=False
    ):
        """One step on one batch; returns the loss and metrics of this batch, as evaluate does."""
        self._require_loss("train_on_batch")
        self._compiled.optimizer._check_owner(self)
        return self._one_batch("train", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """The loss and metrics of one batch, as evaluate returns them."""
        self._require_loss("test_on_batch")
        return self._one_batch("test", x, y, sample_weight, None, return_dict)

    def predict_on_batch(self, x) -> np.ndarray:
        """The outputs for one batch."""
        return self(x)

    def _one_batch(self, mode, x, y, sample_weight, class_weight, return_dict):
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError("give class_weight or sample_weight, not both")
            class_weight = data.check_class_weight(class_weight)
        shapes = self._shapes_for(lambda: data.infer_input_shape(data.as_array(x, "x")))
        self._compiled.resolve(shapes[1])
        x, y, weight = feeds.checked_rows(x, y, sample_weight, self, shapes)
        if class_weight is not None:
            weight = data.weights_of_classes(class_weight, y)
        self._adopt(shapes)
        kept = self._take_runner(mode, len(x))
        runner = kept[1]
        runner.start(x, y, weight, None, len(x))
        runner.run(1, float("inf"))
        logs = dict(zip(self._compiled.names, runner.last_results(), strict=True))
        self._keep_runner(mode, kept)
        return self._returned(dict(sorted(logs.items())), return_dict)


# ---- arguments ----------------------------------------------------------------------------------


def _verbose(value) -> int:
    if value == "auto":
        return 1
    if value not in (0, 1, 2):
        raise ValueError(f"verbose must be 0, 1, 2 or 'auto', got {value!r}")
    return int(value)


def _batch_size(value, name="batch_size") -> int:
    return 32 if value is None else _checks.integer(name, value, 1)


def _steps(name, value) -> int | None:
    return None if value is None else _checks.integer(name, value, 1)


def _at_most(steps, x, size) -> int | None:
    """Evaluating stops at the end of the data, however many steps were asked for."""
    return None if steps is None else min(steps, -(-len(x) // size))


def _validation_epochs(freq):
    """A function of the epoch, counted from 1: is it validated?"""
    if isinstance(freq, (list, tuple, set, frozenset)):
        wanted = {_checks.integer("validation_freq", epoch, 1) for epoch in freq}
        return wanted.__contains__
    every = _checks.integer("validation_freq", freq, 1)
    return lambda epoch: epoch % every == 0


def _split(rows, share):
    """(the first rows, the last ones), both (x, y, weight); the latter None if share is 0."""
    if not share:
        return rows, None
    n = len(rows[0])
    at = int(np.floor(n * (1.0 - share)))
    if at == 0 or at == n:
        raise ValueError(
            f"validation_split={share} of {n} rows leaves {at} rows to train on and {n - at} to "
            "validate with; both need at least one"
        )
    cut = [(None, None) if a is None else (a[:at], a[at:]) for a in rows]
    return tuple(a for a, _ in cut), tuple(b for _, b in cut)


def _warn_out_of_data() -> None:
    import warnings

    warnings.warn(
        "x ran out of batches before the last epoch: training ends here. An iterator can be gone "
        "through once; pass something that can be iterated anew, or fewer epochs",
        stacklevel=4,
    )
