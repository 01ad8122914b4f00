"""Tables that are computed from several groups of measurements: limits, first epochs, scaling,
conveniences. Each takes a report and returns a table, or None where there is nothing for it; its
title there is what is added to the one in tables.py."""

import statistics

from .layout import Table, plural
from .limits import ROUND_TRIP
from .report import BASELINE, Measurement, Report

JOBS = {"mnist": "MNIST", "training": "", "predict": "predictions,"}
KERNELS = {"gemm": "matrix products", "conv": "convolution", "kernels": "other kernels"}


def limits(report: Report) -> Table | None:
    rates = report.limits.rates
    if not rates:
        return None
    counts = sorted(rates)
    known = rates[counts[0]]
    numbers = (name for n in counts for name, value in rates[n].items() if isinstance(value, float))
    names = list(dict.fromkeys(numbers))
    labels = {
        "fma": f"float32 FMA, {known['vector_bits']:.0f} bits",
        "amx": "AMX bf16 products",
        ROUND_TRIP: "a cache line to another processor and back",
    }
    units = {"fma": "GFLOP/s", "amx": "GFLOP/s", ROUND_TRIP: "ns"}
    rows = [["", *map(plural, counts)]]
    for name in names:
        if name != "vector_bits":
            unit = units.get(name, "GB/s")
            cells = [f"{rates[n][name]:,.0f} {unit}" if name in rates[n] else "–" for n in counts]
            rows.append([labels.get(name, name), *cells])
    notes = [f"no AMX bf16: {known['no_amx']}"] if "no_amx" in known else []
    for n in counts:
        low, high = min(report.limits.clock[n]), max(report.limits.clock[n])
        if low < 0.95 * high:
            notes.append(
                f"the FMA loop gave {low:.0f} to {high:.0f} GFLOP/s on {plural(n)} in the course "
                "of the run: the clock moved, or others were at work; shares may be too low"
            )
    sizes = [f"{level} {size >> 10:,} KB" for level, size in report.limits.caches.items() if size]
    return Table(f"caches: {', '.join(sizes)}", rows, notes)


def first(report: Report) -> Table | None:
    """With the fewest threads only: compilation hardly gains by more."""
    fewest = min((m.threads for m in report.group(*JOBS)), default=0)
    chosen = [m for m in report.group(*JOBS) if m.first and m.threads == fewest]
    if not chosen:
        return None
    cases = list(dict.fromkeys((m.group, m.case) for m in chosen))
    rows = [["", *(f"{JOBS[group]} {case}".strip() for group, case in cases)]]
    for name in dict.fromkeys(m.contender for m in chosen):
        found = [report.get(group, case, name, fewest) for group, case in cases]
        cells = [f"{statistics.median(m.first) / m.median:.2f}" if m else "–" for m in found]
        rows.append([name, *cells])
    return Table(plural(fewest), rows)


def scaling(report: Report) -> Table | None:
    """lamina's speed-up, next to that of a loop of plain FMAs, which shares nothing between
    threads: what the machine gives them."""
    own = [m for m in report.group(*JOBS, *KERNELS) if m.contender == BASELINE]
    fewest, *more = sorted({m.threads for m in own}) or [0]
    if not more:
        return None
    rates = report.limits.rates
    machine = {n: rates[n]["fma"] / rates[fewest]["fma"] for n in more if {n, fewest} <= set(rates)}

    def line(name: str, measurements: list[Measurement]) -> list[str]:
        cells = []
        for n in more:
            pairs = [(m, report.get(m.group, m.case, BASELINE, n)) for m in measurements]
            gains = [m.median / other.median for m, other in pairs if other]
            if not gains:
                cells.append("–")
                continue
            gain = statistics.geometric_mean(gains)
            part = f", {gain / machine[n]:.0%} of the loop's" if n in machine else ""
            cells.append(f"{gain:.2f}{part}")
        return [name, *cells]

    rows = [["", *(f"{plural(n)} over {fewest}" for n in more)]]
    if machine:
        loop = (f"{machine[n]:.2f}" if n in machine else "–" for n in more)
        rows.append(["loop of plain FMAs", *loop])
    base = [
        m for group in (*JOBS, *KERNELS) for m in own if (m.group, m.threads) == (group, fewest)
    ]
    rows += [line(f"{JOBS[m.group]} {m.case}".strip(), [m]) for m in base if m.group in JOBS]
    for group, name in KERNELS.items():
        together = [m for m in base if m.group == group]
        if together:
            rows.append(line(f"{name}, geometric mean", together))
    notes = []
    for m in report.group("crowded"):
        usual = report.get("mnist", m.case, BASELINE, more[-1])
        if usual:
            notes.append(
                f"MNIST {m.case}, {m.threads} threads on {report.circumstances['cpus']} CPUs: "
                f"{usual.median / m.median:.2f} times the speed of {usual.threads}"
            )
    return Table("", rows, notes)


def conveniences(report: Report) -> Table | None:
    chosen = report.group("conveniences")
    if not chosen:
        return None
    counts = sorted({m.threads for m in chosen})
    cases = list(dict.fromkeys(m.case for m in chosen))
    rows = [["", *map(plural, counts)]]
    for case in cases:
        found = [report.get("conveniences", case, BASELINE, n) for n in counts]
        plain = [report.get("conveniences", cases[0], BASELINE, n) for n in counts]
        cells = [
            f"{m.text()}, {base.median / m.median:.0%}" if m and base else "–"
            for m, base in zip(found, plain, strict=True)
        ]
        rows.append([case, *cells])
    return Table(f"{len(chosen[0].samples)} samples; %: share of the plain epoch's rate", rows)


TABLES = {"limits": limits, "first": first, "scaling": scaling, "conveniences": conveniences}
