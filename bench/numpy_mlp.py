"""The MNIST model by hand in NumPy, the baseline that everybody has: float32, no temporaries.

All parameters lie in one flat array, and so do gradients and moments, so that Adam is a dozen
calls on long vectors; every result goes into a buffer that was allocated once.
"""

import numpy as np

RATE, DECAY_1, DECAY_2, EPSILON, KEEP = 1e-3, 0.9, 0.999, 1e-7, 0.8


def glorot(rng, rows: int, cols: int) -> np.ndarray:
    """Uniform in +-sqrt(6 / (rows + cols)). Glorot and Bengio, AISTATS 2010."""
    limit = np.sqrt(6.0 / (rows + cols))
    return rng.uniform(-limit, limit, (rows, cols)).astype(np.float32)


def forward(x, w1, b1, w2, b2) -> np.ndarray:
    """Probabilities (rows, 10) of x (rows, 784), without dropout."""
    hidden = x @ w1
    hidden += b1
    np.maximum(hidden, 0, out=hidden)
    logits = hidden @ w2
    logits += b2
    return softmax(logits)


def softmax(z: np.ndarray) -> np.ndarray:
    """Along the rows of z, in place."""
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return z


class MLP:
    """784 -> 128 relu -> dropout 0.2 -> 10 softmax, trained with Adam."""

    def __init__(self, batch: int, rng) -> None:
        self.rng = rng
        shapes = [(784, 128), (128,), (128, 10), (10,)]
        size = sum(int(np.prod(shape)) for shape in shapes)
        self.flat, self.gradient, self.m, self.v, self.scratch = np.zeros((5, size), np.float32)
        self.weights, self.gradients, start = [], [], 0
        for shape in shapes:
            end = start + int(np.prod(shape))
            self.weights.append(self.flat[start:end].reshape(shape))
            self.gradients.append(self.gradient[start:end].reshape(shape))
            start = end
        self.weights[0][:] = glorot(rng, 784, 128)
        self.weights[2][:] = glorot(rng, 128, 10)
        self.steps = 0
        self.x = np.empty((batch, 784), np.float32)
        self.hidden, self.dhidden, self.mask = np.empty((3, batch, 128), np.float32)
        self.logits = np.empty((batch, 10), np.float32)
        self.range = np.arange(batch)

    def step(self, x, y, index) -> None:
        rows = len(index)
        xb, hidden, dhidden = self.x[:rows], self.hidden[:rows], self.dhidden[:rows]
        mask, logits = self.mask[:rows], self.logits[:rows]
        w1, b1, w2, b2 = self.weights
        dw1, db1, dw2, db2 = self.gradients

        np.take(x, index, axis=0, out=xb, mode="clip")  # the other modes go through a buffer
        np.matmul(xb, w1, out=hidden)
        hidden += b1
        np.maximum(hidden, 0, out=hidden)
        self.rng.random(dtype=np.float32, out=mask)
        np.less(mask, KEEP, out=mask, casting="unsafe")
        mask *= 1 / KEEP
        hidden *= mask
        np.matmul(hidden, w2, out=logits)
        logits += b2

        softmax(logits)
        logits[self.range[:rows], y[index]] -= 1
        logits *= 1 / rows
        np.matmul(hidden.T, logits, out=dw2)
        np.sum(logits, axis=0, out=db2)
        np.matmul(logits, w2.T, out=dhidden)
        dhidden *= mask
        dhidden *= hidden > 0
        np.matmul(xb.T, dhidden, out=dw1)
        np.sum(dhidden, axis=0, out=db1)
        self.adam()

    def adam(self) -> None:
        self.steps += 1
        rate = RATE * (1 - DECAY_2**self.steps) ** 0.5 / (1 - DECAY_1**self.steps)
        adam(self.flat, self.m, self.v, self.gradient, self.scratch, rate)

    def predict(self, x) -> np.ndarray:
        return forward(x, *self.weights)


def adam(w, m, v, dw, scratch, rate) -> None:
    """One step in place, rate already corrected for bias. Kingma and Ba, ICLR 2015."""
    m *= DECAY_1
    np.multiply(dw, 1 - DECAY_1, out=scratch)
    m += scratch
    v *= DECAY_2
    np.multiply(dw, dw, out=scratch)
    scratch *= 1 - DECAY_2
    v += scratch
    np.sqrt(v, out=scratch)
    scratch += EPSILON
    np.divide(m, scratch, out=scratch)
    scratch *= rate
    w -= scratch
