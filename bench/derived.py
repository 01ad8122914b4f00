"""Tables that are computed from several groups of measurements: limits, first epochs, scaling,
conveniences, the short one. Each takes a report and returns a table, or None where there is nothing
for it; its title there is what is added to the one in tables.py."""

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


# What the short table has: (group, case, what it is called there), and by whom.
SHORT = [
    ("mnist", "batch 32", "MNIST, an epoch, batch 32"),
    ("mnist", "batch 128", "MNIST, an epoch, batch 128"),
    ("training", "MNIST MLP, dense input, batch 128", "the same on rows without zeros"),
    ("training", "CNN, 12,800 images", "CNN, 12,800 images"),
    ("training", "MLP 1024-4096-4096-1000, a step", "MLP 1024-4096-4096-1000, a step"),
    ("predict", "1 row", "MNIST, one prediction"),
    ("predict", "10,000 rows", "MNIST, 10,000 predictions"),
    ("import", "time", "import, beyond NumPy's"),
]
FAMILIES = ("NumPy", "PyTorch", "JAX", "TensorFlow", "ONNX Runtime", "scikit-learn")


def short(report: Report) -> Table | None:
    """Each family's best time with the fewest threads, times lamina's."""
    fewest = min((m.threads for m in report.group("mnist")), default=0)
    rows = [["", BASELINE, *FAMILIES]]
    for group, case, name in SHORT:
        own = report.get(group, case, BASELINE, fewest)
        if own is None:
            continue
        cells = []
        for family in FAMILIES:
            times = [
                m.median
                for m in report.group(group)
                if (m.case, m.threads, family_of(m.contender)) == (case, fewest, family)
            ]
            cells.append(ratio(min(times) / own.median) if times else "–")
        rows.append([name, own.text(), *cells])
    title = f"{plural(fewest)}; the best of each family, ×: times {BASELINE}'s"
    return Table(title, rows) if len(rows) > 1 else None


def family_of(contender: str) -> str:
    """NumPy by hand, numpy -> NumPy; torch traced, PyTorch eager, fused Adam -> PyTorch."""
    plain = contender.lower().replace("pytorch", "torch").replace("onnxruntime", "onnx runtime")
    names = {family.lower().replace("pytorch", "torch"): family for family in FAMILIES}
    return next((family for name, family in names.items() if plain.startswith(name)), contender)


def ratio(value: float) -> str:
    return f"×{value:.3g}" if value < 1000 else f"×{value:,.0f}"


TABLES = {
    "limits": limits,
    "first": first,
    "scaling": scaling,
    "conveniences": conveniences,
    "short": short,
}
