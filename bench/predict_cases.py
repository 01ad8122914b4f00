"""Predictions of the MNIST model, NumPy in and NumPy out: of one test image, and of all 10,000; and
the same without zeros, which a layer may skip.
"""

import itertools

import numpy as np

from . import numpy_mlp, peers
from .case import EPS, Case
from .training.jobs import mnist, noise

DENSE = ", dense input"


def cases(names: list[str], smoke: bool):
    rng = np.random.default_rng(1)
    shapes = [(784, 128), (128,), (128, 10), (10,)]
    weights = [
        numpy_mlp.glorot(rng, *shape) if len(shape) == 2 else rng.random(shape, dtype=np.float32)
        for shape in shapes
    ]
    models = {name: MODELS[name](weights) for name in names}
    images = mnist()[2].reshape(-1, 784)
    many = 500 if smoke else 10_000
    kinds = itertools.product((("1 row", 1), ("10,000 rows", many)), ("", DENSE))
    for (name, rows), kind in kinds:
        x = images[:rows]
        if kind == DENSE:
            x = x + noise(rng, x.shape)
        contenders = {}
        for peer in names:
            for label, model in models[peer].items():
                contenders[label] = lambda model=model, x=x: model(x)
        # Rounding errors add up like a random walk (Higham and Mary, SIAM J. Sci. Comput. 41(5),
        # 2019): within 6 sqrt(terms) eps of a hidden unit's sum without cancellation, on either
        # side. The second layer's weights (columns of norm 1.4) and the softmax (slope at most
        # 1/4) do not enlarge that.
        scale = np.linalg.norm(x, axis=1).max() * np.linalg.norm(weights[0], axis=0).max()
        yield Case(name + kind, contenders, 2 * 6 * (784 + 128) ** 0.5 * EPS, scale=float(scale))


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


def jax_models(weights):
    import jax
    import jax.numpy as jnp

    w1, b1, w2, b2 = map(jnp.array, weights)
    forward = jax.jit(lambda x: jax.nn.softmax(jax.nn.relu(x @ w1 + b1) @ w2 + b2))
    return {"JAX jit": lambda x: np.asarray(forward(x))}


def tensorflow_models(weights):
    import keras

    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.set_weights(weights)
    return {"TensorFlow model.predict": lambda x: model.predict(x, verbose=0)}


def onnxruntime_models(weights):
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "w2", "b2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"]),
    ]
    names = ("w1", "b1", "w2", "b2")
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 784])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 10])],
        [numpy_helper.from_array(w, name) for w, name in zip(weights, names, strict=True)],
    )
    # A version of the format that every ONNX Runtime of these years reads.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = peers.limit()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return {"ONNX Runtime": lambda x: session.run(None, {"x": x})[0]}


MODELS = {
    "lamina": lamina_models,
    "numpy": numpy_models,
    "torch": torch_models,
    "jax": jax_models,
    "tensorflow": tensorflow_models,
    "onnxruntime": onnxruntime_models,
}
