"""Runs every kernel, and models that read their input in place, on arrays that end, and then on
such that begin, where memory may no longer be touched: a byte too far ends the process. So does a
model that writes its input. It prints what is run before it is, so that the last line tells.
test_isas.py runs it for each instruction set.
"""

import ctypes
import inspect
import mmap

import numpy as np

import kernel_digests
import lamina as la
from kernel_inputs import rng
from lamina import kernels

PAGE = mmap.PAGESIZE
NOTHING, READING = 0, mmap.PROT_READ  # what a page may be used for
mprotect = ctypes.CDLL(None, use_errno=True).mprotect


def protect(address, size, use):
    if mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), use) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")


def at_edge(array, ends, read_only=False):
    """A copy of the array that ends at a page which cannot be touched, or begins behind one."""
    array = np.ascontiguousarray(array)
    inner = max(1, -(-array.nbytes // PAGE)) * PAGE
    area = mmap.mmap(-1, PAGE + inner + PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    for outer in (address, address + PAGE + inner):
        protect(outer, PAGE, NOTHING)
    first = PAGE + (inner - array.nbytes if ends else 0)
    view = np.frombuffer(area, array.dtype, array.size, first).reshape(array.shape)
    view[...] = array
    if read_only:
        protect(address + PAGE, inner, READING)
    return view


class AtEdge:
    """lamina.kernels, whose functions get copies of their arguments, and outputs, at an edge."""

    def __init__(self, ends):
        self.ends = ends
        self.calls = 0

    def __getattr__(self, name):
        function = getattr(kernels, name)
        takes_out = "out" in inspect.signature(function).parameters

        def moved(value):
            return at_edge(value, self.ends) if isinstance(value, np.ndarray) else value

        def call(*args, **kwargs):
            print(name, *(np.shape(a) for a in args if isinstance(a, np.ndarray)), flush=True)
            args = [moved(value) for value in args]
            kwargs = {key: moved(value) for key, value in kwargs.items()}
            result = function(*args, **kwargs)
            if takes_out and "out" not in kwargs and isinstance(result, np.ndarray):
                function(*args, **kwargs, out=at_edge(result, self.ends))
            self.calls += 1
            return result

        return call


def run_models(random, ends):
    """Every way to run batches in order, over rows with zeros and rows without."""
    x = random.uniform(0.5, 1, (70, 7, 7, 18)).astype(np.float32)
    x[40:] *= random.random((30, 7, 7, 18)) < 0.2
    x = at_edge(x, ends, read_only=True)
    y = np.zeros((70, 33), np.float32)
    layers = la.layers
    for first in (
        [layers.Flatten(), layers.Dense(40)],
        [layers.Dense(40)],
        [layers.Conv2D(17, 3)],
        [layers.Conv2D(17, 3, padding="same")],
        [layers.Conv2D(17, 2, padding="same", strides=2)],
        [layers.Rescaling(2.0), layers.Dense(3)],
        [layers.Activation("relu")],
        [layers.BatchNormalization()],
    ):
        print([type(layer).__name__ for layer in first], flush=True)
        model = la.Sequential([la.Input(x.shape[1:]), *first, layers.Flatten(), layers.Dense(33)])
        model.compile("sgd", "mse")
        model.fit(x, y, shuffle=False, verbose=0)
        model.train_on_batch(x, y)
        model.evaluate(x, y, verbose=0)
        for rows in (x, x[-5:], x[-1:], x[:3]):
            model.predict(rows, verbose=0)


if __name__ == "__main__":
    for ends in (True, False):
        kernel_digests.kernels = AtEdge(ends)
        for i, group in enumerate(kernel_digests.GROUPS[:5]):
            for _ in group(rng(200, i)):
                pass
        # Slow where a matrix unit is emulated; the levels differ in what lies between the arrays.
        for _ in kernel_digests.products_of_parts(rng(200, 5), levels=("low",)):
            pass
        assert kernel_digests.kernels.calls > 100
        run_models(rng(300), ends)
    print("no step beyond")
