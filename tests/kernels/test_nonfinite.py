"""Every kernel and its NumPy twin agree on input that is not finite: on where NaN, infinities of
either sign, and numbers come out. What the numbers are is the business of the other tests.
"""

import numpy as np
import pytest

from kernel_inputs import normal, rng
from lamina import kernels, reference

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)
ROUNDS = 200


def sprinkled(g, *shape):
    """Normal numbers; in most arrays a few are not finite, or zero, and in some of one kind."""
    x = normal(g, *shape)
    some = g.choice(SPECIAL, size=g.integers(1, 3))
    where = g.random(shape) < g.choice([0.0, 0.03, 0.3, 1.0], p=[0.2, 0.4, 0.3, 0.1])
    x[where] = g.choice(some, size=int(where.sum()))
    return x


def positive(x):
    return np.where(x < 0, -x, x)


def kinds(result):
    """NaN, infinity, -infinity or a number, as 2, 1, -1, 0."""
    with np.errstate(all="ignore"):
        x = np.asarray(result).astype(np.float32)
    return np.where(np.isnan(x), 2, np.where(np.isinf(x), np.sign(np.nan_to_num(x)), 0))


def assert_same_kinds(name, arguments, **options):
    """Calls kernel and twin, the twin in float64; also holds what they write in place."""

    def wide(a):
        is_floats = isinstance(a, np.ndarray) and a.dtype == np.float32
        return a.astype(np.float64) if is_floats else a

    mine = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    twins = [wide(a) for a in arguments]
    got = getattr(kernels, name)(*mine, **{k: wide(v) for k, v in options.items()})
    with np.errstate(all="ignore"):
        want = getattr(reference, name)(*twins, **{k: wide(v) for k, v in options.items()})
    pairs = list(zip(got, want, strict=True)) if isinstance(got, tuple) else [(got, want)]
    pairs += [(a, b) for a, b in zip(mine, twins, strict=True) if isinstance(a, np.ndarray)]
    for i, (a, b) in enumerate(pairs):
        if not np.array_equal(kinds(a), kinds(b)):
            at = tuple(np.argwhere(kinds(a) != kinds(b))[0])
            raise AssertionError(
                f"{name}, result {i} at {at}: {np.asarray(a)[at]} for the twin's "
                f"{np.asarray(b)[at]}, of\n{arguments}, {options}"
            )


def rounds(seed):
    g = rng(151, seed)
    for _ in range(ROUNDS):
        yield g, int(g.choice([1, 2, 5, 16, 17, 40])), int(g.choice([1, 2, 3, 10, 16, 17, 70]))


ACTIVATIONS = ["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "gelu"]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    for g, rows, cols in rounds(1):
        x, dy = sprinkled(g, rows, cols), sprinkled(g, rows, cols)
        for options in [{}] if name != "gelu" else [{}, {"approximate": True}]:
            assert_same_kinds(f"{name}_forward", (x,), **options)
            with np.errstate(all="ignore"):
                saved = x if name == "gelu" else getattr(reference, f"{name}_forward")(x)
            saved = saved.astype(np.float32)
            assert_same_kinds(f"{name}_backward", (dy, saved), **options)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name):
    for g, rows, cols in rounds(2):
        x, dy = sprinkled(g, rows, cols), sprinkled(g, rows, cols)
        assert_same_kinds(f"{name}_forward", (x,))
        y = getattr(kernels, f"{name}_forward")(x)
        assert_same_kinds(f"{name}_backward", (dy, y))


@pytest.mark.parametrize("name", ["softmax_cross_entropy_sparse", "cross_entropy_sparse"])
def test_losses_of_labels(name):
    for g, rows, cols in rounds(3):
        x = sprinkled(g, rows, cols)
        x = x if name.startswith("softmax") else positive(x)
        assert_same_kinds(name, (x, g.integers(cols, size=rows), sprinkled(g, rows), 0.5))


TARGETS = ["softmax_cross_entropy_onehot", "sigmoid_cross_entropy", "mean_squared_error"]
TARGETS += ["mean_absolute_error", "cross_entropy_onehot", "binary_cross_entropy"]


@pytest.mark.parametrize("name", TARGETS)
def test_losses_of_targets(name):
    for g, rows, cols in rounds(4):
        x, t = sprinkled(g, rows, cols), sprinkled(g, rows, cols)
        t = np.where(np.isinf(t), np.nan, t)  # infinite targets have no meaning
        if g.random() < 0.7:
            t = np.eye(cols, dtype=np.float32)[g.integers(cols, size=rows)]
        x = positive(x) if name in ("cross_entropy_onehot", "binary_cross_entropy") else x
        assert_same_kinds(name, (x, t, sprinkled(g, rows), 0.5))


