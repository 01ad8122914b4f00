"""One job in a process of its own; prints its measurements, one JSON record a line.

    python -m bench.worker JOB CONTENDERS THREADS

JOB: info; says (one peer: which instruction set it uses); mnist, dense, cnn, wide (one contender,
of those in test_training.py); conveniences (lamina); conv, kernels (contenders that take turns,
comma-separated: lamina,numpy,torch); gemm (those, mkl, onednn); predict (those, jax, tensorflow,
onnxruntime); load_data. Standard output carries records only: whatever a library prints goes to
standard error.
"""

import importlib
import json
import os
import sys
from dataclasses import asdict
from functools import partial

from . import harness, isa, peers


def says(names, threads, plan):
    yield {"says": isa.says(names[0])}


def info(names, threads, plan):
    import lamina

    from . import precision_cases

    config = lamina.show_config("dicts")
    record = {key: config[key] for key in ("version", "isa", "compiler")}
    yield record | {"blas": blas(), "matrix_unit": precision_cases.matrix_unit()}


def blas() -> str:
    """What NumPy multiplies with, where threadpoolctl is there to say."""
    try:
        import numpy  # noqa: F401
        import threadpoolctl
    except ImportError:
        return "unknown"
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return ", ".join(
        " ".join(str(pool.get(key)) for key in ("internal_api", "version", "architecture"))
        for pool in pools
    )


def train(job, names, threads, plan):
    from .training import jobs

    (name,) = names
    peers.set_threads(name.partition(":")[0], threads)
    for one in jobs.jobs(job, plan.smoke):
        yield jobs.run(name, one, plan)


def conveniences(names, threads, plan):
    from . import conveniences

    peers.set_threads("lamina", threads)
    return conveniences.measure(plan, threads)


def compare(job, names, threads, plan):
    module = importlib.import_module(f".{CASES[job]}", __package__)
    for name in names:
        peers.set_threads(name, threads)
    for case in module.cases(names, plan.smoke):
        disagreement = case.disagreement()
        for name, samples in harness.interleave(case.contenders, plan, threads).items():
            yield {
                "case": case.name,
                "contender": name,
                "samples": samples,
                "work": asdict(case.work) if case.work else None,
                "disagreement": disagreement[name],
                "tolerance": case.tolerance,
            }


def load_data(names, threads, plan):
    """Reading the embedded MNIST, against NumPy's own reader of the same file."""
    import numpy as np

    from lamina.datasets import mnist

    file = peers.mnist_file()

    def by_numpy():
        with np.load(file) as archive:
            return [archive[name] for name in archive.files]

    contenders = {"lamina": mnist.load_data, "numpy": by_numpy}
    for name, samples in harness.interleave(contenders, plan, threads).items():
        yield {"case": "load_data", "contender": name, "samples": samples}


CASES = {
    "gemm": "gemm_cases",
    "conv": "image_cases",
    "kernels": "kernel_cases",
    "predict": "predict_cases",
}
JOBS = (
    {job.__name__: job for job in (info, says, conveniences, load_data)}
    | {job: partial(train, job) for job in ("mnist", "dense", "cnn", "wide")}
    | {job: partial(compare, job) for job in CASES}
)


def main(job: str, contenders: str, threads: str) -> None:
    records = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peers.limit_process(int(threads))
    for record in JOBS[job](contenders.split(","), int(threads), harness.plan()):
        print(json.dumps(record), file=records, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in JOBS:
        sys.exit(__doc__)
    main(*sys.argv[1:])
