"""Sums, the first largest of a row, and the addition of a bias."""

import numpy as np
import pytest

from close import UNIT, assert_bits, assert_close
from kernel_inputs import SPECIAL, normal, rng
from lamina import kernels, reference

SHAPES = [(0, 5), (5, 0), (1, 1), (1, 17), (3, 15), (17, 16), (6, 64), (65, 33), (1000, 7)]
SHAPES += [(2, 1000), (300, 130)]


def test_sums():
    g = rng(71)
    for rows, cols in SHAPES:
        x = normal(g, rows, cols)
        wide = x.astype(np.float64)
        # In chains whose partial sums are random walks, as in test_gemm, and their worst case.
        for name, count, axis in (("column_sums", rows, 0), ("row_sums", cols, 1)):
            got = getattr(kernels, name)(x)
            want = getattr(reference, name)(wide)
            bound = min(max(count - 1, 0), 6) * UNIT
            size = np.abs(wide).sum(axis=axis)
            assert_close(got, want, atol=bound, scale=size, what=f"{name} {rows} x {cols}")
        x = g.integers(-99, 100, size=(rows, cols)).astype(np.float32)
        assert_close(kernels.column_sums(x), x.astype(np.float64).sum(axis=0))
        assert_close(kernels.row_sums(x), x.astype(np.float64).sum(axis=1))


# Trees add equal numbers without a chain's drift: NumPy's pairwise sum of a row loses 1.1e-7 of it.
EQUAL = [0.1, 1 / 3, 0.7, 1.1]


@pytest.mark.parametrize("value", EQUAL)
def test_many_equal_values(value):
    value = np.float32(value)
    for n in (255, 4097, 99_999, 10_000_000):
        column = np.full((n, 1), value)
        wanted = n * np.float64(value)
        for name, x in (("column_sums", column), ("row_sums", column.reshape(1, n))):
            got = getattr(kernels, name)(x)
            assert_close(got, [wanted], rtol=2 * UNIT, what=f"{name} of {n} times {value}")
    wide = np.full((30_001, 600), value)  # more than a strip of columns
    assert_close(kernels.column_sums(wide), np.full(600, 30_001 * np.float64(value)), rtol=2 * UNIT)


def test_row_argmax():
    g = rng(72)
    for rows, cols in SHAPES[2:]:
        x = g.integers(-20, 20, size=(rows, cols)).astype(np.float32)  # many ties
        got = kernels.row_argmax(x)
        assert_bits(got, reference.row_argmax(x), what=f"{rows} x {cols}")
        x[:, g.integers(cols)] = np.nan
        x[0, -1] = np.nan
        assert_bits(
            kernels.row_argmax(x), reference.row_argmax(x), what=f"{rows} x {cols} with NaN"
        )
    x = np.float32([[-np.inf] * 20, [0.0, -0.0] * 10, [-5] * 19 + [np.inf]])
    assert_bits(kernels.row_argmax(x), np.array([0, 0, 19], np.int32))
    assert kernels.row_argmax(np.zeros((0, 3))).shape == (0,)


def test_add_bias():
    g = rng(73)
    for shape in [*SHAPES, (2, 3, 4, 17), (19,)]:
        x, bias = normal(g, *shape), normal(g, shape[-1])
        assert_bits(kernels.add_bias(x, bias), x + bias, what=str(shape))


def test_special_values():
    x = np.stack([SPECIAL, np.roll(SPECIAL, 1), np.ones_like(SPECIAL)])
    with np.errstate(all="ignore"):
        assert_bits(kernels.add_bias(x, SPECIAL), x + SPECIAL)
        few = x[:, np.abs(np.nan_to_num(SPECIAL, posinf=0, neginf=0)) < 1e37]
        for name in ("column_sums", "row_sums"):
            want = getattr(reference, name)(few.astype(np.float64))
            assert_close(getattr(kernels, name)(few), want, rtol=1e-5, atol=1e24)


def test_wrong_arguments():
    for wrong, message in [
        (lambda: kernels.add_bias(np.ones((2, 3)), np.ones(2)), r"bias.*\(3,\).*\(2,\)"),
        (lambda: kernels.add_bias(np.float32(1), np.ones(1)), "x"),
        (lambda: kernels.column_sums(np.ones(3)), "x"),
        (lambda: kernels.row_sums(np.ones((2, 3, 4))), "x"),
        (lambda: kernels.row_argmax(np.ones((2, 0))), "x"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
