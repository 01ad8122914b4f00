"""Annotations: every function has them, and type checkers are quiet about right programs only."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lamina

PACKAGE = Path(lamina.__file__).parent

TUTORIAL = """
import numpy as np

import lamina as la
from lamina.datasets import mnist

(x, y), _ = mnist.load_data()
print(x.shape[1])
(x_train, y_train), (x_test, y_test) = mnist.load_data()
model = la.models.Sequential([
    la.layers.Flatten(input_shape=(28, 28)),
    la.layers.Dense(128, activation="relu"),
    la.layers.Dropout(0.2),
    la.layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x_train / 255.0, y_train, epochs=5, class_weight={0: 1.0})
print(history.history["loss"][-1])
test_loss, test_acc = model.evaluate(x_test / 255.0, y_test)
print(f"{test_loss:.4f} {test_acc:.2%}", model.predict(x_test).argmax(axis=1).shape)
model.optimizer.learning_rate = 0.1
model.set_weights(model.get_weights())
print(la.kernels.gemm(np.ones((2, 2)), [[1, 2], [3, 4]], bias=[1, 2]).shape)


class Stop(la.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.model.stop_training = True
"""

WRONG = """
import lamina as la

la.layers.Dens(3)
la.layers.LSTM(3)
la.layers.Dense(unit=3)
la.Sequential().fit(batchsize=5)
la.Sequential().compile(optimiser="adam")
la.regularizers.l2(3)
la.layers.Dense(3, activation=3)
"""


def functions(tree, prefix=""):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + node.name, node
        name = getattr(node, "name", None)
        yield from functions(node, f"{prefix}{name}." if name else prefix)


def test_every_function_is_annotated():
    bare, seen = [], 0
    for path in sorted(PACKAGE.rglob("*.py")):
        for name, node in functions(ast.parse(path.read_text(encoding="utf-8"))):
            seen += 1
            a = node.args
            arguments = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
            missing = [
                argument.arg
                for argument in arguments
                if argument is not None and argument.annotation is None
                if argument.arg not in ("self", "cls")
            ]
            if missing or node.returns is None:
                bare.append((path.name, name, missing))
    assert seen > 500
    assert bare == []


def check(module: str, *arguments: str) -> subprocess.CompletedProcess:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    env = dict(os.environ)
    if "site-packages" not in PACKAGE.parts:  # there mypy finds it by itself
        env["MYPYPATH"] = str(PACKAGE.parent)
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=250)


def check_script(tmp_path, text: str) -> subprocess.CompletedProcess:
    script = tmp_path / "script.py"
    script.write_text(text)
    cache = f"--cache-dir={tmp_path}"
    return check("mypy", "--strict", "--follow-imports=silent", cache, str(script))


def test_mypy_is_quiet_about_the_tutorial(tmp_path):
    done = check_script(tmp_path, TUTORIAL)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_sees_what_is_wrong(tmp_path):
    """Every line: module.__getattr__ must not hide from it what is missing."""
    done = check_script(tmp_path, WRONG)
    told = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    wrong = {i for i, line in enumerate(WRONG.split("\n"), 1) if line.startswith("la.")}
    assert told == wrong, done.stdout + done.stderr


def test_the_stub_of_the_core_is_the_core_s():
    done = check("mypy.stubtest", "lamina._core", "--concise")
    assert done.returncode == 0, done.stdout + done.stderr
