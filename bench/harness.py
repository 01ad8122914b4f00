"""The one harness: how long a measurement lasts, how contenders take turns, how a job is started.

Everything is measured in a child process (worker.py), because the libraries take their number of
threads from the environment when they are loaded. This module prints nothing and judges nothing.
"""

import datetime
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import isa, peers

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    smoke: bool = False
    rounds: int = 9  # samples of one contender in one process
    seconds: float = 0.02  # a sample lasts at least this long
    processes: int = 2  # repeats of a job that has a process to itself
    imports: int = 5  # processes that import one package
    warmup: int = 1  # epochs
    epochs: int = 3  # timed epochs a process, fewer once they took so many seconds:
    patience: float = 8.0
    probe: float = 0.02  # seconds of a round of the limit probe

    # Pools keep their idle threads spinning for a while (OpenBLAS and OpenMP: some milliseconds),
    # on the cores that the next contender needs. Between turns everyone waits until they sleep.
    def settle(self, threads: int) -> float:
        return 0.0 if threads == 1 or self.smoke else 0.05


def plan() -> Plan:
    if not os.environ.get("LAMINA_BENCH_SMOKE"):
        return Plan()
    return Plan(True, rounds=2, seconds=1e-4, processes=1, imports=2, epochs=1, probe=5e-4)


def interleave(
    contenders: dict[str, Callable[[], object]], plan: Plan, threads: int = 1
) -> dict[str, list[float]]:
    """Seconds a call, `rounds` samples each, taken in turns: A B C A B C ...

    So a drift of the machine (clock, temperature, neighbours) meets all contenders alike. A sample
    is the mean of as many calls as fill plan.seconds; calls of a second or more get three samples.
    """
    settle = plan.settle(threads)
    calls, longest = {}, 0.0
    for name, call in contenders.items():
        time.sleep(settle)
        call()  # first touch of pages, lazy imports, start of the thread pool
        start = time.perf_counter()
        call()
        once = time.perf_counter() - start
        calls[name] = max(1, round(plan.seconds / max(once, 1e-7)))
        longest = max(longest, once)
    rounds = plan.rounds if longest < 1 else min(plan.rounds, 3)

    samples: dict[str, list[float]] = {name: [] for name in contenders}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in contenders.items():
                time.sleep(settle)
                if calls[name] > 1:
                    call()  # wakes the own pool and takes the caches back
                start = time.perf_counter()
                for _ in range(calls[name]):
                    call()
                samples[name].append((time.perf_counter() - start) / calls[name])
    finally:
        gc.enable()
    return samples


def run_python(*arguments: str) -> str:
    """What a fresh interpreter prints. RuntimeError with its last words where it fails."""
    # Imports are measured with the bytecode that pip would have made.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=3600)
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(arguments[:5])} ended with {done.returncode}:\n{done.stderr[-4000:]}"
        )
    return done.stdout


def run_worker(job: str, contenders: str, threads: int) -> list[dict]:
    """The records of one job, done in a process of its own."""
    lines = run_python("-m", "bench.worker", job, contenders, str(threads)).splitlines()
    return [json.loads(line) for line in lines]


def alternating(names: list[str], repeats: int) -> list[str]:
    """Every name `repeats` times: A B C, C B A, A B C ... for jobs with a process each."""
    return [name for i in range(repeats) for name in (names if i % 2 == 0 else names[::-1])]


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def circumstances(job_info: dict) -> dict:
    """What a number means nothing without. job_info: the record of the job `info`."""
    versions = {"Python": platform.python_version(), "lamina": job_info["version"]}
    versions |= {name: peers.PEERS[name].version for name in peers.present()}
    said = {
        name: run_worker("says", name, 1)[0]["says"]
        for name in (peers.present() if isa.wanted() else [])
    }
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cpus": len(peers.usable_cpus()),
        "system": f"{platform.system()} {platform.machine()}",
        "isa": job_info["isa"],
        "compiler": job_info["compiler"],
        "blas": job_info["blas"],
        "matrix_unit": job_info["matrix_unit"],
        "versions": versions,
        "not_found": peers.absent(),
        "held_to": isa.wanted(),
        "not_held": peers.not_held(),
        "instructions": said,
        "smoke": plan().smoke,
    }
