"""What is trained: the models as numbers, their data, and how an epoch is timed."""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from .. import harness, peers


@dataclass(frozen=True)
class Job:
    """`group`, `case`: where the report has it."""

    group: str
    case: str
    batch: int
    rows: int
    # Of the MLP, from the input to the classes, relu between them; None is the CNN: Conv 32 3×3
    # relu, MaxPool 2, Conv 64 3×3 relu, MaxPool 2, Flatten, Dense 10.
    sizes: tuple[int, ...] | None = (784, 128, 10)
    dropout: float = 0.2  # before the last layer
    dense: bool = False  # MNIST without its zeros, four of five pixels, which a layer may skip
    per_step: bool = False  # seconds of a step instead of an epoch


CNN_KERNELS = ((3, 3, 1, 32), (3, 3, 32, 64), (1600, 10))

JOBS = {
    "mnist": [Job("mnist", f"batch {batch}", batch, 60_000) for batch in (32, 128, 512)],
    "dense": [
        Job("training", f"MNIST MLP, dense input, batch {batch}", batch, 60_000, dense=True)
        for batch in (32, 128, 512)
    ],
    "cnn": [Job("training", "CNN, 12,800 images", 128, 12_800, None, 0.5)],
    "wide": [
        Job(
            *("training", "MLP 1024-4096-4096-1000, a step", 512, 1024),
            sizes=(1024, 4096, 4096, 1000),
            dropout=0.0,
            per_step=True,
        )
    ],
}


def jobs(name: str, smoke: bool) -> list[Job]:
    if not smoke:
        return JOBS[name]
    small = {
        "mnist": {"rows": 6400},
        "dense": {"rows": 6400},
        "cnn": {"rows": 640},
        "wide": {"sizes": (64, 256, 256, 62)},
    }
    return [Job(**vars(job) | small[name]) for job in JOBS[name]]


def data(job: Job):
    """(x, y, x_test, y_test): float32 rows, int32 labels."""
    if job.sizes is not None and job.sizes[0] != 784:
        return clusters(job)
    shape = (784,) if job.sizes else (28, 28, 1)
    x, y, x_test, y_test = mnist()
    x, y = x[: job.rows], y[: job.rows]
    if job.dense:
        rng = np.random.default_rng(0)
        x, x_test = (rows + noise(rng, rows.shape) for rows in (x, x_test))
    return x.reshape(-1, *shape), y, x_test.reshape(-1, *shape), y_test


def noise(rng, shape):
    """Uniform from 0.01 to 0.1."""
    return np.float32(0.01) + np.float32(0.09) * rng.random(shape, dtype=np.float32)


@cache
def mnist():
    """Read without importing lamina, whose thread pool has no business in a peer's process."""
    with np.load(peers.mnist_file()) as archive:
        x, x_test = (archive[name] / np.float32(255) for name in ("x_train", "x_test"))
        y, y_test = (archive[name].astype(np.int32) for name in ("y_train", "y_test"))
    return x, y, x_test, y_test


def clusters(job: Job):
    """Ten clouds, far apart: a model that learns at all tells them apart in a few steps."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, job.rows).astype(np.int32)
    centres = rng.standard_normal((10, job.sizes[0]), dtype=np.float32)
    x = centres[labels] + 0.5 * rng.standard_normal((job.rows, job.sizes[0]), dtype=np.float32)
    return x, labels, x, labels


@dataclass
class Timer:
    """Times epochs until there are enough, or the plan's patience is over."""

    plan: harness.Plan
    seconds: list[float] = field(default_factory=list)

    @property
    def enough(self) -> bool:
        timed = len(self.seconds) - self.plan.warmup
        return timed >= self.plan.epochs or (timed > 0 and sum(self.seconds) > self.plan.patience)

    def __call__(self, epoch: Callable[[], object]) -> None:
        while not self.enough:
            self.start()
            epoch()
            self.stop()

    def start(self) -> None:
        self.started = time.perf_counter()

    def stop(self) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def shuffled(rng, rows: int, batch: int):
    """The rows' numbers in a new order, a batch at a time."""
    order = rng.permutation(rows)
    return (order[start : start + batch] for start in range(0, rows, batch))


def run(name: str, job: Job, plan: harness.Plan) -> dict:
    """The record of one run: the first epoch, the later ones, the accuracy reached."""
    module, _, variant = name.partition(":")
    train = importlib.import_module(f".by_{module.replace('-', '_')}", __package__).train
    x, y, x_test, y_test = data(job)
    timer = Timer(plan)
    predict = train(job, x, y, timer, *([variant] if variant else []))
    accuracy = np.mean(np.argmax(predict(x_test), axis=1) == y_test)
    parts = -(-job.rows // job.batch) if job.per_step else 1
    first, *later = (value / parts for value in timer.seconds)
    return {
        "group": job.group,
        "case": job.case,
        "contender": name,
        "first": first,
        "samples": later,
        "accuracy": float(accuracy),
    }
