"""The benchmarks' own arithmetic: tables, comparison, limits, on a report that was made up."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench import compare, gemm_cases, image_cases, kernel_cases, predict_cases, tables
from bench.layout import as_text
from bench.limits import Limits, NoProbeError, Watch, Work, build, measure
from bench.report import Report
from bench.table import replaced
from bench.targets import COMPUTING, MOVING, TARGETS
from bench.test_training import CONTENDERS, disagree
from bench.training import jobs

ROOT = Path(__file__).parent.parent
MIB = 1 << 20


def made_up(slower: float = 1.0) -> Report:
    """lamina's times times `slower`, those of the peers as they are."""
    report = Report()
    report.circumstances = {
        "date": "2001-02-03",
        "processor": "Abacus 9",
        "cpus": 2,
        "system": "Linux x86_64",
        "isa": "avx2",
        "compiler": "12.2.0",
        "blas": "unknown",
        "matrix_unit": "none: it has beads",
        "versions": {"lamina": "0.1.0", "numpy": "2.0"},
        "not_found": ["torch"],
        "smoke": False,
    }
    report.limits.caches = {"L1": 32 << 10, "L2": MIB, "L3": 32 * MIB}
    rates = {"fma": 100.0, "L2 triad": 80.0, "L2 read": 90.0, "L2 update": 85.0}
    rates |= {"L3 triad": 50.0, "L3 read": 55.0, "L3 update": 52.0}
    rates |= {"DRAM triad": 20.0, "DRAM triad, streaming": 25.0, "DRAM read": 22.0}
    for threads in (1, 2):
        scaled = {name: threads * rate for name, rate in rates.items()}
        report.limits.add(threads, scaled | {"vector_bits": 256.0, "no_amx": "none"})
        for name, seconds in (("lamina", 0.5 * slower), ("NumPy by hand", 1.0)):
            samples = [seconds / threads] * 3
            report.add("mnist", "batch 32", name, threads, samples, first=[2 * seconds / threads])
        for name, seconds in (("lamina", 0.02), ("numpy", 0.04), ("torch", 0.03)):
            work = Work(flops=1e9)
            report.add("gemm", "8×8×8", name, threads, [seconds], work=work)
        work = Work(read=4e7, written=4e7, bound="arithmetic")
        report.add("kernels", "tanh 1e7", "lamina", threads, [0.0064], work=work)
    return report


def of_threads(report: Report, threads: int) -> Report:
    """What a run with so many threads alone would have measured."""
    part = Report()
    part.circumstances = report.circumstances
    part.limits = Limits(
        report.limits.caches,
        {threads: report.limits.rates[threads]},
        {threads: report.limits.clock[threads]},
    )
    part.measurements = {k: m for k, m in report.measurements.items() if m.threads == threads}
    return part


