"""Predictions of the MNIST model, NumPy in and NumPy out: one row, and 10,000 rows."""

import numpy as np

from . import numpy_mlp
from .case import EPS, Case


def cases(names: list[str], smoke: bool):
    rng = np.random.default_rng(1)
    shapes = [(784, 128), (128,), (128, 10), (10,)]
    weights = [
        numpy_mlp.glorot(rng, *shape) if len(shape) == 2 else rng.random(shape, dtype=np.float32)
        for shape in shapes
    ]
    models = {name: MODELS[name](weights) for name in names}
    for rows in (1, 10_000):
        x = rng.random((min(rows, 500) if smoke else rows, 784), dtype=np.float32)
        contenders = {}
        for name in names:
            for label, model in models[name].items():
                contenders[label] = lambda model=model, x=x: model(x)
        name = "1 row" if rows == 1 else f"{rows:,} rows"
        # Rounding errors add up like a random walk (Higham and Mary, SIAM J. Sci. Comput. 41(5),
        # 2019): within 6 sqrt(terms) eps of a hidden unit's sum without cancellation, on either
        # side. The second layer's weights (columns of norm 1.4) and the softmax (slope at most
        # 1/4) do not enlarge that.
        scale = np.linalg.norm(x, axis=1).max() * np.linalg.norm(weights[0], axis=0).max()
        yield Case(name, contenders, 2 * 6 * (784 + 128) ** 0.5 * EPS, scale=float(scale))


def lamina_models(weights):
    import lamina as la

    model = la.Sequential(
        [
            la.Input((784,)),
            la.layers.Dense(128, activation="relu"),
            la.layers.Dropout(0.2),
            la.layers.Dense(10, activation="softmax"),
        ]
    )
    model.set_weights(weights)
    return {"lamina": lambda x: model.predict(x, verbose=0)}


def numpy_models(weights):
    return {"numpy": lambda x: numpy_mlp.forward(x, *weights)}


def torch_models(weights):
    import torch

    w1, b1, w2, b2 = (torch.from_numpy(w.T.copy()) for w in weights)
    model = torch.nn.Sequential(
        torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10), torch.nn.Softmax(1)
    )
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), (w1, b1, w2, b2), strict=True):
            parameter.copy_(value)
    model.eval()
    # Dropout is left out: it would only add to the time of the eager model.
    frozen = torch.jit.freeze(torch.jit.trace(model, torch.zeros(1, 784)))

    def eager(x):
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    def traced(x):
        with torch.inference_mode():
            return frozen(torch.from_numpy(x)).numpy()

    return {"torch": eager, "torch traced": traced}


MODELS = {"lamina": lamina_models, "numpy": numpy_models, "torch": torch_models}
