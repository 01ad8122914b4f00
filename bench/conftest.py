"""Collects what the benchmarks measure, prints it after the run, and writes it where asked to.

Prints in the terminal's summary, which pytest does not capture. Asserts nothing.
"""

import os
import shutil
from pathlib import Path

import pytest

from . import compare, harness, limits, peers, plot, tables
from .layout import as_text
from .report import Report

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


@pytest.fixture(scope="session")
def probe(report, tmp_path_factory) -> Path | None:
    """The limit probe, compiled; None where it cannot be, and the report says why."""
    try:
        report.limits.caches = limits.caches()
        return limits.build(tmp_path_factory.mktemp("probe"))
    except limits.NoProbeError as reason:
        report.limits.reason = str(reason)
        return None


@pytest.fixture(scope="session")
def watch(probe, report, plan) -> limits.Watch | None:
    if probe is None or plan.smoke:
        return None
    return limits.Watch(
        report.limits, lambda threads: limits.measure(probe, {}, threads, plan.probe)
    )


@pytest.fixture(scope="session")
def turn(watch):
    """turn(threads, run): what run() returns, on a machine that is all there if it can be had."""
    return watch.turn if watch else lambda threads, run: run()


@pytest.fixture
def probed(probe, watch, report, plan, threads):
    """Asks the machine for its limits with so many threads, before a test and after it."""

    def ask():
        if probe is None or (plan.smoke and threads in report.limits.rates):
            return
        try:
            if watch:
                watch.wait(threads)
            rates = limits.measure(probe, report.limits.caches, threads, plan.probe)
        except limits.NoProbeError as reason:
            report.limits.reason = str(reason)
        else:
            (watch or report.limits).add(threads, rates)

    ask()
    yield
    ask()


def pytest_generate_tests(metafunc):
    if "threads" in metafunc.fixturenames:
        metafunc.parametrize("threads", peers.thread_counts())


def pytest_terminal_summary(terminalreporter, config):
    report = config.stash[REPORT]
    if not report.measurements:
        return
    say = terminalreporter.write_line
    terminalreporter.section("benchmarks")
    for line in tables.heading(report):
        say(line)
    made = list(tables.tables(report).values())
    earlier = os.environ.get("LAMINA_BENCH_COMPARE")
    if earlier:
        compared = compare.compare(Report.read(earlier), report)
        if compared:
            made.append(compared)
        else:
            say(f"{earlier} has no figure of lamina's that this run has")
    width = shutil.get_terminal_size((160, 24)).columns
    for table in made:
        say("")
        say(table.title, bold=True)
        for line in [*as_text(table, width), *table.notes]:
            say(line)
    file = os.environ.get("LAMINA_BENCH_JSON")
    if file:
        report.write(Path(file))
        say(f"wrote {file}")
    picture = os.environ.get("LAMINA_BENCH_PLOT")
    if picture:
        try:
            drawn = plot.draw(report, picture)
        except ImportError:
            say("LAMINA_BENCH_PLOT needs matplotlib (pip install '.[plot]')")
        else:
            say(f"wrote {picture}" if drawn else "no picture: no peer was measured")
