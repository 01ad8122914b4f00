"""fit, evaluate and predict: against training by hand, and what Keras promises about them."""

import itertools
import signal
import threading
import time
import tracemalloc
import weakref

import numpy as np
import pytest

import by_hand
import lamina as la
from close import UNIT, assert_bits, assert_close


def data(n=50, features=6, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, features)).astype(np.float32)
    return x, rng.integers(0, classes, n)


def model(features=6, classes=4, optimizer="adam", dropout=0.0, **options):
    layers = [
        la.Input((features,)),
        la.layers.Dense(9, activation="relu"),
        la.layers.Dropout(dropout),
        la.layers.Dense(classes, activation="softmax"),
    ]
    made = la.Sequential(layers)
    options = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **options}
    made.compile(optimizer, **options)
    return made


# Every weight is the sum of some K steps, each of which rounds within a few units of the largest
# weight; a step amplifies what came before by little at these rates.
BOUND = 400 * UNIT


@pytest.mark.parametrize(
    ("optimizer", "step", "arguments"),
    [
        (la.optimizers.SGD, by_hand.sgd, (0.1,)),
        (la.optimizers.SGD, by_hand.sgd, (0.05, 0.9)),
        (la.optimizers.SGD, by_hand.sgd, (0.05, 0.9, True)),
        (la.optimizers.Adam, by_hand.adam, (0.003,)),
        (la.optimizers.Adam, by_hand.adam, (0.01, 0.7, 0.9, 1e-3)),
    ],
    ids=["sgd", "momentum", "nesterov", "adam", "adam_other"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_training_equals_training_by_hand(optimizer, step, arguments, weighted):
    optimizer, step = optimizer(*arguments), step(*arguments)
    la.utils.set_random_seed(1)
    x, y = data()
    w = np.random.default_rng(1).random(len(x)) * 3 if weighted else None
    m = model(optimizer=optimizer)
    start = m.get_weights()
    history = m.fit(
        x, y, batch_size=16, epochs=3, shuffle=False, sample_weight=w, verbose=0
    )  # 16 + 16 + 16 + 2 rows
    want, reported = by_hand.train(start, step, x, y, batch_size=16, epochs=3, w=w)
    for got, expected, before in zip(m.get_weights(), want, start, strict=True):
        assert_close(got, expected, atol=BOUND)
        assert np.abs(got - before).max() > 1e-3
    assert history.history["loss"] == pytest.approx(reported, rel=BOUND)
    assert optimizer.iterations == 12


def test_loss_and_accuracy_are_means_over_rows_not_batches():
    x, y = data(n=50)
    m = model()
    loss, accuracy = m.evaluate(x, y, batch_size=16, verbose=0)
    weights = [w.astype(np.float64) for w in m.get_weights()]
    assert loss == pytest.approx(by_hand.losses(weights, x, y).mean(), rel=40 * UNIT)
    assert accuracy == np.mean(m.predict(x, verbose=0).argmax(axis=1) == y)
    # The sum of weighted losses is divided by the rows, not by the sum of the weights.
    w = np.linspace(0, 5, 50)
    loss = m.evaluate(x, y, sample_weight=w, verbose=0)[0]
    want = (w * by_hand.losses(weights, x, y)).sum() / 50
    assert loss == pytest.approx(want, rel=40 * UNIT)


def test_weighted_metrics_divide_by_the_weights():
    x, y = data()
    m = model(metrics=["accuracy"], weighted_metrics=["accuracy"])
    assert m.metrics_names == ["loss", "accuracy", "weighted_accuracy"]
    w = np.linspace(0, 2, len(x)).astype(np.float32)
    got = m.evaluate(x, y, sample_weight=w, batch_size=7, verbose=0, return_dict=True)
    right = m.predict(x, verbose=0).argmax(axis=1) == y
    assert got["accuracy"] == pytest.approx(right.mean())
    assert got["weighted_accuracy"] == pytest.approx((w * right).sum() / w.sum(), rel=50 * UNIT)


def test_class_weight_is_sample_weight_by_class():
    x, y = data()
    results = []
    for keywords in (
        {"class_weight": {0: 0.5, 2: 3}},  # 1 and 3 weigh 1
        {"sample_weight": np.choose(y, [0.5, 1, 3, 1])},
    ):
        la.utils.set_random_seed(2)
        m = model()
        m.fit(x, y, epochs=2, verbose=0, **keywords)
        results.append(m)
    la.utils.set_random_seed(2)
    one_hot = model(loss="categorical_crossentropy")
    weights = {0.0: 0.5, np.float32(2): 3}  # as dict(zip(np.unique(y), ...)) has them
    one_hot.fit(x, la.utils.to_categorical(y, 4), epochs=2, verbose=0, class_weight=weights)
    for a, b in zip(results[0].get_weights(), results[1].get_weights(), strict=True):
        assert_bits(a, b)
    for a, b in zip(results[0].get_weights(), one_hot.get_weights(), strict=True):
        assert_close(a, b, atol=BOUND)
    la.utils.set_random_seed(2)
    plain = model()
    plain.fit(x, y, epochs=2, verbose=0)
    assert not np.array_equal(plain.get_weights()[0], results[0].get_weights()[0])


def test_class_weight_of_binary_targets():
    x, y = data(classes=2)
    trained = []
    for keywords in (
        {"class_weight": {1: 4}},
        {"sample_weight": np.where(y == 1, 4.0, 1.0)},
    ):
        la.utils.set_random_seed(2)
        m = la.Sequential([la.Input((6,)), la.layers.Dense(1, activation="sigmoid")])
        m.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
        m.fit(x, y, verbose=0, **keywords)
        trained.append(m.get_weights()[0])
    assert_bits(trained[0], trained[1])


def test_history():
    x, y = data()
    m = model()
    history = m.fit(x, y, epochs=5, initial_epoch=2, validation_data=(x, y), verbose=0)
    assert history is m.history
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert all(type(v) is float for values in history.history.values() for v in values)
    assert history.epoch == [2, 3, 4]
    assert history.params == {"verbose": 0, "epochs": 5, "steps": 2}
    assert m.fit(x, y, epochs=2, initial_epoch=2, verbose=0).history == {}


def test_validation_does_not_disturb_training():
    x, y = data()
    histories = []
    for validation in ({}, {"validation_data": (x[:9], y[:9]), "validation_batch_size": 4}):
        la.utils.set_random_seed(3)
        m = model(dropout=0.3)
        h = m.fit(x, y, batch_size=16, epochs=3, verbose=0, **validation)
        histories.append((h.history["loss"], h.history["accuracy"], m.get_weights()))
    assert histories[0][:2] == histories[1][:2]
    for a, b in zip(histories[0][2], histories[1][2], strict=True):
        assert_bits(a, b)
    # What is reported for the last epoch is what evaluate says of the weights after it.
    loss, accuracy = m.evaluate(x[:9], y[:9], verbose=0)
    assert h.history["val_loss"][-1] == pytest.approx(loss, rel=20 * UNIT)
    assert h.history["val_accuracy"][-1] == accuracy


def test_validation_split_takes_the_last_rows_before_shuffling():
    x, y = data(n=50)
    w = np.linspace(1, 2, 50)
    weights, histories = [], []
    for split in (True, False):
        la.utils.set_random_seed(4)
        m = model()
        if split:
            h = m.fit(x, y, sample_weight=w, validation_split=0.25, epochs=2, verbose=0)
        else:
            held_back = (x[37:], y[37:], w[37:])  # floor(50 * 0.75) = 37
            h = m.fit(
                x[:37], y[:37], sample_weight=w[:37], validation_data=held_back, epochs=2, verbose=0
            )
        weights.append(m.get_weights()[0])
        histories.append(h.history)
    assert_bits(weights[0], weights[1])
    assert histories[0] == histories[1]


@pytest.mark.parametrize(("freq", "count"), [(1, 4), (2, 2), (3, 1), ([1, 4], 2), ([7], 0)])
def test_validation_freq(freq, count):
    x, y = data()
    h = model().fit(x, y, epochs=4, validation_data=(x, y), validation_freq=freq, verbose=0)
    assert len(h.history.get("val_loss", [])) == count
    assert len(h.history["loss"]) == 4


def flat(lists):
    return list(itertools.chain.from_iterable(lists))


def test_every_row_is_visited_once_an_epoch_in_a_new_order():
    x = np.arange(40, dtype=np.float32)[:, None]
    y = np.zeros((40, 1))
    rows = []

    class Spy(la.layers.Layer):
        def forward(self, x, training):
            if training:
                rows.append(x[:, 0].astype(int).tolist())
            return x.copy()

        def backward(self, dy, x):
            return dy

    la.utils.set_random_seed(5)
    m = la.Sequential([la.Input((1,)), Spy(), la.layers.Dense(1)])
    m.compile("sgd", "mae")
    m.fit(x, y, batch_size=16, epochs=2, verbose=0)
    assert [len(batch) for batch in rows] == [16, 16, 8] * 2
    first, second = flat(rows[:3]), flat(rows[3:])
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second and first != sorted(first)
    rows.clear()
    m.fit(x, y, batch_size=16, epochs=2, verbose=0, shuffle=False)
    assert flat(rows) == [*range(40), *range(40)]
    # With steps_per_epoch the visit goes on where it was.
    rows.clear()
    m.fit(x, y, batch_size=16, epochs=3, steps_per_epoch=2, verbose=0, shuffle=False)
    assert [batch[0] for batch in rows] == [0, 16, 32, 0, 16, 32]


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    x, y = data()

    def trained(seed):
        la.utils.set_random_seed(seed)
        m = model(dropout=0.4)
        m.fit(x, y, epochs=2, verbose=0)
        return m.get_weights()[0]

    assert_bits(trained(7), trained(7))
    assert not np.array_equal(trained(7), trained(8))


def test_the_seed_set_anew_repeats_the_training_of_the_same_model():
    x, y = data()
    m = model(dropout=0.4, optimizer="sgd")
    start = m.get_weights()
    results = []
    for _ in range(2):
        m.set_weights(start)
        m.optimizer._core.iterations = 0  # masks follow from the seed and the step
        la.utils.set_random_seed(9)
        m.fit(x, y, epochs=2, verbose=0)
        results.append(m.get_weights()[0])
    assert_bits(results[0], results[1])


def test_evaluating_and_predicting_do_not_change_what_follows():
    x, y = data()
    results = []
    for extra in (False, True):
        la.utils.set_random_seed(9)
        m = model(dropout=0.4)
        m.fit(x, y, verbose=0)
        if extra:
            m.evaluate(x, y, verbose=0)
            m.predict(x, verbose=0)
        m.fit(x, y, verbose=0)
        results.append(m.get_weights()[0])
    assert_bits(results[0], results[1])


@pytest.mark.parametrize(
    "dtype", ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", ">f4", "g"]
)
def test_inputs_of_any_real_type(dtype):
    m = la.Sequential([la.Input((3,)), la.layers.Rescaling(2.0)])
    x = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    assert_bits(m.predict(x, verbose=0), 2 * x.astype(np.float32))
    assert_bits(m(x), 2 * x.astype(np.float32))


def test_inputs_with_any_strides():
    m = la.Sequential([la.Input((3, 4)), la.layers.Rescaling(2.0)])
    base = np.arange(2 * 7 * 3 * 4, dtype=np.float32).reshape(14, 3, 4)
    for x in (
        base[::-1],
        base[::3],
        np.asfortranarray(base),
        base.transpose(0, 2, 1).copy().transpose(0, 2, 1),
        np.broadcast_to(base[0], (5, 3, 4)),
        base[:0],
        np.frombuffer(b"\0" + base.tobytes(), np.uint8)[1:].view(np.float32).reshape(14, 3, 4),
    ):
        assert_bits(m.predict(x, verbose=0), 2 * np.ascontiguousarray(x))


def test_lists_and_missing_axes_of_one():
    m = la.Sequential([la.Input((2, 2, 1)), la.layers.Flatten()])
    assert_bits(m(np.ones((3, 2, 2))), np.ones((3, 4), np.float32))
    m = la.Sequential([la.Input((2,)), la.layers.Rescaling(1.0)])
    assert_bits(m([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]], np.float32))
    assert_bits(m(np.ones((3, 2, 1))), np.ones((3, 2), np.float32))


def test_targets_in_every_form_that_is_meant():
    x, y = data()
    m = model()
    want = m.evaluate(x, y, verbose=0)
    for other in (y[:, None], y.astype(np.uint8), y.astype(np.float64), y.tolist(), y[::-1][::-1]):
        assert m.evaluate(x, other, verbose=0) == want
    m = la.Sequential([la.Input((6,)), la.layers.Dense(1)])
    m.compile("sgd", "mse")
    want = m.evaluate(x, y[:, None], verbose=0)
    assert isinstance(want, float)
    assert m.evaluate(x, y, verbose=0) == want
    assert m.evaluate(x, y.astype(np.int8), verbose=0) == want


def test_every_validation_begins_at_the_first_row():
    x, y = data()
    m = model(optimizer=la.optimizers.SGD(0.0))
    want = m.evaluate(x, y, batch_size=16, steps=2, verbose=0)
    assert want == m.evaluate(x[:32], y[:32], batch_size=16, verbose=0)
    assert m.evaluate(x, y, steps=99, verbose=0) == m.evaluate(x, y, verbose=0)
    for validation in ((x, y), Loader(x, y)):
        options = {"validation_batch_size": 16} if isinstance(validation, tuple) else {}
        h = m.fit(
            x, y, epochs=3, validation_data=validation, validation_steps=2, verbose=0, **options
        ).history
        assert h["val_loss"] == [want[0]] * 3
        assert h["val_accuracy"] == [want[1]] * 3


def test_evaluation_takes_batches_together_unless_their_size_is_given(capsys):
    x, y = data(700)
    sizes = []

    class Watched(la.metrics.Metric):
        def forward(self, y_true, y_pred):
            sizes.append(len(y_true))
            return y_pred[:, 0]

    def seen(work, **options):
        sizes.clear()
        result = work(x, y, verbose=0, **options)
        return result, list(sizes)

    m = model(metrics=[Watched()])
    want, together = seen(m.evaluate)
    assert together == [512, 188]
    hook = la.callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: None)
    alone = [32] * 21 + [28]
    for options, expected in (
        ({"batch_size": 300}, [300, 300, 100]),
        ({"batch_size": 32}, alone),
        ({"callbacks": [hook]}, alone),
        ({"steps": 99}, alone),
    ):
        got, parts = seen(m.evaluate, **options)
        assert parts == expected
        assert got == pytest.approx(want, rel=700 * 2**-52)  # sums in double
    assert seen(m.evaluate, steps=3)[1] == [32] * 3
    m.evaluate(x, y, verbose=1)
    assert capsys.readouterr().out.startswith("22/22 ")

    split = {"validation_split": 0.5}
    trained = [32] * 10 + [30]
    assert seen(m.fit, **split)[1] == [*trained, 350]
    assert seen(m.fit, **split, validation_batch_size=200)[1] == [*trained, 200, 150]
    assert seen(m.fit, **split, batch_size=175)[1] == [175] * 4
    assert seen(m.fit, **split, validation_steps=2)[1] == [*trained, 32, 32]


