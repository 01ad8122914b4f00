"""Callbacks: which hooks are called, in which order, with what; and what they may do."""

import warnings

import numpy as np
import pytest

import lamina as la
from lamina.callbacks import Callback, CallbackList, EarlyStopping, History, LambdaCallback

HOOKS = sorted(name for name in vars(Callback) if name.startswith("on_"))
X, Y = np.random.default_rng(0).random((10, 3)), np.arange(10.0)


def model(**options):
    m = la.Sequential([la.Input((3,)), la.layers.Dense(1)])
    m.compile("sgd", "mse", **options)
    return m


class Recorder(Callback):
    """Writes down every hook that is called, with its first argument."""

    def __init__(self, hooks=HOOKS):
        super().__init__()
        self.seen = []
        self.logs = []
        for name in hooks:
            setattr(self, name, self._hook(name))

    def _hook(self, name):
        def hook(*arguments, logs=None):
            *first, logs = (*arguments, None)[:2] if "batch" in name or "epoch" in name else (logs,)
            self.seen.append((name[3:], *first))
            self.logs.append((name[3:], arguments[-1] if arguments else None))

        return hook


def test_the_order_of_hooks_in_fit():
    recorder = Recorder([h for h in HOOKS if h not in ("on_batch_begin", "on_batch_end")])
    model().fit(X, Y, batch_size=6, epochs=2, validation_data=(X, Y), verbose=0, callbacks=recorder)
    batches = [
        (f"{kind}_batch_{moment}", i)
        for kind in ("train", "test")
        for i in range(2)
        for moment in ("begin", "end")
    ]
    epoch = [*batches[:4], ("test_begin",), *batches[4:], ("test_end",)]
    assert recorder.seen == [
        ("train_begin",),
        ("epoch_begin", 0),
        *epoch,
        ("epoch_end", 0),
        ("epoch_begin", 1),
        *epoch,
        ("epoch_end", 1),
        ("train_end",),
    ]


def test_the_hooks_of_evaluate_and_predict():
    recorder = Recorder()
    m = model()
    m.evaluate(X, Y, batch_size=6, verbose=0, callbacks=[recorder])
    batches = [(f"batch_{moment}", i) for i in range(2) for moment in ("begin", "end")]
    test = [(f"test_{name}", i) for name, i in batches]
    assert recorder.seen == [("test_begin",), *test, ("test_end",)]
    recorder.seen.clear()
    outputs = m.predict(X, batch_size=6, verbose=0, callbacks=[recorder])
    predict = [(f"predict_{name}", i) for name, i in batches]
    assert recorder.seen == [("predict_begin",), *predict, ("predict_end",)]
    got = [logs["outputs"] for name, logs in recorder.logs if name == "predict_batch_end"]
    assert [len(o) for o in got] == [6, 4] and np.array_equal(np.concatenate(got), outputs)
    assert recorder.model is m and recorder.params == {"verbose": 0, "epochs": 1, "steps": 2}


def test_hooks_of_batches_do_not_change_the_training():
    results = []
    for callbacks in ([], [LambdaCallback(on_train_batch_end=lambda batch, logs: None)]):
        la.utils.set_random_seed(3)
        m = model()
        h = m.fit(X, Y, batch_size=3, epochs=3, verbose=0, callbacks=callbacks)
        results.append((h.history, m.get_weights()[0].tolist()))
    assert results[0] == results[1]


def test_logs():
    seen = []

    class Logs(Callback):
        def on_batch_end(self, batch, logs=None):
            seen.append(("batch", dict(logs)))

        def on_epoch_end(self, epoch, logs=None):
            seen.append(("epoch", dict(logs)))

        def on_test_end(self, logs=None):
            seen.append(("test", dict(logs)))

        def on_train_end(self, logs=None):
            seen.append(("end", dict(logs)))

    m = model(metrics=["mae"])
    h = m.fit(X, Y, batch_size=5, validation_data=(X, Y), verbose=0, callbacks=[Logs()])
    assert [name for name, _ in seen] == ["batch", "batch", "test", "epoch", "end"]
    assert list(seen[0][1]) == ["loss", "mae"]
    assert seen[1][1] == {name: seen[3][1][name] for name in ("loss", "mae")}  # running means
    assert seen[0][1] != seen[1][1]
    assert list(seen[3][1]) == ["loss", "mae", "val_loss", "val_mae"]
    assert {f"val_{name}": value for name, value in seen[2][1].items()}.items() < seen[3][1].items()
    assert seen[4][1] == seen[3][1] == {name: values[0] for name, values in h.history.items()}
    assert all(type(value) is float for _, logs in seen for value in logs.values())


