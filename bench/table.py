"""The tables of a results file, in Markdown, as the README shows them.

    python -m bench.table RESULTS.json [GROUP ...]

RESULTS.json is what LAMINA_BENCH_JSON wrote; groups: mnist predict gemm kernels data import size
(all of them by default).
"""

import json
import sys
from pathlib import Path

from .report import TITLES, Report, as_markdown


def main(file: str, *groups: str) -> None:
    report = Report.from_json(json.loads(Path(file).read_text()))
    missing = sorted(set(groups) - set(report.groups()))
    if missing:
        there = " ".join(report.groups())
        sys.exit(f"{file} has no measurements of {', '.join(missing)}; it has {there}")
    print("\n".join(f"{line}.  " for line in report.heading()))
    for group in groups or report.groups():
        print(f"\n**{TITLES[group]}**; {report.caption(group)}.\n")
        print("\n".join(as_markdown(report.rows(group))))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
