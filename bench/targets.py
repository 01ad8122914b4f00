"""What lamina is meant to reach, and what binds it where it does not: the list, and its table.

Nothing is asserted. The table has what its report has measured, nothing else.
"""

import re
import statistics
from dataclasses import dataclass

from .derived import JOBS
from .layout import Table, plural
from .report import BASELINE, Measurement, Report

LIMIT, FEWEST, LATER, TIME = "machine's limit", "fewest threads", "a later epoch", "–"
BEST = ()
PRODUCTS = ("mkl", "onednn", "torch")
FIT = ("TensorFlow, Keras model.fit",)
NO_AUTOTUNE = ("TensorFlow, model.fit, tf.data autotune off",)


@dataclass(frozen=True)
class Target:
    """What is `wanted` of each case of a group whose name the pattern matches, or of the geometric
    mean of them. together: what they are called in the one row of those that reach it.

    against: peers, whose best time is divided by lamina's; BEST: of all that were measured. Or
    LIMIT: the share of it that is reached; FEWEST: the time with the fewest threads over that with
    more; and what should be small, LATER: the first epoch's time over a later one's, TIME: seconds.
    binds: what keeps lamina under it, where that is known; with_more: on more threads than one.
    """

    group: str
    pattern: str
    against: tuple[str, ...] | str
    wanted: float
    binds: str = ""
    with_more: str = ""
    together: str = ""
    mean: bool = False

    @property
    def small(self) -> bool:
        return self.against in (LATER, TIME)

    def met(self, value: float) -> bool:
        return value <= self.wanted if self.small else value >= self.wanted

    def text(self, value: float) -> str:
        if self.against == LIMIT:
            return f"{value:.0%}"
        if self.against == TIME:
            return f"{value * 1e3:.3g} ms"
        return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


UPDATE = "products; Adam on 1.6 MB, beyond a second-level cache of 1 MB"
SHARED = "steps of tens of µs, which pay where cores reach each other quickly"
PEAK = "the FMA peak, near which most of the work is done already"
NEAR = "the FMA peak, near which both are"
WEIGHTS = "0.4 MB of weights, read from the second-level cache"
PAGES = "400 MB of fresh pages: weights, gradients, moments"
MEMORY = "the memory, whose rate changes meanwhile where others use it too"
COPIES = "B, of which each thread copies what its tiles read"
BANDWIDTH = "the memory, near whose bandwidth both are"

ANY, CNN, WIDE = ".*", "CNN.*", "MLP 1024-.*"
PLAIN = r"\d+×\d+×\d+.*"  # in float32
SQUARE = r"(512|1024|2048|4096)×\1×\1.*"
DIRECTIONS = ", (forward|kernel gradient|input gradient)"  # in float32: a level would follow
ONE_CHANNEL, CHANNELS = f"conv2d .*×1 to .*{DIRECTIONS}", f"conv2d (?!.*×1 to ).*{DIRECTIONS}"
MOVING = r"relu 1e7|column sums \(10000.*|Adam, 100,000,000 .*"  # little arithmetic, much memory
COMPUTING = r"(?!relu).* 1e7|softmax \(4096.*|cross-entropy \((4096|512).*|Adam, 1,000,000 .*"

TARGETS = [
    Target("mnist", "batch 32", BEST, 2.5, UPDATE, SHARED),
    Target("mnist", "batch 128", BEST, 1.8),
    Target("mnist", "batch 512", BEST, 1.6),
    Target("mnist", "batch 32", FIT, 12, UPDATE, SHARED),
    Target("mnist", "batch 128", FIT, 7),
    Target("mnist", "batch 512", FIT, 3),
    Target("training", CNN, NO_AUTOTUNE, 1.3, PEAK),
    Target("training", CNN, FIT, 1.8, PEAK),
    Target("training", WIDE, BEST, 1.1, PEAK),
    Target("training", WIDE, FIT, 2, PEAK),
    Target("predict", "1 row.*", ("ONNX Runtime",), 2, WEIGHTS),
    Target("predict", "1 row.*", ("torch",), 5, WEIGHTS),
    Target("predict", "1 row.*", ("TensorFlow model.predict",), 5000),
    Target("predict", "10,000 rows.*", BEST, 1.05, PEAK),
    Target("predict", "10,000 rows.*", ("TensorFlow model.predict",), 15, PEAK),
    Target("gemm", PLAIN, PRODUCTS, 0.95, with_more=COPIES, together="matrix products"),
    Target("gemm", PLAIN, PRODUCTS, 1, together="matrix products", mean=True),
    Target("gemm", SQUARE, LIMIT, 0.88, with_more=COPIES, together="matrix products from 512 up"),
    Target("conv", ONE_CHANNEL, ("torch",), 1.3, together="convolution of one channel"),
    Target("conv", CHANNELS, ("torch",), 1.3, NEAR, together="convolution of more channels"),
    Target("kernels", MOVING, LIMIT, 0.85, MEMORY, together="kernels that move memory"),
    Target("kernels", COMPUTING, LIMIT, 0.85, together="kernels that compute"),
    Target("kernels", "Adam, 1,000,000 .*", ("torch",), 1),
    Target("kernels", "Adam, 100,000,000 .*", ("torch",), 1, BANDWIDTH),
    Target("kernels", "cross-entropy.*", ("torch",), 2, together="cross-entropy"),
    Target("mnist", "batch .*", FEWEST, 1.6, SHARED),
    Target("training", ".*, batch .*", FEWEST, 1.6, SHARED),
    Target("training", CNN, FEWEST, 1.6),
    Target("training", WIDE, FEWEST, 1.6),
    Target("predict", "10,000 rows.*", FEWEST, 1.6),
    Target("gemm", PLAIN, FEWEST, 1.6, together="matrix products", mean=True),
    Target("conv", f".*{DIRECTIONS}", FEWEST, 1.6, together="convolution", mean=True),
    Target("mnist", ANY, LATER, 1.1, together="MNIST, first epoch"),
    Target("training", "(?!MLP 1024-).*", LATER, 1.1, together="other training, first epoch"),
    Target("training", WIDE, LATER, 1.1, PAGES),
    Target("import", "time", TIME, 0.015),
]


