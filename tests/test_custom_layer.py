"""Layers of one's own, in NumPy: training, gradients, and what is refused."""

import copy
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import by_hand
import lamina as la
from close import UNIT, assert_bits, assert_close
from lamina import layers

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 6)).astype(np.float32)
Y = RNG.integers(0, 4, 50)


@pytest.fixture(autouse=True)
def fresh_names():
    la.utils.clear_session()


class MyDense(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1], self.units), "glorot_uniform", name="kernel")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def forward(self, x, training):
        return x @ self.w.value + self.b.value

    def backward(self, dy, x):
        return dy @ self.w.value.T, {"bias": dy.sum(axis=0), "kernel": x.T @ dy}

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Square(layers.Layer):
    def forward(self, x, training):
        return x * x

    def backward(self, dy, x):
        return 2 * x * dy


def model(*middle, optimizer="sgd", out=4):
    m = la.Sequential([la.Input((6,)), *middle, layers.Dense(out, activation="softmax")])
    m.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return m


@pytest.mark.parametrize(
    ("optimizer", "step"),
    [
        (lambda: la.optimizers.SGD(0.1, 0.9), lambda: by_hand.sgd(0.1, 0.9)),
        (lambda: la.optimizers.Adam(0.01), lambda: by_hand.adam(0.01)),
    ],
)
def test_a_layer_of_one_s_own_trains_as_by_hand(optimizer, step):
    la.utils.set_random_seed(0)
    m = model(MyDense(9), layers.ReLU(), optimizer=optimizer())
    assert [w.path.split("/", 1)[1] for w in m.weights[:2]] == ["my_dense/kernel", "my_dense/bias"]
    start = m.get_weights()
    history = m.fit(X, Y, batch_size=16, epochs=3, shuffle=False, verbose=0)  # the last: 2 rows
    want, reported = by_hand.train(start, step(), X, Y, batch_size=16, epochs=3)
    for got, expected in zip(m.get_weights(), want, strict=True):
        assert_close(got, expected, atol=400 * UNIT)
    assert history.history["loss"] == pytest.approx(reported, rel=400 * UNIT)
    assert_bits(m.layers[0].w.value, m.get_weights()[0])


def test_gradients_against_finite_differences():
    la.utils.set_random_seed(1)
    m = la.Sequential([la.Input((6,)), layers.Dense(5), Square(), MyDense(3)])
    m.compile(la.optimizers.SGD(1.0), "mse")
    y = RNG.standard_normal((50, 3))
    before = [w.astype(np.float64) for w in m.get_weights()]
    m.train_on_batch(X, y)
    after = m.get_weights()

    def loss(w):
        h = (X @ w[0] + w[1]) ** 2 @ w[2] + w[3]
        return ((h - y) ** 2).mean()

    for k, weight in enumerate(before):
        want = np.empty_like(weight)
        for i in np.ndindex(weight.shape):
            slopes = []
            for h in (1e-6, -1e-6):
                moved = [w.copy() for w in before]
                moved[k][i] += h
                slopes.append(loss(moved))
            want[i] = (slopes[0] - slopes[1]) / 2e-6
        got = (weight - after[k]).astype(np.float32)
        assert_close(got, want, atol=100 * UNIT, scale=np.abs(want).max() + 1)


def test_training_is_told_and_rows_are_few_at_the_end():
    seen = []

    class Spy(Square):
        def forward(self, x, training):
            assert isinstance(training, bool) and not x.flags.writeable and x.dtype == np.float32
            seen.append((len(x), training))
            return super().forward(x, training)

    m = model(Spy())
    seen.clear()
    m.fit(X, Y, batch_size=16, verbose=0, validation_data=(X[:20], Y[:20]))
    assert seen == [(16, True), (16, True), (16, True), (2, True), (16, False), (4, False)]
    seen.clear()
    m.predict(X[:3], verbose=0)
    m(X[:3], training=True)
    assert seen == [(3, False), (3, True)]


