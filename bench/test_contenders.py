"""The kernels alone, and predictions: contenders that take turns in one process."""

from . import harness, peers
from .limits import Work


def compare(job: str, threads: int, report, turn, rivals: tuple[str, ...]) -> None:
    names = ["lamina", *(name for name in rivals if name in peers.present())]
    records = turn(threads, lambda: harness.run_worker(job, ",".join(names), threads))
    assert records
    for record in records:
        report.add(
            job,
            record["case"],
            record["contender"],
            threads,
            record["samples"],
            work=Work(**record["work"]) if record["work"] else None,
        )
    wrong = [
        (record["case"], record["contender"], record["disagreement"])
        for record in records
        if not record["disagreement"] <= record["tolerance"]
    ]
    assert wrong == [], "these disagree with NumPy by more than rounding explains"


def test_gemm(threads, report, turn, probed):
    compare("gemm", threads, report, turn, ("numpy", "torch", "mkl", "onednn"))


def test_conv(threads, report, turn, probed):
    compare("conv", threads, report, turn, ("numpy", "torch"))


def test_kernels(threads, report, turn, probed):
    compare("kernels", threads, report, turn, ("numpy", "torch"))


def test_predict(threads, report, turn):
    compare(
        "predict", threads, report, turn, ("numpy", "torch", "jax", "onnxruntime", "tensorflow")
    )
