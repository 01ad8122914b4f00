"""evaluate, predict, and calling: the half of `Sequential` that changes no weight.

The loop hands the core stretches of 50 ms, so that progress is shown and Ctrl-C is heard, and
single batches only where a callback asks for them. Everything is checked before anything is done:
a call that raises for its arguments has not even built an unbuilt model.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, data, feeds
from ._hints import explained
from ._results import Output
from .callbacks import CallbackList
from .compiling import Compilable
from .frames import column_names
from .progress import Progress, finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._types import Array, Feed, Rows, Shapes
    from .memory import MemoryReport

_STRETCH = 0.05  # seconds of one call into the core
_ALL = 1 << 62
_FOR_EVER = float("inf")


class Inference(Compilable):
    """A model's evaluate and predict, and what fit shares with them."""

    def __init__(self) -> None:
        super().__init__()
        self.stop_training = False

    @explained
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and metrics on data, without training: a list in the order of metrics_names,
        the loss alone (a float) where there are no metrics, or a dict with return_dict=True.

        x, y, sample_weight: as in fit. batch_size (by default as many rows as a few MB hold, at
        least 32) costs or saves memory and time only. steps: only so many batches, by default of
        32 rows.
        """
        self._require_loss("evaluate")
        verbose = _checks.verbose(verbose)
        steps = _checks.steps("steps", steps)
        feed, shapes = self._test_feed(x, y, batch_size, sample_weight, steps)
        hooks = CallbackList(callbacks)
        self._adopt(shapes)
        self._check_outputs(feed.first_rows)
        self._compiled.said.discard("loss")
        if hooks.callbacks:
            hooks.set_model(self)
            hooks.set_params({"verbose": verbose, "epochs": 1, "steps": feed.steps})
        logs = self._test(feed, hooks, Progress(verbose, feed.steps))
        if logs is None:
            raise ValueError("x yields no batch")
        return self._returned(logs, return_dict)

    def _test_feed(
        self, x: Any, y: Any, batch_size: int | None, sample_weight: Any, steps: int | None
    ) -> tuple[Feed, Shapes]:
        if feeds.is_iterable_of_batches(x):
            return self._batch_feed(x, y, sample_weight, batch_size, steps)
        size = _checks.batch_size(batch_size)
        shapes = self._shapes_for(x)
        rows = feeds.checked_rows(x, y, sample_weight, self, shapes)
        feed = feeds.ArrayFeed(*rows, size, steps=steps, joins=batch_size is None)
        feed.columns = column_names(x)
        return feed, shapes

    def _returned(self, logs: dict[str, Any], return_dict: bool) -> Any:
        if return_dict:
            return logs
        values = [logs[name] for name in self._compiled.names]
        return values if len(values) > 1 else values[0]

    def predict(  # not @explained, which would cost a single row a tenth
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> np.ndarray:
        """The outputs for x, float32 (n, *output_shape); x may be an iterable of batches.

        A row's output has the same bits whatever the batch; batch_size (by default as many rows
        as a few MB hold, at least 32) costs or saves memory and time only.
        """
        verbose = _checks.verbose(verbose)
        shown = _checks.batch_size(batch_size)
        # A bar that moves with batches of the caller's size takes the long way.
        if steps is None and callbacks is None and (batch_size is None or not verbose):
            begin = time.monotonic() if verbose else 0.0
            out = self._predict_few(x)
            if out is not None:
                if verbose:
                    finished(verbose, -(-len(out) // shown), time.monotonic() - begin)
                return out
        steps = _checks.steps("steps", steps)
        hooks = CallbackList(callbacks)
        if feeds.is_iterable_of_batches(x):
            if batch_size is not None:
                raise ValueError("batch_size cannot be given where x is an iterable of batches")
            feeds.tell(x, "on_epoch_begin")
            batches = (feeds.split_batch(batch, "x")[0] for batch in feeds.iterate(x))
            total = steps
        else:
            x = self._inputs(x)
            total = -(-len(x) // shown)
            if steps is not None and steps < total:
                total = steps
                x = x[: steps * shown]
            if not hooks.overrides("predict") or not len(x):
                with self._at_work("used to predict"):
                    return self._predict_array(x, batch_size, verbose, total, hooks)
            batches = (x[i : i + shown] for i in range(0, len(x), shown))
        if hooks.callbacks:
            hooks.set_model(self)
            hooks.set_params({"verbose": verbose, "epochs": 1, "steps": total})
        with self._at_work("used to predict"):
            out = self._predict_batches(batches, Progress(verbose, total), steps, hooks)
            feeds.tell(x, "on_epoch_end")
        return out

    def _predict_batches(
        self, batches: Iterable[Any], progress: Progress, steps: int | None, hooks: CallbackList
    ) -> np.ndarray:
        hooks.on_predict_begin({})
        outputs: list[Any] = []
        for i, batch in enumerate(batches):
            hooks.on_predict_batch_begin(i, {})
            outputs.append(self(batch))
            hooks.on_predict_batch_end(i, {"outputs": outputs[-1]})
            progress.update(i + 1, {})
            if i + 1 == steps:
                break
        if not outputs:
            raise ValueError("x yields no batch")
        progress.finish(len(outputs), {})
        hooks.on_predict_end({})
        return np.concatenate(outputs)

    def _predict_array(
        self, x: Array, batch_size: int | None, verbose: int, steps: int, hooks: CallbackList
    ) -> np.ndarray:
        self._realise()
        rows = self._rows_at_once if batch_size is None else batch_size
        out = np.empty((len(x), *self._shapes[-1]), np.float32)
        progress = Progress(verbose, steps)
        if hooks.callbacks:
            hooks.set_model(self)
            hooks.set_params({"verbose": verbose, "epochs": 1, "steps": steps})
        hooks.on_predict_begin({})
        kept = self._take_runner("predict", max(1, min(rows, len(x))))
        # In one call, unless there is a bar to move: then in pieces, small ones at first.
        piece = rows if progress.drawing else max(1, len(x))
        first = 0
        while first < len(x):
            kept[1].predict(x[first : first + piece], out[first : first + piece], first)
            first += piece
            progress.update(min(steps, steps * first // len(x)), {})
            piece = min(2 * piece, 64 * rows) if progress.drawing else piece
        self._keep_runner("predict", kept)
        progress.finish(steps, {})
        hooks.on_predict_end({})
        return out

    def __call__(self, x: Any, training: bool = False) -> Output:
        """The outputs for one batch x, float32 (n, *output_shape); the way for few rows.

        An ndarray, on which scripts written for TensorFlow may call .numpy().

        training=True has Dropout drop, and BatchNormalization use the batch's moments and move
        its averages, as in Keras.
        """
        if not training:
            few = self._predict_few(x)
            if few is not None:
                return few.view(Output)
        x = self._inputs(x)
        out = np.empty((len(x), *self._shapes[-1]), np.float32)
        if len(x):
            # With training=True the batch is one: its moments are of all rows.
            mode = "rehearse" if training else "predict"
            rows = len(x) if training else min(len(x), self._rows_at_once)
            kept = self._take_runner(mode, rows)
            kept[1].predict(x, out)
            self._keep_runner(mode, kept)
        return out.view(Output)

    def _predict_few(self, x: Any) -> np.ndarray | None:
        """The outputs for a plain array of few rows by the shortest way; None, and nothing done,
        where something is to be checked, converted or made first."""
        if self._front_embedding is not None:
            return None
        kept = self._runners.pop("predict", None)
        if kept is None:
            return None
        (network,), runner = kept
        out = None
        if network is self._network:
            self._busy[runner] = "used to predict"  # _at_work by hand: the runner is ours alone
            try:
                out = runner.predict_few(x, self._rows_at_once)
            finally:
                del self._busy[runner]
        self._runners["predict"] = kept
        return out

    def _inputs(self, x: Any) -> np.ndarray:
        """x checked; builds a model that is not built."""
        if not self.built:
            x = data.as_array(x, "x")
            shapes = self._shapes_for(x)
            checked = feeds.prepare_inputs(x, self, shapes[0])
            self._adopt(shapes)
            return checked
        return feeds.prepare_inputs(x, self, self._in_shape)

    @explained
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and metrics of one batch, as evaluate returns them."""
        self._require_loss("test_on_batch")
        return self._one_batch("test", x, y, sample_weight, None, return_dict)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """The outputs for one batch."""
        return self(x).numpy()

    @explained
    def memory_report(self, batch_size: int | None = 32, mode: str = "train") -> MemoryReport:
        """The bytes that a mode ("train", "test" for evaluate, or "predict") takes with batches of
        this size: a MemoryReport of ints that add up to its `total`, and that prints as a table.

        Computed by laying the buffers out, without allocating them. batch_size None: the mode's
        own, which for evaluate(x, y) and predict(x) is as many rows as a few MB hold. Beside it
        come, for as long as a call lasts: 8 bytes a row for the order of shuffled rows (16 while
        it is drawn), targets and weights that had to be converted (4 bytes a number), the outputs
        of predict, and up to a few MB while arguments are checked. x is never copied where the
        core can read it.

        ValueError for a model that is not built, or not compiled where the mode asks for a loss.
        """
        from .memory import report

        mode = _checks.choice("mode", mode, ("train", "test", "predict"))
        if mode != "predict":
            self._require_loss("memory_report")
        self._realise()
        size = _checks.batch_size(batch_size)
        if batch_size is None and mode != "train":
            size = self._rows_at_once
        if mode == "train":
            self._check_backward()
        return report(self, mode, size)

    # ---- what fit shares ------------------------------------------------------------------------

    def _one_batch(
        self,
        mode: str,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: dict[int, float] | None,
        return_dict: bool,
    ) -> Any:
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError("give class_weight or sample_weight, not both")
            class_weight = data.check_class_weight(class_weight)
        shapes = self._shapes_for(x)
        x, y, weight = feeds.checked_rows(x, y, sample_weight, self, shapes)
        if class_weight is not None:
            weight = data.weights_of_classes(class_weight, y, self._compiled.loss._sparse)
        self._adopt(shapes)
        self._check_outputs(lambda: x)
        kept = self._take_runner(mode, len(x))
        runner = kept[1]
        runner.start(x, y, weight, None, len(x))
        runner.run(1, _FOR_EVER)
        values = runner.last_results()
        self._keep_runner(mode, kept)
        if not math.isfinite(values[0]):
            self._check_loss(values[0], feeds.ArrayFeed(x, y, weight, len(x)))
        if return_dict:
            return {name: values[i] for name, i in self._compiled.order}
        return values if len(values) > 1 else values[0]

    def _run(
        self, run: feeds.Pass, feed: Feed, hooks: CallbackList, mode: str, progress: Progress
    ) -> int:
        """One epoch of a feed; returns the number of batches."""
        done = 0
        if not hooks.overrides(mode):
            # The first batch alone: it is left out of the time a step takes.
            count = feed.run(run, _ALL, 0.0)
            while count:
                self._check_loss(run.results()[0], feed)
                done += count
                progress.update(done, self._logs(run) if progress.drawing else {})
                count = feed.run(run, _ALL, _STRETCH)
            return done
        begin, end = hooks.of_batches(mode)
        while feed.more():
            for hook in begin:
                hook(done, {})
            feed.run(run, 1, 0.0)
            logs = self._logs(run) if end or progress.drawing else {}
            if logs and not math.isfinite(logs["loss"]):
                self._check_loss(logs["loss"], feed)
            for hook in end:
                hook(done, logs)
            done += 1
            progress.update(done, logs)
            if mode == "train" and self.stop_training:
                break
        if done:
            self._check_loss(run.results()[0], feed)
        return done

    def _check_loss(self, loss: float, feed: Feed) -> None:
        """Says once in a run what has made the loss infinite or NaN."""
        if math.isfinite(loss) or "loss" in self._compiled.said:
            return
        from .diagnosis import explain_loss

        self._compiled.said.add("loss")
        x, batch = feed.suspects()
        explain_loss(self, loss, x, feed.what, feed.columns, batch)

    def _check_outputs(self, first_rows: Callable[[], np.ndarray]) -> None:
        """Says once whether the outputs go with the loss. first_rows: a function."""
        if "outputs" in self._compiled.said:
            return
        from .diagnosis import check_outputs

        self._compiled.said.add("outputs")
        check_outputs(self, first_rows)

    def _logs(self, run: feeds.Pass) -> dict[str, float]:
        values = run.results()
        return {name: values[i] for name, i in self._compiled.order}

    def _test(self, feed: Feed, hooks: CallbackList, progress: Progress) -> dict[str, float] | None:
        """None, and no hook called, if there is no batch."""
        run = feeds.Pass(self, "test")
        with self._at_work("evaluated"):
            feed.begin_epoch()
            if not feed.more():
                return None
            hooks.on_test_begin({})
            done = self._run(run, feed, hooks, "test", progress)
            feed.end_epoch()
            logs = self._logs(run)
            run.close()
            progress.finish(done, logs)
            hooks.on_test_end(logs)
        return logs

    def _batch_feed(
        self,
        source: Any,
        y: Any,
        sample_weight: Any,
        batch_size: int | None,
        steps: int | None,
        goes_on: bool = False,
        shuffle: bool = False,
    ) -> tuple[feeds.BatchFeed, Shapes]:
        """(feed of an iterable of batches, the model's shapes with it)."""
        for argument, value in {"y": y, "sample_weight": sample_weight}.items():
            if value is not None:
                raise ValueError(f"{argument} is part of the batches where x is an iterable")
        if batch_size is not None:
            raise ValueError("batch_size cannot be given where x is an iterable of batches")

        def check(batch: Any) -> Rows:
            x, truth, weight = feeds.split_batch(batch, "x")
            return feeds.checked_rows(x, truth, weight, self, shapes)

        feed = feeds.BatchFeed(source, check, steps, goes_on, shuffle)
        first = feed.peek()
        x = feeds.split_batch(first, "x")[0]
        shapes = self._shapes_for(x)
        check(first)
        return feed, shapes