# ---- iterables of batches


def batches(x, y, size, w=None):
    for i in range(0, len(x), size):
        part = slice(i, i + size)
        yield (x[part], y[part]) if w is None else (x[part], y[part], w[part])


class Loader:
    """What can be gone through again, as a torch DataLoader can."""

    def __init__(self, *arrays, size=16):
        self.arrays, self.size = arrays, size

    def __iter__(self):
        return batches(*self.arrays[:2], self.size, *self.arrays[2:])


class Indexed:
    """With a length and items, as a Keras PyDataset has them."""

    def __init__(self, *arrays):
        self.arrays = arrays

    def __len__(self):
        return -(-len(self.arrays[0]) // 16)

    def __getitem__(self, i):
        return [a[i * 16 : (i + 1) * 16] for a in self.arrays]


def test_batches_are_told_of_the_end_of_an_epoch():
    class Shuffled(Indexed):
        ended = 0

        def on_epoch_end(self):
            self.ended += 1

    batches = Shuffled(*data())
    model().fit(batches, epochs=3, verbose=0)
    assert batches.ended == 3


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [Loader, Indexed])
def test_an_iterable_of_batches_trains_as_the_arrays_do(kind, weighted):
    x, y = data()
    w = [np.linspace(0, 2, len(x))] if weighted else []
    la.utils.set_random_seed(1)
    m = model()
    h = m.fit(
        x, y, batch_size=16, shuffle=False, epochs=2, verbose=0, sample_weight=w[0] if w else None
    )
    la.utils.set_random_seed(1)
    other = model()
    g = other.fit(kind(x, y, *w), epochs=2, verbose=0, validation_data=kind(x, y, *w))
    for a, b in zip(m.get_weights(), other.get_weights(), strict=True):
        assert_bits(a, b)
    assert {k: v for k, v in g.history.items() if k[:4] != "val_"} == h.history
    evaluated = m.evaluate(x, y, sample_weight=w[0] if w else None, verbose=0, return_dict=True)
    assert g.history["val_loss"][-1] == pytest.approx(evaluated["loss"], rel=20 * UNIT)
    assert other.evaluate(kind(x, y), verbose=0) == m.evaluate(x, y, batch_size=16, verbose=0)
    assert_bits(other.predict(kind(x, y), verbose=0), m.predict(x, verbose=0))


