"""One job in a process of its own; prints its measurements, one JSON record a line.

    python -m bench.worker JOB CONTENDERS THREADS

JOB: info; epoch (one contender: lamina, numpy, torch, torch-fused, jax, tensorflow, scikit-learn);
gemm, kernels, predict (contenders that take turns, comma-separated: lamina,numpy,torch);
load_data. Standard output carries records only: whatever a library prints goes to standard error.
"""

import json
import os
import sys

from . import harness, peers


def info(names, threads, plan):
    import lamina

    config = lamina.show_config("dicts")
    yield {key: config[key] for key in ("version", "isa", "compiler")} | {"blas": blas()}


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


def epoch(names, threads, plan):
    from . import mnist_loops

    (name,) = names
    peers.set_threads(name.removesuffix("-fused"), threads)
    for batch in (32, 128, 512):
        seconds, accuracy = mnist_loops.train(name, batch, plan)
        for value in seconds:
            yield {"case": f"batch {batch}", "contender": name, "samples": [value]}
        yield {"case": f"batch {batch}", "contender": name, "accuracy": accuracy}


def compared(cases, names, threads, plan):
    for name in names:
        peers.set_threads(name, threads)
    for case in cases(names, plan.smoke):
        disagreement = case.disagreement()
        for name, samples in harness.interleave(case.contenders, plan, threads).items():
            yield {
                "case": case.name,
                "contender": name,
                "samples": samples,
                "work": case.work,
                "disagreement": disagreement[name],
                "tolerance": case.tolerance,
            }


def gemm(names, threads, plan):
    from . import gemm_cases

    return compared(gemm_cases.cases, names, threads, plan)


def kernels(names, threads, plan):
    from . import kernel_cases

    return compared(kernel_cases.cases, names, threads, plan)


def predict(names, threads, plan):
    from . import predict_cases

    return compared(predict_cases.cases, names, threads, plan)


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


JOBS = {job.__name__: job for job in (info, epoch, gemm, kernels, predict, load_data)}


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
