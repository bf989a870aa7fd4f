"""Random numbers for layers, losses and loops of one's own: recorded with a step, and others in every step.

They are counter-based, as those of :class:`pynn.nn.Dropout`: a number depends on a seed, a step, the op within the step
and its place alone, so they are the same for any number of threads, with and without ``run_eagerly``, and after a
resumed training.

While a model trains, the seed is that of ``compile(seed=...)`` and the step is the number of updates so far. Otherwise
(``predict``, ``evaluate``, a layer called by hand) they come from one source for the whole process that goes on with
every call, so that each call draws others; :func:`seed` sets it back. What draws while it predicts has no
``predict_fn()``; calls made by several threads at the same time may draw the same numbers.

NumPy's and Python's generators inside ``forward()`` would be asked once, when the step is recorded, and their numbers
repeated for ever; that is refused.

Examples
--------
>>> import pynn
>>> from pynn import nn
>>> class Noise(nn.Module):
...     def forward(self, x):
...         return x + pynn.random.normal(x.shape, std=0.1)
>>> pynn.random.seed(0)
>>> a, b = (Noise()([[1.0, 2.0]]).numpy() for _ in range(2))
>>> bool((a == b).all())
False
>>> pynn.random.seed(0)
>>> bool((Noise()([[1.0, 2.0]]).numpy() == a).all())
True
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pynn.checks import integer, is_number
from pynn.core.flat import Slots
from pynn.core.state import state
from pynn.core.tensor import Tensor, as_dtype
from pynn.ops import random, steps
from pynn.ops.math import add, less, mul
from pynn.ops.reduce import expand
from pynn.ops.shape import cast

__all__ = ["bernoulli", "integers", "normal", "seed", "uniform"]

MOST_INTEGERS = 2**24  # how many different numbers a draw has

_process = Slots(0)  # the source outside of training: its seed, and as its step the draws so far


def _drawn(draw: Callable[..., Tensor]) -> Tensor:
    """Return draw(seed=, step=, salt=) with the numbers that are next."""
    rng = state.rng
    if rng is not None:
        return draw(seed=rng.seed, step=rng.step, salt=rng.salt())
    y = draw(seed=_process.seed, step=_process.step, salt=0)
    if not state.trial:
        steps.advance(_process, 1, 0)
    return y


def seed(value: int) -> None:
    """Set the source of what is drawn outside of training back to its beginning.

    Parameters
    ----------
    value : int
        At least 0.
    """
    _process.seed.view()[0] = integer("random", "seed", value)
    _process.step.view()[0] = 0


def normal(shape: Sequence[int], mean: float = 0.0, std: float = 1.0, dtype: Any = np.float32) -> Tensor:
    """Return normally distributed numbers.

    Parameters
    ----------
    shape : sequence of int
    mean : float, default 0.0
    std : float, default 1.0
    dtype : {"float32", "float64"}, default "float32"

    Examples
    --------
    >>> normal((2, 3)).shape
    (2, 3)
    """
    return _drawn(lambda **source: random.normal(shape, mean, std, dtype=dtype, **source))


def uniform(shape: Sequence[int], low: float = 0.0, high: float = 1.0, dtype: Any = np.float32) -> Tensor:
    """Return numbers uniform in [low, high).

    Parameters
    ----------
    shape : sequence of int
    low : float, default 0.0
    high : float, default 1.0
    dtype : {"float32", "float64"}, default "float32"

    Examples
    --------
    >>> bool((uniform((100,)).numpy() < 1).all())
    True
    """
    return _drawn(lambda **source: random.uniform(shape, low, high, dtype=dtype, **source))


def bernoulli(shape: Sequence[int], p: Any = 0.5, dtype: Any = np.float32) -> Tensor:
    """Return ones with probability p, else zeros: a mask of what is kept.

    Parameters
    ----------
    shape : sequence of int
    p : float or Tensor that broadcasts to shape, default 0.5
        In [0, 1].
    dtype : dtype, default "float32"
        "bool" gives a mask for ``ops.where``.

    Raises
    ------
    ValueError
        If p is a number out of range.

    Examples
    --------
    >>> sorted(set(bernoulli((100,), 0.3).numpy().tolist()))
    [0.0, 1.0]
    """
    if not isinstance(p, Tensor) and not (is_number(p) and 0 <= p <= 1):
        raise ValueError(f"[bernoulli] expected a probability p in [0, 1]. Received: p={p!r}.")
    if isinstance(p, Tensor) and as_dtype(dtype) == p.dtype:  # the same numbers in one pass
        wide = p if p.shape == tuple(shape) else expand(p, shape)
        return _drawn(lambda **source: random.bernoulli(wide, **source))
    on = less(uniform(shape, dtype=p.dtype if isinstance(p, Tensor) else np.float32), p)
    return on if as_dtype(dtype) == np.bool_ else cast(on, dtype)


def integers(shape: Sequence[int], low: int, high: int, dtype: Any = np.int32) -> Tensor:
    """Return integers, each of low ... high - 1 as likely as another.

    Parameters
    ----------
    shape : sequence of int
    low : int
        high above low, by at most 2**24.
    high : int
        high above low, by at most 2**24.
    dtype : {"int32", "int64"}, default "int32"

    Raises
    ------
    ValueError
        If high is not above low, or too far.

    Examples
    --------
    >>> sorted(set(integers((100,), 1, 4).numpy().tolist()))
    [1, 2, 3]
    """
    low = integer("integers", "low", low, least=-(2**31))
    count = integer("integers", "high - low", integer("integers", "high", high, least=-(2**31)) - low, 1, MOST_INTEGERS)
    at = cast(mul(uniform(shape, dtype=np.float64), float(count)), dtype)
    return add(at, low)