def test_steps_per_epoch_goes_on_in_an_iterable():
    x, y = data()
    seen = []
    source = [(x[i : i + 10], y[i : i + 10]) for i in range(0, 50, 10)]

    class Source:
        def __iter__(self):
            for i, batch in enumerate(source):
                seen.append(i)
                yield batch

    m = model()
    h = m.fit(Source(), steps_per_epoch=3, epochs=3, verbose=0)
    assert seen == [0, 1, 2, 3, 4, 0, 1, 2, 3] and len(h.history["loss"]) == 3
    seen.clear()
    m.fit(Source(), epochs=2, verbose=0)
    assert seen == [0, 1, 2, 3, 4] * 2


def test_batches_that_grow_keep_the_means():
    x, y = data(n=60)
    w = np.linspace(0, 2, 60).astype(np.float32)
    cuts = [0, 3, 10, 11, 40, 60]

    def growing():
        for a, b in itertools.pairwise(cuts):
            yield x[a:b], y[a:b], w[a:b]

    m = model(weighted_metrics=["acc"])
    got = m.evaluate(growing(), verbose=0)
    assert got == pytest.approx(m.evaluate(x, y, sample_weight=w, verbose=0), rel=60 * UNIT)


def test_a_generator_builds_the_model_and_is_used_up_by_steps():
    x, y = data(n=64)

    def forever():
        while True:
            yield from batches(x, y, 16)

    m = la.Sequential([la.layers.Dense(4, activation="softmax")])
    m.compile("sgd", "sparse_categorical_crossentropy")
    h = m.fit(forever(), steps_per_epoch=3, epochs=2, verbose=0)
    assert h.params["steps"] == 3 and len(h.history["loss"]) == 2
    assert m.optimizer.iterations == 6
    assert m.input_shape == (None, 6)
    assert isinstance(m.evaluate(forever(), steps=2, verbose=0), float)
    assert m.predict((a for a, _ in forever()), steps=2, verbose=0).shape == (32, 4)


