"""Initializers: moments, limits, fans and seeds; the generator underneath."""

import math

import numpy as np
import pytest

import lamina as la
from close import assert_bits
from lamina import _random, initializers

SHAPE = (200, 300)
N = SHAPE[0] * SHAPE[1]


@pytest.mark.parametrize(
    ("name", "stddev", "limit"),
    [
        ("glorot_uniform", None, math.sqrt(6 / 500)),
        ("he_uniform", None, math.sqrt(6 / 200)),
        ("lecun_uniform", None, math.sqrt(3 / 200)),
        ("random_uniform", None, 0.05),
        ("uniform", None, 0.05),
        ("glorot_normal", math.sqrt(2 / 500), 2 / 0.87962566),
        ("he_normal", math.sqrt(2 / 200), 2 / 0.87962566),
        ("lecun_normal", math.sqrt(1 / 200), 2 / 0.87962566),
        ("truncated_normal", 0.05 * 0.87962566, 2 / 0.87962566),
        ("random_normal", 0.05, 8),
        ("normal", 0.05, 8),
    ],
)
def test_distributions(name, stddev, limit):
    la.utils.set_random_seed(11)
    values = initializers.get(name)(SHAPE)
    assert values.dtype == np.float32 and values.shape == SHAPE
    if stddev is None:
        assert limit * 0.999 < values.max() <= limit * 1.000001
        assert limit * 0.999 < -values.min() <= limit * 1.000001
        stddev = limit / math.sqrt(3)
    else:
        assert np.abs(values).max() <= limit * stddev * 1.000001
        assert np.abs(values).max() > min(limit, 3.5) * stddev * 0.99
    # Five standard deviations of the mean, and of the standard deviation.
    assert abs(values.mean(dtype=np.float64)) < 5 * stddev / math.sqrt(N)
    assert abs(values.std(dtype=np.float64) / stddev - 1) < 5 / math.sqrt(2 * N)


def test_normal_numbers_are_normal():
    values = np.empty(N, np.float32)
    _random.normal(values, 5)
    values = np.sort(values.astype(np.float64))
    normal = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in values[::50]])
    # Kolmogorov and Smirnov: beyond 1.95 / sqrt(n) once in a thousand seeds; this one is fixed.
    assert np.abs(normal - np.arange(N)[::50] / N).max() < 1.95 / math.sqrt(N)


def test_constants():
    assert_bits(initializers.Zeros()((2, 3)), np.zeros((2, 3), np.float32))
    assert_bits(initializers.get("ones")((2,)), np.ones(2, np.float32))
    assert_bits(initializers.Constant(2.5)(()), np.float32(2.5).reshape(()))


def test_fans_of_kernels():
    shape = (3, 3, 20, 50)  # fan_in 180, fan_out 450
    values = initializers.GlorotUniform()(shape)
    limit = math.sqrt(6 / 630)
    assert 0.99 * limit < np.abs(values).max() <= limit * 1.000001
    values = initializers.VarianceScaling(2.0, "fan_out", "uniform")((40,))
    assert np.abs(values).max() <= math.sqrt(6 / 40)
    initializers.VarianceScaling(1.0, "fan_avg", "untruncated_normal")(())


def test_seeds():
    seeded = initializers.HeNormal(seed=3)
    assert_bits(seeded((5, 6)), seeded((5, 6)))
    assert_bits(seeded((5, 6)), initializers.HeNormal(seed=3)((5, 6)))
    assert not np.array_equal(seeded((5, 6)), initializers.HeNormal(seed=4)((5, 6)))
    la.utils.set_random_seed(1)
    free = initializers.HeNormal()
    first, second = free((5, 6)), free((5, 6))
    assert not np.array_equal(first, second)
    la.utils.set_random_seed(1)
    assert_bits(free((5, 6)), first)