def test_weights_that_are_not_trained_and_numbers_as_weights(tmp_path):
    class Count(layers.Layer):
        def build(self, input_shape):
            self.rows = self.add_weight((), "zeros", trainable=False, name="rows")
            self.gain = self.add_weight((), "ones", name="gain")

        def forward(self, x, training):
            if training:
                self.rows.assign(self.rows.value + len(x))
            return x * self.gain.value

        def backward(self, dy, x):
            return dy * self.gain.value, {"gain": (dy * x).sum()}

    for optimizer in ("sgd", "adam"):
        m = model(Count(), optimizer=optimizer)
        m.fit(X, Y, epochs=2, verbose=0)
        assert m.layers[0].rows.numpy() == 100 and m.layers[0].rows.shape == ()
        assert m.layers[0].gain.numpy() != 1
        assert [w.name for w in m.non_trainable_weights] == ["rows"]
    m.layers[0].trainable = False
    gain = m.layers[0].gain.numpy()
    m.fit(X, Y, verbose=0)
    assert m.layers[0].gain.numpy() == gain
    m.save_weights(tmp_path / "w.safetensors")
    m.layers[0].gain.assign(7)
    m.load_weights(tmp_path / "w.safetensors")
    assert m.layers[0].gain.numpy() == gain


def test_a_weight_that_is_not_trainable_stays_whatever_backward_returns():
    class Fixed(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(input_shape[-1:], "ones", trainable=False, name="w")

        def forward(self, x, training):
            return x * self.w.value

        def backward(self, dy, x):
            return dy * self.w.value, {"w": (dy * x).sum(axis=0)}

    m = model(Fixed(), optimizer="adam")
    m.fit(X, Y, verbose=0)
    assert_bits(m.layers[0].w.numpy(), np.ones(6, np.float32))


def test_configuration_and_files(tmp_path):
    m = model(MyDense(5, name="mine"), Square())
    m.save_weights(tmp_path / "w.safetensors")
    objects = {"MyDense": MyDense, "Square": Square}
    again = la.Sequential.from_config(m.get_config(), custom_objects=objects)
    again.load_weights(tmp_path / "w.safetensors")
    assert again.layers[0].name == "mine"
    assert_bits(again.predict(X, verbose=0), m.predict(X, verbose=0))
    with pytest.raises(ValueError, match="pass custom_objects"):
        la.Sequential.from_config(m.get_config())


def test_built_by_the_first_data_and_kept_when_the_model_changes():
    m = la.Sequential([MyDense(5)])
    assert m(X).shape == (50, 5)
    weights = m.get_weights()
    m.add(layers.Dense(2))
    assert_bits(m.get_weights()[0], weights[0])
    assert_bits(MyDense(5)(X[:0]), np.empty((0, 5), np.float32))


def test_nothing_is_kept_alive():
    m = model(MyDense(5))
    m.fit(X, Y, verbose=0)
    gone = [weakref.ref(m), weakref.ref(m.layers[0]), weakref.ref(m.weights[0])]
    del m  # at once: there is no cycle that would wait for the garbage collector
    assert [ref() for ref in gone] == [None, None, None]


def broken(**methods):
    return type("Broken", (MyDense,), methods)(4)


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (
            lambda: broken(forward=lambda self, x, training: x[:, :2]),
            ValueError,
            r"Broken 'broken.*': forward returned an array of shape \(50, 2\), expected \(50, 4\)",
        ),
        (
            lambda: broken(forward=lambda self, x, training: np.zeros((len(x), 4), complex)),
            TypeError,
            "forward returned an array of type complex128",
        ),
        (lambda: broken(backward=lambda self, dy, x: dy), ValueError, r"backward \(dx\) returned"),
        (
            lambda: broken(backward=lambda self, dy, x: np.zeros_like(x)),
            ValueError,
            "no gradient of weight 'kernel'",
        ),
        (
            lambda: broken(backward=lambda self, dy, x: (np.zeros_like(x), [dy])),
            TypeError,
            "backward must return dx or",
        ),
        (
            lambda: broken(
                backward=lambda self, dy, x: (
                    np.zeros_like(x),
                    {"kernel": np.zeros((6, 4)), "bias": np.zeros(4), "typo": dy},
                )
            ),
            ValueError,
            r"a gradient of \['typo'\]",
        ),
        (
            lambda: broken(
                backward=lambda self, dy, x: (
                    np.zeros_like(x),
                    {"kernel": np.zeros((6, 4)), "bias": np.zeros(5)},
                )
            ),
            ValueError,
            r"gradient of 'bias'\) returned an array of shape \(5,\), expected \(4,\)",
        ),
        (
            lambda: broken(backward=lambda self, dy, x: 1 / 0),
            ZeroDivisionError,
            "division by zero",
        ),
    ],
)
def test_what_a_layer_returns_is_checked_and_nothing_is_changed(layer, error, message):
    m = la.Sequential([la.Input((6,)), layers.Dense(6), layer()])
    m.compile("adam", "mse")
    before = m.get_weights()
    for _ in range(2):
        with pytest.raises(error, match=message):
            m.fit(X, np.zeros((50, 4)), batch_size=50, verbose=0)
        for a, b in zip(before, m.get_weights(), strict=True):
            assert_bits(a, b)
    assert m.optimizer.iterations == 0