def run_table(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "bench.table", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_report_survives_its_file(tmp_path):
    report = made_up()
    report.limits.turns = {2: {"taken": 3, "again": 1, "disturbed": 0}}
    report.write(tmp_path / "deep" / "results.json")
    again = Report.read(tmp_path / "deep" / "results.json")
    assert again.as_json() == report.as_json()
    assert again.limits == report.limits


def test_a_file_without_limits_is_read(tmp_path):
    """What the benchmarks wrote before they had any, when work was a number."""
    data = made_up().as_json()
    del data["limits"]
    for item in data["measurements"]:
        del item["first"]
        item["work"] = item["work"] and item["work"]["flops"]
    (tmp_path / "old.json").write_text(json.dumps(data))
    old = Report.read(tmp_path / "old.json")
    assert old.get("gemm", "8×8×8", "lamina", 1).work == Work(flops=1e9)
    assert "gemm" in tables.tables(old)
    assert "limits" not in tables.tables(old)


def test_files_of_one_and_of_two_threads_make_the_tables_of_both(tmp_path):
    """In either order, side by side, with the scaling that neither file has."""
    whole = made_up()
    for threads in (1, 2):
        of_threads(whole, threads).write(tmp_path / f"{threads}.json")
    assert "scaling" not in tables.tables(Report.read(tmp_path / "1.json"))
    whole.write(tmp_path / "whole.json")
    names = ["mnist", "gemm", "kernels", "scaling", "limits"]
    want = run_table(tmp_path / "whole.json", *names)
    assert want.returncode == 0, want.stderr
    assert "| batch 32, 1 thread | batch 32, 2 threads |" in want.stdout
    assert "| MNIST batch 32 | 2.00, 100% of the loop's |" in want.stdout
    got = run_table(tmp_path / "1.json", tmp_path / "2.json", *names)
    assert (got.returncode, got.stdout, got.stderr) == (0, want.stdout, "")
    other = run_table(tmp_path / "2.json", *names, tmp_path / "1.json")
    assert other.stdout == want.stdout


def test_what_two_runs_measured_is_put_together():
    first, second = made_up(), made_up(slower=3)
    second.circumstances |= {
        "date": "2001-02-04",
        "cpus": 1,
        "versions": {"lamina": "0.1.0", "torch": "3.0"},
        "not_found": ["numpy", "jax"],
    }
    second.limits.rates[2]["fma"] = 300.0
    first.merge(second)
    assert first.get("mnist", "batch 32", "lamina", 1).samples == [0.5] * 3 + [1.5] * 3
    assert first.get("mnist", "batch 32", "lamina", 1).first == [1.0, 3.0]
    assert first.limits.rates[2]["fma"] == 300.0
    assert first.limits.rates[1]["fma"] == 100.0
    assert first.limits.clock == {1: [100.0] * 2, 2: [200.0] * 2}
    c = first.circumstances
    assert (c["date"], c["cpus"]) == ("2001-02-03 and 2001-02-04", 2)
    assert c["versions"] == {"lamina": "0.1.0", "numpy": "2.0", "torch": "3.0"}
    assert c["not_found"] == ["jax"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"processor": "Abacus 8"}, "processor Abacus 9 and Abacus 8"),
        ({"smoke": True}, "smoke False and True"),
        ({"versions": {"lamina": "0.2.0"}}, "lamina 0.1.0 and 0.2.0"),
    ],
)
def test_runs_that_cannot_be_compared_are_not_put_together(tmp_path, change, message):
    made_up().write(tmp_path / "a.json")
    other = made_up()
    other.circumstances |= change
    other.write(tmp_path / "b.json")
    done = run_table(tmp_path / "a.json", tmp_path / "b.json")
    assert done.returncode != 0
    assert done.stdout == ""
    assert message in done.stderr


def test_the_dense_input_has_no_zeros_and_is_the_same_for_everybody():
    small = [dataclasses.replace(job, rows=100) for job in jobs.JOBS["dense"]]
    (x, y, x_test, y_test), again = jobs.data(small[0]), jobs.data(small[1])
    assert all(np.array_equal(a, b) for a, b in zip((x, y, x_test, y_test), again, strict=True))
    sparse, labels, *_ = jobs.data(dataclasses.replace(jobs.JOBS["mnist"][0], rows=100))
    assert (sparse == 0).mean() > 0.75
    assert np.array_equal(y, labels)
    for rows in (x, x_test):
        assert rows.dtype == np.float32
        assert rows.min() >= 0.01
    assert abs(x - sparse).max() <= 0.1 + 2**-23


def test_a_table_needs_a_file(tmp_path):
    for arguments in (["mnist"], [tmp_path / "none.json"]):
        done = run_table(*arguments)
        assert done.returncode == 2
        assert "results file" in done.stderr or "none.json" in done.stderr


def test_a_page_s_table_is_replaced_and_nothing_else(tmp_path):
    made_up().write(tmp_path / "results.json")
    page = tmp_path / "page.md"
    before, after = "# A\n\ntext\n", "\nmore ×\n"
    page.write_text(f"{before}<!-- table -->\nold\n<!-- /table -->\n{after}", encoding="utf-8")
    done = run_table(tmp_path / "results.json", "--into", page)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    once = page.read_text(encoding="utf-8")
    assert once.startswith(f"{before}<!-- table -->\n2001-02-03, Abacus 9, 2 usable CPUs")
    assert once.endswith(f"\n<!-- /table -->\n{after}")
    assert "old" not in once
    assert "| lamina | 0.500 s | 0.250 s |" in once
    assert "| NumPy by hand | 1.000 s ×2.00 | 0.500 s ×2.00 |" in once
    assert run_table(tmp_path / "results.json", "--into", page).returncode == 0
    assert page.read_text(encoding="utf-8") == once


