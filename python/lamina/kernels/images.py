"""Convolution and pooling of images.

Images are NHWC: (batch, height, width, channels). Along one axis of n inputs, a window of k taps
with dilation d reaches over r = (k - 1) d + 1 inputs. padding "valid" keeps the windows inside:
floor((n - r) / stride) + 1 outputs. "same" gives ceil(n / stride) outputs and adds
max((outputs - 1) stride + r - n, 0) zeros, the odd one at the end, as TensorFlow does. Sizes may
be one int or a pair. An image's result does not depend on the other images of the batch.

Convolutions of 3 x 3 taps with strides and dilation 1, 16 filters or more and 16 to 2048 channels
(the other way round for the input's gradient) are taken in squares of 2 x 2 outputs where that
saves enough products: F(2 x 2, 3 x 3) of S. Winograd, in the form of A. Lavin and S. Gray, "Fast
algorithms for convolutional neural networks" (CVPR 2016). The results come from sums and
differences over a square, and so do the bounds of their errors, "in squares" below. The errors are
as small as plain ones where the numbers of a square are of one size. An odd last row or column may
be computed plainly, and so is what would not come out finite in squares: there the larger of the
two bounds holds.

The errors of convolutions are those with `lamina.set_float32_matmul_precision("highest")`, which
names what multiplies bf16 parts at other levels. There the error is
(min(K, 512) P / 32 + K / 512 + 20) eps, P = 6 (high), 3 (medium) or 1 (low), and 1 eps, 2^-15 or
2^-7 (1 + 2^-9), of the same sum with absolute values. K counts for each tap its channels (filters
for the input's gradient), filled up to a multiple of 32; for the kernel's gradient the pixels of
each half of the images, filled up to a multiple of 16, and its pieces take up to 16 eps more.

Errors: ValueError where the shapes do not fit, a "valid" window is larger than the image, or the
padding is neither of the two; TypeError for sizes that are not integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import kernels as _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._types import F32, I32, Shape, Sizes


def conv2d_forward(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    strides: Sizes = (1, 1),
    padding: str = "valid",
    dilation: Sizes = (1, 1),
    *,
    out: F32 | None = None,
) -> F32:
    """y[n, oi, oj, f] = bias[f] + sum_{i, j, c} x[n, oi sh + i dh, oj sw + j dw, c] k[i, j, c, f].

    x: (n, height, width, channels), padded with zeros; kernel: (kh, kw, channels, filters); bias:
    (filters,). Returns (n, out_height, out_width, filters). It is a correlation: the kernel is not
    flipped. Taps outside the image are left out, not multiplied by zero. Error:
    (min(K, 256) + K / 128 + 1) eps of the same sum with absolute values, K = kh kw channels. In
    squares: (min(K, 256) + K / 128 + 12) eps of four times that sum with k[i, j, c, f] replaced by
    its sum over all taps, K = channels.
    """
    return _core.conv2d_forward(x, kernel, bias, strides, padding, dilation, out)


def conv2d_backward_input(
    dy: ArrayLike,
    kernel: ArrayLike,
    input_shape: Shape,
    strides: Sizes = (1, 1),
    padding: str = "valid",
    dilation: Sizes = (1, 1),
    *,
    out: F32 | None = None,
) -> F32:
    """dx, of input_shape: every tap sends dy k^T back to where it read.

    dy: (n, out_height, out_width, filters). Error: (min(K, 256) + K / 128) eps of the same sum
    with absolute values, K = kh kw filters; in squares as forward, K = filters.
    """
    return _core.conv2d_backward_input(dy, kernel, input_shape, strides, padding, dilation, out)


def conv2d_backward_kernel(
    dy: ArrayLike,
    x: ArrayLike,
    kernel_size: Sizes,
    strides: Sizes = (1, 1),
    padding: str = "valid",
    dilation: Sizes = (1, 1),
    *,
    out: F32 | None = None,
) -> F32:
    """dk[i, j, c, f] = sum over n, oi, oj of (what tap (i, j) read of channel c) dy[n, oi, oj, f].

    Returns (kh, kw, channels, filters). Error: (256 + B) eps of the same sum with absolute
    values, B the number of blocks: at most 256 output pixels, next to each other and alike in the
    taps that lie inside the image. In squares: (60 + B) eps of four times the sum over squares of
    |x|, summed over the 4 x 4 pixels that a square reads, times |dy|, summed over its 2 x 2; B the
    number of blocks: at most 48 squares of one band of an image, or of a group of small images.
    """
    return _core.conv2d_backward_kernel(dy, x, kernel_size, strides, padding, dilation, out)


def conv2d_backward_bias(dy: ArrayLike, *, out: F32 | None = None) -> F32:
    """dbias[f] = sum over n, oi, oj of dy[n, oi, oj, f]. Error: that of column_sums."""
    return _core.conv2d_backward_bias(dy, out)


def max_pool2d_forward(
    x: ArrayLike,
    pool_size: Sizes = (2, 2),
    strides: Sizes | None = None,
    padding: str = "valid",
    *,
    out: tuple[F32 | None, I32 | None] | None = None,
) -> tuple[F32, I32]:
    """The largest input of each window and channel; padding never wins, a NaN always does. Exact.

    x: (n, height, width, channels); strides default to pool_size. Returns (y, argmax), both
    (n, out_height, out_width, channels); argmax is int32, i * width + j of the first largest.
    `out` is a tuple (y, argmax), in which either may be None.
    """
    return _core.max_pool2d_forward(x, pool_size, strides, padding, out)


def max_pool2d_backward(
    dy: ArrayLike,
    argmax: ArrayLike,
    input_shape: Shape,
    pool_size: Sizes = (2, 2),
    strides: Sizes | None = None,
    padding: str = "valid",
    *,
    out: F32 | None = None,
) -> F32:
    """dx, of input_shape: every dy goes to the input that won; where windows overlap they add.

    argmax is what max_pool2d_forward returned: pixels outside the image are a ValueError, a pixel
    of the image outside the window receives nothing. Error: as many eps as windows overlap.
    """
    return _core.max_pool2d_backward(dy, argmax, input_shape, pool_size, strides, padding, out)


def average_pool2d_forward(
    x: ArrayLike,
    pool_size: Sizes = (2, 2),
    strides: Sizes | None = None,
    padding: str = "valid",
    *,
    out: F32 | None = None,
) -> F32:
    """The mean of each window and channel, over those inputs that lie inside the image.

    x: (n, height, width, channels). Returns (n, out_height, out_width, channels). Error:
    (min(K, 256) + K / 256 + 1) eps of the mean of |x|, K the inputs of a window.
    """
    return _core.average_pool2d_forward(x, pool_size, strides, padding, out)


def average_pool2d_backward(
    dy: ArrayLike,
    input_shape: Shape,
    pool_size: Sizes = (2, 2),
    strides: Sizes | None = None,
    padding: str = "valid",
    *,
    out: F32 | None = None,
) -> F32:
    """dx, of input_shape: every dy is shared out evenly over its window.

    Error: 1 eps more of the sum of |dy| / count than windows overlap.
    """
    return _core.average_pool2d_backward(dy, input_shape, pool_size, strides, padding, out)
