"""Softmax and its logarithm along the last axis.

Arrays: (..., cols), any rank >= 1. The maximum is subtracted first, which changes nothing but
keeps e^x finite (Goodfellow, Bengio and Courville, "Deep Learning", section 4.1). A NaN makes its
row NaN. `out` may be any of the inputs (in place).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import kernels as _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import F32


def softmax_forward(x: ArrayLike, *, out: F32 | None = None) -> F32:
    """y_j = e^x_j / sum_k e^x_k. Error: (cols / 16 + 16 + max_k x_k - x_j) eps of y_j.

    ValueError for an array without axes.
    """
    return _core.softmax_forward(x, out)


def softmax_backward(dy: ArrayLike, y: ArrayLike, *, out: F32 | None = None) -> F32:
    """dx_j = y_j (dy_j - sum_k dy_k y_k). Error: (cols / 16 + 16) eps max_k |dy_k| y_j.

    ValueError where the shapes differ.
    """
    return _core.softmax_backward(dy, y, out)


def log_softmax_forward(x: ArrayLike, *, out: F32 | None = None) -> F32:
    """y_j = x_j - log sum_k e^x_k. Error: (cols / 16 + 16) eps (1 + |y_j|).

    ValueError for an array without axes.
    """
    return _core.log_softmax_forward(x, out)


def log_softmax_backward(dy: ArrayLike, y: ArrayLike, *, out: F32 | None = None) -> F32:
    """dx_j = dy_j - e^y_j sum_k dy_k. Error: (cols / 16 + 16) eps sum_k |dy_k|.

    ValueError where the shapes differ.
    """
    return _core.log_softmax_backward(dy, y, out)
