"""The libraries of products that the benchmarks call through ctypes: found, loaded, understood."""

import ctypes

import numpy as np
import pytest
from bench import gemm_cases, products
from bench.peers import Peer


def test_a_library_is_a_peer_where_it_is_installed(tmp_path, monkeypatch):
    peer = Peer("beads", "beads-of-glass", library="libbeads_rt")
    assert (peer.installed, peer.version) == (False, "unknown")
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "beads_of_glass-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: beads-of-glass\nVersion: 1.2\n")
    (folder / "RECORD").write_text("lib/libbeads_rt_data.so.3,,\nlib/libbeads_rt.so.3,,\n")
    assert (peer.installed, peer.version) == (False, "1.2")
    (tmp_path / "lib").mkdir()
    file = tmp_path / "lib" / "libbeads_rt.so.3"
    file.write_text("no library")
    assert peer.library_file() == file
    with pytest.raises(OSError, match="libbeads_rt"):
        products.load(file)


class Beads:
    """A library of products that reads its arguments as MKL and oneDNN do."""

    @staticmethod
    def matrix(pointer, rows, stride):
        floats = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(floats, (rows.value, stride.value))

    def product(self, transposed, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
        trans_a, trans_b = transposed
        left = self.matrix(a, k if trans_a else m, lda)
        right = self.matrix(b, n if trans_b else k, ldb)
        assert (alpha.value, beta.value) == (1, 0)
        self.matrix(c, m, ldc)[:] = (left.T if trans_a else left) @ (right.T if trans_b else right)

    def cblas_sgemm(self, order, trans_a, trans_b, *rest):
        assert (order.value, rest[0].value) == (101, 3)
        self.product([flag.value == 112 for flag in (trans_a, trans_b)], *rest)

    def dnnl_sgemm(self, trans_a, trans_b, *rest):
        self.product([flag.value == b"T" for flag in (trans_a, trans_b)], *rest)


@pytest.mark.parametrize("transposed", ["", "A", "B", "AB"])
def test_the_arguments_of_the_libraries_of_products(monkeypatch, transposed):
    monkeypatch.setattr(products, "library", lambda name: Beads())
    names = ["lamina", "numpy", "mkl", "onednn"]
    case = gemm_cases.gemm_case("3×4×5", 3, 4, 5, transposed, names, False)
    found = case.disagreement()
    assert list(found) == names
    assert max(found.values()) <= case.tolerance
    with_bias = gemm_cases.gemm_case("3×4×5", 3, 4, 5, transposed, names, True)
    assert list(with_bias.disagreement()) == ["lamina", "numpy"]