def test_a_generator_that_ends_early_says_so():
    x, y = data(n=64)
    m = model()
    with pytest.warns(UserWarning, match="ran out of batches"):
        h = m.fit(batches(x, y, 16), epochs=3, verbose=0)
    assert len(h.history["loss"]) == 1
    with pytest.warns(UserWarning, match="ran out of batches"):
        h = m.fit(batches(x, y, 16), epochs=2, steps_per_epoch=3, verbose=0)
    assert len(h.history["loss"]) == 2
    m.fit(batches(x, y, 16), epochs=1, verbose=0)  # once through is what it is for


# ---- single batches, predict, interruption


def test_single_batches():
    x, y = data()
    la.utils.set_random_seed(1)
    m = model(optimizer="sgd")
    start = m.get_weights()
    before = m.evaluate(x[:20], y[:20], verbose=0)
    assert m.train_on_batch(x[:20], y[:20]) == pytest.approx(before, rel=20 * UNIT)
    want, _ = by_hand.train(start, by_hand.sgd(0.01), x[:20], y[:20], batch_size=20, epochs=1)
    for got, expected in zip(m.get_weights(), want, strict=True):
        assert_close(got, expected, atol=BOUND)
    m.train_on_batch(x[20:], y[20:], class_weight={0: 2})
    assert m.optimizer.iterations == 2
    got = m.test_on_batch(x[:20], y[:20], return_dict=True)
    assert list(got) == ["accuracy", "loss"]
    assert list(got.values())[::-1] == pytest.approx(m.evaluate(x[:20], y[:20], verbose=0))
    assert_bits(m.predict_on_batch(x), m.predict(x, verbose=0))


