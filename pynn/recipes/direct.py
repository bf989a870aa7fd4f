"""Convolutions in loops, as their definition has them, in C that the machine's own compiler makes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["SOURCE", "Direct", "compiled"]

#: Maps one after the other, [N, C, H, W], and kernels [O, C, K, K], as networks were written in 2006.
SOURCE = r"""
#include <string.h>
#define X x[((i * C + c) * H + u * S + r) * H + v * S + s]
#define DX dx[((i * C + c) * H + u * S + r) * H + v * S + s]
#define AT ((i * O + o) * M + u) * M + v
#define EACH(a, n) for (long a = 0; a < n; a++)

/* y[i,o,u,v] = b[o] + sum over c, r, s of x[i,c,u S + r,v S + s] w[o,c,r,s] */
void forward(float *y, const float *x, const float *w, const float *b, long N, long C, long H, long O, long K, long S) {
    const long M = (H - K) / S + 1;
    EACH(i, N) EACH(o, O) EACH(u, M) EACH(v, M) {
        float sum = b[o];
        EACH(c, C) EACH(r, K) EACH(s, K) sum += X * w[((o * C + c) * K + r) * K + s];
        y[AT] = sum;
    }
}

/* The gradients of a sum over dy y */
void backward(float *dx, float *dw, float *db, const float *dy, const float *x, const float *w,
              long N, long C, long H, long O, long K, long S) {
    const long M = (H - K) / S + 1;
    memset(dx, 0, sizeof(float) * N * C * H * H);
    memset(dw, 0, sizeof(float) * O * C * K * K);
    memset(db, 0, sizeof(float) * O);
    EACH(i, N) EACH(o, O) EACH(u, M) EACH(v, M) {
        const float g = dy[AT];
        db[o] += g;
        EACH(c, C) EACH(r, K) EACH(s, K) {
            dw[((o * C + c) * K + r) * K + s] += g * X;
            DX += g * w[((o * C + c) * K + r) * K + s];
        }
    }
}
"""
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")  # the optimization that pynn's own kernels are built with


class Direct:
    """A convolution without padding, in direct loops, forward and backward.

    Parameters
    ----------
    library : ctypes.CDLL
    x : ndarray of float32 [N, C, H, H]
    w : ndarray of float32 [O, C, K, K]
    b : ndarray of float32 [O]
    stride : int
    """

    def __init__(self, library: Any, x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int):
        self.library, self.stride = library, stride
        self.x, self.w, self.b = (np.ascontiguousarray(a, np.float32) for a in (x, w, b))
        n, channels, height = self.x.shape[:3]
        filters, _, kernel = self.w.shape[:3]
        out = (height - kernel) // stride + 1
        self.y = np.empty((n, filters, out, out), np.float32)
        self.dx, self.dw, self.db = (np.empty_like(a) for a in (self.x, self.w, self.b))
        self.sizes = [ctypes.c_long(k) for k in (n, channels, height, filters, kernel, stride)]

    def forward(self) -> np.ndarray:
        """Return y [N, O, M, M]."""
        self.library.forward(*map(_pointer, (self.y, self.x, self.w, self.b)), *self.sizes)
        return self.y

    def backward(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return dx, dw and db for dy [N, O, M, M], contiguous."""
        arrays = self.dx, self.dw, self.db, dy, self.x, self.w
        self.library.backward(*map(_pointer, arrays), *self.sizes)
        return self.dx, self.dw, self.db


def _pointer(a: np.ndarray) -> Any:
    return a.ctypes.data_as(ctypes.c_void_p)


def compiled() -> Any:
    """Return the loops as a loaded library, or None where there is no C compiler.

    Examples
    --------
    >>> library = compiled()
    >>> x, w, b = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), np.zeros(1)
    >>> None if library is None else Direct(library, x, w, b, 1).forward().max()  # doctest: +SKIP
    4.0
    """
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, built = Path(folder) / "direct.c", Path(folder) / "direct.so"
        source.write_text(SOURCE)
        made = subprocess.run([compiler, *FLAGS, str(source), "-o", str(built)], capture_output=True, check=False)
        return ctypes.CDLL(str(built)) if made.returncode == 0 else None
