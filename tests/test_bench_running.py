"""What a run of the benchmarks says while it runs, and what is left of one that is interrupted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench import agenda
from bench.report import Report

ROOT = Path(__file__).parent.parent
INTERRUPT = """
def pytest_runtest_logstart(nodeid):
    if "test_load_data" in nodeid:
        raise KeyboardInterrupt
"""


def test_an_interrupted_run_has_said_and_kept_what_was_measured(tmp_path):
    (tmp_path / "interrupting.py").write_text(INTERRUPT)
    command = [sys.executable, "-m", "pytest", "bench/", "-k", "size or load_data"]
    done = subprocess.run(
        [*command, "-p", "interrupting", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
            "LAMINA_BENCH_SMOKE": "1",
            "LAMINA_BENCH_JSON": str(tmp_path / "kept.json"),
        },
        timeout=300,
    )
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout + done.stderr
    said = done.stdout
    assert "2 measurements, about half a minute: size, load_data. Ctrl-C" in said
    table = said.index("Size of the own packages on disk")
    assert said.index("1 of 2: size (about half a minute;") < table
    assert table < said.index("KeyboardInterrupt") and said.count("Size of the own") == 1
    kept = Report.read(tmp_path / "kept.json")
    assert {m.group for m in kept.measurements.values()} == {"size"}


def test_every_benchmark_is_on_the_agenda():
    found = [
        line.removeprefix("def ").partition("(")[0]
        for file in (ROOT / "bench").glob("test_*.py")
        for line in file.read_text().splitlines()
        if line.startswith("def test_")
    ]
    assert sorted(found) == sorted(agenda.PARTS)


def test_a_table_is_due_after_the_last_of_its_parts(monkeypatch):
    clock = iter(range(0, 10**6, 400))
    monkeypatch.setattr(agenda.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(agenda.peers, "present", lambda: list(agenda.peers.PEERS))
    plan = agenda.Agenda(["test_dense[1]", "other", "test_cnn[1]", "test_size"], smoke=False)
    assert "3 measurements, about 4 minutes: dense, cnn, size." in plan.opening()
    assert plan.starts("test_dense[1]").startswith("1 of 3: dense, threads: 1 (about 2 minutes; 4 ")
    assert plan.ends("test_dense[1]") is None
    # It took 400 s, where 90 s were expected: so will the others.
    assert plan.starts("test_cnn[1]").startswith("2 of 3: cnn, threads: 1 (about 9 minutes;")
    assert plan.ends("test_cnn[1]") == "training"
    plan.starts("test_size")
    assert plan.ends("test_size") == "size"
