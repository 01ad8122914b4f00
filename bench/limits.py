"""What the machine could do at best: probe.cpp compiled and run, and a case's share of it.

Needs a C++ compiler: $CXX, else c++, g++ or clang++, whichever is found first. Without one there
are no limits, and the report says why.
"""

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import peers

ROUND_TRIP = "round trip"  # of probe.cpp's figures the one, in nanoseconds, that should be small
SOURCE = Path(__file__).with_name("probe.cpp")
# Contraction makes the loops' multiply-adds fused; no ISA: each loop names its own.
FLAGS = ("-std=c++20", "-O2", "-ffp-contract=fast", "-pthread")


class NoProbeError(Exception):
    """Why there are no limits."""


@dataclass(frozen=True)
class Work:
    """What one call has to do at the least. flops: where arithmetic is the point; otherwise bytes
    that must be read and written. resident: the bytes of all arrays, where some are changed in
    place and so are both."""

    flops: float | None = None
    read: float = 0
    written: float = 0
    resident: float | None = None
    bound: str = ""  # what keeps lamina below the limit, where that is known


@dataclass
class Limits:
    caches: dict[str, int] = field(default_factory=dict)  # bytes: L1, L2 of a core; L3 shared
    rates: dict[int, dict] = field(default_factory=dict)  # by threads: what probe.cpp prints
    clock: dict[int, list] = field(default_factory=dict)  # by threads: every "fma" of the run
    turns: dict[int, dict] = field(default_factory=dict)  # by threads: what Watch counts
    reason: str = ""  # why there are none

    def add(self, threads: int, rates: dict) -> None:
        """A limit is the best that was ever seen: a slower clock lowers it."""
        self.clock.setdefault(threads, []).append(rates["fma"])
        known = self.rates.setdefault(threads, dict(rates))
        for name, value in rates.items():
            if isinstance(value, float):
                better = min if name == ROUND_TRIP else max
                known[name] = better(known.get(name, value), value)

    def merge(self, other: "Limits") -> None:
        """Another run's on the same machine, or none."""
        self.caches = self.caches or other.caches
        for threads, rates in other.rates.items():
            clock = self.clock.get(threads, []) + other.clock[threads]
            self.add(threads, rates)
            self.clock[threads] = clock
        for threads, counts in other.turns.items():
            mine = self.turns.setdefault(threads, {})
            mine |= {name: mine.get(name, 0) + count for name, count in counts.items()}
        self.reason = "" if self.rates else self.reason or other.reason

    def share(self, work: Work | None, threads: int, seconds: float) -> tuple[float, str] | None:
        """What a measured time is of the limit, and which limit that is. None: there is none."""
        rates = self.rates.get(threads)
        if rates is None or work is None or not (work.flops or work.read or work.written):
            return None
        if work.flops:
            return work.flops / seconds / (rates["fma"] * 1e9), "FMA"
        size = work.read + work.written if work.resident is None else work.resident
        level = self.level(size, threads)
        # A reduction writes next to nothing; an optimizer changes three of four arrays in place;
        # the rest moves data as the triad does.
        kind = "read" if work.written < work.read / 10 else "update" if work.resident else "triad"
        rate = max(value for name, value in rates.items() if name.startswith(f"{level} {kind}"))
        return (work.read + work.written) / seconds / (rate * 1e9), level

    def level(self, size: float, threads: int) -> str:
        """The memory that arrays of `size` bytes live in between two calls."""
        if size <= self.caches["L2"] * threads:
            return "L2"
        if size <= self.caches["L3"] and "L3 triad" in self.rates[threads]:
            return "L3"
        return "DRAM"


