"""The extension as it was built and installed."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys

import pytest

import lamina
from lamina import _core


def readelf(*options: str) -> str:
    if not sys.platform.startswith("linux") or shutil.which("readelf") is None:
        pytest.skip("readelf reads ELF files, on Linux, and is not here")
    command = ["readelf", "-W", *options, _core.__file__]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_version_is_the_distribution_s():
    assert lamina.__version__ == importlib.metadata.version("lamina") == _core.__version__


def test_numpy_is_the_only_requirement():
    requires = importlib.metadata.requires("lamina")
    assert [r for r in requires if "extra ==" not in r] == ["numpy>=1.23"]


def test_relocations_are_read_only_and_bound_at_load():
    assert "GNU_RELRO" in readelf("-l")
    assert re.search(r"\bNOW\b|BIND_NOW", readelf("-d"))


def test_the_stack_is_not_executable():
    line = next(line for line in readelf("-l").splitlines() if "GNU_STACK" in line)
    assert re.search(r"\bRW\b", line)
    assert "RWE" not in line


def test_stack_protector_and_fortify_are_compiled_in():
    assert "__stack_chk_fail" in readelf("--dyn-syms")
    assert _core.show_config()["fortify"] >= 2


def test_only_the_module_s_entry_and_what_threadpoolctl_calls_is_exported():
    exported = []
    for line in readelf("--dyn-syms").splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[4] in ("GLOBAL", "WEAK") and fields[6] != "UND":
            exported.append(fields[7].split("@")[0])
    hooks = ["lamina_get_num_threads", "lamina_set_num_threads"]
    assert sorted(exported) == ["PyInit__core", *hooks]


def test_import_loads_nothing_that_is_slow():
    """What a fresh interpreter has loaded after `import lamina` and not after `import numpy`."""
    code = (
        "import sys, numpy; before = set(sys.modules); import lamina; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    loaded = set(out.stdout.split())
    assert "lamina" in loaded
    slow = {
        "email",
        "http",
        "urllib",
        "ssl",
        "tempfile",
        "shutil",
        "gzip",
        "lzma",
        "zipfile",
        "matplotlib",
        "importlib.metadata",
        "json",
        "logging",
        "asyncio",
        "socket",
    }
    assert loaded & slow == set()


def test_an_isa_that_is_not_there_fails_at_import():
    for name in ("mmx", "AVX512"):
        out = subprocess.run(
            [sys.executable, "-c", "import lamina"],
            capture_output=True,
            text=True,
            env={**os.environ, "LAMINA_ISA": name},
            timeout=60,
        )
        assert out.returncode != 0
        assert f"LAMINA_ISA={name}: no such instruction set in this build; it has" in out.stderr


def test_a_wrong_number_of_threads_fails_at_import():
    for text in ("0", "two", "-1", "99999"):
        out = subprocess.run(
            [sys.executable, "-c", "import lamina"],
            capture_output=True,
            text=True,
            env={**os.environ, "LAMINA_NUM_THREADS": text},
            timeout=60,
        )
        assert out.returncode != 0
        assert "LAMINA_NUM_THREADS must be a whole number from 1 to 1024, got" in out.stderr
