"""Softmax and its logarithm along the last axis.

Arrays: (..., cols), any rank >= 1. The maximum is subtracted first, which changes nothing but
keeps e^x finite (Goodfellow, Bengio and Courville, "Deep Learning", section 4.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._array import real

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import Array


def _centred(x: Array) -> Array:
    return x - x.max(axis=-1, keepdims=True, initial=-np.inf)


def softmax_forward(x: ArrayLike) -> Array:
    """y_j = e^x_j / sum_k e^x_k."""
    e = np.exp(_centred(real(x)))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx_j = y_j (dy_j - sum_k dy_k y_k)."""
    dy, y = real(dy), real(y)
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def log_softmax_forward(x: ArrayLike) -> Array:
    """y_j = x_j - log sum_k e^x_k."""
    x = _centred(real(x))
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def log_softmax_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx_j = dy_j - e^y_j sum_k dy_k."""
    dy = real(dy)
    return dy - np.exp(real(y)) * dy.sum(axis=-1, keepdims=True)
