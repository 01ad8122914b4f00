"""Wrong data: every mistake is named, before anything has changed."""

import array

import numpy as np
import pytest

import lamina as la
from close import assert_bits
from lamina import layers

SPARSE = "sparse_categorical_crossentropy"
X = np.random.default_rng(0).random((12, 28, 28)).astype(np.float32)
Y = np.arange(12) % 10
NAN = float("nan")


@pytest.fixture(autouse=True)
def fresh_names():
    la.utils.clear_session()


def tutorial():
    return la.Sequential(
        [
            layers.Flatten(input_shape=(28, 28)),
            layers.Dense(16, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


ONE_HOT = np.eye(10)[Y]


class Batches:
    def __init__(self, *batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


# keywords of fit, type of the error, part of its message
FIT = [
    (
        {"x": X[:, :27]},
        ValueError,
        r"Flatten 'flatten' expects inputs of shape \(batch, 28, 28\), got \(12, 27, 28\)",
    ),
    ({"x": X.reshape(12, 784)}, ValueError, r"got \(12, 784\); reshape x to \(-1, 28, 28\)"),
    ({"x": X[0]}, ValueError, r"got \(28, 28\); add the batch axis: x\[np.newaxis\]"),
    ({"x": 3.0}, ValueError, "x must have a batch axis, got a single number"),
    ({"x": None}, TypeError, "x must hold real numbers, got None"),
    (
        {"x": X.astype(complex)},
        TypeError,
        "x must hold real numbers, got an array of type complex128",
    ),
    ({"x": X.astype(str)}, TypeError, "x must hold real numbers"),
    (
        {"x": changed(X.astype(object), (3, 0, 2), "a")},
        TypeError,
        "x must hold real numbers, got text: 'a' in row 3, column 0, 2",
    ),
    ({"x": X.astype("M8[s]")}, TypeError, "x must hold real numbers"),
    ({"x": [[1], [2, 3]]}, ValueError, "x cannot be made an array"),
    ({"x": {"a": X}}, TypeError, "x must be an array, got a dict"),
    ({"x": X[:0], "y": Y[:0]}, ValueError, "x is empty"),
    ({"y": None}, ValueError, "y is missing"),
    ({"y": Y[:11]}, ValueError, "Data cardinality is ambiguous: x has 12 rows and y has 11"),
    ({"y": 3}, ValueError, "y must have a batch axis"),
    ({"y": Y.astype(str)}, TypeError, "y must hold real numbers"),
    ({"y": Y + 0j}, TypeError, "y must hold real numbers"),
    (
        {"y": changed(Y, 7, 10)},
        ValueError,
        r"from 0 to 9, the model has 10 outputs; got 10 at y\[7\]; labels count from 0",
    ),
    ({"y": changed(Y, 7, -1)}, ValueError, r"got -1 at y\[7\]"),
    ({"y": changed(Y.astype(np.int64), 3, 2**40)}, ValueError, r"got 1099511627776 at y\[3\]"),
    ({"y": changed(Y.astype(float), 5, NAN)}, ValueError, r"got nan at y\[5\]"),
    ({"y": changed(Y.astype(float), 5, 1.5)}, ValueError, r"got 1.5 at y\[5\]"),
    ({"y": changed(Y.astype(float), 5, np.inf)}, ValueError, r"got inf at y\[5\]"),
    (
        {"y": ONE_HOT},
        ValueError,
        r"got \(12, 10\); for one-hot targets use loss='categorical_crossentropy'",
    ),
    ({"y": np.zeros((12, 2))}, ValueError, r"y must have shape \(batch,\) for loss 'sparse"),
    (
        {"sample_weight": np.ones(11)},
        ValueError,
        "ambiguous: x has 12 rows and sample_weight has 11",
    ),
    ({"sample_weight": np.ones((12, 2))}, ValueError, r"sample_weight must have shape \(12,\)"),
    (
        {"sample_weight": changed(np.ones(12), 2, NAN)},
        ValueError,
        r"must be finite, got nan at sample_weight\[2\]",
    ),
    ({"sample_weight": ["a"] * 12}, TypeError, "sample_weight must hold real numbers"),
    ({"sample_weight": np.ones(12), "class_weight": {0: 1}}, ValueError, "not both"),
    ({"class_weight": [1, 2]}, TypeError, "class_weight must be a dict"),
    ({"class_weight": {"a": 1}}, TypeError, "a key of class_weight must be an integer"),
    ({"class_weight": {0.5: 1}}, TypeError, "a key of class_weight must be an integer, got 0.5"),
    ({"class_weight": {-1: 1}}, ValueError, "a key of class_weight must be at least 0"),
    ({"class_weight": {1: NAN}}, ValueError, r"class_weight\[1\] must be finite"),
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
    ({"batch_size": 1 << 40}, ValueError, r"batch_size must be below 2\*\*40, got 1099511627776"),
    ({"batch_size": 2.5}, TypeError, "batch_size must be an integer, got 2.5"),
    ({"batch_size": True}, TypeError, "batch_size must be an integer"),
    ({"epochs": -1}, ValueError, "epochs must be at least 0"),
    ({"epochs": "5"}, TypeError, "epochs must be an integer"),
    ({"initial_epoch": -1}, ValueError, "initial_epoch must be at least 0"),
    ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be at least 1"),
    ({"validation_steps": 0}, ValueError, "validation_steps must be at least 1"),
    ({"validation_freq": 0}, ValueError, "validation_freq must be at least 1"),
    ({"validation_freq": [1, "2"]}, TypeError, "validation_freq must be an integer"),
    (
        {"validation_batch_size": 0, "validation_split": 0.5},
        ValueError,
        "validation_batch_size must be",
    ),
    ({"validation_split": 1.5}, ValueError, "validation_split must be between 0 and 1"),
    ({"validation_split": 1}, ValueError, "leaves 0 rows to train on and 12 to validate"),
    ({"validation_split": 0.99}, ValueError, "leaves 0 rows to train on"),
    ({"validation_data": X}, TypeError, "validation_data must be a tuple"),
    ({"validation_data": (X,)}, ValueError, "validation_data must be .*got 1 things"),
    ({"validation_data": (X, Y[:3])}, ValueError, "validation_data's y has 3"),
    ({"validation_data": (X, Y + 5)}, ValueError, r"validation_data's y must hold class numbers"),
    ({"validation_data": (X[:, :2], Y)}, ValueError, "expects inputs of shape"),
    ({"validation_data": (X, Y, Y[:2])}, ValueError, "validation_data's sample_weight has 2"),
    ({"shuffle": "batch"}, ValueError, "shuffle must be True or False"),
    ({"callbacks": ["a"]}, TypeError, "callbacks must be instances"),
    ({"verbose": 7}, ValueError, "verbose must be 0, 1, 2"),
    ({"verbose": np.array([1, 2])}, ValueError, "verbose must be 0, 1, 2"),
    ({"verbose": "loud"}, ValueError, "verbose must be 0, 1, 2"),
    ({"validation_data": Batches((X, Y + 5))}, ValueError, r"got 10 at validation_data.s y\[5\]"),
    ({"validation_data": Batches()}, ValueError, "validation_data yields no batch"),
    (
        {"sample_weight": changed(np.ones(12), 2, 1e300)},
        ValueError,
        r"must be within the range of float32, got 1e\+300 at sample_weight\[2\]",
    ),
    ({"class_weight": {1: 1e300}}, ValueError, r"class_weight\[1\] must be at most 3.40"),
]


# To a model that is not built any shape of a row is as good as another.
FITS = ("Flatten 'flatten' expects", r"got \(12, 784\)", r"got \(28, 28\)")


@pytest.mark.parametrize(("wrong", "error", "message"), FIT)
def test_fit_refuses_and_changes_nothing(wrong, error, message):
    check_fit(tutorial(), wrong, error, message)


@pytest.mark.parametrize(
    ("wrong", "error", "message"), [case for case in FIT if not case[2].startswith(FITS)]
)
def test_fit_of_an_unbuilt_model_refuses_and_does_not_build_it(wrong, error, message):
    model = la.Sequential([layers.Flatten(), layers.Dense(10, activation="softmax")])
    check_fit(model, wrong, error, message)


def check_fit(model, wrong, error, message):
    keywords = {"x": X, "y": Y, "verbose": 0, **wrong}
    built = model.built
    model.compile("adam", SPARSE, metrics=["accuracy"])
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises(error, match=message):
        model.fit(**keywords)
    assert [w.tobytes() for w in model.get_weights()] == before
    assert model.optimizer.iterations == 0 and not model.optimizer.built
    assert model.history is None and model.built == built


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.evaluate(X, Y[:3]), ValueError, "ambiguous: x has 12 rows and y has 3"),
        (lambda m: m.evaluate(X), ValueError, "y is missing"),
        (lambda m: m.evaluate(X[:0], Y[:0]), ValueError, "x is empty"),
        (lambda m: m.evaluate(X, Y, batch_size=-1), ValueError, "batch_size must be at least 1"),
        (lambda m: m.evaluate(X, Y, steps=0), ValueError, "steps must be at least 1"),
        (lambda m: m.evaluate(X, changed(Y, 11, 99)), ValueError, r"got 99 at y\[11\]"),
        (lambda m: m.predict(X[:, 0]), ValueError, r"Flatten 'flatten' expects .* got \(12, 28\)"),
        (lambda m: m.predict(X.astype(str)), TypeError, "x must hold real numbers"),
        (lambda m: m.predict(X, batch_size=0), ValueError, "batch_size must be at least 1"),
        (lambda m: m.predict(X, steps=1.5), TypeError, "steps must be an integer"),
        (lambda m: m(X[0, 0]), ValueError, "expects inputs of shape"),
        (lambda m: m(None), TypeError, "x must hold real numbers"),
        (lambda m: m.train_on_batch(X, Y[:3]), ValueError, "ambiguous"),
        (lambda m: m.train_on_batch(X), ValueError, "y is missing"),
        (
            lambda m: m.train_on_batch(X, Y, sample_weight=Y, class_weight={0: 1}),
            ValueError,
            "not both",
        ),
        (lambda m: m.test_on_batch(X, Y + 1), ValueError, "got 10 at y"),
        (lambda m: m.fit(iter([]), verbose=0), ValueError, "x yields no batch"),
        (lambda m: m.fit(iter([(X, Y)]), Y), ValueError, "y is part of the batches"),
        (
            lambda m: m.fit(iter([(X, Y)]), sample_weight=Y),
            ValueError,
            "sample_weight is part of the batches",
        ),
        (lambda m: m.fit(iter([(X, Y)]), batch_size=3), ValueError, "batch_size cannot be given"),
        (lambda m: m.fit(iter([(X, Y)]), validation_split=0.5), ValueError, "needs arrays"),
        (lambda m: m.fit(iter([(X, Y)]), class_weight={0: 1}), ValueError, "needs arrays"),
        (lambda m: m.fit(iter([(X,)])), ValueError, "y is missing"),
        (lambda m: m.fit(iter([(X, Y, Y, Y)])), ValueError, r"must yield \(x, y\)"),
        (lambda m: m.fit(iter([()])), ValueError, r"must yield \(x, y\)"),
        (lambda m: m.fit(iter([(X[:0], Y[:0])])), ValueError, "x is empty"),
        (lambda m: m.fit(iter([(X, Y + 1)])), ValueError, "got 10 at y"),
        (lambda m: m.evaluate(iter([(X, Y)]), batch_size=3), ValueError, "batch_size cannot be"),
        (lambda m: m.evaluate(iter([])), ValueError, "x yields no batch"),
        (lambda m: m.predict(iter([])), ValueError, "x yields no batch"),
        (lambda m: m.predict(iter([X]), batch_size=3), ValueError, "batch_size cannot be given"),
    ],
)
def test_other_calls_refuse_and_change_nothing(call, error, message):
    model = tutorial()
    model.compile("sgd", SPARSE)
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises(error, match=message):
        call(model)
    assert [w.tobytes() for w in model.get_weights()] == before
    assert model.optimizer.iterations == 0


def test_a_wrong_batch_in_the_midst_leaves_the_model_usable():
    model = tutorial()
    model.compile("sgd", SPARSE)
    with pytest.raises(ValueError, match="got 10 at y"):
        model.fit(iter([(X, Y), (X, Y + 2)]), verbose=0)
    assert model.optimizer.iterations == 1
    model.fit(X, Y, verbose=0)
    model.add(layers.Dense(3))


def test_not_compiled():
    model = tutorial()
    for name in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
        with pytest.raises(ValueError, match=rf"call compile\(\) before {name}\(\)"):
            getattr(model, name)(X, Y)
    model.compile("sgd")
    for name in ("fit", "evaluate"):
        with pytest.raises(ValueError, match=rf"{name}\(\) needs a loss"):
            getattr(model, name)(X, Y)
    assert model.metrics_names == ["loss"] and la.Sequential().metrics_names == []


def test_targets_of_a_dense_loss():
    model = tutorial()
    model.compile("sgd", "categorical_crossentropy")
    for y, error, message in [
        (
            Y,
            ValueError,
            "for class numbers use loss='sparse_categorical_crossentropy', or utils.to",
        ),
        (Y[:, None], ValueError, "for class numbers use loss='sparse"),
        (
            ONE_HOT[:, :9],
            ValueError,
            r"y must have shape \(batch, 10\) for loss 'categorical.*got \(12, 9\)",
        ),
        (changed(ONE_HOT, (3, 4), NAN), ValueError, r"y must be finite, got nan at y\[3, 4\]"),
        (changed(ONE_HOT, (11, 9), -np.inf), ValueError, r"got -inf at y\[11, 9\]"),
        (
            changed(ONE_HOT, (3, 4), -1e300),
            ValueError,
            r"y must be within the range of float32, got -1e\+300 at y\[3, 4\]",
        ),
        (ONE_HOT[:5], ValueError, "x has 12 rows and y has 5"),
        (
            changed(ONE_HOT.astype(object), (3, 4), "a"),
            TypeError,
            "y must hold real numbers, got text: 'a' in row 3, column 4",
        ),
    ]:
        with pytest.raises(error, match=message):
            model.fit(X, y, verbose=0)
    with pytest.raises(ValueError, match="class_weight takes targets of one class a row"):
        deep = la.Sequential([la.Input((3, 4)), layers.Dense(2)])
        deep.compile("sgd", "mse")
        deep.fit(np.ones((5, 3, 4)), np.ones((5, 3, 2)), class_weight={0: 1})
    deep.compile("sgd", SPARSE)
    for act in (deep.fit, deep.train_on_batch):
        with pytest.raises(ValueError, match="class_weight takes targets of one class a row"):
            act(np.ones((5, 3, 4)), np.ones((5, 3)), class_weight={0: 1})


def test_arguments_of_compile_that_are_arrays():
    model = tutorial()
    with pytest.raises(ValueError, match="loss_weights, the third argument of compile"):
        model.compile("adam", "mse", np.ones(2))
    model.compile("adam", "mse", np.ones(1))
    with pytest.raises(TypeError, match="steps_per_execution must be an integer"):
        model.compile("adam", "mse", steps_per_execution=np.ones(2))


@pytest.mark.parametrize("epsilon", [0, 0.0, 1e-60, 1e-17, -1e-7])
def test_adam_s_epsilon_is_more_than_the_roots_that_float32_loses(epsilon):
    with pytest.raises(ValueError, match="Adam: epsilon must be finite and at least 1e-16"):
        la.optimizers.Adam(epsilon=epsilon)


def test_the_hint_for_a_dense_layer_before_flatten():
    model = la.Sequential([la.Input((784,)), layers.Dense(10)])
    with pytest.raises(
        ValueError,
        match=r"Dense 'dense' expects inputs of shape \(batch, 784\), got \(12, 28, 28\); "
        r"add Flatten\(\) before it",
    ):
        model.predict(X)


def test_the_hint_for_one_output_and_a_sparse_loss():
    model = la.Sequential([la.Input((2,)), layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", SPARSE)
    with pytest.raises(ValueError, match="with one output use loss='binary_crossentropy'"):
        model.fit(np.ones((2, 2)), [0, 1])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            [[0, 1], [5, 2]],
            r"Embedding 'embedding' takes whole numbers from 0 to 4, got 5 at x\[1, 0\]",
        ),
        ([[0, -1], [3, 2]], r"got -1 at x\[0, 1\]"),
        ([[0, 1], [3, NAN]], r"got nan at x\[1, 1\]"),
        ([[0, 1], [3, 0.5]], r"got 0.5 at x\[1, 1\]"),
    ],
)
@pytest.mark.parametrize("before", [[], [layers.Reshape, layers.Dropout]])
def test_indices_of_an_embedding(x, message, before):
    front = [layers.Reshape((2,)), layers.Dropout(0.0)] if before else []
    model = la.Sequential([la.Input((2,)), *front, layers.Embedding(5, 3)])
    model.compile("sgd", "mse")
    for act in (
        lambda: model.predict(x, verbose=0),
        lambda: model(x),
        lambda: model.fit(x, np.zeros((2, 2, 3)), verbose=0),
        lambda: model.evaluate(x, np.zeros((2, 2, 3)), verbose=0),
    ):
        with pytest.raises(ValueError, match=message):
            act()
    assert model.optimizer.iterations == 0
    assert model([[0, 4], [1, 2]]).shape == (2, 2, 3)
    # Behind a layer that computes, the numbers are not the caller's.
    model = la.Sequential([la.Input((2,)), layers.Rescaling(0.0), layers.Embedding(5, 3)])
    assert model([[9, 9]]).shape == (1, 2, 3)


