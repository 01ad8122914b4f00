"""Cases of constructors and settings: one argument is something that a user might pass by mistake.

It may be taken, or refused by a ValueError or TypeError that names the argument; nothing else.
"""

import numpy as np

import lamina as la

VALID = {
    "layers.Dense": {"units": 3, "activation": "relu", "use_bias": True, "name": "d"},
    "layers.Conv2D": {
        "filters": 2,
        "kernel_size": (3, 3),
        "strides": 1,
        "padding": "same",
        "dilation_rate": 1,
        "activation": None,
    },
    "layers.MaxPooling2D": {"pool_size": 2, "strides": None, "padding": "valid"},
    "layers.AveragePooling2D": {"pool_size": 2, "strides": 2, "padding": "same"},
    "layers.GlobalAveragePooling2D": {"keepdims": False},
    "layers.Dropout": {"rate": 0.5, "seed": 1},
    "layers.BatchNormalization": {"momentum": 0.9, "epsilon": 1e-3, "center": True, "scale": True},
    "layers.Embedding": {"input_dim": 5, "output_dim": 3},
    "layers.Reshape": {"target_shape": (2, 3)},
    "layers.Rescaling": {"scale": 0.5, "offset": 0.0},
    "layers.Activation": {"activation": "tanh"},
    "layers.LeakyReLU": {"negative_slope": 0.1},
    "layers.ELU": {"alpha": 1.0},
    "Input": {"shape": (3,)},
    "optimizers.SGD": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    "optimizers.Adam": {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7},
    "losses.BinaryCrossentropy": {"from_logits": True, "label_smoothing": 0.1},
    "losses.SparseCategoricalCrossentropy": {"from_logits": True},
    "callbacks.EarlyStopping": {"monitor": "loss", "min_delta": 0.0, "patience": 1, "mode": "min"},
    "initializers.Constant": {"value": 1.0},
    "initializers.RandomNormal": {"mean": 0.0, "stddev": 1.0, "seed": 3},
    "initializers.RandomUniform": {"minval": -1.0, "maxval": 1.0, "seed": 3},
    "set_num_threads": {"n": 1},
    "set_float32_matmul_precision": {"precision": "highest"},
    "utils.set_random_seed": {"seed": 3},
}


class Odd:
    """Has none of what is asked of it."""


def junk(g):
    choices = [
        None,
        True,
        -1,
        0,
        1,
        3,
        2**31,
        2**63,
        2**70,
        -(2**70),
        0.5,
        -0.5,
        1e39,
        -1e39,
        1e-46,
        float("nan"),
        float("inf"),
        10**400,
        "relu",
        "",
        "x" * 5000,
        b"relu",
        "0.5",
        (),
        (1,),
        (2, 2),
        (2, -2),
        (2, 2, 2),
        [None],
        {"class_name": "Dense"},
        {},
        set(),
        1j,
        Odd(),
        Odd,
        len,
        np.float32(0.5),
        np.float64(2.0),
        np.int8(3),
        np.uint64(2**63),
        np.array(2),
        np.array([2]),
        np.zeros((2, 2), np.float32),
        np.array(["a"]),
        np.datetime64("2020-01-01"),
        range(3),
        la.layers.Dense(2),
        la.optimizers.Adam(),
    ]
    return choices[g.integers(len(choices))]


def named(path):
    found = la
    for part in path.split("."):
        found = getattr(found, part)
    return found


def case(g):
    path = sorted(VALID)[g.integers(len(VALID))]
    arguments = dict(VALID[path])
    name = list(arguments)[g.integers(len(arguments))]
    value = junk(g)
    what = f"{path}({name}={str(value)[:60]!r} of {type(value).__name__})"
    try:
        named(path)(**{**arguments, name: value})
    except (ValueError, TypeError) as error:
        text = str(error)
        assert name.split("_")[0] in text, f"{what}: does not name the argument: {text[:300]}"
        assert len(text) < 2000, f"{what}: a message of {len(text)} characters"
    finally:
        if path.startswith("set_"):
            named(path)(**VALID[path])
    return what