def build(folder: Path) -> Path:
    """The compiled probe. NoProbeError where it cannot be had."""
    named = os.environ.get("CXX", "")
    found = (
        shlex.split(named)
        or [path for name in ("c++", "g++", "clang++") if (path := shutil.which(name))][:1]
    )
    if not found:
        raise NoProbeError("there is no C++ compiler: none in $CXX, and no c++, g++ or clang++")
    binary = folder / "probe"
    command = [*found, *FLAGS, str(SOURCE), "-o", str(binary)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except OSError as error:
        raise NoProbeError(f"{found[0]} cannot be run: {error}") from None
    if done.returncode != 0:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
        raise NoProbeError(f"{found[0]} does not compile bench/probe.cpp: {first[:300]}")
    return binary


def measure(binary: Path, caches: dict[str, int], threads: int, seconds: float) -> dict:
    """The rates of so many threads, each on a CPU of its own, the ones that peers.py picks. Without
    caches only what tells whether the machine is whole."""
    sizes = [str(caches.get(level, 0)) for level in ("L1", "L2", "L3")]
    cpus = [str(cpu) for cpu in peers.usable_cpus()[:threads]]
    command = [str(binary), str(seconds), *sizes, *cpus]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired as error:
        raise NoProbeError(f"the probe took more than {error.timeout:.0f} s") from None
    if done.returncode != 0:
        raise NoProbeError(f"the probe ended with {done.returncode}: {done.stderr[-300:]}")
    return {
        name: float(value) if isinstance(value, int | float) else value
        for name, value in json.loads(done.stdout).items()
    }


class Watch:
    """Takes turns of contenders again that a machine spoiled which was not whole.

    The host of a virtual machine may lend its processors to others for minutes: then a loop of
    multiply-adds on as many threads, which shares nothing, runs slower. Or it may move them to
    places far from each other: then a cache line takes several times as long between them, and
    all that threads do together suffers, at times that differ between contenders by chance.
    Counts how often, in limits.turns."""

    WHOLE = 0.9  # of the best that the loop has shown
    FAR = 2.0  # times the shortest round trip of a cache line
    TURNS = 3  # of one contender
    PAUSE, PATIENCE = 2.0, 120.0  # seconds: between two looks, and before one turn
    BUDGET = 900.0  # seconds of a whole run for pauses and for what is taken again

    def __init__(self, limits: Limits, look: Callable[[int], dict]) -> None:
        self.limits = limits
        self.look = look  # the rates that tell, of so many threads
        self.best: dict[int, Limits] = {}
        self.spent = 0.0

    def is_whole(self, threads: int, rates: dict | None = None) -> bool:
        """As far as can be told: where the probe fails, nothing is waited for or taken again."""
        try:
            rates = self.look(threads) if rates is None else rates
        except NoProbeError as reason:
            self.limits.reason = str(reason)
            return True
        seen = self.best.setdefault(threads, Limits())
        seen.add(threads, {name: rates[name] for name in ("fma", ROUND_TRIP) if name in rates})
        best = seen.rates[threads]
        near = rates.get(ROUND_TRIP, 0.0) <= self.FAR * best.get(ROUND_TRIP, 0.0)
        return near and rates["fma"] >= self.WHOLE * best["fma"]

    def add(self, threads: int, rates: dict) -> None:
        """To the limits. Memory may be faster on processors that are far apart: what it gives there
        counts only as long as they were not seen near."""
        held = self.limits.rates.get(threads)
        if held and not self.is_whole(threads, rates):
            self.limits.clock[threads].append(rates["fma"])
            return
        if held and held.get(ROUND_TRIP, 0.0) > self.FAR * rates.get(ROUND_TRIP, 0.0):
            del self.limits.rates[threads]
        self.limits.add(threads, rates)

    def wait(self, threads: int) -> None:
        """For a whole machine, but not for ever."""
        waited = 0.0
        while not self.is_whole(threads) and waited < self.PATIENCE and self.spent < self.BUDGET:
            time.sleep(self.PAUSE)
            waited += self.PAUSE
            self.spent += self.PAUSE

    def turn(self, threads: int, run: Callable[[], list]) -> list:
        """What run() returns, of the first turn that a whole machine ends, or of the last."""
        zeros = {"taken": 0, "again": 0, "disturbed": 0}
        counts = self.limits.turns.setdefault(threads, zeros)
        counts["taken"] += 1
        for i in range(self.TURNS):
            counts["again"] += i > 0
            self.wait(threads)
            start = time.monotonic()
            records = run()
            if self.is_whole(threads):
                return records
            if i + 1 == self.TURNS or self.spent >= self.BUDGET:
                break
            self.spent += time.monotonic() - start
        counts["disturbed"] += 1
        return records


def caches() -> dict[str, int]:
    """Bytes of the data caches of the first usable CPU; 0 for one that is not there.

    Where the system does not tell, the sizes that almost every processor has at the least.
    """
    sizes = {"L1": 0, "L2": 0, "L3": 0}
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    cpu = peers.usable_cpus()[0]
    for index in Path(f"/sys/devices/system/cpu/cpu{cpu}/cache").glob("index*"):
        level, kind, size = (
            (index / name).read_text().strip() for name in ("level", "type", "size")
        )
        if kind != "Instruction" and f"L{level}" in sizes:
            sizes[f"L{level}"] = int(size.rstrip("KMG")) * units.get(size[-1], 1)
    sizes["L1"] = sizes["L1"] or 32 << 10
    sizes["L2"] = sizes["L2"] or 256 << 10
    return sizes
