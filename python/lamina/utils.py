"""Helpers: the global seed, one-hot targets, a check of gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _random
from ._hints import explained, module_hooks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from .gradients import GradientReport

__all__ = [
    "PyDataset",
    "Sequence",
    "check_gradients",
    "clear_session",
    "set_random_seed",
    "to_categorical",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = module_hooks(__name__, __all__)


def set_random_seed(seed: int) -> None:
    """Make everything random repeatable: Python's `random`, NumPy, and `lamina` itself.

    Initial weights, the order of rows and dropout masks follow from the seed alone, whatever the
    number of threads. seed: an integer in [0, 2^32). ValueError for anything else, as in Keras.
    """
    try:
        seed = _checks.integer("seed", seed)
    except TypeError as error:
        raise ValueError(str(error)) from None
    if not 0 <= seed < 1 << 32:
        raise ValueError(f"seed must be in [0, 2**32), got {seed}")
    import random

    random.seed(seed)
    np.random.seed(seed)
    _random.set_seed(seed)


@explained
def to_categorical(x: ArrayLike, num_classes: int | None = None) -> np.ndarray:
    """One-hot rows: class numbers (...) -> float32 (..., num_classes), 1 at the class.

    An axis of size 1 at the end is dropped. num_classes defaults to the largest number plus 1.
    ValueError for fractions, negative numbers, and numbers that are not below num_classes.
    """
    from . import data

    x = data.as_array(x, "x")
    if x.ndim > 1 and x.shape[-1] == 1:
        x = x[..., 0]
    if num_classes is None:
        data.check_finite(x, "x")
        num_classes = int(x.max()) + 1 if x.size else 0
    num_classes = _checks.integer("num_classes", num_classes, 0)
    flat = data.class_numbers(x.reshape(-1), num_classes, "x", f"num_classes is {num_classes}")
    out = np.zeros((flat.size, num_classes), np.float32)
    out[np.arange(flat.size), flat] = 1.0
    return out.reshape(*x.shape, num_classes)


def check_gradients(
    layer_or_model: Any,
    shape: tuple[int | None, ...],
    *,
    x: Any = None,
    y_true: Any = None,
    seed: int = 0,
) -> GradientReport:
    """Compare a backward that was written by hand with finite differences of its forward.

    layer_or_model: a Layer or a Loss of your own, or a Sequential, of which every layer that is
    your own is checked, each on random inputs, and a loss of your own. A layer that is not built
    is built; weights are as they were afterwards. shape: of a batch, (3, 8) or (None, 8), or of
    one row; for a loss that of y_pred. x: the inputs, of a loss y_pred, to check at, by default
    random; y_true: the targets of a loss. forward is called with training=True.

    Returns a report that prints a line for each array of gradients, with its worst element.
    AssertionError, with that report, where they differ by more than rounding and the function's
    curvature explain; lamina.gradients says how that is told. TypeError for layers that are not
    written in NumPy, NotImplementedError where there is no backward, ValueError for a forward that
    is random, not finite or has corners everywhere.
    """
    from .gradients import check

    return check(layer_or_model, shape, x, y_true, seed)


class PyDataset:
    """Base of data sets that make their batches one by one; subclass it and pass it to fit.

    Define `__getitem__(index)`, which returns the batch (x, y) or (x, y, sample_weight), and
    `__len__`, the batches of an epoch; if you like, on_epoch_begin and on_epoch_end, which are
    called around every epoch, and around evaluate and predict. fit takes the batches in a new
    random order every epoch, unless it is told shuffle=False. workers, use_multiprocessing and
    max_queue_size are understood and change nothing: a batch is asked for when it is needed, by
    the thread that trains.
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__()")

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def on_epoch_begin(self) -> None:
        """Before every epoch of fit, evaluate or predict: before its first batch is asked for."""

    def on_epoch_end(self) -> None:
        """After every epoch of fit, evaluate or predict."""


Sequence = PyDataset


@explained
def clear_session() -> None:
    """Automatic names start anew: the next Dense is called `dense` again."""
    from ._names import reset_names

    reset_names()
