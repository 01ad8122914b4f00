"""Batch normalisation over every axis but the last.

Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015. x: (..., channels), rank >= 2; gamma,
beta, mean, variance: (channels,). Below N is the number of values a channel has, n = min(N, 256) +
N / 256 the length of a sum's chains. ValueError where the shapes do not fit or epsilon is negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import kernels as _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import F32


def batch_norm_forward(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    epsilon: float = 1e-3,
    *,
    out: tuple[F32 | None, F32 | None, F32 | None] | None = None,
) -> tuple[F32, F32, F32]:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with this batch's statistics.

    variance = sum (x - mean)^2 / N, the biased one. Returns (y, mean, variance); NaN where N is 0.
    The y of a constant channel is beta, however large the constant.
    `out` is a tuple of the three, in which any may be None; y may be x (in place). Error: of mean
    (n + 1) eps of the mean of |x|, of variance (n + 4) eps of it plus the square of mean's error.
    """
    return _core.batch_norm_forward(x, gamma, beta, epsilon, out)


def batch_norm_inference(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    mean: ArrayLike,
    variance: ArrayLike,
    epsilon: float = 1e-3,
    *,
    out: F32 | None = None,
) -> F32:
    """The same with statistics that are given. Returns y; `out` may be x (in place).

    Error: 6 eps of |gamma (x - mean)| / sqrt(variance + epsilon) + |beta|.
    """
    return _core.batch_norm_inference(x, gamma, beta, mean, variance, epsilon, out)


def batch_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike,
    mean: ArrayLike,
    variance: ArrayLike,
    epsilon: float = 1e-3,
    *,
    out: tuple[F32 | None, F32 | None, F32 | None] | None = None,
) -> tuple[F32, F32, F32]:
    """The gradient of batch_norm_forward, mean and variance those that it returned.

    With h = (x - mean) / sqrt(variance + epsilon): dbeta = sum dy, dgamma = sum dy h, and
    dx = gamma / sqrt(variance + epsilon) (dy - dbeta / N - h dgamma / N). Returns (dx, dgamma,
    dbeta). `out` is a tuple of the three, in which any may be None; dx may be dy (in place).
    Error: of dbeta n eps of sum |dy|, of dgamma (n + 6) eps of sum |dy h|, of dx (n + 12) eps of
    |gamma| / sqrt(variance + epsilon) (|dy| + mean |dy| + |h| mean |dy h|).
    """
    return _core.batch_norm_backward(dy, x, gamma, mean, variance, epsilon, out)
