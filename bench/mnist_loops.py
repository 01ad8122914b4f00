"""One epoch of MNIST, as each peer's users would train it when they care for speed.

784 -> 128 relu -> dropout 0.2 -> 10 softmax, cross-entropy, Adam (0.001, 0.9, 0.999, 1e-7), rows
in a new random order every epoch, the partial last batch kept. All get the same float32 rows.
Each function trains the given number of epochs and returns (seconds of each, predict), predict(x)
giving one score a row and class. Compilation falls into the first epoch, which the harness drops.
"""

import time

import numpy as np

from . import peers
from .numpy_mlp import MLP, glorot


def train(name: str, batch: int, plan) -> tuple[list[float], float]:
    """Seconds of each timed epoch, and the accuracy on the test images afterwards."""
    # Read without importing lamina, whose thread pool has no business in a peer's process.
    with np.load(peers.mnist_file()) as data:
        x = data["x_train"][: plan.rows].reshape(-1, 784) / np.float32(255)
        y = data["y_train"][: plan.rows].astype(np.int32)
        x_test = data["x_test"].reshape(-1, 784) / np.float32(255)
        y_test = data["y_test"]
    seconds, predict = LOOPS[name](x, y, batch, plan.warmup + plan.epochs)
    accuracy = np.mean(np.argmax(predict(x_test), axis=1) == y_test)
    return seconds[plan.warmup :], float(accuracy)


def timed(epoch, count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        epoch()
        seconds.append(time.perf_counter() - start)
    return seconds


def lamina_loop(x, y, batch, epochs):
    """Each epoch is a whole call of fit: its checks and preparations count."""
    import lamina as la

    la.utils.set_random_seed(1)
    model = la.Sequential(
        [
            la.Input((784,)),
            la.layers.Dense(128, activation="relu"),
            la.layers.Dropout(0.2),
            la.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    seconds = timed(lambda: model.fit(x, y, batch_size=batch, epochs=1, verbose=0), epochs)
    return seconds, lambda rows: model.predict(rows, verbose=0)


def numpy_loop(x, y, batch, epochs):
    rng = np.random.default_rng(1)
    mlp = MLP(batch, rng)

    def epoch():
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch):
            mlp.step(x, y, order[start : start + batch])

    return timed(epoch, epochs), mlp.predict


def torch_loop(x, y, batch, epochs, fused=False):
    import torch

    torch.manual_seed(1)
    # As its users write it, or with the two switches that make it fastest.
    torch.set_flush_denormal(fused)
    model = torch.nn.Sequential(
        torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(128, 10)
    )
    # Without fused=True torch chooses by itself; fused=False would forbid more than that.
    adam = torch.optim.Adam(model.parameters(), eps=1e-7, fused=fused or None)
    cross_entropy = torch.nn.CrossEntropyLoss()
    rows, labels = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))

    def epoch():
        order = torch.randperm(len(rows))
        for start in range(0, len(rows), batch):
            index = order[start : start + batch]
            adam.zero_grad()
            cross_entropy(model(rows[index]), labels[index]).backward()
            adam.step()

    seconds = timed(epoch, epochs)
    model.eval()
    return seconds, lambda rows: model(torch.from_numpy(rows)).detach().numpy()


def torch_fused_loop(x, y, batch, epochs):
    return torch_loop(x, y, batch, epochs, fused=True)


def jax_loop(x, y, batch, epochs):
    """The whole epoch is one compiled call: scan over the batches, its buffers donated."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(1)
    whole = len(x) // batch * batch
    rate, decay_1, decay_2, eps, keep = 1e-3, 0.9, 0.999, 1e-7, 0.8

    def loss(weights, xb, yb, key):
        w1, b1, w2, b2 = weights
        hidden = jax.nn.relu(xb @ w1 + b1)
        kept = jax.random.bernoulli(key, keep, hidden.shape)
        logits = jnp.where(kept, hidden / keep, 0.0) @ w2 + b2
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), yb[:, None], 1).mean()

    def step(state, index, x, y):
        weights, m, v, count, key = state
        key, mask_key = jax.random.split(key)
        xb = x.at[index].get(mode="promise_in_bounds")
        yb = y.at[index].get(mode="promise_in_bounds")
        gradients = jax.grad(loss)(weights, xb, yb, mask_key)
        count = count + 1
        scaled = rate * jnp.sqrt(1 - decay_2**count) / (1 - decay_1**count)
        m = jax.tree.map(lambda m, g: m + (1 - decay_1) * (g - m), m, gradients)
        v = jax.tree.map(lambda v, g: v + (1 - decay_2) * (g * g - v), v, gradients)
        weights = jax.tree.map(lambda w, m, v: w - scaled * m / (jnp.sqrt(v) + eps), weights, m, v)
        return weights, m, v, count, key

    def scan_epoch(state, x, y, order):
        batches = order[:whole].reshape(-1, batch)
        state, _ = jax.lax.scan(lambda s, index: (step(s, index, x, y), None), state, batches)
        return step(state, order[whole:], x, y) if whole < len(x) else state

    compiled = jax.jit(scan_epoch, donate_argnums=0)
    weights = [glorot(rng, 784, 128), np.zeros(128, np.float32)]
    weights += [glorot(rng, 128, 10), np.zeros(10, np.float32)]
    weights = [jnp.array(w) for w in weights]
    zeros = lambda: [jnp.zeros_like(w) for w in weights]  # noqa: E731
    state = (weights, zeros(), zeros(), jnp.float32(0), jax.random.key(1))
    rows, labels = jnp.array(x), jnp.array(y)

    def epoch():
        nonlocal state
        order = jnp.asarray(rng.permutation(len(x)).astype(np.int32))
        state = jax.block_until_ready(compiled(state, rows, labels, order))

    seconds = timed(epoch, epochs)
    w1, b1, w2, b2 = (np.array(w) for w in state[0])
    return seconds, lambda rows: np.maximum(rows @ w1 + b1, 0) @ w2 + b2


def tensorflow_loop(x, y, batch, epochs):
    """One call of fit, each epoch timed by a callback: what fit does before the first one, such
    as copying the rows into a tensor, does not count."""
    import keras

    class Timer(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seconds = []

        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds.append(time.perf_counter() - self.start)

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    timer = Timer()
    model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0, callbacks=[timer])
    return timer.seconds, lambda rows: model.predict(rows, batch_size=1000, verbose=0)


def sklearn_loop(x, y, batch, epochs):
    """It has no dropout, and so less to do. Its own L2 penalty is off."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((128,), batch_size=batch, alpha=0.0, epsilon=1e-7, random_state=1)
    classes = np.arange(10)
    return timed(lambda: model.partial_fit(x, y, classes=classes), epochs), model.predict_proba


LOOPS = {
    "lamina": lamina_loop,
    "numpy": numpy_loop,
    "torch": torch_loop,
    "torch-fused": torch_fused_loop,
    "jax": jax_loop,
    "tensorflow": tensorflow_loop,
    "scikit-learn": sklearn_loop,
}
