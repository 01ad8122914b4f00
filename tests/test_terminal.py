"""The progress bar and the summary in a terminal's window, of any width and while it changes."""

import re

import numpy as np
import pytest

import lamina as la
from lamina import progress
from lamina.datasets import _download

pytest.importorskip("pyte", reason="the terminal emulator pyte is not installed: pip install pyte")
window = pytest.importorskip("window", reason="there are no pseudo-terminals here").window

X, Y = np.random.default_rng(0).random((40, 3)), np.arange(40.0)
WIDTHS = range(20, 201)


def made():
    m = la.Sequential([la.Input((3,)), la.layers.Dense(2), la.layers.Dense(1)])
    m.compile("sgd", "mse", metrics=["mae", "binary_accuracy"])
    return m


@pytest.fixture(autouse=True)
def redraw_always(monkeypatch):
    monkeypatch.setattr(progress, "_EVERY", 0.0)


class Watch(la.callbacks.Callback):
    """Looks at the window after each batch."""

    def __init__(self, window, widths=()):
        super().__init__()
        self.window, self.widths, self.seen = window, iter(widths), []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(self.window.see())
        width = next(self.widths, None)
        if width is not None:
            self.window.resize(width)

    def on_test_batch_begin(self, batch, logs=None):
        self.seen.append(self.window.see())

    on_predict_batch_begin = on_test_batch_begin


def test_a_bar_is_one_line_at_any_width(monkeypatch):
    model = made()
    for width in WIDTHS:
        with window(width, monkeypatch) as w:
            watch = Watch(w)
            model.fit(X, Y, 8, 2, validation_data=(X, Y), callbacks=[watch])
            lines = w.see()
            assert lines[::2] == ["Epoch 1/2", "Epoch 2/2"] and len(lines) == 4
            # Two lines at most for each epoch that has begun, before and during validation.
            assert [len(seen) for seen in watch.seen if "Epoch 2/2" not in seen] == [1] + [2] * 9
            assert all(len(seen) <= 4 for seen in watch.seen)
            assert max(map(len, lines)) < width  # the last column stays empty
            model.evaluate(X, Y, callbacks=[watch])
            model.predict(X, batch_size=8, callbacks=[watch])
            model.predict(X)
            assert len(w.see()) == 7
            assert "5/5" in w.see()[5] and "2/2" in w.see()[6]


def test_a_bar_stays_one_line_while_the_window_changes(monkeypatch):
    widths = [60, 25, 20, 120, 200, 40, 21, 80, 33, 20, 150, 30, 20, 90]
    with window(100, monkeypatch) as w:
        watch = Watch(w, widths)
        made().fit(X, Y, batch_size=6, epochs=2, callbacks=[watch])
        assert len(watch.seen) == 14 and len(w.see()) == 4
        assert all(len(seen) <= 4 for seen in watch.seen)


def test_bar_cells_go_first_then_metrics(monkeypatch):
    """80 columns are too few for six values, not for the end of an epoch with four."""
    model = made()
    with window(80, monkeypatch) as w:
        model.fit(X, Y, validation_data=(X, Y))
        assert re.fullmatch(
            r"2/2 \d+s \d+\w+/step - binary_accuracy: \S+ - loss: .* - …", w.see()[0]
        )
    with window(108, monkeypatch) as w:
        model.evaluate(X, Y)
        assert re.match(r"2/2 ━{20} \d", w.see()[0])
    model.compile("sgd", "mse", metrics=["mae"])
    with window(80, monkeypatch) as w:
        model.fit(X, Y, validation_data=(X, Y))
        assert re.fullmatch(
            r"(2/2.* - )?loss: \S+ - mae: \S+ - val_loss: \S+ - val_mae: \S+", w.see()[0]
        )


@pytest.mark.parametrize(("columns", "width"), [("50", 50), ("0", 80), ("wide", 80), ("-3", 80)])
def test_columns_goes_before_the_terminal_s_width(monkeypatch, columns, width):
    with window(0, monkeypatch) as w:  # a terminal that does not know its width says 0
        w.screen.resize(columns=200)
        monkeypatch.setenv("COLUMNS", columns)
        la.Sequential([la.Input((3,)), la.layers.Dense(1)]).summary()
        assert max(map(len, w.see())) == width - 4


def test_a_summary_fits_at_any_width(monkeypatch):
    la.utils.clear_session()
    model = made()
    for width in WIDTHS:
        for trainable in (False, True):
            with window(width, monkeypatch) as w:
                text = []
                model.summary(show_trainable=trainable)
                model.summary(show_trainable=trainable, print_fn=text.append)
                assert w.see() == [line.rstrip() for line in text]
                assert max(map(len, w.see())) <= width
                if width >= 80:
                    assert "│ dense_1 (Dense) " in "".join(text)


def test_a_download_s_bar_is_one_line_at_any_width(monkeypatch):
    monkeypatch.setattr(_download, "_REDRAW_SECONDS", 0.0)
    file = _download.RemoteFile("train-images-idx3-ubyte.gz", 26_421_880, "")
    for width in WIDTHS:
        with window(width, monkeypatch) as w:
            with _download._ProgressBar(file) as bar:
                for received in range(0, file.length + 1, file.length // 5):
                    bar.update(received)
                    assert len(w.see()) == 1
            line = w.see()[0]
            assert len(w.see()) == 1 and line.startswith("train-images-idx3")
            assert ("#" * 30 in line) == (width > 72)


def test_what_comes_after_ctrl_c_is_on_a_line_of_its_own(monkeypatch):
    def press(batch, logs):
        if batch == 2:
            raise KeyboardInterrupt

    hook = la.callbacks.LambdaCallback(on_train_batch_begin=press)
    with window(80, monkeypatch) as w:
        with pytest.raises(KeyboardInterrupt):
            made().fit(X, Y, batch_size=8, callbacks=[hook])
        w.stream.write("KeyboardInterrupt")
        assert w.see()[0].startswith("2/5 ") and w.see()[1] == "KeyboardInterrupt"
