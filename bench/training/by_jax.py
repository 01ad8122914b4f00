"""JAX: the whole epoch is one compiled call, a scan over the batches with its buffers donated; or
"steps": one such call a batch. XLA's convolutions are some nine times slower inside a loop on the
CPU, and its gradient of reduce_window twice as slow as that of a maximum over reshaped pixels, so
the CNN takes steps and reshapes."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..numpy_mlp import DECAY_1, DECAY_2, EPSILON, RATE, glorot
from .jobs import CNN_KERNELS


def hidden(job, weights, x):
    """What the last layer but the dropout sees. weights: kernel, bias, kernel, ..."""
    for kernel, bias in zip(weights[0:-2:2], weights[1:-2:2], strict=True):
        if job.sizes is None:
            x = lax.conv_general_dilated(
                x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(x + bias)
            n, height, width, channels = x.shape
            x = x[:, : height // 2 * 2, : width // 2 * 2]
            x = x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
        else:
            x = jax.nn.relu(x @ kernel + bias)
    return x.reshape(len(x), -1)


def train(job, x, y, timed, variant=""):
    rng = np.random.default_rng(1)
    batch, keep = job.batch, 1 - job.dropout
    whole = len(x) // batch * batch

    def loss(weights, xb, yb, key):
        h = hidden(job, weights, xb)
        if job.dropout:
            h = jnp.where(jax.random.bernoulli(key, keep, h.shape), h / keep, 0.0)
        logits = h @ weights[-2] + weights[-1]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), yb[:, None], 1).mean()

    def step(state, index, x, y):
        weights, m, v, count, key = state
        key, mask_key = jax.random.split(key)
        xb = x.at[index].get(mode="promise_in_bounds")
        yb = y.at[index].get(mode="promise_in_bounds")
        gradients = jax.grad(loss)(weights, xb, yb, mask_key)
        count = count + 1
        scaled = RATE * jnp.sqrt(1 - DECAY_2**count) / (1 - DECAY_1**count)
        m = jax.tree.map(lambda m, g: m + (1 - DECAY_1) * (g - m), m, gradients)
        v = jax.tree.map(lambda v, g: v + (1 - DECAY_2) * (g * g - v), v, gradients)
        weights = jax.tree.map(
            lambda w, m, v: w - scaled * m / (jnp.sqrt(v) + EPSILON), weights, m, v
        )
        return weights, m, v, count, key

    def scan_epoch(state, x, y, order):
        batches = order[:whole].reshape(-1, batch)
        state, _ = lax.scan(lambda s, index: (step(s, index, x, y), None), state, batches)
        return step(state, order[whole:], x, y) if whole < len(x) else state

    compiled = jax.jit(step if variant == "steps" else scan_epoch, donate_argnums=0)
    shapes = CNN_KERNELS if job.sizes is None else pairwise(job.sizes)
    weights = [
        jnp.array(array)
        for shape in shapes
        for array in (glorot(rng, *shape), np.zeros(shape[-1], np.float32))
    ]
    zeros = lambda: [jnp.zeros_like(w) for w in weights]  # noqa: E731
    state = (weights, zeros(), zeros(), jnp.float32(0), jax.random.key(1))
    rows, labels = jnp.array(x), jnp.array(y)

    def epoch():
        nonlocal state
        order = jnp.asarray(rng.permutation(len(x)).astype(np.int32))
        if variant == "steps":
            for start in range(0, len(x), batch):
                state = compiled(state, order[start : start + batch], rows, labels)
        else:
            state = compiled(state, rows, labels, order)
        jax.block_until_ready(state)

    timed(epoch)
    trained = state[0]
    scores = jax.jit(lambda rows: hidden(job, trained, rows) @ trained[-2] + trained[-1])
    return lambda rows: np.asarray(scores(rows))
