"""The structure of a model: adding and removing layers, names, shapes, weights, configuration."""

import copy
import gc
import pickle
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lamina as la
from close import assert_bits
from lamina import layers

X3, Y1 = np.ones((4, 3)), np.ones(4)


@pytest.fixture(autouse=True)
def fresh_names():
    la.utils.clear_session()


def tutorial():
    return la.models.Sequential(
        [
            layers.Flatten(input_shape=(28, 28)),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )


def test_names_shapes_and_weights_are_keras_s():
    m = tutorial()
    assert m.name == "sequential"
    assert [layer.name for layer in m.layers] == ["flatten", "dense", "dropout", "dense_1"]
    assert m.built and all(layer.built for layer in m.layers)
    assert m.input_shape == (None, 28, 28) and m.output_shape == (None, 10)
    assert [layer.output_shape for layer in m.layers] == [
        (None, 784),
        (None, 128),
        (None, 128),
        (None, 10),
    ]
    assert m.layers[1].input_shape == (None, 784)
    assert [w.path for w in m.weights] == [
        "sequential/dense/kernel",
        "sequential/dense/bias",
        "sequential/dense_1/kernel",
        "sequential/dense_1/bias",
    ]
    assert [w.shape for w in m.weights] == [(784, 128), (128,), (128, 10), (10,)]
    assert m.count_params() == 101_770
    assert m.layers[1].count_params() == 100_480 and m.layers[0].count_params() == 0
    assert m.get_layer("dropout") is m.get_layer(index=2) is m.layers[2]
    assert m.layers[3].kernel is m.weights[2] and m.layers[3].bias.name == "bias"
    assert la.Sequential().name == "sequential_1"


def test_the_names_of_keras_are_there():
    import lamina as keras

    assert keras.Sequential is keras.models.Sequential
    assert keras.Input is keras.layers.Input
    for name in keras.__all__:
        assert hasattr(keras, name) and name in dir(keras)
    assert {"activations", "datasets", "kernels", "losses", "reference"} < {*keras.__all__}
    assert isinstance(keras.__version__, str)
    with pytest.raises(AttributeError, match="no attribute 'estimator'"):
        keras.estimator  # noqa: B018


def test_show_config(capsys):
    config = la.show_config("dicts")
    assert la.show_config() is None
    printed = capsys.readouterr().out
    assert all(name in printed for name in config) and str(config["isa"]) in printed
    with pytest.raises(ValueError, match="mode must be"):
        la.show_config("xml")


@pytest.mark.parametrize(
    "make",
    [
        lambda: [la.Input((5,)), layers.Dense(3), layers.Dense(2)],
        lambda: [layers.InputLayer(shape=(5,)), layers.Dense(3), layers.Dense(2)],
        lambda: [layers.Dense(3, input_shape=(5,)), layers.Dense(2)],
        lambda: [layers.Dense(3, input_dim=5), layers.Dense(2)],
        lambda: (layers.Dense(3, input_shape=[5]), layers.Dense(2)),
    ],
)
def test_ways_to_say_the_input_shape(make):
    m = la.Sequential(make())
    assert m.built and m.input_shape == (None, 5)
    assert len(m.layers) == 2
    assert m(np.ones((4, 5))).shape == (4, 2)


def test_an_unbuilt_model_is_built_by_build_or_by_data():
    m = la.Sequential([layers.Dense(3), layers.Dense(2)])
    assert not m.built and m.weights == [] and not m.layers[0].built
    for name in ("input_shape", "output_shape"):
        with pytest.raises(AttributeError, match="before it is built"):
            getattr(m, name)
        with pytest.raises(AttributeError, match="before it is built"):
            getattr(m.layers[0], name)
    for ask in (m.count_params, m.layers[0].count_params):
        with pytest.raises(ValueError, match="not built"):
            ask()
    m.build((None, 4))
    assert [w.shape for w in m.weights] == [(4, 3), (3,), (3, 2), (2,)]
    m.build((None, 4))
    with pytest.raises(ValueError, match=r"takes inputs of shape \(None, 4\), got \(None, 5\)"):
        m.build((None, 5))
    other = la.Sequential([layers.Flatten(), layers.Dense(2)])
    assert other(np.ones((3, 2, 5))).shape == (3, 2)
    assert other.input_shape == (None, 2, 5)


def test_layers_cannot_be_assigned_nor_changed_through_the_list():
    m = tutorial()
    with pytest.raises(AttributeError, match=r"add\(\)"):
        m.layers = []
    m.layers.clear()
    assert len(m.layers) == 4


def test_adding_and_removing_keeps_the_weights_of_the_others():
    m = la.Sequential([la.Input((5,)), layers.Dense(4), layers.Dense(3)])
    before = m.get_weights()
    m.add(layers.Dense(2))
    after = m.get_weights()
    assert [a.shape for a in after[4:]] == [(3, 2), (2,)]
    for a, b in zip(before, after, strict=False):
        assert_bits(a, b)
    kernel = m.layers[1].kernel
    m.pop()
    popped = m.pop()
    assert popped.name == "dense_1" and m.output_shape == (None, 4)
    assert_bits(popped.kernel.numpy(), before[2])
    m.set_weights([np.zeros((5, 4)), np.zeros(4)])
    assert kernel is popped.kernel
    # It may join another model, with its weights.
    other = la.Sequential([la.Input((4,)), popped])
    assert_bits(other.get_weights()[0], before[2])
    assert popped.kernel.path == "sequential_1/dense_1/kernel"
    other.compile("sgd", "mse")
    other.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
    assert not np.array_equal(popped.kernel.numpy(), before[2])


def test_training_goes_on_after_a_change_of_the_layers():
    x, y = np.random.default_rng(0).random((20, 5)), np.ones((20, 3))
    m = la.Sequential([la.Input((5,)), layers.Dense(3)])
    m.compile("adam", "mse")
    m.fit(x, y, verbose=0)
    trained = m.get_weights()
    m.add(layers.Dense(3))
    assert_bits(m.get_weights()[0], trained[0])
    m.fit(x, y, verbose=0)
    assert m.optimizer.iterations == 1  # the state began anew
    assert not np.array_equal(m.get_weights()[0], trained[0])


def test_popping_all_layers():
    m = la.Sequential([layers.Dense(3, input_shape=(5,))])
    m.pop()
    assert not m.built
    with pytest.raises(ValueError, match="no layers to remove"):
        m.pop()
    m.add(layers.Dense(2, input_shape=(7,)))
    assert m.input_shape == (None, 7)


@pytest.mark.parametrize("wrong", [3, "dense", None, layers.Dense, lambda x: x])
def test_only_layers_can_be_added(wrong):
    m = la.Sequential([la.Input((5,))])
    with pytest.raises(ValueError, match="Sequential takes layers, got"):
        m.add(wrong)
    assert m.layers == []


def test_what_add_refuses_and_that_it_changes_nothing():
    m = la.Sequential([la.Input((4, 5)), layers.Dense(3, name="a")])
    before = m.get_weights()
    refused = [
        (layers.Dense(2, name="a"), "already has a layer named 'a'"),
        (la.Input((3,)), "must come first and once"),
        (la.Sequential(), "a model inside a model"),
        (m.layers[0], "already belongs to model"),
        (layers.Conv2D(2, 3, name="c"), "Conv2D 'c'"),
        (layers.Reshape((7,), name="r"), "Reshape 'r'"),
    ]
    for layer, message in refused:
        with pytest.raises(ValueError, match=message):
            m.add(layer)
    assert len(m.layers) == 1 and m.output_shape == (None, 4, 3)
    assert_bits(m.get_weights()[0], before[0])
    # A layer that was refused belongs to nobody.
    la.Sequential([la.Input((8, 8, 1)), refused[4][0]])


def test_a_layer_built_for_another_input_is_refused():
    m = la.Sequential([la.Input((4,)), layers.Dense(3)])
    assert m.count_params() == 15
    popped = m.pop()
    other = la.Sequential([la.Input((5,))])
    with pytest.raises(ValueError, match=r"built for inputs of shape \(None, 4\)"):
        other.add(popped)
    unbuilt = la.Sequential([popped])
    with pytest.raises(ValueError, match=r"built for inputs of shape \(None, 4\)"):
        unbuilt(np.ones((2, 5)))
    assert unbuilt(np.ones((2, 4))).shape == (2, 3)


def test_what_build_refuses():
    with pytest.raises(ValueError, match="without layers"):
        la.Sequential().build((None, 3))
    for wrong, error in ((5, TypeError), ((), TypeError), ((None, None), ValueError)):
        m = la.Sequential([layers.Dense(3)])
        with pytest.raises(error, match="input_shape"):
            m.build(wrong)
        assert not m.built
    with pytest.raises(ValueError, match="has no layers"):
        la.Sequential().predict(np.ones((2, 2)))
    m = la.Sequential([layers.Conv2D(2, 3)])
    with pytest.raises(ValueError, match="Conv2D"):
        m.build((None, 5))
    assert not m.built


def test_get_layer_errors():
    m = tutorial()
    with pytest.raises(ValueError, match="no layer named 'x'; there are: flatten, dense"):
        m.get_layer("x")
    with pytest.raises(ValueError, match="no layer 4"):
        m.get_layer(index=4)
    with pytest.raises(ValueError, match="a name or an index"):
        m.get_layer()
    for wrong in ("a", 1.5):
        with pytest.raises(TypeError, match="index must be an integer"):
            m.get_layer(index=wrong)


def test_get_and_set_weights():
    m = la.Sequential([la.Input((3,)), layers.Dense(2)])
    values = [np.arange(6).reshape(3, 2), [0.5, -0.5]]
    m.set_weights(values)
    assert m(np.eye(3)).tolist() == [[0.5, 0.5], [2.5, 2.5], [4.5, 4.5]]
    got = m.get_weights()
    got[0][:] = 7  # copies
    assert m.layers[0].kernel.value[0, 0] == 0
    assert not m.layers[0].kernel.value.flags.writeable
    m.layers[0].kernel.assign(np.ones((3, 2)))
    assert m.layers[0].get_weights()[0].sum() == 6
    before = m.get_weights()
    for wrong, error, message in [
        ([np.zeros((3, 2))], ValueError, "has 2 weights, got 1"),
        ([np.zeros((3, 2)), np.zeros(3)], ValueError, r"bias' has shape \(2,\), got \(3,\)"),
        ([np.zeros((3, 2)), np.array(["a", "b"])], TypeError, "takes real numbers"),
        ([np.zeros((3, 2)), np.zeros(2, complex)], TypeError, "takes real numbers"),
        (
            [np.zeros((3, 2)), np.array([0, -1e300])],
            ValueError,
            r"bias' must be within the range of float32, got -1e\+300",
        ),
    ]:
        for setter in (m.set_weights, m.layers[0].set_weights):
            with pytest.raises(error, match=message):
                setter(wrong)
    for a, b in zip(before, m.get_weights(), strict=True):
        assert_bits(a, b)
    square = la.Sequential([la.Input((2,)), layers.Dense(2), layers.Dense(2)])
    views = [w.value for w in square.weights]
    want = [v.copy() for v in views]
    square.set_weights([views[2], views[3], views[0], views[1]])
    assert_bits(square.get_weights()[0], want[2])
    assert_bits(square.get_weights()[2], want[0])


def test_weights_outlive_the_model():
    m = la.Sequential([la.Input((3,)), layers.Dense(2)])
    kernel = m.weights[0]
    value, want = kernel.value, kernel.numpy()
    gone = weakref.ref(m)
    del m
    gc.collect()
    assert gone() is None
    assert_bits(value, want)
    assert np.asarray(kernel).shape == (3, 2)
    assert repr(kernel) == "<Weight kernel, shape=(3, 2)>"


def test_configuration_makes_the_same_model():
    m = la.Sequential(
        [
            la.Input((8, 8, 1)),
            layers.Rescaling(1 / 255, offset=-0.5),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", use_bias=False),
            layers.BatchNormalization(momentum=0.8),
            layers.LeakyReLU(),
            layers.ELU(0.5),
            layers.ReLU(negative_slope=0.1),
            layers.MaxPooling2D(2, strides=1, padding="same"),
            layers.AveragePooling2D((2, 1)),
            layers.Activation("gelu"),
            layers.Reshape((-1, 4)),
            layers.Flatten(),
            layers.Dropout(0.3, seed=4),
            layers.Dense(6, kernel_initializer=la.initializers.HeNormal(seed=3)),
            layers.Softmax(),
        ],
        name="net",
    )
    config = m.get_config()
    again = la.Sequential.from_config(config)
    assert again.get_config() == config
    assert again.name == "net" and again.output_shape == m.output_shape
    again.set_weights(m.get_weights())
    x = np.random.default_rng(0).random((5, 8, 8, 1))
    assert_bits(again.predict(x, verbose=0), m.predict(x, verbose=0))
    assert_bits(again.layers[-2].kernel.numpy(), m.layers[-2].kernel.numpy())
    unbuilt = la.Sequential([layers.Embedding(5, 3), layers.GlobalAveragePooling2D(keepdims=True)])
    assert la.Sequential.from_config(unbuilt.get_config()).get_config() == unbuilt.get_config()
    by_data = la.Sequential([layers.Dense(2)])
    by_data(np.ones((1, 3)))
    assert la.Sequential.from_config(by_data.get_config()).built
    with pytest.raises(ValueError, match="'Nonsense' is not known"):
        la.Sequential.from_config({"layers": [{"class_name": "Nonsense", "config": {}}]})


def test_initial_weights_follow_from_the_seed():
    def weights(seed):
        la.utils.set_random_seed(seed)
        return tutorial().get_weights()

    for a, b in zip(weights(1), weights(1), strict=True):
        assert_bits(a, b)
    assert not np.array_equal(weights(1)[0], weights(2)[0])
    first, second = tutorial(), tutorial()
    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])


