"""Arrays that no cache holds are written past the caches: the same bits as by the plain way.

From 16 MB on (ops/pieces.h) an output is streamed, unless it takes the place of an input: so each
kernel is held to itself in place. Outputs begin 0, 1 and 15 floats after a cache line, and the
columns leave partial lines at both ends of a row.
"""

import numpy as np
import pytest

from close import assert_bits
from kernel_inputs import normal, rng
from lamina import kernels

ROWS, COLS = 4229, 1003  # 16.2 MB, and no size that a vector or a piece divides
SHIFTS = [0, 1, 15]


def shifted(shape, shift):
    """An array of NaN that begins `shift` floats after a cache line."""
    size = int(np.prod(shape))
    memory = np.full(size + 32, np.nan, np.float32)
    start = (-memory.ctypes.data // 4) % 16 + shift
    return memory[start : start + size].reshape(shape)


def check(kernel, first, *others, shift):
    """kernel(first, *others) into memory of its own, and in place of `first`."""
    out, place = shifted(first.shape, shift), first.copy()
    kernel(first, *others, out=out)
    kernel(place, *others, out=place)
    assert_bits(out, place)


@pytest.fixture(scope="module")
def x():
    return 3 * normal(rng(500), ROWS, COLS)


@pytest.fixture(scope="module")
def dy():
    return normal(rng(501), ROWS, COLS)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "tanh", "gelu"])
def test_activations(name, shift, x, dy):
    check(getattr(kernels, f"{name}_forward"), x, shift=shift)
    check(getattr(kernels, f"{name}_backward"), dy, x, shift=shift)


@pytest.mark.parametrize("shift", SHIFTS)
def test_rows(shift, x, dy):
    check(kernels.softmax_forward, x, shift=shift)
    check(kernels.log_softmax_forward, x, shift=shift)
    check(kernels.softmax_backward, dy, x, shift=shift)
    check(kernels.log_softmax_backward, dy, x / 8, shift=shift)
    out = shifted(x.shape, shift)
    kernels.add_bias(x, dy[0], out=out)
    assert_bits(out, x + dy[0])


@pytest.mark.parametrize("shift", SHIFTS)
def test_cross_entropy(shift, x, dy):
    loss = np.empty(ROWS, np.float32)
    labels = rng(502).integers(COLS, size=ROWS)

    def sparse(logits, *, out):
        kernels.softmax_cross_entropy_sparse(logits, labels, None, 0.5, out=(loss, out))

    def onehot(logits, *, out):
        kernels.softmax_cross_entropy_onehot(logits, np.abs(dy), None, 0.5, out=(loss, out))

    check(sparse, x, shift=shift)
    check(onehot, x, shift=shift)


@pytest.mark.parametrize("shift", SHIFTS)
def test_rows_too_long_for_the_stack(shift):
    x = normal(rng(503), 801, 5261)
    check(kernels.softmax_forward, x, shift=shift)


@pytest.mark.parametrize("shift", SHIFTS)
def test_gathered_rows(shift, x):
    index = rng(504).permutation(ROWS)
    out = shifted(x.shape, shift)
    kernels.gather_rows(x, index, 0.5, out=out)
    assert_bits(out, x[index] * np.float32(0.5))
