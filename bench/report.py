"""What was measured, as data: kept by key, written as JSON and read back.

A measurement is one (group, case, contender, threads) with its samples; samples of the same four
from several processes are put together. The figure of a measurement is its median.
"""

import json
import os
import statistics
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from .limits import Limits, Work

BASELINE = "lamina"
# Of the circumstances, what makes figures of two runs comparable.
SAME = ("processor", "system", "isa", "compiler", "blas", "smoke")


@dataclass
class Measurement:
    group: str
    case: str
    contender: str
    threads: int
    unit: str = "s"  # s, or MB
    work: Work | None = None  # of a call
    samples: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)  # an epoch before those of the samples

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def text(self) -> str:
        value = self.median
        if self.unit == "MB":
            return f"{value:.3g} MB" if value < 100 else f"{value:,.0f} MB"
        if self.group == "mnist":
            return f"{value:.3f} s"
        if self.work and self.work.flops:
            speed = self.work.flops / value / 1e9
            return f"{speed:.0f} GFLOP/s" if speed >= 10 else f"{speed:.2g} GFLOP/s"
        for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
            if value >= size:
                return f"{value / size:.3g} {unit}" if value < 1000 * size else f"{value:.0f} s"
        return f"{value / 1e-6:.2g} µs"


class Report:
    def __init__(self) -> None:
        self.circumstances: dict = {}
        self.limits = Limits()
        self.measurements: dict[tuple, Measurement] = {}

    def add(self, group, case, contender, threads, samples, unit="s", work=None, first=()) -> None:
        key = (group, case, contender, threads)
        found = self.measurements.setdefault(
            key, Measurement(group, case, contender, threads, unit, work)
        )
        found.samples.extend(samples)
        found.first.extend(first)

    def merge(self, other: "Report") -> None:
        """Another run on the same machine, with other numbers of threads or other parts. Samples of
        what both measured are put together. ValueError, which names what differs, where the runs
        cannot be compared."""
        mine, its = self.circumstances, other.circumstances
        pairs = {key: (mine[key], its[key]) for key in SAME}
        both = mine["versions"].keys() & its["versions"].keys()
        pairs |= {name: (mine["versions"][name], its["versions"][name]) for name in sorted(both)}
        differences = [f"{key} {a} and {b}" for key, (a, b) in pairs.items() if a != b]
        if differences:
            raise ValueError(f"runs that cannot be put together: {'; '.join(differences)}")
        dates = dict.fromkeys([*mine["date"].split(" and "), its["date"]])
        versions = mine["versions"] | its["versions"]
        not_found = dict.fromkeys(mine["not_found"] + its["not_found"])
        self.circumstances = mine | {
            "date": " and ".join(sorted(dates)),
            "cpus": max(mine["cpus"], its["cpus"]),
            "versions": versions,
            "not_found": [name for name in not_found if name not in versions],
        }
        self.limits.merge(other.limits)
        for m in other.measurements.values():
            self.add(**{field.name: getattr(m, field.name) for field in fields(m)})

    def group(self, *groups: str) -> list[Measurement]:
        return [m for m in self.measurements.values() if m.group in groups]

    def get(self, group, case, contender, threads) -> Measurement | None:
        return self.measurements.get((group, case, contender, threads))

    def best_peer(self, group, case, threads) -> Measurement | None:
        """The contender other than lamina with the lowest median."""
        peers = [
            m
            for m in self.group(group)
            if (m.case, m.threads) == (case, threads) and m.contender != BASELINE
        ]
        return min(peers, key=lambda m: m.median, default=None)

    def ratio(self, group, case, threads) -> float | None:
        """How many times lamina's the best peer's median is; above 1 lamina is the faster one."""
        own, peer = self.get(group, case, BASELINE, threads), self.best_peer(group, case, threads)
        return peer.median / own.median if own and peer and own.median else None

    def share(self, m: Measurement) -> tuple[float, str] | None:
        """What a measurement is of the limit of the machine, and which limit that is."""
        return self.limits.share(m.work, m.threads, m.median)

    def as_json(self) -> dict:
        measurements = [asdict(m) | {"median": m.median} for m in self.measurements.values()]
        return {
            "circumstances": self.circumstances,
            "limits": asdict(self.limits),
            "measurements": measurements,
        }

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In one step: a run may be ended while it writes.
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(self.as_json(), indent=1, ensure_ascii=False) + "\n")
        part.replace(path)

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Report":
        """A file that `write` wrote; those of before there were limits have none."""
        data = json.loads(Path(path).read_text())
        report = cls()
        report.circumstances = data["circumstances"]
        limits = data.get("limits", {})
        for name in ("rates", "clock", "turns"):  # JSON has made strings of the numbers of threads
            limits[name] = {int(n): value for n, value in limits.get(name, {}).items()}
        report.limits = Limits(**limits)
        for item in data["measurements"]:
            work = item["work"]
            if isinstance(work, float):
                work = {"flops": work}
            item = item | {"work": Work(**work) if work else None}
            report.add(**{key: value for key, value in item.items() if key != "median"})
        return report
