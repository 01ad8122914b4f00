"""One step of an optimizer, in place: w, and the slots velocity, m, v, are written to.

All arrays have the shape of w, any shape. w and the slots must be float32, C-contiguous and
writeable, and may not share memory with each other or with dw, the gradient, which is converted.
TypeError for another dtype, ValueError for another shape, layout or value.

Slots that decay into denormals would stay there, as 0.9 of a few of the smallest numbers rounds to
as many, and be slow on some processors: velocity becomes 0 where it would be denormal, and m and v
in every 16th step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import kernels as _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import F32


def sgd_step(
    w: F32,
    dw: ArrayLike,
    learning_rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    velocity: F32 | None = None,
) -> F32:
    """w <- w - learning_rate dw; with momentum, velocity <- momentum velocity - learning_rate dw
    and w <- w + velocity, with nesterov w <- w + momentum velocity - learning_rate dw.

    0 <= momentum <= 1; velocity is required where it is not 0. Returns w. Error: 2 eps of |w| +
    |learning_rate dw|, with momentum 4 eps of |w| + |momentum velocity| + |learning_rate dw|.
    Source: Sutskever et al., ICML 2013, in the form that Keras gives it.
    """
    return _core.sgd_step(w, dw, learning_rate, momentum, bool(nesterov), velocity)


def adam_step(
    w: F32,
    m: F32,
    v: F32,
    dw: ArrayLike,
    step: int,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> F32:
    """m <- m + (1 - beta_1) (dw - m), v <- v + (1 - beta_2) (dw^2 - v), w <- w - r m / (sqrt v +
    epsilon), r = learning_rate sqrt(1 - beta_2^step) / (1 - beta_1^step); step counts from 1.

    0 <= beta_1, beta_2 < 1, epsilon >= 1e-16. Returns w. Error: 4 eps of |m| + |dw| and of v +
    dw^2, and of w 1 eps of |w| and 16 of the step that the new m and v give; a thousandth of it
    where epsilon is below 1e-12 and v too small for float32. A v that overflows stops its
    parameter. Source: Kingma and Ba, ICLR 2015; this epsilon is the "epsilon hat" at the end of its
    section 2, which is Keras's epsilon, not PyTorch's.
    """
    return _core.adam_step(w, m, v, dw, step, learning_rate, beta_1, beta_2, epsilon)
