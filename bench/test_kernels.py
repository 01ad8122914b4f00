"""The kernels alone, against NumPy and PyTorch, taking turns in one process a thread count."""

from . import harness, peers


def compare(job: str, threads: int, report) -> None:
    names = ["lamina", *(name for name in ("numpy", "torch") if name in peers.present())]
    records = harness.run_worker(job, ",".join(names), threads)
    for record in records:
        report.add(
            job,
            record["case"],
            record["contender"],
            threads,
            record["samples"],
            work=record["work"],
        )
    assert {record["contender"] for record in records} >= set(names)
    wrong = [
        (record["case"], record["contender"], record["disagreement"])
        for record in records
        if not record["disagreement"] <= record["tolerance"]
    ]
    assert wrong == [], "these disagree with NumPy by more than rounding explains"


def test_gemm(threads, report):
    compare("gemm", threads, report)


def test_kernels(threads, report):
    compare("kernels", threads, report)


def test_predict(threads, report):
    compare("predict", threads, report)
