"""Runs every kernel on arrays that end, and then on such that begin, where memory may no longer be
touched: a byte too far ends the process. It prints each kernel's name before it is called, so that
the last one tells. test_isas.py runs it for each instruction set.
"""

import ctypes
import inspect
import mmap

import numpy as np

import kernel_digests
from kernel_inputs import rng
from lamina import kernels

PAGE = mmap.PAGESIZE
mprotect = ctypes.CDLL(None, use_errno=True).mprotect


def at_edge(array, ends):
    """A copy of the array that ends at a page which cannot be touched, or begins behind one."""
    array = np.ascontiguousarray(array)
    inner = max(1, -(-array.nbytes // PAGE)) * PAGE
    area = mmap.mmap(-1, PAGE + inner + PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    for outer in (address, address + PAGE + inner):
        if mprotect(ctypes.c_void_p(outer), ctypes.c_size_t(PAGE), 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
    first = PAGE + (inner - array.nbytes if ends else 0)
    view = np.frombuffer(area, array.dtype, array.size, first).reshape(array.shape)
    view[...] = array
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


if __name__ == "__main__":
    for ends in (True, False):
        kernel_digests.kernels = AtEdge(ends)
        for i, group in enumerate(kernel_digests.GROUPS[: 6 if ends else 5]):  # the last is slow
            for _ in group(rng(200, i)):
                pass
        assert kernel_digests.kernels.calls > 100
    print("no step beyond")
