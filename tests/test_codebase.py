"""The house rules, each one search through the sources: who may know what."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
SOURCES = sorted([*CSRC.rglob("*.h"), *CSRC.rglob("*.cpp")])


def offenders(pattern: str, allowed) -> list[str]:
    """Sources outside `allowed` with a line that matches."""
    found = []
    for path in SOURCES:
        name = path.relative_to(CSRC).as_posix()
        if not allowed(name) and re.search(pattern, path.read_text(), re.MULTILINE):
            found.append(name)
    return found


def test_there_are_sources():
    assert len(SOURCES) > 20


def test_pybind11_is_known_in_bindings_only():
    assert offenders(r"pybind11", lambda name: name.startswith("bindings/")) == []


def test_openmp_is_known_in_cpu_parallel_only():
    assert offenders(r"#pragma omp|omp\.h|omp_", lambda name: name.startswith("cpu/parallel")) == []


def test_intrinsics_are_known_in_simd_tiles_and_cpu_only():
    allowed = ("kernels/simd", "kernels/tiles/", "cpu/")
    pattern = r"immintrin|xmmintrin|arm_neon|cpuid\.h|\b_mm\d*_|\b_tile_|__builtin_ia32"
    assert offenders(pattern, lambda name: name.startswith(allowed)) == []


def test_tiles_are_known_in_the_matrix_unit_only():
    allowed = ("kernels/matrix_unit.cpp", "kernels/tiles")
    assert offenders(r'#include "(kernels/)?tiles', lambda name: name.startswith(allowed)) == []


def test_calls_go_downward_only():
    below = {
        "kernels": ("kernels/",),
        "cpu": ("cpu/", "kernels/kernels.h"),
        "ops": ("ops/", "cpu/", "kernels/kernels.h"),
        "engine": ("engine/", "ops/", "cpu/", "kernels/kernels.h"),
    }
    wrong = []
    for path in SOURCES:
        name = path.relative_to(CSRC).as_posix()
        room = name.split("/")[0]
        for include in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE):
            local = (path.parent / include).exists() and room == "kernels"
            if room in below and not local and not include.startswith(below[room]):
                wrong.append(f"{name} includes {include}")
    assert wrong == []


def test_kernels_neither_allocate_nor_throw_nor_branch_on_the_isa():
    pattern = r"\bnew \b|malloc|std::vector|\bthrow\b|#if.*(AVX|NEON|__x86|__aarch)"
    text = [
        path.name
        for path in (CSRC / "kernels").glob("*.cpp")
        if re.search(pattern, re.sub(r"//.*", "", path.read_text()))
    ]
    assert text == []


def test_the_core_never_prints_aborts_or_exits():
    pattern = r"\bprintf\(|std::cout|std::cerr|\babort\(|[^_]exit\("
    assert offenders(pattern, lambda name: False) == []


def test_weights_are_written_in_one_place_only():
    """The one that tells the core."""
    pattern = re.compile(r"_array(\[.*\])? [-+*/]?= (?!view$|array$|weight\._array\.copy\(\)$)")
    found = [
        (path.name, line.strip())
        for path in sorted((ROOT / "python").rglob("*.py"))
        for line in path.read_text().splitlines()
        if "._array" in line and pattern.search(line)
    ]
    assert found == [("weight.py", "self._array[...] = value")]


def test_no_unsafe_compiler_flags():
    for path in [ROOT / "CMakeLists.txt", *(ROOT / "cmake").glob("*.cmake")]:
        code = re.sub(r"#.*", "", path.read_text())
        assert "-march=native" not in code
        assert "-ffast-math" not in code


def kernel_objects() -> list[Path]:
    found = ROOT.glob("build/*/CMakeFiles/lamina_kernels_*.dir/**/*.o")
    # The builds of tools/sanitize.py, which are for one machine, have symbols of the sanitizers.
    objects = sorted(path for path in found if "sanitize-" not in path.as_posix())
    if not objects or shutil.which("nm") is None:
        pytest.skip("no kernel objects under build/, or no nm: run pip install . in this checkout")
    return objects


def test_kernel_objects_share_nothing():
    """No weak symbols: the linker keeps one copy of those, and it may be the one that this machine
    cannot run. No static initialisers: they run before the instruction set is chosen."""
    wrong = []
    for path in kernel_objects():
        command = ["nm", path]
        listing = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for line in listing.splitlines():
            kind, name = line.split()[-2:]
            if kind in "WwVvu" or "_GLOBAL__sub_I" in name:
                wrong.append(f"{path.name}: {kind} {name}")
    assert wrong == []
