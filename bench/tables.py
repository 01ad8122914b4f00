"""The tables of a report: a group of measurements each, or what derived.py and targets.py make of
several.

"×2.00" takes twice as long as lamina, which is measured in the same run.
"""

from . import derived, targets
from .layout import Table, plural
from .report import BASELINE, Measurement, Report

# A table's name, as `python -m bench.table` takes it, and its title.
TITLES = {
    "limits": "What this machine can do, by bench/probe.cpp",
    "mnist": "MNIST, seconds an epoch",
    "training": "Other training jobs",
    "first": "The first epoch, compilation included, times a later one",
    "scaling": "Scaling: speed with more threads, times that with fewer",
    "conveniences": "An MNIST epoch at batch 128 with the conveniences of fit",
    "predict": "Predictions of the MNIST model",
    "gemm": "Matrix products M×N×K, float32",
    "conv": "Convolution and pooling; operations counted as 9 products a channel for 3×3 taps",
    "kernels": "Other kernels",
    "data": "Loading MNIST",
    "import": "Import in a fresh interpreter that has imported NumPy (itself: that has not)",
    "size": "Size of the own packages on disk, lamina's without its data",
    "targets": "Targets",
    "short": "In short",
}
COMPUTED = derived.TABLES | {"targets": targets.targets}
# Few cases and many contenders: one line a contender. The others have one line a case.
BY_CONTENDER = ("mnist", "training", "predict", "import", "size")
THREADED = ("mnist", "training", "predict")


def tables(report: Report, names=None) -> dict[str, Table]:
    """By name, in the order of TITLES, those that the report has something for."""
    made = {}
    for name in TITLES if names is None else names:
        table = COMPUTED[name](report) if name in COMPUTED else group_table(report, name)
        if table:
            table.title = "; ".join(filter(None, (TITLES[name], table.title)))
            made[name] = table
    return made


def heading(report: Report) -> list[str]:
    """One line each: where and when, versions, who was not found."""
    c = report.circumstances
    lines = [
        f"{c['date']}, {c['processor']}, {c['cpus']} usable CPUs, {c['system']}; "
        f"ISA {c['isa']}, compiler {c['compiler']}",
        ", ".join(f"{name} {version}" for name, version in c["versions"].items())
        + f"; NumPy's BLAS: {c['blas']}",
    ]
    if c["not_found"]:
        lines.append(f"not found, and so not measured: {', '.join(c['not_found'])}")
    if c.get("held_to"):
        said = [f"{name} {what}" for name, what in c["instructions"].items() if what]
        lines.append(f"everybody held to {c['held_to']}; they say: {', '.join(said) or 'nothing'}")
        if c["not_held"]:
            lines.append(f"not measured, as they cannot be held: {', '.join(c['not_held'])}")
    if c.get("matrix_unit", "amx") != "amx":  # older reports do not say
        lines.append(f"no products below float32: matrix unit {c['matrix_unit']}")
    if report.limits.reason:
        lines.append(f"no limits of the machine: {report.limits.reason}")
    for threads, turns in sorted(report.limits.turns.items()):
        if turns["again"] or turns["disturbed"]:
            lines.append(
                f"of {turns['taken']} turns on {plural(threads)} {turns['again']} were taken "
                f"again, and {turns['disturbed']} kept nevertheless, because after them a loop of "
                "multiply-adds ran, or a cache line went between two processors, slower than "
                "this machine can"
            )
    if c["smoke"]:
        lines.append("LAMINA_BENCH_SMOKE: shrunken work, a few samples; the times mean nothing")
    return lines


def group_table(report: Report, group: str) -> Table | None:
    chosen = report.group(group)
    if not chosen:
        return None
    cases = list(dict.fromkeys(m.case for m in chosen))
    contenders = list(dict.fromkeys(m.contender for m in chosen))
    threads = sorted({m.threads for m in chosen})
    if group in BY_CONTENDER:
        columns = [(case, count) for case in cases for count in threads]
        header = [
            f"{case}, {plural(count)}" if group in THREADED else case for case, count in columns
        ]
        body = [
            [name, *(cell(report, group, case, name, count) for case, count in columns)]
            for name in contenders
        ]
        return Table(caption(chosen), [["", *header], *body])
    header, notes = [""], Footnotes()
    body = [[case] for case in cases]
    for count in threads:
        for name in contenders:
            header.append(f"{name}, {plural(count)}")
            for line in body:
                line.append(cell(report, group, line[0], name, count))
            own = [report.get(group, case, name, count) for case in cases]
            if name == BASELINE and any(m and report.share(m) for m in own):
                header.append("of the limit")
                for line, m in zip(body, own, strict=True):
                    line.append(share_cell(report, m, notes))
    return Table(caption(chosen), [header, *body], notes.lines())


def cell(report: Report, group, case, contender, threads) -> str:
    found = report.get(group, case, contender, threads)
    if found is None:
        return "–"
    baseline = report.get(group, case, BASELINE, threads)
    if baseline is None or baseline is found or baseline.median == 0:
        return found.text()
    return f"{found.text()} ×{found.median / baseline.median:.2f}"


class Footnotes:
    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def mark(self, text: str) -> str:
        number = self.numbers.setdefault(text, len(self.numbers) + 1)
        return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))

    def lines(self) -> list[str]:
        return [f"{self.mark(text)} bound by {text}" for text in list(self.numbers)]


def share_cell(report: Report, m: Measurement | None, notes: Footnotes) -> str:
    share = report.share(m) if m else None
    if share is None:
        return "–"
    value, limit = share
    mark = f" {notes.mark(m.work.bound)}" if m.work.bound else ""
    return f"{value:.0%} {limit}{mark}"


def caption(measurements: list[Measurement]) -> str:
    counts = [len(m.samples) for m in measurements]
    low, high = min(counts), max(counts)
    samples = f"{low}" if low == high else f"{low} to {high}"
    medians = "" if high == 1 else f"medians of {samples} samples; "
    return f"{medians}×: times {BASELINE}'s"
