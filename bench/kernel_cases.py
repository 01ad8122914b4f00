"""Kernels that are bound by memory or by their polynomials: element by element, by rows, sums,
Adam, data.

Every contender writes into memory that it already has, where its library allows: fresh pages cost
more than most of these kernels do.
"""

import numpy as np

from . import numpy_mlp
from .case import EPS, Case, sum_tolerance
from .limits import Work

# Why lamina is below the machine's limit, where that is known: as slow an element in the cache.
EXP, PHILOX = "arithmetic: the polynomials of exp and tanh", "arithmetic: ten rounds of Philox"
ADAM = "arithmetic: a root and a quotient a parameter"
SHORT_ROWS = "the work for each row, which is shorter than a vector"


def cases(names: list[str], smoke: bool):
    big = 10_000 if smoke else 10_000_000
    few = 100 if smoke else None  # rows; the names say what a full run does
    for kind in ("relu", "sigmoid", "tanh", "gelu_tanh"):
        yield activation_case(kind, big, names)
    yield dropout_case("dropout (32, 128)", 32 * 128, names)
    yield dropout_case("dropout 1e7", big, names)
    for rows, cols in ((128, 10), (4096, 1000)):
        yield softmax_case(f"softmax ({rows}, {cols})", few or rows, cols, names)
    for rows, cols in ((128, 10), (4096, 1000), (512, 50_000)):
        yield cross_entropy_case(f"cross-entropy ({rows}, {cols})", few or rows, cols, names)
    for rows, cols in ((512, 128), (10_000, 1000)):
        yield column_sums_case(f"column sums ({rows}, {cols})", few or rows, cols, names)
    for size in (101_770, 1_000_000, 100_000_000):
        # 7 GB for the largest.
        yield adam_case(f"Adam, {size:,} parameters", min(size, big) if smoke else size, names)
    yield gather_case("gather 60,000×784, shuffled", 1000 if smoke else 60_000, names)


def activation_case(kind: str, size: int, names) -> Case:
    x = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
    y = np.empty_like(x)
    contenders = {}
    if "lamina" in names:
        from lamina import kernels

        a = np.empty_like(x)
        contenders["lamina"] = {
            "relu": lambda: kernels.relu_forward(x, out=a),
            "sigmoid": lambda: kernels.sigmoid_forward(x, out=a),
            "tanh": lambda: kernels.tanh_forward(x, out=a),
            "gelu_tanh": lambda: kernels.gelu_forward(x, approximate=True, out=a),
        }[kind]
    if "numpy" in names:
        contenders["numpy"] = {
            "relu": lambda: np.maximum(x, 0, out=y),
            "sigmoid": lambda: numpy_sigmoid(x, y),
            "tanh": lambda: np.tanh(x, out=y),
            "gelu_tanh": lambda: numpy_gelu_tanh(x, y),
        }[kind]
    if "torch" in names:
        import torch

        tx, ty = torch.from_numpy(x), torch.empty(size)
        contenders["torch"] = {
            "relu": lambda: torch.clamp_min(tx, 0, out=ty),
            "sigmoid": lambda: torch.sigmoid(tx, out=ty),
            "tanh": lambda: torch.tanh(tx, out=ty),
            "gelu_tanh": lambda: torch.ops.aten.gelu.out(tx, approximate="tanh", out=ty),
        }[kind]
    # exp and tanh are good to some 4 eps, and a handful of roundings follow, each of a value that
    # is at most max(1, |x|).
    scale = max(1.0, float(np.abs(x).max()))
    return Case(
        f"{kind} 1e7", contenders, 32 * EPS, scale, work=through(x, "" if kind == "relu" else EXP)
    )


def through(x, bound="") -> Work:
    """An array is read, one of its size is written."""
    return Work(read=x.nbytes, written=x.nbytes, bound=bound)


def by_rows(cols: int) -> str:
    return SHORT_ROWS if cols < 16 else EXP


def numpy_sigmoid(x, y):
    np.negative(x, out=y)
    np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)


def numpy_gelu_tanh(x, y):
    np.multiply(x, x, out=y)
    y *= 0.044715
    y += 1
    y *= x
    y *= (2 / np.pi) ** 0.5
    np.tanh(y, out=y)
    y += 1
    y *= x
    y *= 0.5
    return y


def dropout_case(name: str, size: int, names) -> Case:
    x = np.ones(size, np.float32)
    y = np.empty_like(x)
    rng = np.random.default_rng(0)
    contenders = {}
    if "lamina" in names:
        from lamina import kernels

        a = np.empty_like(x)
        contenders["lamina"] = lambda: kernels.dropout_forward(x, 0.5, 1, out=a)
    if "numpy" in names:
        contenders["numpy"] = lambda: numpy_dropout(rng, x, y)
    if "torch" in names:
        import torch

        tx = torch.from_numpy(x)
        contenders["torch"] = lambda: torch.nn.functional.dropout(tx, 0.5, True)
    # Each has its own random numbers; the share of zeros has the standard deviation 0.5 / sqrt n,
    # and two such shares are within 6 sqrt 2 of those of each other.
    share = lambda result: [np.mean(np.asarray(result) == 0)]  # noqa: E731
    return Case(name, contenders, 4.3 / size**0.5, work=through(x, PHILOX), view=share)


def numpy_dropout(rng, x, y):
    rng.random(dtype=np.float32, out=y)
    np.less(y, 0.5, out=y, casting="unsafe")
    y *= 2
    y *= x
    return y


