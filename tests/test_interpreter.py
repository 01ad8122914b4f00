"""The end of the interpreter, and interpreters beside the main one."""

import subprocess
import sys

import pytest

AT_WORK_SCRIPT = """
import sys, threading, time
import numpy as np
import lamina as la
from lamina import kernels

class Twice(la.layers.Layer):
    def forward(self, x, training):
        time.sleep(1e-3)  # lets go of the GIL
        return 2 * x

    def backward(self, dy, x):
        return 2 * dy

x, y = np.ones((5000, 20), np.float32), np.zeros(5000, np.int64)
square = np.ones((500, 500), np.float32)
own = [Twice()] if sys.argv[1] == "layer" else []
model = la.Sequential([la.layers.Input((20,)), *own, la.layers.Dense(5, "softmax")])
model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
begun = threading.Event()
calls = {
    "fit": lambda: model.fit(x, y, epochs=10, verbose=0),
    "layer": lambda: model.fit(x, y, verbose=0),
    "evaluate": lambda: model.evaluate(x, y, verbose=0),
    "predict": lambda: model.predict(x, verbose=0),
    "call": lambda: model(x[:4]),
    "gemm": lambda: kernels.gemm(square, square),
}

def work():
    try:
        while True:
            calls[sys.argv[1]]()
            begun.set()
    finally:
        begun.set()

threading.Thread(target=work, daemon=True).start()
begun.wait()
"""


@pytest.mark.parametrize("doing", ["fit", "layer", "evaluate", "predict", "call", "gemm"])
def test_a_daemon_thread_in_the_engine_does_not_disturb_the_end_of_the_process(doing):
    """It asks for the GIL while Python ends, and must not abort the process."""
    command = [sys.executable, "-c", AT_WORK_SCRIPT, doing]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


SUB_INTERPRETER_SCRIPT = """
try:
    import _interpreters as interpreters
except ImportError:  # before Python 3.13
    import _xxsubinterpreters as interpreters
import sys

if sys.argv[1] == "after":
    import lamina
sub = interpreters.create()
try:
    failure = interpreters.run_string(sub, "import lamina")
except interpreters.RunFailedError as error:  # before Python 3.13
    failure = error
print(failure)
"""


@pytest.mark.parametrize("when", ["first", "after"])
def test_a_sub_interpreter_is_refused_at_once_with_the_reason(when):
    """Where nothing has been imported before, and after an import in the main interpreter."""
    pytest.importorskip("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
    command = [sys.executable, "-c", SUB_INTERPRETER_SCRIPT, when]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "ImportError" in done.stdout
    assert "lamina cannot be imported in a sub-interpreter" in done.stdout
