"""Plants one bug at a time in a copy of the sources, builds it, and asks for a kernel test to fail.

    python tests/mutation/mutate.py [--only WORD] [--work DIRECTORY] [--cmake-arg=-D... ...]

Prints a line for each mutation and exits with 1 if one survives, does not compile, or is not
found exactly once. Needs cmake, ninja, pybind11 and pytest, and a quarter of an hour. Two
instruction sets are built, one where AVX2 does not exist; what only a third one runs is held by
test_isas.py, which asks for the same bits on all. The sources themselves are never touched.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mutations import MUTATIONS

ROOT = Path(__file__).resolve().parents[2]


def check_patterns(root=ROOT, mutations=MUTATIONS):
    """One line for each mutation whose pattern is not found exactly once, or changes nothing."""
    problems = []
    for m in mutations:
        path = root / "csrc" / m.file
        count = path.read_text().count(m.old) if path.is_file() else 0
        if count != 1:
            problems.append(f"{m.file}: found {count} times: {m.old!r} ({m.why})")
        if m.old == m.new:
            problems.append(f"{m.file}: changes nothing: {m.old!r} ({m.why})")
        for name in m.tests.split():
            if not list((root / "tests").rglob(f"test_{name}.py")):
                problems.append(f"{m.file}: there is no test_{name}.py ({m.why})")
    return problems


class Tree:
    """A copy of the sources, its build, and a package that finds both."""

    def __init__(self, work, cmake_arguments):
        self.source, self.build = work / "source", work / "build"
        for name in ("csrc", "cmake", "tests"):
            shutil.copytree(ROOT / name, self.source / name)
        shutil.copytree(
            ROOT / "python", self.source / "python", ignore=shutil.ignore_patterns("*.so")
        )
        for name in ("CMakeLists.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, self.source)
        configure = ["cmake", "-S", self.source, "-B", self.build, "-G", "Ninja"]
        configure += ["-DLAMINA_ONLY_ISAS=^(avx2|neon|portable)$"]
        configure += ["-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF"]
        configure += [f"-DPython_EXECUTABLE={sys.executable}"]
        configure += [f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={self.source / 'python' / 'lamina'}"]
        self.run([*configure, *cmake_arguments])

    def run(self, command, environment=None, check=True):
        result = subprocess.run(
            [str(c) for c in command],
            cwd=self.source,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        if check and result.returncode != 0:
            raise RuntimeError(f"{command[0]} failed:\n{result.stdout[-4000:]}{result.stderr}")
        return result

    def compiles(self):
        return self.run(["cmake", "--build", self.build], check=False)

    def failure(self, tests, isa):
        """The first test that fails, how the tests crashed, or None."""
        below = self.source / "tests"
        files = [next(below.rglob(f"test_{name}.py")) for name in tests.split()]
        environment = {"PYTHONPATH": str(self.source / "python"), "LAMINA_ISA": isa}
        command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--tb=no"]
        if tests == "isas":  # its other tests would run everything on every instruction set
            command += ["-k", "same_bits or beyond"]
        result = self.run([*command, "-rf", *files], environment, check=False)
        if result.returncode == 0:
            return None
        failed = [line for line in result.stdout.splitlines() if line.startswith("FAILED")]
        if failed:
            return failed[0].split()[1].split("/")[-1]
        if result.returncode < 0:
            return f"killed by signal {-result.returncode}"
        raise RuntimeError(f"pytest could not run:\n{result.stdout[-4000:]}{result.stderr[-2000:]}")

    def runnable(self):
        code = "from lamina import _core; print(*_core.show_config()['runnable'])"
        environment = {"PYTHONPATH": str(self.source / "python"), "LAMINA_ISA": ""}
        return self.run([sys.executable, "-c", code], environment).stdout.split()


def outcome(tree, m, runnable):
    """(what happened, whether that is as it should be)"""
    if m.isa and m.isa not in runnable:
        return f"not tried: this machine has no {m.isa}", True
    path = tree.source / "csrc" / m.file
    original = path.read_text()
    path.write_text(original.replace(m.old, m.new))
    try:
        built = tree.compiles()
        if built.returncode != 0:
            errors = [line for line in built.stdout.splitlines() if "error" in line]
            return f"DOES NOT COMPILE: {errors[:1]}", False
        caught = tree.failure(m.tests, m.isa or runnable[0])
        return (f"caught by {caught}", True) if caught else ("SURVIVED", False)
    finally:
        path.write_text(original)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="mutations with this word in file or reason")
    parser.add_argument("--work", type=Path, help="where to build (default: a temporary folder)")
    parser.add_argument("--cmake-arg", action="append", default=[])
    options = parser.parse_args()
    problems = check_patterns()
    if problems:
        print(*problems, sep="\n")
        return 1
    with tempfile.TemporaryDirectory() as temporary:
        tree = Tree((options.work or Path(temporary)).resolve(), options.cmake_arg)
        built = tree.compiles()
        if built.returncode != 0:
            raise RuntimeError(built.stdout[-4000:])
        runnable = tree.runnable()
        chosen = [m for m in MUTATIONS if options.only in f"{m.file} {m.why}"]
        for isa in {m.isa or runnable[0] for m in chosen} & set(runnable):
            every = " ".join(sorted({w for m in chosen for w in m.tests.split()} - {"isas"}))
            failed = tree.failure(every or "isas", isa)
            if failed:
                raise RuntimeError(f"{failed} fails on {isa} before anything was changed")
        bad = 0
        for m in chosen:
            text, good = outcome(tree, m, runnable)
            bad += not good
            print(f"{m.file:32} {m.why:60} {text}", flush=True)
        print(f"{len(chosen) - bad} of {len(chosen)} as they should be")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
