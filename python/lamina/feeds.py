"""Where batches come from: arrays in memory (`ArrayFeed`) or an iterable of batches (`BatchFeed`).

A feed drives a `Pass`, which is one run over data in one mode with its means. Both feeds look the
same to the loop in training.py:

    steps            batches in an epoch, None if it shows only at the end
    begin_epoch(), end_epoch()
    more()           whether there is another batch
    first_rows()     some rows of x to look at
    suspects()       the rows of x to look for what a loss of NaN comes from, and their batch
    what, columns    what errors call x, and its columns' names if it had any
    run(p, limit, seconds) -> batches that were run, 0 at the end of the epoch's data; at least one
                     where there is one, even in no time
"""

from __future__ import annotations

import array
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core, _random, data
from .utils import PyDataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ._types import F32, Array, Rows, Shape

_END = object()
_FIRST_ROWS = 32
_ENDLESS = 1 << 62  # batches


class Pass:
    """One runner and its means; makes a larger runner when a larger batch comes."""

    def __init__(self, model: Any, mode: str) -> None:
        self._model = model
        self._mode = mode
        self._earlier: list[
            Any
        ] = []  # (rows, sum of weights, results) of runners that were too small
        self._rows = 0
        self._weight = 0.0
        self._kept: Any = None
        self.runner: Any = None  # the core's, once a batch has come

    def use(self, rows: int) -> _core.Runner:
        """A runner for batches of up to `rows` rows."""
        if self.runner is None or self.runner.batch_size < rows:
            if self.runner is not None and self._rows:
                self._earlier.append((self._rows, self._weight, self.runner.results()))
            self._kept = self._model._take_runner(self._mode, rows)
            self.runner = self._kept[1]
            self.runner.reset()
            self._rows, self._weight = 0, 0.0
        return self.runner

    def rows_at_once(self) -> int:
        """That the mode handles best, where nothing depends on the size of a batch."""
        self._model._realise()
        return self._model._rows_at_once

    def saw(self, rows: int, weight: float) -> None:
        """Only where runners can change in mid-pass: how much stands behind the means."""
        self._rows += rows
        self._weight += weight

    def reset(self) -> None:
        self._earlier.clear()
        self._rows, self._weight = 0, 0.0
        if self.runner is not None:
            self.runner.reset()

    def results(self) -> list[float]:
        if not self._earlier:
            return self.runner.results()
        parts = [*self._earlier, (self._rows, self._weight, self.runner.results())]
        means = []
        for i, weighted in enumerate(self._model._compiled.weighted):
            sizes = [part[1 if weighted else 0] for part in parts]
            total = sum(sizes)
            sums = [size * part[2][i] for size, part in zip(sizes, parts, strict=True)]
            means.append(sum(sums) / total if total else 0.0)
        return means

    def close(self) -> None:
        """Hands the runner back for the next call; not done after an error."""
        if self.runner is not None:
            self._model._keep_runner(self._mode, self._kept)
            self.runner = None


