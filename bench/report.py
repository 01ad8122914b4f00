"""What was measured, as data, as text for the terminal, and as Markdown.

A measurement is one (group, case, contender, threads) with its samples; samples of the same four
from several processes are put together. Tables show the median, and how many times the baseline's
median that is: "x2.00" takes twice as long as the baseline, which is measured in the same run.
"""

import statistics
from dataclasses import asdict, dataclass, field

BASELINE = "lamina"

TITLES = {
    "mnist": "MNIST, seconds an epoch",
    "predict": "Predictions of the MNIST model",
    "gemm": "Matrix products M×N×K, float32",
    "kernels": "Other kernels",
    "data": "Loading MNIST",
    "import": "Import in a fresh interpreter that has imported NumPy (itself: that has not)",
    "size": "Size of the own packages on disk, lamina's without its data",
}
# Few cases and many contenders: one line a contender. The others have one line a case.
BY_CONTENDER = ("mnist", "predict", "import", "size")


@dataclass
class Measurement:
    group: str
    case: str
    contender: str
    threads: int
    unit: str = "s"  # s, or MB
    work: float | None = None  # floating-point operations a sample
    samples: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def text(self) -> str:
        value = self.median
        if self.unit == "MB":
            return f"{value:.3g} MB" if value < 100 else f"{value:,.0f} MB"
        if self.group == "mnist":
            return f"{value:.3f} s"
        if self.group == "gemm" and self.work:
            speed = self.work / value / 1e9
            return f"{speed:.0f} GFLOP/s" if speed >= 10 else f"{speed:.2g} GFLOP/s"
        for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
            if value >= size:
                return f"{value / size:.3g} {unit}" if value < 1000 * size else f"{value:.0f} s"
        return f"{value / 1e-6:.2g} µs"


class Report:
    def __init__(self) -> None:
        self.circumstances: dict = {}
        self.measurements: dict[tuple, Measurement] = {}

    def add(self, group, case, contender, threads, samples, unit="s", work=None) -> None:
        key = (group, case, contender, threads)
        found = self.measurements.setdefault(
            key, Measurement(group, case, contender, threads, unit, work)
        )
        found.samples.extend(samples)

    def as_json(self) -> dict:
        measurements = [asdict(m) | {"median": m.median} for m in self.measurements.values()]
        return {"circumstances": self.circumstances, "measurements": measurements}

    @classmethod
    def from_json(cls, data: dict) -> "Report":
        report = cls()
        report.circumstances = data["circumstances"]
        for item in data["measurements"]:
            item = {key: value for key, value in item.items() if key != "median"}
            samples = item.pop("samples")
            report.add(**item, samples=samples)
        return report

    def groups(self) -> list[str]:
        there = {m.group for m in self.measurements.values()}
        return [group for group in TITLES if group in there]

    def heading(self) -> list[str]:
        """One line each: where and when, versions, who was not found."""
        c = self.circumstances
        lines = [
            f"{c['date']}, {c['processor']}, {c['cpus']} usable CPUs, {c['system']}; "
            f"ISA {c['isa']}, compiler {c['compiler']}",
            ", ".join(f"{name} {version}" for name, version in c["versions"].items())
            + f"; NumPy's BLAS: {c['blas']}",
        ]
        if c["not_found"]:
            lines.append(f"not found, and so not measured: {', '.join(c['not_found'])}")
        if c["smoke"]:
            lines.append("LAMINA_BENCH_SMOKE: shrunken work, a few samples; the times mean nothing")
        return lines

    def rows(self, group: str) -> list[list[str]]:
        """The table of a group, its header first."""
        chosen = [m for m in self.measurements.values() if m.group == group]
        cases = list(dict.fromkeys(m.case for m in chosen))
        contenders = list(dict.fromkeys(m.contender for m in chosen))
        threads = sorted({m.threads for m in chosen})
        threaded = group in ("mnist", "predict")
        if group in BY_CONTENDER:
            columns = [(case, count) for case in cases for count in threads]
            header = [f"{case}, {plural(count)}" if threaded else case for case, count in columns]
            body = [
                [name, *(self.cell(group, case, name, count) for case, count in columns)]
                for name in contenders
            ]
        else:
            columns = [(name, count) for count in threads for name in contenders]
            header = [f"{name}, {plural(count)}" for name, count in columns]
            body = [
                [case, *(self.cell(group, case, name, count) for name, count in columns)]
                for case in cases
            ]
        return [["", *header], *body]

    def cell(self, group, case, contender, threads) -> str:
        found = self.measurements.get((group, case, contender, threads))
        if found is None:
            return "–"
        baseline = self.measurements.get((group, case, BASELINE, threads))
        if baseline is None or baseline is found or baseline.median == 0:
            return found.text()
        return f"{found.text()} ×{found.median / baseline.median:.2f}"

    def caption(self, group: str) -> str:
        counts = [len(m.samples) for m in self.measurements.values() if m.group == group]
        low, high = min(counts), max(counts)
        samples = f"{low}" if low == high else f"{low} to {high}"
        medians = "" if high == 1 else f"medians of {samples} samples; "
        return f"{medians}×: times {BASELINE}'s"


def plural(threads: int) -> str:
    return f"{threads} thread" + ("s" if threads > 1 else "")


def as_text(rows: list[list[str]], width: int) -> list[str]:
    """Aligned columns; a table too wide for the terminal is cut into several, by columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines: list[str] = []
    start = 1
    while start < len(widths):
        end, used = start, widths[0]
        while end < len(widths) and (end == start or used + widths[end] + 2 <= width):
            used += widths[end] + 2
            end += 1
        for row in rows:
            cells = (f"{row[i]:>{widths[i]}}" for i in range(start, end))
            lines.append("  ".join([f"{row[0]:{widths[0]}}", *cells]))
        start = end
        if start < len(widths):
            lines.append("")
    return lines


def as_markdown(rows: list[list[str]]) -> list[str]:
    header, *body = rows
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *body]
    return ["| " + " | ".join(line) + " |" for line in lines]