def test_the_short_table_is_written_with_one_line_of_where_and_when(tmp_path):
    made_up().write(tmp_path / "results.json")
    page = tmp_path / "page.md"
    page.write_text("<!-- table -->\n<!-- /table -->\n", encoding="utf-8")
    done = run_table(tmp_path / "results.json", "short", "--into", page)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    first, second, third, *_ = page.read_text(encoding="utf-8").splitlines()[1:]
    assert first.startswith("2001-02-03, Abacus 9, 2 usable CPUs")
    assert (second, third[:11]) == ("", "**In short;")


@pytest.mark.parametrize("name", ["README.md", "docs/performance.md"])
def test_the_real_pages_have_their_markers(name):
    page = (ROOT / name).read_text(encoding="utf-8")
    assert "\nthe table\n<!-- /table -->\n" in replaced(page, "the table\n")


@pytest.mark.parametrize(
    "page",
    ["none", "<!-- table -->\n", "<!-- /table -->\n<!-- table -->\n", "<!-- table -->\n" * 2],
)
def test_a_page_without_its_markers_stays_as_it_is(tmp_path, page):
    made_up().write(tmp_path / "results.json")
    (tmp_path / "page.md").write_text(page)
    done = run_table(tmp_path / "results.json", "--into", tmp_path / "page.md")
    assert done.returncode != 0
    assert "<!-- table -->" in done.stderr
    assert (tmp_path / "page.md").read_text() == page


def test_a_table_that_is_not_there_is_named(tmp_path):
    made_up().write(tmp_path / "results.json")
    done = run_table(tmp_path / "results.json", "size")
    assert done.returncode != 0
    assert (
        "nothing for size; there is limits mnist first scaling gemm kernels targets short"
        in done.stderr
    )


def test_the_short_table_has_the_best_of_each_family():
    report = made_up()
    report.add("mnist", "batch 32", "PyTorch eager, default Adam", 1, [3.0])
    report.add("mnist", "batch 32", "PyTorch eager, fused Adam, flush denormals", 1, [2.0])
    report.add("mnist", "batch 32", "PyTorch eager, default Adam", 2, [0.1])
    report.add("predict", "1 row", "lamina", 1, [2e-6])
    report.add("predict", "1 row", "torch traced", 1, [8e-6])
    report.add("predict", "1 row", "TensorFlow model.predict", 1, [0.04])
    report.add("import", "time", "lamina", 1, [0.01])
    report.add("import", "time", "onnxruntime", 1, [0.025])
    made = tables.tables(report)["short"]
    assert made.title == "In short; 1 thread; the best of each family, ×: times lamina's"
    assert made.rows == [
        ["", "lamina", "NumPy", "PyTorch", "JAX", "TensorFlow", "ONNX Runtime", "scikit-learn"],
        ["MNIST, an epoch, batch 32", "0.500 s", "×2", "×4", "–", "–", "–", "–"],
        ["MNIST, one prediction", "2 µs", "–", "×4", "–", "×20,000", "–", "–"],
        ["import, beyond NumPy's", "10 ms", "–", "–", "–", "–", "×2.5", "–"],
    ]


def test_shares_of_the_limit_and_footnotes():
    made = tables.tables(made_up())
    # 1e9 operations in 0.02 s are half of 100 GFLOP/s, and a quarter of the 200 of two threads.
    header, row = made["gemm"].rows
    assert header[:3] == ["", "lamina, 1 thread", "of the limit"]
    assert row[:3] == ["8×8×8", "50 GFLOP/s", "50% FMA"]
    assert row[5:7] == ["50 GFLOP/s", "25% FMA"]
    # 80 MB in 6.4 ms are half of the 25 GB/s that streaming stores reach.
    assert made["kernels"].rows[1][2] == "50% DRAM ¹"
    assert made["kernels"].notes == ["¹ bound by arithmetic"]


def test_scaling_and_first_epochs():
    made = tables.tables(made_up())
    rows = dict(made["scaling"].rows[1:])
    assert rows["loop of plain FMAs"] == "2.00"
    assert rows["MNIST batch 32"] == "2.00, 100% of the loop's"
    assert rows["matrix products, geometric mean"] == "1.00, 50% of the loop's"
    assert made["first"].rows[1] == ["lamina", "2.00"]