def test_without_a_seed_every_process_draws_other_weights():
    from lamina import _random

    before = _random._State.seed, _random._State.drawn
    try:
        _random._State.seed = None
        a = _random.next_seed()
        _random._State.seed = None
        assert _random.next_seed() != a
    finally:
        _random._State.seed, _random._State.drawn = before


def test_a_model_cannot_change_while_it_trains():
    m = la.Sequential([la.Input((3,)), layers.Dense(1)])
    m.compile("sgd", "mse")
    seen = []

    def change(epoch, logs):
        for action in (
            lambda: m.add(layers.Dense(1)),
            m.pop,
            lambda: m.compile("sgd", "mse"),
            lambda: m.fit(np.ones((2, 3)), np.ones(2)),
        ):
            with pytest.raises(RuntimeError, match="while the model is being trained"):
                action()
            seen.append(1)

    hook = la.callbacks.LambdaCallback(on_epoch_end=change)
    m.fit(np.ones((2, 3)), np.ones(2), verbose=0, callbacks=[hook])
    assert len(seen) == 4 and len(m.layers) == 1


@pytest.mark.parametrize(
    ("run", "doing"),
    [
        (lambda m, hook: m.evaluate(X3, Y1, verbose=0, callbacks=[hook]), "evaluated"),
        (lambda m, hook: m.predict(X3, verbose=0, callbacks=[hook]), "used to predict"),
    ],
)
@pytest.mark.parametrize("when", ["begin", "batch_end", "end"])
def test_a_model_cannot_change_while_it_is_evaluated_or_predicts(run, doing, when):
    m = la.Sequential([la.Input((3,)), layers.Dense(1)])
    m.compile("sgd", "mse")
    seen = []

    def change(*arguments):
        for action in (lambda: m.add(layers.Dense(1)), m.pop, lambda: m.compile("sgd", "mse")):
            with pytest.raises(RuntimeError, match=f"while the model is being {doing}"):
                action()
            seen.append(1)
        m.fit(X3, Y1, verbose=0)  # changes the weights only

    mode = "test" if doing == "evaluated" else "predict"
    run(m, la.callbacks.LambdaCallback(**{f"on_{mode}_{when}": change}))
    assert len(seen) == 3
    m.compile("sgd", "mse")
    m.pop()


