"""Losses and their gradients against float64, one value a row.

A row's loss is a sum of cols terms, each right to a few UNIT of its size, in sixteen chains: it
rounds cols / 16 + 4 times more. Gradients are products and quotients of numbers that are right to
a few UNIT.
"""

import numpy as np
import pytest

from close import UNIT, assert_bits, assert_close
from kernel_inputs import normal, rng
from lamina import kernels, reference

SHAPES = [(0, 3), (1, 1), (1, 2), (3, 10), (7, 15), (5, 16), (6, 17), (2, 65), (33, 10), (2, 257)]
NAMES = [
    "softmax_cross_entropy_sparse",
    "softmax_cross_entropy_onehot",
    "sigmoid_cross_entropy",
    "mean_squared_error",
    "mean_absolute_error",
    "cross_entropy_sparse",
    "cross_entropy_onehot",
    "binary_cross_entropy",
]


def probabilities(name):
    return name in ("cross_entropy_sparse", "cross_entropy_onehot", "binary_cross_entropy")


def draw(g, name, rows, cols):
    """(predictions, targets)"""
    x = 3 * normal(g, rows, cols)
    if probabilities(name):
        x = g.uniform(0.02, 0.95, size=(rows, cols)).astype(np.float32)
    if name.endswith("sparse"):
        return x, g.integers(cols, size=rows)
    t = g.uniform(size=(rows, cols)).astype(np.float32)
    return x, np.round(t) if name == "sigmoid_cross_entropy" else t


def f64(a):
    return a.astype(np.float64) if a.dtype == np.float32 else a


def sizes(name, x, y):
    """What the terms of a row's loss, and of an element's gradient, amount to."""
    x = f64(x)
    rows, cols = x.shape
    if name == "mean_squared_error":
        e = np.abs(x) + np.abs(y)
        return (e**2).mean(axis=1), 2 * e / cols
    if name == "mean_absolute_error":
        return (np.abs(x) + np.abs(y)).mean(axis=1), np.ones_like(x) / cols
    if name == "sigmoid_cross_entropy":
        return (1 + 2 * np.abs(x)).mean(axis=1), np.ones_like(x) / cols
    if name == "binary_cross_entropy":
        return 2 - np.log(x * (1 - x)).mean(axis=1), 2 / (x * (1 - x)) / cols
    mass = np.ones((rows, 1)) if name.endswith("sparse") else np.abs(y).sum(axis=1, keepdims=True)
    if name.startswith("softmax"):
        return (1 + 2 * np.abs(x).max(axis=1, initial=0)) * mass[:, 0] * 2, mass * np.ones_like(x)
    q = x / x.sum(axis=1, keepdims=True)
    # 1 - q loses digits beside log q where q is near 1.
    return (1 - np.log(q).min(axis=1, initial=0)) * mass[:, 0], mass * (1 / x + 1 / (q + x))


@pytest.mark.parametrize("cols", [3, 40])
@pytest.mark.parametrize("name", NAMES)
def test_no_gradient_is_denormal(name, cols):
    """Products of denormals are slow on some processors."""
    g = rng(32)
    for scale in (1e-37, 2e-38, 1.0):
        x, y = draw(g, name, 50, cols)
        if scale == 1.0:
            x = x - np.float32(25) * g.integers(5, size=x.shape).astype(np.float32)
            x = np.abs(x) if probabilities(name) else x
        _, d = getattr(kernels, name)(x, y, None, scale)
        _, want = getattr(reference, name)(f64(x), f64(y), None, scale)
        for gradient in (d, want):
            assert not ((gradient != 0) & (np.abs(gradient) < 2.0**-126)).any()
        assert scale < 1.0 or (d != 0).any()