def test_sums_and_bias():
    for g, rows, cols in rounds(5):
        x = sprinkled(g, rows, cols)
        for name in ("column_sums", "row_sums"):
            assert_same_kinds(name, (x,))
        assert np.array_equal(kernels.row_argmax(x), reference.row_argmax(x))
        assert_same_kinds("add_bias", (x, sprinkled(g, cols)))


def test_gemm():
    for g, m, n in rounds(6):
        k = int(g.choice([0, 1, 3, 17, 230]))
        a, b = sprinkled(g, m, k), sprinkled(g, k, n)
        if g.random() < 0.5:
            a[g.random((m, k)) < 0.7] = 0.0
        activation = str(g.choice([*ACTIVATIONS, "linear", "gelu_tanh"]))
        assert_same_kinds("gemm", (a, b), bias=sprinkled(g, n), activation=activation)


IMAGES = [
    ((5, 6), (3, 3), {"padding": "same"}),
    ((5, 4), (3, 2), {"padding": "same", "strides": (2, 1)}),
    ((7, 6), (2, 3), {"padding": "same", "dilation": (2, 3)}),
    ((6, 5), (2, 2), {"padding": "valid", "strides": (1, 2)}),
    ((1, 1), (3, 3), {"padding": "same"}),
]


@pytest.mark.parametrize("channels", [1, 3, 17])
def test_conv2d(channels):
    g = rng(152, channels)
    for size, window, options in IMAGES:
        for _ in range(20):
            filters = int(g.choice([1, 5, 17]))
            x, k = sprinkled(g, 2, *size, channels), sprinkled(g, *window, channels, filters)
            assert_same_kinds("conv2d_forward", (x, k, sprinkled(g, filters)), **options)
            dy = sprinkled(g, *kernels.conv2d_forward(x, k, **options).shape)
            assert_same_kinds("conv2d_backward_input", (dy, k, x.shape), **options)
            assert_same_kinds("conv2d_backward_kernel", (dy, x, window), **options)
            assert_same_kinds("conv2d_backward_bias", (dy,))


def test_pooling():
    for g, _, channels in rounds(7):
        x = sprinkled(g, 2, 5, 6, channels)
        for padding in ("valid", "same"):
            options = {"pool_size": (3, 2), "strides": (2, 1), "padding": padding}
            assert_same_kinds("max_pool2d_forward", (x,), **options)
            y, argmax = kernels.max_pool2d_forward(x, **options)
            dy = sprinkled(g, *y.shape)
            assert_same_kinds("max_pool2d_backward", (dy, argmax, x.shape), **options)
            assert_same_kinds("average_pool2d_forward", (x,), **options)
            assert_same_kinds("average_pool2d_backward", (dy, x.shape), **options)


def test_batch_norm():
    for g, rows, cols in rounds(8):
        x, dy = sprinkled(g, rows, cols), sprinkled(g, rows, cols)
        gamma, beta, mean = (sprinkled(g, cols) for _ in range(3))
        variance = positive(sprinkled(g, cols))
        assert_same_kinds("batch_norm_forward", (x, gamma, beta))
        assert_same_kinds("batch_norm_inference", (x, gamma, beta, mean, variance))
        assert_same_kinds("batch_norm_backward", (dy, x, gamma, mean, variance))


@pytest.mark.parametrize("shape", [(3, 0), (2, 2, 0), (0, 3), (0, 0)])
def test_batch_norm_of_nothing(shape):
    x, vector = np.zeros(shape, np.float32), np.ones(shape[-1], np.float32)
    with np.errstate(all="ignore"):
        assert_same_kinds("batch_norm_forward", (x, vector, vector))
    assert_same_kinds("batch_norm_inference", (x, vector, vector, vector, vector))
    assert_same_kinds("batch_norm_backward", (x, x, vector, vector, vector))


def test_lookup_and_dropout():
    for g, rows, cols in rounds(9):
        table, index = sprinkled(g, rows, cols), g.integers(rows, size=7)
        assert_same_kinds("embedding_forward", (table, index))
        assert_same_kinds("embedding_backward", (sprinkled(g, 7, cols), index, rows))
        assert_same_kinds("gather_rows", (table, index, 0.5))
        assert_same_kinds("dropout_forward", (table, 0.3, 7))


def test_optimizers():
    for g, rows, _ in rounds(10):
        w, m, dw = (sprinkled(g, rows) for _ in range(3))
        v = positive(sprinkled(g, rows))
        assert_same_kinds("sgd_step", (w, dw, 0.1))
        for nesterov in (False, True):
            assert_same_kinds("sgd_step", (w, dw, 0.1, 0.9, nesterov, m))
        assert_same_kinds("adam_step", (w, m, v, dw, 3))
