"""Training jobs: `model.fit` against the peers, a process for every (peer, threads).

See training/ for what is trained and how each of them does it.
"""

import statistics

from . import harness, peers

# What the report calls them.
CONTENDERS = {
    "lamina": "lamina",
    "numpy": "NumPy by hand",
    "torch": "PyTorch eager, default Adam",
    "torch:fused": "PyTorch eager, fused Adam, flush denormals",
    "jax": "JAX, epoch in one jitted scan",
    "jax:steps": "JAX, one jitted step a batch",
    "tensorflow": "TensorFlow, Keras model.fit",
    "tensorflow:no-autotune": "TensorFlow, model.fit, tf.data autotune off",
    "scikit-learn": "scikit-learn MLPClassifier (no dropout)",
}
TENSORFLOW = ["tensorflow", "tensorflow:no-autotune"]
ENTERED = {
    "mnist": [name for name in CONTENDERS if name != "jax:steps"],
    "dense": ["lamina", "torch:fused", "jax"],
    "cnn": ["lamina", "torch:fused", "jax:steps", *TENSORFLOW],
    "wide": ["lamina", "numpy", "torch:fused", "jax", *TENSORFLOW],
}


def train(job: str, threads: int, report, turn, order: list[str], enough: float) -> None:
    """order: of contenders, one process each turn; reported in that of CONTENDERS. Whose processes
    disagree takes one more turn: a neighbour in the last cache or on the way to memory, which slows
    no loop of multiply-adds, may have met the one and not the other."""
    records = {name: [] for name in CONTENDERS if name in order}

    def take_turn(name):
        records[name] += turn(threads, lambda: harness.run_worker(job, name, threads))

    for name in order:
        take_turn(name)
    for name, found in records.items():
        if disagree(found):
            take_turn(name)
    accuracy = {}
    for name, found in records.items():
        for record in found:
            report.add(
                record["group"],
                record["case"],
                CONTENDERS[name],
                threads,
                record["samples"],
                first=[record["first"]],
            )
            accuracy[name, record["case"]] = record["accuracy"]
    assert accuracy
    assert {key: value for key, value in accuracy.items() if not value >= enough} == {}


def disagree(records: list[dict], most: float = 1.1) -> bool:
    """Whether the medians of any case lie further apart."""
    medians = {}
    for record in records:
        medians.setdefault(record["case"], []).append(statistics.median(record["samples"]))
    return any(max(of_case) > most * min(of_case) for of_case in medians.values())


def contenders(job: str) -> list[str]:
    there = {"lamina", *peers.present()}
    return [name for name in ENTERED[job] if name.partition(":")[0] in there]


# All learn: a model that does not gets 0.1. A smoke run takes 10 steps, or 26.
def least_accuracy(plan) -> float:
    return 0.3 if plan.smoke else 0.9


def in_turns(job: str, threads: int, report, plan, turn) -> None:
    order = harness.alternating(contenders(job), plan.processes)
    train(job, threads, report, turn, order, least_accuracy(plan))


def test_mnist(threads, report, plan, probed, turn):
    in_turns("mnist", threads, report, plan, turn)


def test_dense(threads, report, plan, turn):
    in_turns("dense", threads, report, plan, turn)


def once_each(job: str, threads: int, report, plan, turn) -> None:
    """For jobs that take minutes: one process each, and lamina once more after the others."""
    names = contenders(job)
    order = names if plan.smoke else [*names, "lamina"]
    train(job, threads, report, turn, order, least_accuracy(plan))


def test_cnn(threads, report, plan, turn):
    once_each("cnn", threads, report, plan, turn)


def test_wide(threads, report, plan, turn):
    once_each("wide", threads, report, plan, turn)


def test_crowded(report, turn):
    """Eight threads, whatever the machine has."""
    records = turn(peers.thread_counts()[-1], lambda: harness.run_worker("mnist", "lamina", 8))
    for record in records:
        report.add("crowded", record["case"], "lamina", 8, record["samples"])


def test_fit_options(threads, report, turn):
    for record in turn(threads, lambda: harness.run_worker("conveniences", "lamina", threads)):
        report.add("conveniences", record["case"], "lamina", threads, record["samples"])
