"""What the comfortable ways of calling fit cost: an MNIST epoch with each of them, in turns."""

from dataclasses import replace

import numpy as np

from . import harness
from .training import jobs


def calls(smoke: bool) -> dict:
    """One epoch each, of the MNIST model at batch 128, every way with a model of its own."""
    import lamina as la

    from .training.by_lamina import network

    job = next(job for job in jobs.jobs("mnist", smoke) if job.batch == 128)
    x, y, x_test, y_test = jobs.data(job)
    pixels = np.rint(x * 255).astype(np.uint8)

    class EpochCallback(la.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            pass

    class BatchCallback(la.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    def generator():  # of slices, which cost nothing: what else a generator does is its own time
        for i in range(0, len(x), job.batch):
            yield x[i : i + job.batch], y[i : i + job.batch]

    rows = {"x": x, "y": y, "batch_size": job.batch}
    ways = {
        "plain": lambda: rows,
        "a callback an epoch": lambda: rows | {"callbacks": [EpochCallback()]},
        "a callback a batch": lambda: rows | {"callbacks": [BatchCallback()]},
        "validation, 10,000 rows": lambda: rows | {"validation_data": (x_test, y_test)},
        "class_weight": lambda: rows | {"class_weight": {c: 1 + c / 10 for c in range(10)}},
        "sample_weight": lambda: rows | {"sample_weight": np.linspace(0.5, 1.5, len(x))},
        "a generator": lambda: {"x": generator()},
        "uint8 pixels": lambda: rows | {"x": pixels},
    }

    def call(way):
        model = network(job)
        return lambda: model.fit(**way(), epochs=1, verbose=0)

    return {name: call(way) for name, way in ways.items()}


def measure(plan: harness.Plan, threads: int):
    # Whole epochs: five of each take twenty seconds.
    samples = harness.interleave(
        calls(plan.smoke), replace(plan, rounds=min(plan.rounds, 5)), threads
    )
    return [{"case": name, "contender": "lamina", "samples": s} for name, s in samples.items()]
