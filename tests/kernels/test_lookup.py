"""Gathering rows of a data set, and embeddings."""

import numpy as np
import pytest

from close import UNIT, assert_bits, assert_close
from kernel_inputs import normal, rng
from lamina import kernels, reference

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "?"]


def values(g, dtype, shape):
    """All of the dtype's range, with the numbers that need rounding."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        x = g.normal(size=shape) * 10.0 ** g.integers(-7, 5, size=shape)
        x.ravel()[:6] = [np.nan, np.inf, -np.inf, -0.0, 6e-8, 65504][: x.size]
        return x.astype(kind)
    if kind.kind == "b":
        return g.integers(2, size=shape).astype(bool)
    return np.frombuffer(g.bytes(int(np.prod(shape)) * kind.itemsize), kind).reshape(shape)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gather_rows(dtype):
    g = rng(81)
    for shape in [(5, 1), (7, 15), (4, 17), (3, 4, 5, 2), (9,), (2, 33)]:
        source, index = values(g, dtype, shape), g.integers(shape[0], size=11)
        for scale in (1.0, 1 / 255):
            got = kernels.gather_rows(source, index, scale)
            assert_bits(got, reference.gather_rows(source, index, scale), what=f"{dtype} {shape}")
    # Any stride along the first axis, also backwards; other strides are copied first.
    source = values(g, dtype, (8, 6, 20))
    for view in (source[::2], source[::-1], source[::-3], source[:, ::2], source[:, :, 3:]):
        index = [0, 1, len(view) - 1, 0]
        assert_bits(kernels.gather_rows(view, index), reference.gather_rows(view, index))
    assert kernels.gather_rows(source, np.zeros(0, int)).shape == (0, 6, 20)
    assert kernels.gather_rows(source[:, :, :0], [1, 2]).shape == (2, 6, 0)


def test_rounding_comes_before_scaling():
    source = np.array([[2**24 + 1, 2**53 + 1, -(2**62) - 2**38]], np.int64)
    want = source.astype(np.float32) * np.float32(0.1)
    assert_bits(kernels.gather_rows(source, [0], 0.1), want)
    source = np.array([[1 + 2.0**-24 + 2.0**-50, 1e300, 1e-46, 1e-60]])
    with np.errstate(over="ignore"):
        want = source.astype(np.float32)
    assert_bits(kernels.gather_rows(source, [0]), want)


def test_embedding():
    g = rng(82)
    for vocabulary, dim, shape in [(1, 1, (1,)), (5, 3, (7,)), (9, 16, (2, 3, 4)), (30, 65, (50,)),
                                   (3, 17, (0,)), (4, 0, (5,)), (300, 33, (500,))]:  # fmt: skip
        table, index = normal(g, vocabulary, dim), g.integers(vocabulary, size=shape)
        for dtype in ("i4", "i8", "u1") if vocabulary < 256 else ("i8", "u2"):
            got = kernels.embedding_forward(table, index.astype(dtype))
            assert_bits(got, reference.embedding_forward(table, index))
        dy = normal(g, *shape, dim)
        got = kernels.embedding_backward(dy, index, vocabulary)
        want = reference.embedding_backward(dy.astype(np.float64), index, vocabulary)
        size = reference.embedding_backward(np.abs(dy).astype(np.float64), index, vocabulary)
        # Each row adds up as many terms as it was picked, in order: at most 50 of both signs.
        assert_close(got, want, atol=6 * UNIT, scale=size)
        dy = g.integers(-9, 10, size=(*shape, dim)).astype(np.float32)
        got = kernels.embedding_backward(dy, index, vocabulary)
        assert_close(got, reference.embedding_backward(dy, index, vocabulary))


def test_wrong_arguments():
    table, source = np.ones((5, 3)), np.ones((4, 2))
    for wrong, message in [
        (lambda: kernels.embedding_forward(table, [0, 5]), r"index.*(1.*5|5.*1)"),
        (lambda: kernels.embedding_forward(table, [[0, 1], [-1, 0]]), r"index.*-1"),
        (lambda: kernels.embedding_forward(table[0], [0]), "table"),
        (lambda: kernels.embedding_backward(np.ones((2, 3)), [0, 7], 5), r"index.*7"),
        (lambda: kernels.embedding_backward(np.ones((3, 3)), [0, 1], 5), "dy"),
        (lambda: kernels.gather_rows(source, [4]), r"index.*4"),
        (lambda: kernels.gather_rows(source, [0, -1]), r"index.*-1"),
        (lambda: kernels.gather_rows(source, [[0]]), "index"),
        (lambda: kernels.gather_rows(np.float32(1), [0]), "source"),
    ]:
        with pytest.raises((ValueError, IndexError), match=message):
            wrong()
    for wrong, message in [
        (lambda: kernels.embedding_forward(table, [0.0]), "index"),
        (lambda: kernels.gather_rows(source, [0.5]), "index"),
        (lambda: kernels.gather_rows(source.astype(complex), [0]), "source"),
        (lambda: kernels.gather_rows(np.array([["a"]]), [0]), "source"),
    ]:
        with pytest.raises(TypeError, match=message):
            wrong()
