"""One epoch of MNIST: `model.fit` against the peers, a process for every (peer, threads).

See mnist_loops.py for what each of them runs.
"""

from . import harness, peers

LOOPS = {"torch": ["torch", "torch-fused"]}
LABELS = {
    "numpy": "NumPy by hand",
    "torch": "PyTorch eager, default Adam",
    "torch-fused": "PyTorch eager, fused Adam, flush denormals",
    "jax": "JAX, epoch in one jitted scan",
    "tensorflow": "TensorFlow, Keras model.fit",
    "scikit-learn": "scikit-learn MLPClassifier (no dropout)",
}


def test_mnist_epoch(threads, report, plan):
    names = ["lamina", *(loop for peer in peers.present() for loop in LOOPS.get(peer, [peer]))]
    # Measured in alternating order, reported in this one.
    records = {name: [] for name in names}
    for name in harness.alternating(names, plan.processes):
        records[name] += harness.run_worker("epoch", name, threads)
    for name in names:
        for record in records[name]:
            if "samples" in record:
                label = LABELS.get(name, name)
                report.add("mnist", record["case"], label, threads, record["samples"])
    # All learn: a model that does not gets 0.1. A smoke run takes 26 steps at batch 512.
    enough = 0.7 if plan.smoke else 0.93
    accuracy = {
        (name, record["case"]): record["accuracy"]
        for name in names
        for record in records[name]
        if "accuracy" in record
    }
    assert len(accuracy) == 3 * len(names)
    assert {key: value for key, value in accuracy.items() if not value >= enough} == {}
