"""Names of types, for annotations. Only type checkers import this file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .feeds import ArrayFeed, BatchFeed
from .initializers import Initializer
from .losses import Loss
from .metrics import Metric
from .optimizers import Optimizer

F32: TypeAlias = NDArray[np.float32]
I32: TypeAlias = NDArray[np.int32]
U8: TypeAlias = NDArray[np.uint8]
U32: TypeAlias = NDArray[np.uint32]
Array: TypeAlias = NDArray[Any]  # of any dtype

Shape: TypeAlias = tuple[int, ...]  # of one row, without the batch axis
Shapes: TypeAlias = tuple[Shape, Shape]  # a model's input and output
BatchShape: TypeAlias = tuple[int | None, ...]  # with the batch axis, None where it is not known
Sizes: TypeAlias = int | tuple[int, ...] | list[int]  # one number for both axes, or two
Config: TypeAlias = dict[str, Any]
Logs: TypeAlias = dict[str, Any]  # what callbacks are told: floats, by name
Function: TypeAlias = Callable[..., Any]
# (x, y, sample_weight), checked and ready for the core.
Rows: TypeAlias = tuple[Array, Array, F32 | None]
Feed: TypeAlias = ArrayFeed | BatchFeed

# What arguments take: a name, a config, a class, an object, or a function.
InitializerLike: TypeAlias = str | Config | type[Initializer] | Initializer | Function
OptimizerLike: TypeAlias = str | Config | type[Any] | Optimizer
LossLike: TypeAlias = str | Config | type[Loss] | Loss | Function
MetricLike: TypeAlias = str | Config | type[Metric] | Metric | Loss | Function
