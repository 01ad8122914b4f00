"""Matrix product, bias, and reductions along one axis of a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import kernels as _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import F32, I32


def gemm(
    a: ArrayLike,
    b: ArrayLike,
    *,
    trans_a: bool = False,
    trans_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
    bias: ArrayLike | None = None,
    activation: str = "linear",
    activation_alpha: float = 0.0,
    out: F32 | None = None,
) -> F32:
    """C = activation(alpha op(A) op(B) + beta C + bias), op(X) = X or X^T.

    op(a): (M, K), op(b): (K, N), bias: (N,), out: (M, N), which holds C where beta is not 0;
    otherwise it is not read. activation: linear relu leaky_relu elu sigmoid tanh gelu gelu_tanh
    softplus; activation_alpha is the slope of leaky_relu or the scale of elu. Returns (M, N).

    Error before the activation: (min(K, 256) + K / 256 + 3) eps of |alpha| |op(A)| |op(B)| +
    |beta C| + |bias|. That is with `lamina.set_float32_matmul_precision("highest")`. At other
    levels products from 64 columns and 32 terms on, of any number of rows, multiply parts of A and
    B. For the first two terms stand (min(K, 512) P / 32 + K / 512 + 20) eps, P = 6 (high), 3
    (medium) or 1 (low), and 1 eps, 2^-15 or 2^-7 (1 + 2^-9) of |alpha| |op(A)| |op(B)|.

    ValueError where the shapes do not fit, beta is not 0 and out is None, or the activation is
    unknown. Source: BLAS level 3, Dongarra et al., ACM Trans. Math. Softw. 16(1), 1990.
    """
    return _core.gemm(
        a,
        b,
        bool(trans_a),
        bool(trans_b),
        alpha,
        beta,
        bias,
        activation,
        activation_alpha,
        out,
    )


def add_bias(x: ArrayLike, bias: ArrayLike, *, out: F32 | None = None) -> F32:
    """y[..., j] = x[..., j] + bias[j]. x: (..., cols), bias: (cols,). Error: 1 eps of y.

    ValueError where the shapes do not fit.
    """
    return _core.add_bias(x, bias, out)


def column_sums(x: ArrayLike, *, out: F32 | None = None) -> F32:
    """y[j] = sum_i x[i, j]. x: (rows, cols). Returns (cols,). The gradient of a bias.

    Error: (min(rows, 256) + rows / 256) eps of sum_i |x[i, j]|. ValueError where x is no matrix.
    """
    return _core.column_sums(x, out)


def row_sums(x: ArrayLike, *, out: F32 | None = None) -> F32:
    """y[i] = sum_j x[i, j]. x: (rows, cols). Returns (rows,).

    Error: (cols / 16 + 16) eps of sum_j |x[i, j]|. ValueError where x is no matrix.
    """
    return _core.row_sums(x, out)


def row_argmax(x: ArrayLike, *, out: I32 | None = None) -> I32:
    """The first j with the largest x[i, j]; a NaN counts as largest. x: (rows, cols).

    Returns (rows,) int32. ValueError where x is no matrix, or has rows but no columns.
    """
    return _core.row_argmax(x, out)
