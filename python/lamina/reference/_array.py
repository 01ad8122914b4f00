"""The one conversion that the reference makes of its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import Array


def real(x: ArrayLike) -> Array:
    """x as an array of its own floating dtype; integers, booleans and lists become float64."""
    x = np.asarray(x)
    return x if np.issubdtype(x.dtype, np.floating) else x.astype(np.float64)