class ArrayFeed:
    """Checked arrays, visited in order or in a new random order every epoch.

    `steps`, where given, bounds an epoch. With `goes_on` it may also be more than the batches in
    the data: the visit goes on where the last epoch ended, and begins again, newly shuffled, at
    the end of the data. Without, every epoch begins at the first row.

    With `joins` (and without steps) the core may take several batches together, as a test can,
    unless they are asked for one by one.
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        weight: F32 | None,
        batch_size: int,
        shuffle: bool = False,
        steps: int | None = None,
        goes_on: bool = False,
        joins: bool = False,
        first_row: int = 0,
    ) -> None:
        self.x, self.y, self.weight = x, y, weight
        self._first_row = first_row  # in the user's arrays, for errors
        self.rows = len(x)
        self.batch_size = batch_size
        batches = -(-self.rows // batch_size)
        self._endless = goes_on and steps is not None
        self.steps = batches if steps is None else steps if goes_on else min(steps, batches)
        self._shuffle = shuffle
        self._joins = joins and steps is None
        self._started = False
        self._left = 0
        self.what = "x"
        self.columns: list[str] | None = None

    def begin_epoch(self) -> None:
        self._left = self.steps
        if not self._endless:
            self._started = False

    def end_epoch(self) -> None:
        pass

    def first_rows(self) -> np.ndarray:
        return self.x[:_FIRST_ROWS]

    def suspects(self) -> tuple[np.ndarray, int | None]:
        return self.x, None

    def more(self) -> bool:
        return self._left > 0

    def run(self, p: Pass, limit: int, seconds: float) -> int:
        if self._left == 0:
            return 0
        together = 1
        if self._joins and limit > 1:
            together = max(1, p.rows_at_once() // self.batch_size)
        size = min(together * self.batch_size, self.rows)
        runner = p.use(size)
        if not self._started:
            self._start(runner, size)
        done = runner.run(min(limit, self._left), seconds)
        if done == 0 and self._endless:
            self._start(runner, size)
            done = runner.run(min(limit, self._left), seconds)
        done = min(together * done, self._left)
        self._left -= done
        return done

    def _start(self, runner: _core.Runner, size: int) -> None:
        order = _random.permutation(self.rows, _random.next_seed()) if self._shuffle else None
        runner.start(self.x, self.y, self.weight, order, size, self._first_row)
        self._started = True


class BatchFeed:
    """An iterable of batches: (x, y) or (x, y, sample_weight), each checked as it comes.

    An iterator goes on where it was. What can be iterated anew is so every epoch; with `steps` and
    `goes_on` only at its end. `shuffle` has the batches of a PyDataset come in a new random order
    each time; others know their order themselves.

    The source's on_epoch_begin() is called before the first batch of an epoch is asked for, which
    for the first epoch is when the shapes are learnt from it.
    """

    batch_size = None  # as they come

    def __init__(
        self,
        source: Any,
        check: Callable[[Any], Rows],
        steps: int | None = None,
        goes_on: bool = False,
        shuffle: bool = False,
    ) -> None:
        self._source = source
        self._shuffle = shuffle
        self._check = check  # (batch) -> x, y, weight, ready for a runner
        self.steps = steps
        self._fixed = steps is not None
        self._endless = self._fixed and goes_on
        if not self._fixed:
            try:
                self.steps = len(source)
            except TypeError:
                self.steps = None
        self._once = hasattr(source, "__next__")
        self._iterator: Any = None
        self._peeked = _END
        self._left = 0
        self._begun = False
        self._suspects: tuple[np.ndarray, int] | None = None
        self._seen = 0  # batches of this epoch
        self.what = "x"
        self.columns: list[str] | None = None
        self._open = False  # has the source been told of this epoch?

    def peek(self, what: str = "x") -> Any:
        """The first batch, unchecked, to learn the shapes from; it is run all the same.

        ValueError if there is none.
        """
        self._tell_begin()
        if self._peeked is _END:
            self._peeked = self._next()
        if self._peeked is _END:
            raise ValueError(f"{what} yields no batch")
        return self._peeked

    def begin_epoch(self) -> None:
        self._left = self.steps if self._fixed and self.steps is not None else _ENDLESS
        if self._begun and not self._once and not self._endless:
            self._iterator, self._peeked = None, _END
        self._begun = True
        self._seen = 0
        self._tell_begin()

    def end_epoch(self) -> None:
        tell(self._source, "on_epoch_end")
        self._open = False

    def first_rows(self) -> np.ndarray:
        return self._check(self.peek())[0][:_FIRST_ROWS]

    def suspects(self) -> tuple[np.ndarray, int | None]:
        return self._suspects or (np.empty(0, np.float32), None)

    def _tell_begin(self) -> None:
        if not self._open:
            self._open = True
            tell(self._source, "on_epoch_begin")

    def more(self) -> bool:
        if self._left == 0:
            return False
        if self._peeked is _END:
            self._peeked = self._next()
        return self._peeked is not _END

    def run(self, p: Pass, limit: int, seconds: float) -> int:
        end = time.monotonic() + seconds
        done = 0
        while done < limit and self.more():
            batch, self._peeked = self._peeked, _END
            x, y, weight = self._check(batch)
            runner = p.use(len(x))
            runner.start(x, y, weight, None, len(x))
            runner.run(1, float("inf"))
            if self._suspects is None and not math.isfinite(runner.last_results()[0]):
                self._suspects = x, self._seen
            self._seen += 1
            p.saw(
                len(x), len(x) * (1.0 if weight is None else float(weight.mean(dtype=np.float64)))
            )
            done += 1
            self._left -= 1
            if time.monotonic() >= end:
                break
        return done

    def _next(self) -> Any:
        if self._iterator is None:
            self._iterator = iterate(self._source, self._shuffle)
        batch = next(self._iterator, _END)
        if batch is _END and not self._once and self._endless:
            # Fewer batches than steps: once more from the start.
            self._iterator = iterate(self._source, self._shuffle)
            batch = next(self._iterator, _END)
        return batch


def is_iterable_of_batches(x: Any) -> bool:
    """Whether x is a generator, a loader or the like rather than an array or a list of numbers."""
    buffers = (bytes, bytearray, memoryview, array.array)
    if isinstance(x, (np.ndarray, list, tuple, dict, str, *buffers)):
        return False
    if hasattr(x, "__array__") or data.is_sparse(x):
        return False
    return hasattr(x, "__next__") or hasattr(x, "__iter__") or hasattr(x, "__getitem__")


def iterate(source: Any, shuffle: bool = False) -> Iterator[Any]:
    """The batches of a source, once; those of a PyDataset in a random order with shuffle=True."""
    if isinstance(source, PyDataset):
        batches = len(source)
        order = _random.permutation(batches, _random.next_seed()) if shuffle else range(batches)
        return (source[int(i)] for i in order)
    if hasattr(source, "__iter__"):
        return iter(source)
    return (source[i] for i in range(len(source)))


def tell(source: Any, hook: str) -> None:
    """Call the source's on_epoch_begin or on_epoch_end, if it has one."""
    function = getattr(source, hook, None)
    if callable(function):
        function()