def test_large_checks_are_done_in_parts(monkeypatch):
    from lamina import data

    monkeypatch.setattr(data, "_CHUNK", 8)
    y = np.zeros((40, 3))
    assert data._first_wrong(y, lambda part: part == 0) is None
    y[33, 1] = y[39, 2] = 1
    assert data._first_wrong(y, lambda part: part == 0) == (33, 1)
    assert data._first_wrong(y[:0], lambda part: part == 0) is None


def test_nan_in_x_goes_where_the_formula_carries_it():
    model = la.Sequential([la.Input((3,)), layers.Dense(2)])
    x = np.ones((4, 3), np.float32)
    clean = model.predict(x, verbose=0)
    x[2, 1] = NAN
    got = model.predict(x, verbose=0)
    assert np.isnan(got[2]).all()
    assert_bits(np.delete(got, 2, 0), np.delete(clean, 2, 0))


@pytest.mark.parametrize(
    "kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", ">i4", ">i8"]
)
@pytest.mark.parametrize("way", [lambda y: y, lambda y: np.repeat(y, 2)[::2]])
def test_class_numbers_of_any_type_and_layout(kind, way):
    from lamina import data

    got = data.class_numbers(way(np.array([0, 99, 1], kind)), 100, "y")
    assert got.dtype == np.int32 and got.flags.c_contiguous and got.tolist() == [0, 99, 1]
    # Wrong ones, that are right when they are cut to fewer bits or taken without their sign.
    wrong = {"i": [-1, -128], "f": [-1, np.nan, 0.5, 1e9], "u": [100]}[np.dtype(kind).kind]
    if np.dtype(kind).itemsize == 8:
        wrong.append(1 << 32)
    for value in wrong:
        for classes in (100, 200) if value != 100 else (100,):
            with pytest.raises(ValueError, match=r"y must hold class numbers.* at y\[2\]"):
                data.class_numbers(way(np.array([0, 99, value], kind)), classes, "y")