def test_definitions_that_are_refused():
    class NoForward(layers.Layer):
        pass

    class NoShape(Square):
        def compute_output_shape(self, input_shape):
            return None

    class Sized(Square):
        def __init__(self, size):
            super().__init__()
            self.size = size

        def compute_output_shape(self, input_shape):
            return (None, self.size)

    class NoBackward(layers.Layer):
        def forward(self, x, training):
            return x + 1

    with pytest.raises(TypeError, match=r"NoForward '.*' must define forward"):
        la.Sequential([la.Input((6,)), NoForward()]).predict(X, verbose=0)
    with pytest.raises(TypeError, match="compute_output_shape must return a tuple, got None"):
        la.Sequential([la.Input((6,)), NoShape()])
    for size, error, message in [
        (None, ValueError, r"compute_output_shape, .*must have only known sizes, got \(None,\)"),
        (-3, ValueError, "compute_output_shape, .*must be at least 1, got -3"),
        (3.0, TypeError, "compute_output_shape, .*must be an integer, got 3.0"),
    ]:
        with pytest.raises(error, match=rf"Sized '.*': {message}"):
            la.Sequential([la.Input((6,)), Sized(size)])
    m = la.Sequential([la.Input((6,)), layers.Dense(6), NoBackward()])
    m.compile("sgd", "mse")
    before = m.get_weights()[0]
    assert m.predict(X, verbose=0).shape == (50, 6)
    assert m.evaluate(X, X, verbose=0) > 0
    m.layers[0].trainable = False
    m.fit(X, X, verbose=0)  # nothing needs its gradient
    m.layers[0].trainable = True
    hook = la.callbacks.LambdaCallback(on_train_begin=lambda logs: pytest.fail("has begun"))
    for act in (
        lambda: m.fit(X, X, verbose=0, callbacks=[hook]),
        lambda: m.train_on_batch(X, X),
    ):
        with pytest.raises(NotImplementedError, match=r"NoBackward '.*' cannot be trained"):
            act()
    assert_bits(m.get_weights()[0], before)


def test_add_weight_is_checked():
    layer = Square()
    weight = layer.add_weight((2, 3), name="a")
    assert weight.shape == (2, 3) and weight.trainable and weight.dtype == np.float32
    assert layer.add_weight().name == "weight_1"
    for keywords, error, message in [
        ({"name": "a"}, ValueError, "already has a weight named 'a'"),
        ({"shape": (0,)}, ValueError, "at least 1"),
        ({"shape": (None, 2)}, ValueError, "only known sizes"),
        ({"dtype": "float16"}, ValueError, "must be float32"),
        ({"initializer": "nope"}, ValueError, "initializer 'nope' is not known"),
        ({"name": "x/y"}, ValueError, "without '/'"),
    ]:
        with pytest.raises(error, match=message):
            layer.add_weight(**{"shape": (2,), **keywords})
    assert [w.name for w in layer.weights] == ["a", "weight_1"]

    class FailsToBuild(Square):
        def build(self, input_shape):
            self.add_weight((3,), name="first")
            raise RuntimeError("no luck")

    failing = FailsToBuild()
    m = la.Sequential([la.Input((6,)), failing])
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no luck"):
            m.predict(X, verbose=0)
    assert failing._weights == []


def test_weights_made_in_the_constructor():
    class Eager(Square):
        def __init__(self):
            super().__init__()
            self.w = self.add_weight((6,), "ones", name="w")

        def forward(self, x, training):
            return x * self.w.value

    assert_bits(la.Sequential([Eager()])(X), X)


