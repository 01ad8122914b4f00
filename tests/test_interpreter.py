"""The end of the interpreter, and interpreters beside the main one."""

import subprocess
import sys

import pytest

AT_WORK_SCRIPT = """
import sys, threading
import numpy as np
import lamina as la
from lamina import kernels

class Twice(la.layers.Layer):
    def forward(self, x, training):
        return 2 * x

    def backward(self, dy, x):
        return 2 * dy

x, y = np.ones((5000, 20), np.float32), np.zeros(5000, np.int64)
own = [Twice()] if sys.argv[1] == "layer" else []
model = la.Sequential([la.layers.Input((20,)), *own, la.layers.Dense(5, "softmax")])
model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
begun = threading.Event()
calls = {
    "fit": lambda: model.fit(x, y, verbose=0),
    "layer": lambda: model.fit(x, y, verbose=0),
    "evaluate": lambda: model.evaluate(x, y, verbose=0),
    "predict": lambda: model.predict(x, verbose=0),
    "call": lambda: model(x[:4]),
    "gemm": lambda: kernels.gemm(x, x.T[:, :50]),
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
