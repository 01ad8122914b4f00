"""Helpers: the global seed, one-hot targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _random

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike


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


def clear_session() -> None:
    """Automatic names start anew: the next Dense is called `dense` again."""
    from ._names import reset_names

    reset_names()
