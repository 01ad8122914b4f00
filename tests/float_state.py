"""The floating-point state of the calling thread, as torch.set_flush_denormal(True) leaves it."""

import contextlib
import ctypes
import ctypes.util
import platform
import sys

# The word of glibc's fenv_t with the bits that make denormals zeros, and these bits.
_PLACES = {"x86_64": (7, 0x8040), "aarch64": (0, 1 << 24)}
CAN_FLUSH = sys.platform == "linux" and platform.machine() in _PLACES


@contextlib.contextmanager
def flushed():
    """Denormals count as zeros for this thread, and for threads that it starts."""
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    word, bits = _PLACES[platform.machine()]
    before, environment = (ctypes.c_uint32 * 16)(), (ctypes.c_uint32 * 16)()
    libm.fegetenv(before)
    libm.fegetenv(environment)
    environment[word] |= bits
    libm.fesetenv(environment)
    try:
        yield
    finally:
        libm.fesetenv(before)
