"""Two reports side by side: what got slower or faster, and against the best peer of each.

The clock of a machine may differ between two runs; a peer's own ratio shows by how much.
"""

from .layout import Table, plural
from .report import BASELINE, Report

MOVED = 0.1


def compare(old: Report, new: Report) -> Table | None:
    """lamina's figures that both have, those that moved by more than a tenth first, the largest
    change at the top; then the others, in the report's order. None where there are none."""
    lines = []
    for key, m in new.measurements.items():
        before = old.measurements.get(key)
        if m.contender != BASELINE or before is None or not before.median:
            continue
        where = (m.group, m.case, m.threads)
        change = m.median / before.median
        cells = [before.text(), m.text(), f"{change:.2f}"]
        peer = new.best_peer(*where)
        earlier = peer and old.get(m.group, m.case, peer.contender, m.threads)
        cells.append(f"{peer.contender} {peer.median / earlier.median:.2f}" if earlier else "–")
        ratios = old.ratio(*where), new.ratio(*where)
        cells += [f"×{ratio:.2f}" if ratio else "–" for ratio in ratios]
        lines.append((change, [f"{m.group}: {m.case}, {plural(m.threads)}", *cells]))
    if not lines:
        return None
    moved = sorted((line for line in lines if far(line[0])), key=lambda line: -distance(line[0]))
    rest = [line for line in lines if not far(line[0])]
    header = ["old", "new", "new/old", "best peer, new/old", "old ×", "new ×"]
    title = (
        f"Against {old.circumstances['date']}: {len(moved)} of {len(lines)} figures moved by more "
        f"than {MOVED:.0%}, they come first; ×: the best peer's time over {BASELINE}'s"
    )
    rows = [["", *header], *(cells for _, cells in moved + rest)]
    return Table(title, rows, clocks(old, new))


def distance(change: float) -> float:
    """As far for half as for twice; 0 is measured as no time at all."""
    return max(change, 1 / change) if change else float("inf")


def far(change: float) -> bool:
    return distance(change) > 1 + MOVED


def clocks(old: Report, new: Report) -> list[str]:
    """What the FMA loop says about the two machines, or the two clocks."""
    both = sorted(set(old.limits.rates) & set(new.limits.rates))
    figures = [
        f"{old.limits.rates[n]['fma']:.0f} and {new.limits.rates[n]['fma']:.0f} GFLOP/s on "
        + plural(n)
        for n in both
    ]
    return [f"FMA loop, old and new: {'; '.join(figures)}"] if figures else []