def targets(report: Report) -> Table | None:
    """One row a case, but one for all of those that go together and reach their target."""
    if report.circumstances.get("smoke"):  # its times mean nothing
        return None
    found = [(target, cases(report, target)) for target in TARGETS]
    counts = sorted({n for _, of in found for by_threads in of.values() for n in by_threads})
    if not counts:
        return None
    rows = [["", "against", "wanted", *map(plural, counts), "where it is missed: bound by"]]
    for target, of in found:
        wanted = [
            against(report, target),
            ("at most " if target.small else "") + target.text(target.wanted),
        ]
        met = {case: v for case, v in of.items() if all(map(target.met, v.values()))}
        if not target.together or len(met) < 2:
            met = {}
        else:
            name = f"{target.together}, {len(met)} of {len(of)} rows"
            rows.append([name, *wanted, *(span(target, met, n) for n in counts), ""])
        for case, by_threads in of.items():
            if case not in met:
                cells = (cell(target, by_threads.get(n)) for n in counts)
                why = reasons(report, target, case, by_threads)
                rows.append([label(target, case), *wanted, *cells, why])
    return Table(f"a peer's time over {BASELINE}'s, and shares of limits", rows, prose=True)


def cases(report: Report, target: Target) -> dict[str, dict[int, float]]:
    """What was measured, by case and by threads."""
    found: dict[str, dict[int, float]] = {}
    for m in report.group(target.group):
        if m.contender == BASELINE and re.fullmatch(target.pattern, m.case):
            value = measured(report, target, m)
            if value is not None:
                found.setdefault(m.case, {})[m.threads] = value
    if not target.mean or not found:
        return found
    together = {n for by_threads in found.values() for n in by_threads}
    return {
        "geometric mean": {
            n: statistics.geometric_mean(v[n] for v in found.values() if n in v)
            for n in sorted(together)
        }
    }


def measured(report: Report, target: Target, m: Measurement) -> float | None:
    """None where what it is compared with was not measured, or the time is none at all."""
    if target.against == TIME:
        return m.median
    if target.against == LATER:
        return statistics.median(m.first) / m.median if m.first and m.median else None
    if target.against == LIMIT:
        share = report.share(m) if m.median else None
        return share[0] if share else None
    same = [other for other in report.group(m.group) if other.case == m.case]
    if target.against == FEWEST:
        base = min((o for o in same if o.contender == BASELINE), key=lambda o: o.threads)
        times = [base.median] if base is not m else []
    else:
        peers = (o for o in same if o.threads == m.threads and o.contender != BASELINE)
        times = [o.median for o in peers if not target.against or o.contender in target.against]
    return min(times) / m.median if times and m.median else None


def label(target: Target, case: str) -> str:
    if target.mean:
        return f"{target.together}, {case}"
    if target.against == TIME:
        return "import, beyond NumPy's"
    return f"{JOBS.get(target.group, '')} {case}".strip()


def against(report: Report, target: Target) -> str:
    """Of several peers those that were measured."""
    if isinstance(target.against, str):
        return target.against
    there = {m.contender for m in report.group(target.group)}
    names = [name.removeprefix("TensorFlow, ") for name in target.against if name in there]
    return ("best of " if len(names) > 1 else "") + ", ".join(names) if names else "best peer"


def cell(target: Target, value: float | None) -> str:
    if value is None:
        return "–"
    return ("" if target.met(value) else "missed: ") + target.text(value)


def span(target: Target, of: dict[str, dict[int, float]], threads: int) -> str:
    values = [by_threads[threads] for by_threads in of.values() if threads in by_threads]
    ends = (target.text(end(values)) for end in (min, max) if values)
    return " to ".join(dict.fromkeys(ends)) or "–"


def reasons(report: Report, target: Target, case: str, by_threads: dict[int, float]) -> str:
    """What binds it where it is missed; each once, with the threads where they differ."""
    why = {
        n: reason(report, target, report.get(target.group, case, BASELINE, n), n, value)
        for n, value in by_threads.items()
        if not target.met(value)
    }
    if len(set(why.values())) < 2:
        return "".join(set(why.values()))
    return "; ".join(f"{plural(n)}: {text}" for n, text in why.items())


def reason(
    report: Report, target: Target, m: Measurement | None, threads: int, value: float
) -> str:
    share = report.share(m) if m and not isinstance(target.against, str) else None
    # Over 1: done in fewer operations than are counted, so the limit says nothing.
    if share and share[0] <= 1 and value / share[0] < target.wanted:
        return f"{share[1]}: {share[0]:.0%} of the limit, all of it would be {value / share[0]:.2f}"
    known = (target.with_more if threads > 1 else "") or target.binds
    return known or (m.work.bound if m and m.work else "") or "not known"