def test_predict_and_call():
    x, _ = data(n=700)
    m = model()
    p = m.predict(x, verbose=0)
    assert p.dtype == np.float32 and p.shape == (700, 4) and p.flags.owndata and p.flags.writeable
    weights = [w.astype(np.float64) for w in m.get_weights()]
    want = by_hand.softmax(by_hand.forward(weights, x)[1])
    assert_close(p, want, atol=50 * UNIT)
    assert_bits(m(x), p)
    assert_bits(m.predict(x, batch_size=13, verbose=0), p)
    assert_bits(m.predict(x, batch_size=13, steps=2, verbose=0), p[:26])
    assert_bits(m(x[5:6]), p[5:6])
    assert m.predict(x[:0], verbose=0).shape == (0, 4)
    assert m(x[:0]).shape == (0, 4)


def test_call_with_training_drops():
    la.utils.set_random_seed(0)
    m = la.Sequential([la.Input((1000,)), la.layers.Dropout(0.25)])
    x = np.ones((4, 1000), np.float32)
    assert_bits(m(x), x)
    first, second = m(x, training=True), m(x, training=True)
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / np.float32(0.75))}
    # 4000 draws at 1/4: five standard deviations are 137.
    assert abs((first == 0).sum() - 1000) < 137
    assert not np.array_equal(first, second)
    la.utils.set_random_seed(0)
    assert_bits(m(x, training=True), first)