def test_the_level_follows_from_the_size_and_the_threads():
    limits = made_up().limits
    assert [limits.level(size, 1) for size in (MIB, MIB + 1, 32 * MIB, 32 * MIB + 1)] == [
        "L2",
        "L3",
        "L3",
        "DRAM",
    ]
    assert limits.level(2 * MIB, 2) == "L2"


def test_what_is_reduced_or_changed_in_place_has_limits_of_its_own():
    limits = made_up().limits
    assert limits.share(Work(read=9e5, written=8), 1, 1e-5) == (pytest.approx(1.0, rel=1e-4), "L2")
    work = Work(read=4e5, written=4.5e5, resident=4e5)
    assert limits.share(work, 1, 1e-5) == (pytest.approx(1.0), "L2")
    assert limits.share(Work(), 1, 1.0) is None
    assert limits.share(work, 3, 1.0) is None
    assert Limits().share(work, 1, 1.0) is None


def test_the_best_limit_of_a_run_counts():
    limits = Limits()
    for fma in (90.0, 100.0, 80.0):
        limits.add(1, {"fma": fma, "no_amx": "none"})
    assert limits.rates == {1: {"fma": 100.0, "no_amx": "none"}}
    assert limits.clock == {1: [90.0, 100.0, 80.0]}


def test_a_turn_on_a_machine_that_is_not_whole_is_taken_again(monkeypatch):
    slept = []
    monkeypatch.setattr("bench.limits.time.sleep", slept.append)
    looks, kept = [], Limits()
    watch = Watch(kept, lambda threads: looks.pop(0))

    def turns(*rates):
        """Of a loop alone, or with a round trip."""
        slept.clear()
        looks[:] = [
            {"fma": rate[0], "round trip": rate[1]} if isinstance(rate, tuple) else {"fma": rate}
            for rate in rates
        ]
        runs = iter("abcdef")
        records = watch.turn(2, lambda: [next(runs)])
        assert looks == []
        return records

    assert turns(100.0, 91.0) == ["a"]
    assert kept.turns == {2: {"taken": 1, "again": 0, "disturbed": 0}}
    assert turns(50.0, 95.0, 89.0, 95.0, 95.0) == ["b"]  # waits before a turn, repeats after it
    assert slept == [Watch.PAUSE]
    patience = int(Watch.PATIENCE / Watch.PAUSE)
    assert turns(*[50.0] * (patience + 1), 95.0) == ["a"]  # but does not wait for ever
    assert sum(slept) == Watch.PATIENCE
    assert turns(*(3 * [95.0, 50.0])) == ["c"]
    assert kept.turns == {2: {"taken": 4, "again": 3, "disturbed": 1}}
    assert turns(200.0, 100.0, 200.0, 190.0) == ["b"]  # the best is what it has shown
    assert turns((200.0, 50.0), (200.0, 101.0), (200.0, 99.0), (200.0, 99.0)) == ["b"]  # far apart
    watch.spent = Watch.BUDGET  # and at the end of the budget it takes what comes
    assert turns(50.0, 50.0) == ["a"]
    assert slept == []

    report = made_up()
    report.limits.turns = kept.turns
    (line,) = [line for line in tables.heading(report) if "taken again" in line]
    assert line.startswith("of 7 turns on 2 threads 5 were taken again, and 2 kept")
    report.limits.merge(kept)
    assert report.limits.turns == {2: {"taken": 14, "again": 10, "disturbed": 4}}


def test_processes_that_disagree_are_noticed():
    def process(*medians):
        return [
            {"case": f"batch {i}", "samples": [0.0, median, 99.0]}
            for i, median in enumerate(medians)
        ]

    assert not disagree([])
    assert not disagree(process(1.0, 5.0))
    assert not disagree(process(1.0, 5.0) + process(1.09, 5.4))
    assert disagree(process(1.0, 5.0) + process(1.0, 5.6))
    assert disagree(process(1.2, 5.0) + process(1.0, 5.0))