def split_batch(batch: Any, what: str) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of what an iterable yielded; y and the weight may be missing."""
    if not isinstance(batch, (tuple, list)):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise ValueError(
            f"{what} must yield (x, y) or (x, y, sample_weight), got {len(batch)} things"
        )
    x, y, weight = (*batch, None, None)[:3]
    return x, y, weight


def checked_rows(
    x: Any,
    y: Any,
    weight: Any,
    model: Any,
    shapes: tuple[Shape, Shape],
    what: Sequence[str] = ("x", "y", "sample_weight"),
) -> Rows:
    """x, y and weights, checked against the shapes and the loss, ready for a runner."""
    loss = model._compiled.loss
    x = prepare_inputs(x, model, shapes[0], what[0])
    if y is None:
        raise ValueError(f"{what[1]} is missing: it is needed to compute the loss")
    y = data.prepare_y(y, len(x), shapes[1], loss._sparse, loss.name, what[1])
    weight = data.prepare_weights(weight, len(x), shapes[1][:-1], what[2])
    if weight is not None and weight.ndim > 1:
        model._compiled.check_weights_of_values(what[2])
    if len(x) == 0:
        raise ValueError(f"{what[0]} is empty: it has no rows")
    return x, y, weight


def prepare_inputs(x: Any, model: Any, input_shape: Shape, what: str = "x") -> Array:
    """x, checked against the model's input shape; the indices too if an Embedding comes first."""
    x = data.prepare_x(x, input_shape, model._layers[0], what)
    embedding = model._front_embedding
    if embedding is not None:
        data.check_indices(x, embedding.input_dim, embedding._label)
    return x
