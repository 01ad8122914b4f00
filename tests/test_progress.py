"""What fit, evaluate and predict print, on a terminal and elsewhere."""

import io
import os
import re
import subprocess
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
        monkeypatch.delenv("COLUMNS", raising=False)
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


@pytest.mark.parametrize(
    ("room", "over", "line"),
    [
        (60, False, "3/4 ############..... 1s 2s/step - accuracy: 0.5 - loss: 0.2"),
        (45, False, "3/4 #. 1s 2s/step - accuracy: 0.5 - loss: 0.2"),
        (42, False, "3/4 1s 2s/step - accuracy: 0.5 - loss: 0.2"),
        (39, False, "3/4 1s 2s/step - accuracy: 0.5 - …"),
        (39, True, "3/4 - accuracy: 0.5 - loss: 0.2"),
        (26, True, "accuracy: 0.5 - loss: 0.2"),
        (24, True, "3/4 1s 2s/step - …"),
        (17, False, "3/4 1s 2s/step"),
        (9, False, "3/4 1s"),
        (2, False, "3/"),
        (0, False, ""),
    ],
)
def test_what_of_a_line_fits(room, over, line):
    metrics = ["accuracy: 0.5", "loss: 0.2"]
    drawn = progress.terminal_line("3/4", 0.75, ["1s", "2s/step"], metrics, room, over)
    full, _, empty = drawn.partition("\x1b[37m")
    plain = re.sub(r"\x1b\[\d*m", "", full.replace("━", "#") + _ + empty.replace("━", "."))
    assert plain == line and len(plain) <= room


def test_wide_and_unprintable_names_stay_on_the_line():
    drawn = progress.terminal_line("4/4", 1.0, ["1s"], ["損失: 0.5", "a\nb: 1"], 24, False)
    plain = re.sub(r"\x1b\[\d*m", "", drawn)
    assert plain == "4/4 1s - 損失: 0.5 - …"  # 8 + 3 + 9 columns, and 4 more
    assert "a?b: 1" in progress.terminal_line("4/4", 1.0, ["1s"], ["a\nb: 1"], 80, False)


def test_a_history_shows_itself(model):
    history = model.fit(X, Y, epochs=30, verbose=0)
    assert re.fullmatch(r"<History of 30 epochs; the last: loss: \S+, mae: [^\s,]+>", repr(history))
    table = history._repr_html_()
    assert table.count("<tr>") == 1 + 10 + 1 + 10
    assert f"<td>30</td><td>{history.history['loss'][-1]:.4f}</td>" in table
    assert repr(la.callbacks.History()) == "<History of 0 epochs>"


class Kernel:
    """What IPython's shell is to lamina, in a notebook; keeps the outputs of a cell."""

    def __init__(self):
        self.display_pub, self.outputs = self, []

    def publish(self, data, metadata, transient=None, update=False):
        if update:
            place = [i for i, (_, t) in enumerate(self.outputs) if t == transient]
            self.outputs[place[0]] = (data, transient)
        else:
            self.outputs.append((data, transient))


@pytest.fixture
def kernel(monkeypatch):
    """A function that makes stdout that of a notebook; called in the test, as pytest sets it."""

    def make():
        made = Kernel()
        stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
        ipython = type("IPython", (), {"get_ipython": staticmethod(lambda: made)})
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setattr(sys, "stdout", stream)
        return made

    return make


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_run_is_one_output_of_a_notebook(model, kernel, monkeypatch, verbose):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    monkeypatch.setattr(progress, "_NOTEBOOK_EVERY", 0.0)
    monkeypatch.setattr(progress, "_NOTEBOOK_RATE", 1e12)
    shown = kernel()
    model.fit(X, Y, epochs=3, verbose=verbose, validation_data=(X, Y))
    ((data, _),) = shown.outputs
    lines = data["text/plain"].splitlines()
    assert lines[::2] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"] and len(lines) == 6
    assert "val_loss" in lines[-1] and "\x1b" not in data["text/plain"]
    assert sys.stdout.getvalue() == ""
    model.evaluate(X, Y)
    assert len(shown.outputs) == 2


def test_a_short_run_prints_once_in_a_notebook(model, kernel, monkeypatch):
    monkeypatch.setattr(progress, "_NOTEBOOK_EVERY", 3600.0)
    shown = kernel()
    model.fit(X, Y, epochs=3)
    assert shown.outputs == [] and len(sys.stdout.getvalue().splitlines()) == 6


def test_an_interrupted_run_stays_in_the_notebook(model, kernel, monkeypatch):
    monkeypatch.setattr(progress, "_NOTEBOOK_EVERY", 3600.0)
    kernel()

    def press(epoch, logs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=3, callbacks=la.callbacks.LambdaCallback(on_epoch_end=press))
    assert "Epoch 1/3" in sys.stdout.getvalue()


