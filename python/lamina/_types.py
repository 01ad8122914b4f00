"""Names of types, for annotations. Only type checkers import this file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

F32: TypeAlias = NDArray[np.float32]
I32: TypeAlias = NDArray[np.int32]
U32: TypeAlias = NDArray[np.uint32]
Array: TypeAlias = NDArray[Any]  # of any dtype

Shape: TypeAlias = tuple[int, ...]
Sizes: TypeAlias = int | tuple[int, ...] | list[int]  # one number for both axes, or two
Config: TypeAlias = dict[str, Any]
Logs: TypeAlias = dict[str, Any]
Function: TypeAlias = Callable[..., Any]