class Scale(layers.Layer):
    def build(self, input_shape):
        self.scale = self.add_weight(input_shape[-1:], "ones", name="scale")

    def forward(self, x, training):
        return x * self.scale.value

    def backward(self, dy, x):
        return dy * self.scale.value, {"scale": (dy * x).sum(axis=0)}


class Cube(la.losses.Loss):
    def forward(self, y_true, y_pred):
        return ((y_pred - y_true) ** 4).sum(axis=1)

    def backward(self, y_true, y_pred):
        return 4 * (y_pred - y_true) ** 3


COPIES = [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]


@pytest.mark.parametrize("copied", COPIES, ids=["deepcopy", "pickle"])
def test_a_copy_has_the_weights_and_goes_on_training_alike(copied):
    m = la.Sequential([layers.Dense(4), Scale(), layers.BatchNormalization(), layers.Dense(1)])
    m.layers[0].trainable = False
    m.compile(la.optimizers.Adam(0.01), Cube(), metrics=["mae"], weighted_metrics=["mse"])
    x = np.random.default_rng(0).random((20, 3))
    m.fit(x, np.ones(20), verbose=0, shuffle=False)
    other = copied(m)
    assert other.get_config() == m.get_config() and other.metrics_names == m.metrics_names
    assert other.optimizer.iterations == 1
    for model in (m, other):
        model.fit(x, np.ones(20), verbose=0, shuffle=False)
    for a, b in zip(m.get_weights(), other.get_weights(), strict=True):
        assert_bits(a, b)
    kept = m.get_weights()
    other.set_weights([np.zeros(w.shape) for w in other.weights])
    other.add(layers.Dense(2))
    for a, b in zip(kept, m.get_weights(), strict=True):
        assert_bits(a, b)