def test_only_overridden_hooks_cost_anything():
    class Epochs(Callback):
        def on_epoch_end(self, epoch, logs=None):
            pass

    class Batches(Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    class Short(Callback):
        def on_batch_begin(self, batch, logs=None):
            pass

    for callback, modes in [
        (Callback(), ""),
        (Epochs(), ""),
        (History(), ""),
        (Batches(), "train"),
        (Short(), "train"),
        (LambdaCallback(on_train_batch_begin=print), "train"),
        (LambdaCallback(on_epoch_end=print), ""),
        (LambdaCallback(on_test_batch_end=print), "test"),
        (LambdaCallback(on_predict_batch_end=print), "predict"),
        (CallbackList([Batches()]), "train"),
        (CallbackList([Epochs()]), ""),
    ]:
        hooks = CallbackList([Callback(), callback])
        assert [m for m in ("train", "test", "predict") if hooks.overrides(m)] == modes.split()


def test_stop_training():
    m = model()

    def stop(number, logs):
        if number == 1:
            m.stop_training = True

    h = m.fit(X, Y, epochs=5, verbose=0, callbacks=[LambdaCallback(on_epoch_end=stop)])
    assert h.epoch == [0, 1]
    steps = m.optimizer.iterations
    h = m.fit(
        X, Y, batch_size=2, epochs=5, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=stop)]
    )
    assert h.epoch == [0] and m.optimizer.iterations == steps + 2
    assert m.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_evaluating_and_predicting_inside_hooks_disturbs_nothing():
    results = []
    for busy in (False, True):
        la.utils.set_random_seed(1)
        m = model()

        def look(batch, logs, m=m, busy=busy):
            if busy:
                m.evaluate(X, Y, batch_size=3, verbose=0)
                m.predict(X, verbose=0)
                m.test_on_batch(X[:2], Y[:2])

        hooks = [LambdaCallback(on_train_batch_end=look, on_test_batch_end=look)]
        h = m.fit(X, Y, batch_size=4, epochs=2, validation_data=(X, Y), verbose=0, callbacks=hooks)
        results.append((h.history, m.get_weights()[0].tolist()))
    assert results[0] == results[1]


def test_wrong_callbacks_are_refused_before_anything_happens():
    m = model()
    before = m.get_weights()[0]
    for wrong in (3, "x", [print], [Callback], object()):
        with pytest.raises(TypeError, match="callbacks must be instances of"):
            m.fit(X, Y, verbose=0, callbacks=wrong)
        with pytest.raises(TypeError, match="callbacks must be instances of"):
            m.evaluate(X, Y, verbose=0, callbacks=wrong)
    assert np.array_equal(m.get_weights()[0], before) and m.history is None
    with pytest.raises(TypeError, match="unexpected keyword argument 'on_fire'"):
        LambdaCallback(on_fire=print)
    with pytest.raises(TypeError, match="on_epoch_end must be a function"):
        LambdaCallback(on_epoch_end=3)


# ---- EarlyStopping


def run(stopper, values, monitor="val_loss"):
    """The epochs that fit would do if `monitor` took these values, and the callback."""

    class Fake:
        stop_training = False
        weights = None

        def get_weights(self):
            return [len(done)]

        def set_weights(self, weights):
            self.weights = weights

    done = []
    fake = Fake()
    stopper.set_model(fake)
    stopper.on_train_begin()
    for epoch, value in enumerate(values):
        done.append(epoch)
        stopper.on_epoch_end(epoch, {monitor: value, "loss": 0.0})
        if fake.stop_training:
            break
    stopper.on_train_end()
    return len(done), fake


