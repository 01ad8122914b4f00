"""The oracle is proved first: its gradients against finite differences, its functions against
identities and answers that were worked out elsewhere. Everything here is float64; the compiled
kernels do not appear.
"""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from close import check_gradient
from kernel_inputs import PHILOX_ANSWERS, PHILOX_COUNTERS, PHILOX_KEYS
from lamina import reference as ref

RNG = np.random.default_rng(20)


def normal(*shape):
    return RNG.normal(size=shape)


def away_from_zero(*shape):
    """Where relu and its relatives are smooth."""
    x = normal(*shape)
    return x + np.copysign(0.1, x)


def test_every_name_is_public_documented_and_independent_of_the_core():
    for name in ref.__all__:
        assert inspect.getdoc(getattr(ref, name)), name
    imported = set()
    for path in Path(ref.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level != 1:
                imported.add(node.module)
    annotations = {"__future__", "collections.abc", "typing", "numpy.typing", "_types"}
    assert imported <= {"numpy", "math", "_hints", *annotations}  # _hints: of misspelt names


# ---- activations


FROM_Y = [
    ("relu", {}),
    ("leaky_relu", {"alpha": 0.3}),
    ("elu", {"alpha": 1.7}),
    ("sigmoid", {}),
    ("tanh", {}),
    ("softplus", {}),
    ("softmax", {}),
    ("log_softmax", {}),
]


@pytest.mark.parametrize(("name", "options"), FROM_Y)
def test_gradient_from_the_output(name, options):
    forward, backward = getattr(ref, f"{name}_forward"), getattr(ref, f"{name}_backward")
    x = 2 * away_from_zero(3, 7)
    y = forward(x, **options)
    check_gradient(
        lambda v: forward(v, **options), lambda dy: backward(dy, y, **options), x, what=name
    )


@pytest.mark.parametrize("approximate", [False, True])
def test_gradient_of_gelu(approximate):
    x = 2 * normal(3, 7)
    check_gradient(
        lambda v: ref.gelu_forward(v, approximate),
        lambda dy: ref.gelu_backward(dy, x, approximate),
        x,
    )


def test_values_of_activations():
    # Digits from tables of the functions (e.g. Abramowitz and Stegun 26.2 for Phi).
    assert_allclose(ref.sigmoid_forward([0.0, 1.0, -1.0]), [0.5, 0.7310585786, 0.2689414214])
    assert_allclose(ref.gelu_forward([0.0, 1.0, -1.0]), [0.0, 0.8413447461, -0.1586552539])
    assert_allclose(ref.gelu_forward([1.0, -1.0], True), [0.8411919906, -0.1588080094])
    assert_allclose(ref.softplus_forward([0.0, 800.0]), [np.log(2), 800.0])
    assert_allclose(ref.elu_forward([2.0, -1.0], 2.0), [2.0, 2 * (np.exp(-1) - 1)])
    assert_array_equal(ref.leaky_relu_forward([2.0, -2.0]), [2.0, -0.4])
    assert_array_equal(ref.relu_forward([2.0, -2.0]), [2.0, 0.0])
    assert_allclose(ref.softmax_forward([1000.0, 1000.0, -1000.0]), [0.5, 0.5, 0.0])
    assert_allclose(ref.log_softmax_forward([1000.0, 0.0]), [0.0, -1000.0])


# ---- losses


def _probabilities(*shape):
    p = RNG.uniform(0.1, 0.9, size=shape)
    return p / p.sum(axis=1, keepdims=True) * 1.3  # not normalised on purpose


LOSSES = [
    ("softmax_cross_entropy_sparse", normal, "labels"),
    ("softmax_cross_entropy_onehot", normal, "targets"),
    ("sigmoid_cross_entropy", normal, "targets"),
    ("mean_squared_error", normal, "targets"),
    ("mean_absolute_error", lambda *s: 2 + away_from_zero(*s), "far"),
    ("cross_entropy_sparse", _probabilities, "labels"),
    ("cross_entropy_onehot", _probabilities, "targets"),
    ("binary_cross_entropy", lambda *s: RNG.uniform(0.1, 0.9, size=s), "targets"),
]


@pytest.mark.parametrize(("name", "draw", "kind"), LOSSES)
def test_gradient_of_a_loss(name, draw, kind):
    loss, rows, cols, scale = getattr(ref, name), 4, 5, 0.3
    x, w = draw(rows, cols), RNG.uniform(0.5, 2, size=rows)
    y = {
        "labels": RNG.integers(cols, size=rows),
        "targets": RNG.uniform(size=(rows, cols)),  # soft ones, rows that do not sum to 1
        "far": np.full((rows, cols), 2.0),
    }[kind]

    def total(v):
        return scale * loss(v, y, w, scale)[0].sum()

    check_gradient(total, lambda dy: dy * loss(x, y, w, scale)[1], x, what=name)


def test_clipped_probabilities_have_no_gradient():
    p = np.array([[0.0, 1.0, 0.0], [1e-9, 0.5, 0.5]])
    loss, d = ref.cross_entropy_sparse(p, [0, 0])
    assert_allclose(loss, -np.log(1e-7), rtol=1e-6)
    assert_array_equal(d, 0)
    loss, d = ref.binary_cross_entropy(p[:1], [[1.0, 1.0, 0.0]])
    assert_allclose(loss, -np.log(1e-7) / 3, rtol=1e-6)
    assert_array_equal(d, 0)


def test_weights_and_scale():
    z, t = normal(3, 4), RNG.integers(4, size=3)
    loss, d = ref.softmax_cross_entropy_sparse(z, t)
    weighted, dw = ref.softmax_cross_entropy_sparse(z, t, [1.0, 0.0, 3.0], 0.5)
    assert_allclose(weighted, loss * [1, 0, 3])
    assert_allclose(dw, d * [[0.5], [0], [1.5]])


# ---- matrices and lookups


def test_gemm():
    a, b, c, bias = normal(3, 4), normal(4, 5), normal(3, 5), normal(5)
    want = np.tanh(0.5 * np.einsum("ip,pj->ij", a, b) - 2 * c + bias)
    options = {"alpha": 0.5, "beta": -2.0, "bias": bias, "activation": "tanh", "c": c}
    assert_allclose(ref.gemm(a, b, **options), want)
    assert_allclose(ref.gemm(a.T, b.T, trans_a=True, trans_b=True, **options), want)
    nan = np.full((3, 5), np.nan)
    assert_allclose(ref.gemm(a, b, c=nan), a @ b)


def test_embedding():
    index = np.array([[0, 2, 2], [4, 0, 2]])
    table = normal(5, 3)
    assert_array_equal(ref.embedding_forward(table, index)[1, 0], table[4])
    check_gradient(
        lambda v: ref.embedding_forward(v, index),
        lambda dy: ref.embedding_backward(dy, index, 5),
        table,
    )


# ---- images


GEOMETRIES = [
    ((5, 6), (3, 2), (1, 1), "valid", (1, 1)),
    ((5, 6), (3, 2), (2, 1), "same", (1, 1)),
    ((7, 4), (2, 3), (3, 2), "same", (1, 1)),
    ((7, 6), (3, 2), (1, 1), "same", (2, 3)),
    ((7, 6), (2, 2), (2, 3), "valid", (2, 1)),
    ((1, 1), (3, 3), (1, 1), "same", (1, 1)),
    ((4, 4), (1, 1), (3, 3), "valid", (1, 1)),
]


def _naive_conv2d(x, k, strides, padding, dilation):
    """The definition, one output at a time, with TensorFlow's padding worked out again."""
    out, before = [], []
    for axis in range(2):
        n, reach = x.shape[1 + axis], (k.shape[axis] - 1) * dilation[axis] + 1
        if padding == "valid":
            out.append(len(range(0, n - reach + 1, strides[axis])))
            before.append(0)
        else:
            out.append(len(range(0, n, strides[axis])))
            last = (out[-1] - 1) * strides[axis] + reach
            before.append(max(last - n, 0) // 2)
    y = np.zeros((len(x), *out, k.shape[3]))
    for n, oi, oj, f in np.ndindex(y.shape):
        for i, j, c in np.ndindex(k.shape[:3]):
            row = oi * strides[0] + i * dilation[0] - before[0]
            column = oj * strides[1] + j * dilation[1] - before[1]
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                y[n, oi, oj, f] += x[n, row, column, c] * k[i, j, c, f]
    return y


@pytest.mark.parametrize(("size", "window", "strides", "padding", "dilation"), GEOMETRIES)
def test_conv2d(size, window, strides, padding, dilation):
    x, k, b = normal(2, *size, 2), normal(*window, 2, 3), normal(3)
    options = {"strides": strides, "padding": padding, "dilation": dilation}
    y = ref.conv2d_forward(x, k, b, **options)
    assert_allclose(y, _naive_conv2d(x, k, **options) + b, atol=1e-12)
    check_gradient(
        lambda v: ref.conv2d_forward(v, k, b, **options),
        lambda dy: ref.conv2d_backward_input(dy, k, x.shape, **options),
        x,
    )
    check_gradient(
        lambda v: ref.conv2d_forward(x, v, b, **options),
        lambda dy: ref.conv2d_backward_kernel(dy, x, window, **options),
        k,
    )
    check_gradient(lambda v: ref.conv2d_forward(x, k, v, **options), ref.conv2d_backward_bias, b)


def _separated(*shape):
    """No two values closer than a finite difference: the winner of a window stays the winner."""
    return RNG.permutation(int(np.prod(shape))).reshape(shape).astype(float)


@pytest.mark.parametrize(("size", "window", "strides", "padding", "dilation"), GEOMETRIES)
def test_pooling(size, window, strides, padding, dilation):
    x = _separated(2, *size, 3)
    options = {"pool_size": window, "strides": strides, "padding": padding}
    y, argmax = ref.max_pool2d_forward(x, **options)
    n, c = np.arange(2)[:, None, None, None], np.arange(3)
    assert_array_equal(x.reshape(2, -1, 3)[n, argmax, c], y)
    check_gradient(
        lambda v: ref.max_pool2d_forward(v, **options)[0],
        lambda dy: ref.max_pool2d_backward(dy, argmax, x.shape, **options),
        x,
    )
    check_gradient(
        lambda v: ref.average_pool2d_forward(v, **options),
        lambda dy: ref.average_pool2d_backward(dy, x.shape, **options),
        x,
    )
    ones = np.ones((1, *size, 1))
    assert_allclose(ref.average_pool2d_forward(ones, **options), 1)  # padding does not count


def test_pooling_of_ties_and_nan():
    x = np.array([[1.0, 5.0, 5.0], [5.0, np.nan, 0.0], [0.0, 0.0, np.nan]])[None, :, :, None]
    y, argmax = ref.max_pool2d_forward(x, 2, 1)
    assert_array_equal(argmax[0, :, :, 0], [[4, 4], [4, 4]])
    assert np.isnan(y).all()
    y, argmax = ref.max_pool2d_forward(np.full((1, 2, 2, 1), -np.inf), 3, 1, "same")
    assert_array_equal(argmax, 0)
    assert_array_equal(y, -np.inf)


# ---- normalisation


def test_batch_norm():
    x, gamma, beta = normal(6, 3), normal(3), normal(3)
    y, mean, variance = ref.batch_norm_forward(x, gamma, beta)
    assert_allclose(y.mean(axis=0), beta, atol=1e-12)
    assert_allclose(y.std(axis=0), np.abs(gamma) * np.sqrt(variance / (variance + 1e-3)))
    assert_array_equal(y, ref.batch_norm_inference(x, gamma, beta, mean, variance))
    images = ref.batch_norm_forward(x.reshape(1, 2, 3, 3), gamma, beta)[0]
    assert_array_equal(images.reshape(6, 3), y)

    def part(i):
        return lambda dy: ref.batch_norm_backward(dy, x, gamma, mean, variance)[i]

    check_gradient(lambda v: ref.batch_norm_forward(v, gamma, beta)[0], part(0), x)
    check_gradient(lambda v: ref.batch_norm_forward(x, v, beta)[0], part(1), gamma)
    check_gradient(lambda v: ref.batch_norm_forward(x, gamma, v)[0], part(2), beta)


# ---- random numbers


def test_philox_known_answers():
    assert_array_equal(ref.philox4x32(PHILOX_COUNTERS, PHILOX_KEYS), PHILOX_ANSWERS)


def test_layout_of_the_stream():
    seed, layer, step = 0x123456789ABCDEF0, 7, 9
    first = 64 * (2**32 // 16 - 1)  # the block number passes 2^32 on the way
    bits = ref.random_bits(128, seed, layer, step, first)
    for e in (0, 1, 15, 16, 17, 63, 64, 127):
        block = ((first + e) // 64) * 16 + e % 16
        counter = [[block % 2**32, block // 2**32, step, layer]]
        word = ref.philox4x32(counter, [[seed % 2**32, seed >> 32]])[0, e % 64 // 16]
        assert bits[e] == word


def test_dropout_keeps_or_drops():
    x = 1 + RNG.uniform(size=(5, 77))
    y = ref.dropout_forward(x, 0.25, seed=3)
    assert set(np.unique(np.round(y / x, 12))) == {0.0, round(4 / 3, 12)}
    check_gradient(
        lambda v: ref.dropout_forward(v, 0.25, 3), lambda dy: ref.dropout_backward(dy, 0.25, 3), x
    )


# ---- optimizers


def test_sgd_by_hand():
    w, dw, v = np.array([1.0]), np.array([2.0]), np.array([0.5])
    assert ref.sgd_step(w, dw, 0.1) is w
    assert_allclose(w, 0.8)
    ref.sgd_step(w, dw, 0.1, 0.9, velocity=v)  # v = 0.45 - 0.2
    assert_allclose([w[0], v[0]], [1.05, 0.25])
    ref.sgd_step(w, dw, 0.1, 0.9, True, v)  # v = 0.225 - 0.2, w += 0.0225 - 0.2
    assert_allclose([w[0], v[0]], [0.8725, 0.025])


def test_the_first_step_of_adam_is_the_learning_rate():
    # m = 0.1 g, v = 0.001 g^2, r = lr sqrt(0.001) / 0.1: w -= lr g / (|g| + eps / sqrt(0.001))
    w, m, v, g = np.zeros(2), np.zeros(2), np.zeros(2), np.array([3.0, -1e-4])
    assert ref.adam_step(w, m, v, g, 1, learning_rate=0.01) is w
    assert_allclose(w, -0.01 * g / (np.abs(g) + 1e-7 / np.sqrt(0.001)))
    assert_allclose(m, 0.1 * g)
    assert_allclose(v, 0.001 * g**2)
    m2, v2 = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    w2 = w - 0.01 * (m2 / (1 - 0.9**2)) / (
        np.sqrt(v2 / (1 - 0.999**2)) + 1e-7 / (1 - 0.999**2) ** 0.5
    )
    ref.adam_step(w, m, v, g, 2, learning_rate=0.01)
    assert_allclose(w, w2)