@pytest.mark.parametrize("copied", COPIES, ids=["deepcopy", "pickle"])
def test_copies_of_models_that_are_not_built_or_know_themselves(copied):
    m = la.Sequential([layers.Dense(4)], trainable=False)
    other = copied(m)
    assert other.layers[0]._model() is other and not other.built and not other.trainable
    assert other(np.ones((1, 7))).shape == (1, 4)
    assert m(np.ones((1, 3))).shape == (1, 4)
    loss = Cube()
    loss.model = m
    m.compile("sgd", loss)
    other = copied(m)
    assert other.loss.model is other


def test_what_cannot_be_copied_and_what_a_copy_alone_is():
    m = la.Sequential([layers.Flatten(), layers.Dense(4)])
    m.compile("adam", "mse")
    m.fit(X3, np.ones((4, 4)), verbose=0)
    with pytest.raises(TypeError, match=r"use copy\.deepcopy"):
        copy.copy(m)
    for copied in (copy.copy, *COPIES):
        with pytest.raises(TypeError, match=r"Dense 'dense' has weights and cannot be copied"):
            copied(m.layers[1])
        assert copied(m.layers[0])._model() is None
        optimizer = copied(m.optimizer)
        assert optimizer.get_config() == m.optimizer.get_config() and not optimizer.built
        history = copied(m.history)
        assert history.model is None and history.history == m.history.history
        stop = la.callbacks.EarlyStopping(patience=3)
        stop.set_model(m)
        assert copied(stop).model is None and copied(stop).patience == 3
    fresh = copy.copy(Scale())
    assert fresh._weights == [] and fresh(X3).shape == (4, 3)
    popped = m.pop()
    unbuilt = la.Sequential([popped])
    with pytest.raises(TypeError, match=r"build\(\) it before it is copied"):
        copy.deepcopy(unbuilt)


