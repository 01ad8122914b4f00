"""LAMINA_BENCH_ISA: everybody held to one instruction set; who cannot be is left out by name."""

import os

import pytest
from bench import isa, peers, tables
from bench.report import Report

CIRCUMSTANCES = {
    "date": "2026-01-01",
    "processor": "any",
    "cpus": 2,
    "system": "Linux x86_64",
    "isa": "avx2",
    "compiler": "12",
    "blas": "openblas Haswell",
    "versions": {"lamina": "0.1.0"},
    "not_found": [],
    "smoke": False,
}


@pytest.fixture
def environment(monkeypatch):
    """A copy of the environment, which the test may change."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ.pop("LAMINA_BENCH_ISA", None)
    return os.environ


@pytest.fixture
def larger_processor(monkeypatch):
    monkeypatch.setattr(isa, "processor_has_more", lambda: True)


def test_a_processor_that_has_more_is_held(environment, larger_processor):
    environment.update(LAMINA_BENCH_ISA="avx2", XLA_FLAGS="--other")
    isa.hold_process()
    isa.hold_process()
    assert environment["LAMINA_ISA"] == "avx2"
    assert environment["OPENBLAS_CORETYPE"] == "Haswell"
    assert environment["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert environment["XLA_FLAGS"] == "--other --xla_cpu_max_isa=AVX2"
    assert isa.cannot_be_held(["numpy", "onnxruntime"]) == ["onnxruntime"]


@pytest.mark.parametrize("held, has_more", [("", True), ("avx2", False)])
def test_nothing_is_forced_without_need(environment, monkeypatch, held, has_more):
    monkeypatch.setattr(isa, "processor_has_more", lambda: has_more)
    environment["LAMINA_BENCH_ISA"] = held
    before = dict(environment)
    isa.hold_process()
    assert environment == before
    assert isa.cannot_be_held(list(peers.PEERS)) == []


def test_an_unknown_instruction_set_is_refused(environment):
    environment["LAMINA_BENCH_ISA"] = "sse9"
    with pytest.raises(ValueError, match="LAMINA_BENCH_ISA must be one of avx2; got 'sse9'"):
        isa.wanted()


def test_the_report_says_who_was_held_and_what_they_say():
    report = Report()
    report.circumstances = CIRCUMSTANCES | {
        "held_to": "avx2",
        "not_held": ["onnxruntime"],
        "instructions": {"numpy": "", "torch": "AVX2"},
    }
    lines = tables.heading(report)
    assert "everybody held to avx2; they say: torch AVX2" in lines
    assert "not measured, as they cannot be held: onnxruntime" in lines
