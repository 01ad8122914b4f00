"""Activation functions, element by element, and their gradients.

A gradient takes dy, the gradient of the loss with respect to the output, and what the forward pass
left behind: the output y, for gelu the input x. All arrays have one shape, any shape, and `out`
may be any of the inputs (in place). NaN goes through, but for one in the y of relu's and
leaky_relu's gradient, which counts as not positive. Where a bound is relative to a denormal result,
the spacing of denormals is added to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import kernels as _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import F32


def relu_forward(x: ArrayLike, *, out: F32 | None = None) -> F32:
    """y = max(x, 0). Exact. Source: Nair and Hinton, ICML 2010."""
    return _core.relu_forward(x, 0.0, out)


def relu_backward(dy: ArrayLike, y: ArrayLike, *, out: F32 | None = None) -> F32:
    """dx = dy where y > 0, else 0. Exact. ValueError where the shapes differ."""
    return _core.relu_backward(dy, y, 0.0, out)


def leaky_relu_forward(x: ArrayLike, alpha: float = 0.2, *, out: F32 | None = None) -> F32:
    """y = x where x > 0, else alpha x. Error: 1 eps of y. Source: Maas, Hannun and Ng, ICML 2013.

    The default slope is that of Keras's function; its layer's is 0.3.
    """
    return _core.leaky_relu_forward(x, alpha, out)


def leaky_relu_backward(
    dy: ArrayLike, y: ArrayLike, alpha: float = 0.2, *, out: F32 | None = None
) -> F32:
    """dx = dy where y > 0, else alpha dy; alpha >= 0, so that y has the sign of x.

    Error: 1 eps of dx. ValueError where the shapes differ.
    """
    return _core.leaky_relu_backward(dy, y, alpha, out)


def elu_forward(x: ArrayLike, alpha: float = 1.0, *, out: F32 | None = None) -> F32:
    """y = x where x > 0, else alpha (e^x - 1). Error: 8 eps of y.

    Source: Clevert, Unterthiner and Hochreiter, ICLR 2016.
    """
    return _core.elu_forward(x, alpha, out)


def elu_backward(dy: ArrayLike, y: ArrayLike, alpha: float = 1.0, *, out: F32 | None = None) -> F32:
    """dx = dy where y > 0, else dy (y + alpha). Error: 3 eps |dy| (|y| + alpha).

    ValueError where the shapes differ.
    """
    return _core.elu_backward(dy, y, alpha, out)


def sigmoid_forward(x: ArrayLike, *, out: F32 | None = None) -> F32:
    """y = 1 / (1 + e^-x). Error: 8 eps of y."""
    return _core.sigmoid_forward(x, 0.0, out)


def sigmoid_backward(dy: ArrayLike, y: ArrayLike, *, out: F32 | None = None) -> F32:
    """dx = dy y (1 - y). Error: 4 eps |dy|. ValueError where the shapes differ."""
    return _core.sigmoid_backward(dy, y, 0.0, out)


def tanh_forward(x: ArrayLike, *, out: F32 | None = None) -> F32:
    """y = tanh(x). Error: 8 eps of y."""
    return _core.tanh_forward(x, 0.0, out)


def tanh_backward(dy: ArrayLike, y: ArrayLike, *, out: F32 | None = None) -> F32:
    """dx = dy (1 - y^2). Error: 4 eps |dy|. ValueError where the shapes differ."""
    return _core.tanh_backward(dy, y, 0.0, out)


def softplus_forward(x: ArrayLike, *, out: F32 | None = None) -> F32:
    """y = log(1 + e^x), without overflow. Error: 8 eps of y.

    Source: Dugas, Bengio, Belisle, Nadeau and Garcia, NIPS 2000.
    """
    return _core.softplus_forward(x, 0.0, out)


def softplus_backward(dy: ArrayLike, y: ArrayLike, *, out: F32 | None = None) -> F32:
    """dx = dy (1 - e^-y). Error: 8 eps |dx|. ValueError where the shapes differ."""
    return _core.softplus_backward(dy, y, 0.0, out)


def gelu_forward(x: ArrayLike, approximate: bool = False, *, out: F32 | None = None) -> F32:
    """y = x Phi(x), Phi the normal distribution function; approximate: Phi(x) is replaced by
    (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    Of infinities the limits: -0 and infinity. Error: 8 eps |x|. Source: Hendrycks and Gimpel, arXiv
    1606.08415.
    """
    function = _core.gelu_tanh_forward if approximate else _core.gelu_forward
    return function(x, 0.0, out)


def gelu_backward(
    dy: ArrayLike, x: ArrayLike, approximate: bool = False, *, out: F32 | None = None
) -> F32:
    """dx = dy d(gelu)/dx at x, the input of the forward pass.

    Error: 8 eps |dy|, approximate 24 eps |dy|. ValueError where the shapes differ.
    """
    function = _core.gelu_tanh_backward if approximate else _core.gelu_backward
    return function(dy, x, 0.0, out)
