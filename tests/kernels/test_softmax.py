"""Softmax and log-softmax along the last axis, against float64.

e^x_j has a relative error of UNIT times (rounding of x_j - max, at most |x_j - max|, and two for
exp); the denominator averages such errors; the division adds one. log-softmax rounds x_j - max,
the logarithm and their difference.
"""

import numpy as np
import pytest

from close import UNIT, assert_bits, assert_close
from kernel_inputs import normal, rng
from lamina import kernels, reference

COLS = (0, 1, 2, 3, 10, 15, 16, 17, 31, 64, 65, 257)


def spread(x):
    """|x - max| along the row."""
    return np.abs(x - x.max(axis=-1, keepdims=True, initial=-np.inf))


def check_softmax(x):
    want = reference.softmax_forward(x.astype(np.float64))
    assert_close(kernels.softmax_forward(x), want, rtol=UNIT * (8 + spread(x)), what=str(x.shape))


def check_log_softmax(x):
    with np.errstate(divide="ignore"):  # the logarithm of an empty sum
        want = reference.log_softmax_forward(x.astype(np.float64))
    scale = 1 + spread(x) + np.abs(want)
    assert_close(kernels.log_softmax_forward(x), want, atol=4 * UNIT, scale=scale)


@pytest.mark.parametrize("check", [check_softmax, check_log_softmax])
def test_forward(check):
    g = rng(21)
    for cols in COLS:
        for rows in (0, 1, 7):
            check(normal(g, rows, cols) * 5)
    check(normal(g, 17))
    check(normal(g, 2, 3, 5))
    check(normal(g, 4, 20) * 100)
    check(np.float32([[1e4, 0, -1e4], [-1e30, 1e30, 0], [3e38, 3e38, -1e10], [-1e-45, 0, 1e-40]]))


def test_backward():
    g = rng(22)
    for cols in COLS:
        for rows in (0, 1, 7):
            x, dy = normal(g, rows, cols) * 3, normal(g, rows, cols)
            d64 = dy.astype(np.float64)
            y = kernels.softmax_forward(x)
            want = reference.softmax_backward(d64, y.astype(np.float64))
            # The sum of cols products, in sixteen chains or fewer, weighed by y.
            size = y * (np.abs(dy) + (np.abs(dy) * y).sum(axis=-1, keepdims=True))
            rounding = (6 + cols / 16) * UNIT
            assert_close(kernels.softmax_backward(dy, y), want, atol=rounding, scale=size)
            y = kernels.log_softmax_forward(x)
            want = reference.log_softmax_backward(d64, y.astype(np.float64))
            size = np.abs(dy) + np.exp(y) * np.abs(dy).sum(axis=-1, keepdims=True)
            assert_close(kernels.log_softmax_backward(dy, y), want, atol=rounding, scale=size)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_nan_and_infinity(name):
    """A row with NaN, or with an infinite maximum, is NaN throughout; its neighbours are not."""
    rows = normal(rng(23), 8, 19)
    rows[1, 4], rows[2, 18], rows[3, :], rows[4, 2:5] = np.nan, np.inf, -np.inf, -np.inf
    rows[6, 17] = np.nan
    forward = getattr(kernels, f"{name}_forward")
    with np.errstate(all="ignore"):
        want = getattr(reference, f"{name}_forward")(rows.astype(np.float64))
    assert list(np.isnan(want).any(axis=1)) == [i in (1, 2, 3, 6) for i in range(8)]
    assert_close(forward(rows), want, rtol=20 * UNIT, atol=20 * UNIT)
    dy = np.ones_like(rows)
    dy[0, 3] = np.nan
    backward = getattr(kernels, f"{name}_backward")
    y = forward(rows)
    with np.errstate(all="ignore"):
        want = getattr(reference, f"{name}_backward")(dy.astype(float), y.astype(float))
    assert_close(backward(dy, y), want, atol=50 * UNIT)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_in_place_and_by_row(name):
    forward, backward = (getattr(kernels, f"{name}_{way}") for way in ("forward", "backward"))
    x, dy = normal(rng(24), 6, 37), normal(rng(25), 6, 37)
    y = forward(x)
    dx = backward(dy, y)
    for i in range(6):
        assert_bits(forward(x[i]), y[i])
        assert_bits(backward(dy[i], y[i]), dx[i])
    buffer = x.copy()
    assert forward(buffer, out=buffer) is buffer
    assert_bits(buffer, y)
    buffer = dy.copy()
    assert backward(buffer, y, out=buffer) is buffer
    assert_bits(buffer, dx)
    with pytest.raises(ValueError, match="x"):
        forward(np.float32(1))
