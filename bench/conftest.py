"""Collects what the benchmarks measure, prints it after the run, and writes it where asked to.

Prints in the terminal's summary, which pytest does not capture. Asserts nothing.
"""

import json
import os
import shutil
from pathlib import Path

import pytest

from . import harness, peers
from .report import TITLES, Report, as_text

REPORT = pytest.StashKey[Report]()


def pytest_configure(config):
    config.stash[REPORT] = Report()


@pytest.fixture(scope="session")
def report(pytestconfig) -> Report:
    """What was measured so far; asks once for the circumstances."""
    collected = pytestconfig.stash[REPORT]
    (info,) = harness.run_worker("info", "lamina", 1)
    collected.circumstances = harness.circumstances(info)
    return collected


@pytest.fixture(scope="session")
def plan() -> harness.Plan:
    return harness.plan()


def pytest_generate_tests(metafunc):
    if "threads" in metafunc.fixturenames:
        metafunc.parametrize("threads", peers.thread_counts())


def pytest_terminal_summary(terminalreporter, config):
    report = config.stash[REPORT]
    if not report.measurements:
        return
    terminalreporter.section("benchmarks")
    for line in report.heading():
        terminalreporter.write_line(line)
    width = shutil.get_terminal_size((160, 24)).columns
    for group in report.groups():
        terminalreporter.write_line("")
        terminalreporter.write_line(f"{TITLES[group]}; {report.caption(group)}", bold=True)
        for line in as_text(report.rows(group), width):
            terminalreporter.write_line(line)
    file = os.environ.get("LAMINA_BENCH_JSON")
    if file:
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report.as_json(), indent=1, ensure_ascii=False) + "\n")
        terminalreporter.write_line(f"wrote {path}")
