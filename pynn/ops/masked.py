"""What becomes of values by a mask; made of other ops."""

from __future__ import annotations

import numpy as np

from pynn.core.tensor import Tensor
from pynn.ops.lengths import ALL, INT32, PLAIN, set_by_mask
from pynn.ops.masks import is_mask
from pynn.ops.math import div, less, maximum, mul, not_equal, where
from pynn.ops.reduce import sum

__all__ = ["as_mask_of"]


def as_mask_of(lengths: Tensor, steps: int) -> Tensor:
    """Return lengths [N] as a mask [N, T]; a mask as it is."""
    if is_mask(lengths):
        return lengths
    at = Tensor.state(np.arange(steps, dtype=INT32)[None])
    return less(at, lengths.reshape((lengths.shape[0], 1))).astype(INT32)


def _masked(x: Tensor, mask: Tensor, value: float, scale: int) -> Tensor:
    """Return what the op mask_steps does, of a mask."""
    rest = (1,) * (x.ndim - 2)
    if scale != PLAIN:
        real = mask.astype(x.dtype)
        count = sum(real) if scale == ALL else sum(real, axis=1)
        whole = float(mask.size if scale == ALL else mask.shape[1])
        factor = div(whole, maximum(count, 1.0))
        x = mul(x, factor if scale == ALL else factor.reshape((mask.shape[0], 1, *rest)))
    return where(not_equal(mask, 0).reshape((*mask.shape, *rest)), x, value)


set_by_mask(_masked)