def test_binary_cross_entropy_of_infinite_logits_is_the_limit():
    inf = np.inf
    for logit, target, loss, slope in [
        (inf, 1, 0, 0), (inf, 0, inf, 1), (-inf, 0, 0, 0), (-inf, 1, inf, -1),
        (inf, 0.25, inf, 0.75), (-inf, 0.25, inf, -0.25), (inf, 2, -inf, -1), (-inf, -1, -inf, 1),
        (3e38, 1, 0, 0), (-3e38, 0, 0, 0),
    ]:  # fmt: skip
        for function in (kernels.sigmoid_cross_entropy, reference.sigmoid_cross_entropy):
            got = function(np.array([[logit]], np.float32), np.array([[target]], np.float32))
            assert [got[0][0], got[1][0, 0]] == [loss, slope], (function, logit, target)
    nan = kernels.sigmoid_cross_entropy([[np.nan], [inf], [-inf]], [[1], [np.nan], [np.nan]])
    assert np.isnan(nan[0]).all() and np.isnan(nan[1]).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_and_gradient(name, weighted):
    g = rng(31)
    for rows, cols in SHAPES:
        x, y = draw(g, name, rows, cols)
        w = g.uniform(0.5, 2, size=rows).astype(np.float32) if weighted else None
        scale = 0.25 if weighted else 1.0
        got = getattr(kernels, name)(x, y, w, scale)
        want = getattr(reference, name)(f64(x), f64(y), w, scale)
        of_loss, of_gradient = sizes(name, x, y)
        factor = 2.0 if weighted else 1.0  # the largest weight
        rounding = (8 + cols / 16) * UNIT * factor
        what = f"{name} {rows} x {cols}"
        assert_close(got[0], want[0], atol=rounding, scale=of_loss, what=what)
        assert_close(got[1], want[1], atol=rounding * scale, scale=of_gradient, what=what)


def test_labels_of_any_integer_dtype():
    x = normal(rng(32), 5, 7)
    for name in ("softmax_cross_entropy_sparse", "cross_entropy_sparse"):
        p = np.exp(x)
        want = getattr(kernels, name)(p, [0, 6, 3, 3, 1])
        for dtype in ("u1", "i1", "u2", "i4", "i8", "u8"):
            got = getattr(kernels, name)(p, np.array([0, 6, 3, 3, 1], dtype))
            assert_bits(got[0], want[0])
            assert_bits(got[1], want[1])
        for label, index in ((7, 2), (-1, 2), (2**40, 2)):
            labels = np.array([0, 1, label, 3, 4])
            with pytest.raises(ValueError, match=rf"labels.*{index}.*{label}"):
                getattr(kernels, name)(p, labels)
        with pytest.raises(TypeError, match="labels"):
            getattr(kernels, name)(p, np.zeros(5))
        with pytest.raises(ValueError, match="labels"):
            getattr(kernels, name)(p, np.zeros(4, int))


