"""Activation functions, element by element, and their gradients.

A gradient takes dy, the gradient of the loss with respect to the output, and what the forward pass
left behind: the output y, for gelu the input x. All arrays have one shape, any shape.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ._array import real

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import Array


def relu_forward(x: ArrayLike) -> Array:
    """y = max(x, 0). Source: Nair and Hinton, ICML 2010."""
    return np.maximum(real(x), 0)


def relu_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy where y > 0, else 0."""
    return np.where(real(y) > 0, real(dy), 0)


def leaky_relu_forward(x: ArrayLike, alpha: float = 0.2) -> Array:
    """y = x where x > 0, else alpha x. Source: Maas, Hannun and Ng, ICML 2013."""
    x = real(x)
    return np.where(x > 0, x, alpha * x)


def leaky_relu_backward(dy: ArrayLike, y: ArrayLike, alpha: float = 0.2) -> Array:
    """dx = dy where y > 0, else alpha dy; alpha >= 0, so that y has the sign of x."""
    dy = real(dy)
    return np.where(real(y) > 0, dy, alpha * dy)


def elu_forward(x: ArrayLike, alpha: float = 1.0) -> Array:
    """y = x where x > 0, else alpha (e^x - 1). Source: Clevert et al., ICLR 2016."""
    x = real(x)
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_backward(dy: ArrayLike, y: ArrayLike, alpha: float = 1.0) -> Array:
    """dx = dy where y > 0, else dy (y + alpha), because alpha e^x = y + alpha; alpha >= 0."""
    dy, y = real(dy), real(y)
    return np.where(y > 0, dy, dy * (y + alpha))


def sigmoid_forward(x: ArrayLike) -> Array:
    """y = 1 / (1 + e^-x), written for either sign so that nothing overflows."""
    x = real(x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def sigmoid_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy y (1 - y)."""
    y = real(y)
    return real(dy) * y * (1 - y)


def tanh_forward(x: ArrayLike) -> Array:
    """y = tanh x."""
    return np.tanh(real(x))


def tanh_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy (1 - y^2) = dy (1 - y) (1 + y)."""
    y = real(y)
    return real(dy) * (1 - y) * (1 + y)


def softplus_forward(x: ArrayLike) -> Array:
    """y = log(1 + e^x). Source: Dugas et al., NIPS 2000."""
    return np.logaddexp(real(x), 0)


def softplus_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy sigmoid(x) = dy (1 - e^-y)."""
    return real(dy) * -np.expm1(-real(y))


_SQRT_2 = math.sqrt(2)
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def _normal_cdf(x: Array) -> Array:
    """Phi(x) = erfc(-x / sqrt 2) / 2, which keeps its digits in the lower tail."""
    half_erfc = np.frompyfunc(lambda t: 0.5 * math.erfc(-t / _SQRT_2), 1, 1)
    return np.asarray(half_erfc(x), dtype=x.dtype).reshape(x.shape)


def _tanh_argument(x: Array) -> Array:
    return _SQRT_2_OVER_PI * (x + _CUBIC * x**3)


def _finite(x: Array) -> Array:
    """x with infinities as the largest numbers, whose product with a vanished factor is 0."""
    largest = np.finfo(x.dtype).max
    return np.clip(x, -largest, largest)


def gelu_forward(x: ArrayLike, approximate: bool = False) -> Array:
    """y = x Phi(x); approximately x (1 + tanh u) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3).

    (1 + tanh u) / 2 is sigmoid(2 u), which keeps its digits where u is very negative.
    At infinities the limits: -0 and infinity.
    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
    """
    x = real(x)
    above = np.maximum(x, np.finfo(x.dtype).min)
    return above * (sigmoid_forward(2 * _tanh_argument(x)) if approximate else _normal_cdf(x))


def gelu_backward(dy: ArrayLike, x: ArrayLike, approximate: bool = False) -> Array:
    """dx = dy (Phi(x) + x phi(x)), phi the normal density; approximately, with s = sigmoid(2 u),
    dx = dy (s + 2 x s (1 - s) du/dx). At infinities the limits: 0 and dy."""
    dy, x = real(dy), real(x)
    if approximate:
        x = np.clip(x, -1e3, 1e3)  # beyond, s is 0 or 1, and x^3 might overflow
        u = _tanh_argument(x)
        s = sigmoid_forward(2 * u)
        du = _SQRT_2_OVER_PI * (1 + 3 * _CUBIC * x**2)
        return dy * (s + 2 * x * s * sigmoid_forward(-2 * u) * du)
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return dy * (_normal_cdf(x) + _finite(x) * density)