def test_what_is_no_array_is_told_apart():
    class Sparse:  # like SciPy's
        nnz = 3

        def toarray(self):
            return X

        def __iter__(self):
            return iter(X)

    m = tutorial()
    m.compile("sgd", SPARSE)
    for call in (lambda: m.fit(Sparse(), Y), lambda: m.predict(Sparse())):
        with pytest.raises(
            TypeError, match=r"x must be an array, got a sparse Sparse: pass x.toar"
        ):
            call()
    with pytest.raises(ValueError, match="pass the array itself, not a list with the array in it"):
        m.fit([X], Y)
    with pytest.raises(TypeError, match="weights must be a list of arrays, got NoneType"):
        m.set_weights(None)
    with pytest.raises(ValueError, match="from 0 to 2, num_classes is 3; got 3"):
        la.utils.to_categorical([3], 3)
    with pytest.raises(ValueError, match=r"x must be finite, got nan at x\[0\]"):
        la.utils.to_categorical([NAN])


def test_values_in_messages_are_cut_and_what_has_no_truth_value_is_named():
    long = "x" * 5000
    for make in (
        lambda: la.layers.Dense(long),
        lambda: la.layers.Reshape(long),
        lambda: la.layers.Conv2D(3, 3, padding=long),
        lambda: la.layers.Dense(3, activation=long),
        lambda: la.optimizers.SGD(long),
        lambda: la.Sequential([long]),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            make()
        assert len(str(caught.value)) < 2000
        assert "(5002 characters)" in str(caught.value)
    many = np.zeros(2)
    for make, name in [
        (lambda: la.layers.Dense(3, use_bias=many), "use_bias"),
        (lambda: la.layers.Dense(3, trainable=many), "trainable"),
        (lambda: la.layers.BatchNormalization(center=many), "center"),
        (lambda: la.layers.GlobalAveragePooling2D(keepdims=many), "keepdims"),
        (lambda: la.losses.BinaryCrossentropy(from_logits=many), "from_logits"),
        (lambda: la.optimizers.SGD(nesterov=many), "nesterov"),
        (lambda: la.Sequential(trainable=many), "trainable"),
    ]:
        with pytest.raises(TypeError, match=f"{name} must be True or False, got array"):
            make()


def test_what_is_no_array_is_shown_and_buffers_are_arrays():
    model = la.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="x must hold real numbers, got None"):
        model.predict(None)
    x = np.ones((2, 4), "f4")
    assert_bits(model.predict(memoryview(x)), model.predict(x))
    assert_bits(model.evaluate(x, array.array("f", [1, 2])), model.evaluate(x, [1, 2]))
    with pytest.raises(TypeError, match="must be highest, high, medium or low, got None"):
        la.set_float32_matmul_precision(None)
    with pytest.raises(TypeError, match="EarlyStopping: baseline must be a number, got 'a'"):
        la.callbacks.EarlyStopping("loss", baseline="a")


def test_a_layer_that_returns_nothing_is_told_so():
    class Forgets(layers.Layer):
        def forward(self, x, training):
            pass

        def backward(self, dy, x):
            return dy

    model = la.Sequential([layers.Input((4,)), Forgets(name="forgets")])
    with pytest.raises(TypeError, match=r"'forgets'.*forward returned None; end it in `return`"):
        model.predict(np.ones((2, 4), "f4"))
