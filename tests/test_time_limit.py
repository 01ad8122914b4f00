"""No test can hang: neither by itself nor by a program that it starts."""

import ast
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

HANGS = """
import time

def test_that_ends():
    pass

def test_that_hangs():
    time.sleep(1000)
"""


def test_a_test_that_hangs_is_ended_and_shows_its_stack(tmp_path):
    shutil.copy(TESTS / "conftest.py", tmp_path)
    (tmp_path / "test_hang.py").write_text(HANGS)
    out = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env={**os.environ, "LAMINA_TEST_TIMEOUT": "0.5"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert out.returncode == 1
    assert "Timeout" in out.stderr and "in test_that_hangs" in out.stderr


def test_programs_that_tests_start_have_a_time_limit():
    without = []
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "subprocess.run":
                limits = [k.value.value for k in node.keywords if k.arg == "timeout"]
                if limits == [] or (limits[0] > 300 and "mutation" not in path.parts):
                    without.append(f"{path.relative_to(TESTS)}:{node.lineno}")
    assert without == []


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is ignored by POSIX's shells")
def test_ctrl_c_can_be_pressed_where_it_was_ignored_from_the_start(tmp_path):
    shutil.copy(TESTS / "conftest.py", tmp_path)
    (tmp_path / "test_key.py").write_text(
        "import pytest, signal\n"
        "def test_key(ctrl_c):\n"
        "    with pytest.raises(KeyboardInterrupt):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "def test_after():\n"
        "    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
    )
    out = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert out.returncode == 0, out.stdout