def test_a_layer_s_seed_fixes_its_masks():
    x = np.ones((4, 100), np.float32)
    made = [
        la.Sequential([la.Input((100,)), la.layers.Dropout(0.5, seed=s)])(x, training=True)
        for s in (1, 1, 2)
    ]
    assert_bits(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_predict_does_not_need_compile():
    m = la.Sequential([la.layers.Dense(3)])
    assert m.predict(np.ones((2, 5)), verbose=0).shape == (2, 3)
    assert m.input_shape == (None, 5)


def test_interrupt_leaves_the_model_usable(ctrl_c):
    x, y = data()
    m = model(dropout=0.2)
    m.fit(x, y, verbose=0)
    main = threading.main_thread().ident

    def press():
        time.sleep(0.2)
        signal.pthread_kill(main, signal.SIGINT)

    finger = threading.Thread(target=press)
    finger.start()
    with pytest.raises(KeyboardInterrupt):
        m.fit(x, y, epochs=10**9, verbose=0)
    finger.join()
    done = m.optimizer.iterations
    assert all(np.isfinite(w).all() for w in m.get_weights())
    m.fit(x, y, batch_size=25, verbose=0)
    assert m.optimizer.iterations == done + 2
    m.add(la.layers.Dense(2))
    assert m.predict(x, verbose=0).shape == (50, 2)


def test_an_error_in_a_callback_leaves_the_model_usable():
    x, y = data()
    m = model()

    def fail(epoch, logs):
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        m.fit(x, y, verbose=0, callbacks=[la.callbacks.LambdaCallback(on_epoch_end=fail)])
    m.fit(x, y, verbose=0)
    m.pop()


def test_learning_rate_can_change_while_training():
    x, y = data()
    m = model(optimizer=la.optimizers.SGD(0.5))
    frozen = []

    def stop(epoch, logs):
        frozen.append(m.get_weights()[0])
        m.optimizer.learning_rate = 0.0

    m.fit(x, y, epochs=3, verbose=0, callbacks=[la.callbacks.LambdaCallback(on_epoch_end=stop)])
    assert m.optimizer.learning_rate == 0.0
    assert_bits(frozen[1], frozen[0])
    assert_bits(frozen[2], frozen[0])


def test_frozen_layers_stay_as_they_are():
    x, y = data()
    m = model(optimizer=la.optimizers.SGD(0.5, momentum=0.9))
    m.fit(x, y, verbose=0)
    m.layers[0].trainable = False  # takes effect without compiling anew
    before = m.get_weights()
    m.fit(x, y, verbose=0)
    after = m.get_weights()
    assert_bits(after[0], before[0])
    assert_bits(after[1], before[1])
    assert not np.array_equal(after[2], before[2])
    assert len(m.trainable_weights) == len(m.non_trainable_weights) == 2
    m.trainable = False
    m.fit(x, y, verbose=0)
    assert_bits(m.get_weights()[2], after[2])
    m.trainable = True
    m.fit(x, y, verbose=0)
    assert not np.array_equal(m.get_weights()[0], after[0])


@pytest.mark.parametrize("fit_first", [False, True])
def test_a_call_in_training_mode_knows_which_layers_are_frozen(fit_first):
    x = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32) + 5
    m = la.Sequential([la.Input((3,)), la.layers.BatchNormalization(), la.layers.Dense(1)])
    m.compile("sgd", "mse")
    normalisation = m.layers[0]
    for frozen in (True, False, True):
        if fit_first:  # with the flag as it was
            m.fit(x, np.ones(8), verbose=0)
        normalisation.trainable = not frozen
        before = normalisation.moving_mean.numpy()
        m(x, training=True)
        assert np.array_equal(normalisation.moving_mean.numpy(), before) == frozen