def test_a_model_and_its_summary_in_a_notebook(model, kernel):
    shown = kernel()
    model.summary()
    ((data, _),) = shown.outputs
    assert "┃ Layer (type)" in data["text/plain"]
    assert data["text/html"] == model._repr_html_()
    assert "<td>(None, 1)</td><td>4</td>" in data["text/html"]
    assert "(None, 3) -&gt; " not in data["text/html"]
    assert (
        repr(model)
        == f"<Sequential name={model.name}, built=True, 1 layer: (None, 3) -> (None, 1)>"
    )


def test_a_weight_shows_itself(model):
    kernel, bias = model.weights
    assert "(3, 1), float32, min" in kernel._repr_html_()
    assert str(bias) == f"{bias.path}, shape=(1,)\n[0.]"
    model.trainable = False
    assert "not trainable" in bias._repr_html_()


class Unwilling(io.StringIO):
    """Raises for everything, as a full disk does and a pipe that nobody reads."""

    encoding = "utf-8"

    def __init__(self, error, terminal):
        super().__init__()
        self.error, self.terminal = error, terminal

    def write(self, text):
        raise self.error

    def isatty(self):
        return self.terminal


class Bare:
    """A stream of a user's own, which has write and nothing else."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


def ascii_terminal():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    stream.isatty = lambda: True
    return stream


STREAMS = {
    "none": lambda: None,
    "bare": Bare,
    "closed": closed,
    "full": lambda: Unwilling(OSError(28, "No space left on device"), False),
    "full terminal": lambda: Unwilling(OSError(5, "Input/output error"), True),
    "pipe": lambda: Unwilling(BrokenPipeError(32, "Broken pipe"), False),
    "strange": lambda: Unwilling(RuntimeError("reentrant call"), True),
    "ascii": lambda: io.TextIOWrapper(io.BytesIO(), encoding="ascii"),
    "ascii terminal": ascii_terminal,
}


@pytest.mark.parametrize("name", STREAMS)
def test_no_stream_stops_a_run(monkeypatch, name):
    """fit, with callbacks that speak, evaluate, predict, summary, a download."""
    from lamina.datasets import _download

    metric = type("Größe", (la.metrics.MeanSquaredError,), {})(name="größe")
    model = la.Sequential([la.Input((3,)), la.layers.Dense(1, name="schön")])
    model.compile("sgd", "mse", metrics=[metric])
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    monkeypatch.setattr(sys, "stdout", STREAMS[name]())
    monkeypatch.setattr(sys, "stderr", STREAMS[name]())
    stop = la.callbacks.EarlyStopping("loss", 1e9, verbose=1, restore_best_weights=True)
    for verbose in (1, 2):
        history = model.fit(X, Y, epochs=3, verbose=verbose, callbacks=[stop])
        assert len(history.epoch) == 2
        model.evaluate(X, Y, verbose=verbose)
        model.predict(X, verbose=verbose)
        model.predict(X[:1], verbose=verbose)
        model.predict(X, verbose=verbose, batch_size=4)
    model.summary()
    la.show_config()
    with _download._ProgressBar(_download.RemoteFile("größe", 10, "")) as bar:
        bar.update(10)
    if name.startswith("ascii"):
        sys.stdout.flush()
        shown = sys.stdout.buffer.getvalue().decode("ascii")
        assert "gr\\xf6\\xdfe: " in shown and "early stopping" in shown and "| sch" in shown
    if name == "bare":
        assert sys.stdout.text.count("Epoch 1/3") == 2


def test_an_ascii_locale_and_a_full_disk_in_a_process_of_its_own(tmp_path):
    code = (
        "import lamina as la, numpy as np\n"
        "m = la.Sequential([la.Input((3,)), la.layers.Dense(1, name='sch\u00f6n')])\n"
        "m.compile('sgd', 'mse'); x = np.ones((8, 3)); m.summary()\n"
        "m.fit(x, x[:, 0], epochs=2); m.evaluate(x, x[:, 0]); m.predict(x)\n"
        "open('done', 'w').close()"
    )
    for output in ("out.txt", "/dev/full"):
        if output.startswith("/") and not os.path.exists(output):
            continue
        with open(tmp_path / output, "wb") as stream:
            subprocess.run(
                [sys.executable, "-c", code],
                stdout=stream,
                stderr=subprocess.DEVNULL,
                cwd=tmp_path,
                env={**os.environ, "PYTHONIOENCODING": "ascii"},
                timeout=120,
            )
        (tmp_path / "done").unlink()
