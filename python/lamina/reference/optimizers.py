"""One step of an optimizer, in place: w, and the slots velocity, m, v, are written to.

All arrays have the shape of w. dw is the gradient. Slots that decay into denormals would stay
there, as 0.9 of a few of the smallest numbers rounds to as many, and be slow on some processors:
they become 0 where float32 would hold them so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .._types import Array


_SMALLEST_NORMAL = 2.0**-126


def _without_denormals(x: Array) -> Array:
    return np.where(np.abs(x) < _SMALLEST_NORMAL, 0, x)


def sgd_step(
    w: Array,
    dw: Array,
    learning_rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    velocity: Any = None,
) -> Array:
    """w <- w - learning_rate dw; with momentum, velocity <- momentum velocity - learning_rate dw
    and w <- w + velocity, with nesterov w <- w + momentum velocity - learning_rate dw.

    Returns w. Source: Sutskever et al., ICML 2013, in the form that Keras gives it.
    """
    step = -learning_rate * dw
    if momentum != 0:
        velocity[...] = _without_denormals(momentum * velocity + step)
        step = momentum * velocity + step if nesterov else velocity
    w += step
    return w


def adam_step(
    w: Array,
    m: Array,
    v: Array,
    dw: Array,
    step: int,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> Array:
    """m <- m + (1 - beta_1) (dw - m), v <- v + (1 - beta_2) (dw^2 - v), w <- w - r m / (sqrt v +
    epsilon), r = learning_rate sqrt(1 - beta_2^step) / (1 - beta_1^step); step counts from 1.
    Every 16th step looks for denormals.

    Returns w. Source: Kingma and Ba, ICLR 2015; this epsilon is the "epsilon hat" at the end of
    its section 2, which is Keras's epsilon, not PyTorch's.
    """
    m += (1 - beta_1) * (dw - m)
    v += (1 - beta_2) * (dw**2 - v)
    if step % 16 == 0:
        m[...], v[...] = _without_denormals(m), _without_denormals(v)
    rate = learning_rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    w -= rate * m / (np.sqrt(v) + epsilon)
    return w
