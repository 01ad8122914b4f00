"""A program that PyInstaller has frozen."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import lamina

PROGRAM = """
import lamina as la
from lamina.datasets import mnist

(x, y), _ = mnist.load_data()
model = la.Sequential([la.layers.Flatten(input_shape=(28, 28)), la.layers.Dense(10)])
model.compile("sgd", la.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(x[:64] / 255.0, y[:64], verbose=0)
same = la.reference.relu_forward(x[0] - 9.0) == la.kernels.relu_forward(x[0] - 9.0)
print(same.all(), la.datasets.fashion_mnist.__name__, model.summary())
"""


def test_pyinstaller_is_told_where_the_hook_is():
    try:
        points = importlib.metadata.distribution("lamina").entry_points
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("lamina is not installed by pip here")
    (point,) = [point for point in points if point.group == "pyinstaller40"]
    assert point.name == "hook-dirs"
    (folder,) = point.load()()
    assert (Path(folder) / "hook-lamina.py").is_file()


def test_a_frozen_program_has_everything(tmp_path):
    pytest.importorskip("PyInstaller", reason="PyInstaller is not installed")
    (tmp_path / "program.py").write_text(PROGRAM)
    package = Path(lamina.__file__).parent
    freeze = [sys.executable, "-m", "PyInstaller", "program.py", "--log-level", "ERROR"]
    hook = ["--additional-hooks-dir", package / "__pyinstaller", "--paths", package.parent]
    frozen = subprocess.run(
        [*freeze, *hook], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert frozen.returncode == 0, frozen.stderr
    # Without the package beside it, which PYTHONPATH may name here.
    program = tmp_path / "dist" / "program" / "program"
    run = subprocess.run(
        [program], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert "True lamina.datasets.fashion_mnist None" in run.stdout
    names = [file.name for file in (tmp_path / "dist").rglob("*")]
    assert "mnist.npz" in names and "MNIST_LICENSE.md" in names
