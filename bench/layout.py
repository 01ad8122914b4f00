"""A table, and how it looks in a terminal and in Markdown."""

from dataclasses import dataclass, field


@dataclass
class Table:
    title: str
    rows: list[list[str]]  # the header first; a row's first cell is its name
    notes: list[str] = field(default_factory=list)
    prose: bool = False  # the last column is words, not numbers


def plural(threads: int) -> str:
    return f"{threads} thread" + ("s" if threads > 1 else "")


def as_text(table: Table, width: int) -> list[str]:
    """Aligned columns; a table too wide for the terminal is cut into several, by columns."""
    rows = table.rows
    sides = ["<", *[">"] * (len(rows[0]) - 1)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    if table.prose:  # goes beyond the edge, and is not cut: it belongs to its row
        sides[-1], widths[-1] = "<", 0
        width = sum(widths) + 2 * len(widths)
    lines: list[str] = []
    start = 1
    while start < len(widths):
        end, used = start, widths[0]
        while end < len(widths) and (end == start or used + widths[end] + 2 <= width):
            used += widths[end] + 2
            end += 1
        for row in rows:
            cells = (f"{row[i]:{sides[i]}{widths[i]}}" for i in (0, *range(start, end)))
            lines.append("  ".join(cells).rstrip())
        start = end
        if start < len(widths):
            lines.append("")
    return lines


def as_markdown(table: Table) -> list[str]:
    header, *body = table.rows
    sides = ["---", *["---:"] * (len(header) - 1)]
    if table.prose:
        sides[-1] = "---"
    lines = [header, sides, *body]
    return ["| " + " | ".join(line) + " |" for line in lines]
