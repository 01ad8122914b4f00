"""A table, and how it looks in a terminal and in Markdown."""

from dataclasses import dataclass, field


@dataclass
class Table:
    title: str
    rows: list[list[str]]  # the header first; a row's first cell is its name
    notes: list[str] = field(default_factory=list)


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
