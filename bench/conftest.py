"""Collects what the benchmarks measure, prints it, and writes it where asked to.

A part's table is printed when the part is done, and the file is written after each measurement: a
run that is interrupted has both. What is made of several parts is printed in the end. Prints
between tests, where pytest does not capture. Asserts nothing.
"""

import os
import shutil
from pathlib import Path

import pytest

from . import agenda, compare, harness, limits, peers, plot, tables
from .layout import as_text
from .report import Report

HERE = Path(__file__).parent
REPORT = pytest.StashKey[Report]()


def pytest_configure(config):
    config.stash[REPORT] = Report()
    config.pluginmanager.register(Running(config), "lamina-bench-running")


class Running:
    """What is printed while the benchmarks run."""

    def __init__(self, config):
        self.config = config
        self.agenda = agenda.Agenda([], True)
        self.shown = set()

    def say(self, text, **style):
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(text, **style)

    def show(self, table):
        self.say("")
        self.say(table.title, bold=True)
        width = shutil.get_terminal_size((160, 24)).columns
        for line in [*as_text(table, width), *table.notes]:
            self.say(line)

    def pytest_collection_finish(self, session):
        names = [item.name for item in session.items if item.path.parent == HERE]
        self.agenda = agenda.Agenda(names, harness.plan().smoke)
        if self.agenda.names and not session.config.option.collectonly:
            self.say(self.agenda.opening())

    def pytest_runtest_logstart(self, nodeid, location):
        name = nodeid.rpartition("::")[2]
        if name in self.agenda.names:
            self.say(self.agenda.starts(name))

    def pytest_runtest_logfinish(self, nodeid, location):
        name = nodeid.rpartition("::")[2]
        if name not in self.agenda.names:
            return
        report = self.config.stash[REPORT]
        done = self.agenda.ends(name)
        if report.measurements:
            keep(report)
        for table in tables.tables(report, [done] if done in tables.TITLES else []).values():
            self.shown.add(done)
            self.show(table)


def keep(report):
    """Writes the file that was asked for; returns its name."""
    file = os.environ.get("LAMINA_BENCH_JSON")
    if file:
        report.write(Path(file))
    return file


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
    running = config.pluginmanager.get_plugin("lamina-bench-running")
    made = [t for name, t in tables.tables(report).items() if name not in running.shown]
    earlier = os.environ.get("LAMINA_BENCH_COMPARE")
    if earlier:
        compared = compare.compare(Report.read(earlier), report)
        if compared:
            made.append(compared)
        else:
            say(f"{earlier} has no figure of lamina's that this run has")
    for table in made:
        running.show(table)
    file = keep(report)
    if file:
        say(f"wrote {file}")
    picture = os.environ.get("LAMINA_BENCH_PLOT")
    if picture:
        try:
            drawn = plot.draw(report, picture)
        except ImportError:
            say("LAMINA_BENCH_PLOT needs matplotlib (pip install '.[plot]')")
        else:
            say(f"wrote {picture}" if drawn else "no picture: no peer was measured")
