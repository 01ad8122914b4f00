"""The tables of results files, in Markdown: printed, or written into the README.

    python -m bench.table RESULTS.json [...] [TABLE ...]
    python -m bench.table RESULTS.json [...] [TABLE ...] --readme README.md

RESULTS.json is what LAMINA_BENCH_JSON wrote. Several files are put together, as of one run: those
of one thread and of two stand side by side, and make the table of scaling. Without names, all
tables are printed, and those of README_TABLES are written. --readme replaces what stands between
the lines `<!-- table -->` and `<!-- /table -->`, and leaves the rest of the file as it is.
"""

import argparse
from pathlib import Path

from .layout import as_markdown
from .report import Report
from .tables import TITLES, heading, tables

README_TABLES = ("mnist", "training", "predict", "gemm", "scaling", "import", "size", "targets")
BEGIN, END = "<!-- table -->\n", "<!-- /table -->\n"


def markdown(report: Report, names) -> str:
    lines = [f"{line}.  " for line in heading(report)]
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


def replaced(readme: str, table: str) -> str:
    """The README with that table in it. ValueError where its markers are not there once."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ValueError(f"expected one line {BEGIN.strip()} and one line {END.strip()}")
    before, rest = readme.split(BEGIN)
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
    parser.add_argument("--readme", type=Path, help="write them here, between the markers")
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
    names = wanted or (README_TABLES if options.readme else None)
    text = markdown(report, names)
    if options.readme is None:
        print(text, end="")
        return
    readme = options.readme.read_text(encoding="utf-8")
    try:
        readme = replaced(readme, text)
    except ValueError as error:
        parser.error(f"{options.readme}: {error}")
    options.readme.write_text(readme, encoding="utf-8")


if __name__ == "__main__":
    main()