def test_a_layer_that_failed_alone_can_be_called_again():
    class Grows(MyDense):
        def compute_output_shape(self, input_shape):
            return None if self.units else input_shape

    layer = Grows(6)
    for _ in range(2):
        with pytest.raises(TypeError, match="compute_output_shape must return a tuple"):
            layer(X)
    layer.units = 0
    layer.build = lambda shape: None
    layer.forward = lambda x, training: x
    assert_bits(layer(X), X)


class Times(layers.Layer):
    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def forward(self, x, training):
        return x * self.factor


class TimesAlone(layers.Layer):
    """Its constructor does not take what every layer has."""

    def __init__(self, factor=2.0):
        super().__init__()
        self.factor = factor

    def forward(self, x, training):
        return x * self.factor


class TimesAll(layers.Layer):
    def __init__(self, *factors, **kwargs):
        super().__init__(**kwargs)
        self.factors = factors

    def forward(self, x, training):
        return x * np.prod(self.factors)


@pytest.mark.parametrize("cls", [Times, TimesAlone])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_without_a_configuration_of_its_own_a_layer_is_made_with_its_arguments(cls, copied):
    m = la.Sequential([la.Input((6,)), cls(5.0), layers.Dense(2)])
    m.layers[0].trainable = False
    short = copied(la.Sequential([Times(3.0, input_dim=6, dtype="float32")]))
    assert_bits(short.predict(X, verbose=0), X * np.float32(3))
    other = copied(m)
    assert_bits(other.predict(X, verbose=0), m.predict(X, verbose=0))
    assert other.layers[0].name == m.layers[0].name and not other.layers[0].trainable
    assert m.layers[0].get_config()["factor"] == 5.0


def test_arguments_without_names_need_a_configuration():
    with pytest.raises(NotImplementedError, match="TimesAll must override get_config"):
        copy.deepcopy(la.Sequential([la.Input((6,)), TimesAll(2.0, 3.0)]))


@pytest.mark.parametrize("name", ["forward", "backward", "build", "call"])
def test_what_would_not_be_called_is_refused_where_it_is_defined(name):
    with pytest.raises(TypeError, match=f"Mine defines {name}, .* what Dense computes"):
        type("Mine", (layers.Dense,), {name: lambda self, *_: None})


def test_habits_of_keras_and_a_constructor_that_forgets_the_base():
    class Keras(layers.Layer):
        def build(self, input_shape):
            self.built = True

        def forward(self, x, training):
            return x

    m = la.Sequential([Keras()])
    assert not m.layers[0].built
    m.predict(X, verbose=0)
    assert m.layers[0].built

    class Forgets(layers.Layer):
        def __init__(self):
            pass

    with pytest.raises(AttributeError, match=r"Forgets.__init__ must call super\(\)"):
        la.Sequential([Forgets()])
    with pytest.raises(AttributeError, match=r"Forgets.__init__ must call super\(\)"):
        Forgets().get_weights()


class Scale(layers.Layer):
    """Looks at itself while it is built, and may fail then."""

    fails = False

    def build(self, input_shape):
        self.scale = self.add_weight(input_shape[1:], "ones", name="scale")
        assert [weight.name for weight in self.weights] == ["scale"]
        assert not hasattr(self, "extra")
        if self.fails:
            raise RuntimeError("once")
        self.shift = self.add_weight(input_shape[1:], "zeros", name="shift")

    def forward(self, x, training):
        return x * self.scale.value + self.shift.value

    def backward(self, dy, x):
        return dy * self.scale.value, {"scale": (dy * x).sum(axis=0), "shift": dy.sum(axis=0)}


@pytest.mark.parametrize("first", [{}, {"input_shape": (6,)}])
def test_a_layer_may_look_at_its_weights_while_it_is_built_even_if_that_fails(first):
    m = la.Sequential([layers.Dense(3, **first), Scale(), layers.Dense(2)])
    m.compile("sgd", "mse")
    m.layers[1].fails = True
    for _ in range(2):
        with pytest.raises(RuntimeError, match="once"):
            m.predict(X)
        assert m.built == bool(first)
    m.layers[1].fails = False
    m.fit(X, np.ones((50, 2)), verbose=0)
    assert [w.name for w in m.weights] == ["kernel", "bias", "scale", "shift", "kernel", "bias"]
    late = Scale()
    late.fails = True
    with pytest.raises(RuntimeError, match="once"):
        m.add(late)
    before = m.predict(X, verbose=0)
    m.fit(X, np.ones((50, 2)), verbose=0)
    kernel, bias = m.get_weights()[:2]
    assert np.abs(m.predict(X, verbose=0) - before).max() > 0
    assert_close(m.layers[0](X), X.astype(float) @ kernel + bias, atol=1e-5)


