"""NumPy by hand; see numpy_mlp.py. There is no CNN."""

import numpy as np

from ..numpy_mlp import MLP
from .jobs import shuffled


def train(job, x, y, timed):
    rng = np.random.default_rng(1)
    mlp = MLP(job.sizes, job.dropout, job.batch, rng)

    def epoch():
        for index in shuffled(rng, len(x), job.batch):
            mlp.step(x, y, index)

    timed(epoch)
    return mlp.predict