@pytest.mark.parametrize("name", [n for n in NAMES if not n.endswith("sparse")])
def test_wrong_shapes(name):
    loss, x = getattr(kernels, name), np.full((3, 4), 0.5, np.float32)
    for arguments, message in [
        ((x, x[:2]), "targets"),
        ((x, x[:, :3]), "targets"),
        ((x, x, np.ones(4)), "sample_weight"),
        ((x[0], x[0]), "rank|dimension|shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            loss(*arguments)


def test_finite_for_any_reasonable_logits():
    """Subtracting the maximum: e^89 alone would overflow, and so would e^-z with z = -1e4."""
    z = np.float32([[1e4, -1e4, 0], [-1e30, 1e30, 3], [90, 89, 88], [-2e38, 1e38, 0]])
    for labels in ([0, 0, 0, 0], [1, 1, 1, 1]):
        loss, d = kernels.softmax_cross_entropy_sparse(z, labels)
        want = reference.softmax_cross_entropy_sparse(f64(z), labels)
        assert_close(loss, want[0], rtol=8 * UNIT, atol=8 * UNIT)
        assert_close(d, want[1], rtol=8 * UNIT, atol=8 * UNIT)
        onehot = np.eye(3, dtype=np.float32)[labels]
        got = kernels.softmax_cross_entropy_onehot(z, onehot)
        assert_close(got[0], want[0], rtol=8 * UNIT, atol=8 * UNIT)
        assert_close(got[1], want[1], rtol=8 * UNIT, atol=8 * UNIT)
        got = kernels.sigmoid_cross_entropy(z, onehot)
        want = reference.sigmoid_cross_entropy(f64(z), f64(onehot))
        assert_close(got[0], want[0], rtol=8 * UNIT, atol=8 * UNIT)
        assert_close(got[1], want[1], rtol=8 * UNIT, atol=8 * UNIT)


def test_clipping():
    """Both sides of both limits: the loss is that of the limit, the gradient 0 beyond it."""
    p = np.float32([[1e-9, 1 - 1e-9], [2e-7, 1 - 2e-7], [1e-8, 1], [0.0, 1.0], [0.5, 0.5]])
    for labels in (np.zeros(5, int), np.ones(5, int)):
        onehot = np.eye(2, dtype=np.float32)[labels]
        sparse = kernels.cross_entropy_sparse(p, labels)
        want = reference.cross_entropy_sparse(f64(p), labels)
        assert_close(sparse[0], want[0], rtol=4 * UNIT, atol=4 * UNIT)
        assert (sparse[1][[0, 2, 3]] == 0).all()
        assert (sparse[1][[1, 4]] != 0).all()
        assert_close(
            kernels.cross_entropy_onehot(p, onehot)[0], want[0], rtol=4 * UNIT, atol=4 * UNIT
        )
        assert_close(kernels.cross_entropy_onehot(p, onehot)[1], f64(sparse[1]), rtol=4 * UNIT)
        binary = kernels.binary_cross_entropy(p, onehot)
        want = reference.binary_cross_entropy(f64(p), f64(onehot))
        assert_close(binary[0], want[0], rtol=8 * UNIT, atol=4 * UNIT)
        # 1 - q is exact; the quotient (q - t) / (q (1 - q)) rounds three times.
        assert_close(binary[1], want[1], rtol=8 * UNIT)


def test_absolute_error_is_flat_where_equal():
    x = np.float32([[1, 2, 3, -0.0]])
    loss, d = kernels.mean_absolute_error(x, np.float32([[1, 4, 2, 0.0]]))
    assert_close(loss, [0.75])
    assert_close(d, [[0, -0.25, 0.25, 0]])


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_in_its_row(name):
    x, y = draw(rng(33), name, 6, 21)
    x[1, 0], x[4, 20] = np.nan, np.nan
    loss, d = getattr(kernels, name)(x, y)
    want = getattr(reference, name)(f64(x), f64(y))
    assert list(np.isnan(loss)) == list(np.isnan(want[0]))
    whole = name not in ("mean_squared_error", "mean_absolute_error") and "binary" not in name
    for i in range(6):
        bad = np.isnan(d[i])
        assert bad.any() == (i in (1, 4))
        if i in (1, 4) and whole and name != "sigmoid_cross_entropy":
            assert bad.all() == np.isnan(want[1][i]).all()


@pytest.mark.parametrize("name", NAMES)
def test_in_place(name):
    x, y = draw(rng(34), name, 6, 21)
    w = rng(35).uniform(size=6).astype(np.float32)
    want = getattr(kernels, name)(x, y, w, 0.5)
    loss, d = np.empty(6, np.float32), x.copy()
    got = getattr(kernels, name)(d, y, w, 0.5, out=(loss, d))
    assert got[0] is loss and got[1] is d
    assert_bits(loss, want[0])
    assert_bits(d, want[1])


@pytest.mark.parametrize("name", ["softmax_cross_entropy_onehot", "mean_squared_error"])
def test_rows_of_nothing_lose_nothing(name):
    nothing = np.zeros((3, 0), np.float32)
    with np.errstate(all="ignore"):
        for where in (kernels, reference):
            loss, d = getattr(where, name)(nothing, nothing)
            assert loss.tolist() == [0, 0, 0] and d.shape == (3, 0)