def softmax_case(name: str, rows: int, cols: int, names) -> Case:
    x = np.random.default_rng(0).standard_normal((rows, cols), dtype=np.float32)
    contenders = {}
    if "lamina" in names:
        from lamina import kernels

        a = np.empty_like(x)
        contenders["lamina"] = lambda: kernels.softmax_forward(x, out=a)
    if "numpy" in names:
        y = np.empty_like(x)
        contenders["numpy"] = lambda: numpy_softmax(x, y)
    if "torch" in names:
        import torch

        tx, ty = torch.from_numpy(x), torch.empty(rows, cols)
        contenders["torch"] = lambda: torch.ops.aten._softmax.out(tx, -1, False, out=ty)
    return Case(name, contenders, 64 * EPS, work=through(x, by_rows(cols)))


def numpy_softmax(x, y):
    np.copyto(y, x)
    return numpy_mlp.softmax(y)


def cross_entropy_case(name: str, rows: int, cols: int, names) -> Case:
    """The loss of logits, and the gradient of its mean; the gradients are compared."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, cols), dtype=np.float32)
    labels = rng.integers(0, cols, rows)
    contenders = {}
    if "lamina" in names:
        from lamina import kernels

        loss, d = np.empty(rows, np.float32), np.empty_like(x)
        contenders["lamina"] = lambda: kernels.softmax_cross_entropy_sparse(
            x, labels, scale=1 / rows, out=(loss, d)
        )[1]
    if "numpy" in names:
        y, line = np.empty_like(x), np.arange(rows)
        contenders["numpy"] = lambda: numpy_cross_entropy(x, labels, line, y)[1]
    if "torch" in names:
        import torch

        tx, tl = torch.from_numpy(x).requires_grad_(), torch.from_numpy(labels)
        contenders["torch"] = lambda: torch.autograd.grad(
            torch.nn.functional.cross_entropy(tx, tl), tx
        )[0]
    # The sum of the row is good to cols / 16 eps, but what it divides is the smaller the longer
    # the row is: an element of the gradient times rows is within some 30 eps of the truth.
    return Case(name, contenders, 64 * EPS, scale=1 / rows, work=through(x, by_rows(cols)))


def numpy_cross_entropy(x, labels, line, y):
    np.copyto(y, x)
    numpy_mlp.softmax(y)
    loss = -np.log(y[line, labels])
    y[line, labels] -= 1
    y *= 1 / len(x)
    return loss, y


def column_sums_case(name: str, rows: int, cols: int, names) -> Case:
    """The gradient of a bias."""
    x = np.random.default_rng(0).random((rows, cols), dtype=np.float32)
    y = np.empty(cols, np.float32)
    contenders = {}
    if "lamina" in names:
        from lamina import kernels

        a = np.empty_like(y)
        contenders["lamina"] = lambda: kernels.column_sums(x, out=a)
    if "numpy" in names:
        contenders["numpy"] = lambda: np.sum(x, axis=0, out=y)
    if "torch" in names:
        import torch

        tx, ty = torch.from_numpy(x), torch.empty(cols)
        contenders["torch"] = lambda: torch.sum(tx, 0, out=ty)
    work = Work(read=x.nbytes, written=y.nbytes)
    return Case(name, contenders, sum_tolerance(rows), scale=float(rows), work=work)


def adam_case(name: str, size: int, names) -> Case:
    rng = np.random.default_rng(0)
    w = rng.standard_normal(size, dtype=np.float32)
    # Not near zero: PyTorch's epsilon is another one, which shows in small gradients.
    dw = rng.random(size, dtype=np.float32)
    dw += 0.5
    contenders = {}
    if "lamina" in names:
        from lamina import kernels

        contenders["lamina"] = stepper(w, lambda w, m, v, s, t: kernels.adam_step(w, m, v, dw, t))
    if "numpy" in names:
        contenders["numpy"] = stepper(
            w,
            lambda w, m, v, s, t: numpy_mlp.adam(
                w, m, v, dw, s, 1e-3 * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t)
            ),
        )
    if "torch" in names:
        import torch

        parameter = torch.nn.Parameter(torch.from_numpy(w.copy()))
        parameter.grad = torch.from_numpy(dw)
        fused = torch.optim.Adam([parameter], eps=1e-7, fused=True)

        def torch_step():
            fused.step()
            return parameter.detach()

        contenders["torch"] = torch_step
    # One rounding of w on each side, and a step (0.001) whose error is far below that.
    bound = ADAM if size < 10_000_000 else ""  # the largest waits for the memory
    work = Work(read=4 * w.nbytes, written=3 * w.nbytes, resident=4 * w.nbytes, bound=bound)
    return Case(name, contenders, 4 * EPS, scale=float(np.abs(w).max()), work=work)


def stepper(w, step):
    """A call that takes the next step on its own copy of w, and returns it."""
    w, count = w.copy(), 0
    m, v, scratch = np.zeros((3, w.size), np.float32)

    def call():
        nonlocal count
        count += 1
        step(w, m, v, scratch, count)
        return w

    return call


def gather_case(name: str, rows: int, names) -> Case:
    """The rows of MNIST in a new order: what shuffling costs."""
    rng = np.random.default_rng(0)
    x = rng.random((rows, 784), dtype=np.float32)
    order = rng.permutation(rows)
    contenders = {}
    if "lamina" in names:
        from lamina import kernels

        a = np.empty_like(x)
        contenders["lamina"] = lambda: kernels.gather_rows(x, order, out=a)
    if "numpy" in names:
        y = np.empty_like(x)
        contenders["numpy"] = lambda: np.take(x, order, axis=0, out=y, mode="clip")
    if "torch" in names:
        import torch

        tx, to, ty = torch.from_numpy(x), torch.from_numpy(order), torch.empty(rows, 784)
        contenders["torch"] = lambda: torch.index_select(tx, 0, to, out=ty)
    return Case(name, contenders, 0.0, work=through(x))
