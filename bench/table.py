"""The tables of results files, in Markdown: printed, or written into a page.

    python -m bench.table RESULTS.json [...] [TABLE ...]
    python -m bench.table RESULTS.json [...] --into docs/performance.md
    python -m bench.table RESULTS.json [...] short --into README.md

RESULTS.json is what LAMINA_BENCH_JSON wrote. Several files are put together, as of one run: those
of one thread and of two stand side by side, and make the table of scaling. Without names, all
tables are printed, and those of PAGE_TABLES are written. --into replaces what stands between the
lines `<!-- table -->` and `<!-- /table -->`, and leaves the rest of the file as it is.
"""

import argparse
from pathlib import Path

from .layout import as_markdown
from .report import Report
from .tables import TITLES, heading, tables

PAGE_TABLES = ("mnist", "training", "predict", "gemm", "scaling", "import", "size", "targets")
BEGIN, END = "<!-- table -->\n", "<!-- /table -->\n"


def markdown(report: Report, names) -> str:
    # The short table stands on a page that is not about measuring: where and when is enough there.
    about = heading(report)[: 1 if list(names or ()) == ["short"] else None]
    lines = [f"{line}.  " for line in about]
    for table in tables(report, names).values():
        lines += ["", f"**{table.title}**.", "", *as_markdown(table)]
        if table.notes:
            lines += ["", *(f"{note}  " for note in table.notes)]
    return "\n".join(lines) + "\n"


def merged(files) -> Report:
    first, *more = map(Report.read, files)
    for report in more:
        first.merge(report)
    return first


def replaced(page: str, table: str) -> str:
    """The page with that table in it. ValueError where its markers are not there once."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"expected one line {BEGIN.strip()} and one line {END.strip()}")
    before, rest = page.split(BEGIN)
    _, marker, after = rest.partition(END)
    if not marker:
        raise ValueError(f"{END.strip()} must come after {BEGIN.strip()}")
    return before + BEGIN + table + END + after


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m bench.table", description=__doc__.splitlines()[0])
    parser.add_argument(
        "arguments",
        nargs="+",
        metavar="RESULTS.json | TABLE",
        help=f"files that LAMINA_BENCH_JSON wrote, and names of tables: {' '.join(TITLES)}",
    )
    parser.add_argument("--into", type=Path, help="write them in this page, between its markers")
    options = parser.parse_args(arguments)
    wanted = [word for word in options.arguments if word in TITLES]
    files = [word for word in options.arguments if word not in TITLES]
    if not files:
        parser.error("expected a results file at the least")
    try:
        report = merged(files)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    missing = [name for name in wanted if name not in tables(report)]
    if missing:
        parser.error(
            f"{', '.join(files)}: nothing for {', '.join(missing)}; there is "
            + " ".join(tables(report))
        )
    names = wanted or (PAGE_TABLES if options.into else None)
    text = markdown(report, names)
    if options.into is None:
        print(text, end="")
        return
    page = options.into.read_text(encoding="utf-8")
    try:
        page = replaced(page, text)
    except ValueError as error:
        parser.error(f"{options.into}: {error}")
    options.into.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
