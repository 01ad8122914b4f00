"""Batch normalisation over every axis but the last.

Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015. x: (..., channels), rank >= 2; gamma,
beta, mean, variance: (channels,). Below N is the number of values a channel has.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ._array import real

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import Array


def _rows(x: Array) -> Array:
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _mean(x: Array) -> Array:
    """Of each channel; NaN where there are no rows."""
    with np.errstate(invalid="ignore"):
        return _rows(x).sum(axis=0) / x.dtype.type(len(_rows(x)))


def batch_norm_forward(
    x: ArrayLike, gamma: Array, beta: Array, epsilon: float = 1e-3
) -> tuple[Array, Array, Array]:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with this batch's statistics.

    variance = sum (x - mean)^2 / N, the biased one. The mean is corrected for its rounding, so that
    the y of a constant channel is beta. Returns (y, mean, variance).
    """
    x = real(x)
    mean = _mean(x)
    with np.errstate(invalid="ignore"):
        mean = np.where(np.isfinite(mean), mean + _mean(x - mean), mean)
    variance = _mean((x - mean) ** 2)
    return batch_norm_inference(x, gamma, beta, mean, variance, epsilon), mean, variance


def batch_norm_inference(
    x: ArrayLike,
    gamma: Array,
    beta: Array,
    mean: Array,
    variance: Array,
    epsilon: float = 1e-3,
) -> Array:
    """The same with statistics that are given."""
    return real(gamma) * (real(x) - mean) / np.sqrt(real(variance) + epsilon) + beta


def batch_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: Array,
    mean: Array,
    variance: Array,
    epsilon: float = 1e-3,
) -> tuple[Array, Array, Array]:
    """The gradient of batch_norm_forward, mean and variance those that it returned.

    With h = (x - mean) / sqrt(variance + epsilon): dbeta = sum dy, dgamma = sum dy h, and
    dx = gamma / sqrt(variance + epsilon) (dy - dbeta / N - h dgamma / N).
    Returns (dx, dgamma, dbeta).
    """
    dy, x = real(dy), real(x)
    rstd = 1 / np.sqrt(real(variance) + epsilon)
    d, N = x - mean, max(1, len(_rows(x)))
    dbeta = _rows(dy).sum(axis=0)
    dgamma = _rows(dy * d).sum(axis=0) * rstd
    a = gamma * rstd
    return a * dy - (a * rstd * dgamma / N * d + a * dbeta / N), dgamma, dbeta
