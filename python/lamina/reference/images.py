"""Convolution and pooling of images.

Images are NHWC: (batch, height, width, channels). Along one axis of n inputs, a window of k taps
with dilation d reaches over r = (k - 1) d + 1 inputs. padding "valid" keeps the windows inside:
floor((n - r) / stride) + 1 outputs. "same" gives ceil(n / stride) outputs and adds
max((outputs - 1) stride + r - n, 0) zeros, the odd one at the end, as TensorFlow does. Where a tap
meets one of these it is left out: zero times an infinite weight does not come in. Sizes may be one
int or a pair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._array import real

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from .._types import Array, Shape, Sizes


def _pair(v: Sizes) -> tuple[int, int]:
    return (v, v) if isinstance(v, (int, np.integer)) else (v[0], v[1])


def _axis(n: int, k: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """(outputs, zeros before) along one axis."""
    reach = (k - 1) * dilation + 1
    if padding == "valid":
        return (n - reach) // stride + 1, 0
    outputs = -(-n // stride)
    return outputs, max((outputs - 1) * stride + reach - n, 0) // 2


def _inside(n: int, outputs: int, stride: int, first: int) -> tuple[slice, slice]:
    """The outputs whose tap, at input first + output * stride, lies in [0, n), and those inputs."""
    begin = max(-(first // stride), 0)
    end = max(min((n - 1 - first) // stride + 1, outputs), begin)
    start = first + begin * stride
    return slice(begin, end), slice(start, start + (end - begin) * stride, stride)


class _Geometry:
    """Output size and, for every tap of the kernel, the pixels it meets.

    image: the shape of all images, NHWC.
    """

    def __init__(
        self,
        image: Shape,
        kernel_size: Sizes,
        strides: Sizes,
        padding: str,
        dilation: Sizes = 1,
    ) -> None:
        self.kernel_size = _pair(kernel_size)
        self.strides = _pair(strides)
        self.dilation = _pair(dilation)
        rows, columns = (
            _axis(n, k, s, d, padding)
            for n, k, s, d in zip(
                image[1:3], self.kernel_size, self.strides, self.dilation, strict=True
            )
        )
        self.height, self.width = image[1:3]
        self.out_height, self.out_width = rows[0], columns[0]
        self.top, self.left = rows[1], columns[1]

    def taps(self) -> Iterator[tuple[int, int, tuple[slice, ...], tuple[slice, ...]]]:
        """Yields (i, j, at, where): at the output pixels y[at] tap (i, j) meets x[where]; at the
        others it lies outside the image."""
        (sh, sw), (dh, dw) = self.strides, self.dilation
        every = slice(None)
        for i in range(self.kernel_size[0]):
            out_rows, rows = _inside(self.height, self.out_height, sh, i * dh - self.top)
            for j in range(self.kernel_size[1]):
                out_columns, columns = _inside(self.width, self.out_width, sw, j * dw - self.left)
                yield i, j, (every, out_rows, out_columns), (every, rows, columns)

    def windows(self) -> Iterator[tuple[int, int, slice, slice]]:
        """Yields (oi, oj, rows, columns): the part of the image under each output pixel."""
        (kh, kw), (sh, sw) = self.kernel_size, self.strides
        for oi in range(self.out_height):
            for oj in range(self.out_width):
                i, j = oi * sh - self.top, oj * sw - self.left
                rows = slice(max(i, 0), min(i + kh, self.height))
                columns = slice(max(j, 0), min(j + kw, self.width))
                yield oi, oj, rows, columns


def conv2d_forward(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    strides: Sizes = (1, 1),
    padding: str = "valid",
    dilation: Sizes = (1, 1),
) -> Array:
    """y[n, oi, oj, f] = bias[f] + sum_{i, j, c} x[n, oi sh + i dh, oj sw + j dw, c] k[i, j, c, f].

    x: (n, height, width, channels); kernel: (kh, kw, channels, filters).
    Returns (n, out_height, out_width, filters). It is a correlation: the kernel is not flipped.
    """
    x, kernel = real(x), real(kernel)
    g = _Geometry(x.shape, kernel.shape[:2], strides, padding, dilation)
    y = np.zeros((len(x), g.out_height, g.out_width, kernel.shape[3]), x.dtype)
    for i, j, at, where in g.taps():
        y[at] += x[where] @ kernel[i, j]
    return y if bias is None else y + bias


def conv2d_backward_input(
    dy: ArrayLike,
    kernel: ArrayLike,
    input_shape: Shape,
    strides: Sizes = (1, 1),
    padding: str = "valid",
    dilation: Sizes = (1, 1),
) -> Array:
    """dx, of input_shape: every tap sends dy k^T back to where it read."""
    dy, kernel = real(dy), real(kernel)
    g = _Geometry(input_shape, kernel.shape[:2], strides, padding, dilation)
    dx = np.zeros(input_shape, dy.dtype)
    for i, j, at, where in g.taps():
        dx[where] += dy[at] @ kernel[i, j].T
    return dx


def conv2d_backward_kernel(
    dy: ArrayLike,
    x: ArrayLike,
    kernel_size: Sizes,
    strides: Sizes = (1, 1),
    padding: str = "valid",
    dilation: Sizes = (1, 1),
) -> Array:
    """dk[i, j, c, f] = sum over n, oi, oj of (what tap (i, j) read of channel c) dy[n, oi, oj, f].

    Returns (kh, kw, channels, filters).
    """
    dy, x = real(dy), real(x)
    g = _Geometry(x.shape, kernel_size, strides, padding, dilation)
    dkernel = np.zeros((*g.kernel_size, x.shape[3], dy.shape[3]), x.dtype)
    for i, j, at, where in g.taps():
        dkernel[i, j] = np.tensordot(x[where], dy[at], axes=((0, 1, 2), (0, 1, 2)))
    return dkernel


def conv2d_backward_bias(dy: ArrayLike) -> Array:
    """dbias[f] = sum over n, oi, oj of dy[n, oi, oj, f]."""
    return real(dy).sum(axis=(0, 1, 2))


def max_pool2d_forward(
    x: ArrayLike, pool_size: Sizes = (2, 2), strides: Sizes | None = None, padding: str = "valid"
) -> tuple[Array, Array]:
    """The largest input of each window and channel; padding never wins, a NaN always does.

    x: (n, height, width, channels); strides default to pool_size. Returns (y, argmax), both
    (n, out_height, out_width, channels); argmax is int32, i * width + j of the first largest.
    """
    x = real(x)
    g = _Geometry(x.shape, pool_size, pool_size if strides is None else strides, padding)
    shape = len(x), g.out_height, g.out_width, x.shape[3]
    y, argmax = np.empty(shape, x.dtype), np.empty(shape, np.int32)
    for oi, oj, rows, columns in g.windows():
        window = x[:, rows, columns]
        down, across = window.shape[1:3]
        window = window.reshape(len(x), down * across, x.shape[3])
        best = window.argmax(axis=1)
        y[:, oi, oj] = np.take_along_axis(window, best[:, None], axis=1)[:, 0]
        i, j = rows.start + best // across, columns.start + best % across
        argmax[:, oi, oj] = i * g.width + j
    return y, argmax


def max_pool2d_backward(
    dy: ArrayLike,
    argmax: ArrayLike,
    input_shape: Shape,
    pool_size: Sizes = (2, 2),
    strides: Sizes | None = None,
    padding: str = "valid",
) -> Array:
    """dx, of input_shape: every dy goes to the input that won; where windows overlap they add."""
    dy = real(dy)
    n, height, width, channels = input_shape
    dx = np.zeros((n, height * width, channels), dy.dtype)
    image, channel = np.arange(n)[:, None, None, None], np.arange(channels)
    np.add.at(dx, (image, np.asarray(argmax), channel), dy)
    return dx.reshape(input_shape)


def average_pool2d_forward(
    x: ArrayLike, pool_size: Sizes = (2, 2), strides: Sizes | None = None, padding: str = "valid"
) -> Array:
    """The mean of each window and channel, over those inputs that lie inside the image.

    x: (n, height, width, channels). Returns (n, out_height, out_width, channels).
    """
    x = real(x)
    g = _Geometry(x.shape, pool_size, pool_size if strides is None else strides, padding)
    y = np.empty((len(x), g.out_height, g.out_width, x.shape[3]), x.dtype)
    for oi, oj, rows, columns in g.windows():
        y[:, oi, oj] = x[:, rows, columns].mean(axis=(1, 2))
    return y


def average_pool2d_backward(
    dy: ArrayLike,
    input_shape: Shape,
    pool_size: Sizes = (2, 2),
    strides: Sizes | None = None,
    padding: str = "valid",
) -> Array:
    """dx, of input_shape: every dy is shared out evenly over its window."""
    dy = real(dy)
    g = _Geometry(input_shape, pool_size, pool_size if strides is None else strides, padding)
    dx = np.zeros(input_shape, dy.dtype)
    for oi, oj, rows, columns in g.windows():
        count = (rows.stop - rows.start) * (columns.stop - columns.start)
        dx[:, rows, columns] += dy[:, oi : oi + 1, oj : oj + 1] / count
    return dx