def test_a_layer_cannot_use_the_model_that_builds_it():
    class Uses(layers.Layer):
        def build(self, input_shape):
            m.predict(X)

        def forward(self, x, training):
            return x

    m = la.Sequential([layers.Dense(3, input_shape=(6,)), Uses()])
    with pytest.raises(RuntimeError, match="model 'sequential' is being built"):
        m.build()


def test_other_threads_build_other_models_meanwhile():
    class Waits(layers.Layer):
        def build(self, input_shape):
            with ThreadPoolExecutor(1) as pool:
                other = la.Sequential([layers.Dense(2)])
                pool.submit(other.predict, X, verbose=0).result(timeout=20)

        def forward(self, x, training):
            return x

    assert la.Sequential([Waits()]).predict(X, verbose=0).shape == X.shape


def test_build_by_hand_makes_the_weights_once():
    dense = MyDense(3)
    dense.build((None, 6))
    assert dense.built and [w.shape for w in dense.weights] == [(6, 3), (3,)]
    kernel = dense.get_weights()[0]
    y = dense(X)
    m = la.Sequential([dense])
    assert_bits(m.predict(X, verbose=0), y)
    assert_bits(m.get_weights()[0], kernel)


def test_what_is_built_without_weights_is_built_for_each_place():
    class Mean(layers.Layer):
        def build(self, input_shape):
            self.n = input_shape[-1]

        def forward(self, x, training):
            return x / self.n

    m = la.Sequential([la.Input((3,)), Mean()])
    assert_bits(m.predict(X[:, :3], verbose=0), X[:, :3] / np.float32(3))
    with pytest.raises(ValueError, match=r"built for inputs of shape \(None, 3\)"):
        m.layers[0](X)
    other = la.Sequential([la.Input((6,)), m.pop()])
    assert_bits(other.predict(X, verbose=0), X / np.float32(6))


def test_what_forward_assigns_stays_and_what_others_train_is_not_overwritten():
    class Follows(layers.Layer):
        def build(self, input_shape):
            self.mean = self.add_weight(input_shape[1:], "zeros", trainable=False, name="mean")

        def forward(self, x, training):
            if training:
                self.mean.assign(x.mean(axis=0))
            return x

    m = la.Sequential([Follows(input_shape=(6,))])
    m.layers[0](np.full((4, 6), 2.0), training=True)
    assert_bits(m.layers[0].mean.numpy(), np.full(6, 2.0, np.float32))


def test_input_dim_and_arguments_without_names():
    class Plain(layers.Layer):
        def forward(self, x, training):
            return x

    class Passes(Plain):
        def __init__(self, input_dim=None, **kwargs):
            super().__init__(input_dim=input_dim, **kwargs)

    for cls in (Plain, Passes):
        again = cls.from_config(cls(input_dim=3).get_config())
        assert la.Sequential([again]).input_shape == (None, 3)

    class Positional(Plain):
        def __init__(self, units, /, **kwargs):
            super().__init__(**kwargs)

    class News(Plain):
        def __new__(cls, units):
            return super().__new__(cls)

        def __init__(self, units):
            super().__init__()

    for layer in (Positional(3), News(3)):
        with pytest.raises(
            NotImplementedError, match=r"(Positional|News) must override get_config"
        ):
            layer.get_config()


def test_what_a_mixin_would_compute_is_refused_too():
    class Doubles:
        def forward(self, x, training):
            return 2 * x

    with pytest.raises(TypeError, match=r"Mixed defines forward, .* what Dense computes"):
        type("Mixed", (Doubles, layers.Dense), {})
    assert la.Sequential([type("Mine", (Doubles, layers.Layer), {})()]).predict(X, verbose=0).any()
