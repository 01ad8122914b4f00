"""Matrix product, bias, and reductions along one axis of a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import activations, parts
from ._array import real

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import Array, Function

_ACTIVATIONS: dict[str, Function] = {
    "linear": lambda z, alpha: z,
    "relu": lambda z, alpha: activations.relu_forward(z),
    "leaky_relu": activations.leaky_relu_forward,
    "elu": activations.elu_forward,
    "sigmoid": lambda z, alpha: activations.sigmoid_forward(z),
    "tanh": lambda z, alpha: activations.tanh_forward(z),
    "gelu": lambda z, alpha: activations.gelu_forward(z),
    "gelu_tanh": lambda z, alpha: activations.gelu_forward(z, approximate=True),
    "softplus": lambda z, alpha: activations.softplus_forward(z),
}


def gemm(
    a: ArrayLike,
    b: ArrayLike,
    *,
    trans_a: bool = False,
    trans_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
    bias: Array | None = None,
    activation: str = "linear",
    activation_alpha: float = 0.0,
    c: Any = None,
    precision: str = "highest",
) -> Array:
    """activation(alpha op(A) op(B) + beta C + bias), op(X) = X or X^T.

    op(a): (M, K), op(b): (K, N), bias: (N,), c: (M, N), needed where beta is not 0; the kernel
    finds it in `out`. precision: what the kernel takes from `lamina.set_float32_matmul_precision`;
    below highest A and B are rounded to float32 and cut into bf16 parts. Returns (M, N). With
    beta = 0, C is not read: a NaN in it goes nowhere.
    Source: BLAS level 3, Dongarra et al., ACM Trans. Math. Softw. 16(1), 1990.
    """
    a, b = real(a), real(b)
    a, b = a.T if trans_a else a, b.T if trans_b else b
    z: Array = alpha * (a @ b if precision == "highest" else parts.product(a, b, precision))
    if beta != 0:
        z = z + beta * real(c)
    if bias is not None:
        z = z + bias
    return _ACTIVATIONS[activation](z, activation_alpha)


def add_bias(x: ArrayLike, bias: ArrayLike) -> Array:
    """y[..., j] = x[..., j] + bias[j]. x: (..., cols), bias: (cols,)."""
    return real(x) + real(bias)


def column_sums(x: ArrayLike) -> Array:
    """sum_i x[i, j]. x: (rows, cols). Returns (cols,). The gradient of a bias."""
    return real(x).sum(axis=0)


def row_sums(x: ArrayLike) -> Array:
    """sum_j x[i, j]. x: (rows, cols). Returns (rows,)."""
    return real(x).sum(axis=1)


def row_argmax(x: ArrayLike) -> Array:
    """The first j with the largest x[i, j]; a NaN counts as largest. x: (rows, cols), cols > 0.

    Returns (rows,) int32.
    """
    return np.argmax(x, axis=1).astype(np.int32)
