"""A few cases of tests/fuzz in every run; tools/sanitize.py runs more of them, under sanitizers."""

import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parent / "fuzz" / "fuzz.py"


def run(*arguments):
    command = [sys.executable, FUZZ, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def test_random_use_of_the_public_api():
    result = run("--cases", 100, "--seed", 1)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    assert "100 passed, 0 failed" in result.stdout


BREAKS = """
import os, sys
import numpy as np
sys.argv[1:] = ["--child", "0", "5"]
sys.path.insert(0, {folder!r})
import fuzz
def case(g, calls=[]):
    calls.append(1)
    assert len(calls) != 2, "wrong bits"
    if len(calls) == 4: os._exit(70)
    return "well"
fuzz.KINDS = dict.fromkeys(fuzz.KINDS, case)
fuzz.main()
"""


def test_a_case_that_fails_or_ends_its_process_is_named(monkeypatch):
    """run_chunk reports an AssertionError by case, and an exit as that of the case under way."""
    sys.path.insert(0, str(FUZZ.parent))
    try:
        import fuzz
    finally:
        sys.path.remove(str(FUZZ.parent))
    script = BREAKS.format(folder=str(FUZZ.parent))
    plain = subprocess.run

    def broken(command, **options):
        return plain([sys.executable, "-c", script], **options)

    monkeypatch.setattr(fuzz.subprocess, "run", broken)

    class Options:
        seed, only = 0, None

    passed, reports, go_on = fuzz.run_chunk(Options, 0, 5)
    assert passed == 2 and go_on == 4
    assert len(reports) == 2
    assert "case 1" in reports[0] and "wrong bits" in reports[0]
    assert "case 3: ended its process with status 70" in reports[1]
