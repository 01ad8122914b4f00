"""What fit, evaluate and predict print, on a terminal and elsewhere."""

import io
import re
import sys

import numpy as np
import pytest

import lamina as la
from lamina import progress

X, Y = np.random.default_rng(0).random((40, 3)), np.arange(40.0)


@pytest.fixture
def model():
    m = la.Sequential([la.Input((3,)), la.layers.Dense(1)])
    m.compile("sgd", "mse", metrics=["mae"])
    return m


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A function that makes stdout a terminal; called in the test, as pytest sets stdout too."""

    def make(name="xterm"):
        monkeypatch.setenv("TERM", name)
        monkeypatch.setattr(sys, "stdout", Terminal())
        return sys.stdout

    return make


TIMES = r"\d+s \d+(s|ms|us)/step"
VALUES = r"loss: \S+ - mae: \S+"


def test_a_line_an_epoch_where_there_is_no_terminal(model, capsys):
    model.fit(X, Y, batch_size=16, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[2]] == ["Epoch 1/2", "Epoch 2/2"] and len(lines) == 4
    for line in lines[1::2]:
        assert re.fullmatch(f"3/3 ━{{20}} {TIMES} - {VALUES}", line)
    model.evaluate(X, Y)
    assert re.fullmatch(f"2/2 ━{{20}} {TIMES} - {VALUES}\n", capsys.readouterr().out)
    model.predict(X)
    assert re.fullmatch(f"2/2 ━{{20}} {TIMES}\n", capsys.readouterr().out)
    model.fit(X, Y, validation_data=(X, Y))
    assert re.fullmatch(
        f"2/2 ━{{20}} {TIMES} - {VALUES} - val_loss: \\S+ - val_mae: \\S+\n",
        capsys.readouterr().out,
    )


def test_verbose_2_and_0(model, capsys):
    model.fit(X, Y, batch_size=16, epochs=3, initial_epoch=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 3/3"
    assert re.fullmatch(rf"3/3 - \d+s - \d+(s|ms|us)/step - {VALUES}", lines[1])
    model.fit(X, Y, epochs=2, verbose=0, validation_split=0.5)
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    model.train_on_batch(X, Y)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_is_redrawn(model, terminal, monkeypatch):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    screen = terminal()
    hook = la.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    model.fit(X, Y, batch_size=10, callbacks=[hook])
    drawn = screen.getvalue().split("\r")[1:]
    assert len(drawn) == 5  # each batch, and the end
    for i, text in enumerate(drawn):
        done = min(i + 1, 4)
        assert text.startswith(
            f"\x1b[1m{done}/4\x1b[0m \x1b[32m{'━' * 5 * done}\x1b[0m"
            f"\x1b[37m{'━' * (20 - 5 * done)}\x1b[0m \x1b[1m"
        )
        assert text.endswith("\x1b[K\n" if i == 4 else "\x1b[K")
        assert re.search(VALUES, text)
    model.predict(X, batch_size=10)
    assert "\x1b[1m4/4\x1b[0m" in screen.getvalue().split("\r")[-1]


def test_redraws_are_not_more_often_than_said(model, terminal, monkeypatch):
    monkeypatch.setattr(progress, "_EVERY", 3600.0)
    screen = terminal()
    hook = la.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    model.fit(X, Y, batch_size=10, callbacks=[hook])
    assert screen.getvalue().count("\r") == 1


@pytest.mark.parametrize("name", ["dumb", None])
def test_no_escapes_for_a_dumb_terminal(model, terminal, monkeypatch, name):
    if name is None:
        monkeypatch.setattr(sys, "stdout", io.StringIO())
    else:
        terminal(name)
    model.fit(X, Y)
    assert "\x1b" not in sys.stdout.getvalue() and "\r" not in sys.stdout.getvalue()


def test_steps_that_are_not_known(model, terminal, monkeypatch):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    screen = terminal()
    model.fit(((X[:5], Y[:5]) for _ in range(3)), epochs=1)
    drawn = screen.getvalue().split("\r")
    assert "1/Unknown" in drawn[1] and "3/3" in drawn[-1]


def test_stdout_of_ascii_or_none(model, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    model.fit(X, Y)
    assert f"2/2 {'=' * 20} ".encode() in raw.getvalue()
    monkeypatch.setattr(sys, "stdout", None)
    model.fit(X, Y)


def test_the_first_step_is_not_counted(monkeypatch):
    clock = iter([0.0, 10.0, 12.0, 12.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown = progress.Progress(2, 5)
    shown.update(1, {})
    shown.update(5, {})
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    shown.finish(5, {"loss": 0.5})
    assert out.getvalue() == "5/5 - 12s - 500ms/step - loss: 0.5000\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5000"),
        (0.001, "1.0000e-03"),
        (-2.0, "-2.0000"),
        (0.0, "0.0000e+00"),
        (12345.6, "12345.6000"),
    ],
)
def test_numbers(value, text):
    assert progress.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "step", "span"),
    [
        (3.0, "3s/step", "3s"),
        (0.0021, "2ms/step", "0s"),
        (45e-6, "45us/step", "0s"),
        (61.0, "61s/step", "1:01"),
        (3723.0, "3723s/step", "1:02:03"),
    ],
)
def test_times(seconds, step, span):
    assert progress.step_time(seconds) == step
    assert progress.duration(seconds) == span


@pytest.mark.parametrize("wrong", [3, -1, "loud", None, 1.5])
def test_wrong_verbose(model, wrong):
    for act in (
        lambda: model.fit(X, Y, verbose=wrong),
        lambda: model.evaluate(X, Y, verbose=wrong),
        lambda: model.predict(X, verbose=wrong),
    ):
        with pytest.raises(ValueError, match="verbose must be 0, 1, 2 or 'auto'"):
            act()