def test_a_probe_that_fails_disturbs_nobody(monkeypatch):
    def late(*command, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr("bench.limits.subprocess.run", late)
    kept = Limits()
    watch = Watch(kept, lambda threads: measure(Path("probe"), {}, threads, 0.1))
    assert watch.turn(1, lambda: ["a"]) == ["a"]
    assert kept.reason == "the probe took more than 300 s"


def test_limits_are_those_of_processors_that_are_near():
    kept = Limits()
    watch = Watch(kept, None)
    for rates in [
        {"fma": 100.0, "round trip": 300.0, "DRAM read": 128.0},  # nothing else is known
        {"fma": 99.0, "round trip": 60.0, "DRAM read": 70.0},
        {"fma": 101.0, "round trip": 310.0, "DRAM read": 130.0},
        {"fma": 70.0, "round trip": 62.0, "DRAM read": 71.0},
        {"fma": 98.0, "round trip": 65.0, "DRAM read": 72.0},
    ]:
        watch.add(2, rates)
    assert kept.rates == {2: {"fma": 99.0, "round trip": 60.0, "DRAM read": 72.0}}
    assert kept.clock == {2: [100.0, 99.0, 101.0, 70.0, 98.0]}


def test_without_a_compiler_there_is_a_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    with pytest.raises(NoProbeError, match="no-such-compiler cannot be run"):
        build(tmp_path)
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoProbeError, match="there is no C"):
        build(tmp_path)


def test_a_comparison_puts_what_moved_first():
    old, new = made_up(), made_up(slower=1.25)
    table = compare.compare(old, new)
    rows = table.rows
    assert "2 of 6 figures moved by more than 10%" in table.title
    assert [row[0] for row in rows[1:4]] == [
        "mnist: batch 32, 1 thread",
        "mnist: batch 32, 2 threads",
        "gemm: 8×8×8, 1 thread",
    ]
    assert rows[1][1:] == ["0.500 s", "0.625 s", "1.25", "NumPy by hand 1.00", "×2.00", "×1.60"]
    assert compare.compare(Report(), new) is None


def test_levels_below_float32_have_rows_where_there_is_a_matrix_unit(monkeypatch):
    from bench import image_cases, precision_cases

    monkeypatch.setenv("LAMINA_MATRIX_UNIT", "none")
    assert precision_cases.matrix_unit().startswith("none: ")
    assert list(precision_cases.cases(["lamina", "numpy"], True)) == []
    assert "matrix unit none: it has beads" in "\n".join(tables.heading(made_up()))

    monkeypatch.setenv("LAMINA_MATRIX_UNIT", "emulated")
    monkeypatch.setattr(precision_cases, "matrix_unit", lambda: "amx")
    made = list(precision_cases.cases(["lamina", "numpy"], True))
    assert [case.name for case in made][:3] == ["512³, high", "512³, medium", "512³, low"]
    for case in made[:3]:
        assert 0 < case.disagreement()["lamina"] < case.tolerance
    made = [c for c in image_cases.cases(["lamina", "numpy"], True) if "to 64, forward" in c.name]
    names = [case.name.rpartition(", ")[2] for case in made]
    assert names == ["forward", "high", "medium", "low"] * 2 + ["forward"]
    for case in made:
        assert case.disagreement()["lamina"] < case.tolerance
    float32, low = (made[i].contenders["lamina"]().copy() for i in (0, 3))
    assert (low != float32).any()


def target_rows(report: Report) -> dict[tuple[str, str], list[str]]:
    header, *rows = tables.tables(report)["targets"].rows
    assert header[:5] == ["", "against", "wanted", "1 thread", "2 threads"]
    return {(name, against): cells for name, against, *cells in rows}


def test_a_target_is_met_or_missed_for_a_reason():
    report = made_up()
    report.add("mnist", "batch 32", "TensorFlow, Keras model.fit", 1, [6.5])
    report.add("import", "time", "lamina", 1, [0.012])
    rows = target_rows(report)
    assert rows["MNIST batch 32", "Keras model.fit"] == ["12", "13", "–", ""]
    wanted, one, two, why = rows["MNIST batch 32", "best peer"]
    assert (wanted, one, two) == ("2.5", "missed: 2", "missed: 2")
    assert re.fullmatch("1 thread: .*Adam.*; 2 threads: steps of tens of µs.*", why)
    assert rows["MNIST batch 32", "fewest threads"] == ["1.6", "–", "2", ""]
    assert rows["MNIST batch 32", "a later epoch"] == [
        "at most 1.1",
        *["missed: 2"] * 2,
        "not known",
    ]
    assert rows["import, beyond NumPy's", "–"] == ["at most 15 ms", "12 ms", "–", ""]
    # The work of a kernel says itself what binds it.
    assert rows["tanh 1e7", "machine's limit"] == [
        "85%",
        "missed: 50%",
        "missed: 25%",
        "arithmetic",
    ]
    # Of the three libraries of products there is one; of the predictions there is nothing.
    assert rows["8×8×8", "torch"] == ["0.95", "1.5", "1.5", ""]
    assert rows["matrix products, geometric mean", "torch"] == ["1", "1.5", "1.5", ""]
    assert not any("predictions" in name for name, _ in rows)