def test_layers_take_initializers_of_every_form():
    def double(shape, dtype=None):
        return np.full(shape, 2.0)

    for form in (double, "ones", initializers.Constant(3), initializers.Zeros):
        layer = la.layers.Dense(2, kernel_initializer=form, bias_initializer="ones")
        la.Sequential([la.Input((3,)), layer]).count_params()
        want = {"ones": 1, initializers.Zeros: 0, double: 2}.get(form, 3)
        assert (layer.kernel.value == want).all() and (layer.bias.value == 1).all()
    for wrong, error in (
        (lambda shape, dtype=None: np.ones(7), ValueError),
        (lambda shape, dtype=None: np.array(["a"] * 6).reshape(3, 2), TypeError),
    ):
        model = la.Sequential([la.Input((3,)), la.layers.Dense(2, kernel_initializer=wrong)])
        with pytest.raises(error, match=r"Dense '.*', weight 'kernel': its initializer"):
            model.count_params()


def test_get_and_serialize():
    for name in initializers._BY_NAME:
        made = initializers.get(name)
        again = initializers.get(initializers.serialize(made))
        assert type(again) is type(made) and again.get_config() == made.get_config()
        assert getattr(initializers, type(made).__name__) is type(made)
    assert initializers.get("GlorotUniform").get_config() == {"seed": None}
    assert initializers.get(None) is None
    with pytest.raises(ValueError, match="initializer 'xavier' is not known; there are: constant"):
        initializers.get("xavier")
    with pytest.raises(ValueError, match="'Xavier' is not known"):
        initializers.get({"class_name": "Xavier"})
    with pytest.raises(TypeError, match="must be a name"):
        initializers.get(3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.RandomUniform(1, 0), "minval 1 is above maxval 0"),
        (lambda: initializers.VarianceScaling(0), "scale must be above 0"),
        (lambda: initializers.VarianceScaling(mode="fan"), "mode must be one of fan_in"),
        (lambda: initializers.VarianceScaling(distribution="x"), "distribution must be one of"),
        (lambda: initializers.RandomNormal(stddev=-1), "stddev must be finite and at least 0"),
        (lambda: initializers.Constant(float("nan")), "value must be finite"),
    ],
)
def test_wrong_values(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_set_random_seed():
    import random

    la.utils.set_random_seed(5)
    a = random.random(), np.random.rand(), _random.next_seed()
    la.utils.set_random_seed(5)
    assert (random.random(), np.random.rand(), _random.next_seed()) == a
    for wrong in ("a", 1.5, None, -1, 2**32, True):
        with pytest.raises(ValueError, match="seed must be"):
            la.utils.set_random_seed(wrong)
    la.utils.set_random_seed(np.int64(5))
    assert random.random() == a[0]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 64, 65, 1000])
def test_permutation(n):
    order = _random.permutation(n, 7)
    assert order.dtype == np.int64 and np.array_equal(np.sort(order), np.arange(n))
    assert np.array_equal(order, _random.permutation(n, 7))
    if n > 3:
        assert not np.array_equal(order, _random.permutation(n, 8))


def test_permutation_is_fair():
    # Where row 0 goes, of 8 places in 800 shuffles: chi-squared with 7 degrees of freedom is
    # above 24.3 once in a thousand sets of seeds; these are fixed.
    places = [int(np.flatnonzero(_random.permutation(8, seed) == 0)[0]) for seed in range(800)]
    counts = np.bincount(places, minlength=8)
    assert ((counts - 100) ** 2 / 100).sum() < 24.3


def test_numbers_of_more_than_one_chunk(monkeypatch):
    monkeypatch.setattr(_random, "_CHUNK", 1 << 10)
    for function in (_random.uniform, _random.normal, _random.truncated_normal):
        values = np.empty(5000, np.float32)
        function(values, 3)
        assert len(np.unique(values)) > 4990


def test_to_categorical():
    one_hot = la.utils.to_categorical([0, 2, 1])
    assert one_hot.dtype == np.float32 and one_hot.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert la.utils.to_categorical(np.array([[1], [0]]), 4).tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    assert la.utils.to_categorical(np.zeros((2, 3))).shape == (2, 3, 1)
    assert la.utils.to_categorical([], 3).shape == (0, 3)
    for wrong in ([-1], [0.5], [3], [float("nan")]):
        with pytest.raises(ValueError, match="must hold class numbers from 0 to 2"):
            la.utils.to_categorical(wrong, 3)
