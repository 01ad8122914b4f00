"""Batch normalisation against float64.

A mean of N values rounds in at most N / 16 chained steps here, and UNIT times the mean |x| each at
worst; what it is off by enters (x - mean) directly. With data of order 1 about a mean of order 1,
and N up to 1,000, the bounds below are 16 UNIT times the size of the terms.
"""

import numpy as np
import pytest

from close import UNIT, assert_bits, assert_close
from kernel_inputs import normal, rng
from lamina import kernels, reference

SHAPES = [(1, 1), (2, 3), (7, 15), (16, 16), (33, 17), (300, 65), (1000, 3), (5, 130), (277, 301)]
SHAPES += [(3, 4, 2, 7)]


def draw(g, shape):
    cols = shape[-1]
    x = normal(g, *shape) + 1 + normal(g, cols)
    return x, normal(g, cols), normal(g, cols), normal(g, *shape)


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


def test_forward_and_inference():
    g = rng(61)
    for shape in SHAPES:
        x, gamma, beta, _ = draw(g, shape)
        x64, gamma64, beta64 = wide(x, gamma, beta)
        for epsilon in (1e-3, 0.5):
            y, mean, variance = kernels.batch_norm_forward(x, gamma, beta, epsilon)
            want = reference.batch_norm_forward(x64, gamma64, beta64, epsilon)
            size = np.abs(x64).reshape(-1, shape[-1]).max(axis=0)
            assert_close(mean, want[1], atol=8 * UNIT, scale=size, what=f"mean {shape}")
            assert_close(variance, want[2], rtol=16 * UNIT, atol=1e-9, what=f"variance {shape}")
            scale = np.abs(gamma64) / np.sqrt(want[2] + epsilon) * size + np.abs(beta64)
            scale = scale * (1 + np.abs(want[0] - beta64))
            assert_close(y, want[0], atol=16 * UNIT, scale=scale, what=f"y {shape}")
            given = mean.astype(np.float64), variance.astype(np.float64)
            got = kernels.batch_norm_inference(x, gamma, beta, mean, variance, epsilon)
            want = reference.batch_norm_inference(x64, gamma64, beta64, *given, epsilon)
            assert_close(got, want, atol=8 * UNIT, scale=scale, what=f"inference {shape}")


def test_backward():
    g = rng(62)
    for shape in SHAPES:
        x, gamma, beta, dy = draw(g, shape)
        for epsilon in (1e-3, 0.5):
            _, mean, variance = kernels.batch_norm_forward(x, gamma, beta, epsilon)
            inputs = dy, x, gamma, mean, variance
            got = kernels.batch_norm_backward(*inputs, epsilon)
            want = reference.batch_norm_backward(*wide(*inputs), epsilon)
            rstd = 1 / np.sqrt(variance.astype(np.float64) + epsilon)
            h = np.abs(x - mean.astype(np.float64)) * rstd
            rows = (-1, shape[-1])
            along, across = np.abs(dy * h).reshape(rows), np.abs(dy).reshape(rows)
            what = f"of {shape}"
            bound = {"atol": 16 * UNIT}
            assert_close(got[2], want[2], **bound, scale=across.sum(axis=0), what="dbeta " + what)
            assert_close(got[1], want[1], **bound, scale=along.sum(axis=0), what="dgamma " + what)
            size = np.abs(dy) + across.mean(axis=0) + h * along.mean(axis=0)
            assert_close(
                got[0], want[0], **bound, scale=np.abs(gamma) * rstd * size, what="dx " + what
            )


def test_variance_beside_a_large_mean():
    """Two passes: the difference of mean squares would keep no digit of this variance."""
    x = np.float32(1000) + normal(rng(63), 500, 5)
    _, mean, variance = kernels.batch_norm_forward(x, np.ones(5), np.zeros(5))
    assert_close(mean, x.astype(np.float64).mean(axis=0), rtol=16 * UNIT)
    # What the mean is off by counts squared; each x - mean is right to UNIT * 1000, at random.
    assert_close(variance, x.astype(np.float64).var(axis=0), rtol=1000 * UNIT)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100, 257, 1000, 5000])
def test_a_constant_column_gives_beta(rows):
    values = [1e8, -1e8, 16777217, 0.1, 123456.78, 3e38, -3e38, 1e30, 1e-40, 0.0]
    for wider in (1, 20):  # narrow matrices and wide ones
        x = np.tile(np.array(values * wider, np.float32), (rows, 1))
        beta = normal(rng(66), x.shape[1])
        for functions in (kernels, reference) if wider == 1 else (kernels,):
            wide = x if functions is kernels else x.astype(np.float64)
            y, mean, variance = functions.batch_norm_forward(wide, np.ones(x.shape[1]), beta)
            assert np.array_equal(y, np.tile(beta, (rows, 1)))
            assert np.array_equal(mean, x[0]) and not variance.any()


def test_a_mean_that_was_rounded_is_corrected():
    """Two neighbours among float32, 1e8 and 1e8 + 8."""
    x = np.where(np.arange(4000)[:, None] % 4 == 0, 1e8 + 8, 1e8).astype(np.float32)
    for first in range(2):  # the first row is one or the other
        _, mean, variance = kernels.batch_norm_forward(x[first:], np.ones(1), np.zeros(1))
        want = x[first:].astype(np.float64)
        assert_close(variance, want.var(axis=0), rtol=64 * UNIT)
        assert np.array_equal(mean, want.mean(axis=0).astype(np.float32))


def test_nan_stays_in_its_column():
    x, gamma, beta, dy = draw(rng(64), (40, 21))
    x[3, 5], x[7, 20] = np.nan, np.inf
    y, mean, variance = kernels.batch_norm_forward(x, gamma, beta)
    bad = np.isin(np.arange(21), (5, 20))
    assert (np.isnan(y).any(axis=0) == bad).all() and np.isnan(y[:, 5]).all()
    assert (np.isfinite(mean) == ~bad).all() and (np.isfinite(variance) == ~bad).all()
    dx, dgamma, dbeta = kernels.batch_norm_backward(dy, x, gamma, mean, variance)
    assert (np.isnan(dx).any(axis=0) == bad).all() and (np.isnan(dgamma) == bad).all()
    assert np.isfinite(dbeta).all()


def test_out_and_wrong_arguments():
    x, gamma, beta, _ = draw(rng(65), (6, 5))
    want = kernels.batch_norm_forward(x, gamma, beta)
    out = np.empty((6, 5), np.float32), np.empty(5, np.float32), np.empty(5, np.float32)
    got = kernels.batch_norm_forward(x, gamma, beta, out=out)
    for a, b, c in zip(got, out, want, strict=True):
        assert a is b
        assert_bits(a, c)
    mean, variance = want[1:]
    for wrong, message in [
        (lambda: kernels.batch_norm_forward(x[0], gamma, beta), "x"),
        (lambda: kernels.batch_norm_forward(x, gamma[:4], beta), "gamma"),
        (lambda: kernels.batch_norm_forward(x, gamma, beta[:4]), "beta"),
        (lambda: kernels.batch_norm_inference(x, gamma, beta, mean[:4], variance), "mean"),
        (lambda: kernels.batch_norm_backward(x[:5], x, gamma, mean, variance), "dy|x"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
