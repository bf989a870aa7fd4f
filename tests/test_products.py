"""Products whose operands are packed: the same bits as in pieces of few rows, which are read as they lie."""

import numpy as np
import pytest

import pynn
from pynn.core.card import CARDS
from pynn.core.graph import execute

PIECE = 40  # rows of C for which nothing that is row-major is packed (csrc/gemm_scratch.h), ...
LARGE, FEW = 1 << 18, 2  # ... and those where B has so many elements
SHAPES = [  # m, n, k and whether A is transposed
    (200, 512, 70, False), (260, 520, 330, False), (211, 300, 9, False),  # rows of B apart by 2 KB, and by other sizes
    (100, 512, 1024, False), (150, 256, 2048, False),  # rows of A apart by 4 KB
    (512, 300, 33, True), (1024, 256, 7, True), (512, 512, 400, True),  # terms of A apart by 2 KB
    (1024, 1040, 3, True), (500, 512, 64, True), (230, 200, 3000, False),
    (7, 1045, 3100, False), (3, 50003, 65, False), (20, 2048, 1600, True),  # B is huge, ...
    (24, 601, 600, False), (8, 1024, 513, False), (8, 1500, 1100, True), (19, 520, 510, False),  # ... or large
    (600, 1100, 330, True), (385, 1031, 64, True), (390, 515, 1024, False), (777, 2050, 350, True),  # all is large
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "n", "k", "transposed"), SHAPES)
def test_packing_changes_no_bit(m, n, k, transposed, dtype):
    if dtype == "float64" and pynn.config.info()["isa"] == "generic":
        pytest.skip("float64 without vectors is multiplied by SciPy's BLAS")
    rng = np.random.default_rng(m + n + k)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)

    def product(rows):
        left = np.ascontiguousarray(rows.T) if transposed else rows
        attributes = {"ta": transposed, "tb": False}
        return execute(CARDS["matmul"], (pynn.tensor(left), pynn.tensor(b)), attributes)[0].numpy()

    whole, piece = product(a), FEW if n * k >= LARGE else PIECE
    np.testing.assert_array_equal(whole, np.concatenate([product(a[i : i + piece]) for i in range(0, m, piece)]))
    tolerance = k * np.finfo(dtype).eps * 8
    np.testing.assert_allclose(whole, a.astype(np.float64) @ b.astype(np.float64), rtol=tolerance, atol=tolerance)