def test_names_can_be_given_and_are_checked():
    assert layers.Dense(1, name="out").name == "out"
    for wrong, error in ((3, TypeError), ("", ValueError), ("a/b", ValueError)):
        with pytest.raises(error, match="name must be"):
            layers.Dense(1, name=wrong)
        with pytest.raises(error, match="name must be"):
            la.Sequential(name=wrong)


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (layers.MaxPooling2D, "max_pooling2d"),
        (layers.ReLU, "re_lu"),
        (layers.LeakyReLU, "leaky_re_lu"),
        (layers.ELU, "elu"),
        (layers.BatchNormalization, "batch_normalization"),
        (layers.GlobalAveragePooling2D, "global_average_pooling2d"),
    ],
)
def test_automatic_names_are_keras_s(made, name):
    assert made().name == name
    assert made().name == f"{name}_1"


def test_repr():
    m = la.Sequential([layers.Dense(3)])
    assert repr(m) == "<Sequential name=sequential, built=False>"
    assert repr(m.layers[0]) == "<Dense name=dense, built=False>"


class Unwilling(layers.Layer):
    def build(self, input_shape):
        self.add_weight(input_shape[1:], name="w")
        raise ValueError("cannot be built")

    def forward(self, x, training):
        return x


def test_a_layer_that_cannot_be_made_leaves_a_trained_model_as_it_was():
    m = la.Sequential([layers.Dense(4, input_shape=(3,))])
    m.compile("adam", "mse")
    m.fit(X3, np.ones((4, 4)), verbose=0)
    before = m.get_weights()
    for unwilling, error in ((Unwilling(), ValueError), (layers.Dense(1 << 50), MemoryError)):
        with pytest.raises(error):
            m.add(unwilling)
        assert len(m.layers) == 1 and unwilling.weights == [] and not unwilling.built
        assert m.output_shape == (None, 4) and m.optimizer.iterations == 1
        assert all(map(np.array_equal, m.get_weights(), before))
    m.fit(X3, np.ones((4, 4)), verbose=0)
    assert m.optimizer.iterations == 2


