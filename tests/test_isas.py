"""Every instruction set that was built and that this machine runs: the kernels pass their tests on
each, and give the same bits on all of them, with one thread and with several.

The instruction set is picked at import, so each gets a process of its own.
"""

import functools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lamina
from float_state import CAN_FLUSH
from lamina import _core

HERE = Path(__file__).parent
CONFIG = _core.show_config()


def run(isa, *arguments, threads=None, caller=""):
    environment = {**os.environ, "LAMINA_ISA": isa, "CALLER": caller}
    if threads is not None:
        environment["LAMINA_NUM_THREADS"] = str(threads)
    search = [str(HERE), str(Path(lamina.__file__).parents[1])]
    if "PYTHONPATH" in environment:
        search.append(environment["PYTHONPATH"])
    environment["PYTHONPATH"] = os.pathsep.join(search)
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=HERE.parent,
        timeout=170,
        check=False,
    )


def skip_unless_it_runs(isa):
    if isa not in CONFIG["runnable"]:
        pytest.skip(f"{isa} was built, but this processor or operating system cannot run it")


@pytest.mark.parametrize("isa", CONFIG["built"])
def test_the_kernels_pass_their_tests(isa):
    skip_unless_it_runs(isa)
    if isa == CONFIG["isa"]:
        pytest.skip(f"{isa} is what this process picked: its kernel tests are in this very run")
    name = "from lamina import _core; print(_core.isa)"
    assert run(isa, "-c", name).stdout.strip() == isa
    arguments = "-m", "pytest", "-p", "no:cacheprovider", "--tb=short"
    files = sorted((HERE / "kernels").glob("test_*.py"))
    with ThreadPoolExecutor(2) as pool:  # side by side: portable takes most of a minute
        for result in pool.map(lambda file: run(isa, *arguments, file), files):
            assert result.returncode == 0, f"{isa}:\n{result.stdout[-6000:]}{result.stderr[-2000:]}"
            assert " passed" in result.stdout


@pytest.fixture(scope="module")
def digests():
    @functools.cache
    def of(isa, threads, caller=""):
        result = run(isa, HERE / "kernel_digests.py", threads=threads, caller=caller)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return of


def differing(a, b):
    assert a.keys() == b.keys() and len(a) > 40
    return [name for name in a if a[name] != b[name]]


@pytest.mark.parametrize("isa", CONFIG["built"])
def test_the_same_bits_on_every_instruction_set(isa, digests):
    skip_unless_it_runs(isa)
    assert differing(digests(isa, 1), digests("portable", 1)) == []


@pytest.mark.skipif(os.name != "posix", reason="mprotect is POSIX's")
@pytest.mark.parametrize("isa", CONFIG["built"])
def test_no_kernel_touches_what_lies_beyond_its_arrays(isa):
    skip_unless_it_runs(isa)
    result = run(isa, HERE / "page_edges.py")
    printed = result.stdout.splitlines() or [""]
    assert printed[-1] == "no step beyond", f"{printed[-1]}: {result.returncode}\n{result.stderr}"


def test_the_same_bits_for_any_number_of_threads(digests):
    one = digests(CONFIG["isa"], 1)
    for threads in (2, 3):
        assert differing(digests(CONFIG["isa"], threads), one) == []


@pytest.mark.skipif(not CAN_FLUSH, reason="how to flush is known for Linux, x86-64 and AArch64")
@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_whatever_the_caller_s_state(threads, digests):
    isa = CONFIG["isa"]
    assert differing(digests(isa, threads, "flushed"), digests(isa, threads)) == []


def test_an_instruction_set_that_is_not_there_is_an_error():
    result = run("mmx", "-c", "import lamina")
    assert result.returncode != 0
    assert "mmx" in result.stderr and CONFIG["isa"] in result.stderr