@pytest.mark.parametrize(
    ("options", "values", "epochs"),
    [
        ({}, [3, 2, 2, 1], 3),
        ({"patience": 2}, [3, 2, 2, 1, 1, 1, 0], 6),
        ({"min_delta": 0.5}, [3, 2.7, 1], 2),
        ({"mode": "max"}, [1, 2, 3, 3, 4], 4),
        ({"monitor": "val_accuracy"}, [0.1, 0.2, 0.2, 0.9], 3),
        ({"patience": 1, "start_from_epoch": 3}, [1, 2, 3, 4, 5, 6], 5),
        ({"patience": 2, "baseline": 1.0}, [3, 2, 1.5, 1.2, 1.3, 0.5], 5),
        ({"patience": 2, "baseline": 2.5}, [3, 2, 2.1, 2.1, 1], 4),
        ({}, [3, float("nan"), 2], 2),
    ],
)
def test_early_stopping_stops(options, values, epochs):
    stopper = EarlyStopping(**options)
    assert run(stopper, values, stopper.monitor)[0] == epochs


def test_early_stopping_restores_the_best_weights_even_if_it_did_not_stop():
    stopper = EarlyStopping(patience=9, restore_best_weights=True)
    epochs, fake = run(stopper, [3, 1, 2, 2])
    assert epochs == 4 and fake.weights == [2] and stopper.best_epoch == 1
    assert run(EarlyStopping(patience=9), [3, 1, 2])[1].weights is None


def test_early_stopping_in_fit(capsys):
    m = la.Sequential([la.Input((3,)), la.layers.Dense(1, kernel_initializer="zeros")])
    m.compile(la.optimizers.SGD(1.9), "mse")
    stopper = EarlyStopping(monitor="loss", patience=1, restore_best_weights=True, verbose=1)
    h = m.fit(X, Y, epochs=50, verbose=0, callbacks=[stopper], shuffle=False)
    assert len(h.epoch) < 50 and stopper.best == min(h.history["loss"])
    printed = capsys.readouterr().out
    assert f"Epoch {len(h.epoch)}: early stopping" in printed and "best epoch, 1" in printed
    with pytest.raises(ValueError, match="mode must be one of"):
        EarlyStopping(mode="least")


def warnings_of(fit):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


def test_what_is_monitored_and_not_there_is_said_once_at_the_line_of_fit():
    m = model()

    def fit(monitor="val_loss", **options):
        callbacks = [EarlyStopping(monitor)]
        return warnings_of(lambda: m.fit(X, Y, verbose=0, callbacks=callbacks, **options))

    (text,) = fit(epochs=5)
    assert text == (
        "EarlyStopping monitors 'val_loss', which is not there, and so does nothing; there are: "
        "loss. Give fit validation_data or validation_split, or monitor='loss'"
    )
    assert len(fit(epochs=2)) == 1  # in each run
    (text,) = fit("los", epochs=2)
    assert text.endswith("there are: loss. Did you mean 'loss'?")
    (text,) = fit("val_los", epochs=2, validation_split=0.5)
    assert text.endswith("there are: loss, val_loss. Did you mean 'val_loss'?")
    # Every second epoch validates: the others are none to complain of.
    assert fit(epochs=4, validation_split=0.5, validation_freq=2) == []
    assert len(fit("val_mse", epochs=4, validation_split=0.5, validation_freq=3)) == 1


def test_every_hook_is_given_logs():
    """As Keras does, so that hooks which insist on logs work."""
    given = {}

    def hook(name):
        def of_batch(number, logs):
            given[name] = logs

        def of_pass(logs):
            given[name] = logs

        return of_batch if "batch" in name or "epoch" in name else of_pass

    everything = LambdaCallback(**{name: hook(name) for name in HOOKS})
    m = model()
    m.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=[everything])
    m.evaluate(X, Y, verbose=0, callbacks=[everything])
    m.predict(X, verbose=0, callbacks=[everything])
    m.predict(iter([X]), verbose=0, callbacks=[everything])
    called_by_others = {"on_batch_begin", "on_batch_end"}
    assert set(given) >= set(HOOKS) - called_by_others
    assert all(isinstance(logs, dict) for logs in given.values())


def test_no_rows_are_no_batches_to_hear_of():
    hook = LambdaCallback(on_predict_batch_end=lambda batch, logs: pytest.fail("there is none"))
    assert model().predict(X[:0], verbose=0, callbacks=[hook]).shape == (0, 1)
