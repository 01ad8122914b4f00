"""Seeded random use of the public API: crashes, hangs, wrong bits and unclear errors are failures.

    python tests/fuzz/fuzz.py [--cases 2000] [--seed 0] [--only kernels] [--keep-going]

Each case has a number; `--case N` runs that one alone. Cases run in child processes, so that one
that ends its process is named. tools/sanitize.py runs this under the sanitizers.
"""

import argparse
import faulthandler
import re
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import fuzz_arguments
import fuzz_kernels
import fuzz_models

KINDS = {
    "kernels": fuzz_kernels.case,
    "models": fuzz_models.case,
    "arguments": fuzz_arguments.case,
}
# Of ten cases so many are of each kind: a model's case does more than a kernel's.
SHARES = ("kernels",) * 5 + ("models",) * 3 + ("arguments",) * 2
CASE_SECONDS = 120
CHUNK = 50


def kind_of(number, only):
    return only or SHARES[number % len(SHARES)]


def run_one(seed, number, only):
    kind = kind_of(number, only)
    print(f"case {number} {kind}", flush=True)
    faulthandler.dump_traceback_later(CASE_SECONDS, exit=True)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            what = KINDS[kind](np.random.default_rng([seed, number]))
        print(f"  ok: {what}", flush=True)
        return True
    except Exception:
        print(f"FAILED case {number} {kind} (seed {seed}):\n{traceback.format_exc()}", flush=True)
        return False
    finally:
        faulthandler.cancel_dump_traceback_later()


def run_chunk(options, first, end):
    """Runs cases in a process of their own until one ends it.

    Returns how many passed, the reports of those that did not, and where to go on.
    """
    command = [sys.executable, __file__, "--seed", str(options.seed), "--child"]
    command += [str(first), str(end)]
    command += ["--only", options.only] if options.only else []
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    passed = result.stdout.count("\n  ok: ")
    reports = [part.split("\ncase ")[0] for part in result.stdout.split("\nFAILED ")[1:]]
    begun = re.findall(r"^case (\d+)", result.stdout, re.MULTILINE)
    finished = passed + len(reports)
    if finished == end - first:
        return passed, reports, end
    last = begun[-1] if len(begun) > finished else "none"
    error = result.stderr[:5000]  # a sanitizer's stacks are long; the first lines tell
    reports.append(f"case {last}: ended its process with status {result.returncode}\n{error}")
    return passed, reports, int(last) + 1 if last != "none" else end


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(KINDS))
    parser.add_argument("--case", type=int, help="run this one only, in this process")
    parser.add_argument("--keep-going", action="store_true")
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    faulthandler.enable()
    if options.case is not None:
        return 0 if run_one(options.seed, options.case, options.only) else 1
    if options.child:
        results = [run_one(options.seed, n, options.only) for n in range(*options.child)]
        return 0 if all(results) else 1
    passed = failed = first = 0
    while first < options.cases and (options.keep_going or not failed):
        end = min(first - first % CHUNK + CHUNK, options.cases)
        good, reports, first = run_chunk(options, first, end)
        passed, failed = passed + good, failed + len(reports)
        print(*reports, sep="\n", end="\n" if reports else "", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
