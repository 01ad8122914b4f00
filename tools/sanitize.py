"""Runs tests in a build with sanitizers: AddressSanitizer with UndefinedBehaviorSanitizer, or
ThreadSanitizer.

    python tools/sanitize.py address [--isa avx2] [--all] [-- arguments of pytest ...]
    python tools/sanitize.py thread
    python tools/sanitize.py address --run tests/fuzz/fuzz.py --cases 2000

Builds into build/sanitize-KIND with the interpreter that runs this; it needs cmake, ninja,
pybind11, pytest and GCC. By default the tests of CHOSEN run; --all takes all but those that measure
memory or look at the build. Exit status 0 if nothing was found.
"""

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SANITIZERS = {"address": "address,undefined", "thread": "thread"}
CHOSEN = {
    "address": [
        "tests/kernels",
        "tests/test_custom_layer.py",
        "tests/test_fit.py",
        "tests/test_layers.py",
        "tests/test_saving.py",
        "tests/test_threads.py",
    ],
    "thread": ["tests/test_threads.py"],
}
# They measure memory, read the symbols of the build, or start builds of their own.
LEFT_OUT = ("memory", "packaging", "cross", "bench", "bench_products", "mutations", "isas")


def build(kind: str) -> Path:
    """The folder to put on PYTHONPATH: a copy of the package with a core that is watched."""
    below = ROOT / "build" / f"sanitize-{kind}"
    package = below / "package" / "lamina"
    shutil.rmtree(package.parent, ignore_errors=True)
    shutil.copytree(ROOT / "python" / "lamina", package, ignore=shutil.ignore_patterns("*.so"))
    hints = subprocess.run(
        [sys.executable, "-m", "pybind11", "--cmakedir"], capture_output=True, text=True, check=True
    )
    configure = ["cmake", "-S", ROOT, "-B", below, "-G", "Ninja"]
    configure += [
        f"-DLAMINA_SANITIZE={SANITIZERS[kind]}",
        "-DLAMINA_ONLY_ISAS=^(avx2|neon|portable)$",
        "-DCMAKE_UNITY_BUILD=ON",
    ]
    # ThreadSanitizer sees what our own threads do to meet, and not what OpenMP's library does.
    configure += [f"-DLAMINA_OPENMP={'OFF' if kind == 'thread' else 'ON'}"]
    configure += [f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={hints.stdout.strip()}"]
    configure += [f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={package}"]
    version = "from importlib.metadata import version; print(version('lamina'))"
    found = subprocess.run([sys.executable, "-c", version], capture_output=True, text=True)
    configure += [f"-DSKBUILD_PROJECT_VERSION={found.stdout.strip() or 'unknown'}"]
    subprocess.run([str(part) for part in configure], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", str(below)], check=True, stdout=subprocess.DEVNULL)
    return package.parent


def library(name: str) -> str:
    """The compiler's path of a shared library."""
    command = [os.environ.get("CXX", "g++"), f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def environment(kind: str, package: Path, isa: str) -> dict[str, str]:
    # The C++ library too: the sanitizers look for the throwing of exceptions in it at the start.
    runtime = "libasan.so" if kind == "address" else "libtsan.so"
    return {
        **os.environ,
        "PYTHONPATH": str(package),
        "LD_PRELOAD": f"{library(runtime)} {library('libstdc++.so.6')}",
        "LAMINA_ISA": isa,
        "LAMINA_NUM_THREADS": "2",
        "PYTHONMALLOC": "malloc",  # or Python's own arenas hide what is freed
        # Python itself leaks at exit; sizes that no machine has are to be refused, as without.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=8192",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
    }


def tests(kind: str, every: bool) -> list[str]:
    if not every:
        return CHOSEN[kind]
    files = sorted((ROOT / "tests").glob("test_*.py"))
    left = [file for file in files if file.stem.removeprefix("test_") not in LEFT_OUT]
    return ["tests/kernels", *(str(file.relative_to(ROOT)) for file in left)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=sorted(SANITIZERS))
    parser.add_argument("--isa", default="", help="avx2, portable, ...; default: each that runs")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--run", nargs=argparse.REMAINDER, help="a script instead of the tests")
    given = sys.argv[1:]
    end = given.index("--") if "--" in given and "--run" not in given else len(given)
    options, for_pytest = parser.parse_args(given[:end]), given[end + 1 :]
    package = build(options.kind)
    # ThreadSanitizer's shadow memory does not fit every random layout of addresses.
    fixed = ["setarch", "--addr-no-randomize"] if options.kind == "thread" else []
    python = [*fixed, sys.executable]
    if options.run:
        command = [*python, *options.run]
    else:
        chosen = for_pytest or tests(options.kind, options.all)
        command = [*python, "-m", "pytest", "-p", "no:cacheprovider", *chosen]
    isas = [options.isa]
    if not options.isa:
        ask = "from lamina import _core; print(*_core.show_config()['runnable'])"
        asked = subprocess.run(
            [*python, "-c", ask],
            env=environment(options.kind, package, ""),
            capture_output=True,
            text=True,
            check=True,
        )
        isas = asked.stdout.split()

    def run(isa: str) -> subprocess.CompletedProcess[str]:
        env = environment(options.kind, package, isa)
        pipe, output = subprocess.PIPE, subprocess.STDOUT
        return subprocess.run(command, cwd=ROOT, env=env, stdout=pipe, stderr=output, text=True)

    failed = []
    with ThreadPoolExecutor(2) as pool:  # instruction sets side by side
        for isa, result in zip(isas, pool.map(run, isas), strict=True):
            print(f"== {options.kind} sanitizer, {isa}\n{result.stdout[-20000:]}", flush=True)
            if result.returncode != 0:
                failed.append(isa)
    print(f"found something on {', '.join(failed)}" if failed else "nothing found", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
