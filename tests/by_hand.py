"""A small network trained by hand in float64: what lamina's training is held against.

Written from the formulas, with nothing of lamina in it: Dense layers with relu between them,
softmax and cross-entropy at the end, and Keras's optimizers.
"""

import numpy as np


def forward(weights, x):
    """The inputs of each layer, and the logits."""
    inputs = [x]
    for i in range(0, len(weights), 2):
        z = inputs[-1] @ weights[i] + weights[i + 1]
        inputs.append(np.maximum(z, 0) if i + 2 < len(weights) else z)
    return inputs[:-1], inputs[-1]


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def losses(weights, x, y):
    """The cross-entropy of each row."""
    p = softmax(forward(weights, x)[1])
    return -np.log(p[np.arange(len(y)), y])


def gradients(weights, x, y, w):
    """Of sum(w * losses) / rows."""
    inputs, logits = forward(weights, x)
    d = softmax(logits)
    d[np.arange(len(y)), y] -= 1
    d *= w[:, None] / len(y)
    result = []
    for i in range(len(weights) - 2, -1, -2):
        h = inputs[i // 2]
        result[:0] = [h.T @ d, d.sum(axis=0)]
        d = (d @ weights[i].T) * (h > 0)
    return result


def sgd(rate, momentum=0.0, nesterov=False):
    state = {}

    def step(i, w, g):
        m = state[i] = momentum * state.get(i, 0) - rate * g
        return w + (momentum * m - rate * g if nesterov else m)

    return step


def adam(rate, b1=0.9, b2=0.999, epsilon=1e-7):
    state = {}

    def step(i, w, g):
        t, m, v = state.get(i, (0, 0.0, 0.0))
        t, m, v = t + 1, b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        state[i] = t, m, v
        return w - rate * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + epsilon)

    return step


def train(weights, step, x, y, *, batch_size, epochs, w=None):
    """The weights after training, and the loss reported for each epoch."""
    weights = [np.array(a, np.float64) for a in weights]
    w = np.ones(len(x)) if w is None else np.asarray(w, np.float64)
    reported = []
    for _ in range(epochs):
        total = 0.0
        for i in range(0, len(x), batch_size):
            part = slice(i, i + batch_size)
            total += (w[part] * losses(weights, x[part], y[part])).sum()
            g = gradients(weights, x[part], y[part], w[part])
            weights = [step(k, a, b) for k, (a, b) in enumerate(zip(weights, g, strict=True))]
        reported.append(total / len(x))
    return weights, reported
