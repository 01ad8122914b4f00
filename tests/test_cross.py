"""The kernels built for AArch64 and run under an emulator give the bits of a native build."""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [*sorted((ROOT / "csrc" / "kernels").glob("*.cpp")), ROOT / "tests/cross/digest.cpp"]
CROSS = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"
# -O1: the bits are the source's whatever the optimiser does, and this is not about speed.
FLAGS = ["-std=c++20", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]


def test_the_digest_runs_every_kernel_of_the_table():
    table = (ROOT / "csrc/kernels/kernels.h").read_text()
    kernels = re.findall(r"\(\*(\w+)(?:\[\w+\])?\)\(", table)
    digest = (ROOT / "tests/cross/digest.cpp").read_text()
    assert len(kernels) > 50
    assert [name for name in kernels if not re.search(rf"\b{name}\b", digest)] == []


def build(compiler: str, isa: str, directory: Path) -> Path:
    directory.mkdir()
    define = [f"-DLAMINA_ISA={isa}", f"-DLAMINA_SIMD_{isa.upper()}", f"-I{ROOT / 'csrc'}"]

    def compile_one(source: Path) -> Path:
        to = directory / (source.stem + ".o")
        command = [compiler, *FLAGS, *define, "-c", source, "-o", to]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
        return to

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile_one, SOURCES))
    program = directory / "digest"
    subprocess.run([compiler, "-static", *objects, "-o", program], check=True, timeout=120)
    return program


def test_neon_under_an_emulator_gives_the_bits_of_the_native_build(tmp_path):
    missing = [tool for tool in (CROSS, EMULATOR, "g++") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    native = build("g++", "portable", tmp_path / "portable")
    neon = build(CROSS, "neon", tmp_path / "neon")
    want = subprocess.run([native], capture_output=True, text=True, check=True, timeout=300).stdout
    got = subprocess.run(
        [EMULATOR, neon], capture_output=True, text=True, check=True, timeout=300
    ).stdout
    assert len(want.splitlines()) > 2000
    assert got.splitlines() == want.splitlines()