def test_a_layer_that_cannot_be_made_can_be_removed_again():
    m = la.Sequential([layers.Dense(4, input_shape=(3,)), layers.Dense(1 << 50)])
    with pytest.raises(MemoryError, match="the weights of Dense 'dense', Dense 'dense_1'"):
        m.predict(X3)
    assert m.pop().name == "dense_1"
    assert m.predict(X3, verbose=0).shape == (4, 4)
    with pytest.raises(ValueError, match="Dense 'dense_2': weight 'kernel' would have more than"):
        la.Sequential([layers.Dense(1 << 40, input_shape=(1 << 40,))]).build()


def test_a_first_build_that_fails_leaves_the_model_unbuilt():
    class Even(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(input_shape[1:], "ones", name="w")
            if input_shape[-1] % 2:
                raise ValueError("needs an even number")

        def forward(self, x, training):
            return x * self.w.value

    class Any(Even):
        def build(self, input_shape):
            self.w = self.add_weight(input_shape[1:], "ones", name="w")

    m = la.Sequential([Any(), Even(), layers.Dense(1)])
    m.compile("sgd", "mse")
    for call in (m.predict, lambda x: m.evaluate(x, Y1), lambda x: m.build((None, *x.shape[1:]))):
        with pytest.raises(ValueError, match="needs an even number"):
            call(X3)
        assert not m.built and not any(layer.built for layer in m.layers) and m.weights == []
    assert m.predict(X3[:, :2], verbose=0).shape == (4, 1)
    assert [weight.shape for weight in m.weights] == [(2,), (2,), (2, 1), (1,)]


@pytest.mark.parametrize("known", [True, False])
def test_threads_that_come_first_together_find_one_set_of_weights(known):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(30):
            first = {"input_shape": (3,)} if known else {}
            m = la.Sequential([layers.Dense(300, **first), layers.Dense(2)])
            barrier = threading.Barrier(3)

            def predict(m=m, barrier=barrier):
                barrier.wait()
                return m.predict(X3, verbose=0)

            with ThreadPoolExecutor(3) as pool:
                outputs = [future.result() for future in [pool.submit(predict) for _ in range(3)]]
            assert len(m.weights) == 4
            for y in outputs:
                assert_bits(y, m.predict(X3, verbose=0))
    finally:
        sys.setswitchinterval(interval)


def test_what_goes_in_and_comes_out():
    m = la.Sequential([layers.Dense(4), layers.Dense(2)])
    for name in ("inputs", "outputs"):
        with pytest.raises(AttributeError, match="before it is built"):
            getattr(m, name)
    m.build((None, 3))
    assert m.inputs == [((None, 3), "float32", "dense")]
    assert m.outputs[0].shape == (None, 2) and m.outputs[0].name == "dense_1"
    assert la.Sequential([la.Input((3,), name="in"), layers.Dense(1)]).inputs[0].name == "in"


def test_the_state_of_the_optimizer_is_counted_as_it_was_made():
    m = la.Sequential([layers.Dense(5, input_shape=(3,)), layers.Dense(4)])
    m.compile("adam", "mse")
    m.fit(X3, np.ones((4, 4)), verbose=0)
    m.layers[0].trainable = False
    lines = []
    m.summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert "Total params: 134 " in text and "Optimizer params: 90 " in text  # 2 x 44 and 2
    assert "Trainable params: 24 " in text


def test_an_embedding_in_front_takes_plain_rows_of_indices():
    m = la.Sequential([layers.Embedding(10, 4)])
    assert m.predict(np.arange(5), verbose=0).shape == (5, 4) and m.input_shape == (None,)
    assert la.Sequential([layers.Dense(2)]).predict(np.arange(5), verbose=0).shape == (5, 2)


def test_what_a_copy_counts_and_what_a_layer_that_was_never_made_says():
    m = la.Sequential([layers.Dense(5, input_shape=(3,)), layers.Dense(4)])
    m.compile("adam", "mse")
    m.fit(X3, np.ones((4, 4)), verbose=0)
    m.layers[0].trainable = False
    lines = [[], []]
    for model, found in zip((m, copy.deepcopy(m)), lines, strict=True):
        model.summary(print_fn=found.append)
    assert [line for line in lines[0] if "Optimizer" in line] == [
        line for line in lines[1] if "Optimizer" in line
    ]
    unmade = la.Sequential([layers.Dense(4, input_shape=(3,)), layers.Dense(1 << 50)]).pop()
    assert not unmade.built and unmade.weights == []


def test_layers_that_are_not_in_a_list_are_refused():
    """They would be taken for `trainable` and `name`."""
    for count in (2, 3, 4, 5):
        with pytest.raises(
            TypeError, match=r"pass a list, Sequential\(\[(Dense\(\.\.\.\)(, )?)+\]\)"
        ):
            la.Sequential(*[layers.Dense(3) for _ in range(count)])
    with pytest.raises(TypeError, match=r"pass a list, Sequential\(\[Dense\(\.\.\.\)\]\)"):
        la.Sequential([layers.Dense(3)], layers.Dense(3))
    with pytest.raises(TypeError, match="takes one list of layers"):
        la.Sequential([layers.Dense(3)], True, "name", "another")
    model = la.Sequential(layers.Dense(3))  # one alone is understood
    with pytest.raises(TypeError, match=r"add takes one layer, got two: call add\(\) for each"):
        model.add(layers.Dense(3), layers.Dense(2))
    with pytest.raises(
        ValueError, match=r"Sequential takes layers, got \[.*; call add\(\) for each"
    ):
        model.add([layers.Dense(3), layers.Dense(2)])
    assert len(model.layers) == 1