def test_what_binds_stands_in_its_row_however_narrow_the_terminal():
    lines = as_text(tables.tables(made_up())["targets"], 80)
    assert len([line for line in lines if line.startswith("MNIST batch 32")]) == 3
    assert any(re.search("best peer +2.5 .*missed: 2 .*missed: 2 .*Adam", line) for line in lines)


def test_without_a_peer_its_targets_have_no_row():
    report = made_up()
    report.measurements = {k: m for k, m in report.measurements.items() if m.contender == "lamina"}
    assert {against for _, against in target_rows(report)} == {
        "machine's limit",
        "fewest threads",
        "a later epoch",
    }
    assert "targets" not in tables.tables(Report())
    report.circumstances["smoke"] = True
    assert "targets" not in tables.tables(report)


def test_kernels_that_reach_their_target_share_a_row():
    report = made_up()
    for case, seconds in (("8×8×9", 0.022), ("9×9×9", 0.01)):
        report.add("gemm", case, "lamina", 1, [0.02])
        report.add("gemm", case, "mkl", 1, [seconds])
    rows = target_rows(report)
    against = "best of mkl, torch"
    assert rows["matrix products, 2 of 3 rows", against] == ["0.95", "1.1 to 1.5", "1.5", ""]
    assert rows["9×9×9", against] == ["0.95", "missed: 0.5", "–", "not known"]
    mean = (1.5 * 1.1 * 0.5) ** (1 / 3)
    assert rows["matrix products, geometric mean", against][1] == f"missed: {mean:.3g}"


def test_a_target_beyond_the_machine_s_limit_is_called_that():
    """0.9 of the peak and 1.1 times the peer's speed: 1.3 times would be above the peak."""
    report = made_up()
    work = Work(flops=0.9e9)
    report.add("conv", "conv2d 3×3, forward", "lamina", 1, [0.01], work=work)
    report.add("conv", "conv2d 3×3, forward", "torch", 1, [0.011], work=work)
    why = "FMA: 90% of the limit, all of it would be 1.22"
    assert target_rows(report)["conv2d 3×3, forward", "torch"] == ["1.3", "missed: 1.1", "–", why]
    report = made_up()
    report.add("conv", "conv2d 3×3, forward", "lamina", 1, [0.01], work=Work(flops=1.2e9))
    report.add("conv", "conv2d 3×3, forward", "torch", 1, [0.011], work=work)
    why = target_rows(report)["conv2d 3×3, forward", "torch"][3]
    assert "of the limit" not in why, "operations that were not done are no reason"


def test_targets_are_for_what_is_measured():
    names = {"import": {"time"}}
    for group, module in (
        ("gemm", gemm_cases),
        ("conv", image_cases),
        ("kernels", kernel_cases),
        ("predict", predict_cases),
    ):
        names[group] = {case.name for case in module.cases([], True)}
    for job in (job for some in jobs.JOBS.values() for job in some):
        names.setdefault(job.group, set()).add(job.case)
    known = {"mkl", "onednn", "torch", "ONNX Runtime", "TensorFlow model.predict"}
    for target in TARGETS:
        assert any(re.fullmatch(target.pattern, name) for name in names[target.group]), target
        if not isinstance(target.against, str):
            assert set(target.against) <= known | set(CONTENDERS.values())
    convolutions = [t.pattern for t in TARGETS if t.group == "conv" and t.against == ("torch",)]
    for name in names["conv"]:
        found = sum(bool(re.fullmatch(pattern, name)) for pattern in convolutions)
        assert found == name.startswith("conv2d"), name
        assert not any(re.fullmatch(pattern, f"{name}, high") for pattern in convolutions)
    moving, computing = (
        {name for name in names["kernels"] if re.fullmatch(pattern, name)}
        for pattern in (MOVING, COMPUTING)
    )
    assert (len(moving), len(computing), moving & computing) == (3, 8, set())