def test_training_data_are_not_copied():
    x = np.zeros((3000, 1000), np.uint8)
    y = np.zeros(3000)
    m = la.Sequential([la.Input((1000,)), la.layers.Dense(1)])
    m.compile("sgd", "mse")
    m.fit(x[:64], y[:64], verbose=0)
    tracemalloc.start()
    try:
        m.fit(x[::-1], y, verbose=0, validation_split=0.1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 4


def test_a_batch_may_be_larger_than_the_data():
    x, y = data()
    trained = []
    for size in (50, 10**12):
        la.utils.set_random_seed(1)
        m = model()
        m.fit(x, y, batch_size=size, verbose=0)
        m.evaluate(x, y, batch_size=size, verbose=0)
        assert m.optimizer.iterations == 1
        trained.append(m.get_weights()[0])
    assert_bits(trained[0], trained[1])
    assert_bits(m.predict(x, batch_size=10**12, verbose=0), m.predict(x, verbose=0))


def test_the_data_are_let_go_of_afterwards():
    x, y = data()
    m = model()
    gone = weakref.ref(x)
    m.fit(x, y, verbose=0, validation_data=(x, y))
    m.evaluate(x, y, verbose=0)
    m.predict(x, verbose=0)
    m.train_on_batch(x, y)
    m.test_on_batch(x, y)
    del x
    assert gone() is None


def test_the_arguments_are_left_alone():
    x, y = data()
    before = x.copy(), y.copy()
    x.flags.writeable = y.flags.writeable = False
    model().fit(x, y, epochs=2, verbose=0, validation_split=0.2)
    assert_bits(x, before[0])
    assert np.array_equal(y, before[1])


def test_validation_data_that_run_out_end_the_validation_and_not_the_training():
    x, y = data()

    def batches():
        yield x, y

    m = model()
    ended = []
    callback = la.callbacks.LambdaCallback(on_train_end=lambda logs: ended.append(dict(logs)))
    with pytest.warns(UserWarning, match="validation_data ran out of batches .* nothing is valid"):
        h = m.fit(x, y, epochs=3, validation_data=batches(), verbose=0, callbacks=[callback])
    assert len(h.history["loss"]) == 3 and len(h.history["val_loss"]) == 1
    assert len(ended) == 1 and "val_loss" not in ended[0]
    with pytest.raises(ValueError, match="x yields no batch"):
        m.evaluate(iter([]), verbose=0)


def test_a_data_set_of_keras_s_kind():
    x, y = data()

    class Batches(la.utils.PyDataset):
        epochs = 0

        def __len__(self):
            return 5

        def __getitem__(self, index):
            return x[10 * index : 10 * index + 10], y[10 * index : 10 * index + 10]

        def on_epoch_end(self):
            self.epochs += 1

    source = Batches(workers=4)
    la.utils.set_random_seed(0)
    one = model()
    one.fit(source, epochs=2, shuffle=False, verbose=0)
    la.utils.set_random_seed(0)
    other = model()
    other.fit(x, y, batch_size=10, epochs=2, shuffle=False, verbose=0)
    assert source.epochs == 2
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert_bits(a, b)
    assert one.predict(source, verbose=0).shape == (50, 4)
    with pytest.raises(NotImplementedError, match="PyDataset must define __len__"):
        model().fit(la.utils.PyDataset())


class Told(la.utils.PyDataset):
    """Four batches of two rows, and a list of what it was asked and told."""

    def __init__(self, log=None, name=""):
        super().__init__()
        self.log, self.name = [] if log is None else log, name

    def __len__(self):
        return 4

    def __getitem__(self, index):
        assert type(index) is int
        self.log.append(f"{self.name}{index}")
        return np.full((2, 3), index / 10), np.zeros((2, 1))

    def on_epoch_begin(self):
        self.log.append(f"{self.name}begin")

    def on_epoch_end(self):
        self.log.append(f"{self.name}end")

    def epochs(self):
        """The batches between each begin and end."""
        text = " ".join(self.log)
        assert text.count("begin") == text.count("end")
        return [part.split("end")[0].split() for part in text.split("begin")[1:]]


def of_one_output():
    m = la.Sequential([la.layers.Dense(1)])
    m.compile("sgd", "mse")
    return m


def test_a_data_set_is_shuffled_every_epoch_and_visited_whole():
    orders = {}
    for seed in (1, 1, 2):
        source = Told()
        la.utils.set_random_seed(seed)
        of_one_output().fit(source, epochs=6, verbose=0)
        epochs = source.epochs()
        assert all(sorted(epoch) == ["0", "1", "2", "3"] for epoch in epochs)
        assert len(epochs) == 6 and len(set(map(tuple, epochs))) > 1
        assert orders.setdefault(seed, epochs) == epochs
    assert orders[1] != orders[2]
    source = Told()
    of_one_output().fit(source, epochs=2, shuffle=False, verbose=0)
    assert source.epochs() == [["0", "1", "2", "3"]] * 2
    source = Told()  # an epoch goes on where the last one ended: each pass is shuffled
    of_one_output().fit(source, epochs=4, steps_per_epoch=3, verbose=0)
    visited = [batch for epoch in source.epochs() for batch in epoch]
    assert [sorted(visited[i : i + 4]) for i in (0, 4, 8)] == [["0", "1", "2", "3"]] * 3


def test_data_sets_are_told_of_epochs_also_where_they_validate():
    log = []
    hooks = la.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: log.append("epoch"),
        on_epoch_end=lambda epoch, logs: log.append("over"),
    )
    m = of_one_output()
    train, held = Told(log, "t"), Told(log, "v")
    m.fit(train, validation_data=held, epochs=2, shuffle=False, verbose=0, callbacks=[hooks])
    batches, checks = [f"t{i}" for i in range(4)], [f"v{i}" for i in range(4)]
    # A first batch of each is asked for before anything begins: the shapes are checked with it.
    assert log[:5] == ["tbegin", "t0", "vbegin", "v0", "epoch"]
    assert log[5:] == [
        *[*batches[1:], "tend", *checks[1:], "vend", "over"],
        *["tbegin", "t0", "epoch", *batches[1:], "tend", "vbegin", *checks, "vend", "over"],
    ]
    for use in (m.evaluate, m.predict):  # in order
        source = Told()
        use(source, verbose=0)
        assert source.log == ["begin", "0", "1", "2", "3", "end"]
