"""A picture of a report: each job's time with the best peer over that with lamina, as bars."""

from .layout import plural
from .report import Report
from .tables import TITLES

# Two columns of about one height.
COLUMNS = (("mnist", "training", "predict", "kernels"), ("gemm", "conv"))
COLOURS = ("#1f6f8b", "#e0903a", "#7a9e52", "#8c6bb1")  # by number of threads


def draw(report: Report, path: str) -> bool:
    """Writes the picture, its format as the name says; False where there is nothing to show.
    ImportError without matplotlib."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    ratios = {}
    for m in report.measurements.values():
        ratio = report.ratio(m.group, m.case, m.threads)
        if ratio:
            ratios.setdefault((m.group, m.case), {})[m.threads] = ratio
    counts = sorted({n for by_threads in ratios.values() for n in by_threads})
    columns = [[key for group in groups for key in ratios if key[0] == group] for groups in COLUMNS]
    columns = [column for column in columns if column]
    if not columns:
        return False
    longest = max(map(len, columns)) + len(COLUMNS[0])
    figure = Figure(figsize=(8.5 * len(columns), 1.6 + 0.36 * longest), layout="constrained")
    ends = []
    for column, axes in zip(
        columns, figure.subplots(1, len(columns), squeeze=False)[0], strict=True
    ):
        ends.append(bars(axes, column, ratios, counts, report))
    for axes in figure.axes:  # bars of one height, however short the column
        axes.set_ylim(max(ends), -0.8)
    figure.legend(
        handles=[
            Patch(color=COLOURS[i % len(COLOURS)], label=plural(n)) for i, n in enumerate(counts)
        ],
        loc="upper right",
        frameon=False,
    )
    c = report.circumstances
    figure.suptitle(
        f"Best peer's time / lamina's: right of the line lamina is faster\n"
        f"{c['date']}, {c['processor']}, {c['isa']}",
        fontsize=13,
    )
    figure.savefig(path, dpi=110)
    return True


def bars(axes, column, ratios, counts, report) -> float:
    """One line a job, a bar for each number of threads; a gap and a heading before each group.
    Returns where the last line ends."""
    height = 0.8 / len(counts)
    ticks, labels, line, group = [], [], 0.0, None
    for key in column:
        if key[0] != group:
            group = key[0]
            line += 0.4 if ticks else 0.0
            ticks.append(line)
            labels.append(TITLES[group].split(",")[0])
            line += 1
        ticks.append(line)
        labels.append(key[1])
        for i, count in enumerate(counts):
            ratio = ratios[key].get(count)
            if ratio:
                at = line + (i - (len(counts) - 1) / 2) * height
                colour = COLOURS[i % len(COLOURS)]
                axes.barh(at, ratio - 1, height, left=1, color=colour)
                best = report.best_peer(*key, count).contender
                axes.annotate(
                    f"{ratio:.2f} {best}",
                    (ratio, at),
                    xytext=(3 if ratio >= 1 else -3, 0),
                    textcoords="offset points",
                    ha="left" if ratio >= 1 else "right",
                    va="center",
                    fontsize=6.5,
                )
        line += 1
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(ticks, labels, fontsize=8)
    for label in axes.get_yticklabels():
        if label.get_text() in (TITLES[name].split(",")[0] for name in TITLES):
            label.set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    values = [ratios[key][count] for key in column for count in ratios[key]]
    # Room for the words beside the longest bars.
    axes.set_xlim(min([*values, 1]) / 3, max([*values, 1]) * 4)
    low, high = axes.get_xlim()
    marks = [power * digit for power in (0.01, 0.1, 1, 10, 100, 1000) for digit in (1, 2, 5)]
    marks = [mark for mark in marks if low <= mark <= high]
    axes.set_xticks(marks, [f"{mark:g}×" for mark in marks])
    axes.minorticks_off()
    axes.grid(axis="x", linewidth=0.3)
    axes.set_axisbelow(True)
    return line
