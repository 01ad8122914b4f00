"""fit: the part of `Sequential` that trains.

Everything is checked before anything is changed: a fit that raises for its arguments has left the
weights, and an unbuilt model, as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, data, feeds
from ._hints import explained
from ._warnings import warn
from .callbacks import CallbackList, History
from .frames import column_names
from .inference import Inference
from .progress import Output, Progress, output

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ._types import Feed, Rows, Shapes


class Trainer(Inference):
    """Base of Sequential, which knows layers and shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.history: History | None = None
        self._awaited: set[str] = set()

    @explained
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Collection[int] = 1,
    ) -> History:
        """Train the model; returns the History of the losses and metrics.

        x: rows (n, *input_shape) of any real type, not copied; or an iterable of batches (x, y) or
        (x, y, sample_weight), and then y, batch_size, weights and validation_split are not given;
        its on_epoch_begin() and on_epoch_end(), where it has them, are called around every epoch,
        and so are those of validation_data.
        y: targets; class numbers (n,) for a sparse loss, else (n, *output_shape).
        batch_size: 32 by default; the last batch may be smaller.
        epochs: number of the last epoch, so that initial_epoch resumes.
        verbose: 0 silent, 1 a bar, 2 a line an epoch; "auto" is 1.
        validation_split: share of the rows, the last ones before shuffling, to validate with.
        shuffle: visit rows in a new random order every epoch; of a PyDataset, its batches. Other
        iterables are taken in the order in which they come.
        validation_data: (x, y), (x, y, sample_weight), or an iterable of batches; goes before
        validation_split. validation_batch_size: by default batch_size, if that is given, else as
        evaluate. validation_freq: every so many epochs, or a list of epochs from 1.
        class_weight: {class: weight}, 1 for the others. sample_weight: (n,), or one for each value
        of the loss, (n, *output_shape[:-1]), as for the steps of a sequence.
        steps_per_epoch: batches an epoch; the data go on where the last epoch ended.

        The reported loss is the mean over rows of sample_weight times the row's loss.
        KeyboardInterrupt leaves a model that can be used and trained on.
        """
        compiled = self._require_loss("fit")
        self._check_idle("call fit", harmless=("evaluated", "used to predict"))
        verbose = _checks.verbose(verbose)
        epochs = _checks.integer("epochs", epochs, 0)
        initial_epoch = _checks.integer("initial_epoch", initial_epoch, 0)
        steps = _checks.steps("steps_per_epoch", steps_per_epoch)
        due = _validation_epochs(validation_freq)
        if not isinstance(shuffle, (bool, np.bool_)):
            raise ValueError(f"shuffle must be True or False, got {_checks.shown(shuffle)}")
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError("give class_weight or sample_weight, not both")
            class_weight = data.check_class_weight(class_weight)
        split = _checks.number("validation_split", validation_split, 0.0, 1.0)
        if validation_data is not None:
            split = 0.0
        compiled.optimizer._check_owner(self)
        feed: Feed

        if feeds.is_iterable_of_batches(x):
            if split:
                raise ValueError("validation_split needs arrays: x is an iterable of batches")
            if class_weight is not None:
                raise ValueError("class_weight needs arrays: x is an iterable of batches")
            feed, shapes = self._batch_feed(
                x, y, sample_weight, batch_size, steps, goes_on=True, shuffle=bool(shuffle)
            )
            held_back = None
        else:
            size = _checks.batch_size(batch_size)
            shapes = self._shapes_for(x)
            rows = feeds.checked_rows(x, y, sample_weight, self, shapes)
            rows, held_back = _split(rows, split)
            if class_weight is not None:
                weight = data.weights_of_classes(class_weight, rows[1], compiled.loss._sparse)
                rows = (*rows[:2], weight)
            feed = feeds.ArrayFeed(*rows, size, bool(shuffle), steps, goes_on=True)
            feed.columns = column_names(x)
        if validation_batch_size is None:
            validation_batch_size = batch_size
        validation = self._validation_feed(
            validation_data, held_back, validation_batch_size, validation_steps, shapes
        )
        params = {"verbose": verbose, "epochs": epochs, "steps": feed.steps}
        history = History()
        hooks = CallbackList(callbacks)
        hooks.append(history)

        # From here on the model changes.
        self._adopt(shapes)
        self._check_backward()
        self._check_outputs(feed.first_rows)
        compiled.said.discard("loss")
        self.stop_training = False
        self.history = history
        hooks.set_model(self)
        hooks.set_params(params)
        with self._at_work("trained"), output(verbose) as to:
            self._train(feed, validation, hooks, range(initial_epoch, epochs), due, verbose, to)
        return history

    def _train(
        self,
        feed: Feed,
        validation: Feed | None,
        hooks: CallbackList,
        epochs: range,
        validation_due: Callable[[int], bool],
        verbose: int,
        to: Output,
    ) -> None:
        logs: dict[str, Any] = {}
        known_steps = feed.steps
        # What epochs report, where they validate; callbacks that monitor it look here.
        names = self._compiled.names if validation is not None else []
        self._awaited = {f"val_{name}" for name in names}
        training = feeds.Pass(self, "train")
        hooks.on_train_begin({})
        for epoch in epochs:
            feed.begin_epoch()
            if not feed.more():
                _warn_out_of_data("x", "training ends here")
                break
            heading = f"Epoch {epoch + 1}/{epochs.stop}" if epochs.stop > 1 else None
            training.reset()
            hooks.on_epoch_begin(epoch, {})
            progress = Progress(verbose, known_steps, heading, to)
            done = self._run(training, feed, hooks, "train", progress)
            feed.end_epoch()
            logs = self._logs(training)
            ran_out = feed.steps is not None and done < feed.steps and not self.stop_training
            known_steps = done if known_steps is None else known_steps
            if validation is not None and validation_due(epoch + 1):
                results = self._test(validation, hooks, Progress(0, None))
                if results is None:
                    _warn_out_of_data("validation_data", "nothing is validated any more")
                    validation = None
                else:
                    logs |= {f"val_{name}": value for name, value in results.items()}
            progress.finish(done, logs)
            hooks.on_epoch_end(epoch, logs)
            if ran_out:
                _warn_out_of_data("x", "training ends here")
            if ran_out or self.stop_training:
                break
        training.close()
        hooks.on_train_end(logs)

    def _validation_feed(
        self,
        validation: Any,
        held_back: tuple[Rows, int] | None,
        batch_size: int | None,
        steps: int | None,
        shapes: Shapes,
    ) -> Feed | None:
        steps = _checks.steps("validation_steps", steps)
        size = _checks.batch_size(batch_size, "validation_batch_size")
        if held_back is not None:
            held, first = held_back
            joins = batch_size is None
            return feeds.ArrayFeed(*held, size, steps=steps, joins=joins, first_row=first)
        if validation is None:
            return None
        names = [f"validation_data's {name}" for name in ("x", "y", "sample_weight")]
        if isinstance(validation, (tuple, list)):
            if len(validation) not in (2, 3):
                raise ValueError(
                    "validation_data must be (x, y) or (x, y, sample_weight), got "
                    f"{len(validation)} things"
                )
            x, y, weight = (*validation, None)[:3]
            rows = feeds.checked_rows(x, y, weight, self, shapes, names)
            arrays = feeds.ArrayFeed(*rows, size, steps=steps, joins=batch_size is None)
            arrays.what, arrays.columns = names[0], column_names(x)
            return arrays
        if not feeds.is_iterable_of_batches(validation):
            raise TypeError(
                "validation_data must be a tuple (x, y) or an iterable of batches, got "
                f"{type(validation).__name__}"
            )

        def check(batch: Any) -> Rows:
            rows = feeds.split_batch(batch, "validation_data")
            return feeds.checked_rows(*rows, self, shapes, names)

        batches = feeds.BatchFeed(validation, check, steps)
        batches.what = names[0]
        check(batches.peek("validation_data"))
        return batches

    @explained
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch; returns the loss and metrics of this batch, as evaluate does."""
        self._require_loss("train_on_batch")
        self._compiled.optimizer._check_owner(self)
        return self._one_batch("train", x, y, sample_weight, class_weight, return_dict)


def _validation_epochs(freq: int | Collection[int]) -> Callable[[int], bool]:
    """A function of the epoch, counted from 1: is it validated?"""
    if isinstance(freq, (list, tuple, set, frozenset)):
        wanted = {_checks.integer("validation_freq", epoch, 1) for epoch in freq}
        return wanted.__contains__
    every = _checks.integer("validation_freq", freq, 1)
    return lambda epoch: epoch % every == 0


def _split(rows: Rows, share: float) -> tuple[Rows, tuple[Rows, int] | None]:
    """The first rows, and the last ones with the number of the first of them, None if share is 0;
    rows are (x, y, weight)."""
    if not share:
        return rows, None
    n = len(rows[0])
    at = int(np.floor(n * (1.0 - share)))
    if at == 0 or at == n:
        raise ValueError(
            f"validation_split={share} of {n} rows leaves {at} rows to train on and {n - at} to "
            "validate with; both need at least one"
        )
    x, y, weight = rows
    first, last = (None, None) if weight is None else (weight[:at], weight[at:])
    return (x[:at], y[:at], first), ((x[at:], y[at:], last), at)


def _warn_out_of_data(what: str, so: str) -> None:
    warn(
        f"{what} ran out of batches before the last epoch: {so}. An iterator can be gone through "
        "once; pass something that can be iterated anew, or fewer epochs"
    )
