"""The kernels alone, and predictions: contenders that take turns in one process."""

from . import harness, peers
from .limits import Work


def compare(job: str, threads: int, report, rivals: tuple[str, ...]) -> None:
    names = ["lamina", *(name for name in rivals if name in peers.present())]
    records = harness.run_worker(job, ",".join(names), threads)
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


def test_gemm(threads, report, probed):
    compare("gemm", threads, report, ("numpy", "torch", "mkl", "onednn"))


def test_conv(threads, report, probed):
    compare("conv", threads, report, ("numpy", "torch"))


def test_kernels(threads, report, probed):
    compare("kernels", threads, report, ("numpy", "torch"))


def test_predict(threads, report):
    compare("predict", threads, report, ("numpy", "torch", "jax", "onnxruntime", "tensorflow"))
