"""Batch normalisation over every axis but the last.

Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015. x: (..., channels), rank >= 2; gamma,
beta, mean, variance: (channels,). Below N is the number of values a channel has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._array import real

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import Array


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def batch_norm_forward(
    x: ArrayLike, gamma: Array, beta: Array, epsilon: float = 1e-3
) -> tuple[Array, Array, Array]:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with this batch's statistics.

    variance = sum (x - mean)^2 / N, the biased one. Returns (y, mean, variance).
    """
    x = real(x)
    mean, variance = _rows(x).mean(axis=0), _rows(x).var(axis=0)
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
    h = (x - mean) * rstd
    dbeta = _rows(dy).sum(axis=0)
    dgamma = _rows(dy * h).sum(axis=0)
    N = len(_rows(x))
    return gamma * rstd * (dy - dbeta / N - h * dgamma / N), dgamma, dbeta
