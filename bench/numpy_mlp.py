"""An MLP by hand in NumPy, the baseline that everybody has: float32, no temporaries.

All parameters lie in one flat array, and so do gradients and moments, so that Adam is a dozen
calls on long vectors; every result goes into a buffer that was allocated once.
"""

from itertools import pairwise

import numpy as np

RATE, DECAY_1, DECAY_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7


def glorot(rng, *shape: int) -> np.ndarray:
    """Uniform in +-sqrt(6 / (inputs + outputs)) of a dense kernel (inputs, outputs) or an image
    kernel (height, width, channels, filters). Glorot and Bengio, AISTATS 2010."""
    taps = int(np.prod(shape[:-2]))
    limit = np.sqrt(6.0 / (taps * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def forward(x, *weights) -> np.ndarray:
    """Probabilities (rows, classes) of x, without dropout. weights: kernel, bias, kernel, ..."""
    for i in range(0, len(weights), 2):
        x = x @ weights[i]
        x += weights[i + 1]
        if i + 2 < len(weights):
            np.maximum(x, 0, out=x)
    return softmax(x)


def softmax(z: np.ndarray) -> np.ndarray:
    """Along the rows of z, in place."""
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return z


class MLP:
    """Dense layers of these sizes, relu between, dropout before the last, softmax; Adam."""

    def __init__(self, sizes: tuple[int, ...], dropout: float, batch: int, rng) -> None:
        self.rng, self.keep = rng, 1 - dropout
        shapes = [shape for pair in pairwise(sizes) for shape in (pair, pair[1:])]
        size = sum(int(np.prod(shape)) for shape in shapes)
        self.flat, self.gradient, self.m, self.v, self.scratch = np.zeros((5, size), np.float32)
        self.weights, self.gradients, start = [], [], 0
        for shape in shapes:
            end = start + int(np.prod(shape))
            self.weights.append(self.flat[start:end].reshape(shape))
            self.gradients.append(self.gradient[start:end].reshape(shape))
            start = end
        for kernel in self.weights[::2]:
            kernel[:] = glorot(rng, *kernel.shape)
        self.steps = 0
        self.values = [np.empty((batch, width), np.float32) for width in sizes]
        self.slopes = [np.empty_like(value) for value in self.values[1:-1]]
        self.mask = np.empty_like(self.values[-2])
        self.range = np.arange(batch)

    def step(self, x, y, index) -> None:
        rows = len(index)
        values = [value[:rows] for value in self.values]
        slopes, mask = [slope[:rows] for slope in self.slopes], self.mask[:rows]
        kernels, biases = self.weights[::2], self.weights[1::2]
        last = len(kernels) - 1

        np.take(x, index, axis=0, out=values[0], mode="clip")  # the others go through a buffer
        for i in range(last + 1):
            np.matmul(values[i], kernels[i], out=values[i + 1])
            values[i + 1] += biases[i]
            if i < last:
                np.maximum(values[i + 1], 0, out=values[i + 1])
            if i == last - 1 and self.keep < 1:
                self.draw_mask(mask)
                values[last] *= mask

        dlogits = softmax(values[-1])
        dlogits[self.range[:rows], y[index]] -= 1
        dlogits *= 1 / rows
        dvalue = dlogits
        for i in range(last, -1, -1):
            np.matmul(values[i].T, dvalue, out=self.gradients[2 * i])
            np.sum(dvalue, axis=0, out=self.gradients[2 * i + 1])
            if i == 0:
                break
            slope = slopes[i - 1]
            np.matmul(dvalue, kernels[i].T, out=slope)
            if i == last and self.keep < 1:
                slope *= mask
            slope *= values[i] > 0
            dvalue = slope
        self.adam()

    def draw_mask(self, mask) -> None:
        """1 / keep with probability keep, else 0."""
        self.rng.random(dtype=np.float32, out=mask)
        np.less(mask, self.keep, out=mask, casting="unsafe")
        mask *= 1 / self.keep

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
