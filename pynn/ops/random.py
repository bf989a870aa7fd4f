"""Random ops. Their numbers depend on a seed, a step, a salt and the position alone (Philox4x32-10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pynn.checks import MOST, integer, number
from pynn.core.card import Card, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.tensor import FLOATS, Tensor, as_dtype
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import INT64, Rng, as_tensor, need_float, size

UINT8 = np.dtype("uint8")
MASK32 = np.uint64(0xFFFFFFFF)


def philox(n: int, seed: int, step: int, salt: int) -> np.ndarray:
    """Return the random 32-bit words of elements 0 ... n - 1, as the kernels compute them (csrc/kernels/random.h)."""
    u64 = np.uint64
    block = np.arange(-(-n // 64) * 16, dtype=u64)
    key0, key1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    c0 = block & MASK32
    c1 = (block >> u64(32)) ^ u64((step >> 32) & 0xFFFFFFFF)
    c2 = np.full_like(block, step & 0xFFFFFFFF)
    c3 = np.full_like(block, salt)
    for _ in range(10):
        p, r = c0 * u64(0xD2511F53), c2 * u64(0xCD9E8D57)
        c0, c1, c2, c3 = (r >> u64(32)) ^ c1 ^ u64(key0), r & MASK32, (p >> u64(32)) ^ c3 ^ u64(key1), p & MASK32
        key0, key1 = (key0 + 0x9E3779B9) & 0xFFFFFFFF, (key1 + 0xBB67AE85) & 0xFFFFFFFF
    words = np.stack([c.reshape(-1, 16) for c in (c0, c1, c2, c3)], axis=1)  # 64 elements: word, then block
    return words.reshape(-1)[:n].astype(np.uint32)


def _counters(name: str, seed: Tensor, step: Tensor) -> None:
    for x in (seed, step):
        if x.dtype != INT64 or x.size != 1:
            raise DTypeError(f"[{name}] expected one int64 for seed and for step. Received: {x.dtype} {x.shape}.")


@op("dropout", "dropout_fwd", hidden=(1,), inplace=True)
class _Dropout:
    """y = x / (1 - rate) with probability 1 - rate, else 0. The second output tells what was kept."""

    def infer(x: Tensor, seed: Tensor, step: Tensor, rate: float) -> Lowered:
        need_float("dropout", x)
        _counters("dropout", seed, step)
        number("dropout", "rate", rate, 0, 1, open_high=True)
        return Lowered((Spec(x.shape, x.dtype), Spec(x.shape, UINT8)), (x.size,), (rate,))

    def vjp(g: Grad, dy: Tensor, dmask: None) -> tuple[Tensor | None, ...]:
        dx = execute(_DROPOUT_GRAD, (dy, g.outs[1]), g.attrs, out=g.dest[:1])[0]
        return dx, None, None

    def smooth_vjp(g: Grad, dy: Tensor, dmask: None) -> tuple[Tensor | None, ...]:
        return dy * g.outs[1].astype(dy.dtype) * (1.0 / (1.0 - g.attrs["rate"])), None, None

    def ref(x: np.ndarray, seed: np.ndarray, step: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
        limit = min(int(rate * 2**32 + 0.5), 2**32 - 1)
        keep = (philox(x.size, int(seed[0]), int(step[0]), 0) >= limit).reshape(x.shape)
        return np.where(keep, x / (1 - rate), 0), keep.astype(np.uint8)

    def samples(r: Rng) -> Iterator[Sample]:
        for shape, rate in (((5, 7), 0.5), ((3, 50), 0.2), ((6,), 0.0), ((0, 3), 0.5)):
            yield Sample((r(*shape), np.array([7]), np.array([3])), {"rate": rate})
        yield Sample((r(9001), np.array([2**40 + 1]), np.array([2**33])), {"rate": 0.9}, smooth=False)

    def errors(r: Rng) -> Iterator[Any]:
        yield (
            (r(3), np.array([7]), np.array([3])),
            {"rate": 1.0},
            ValueError,
            r"rate to be a number in \[0, 1\).*rate=1.0",
        )
        yield (r(3), np.array([7]), np.array([3])), {"rate": -0.1}, ValueError, r"rate to be a number in \[0, 1\)"
        yield (r(3), r(1), np.array([3])), {"rate": 0.1}, DTypeError, "one int64"


def _dropout_grad_infer(dy: Tensor, mask: Tensor, rate: float) -> Lowered:
    return Lowered((Spec(dy.shape, dy.dtype),), (dy.size,), (rate,))


_DROPOUT_GRAD = register(Card("dropout.grad", _dropout_grad_infer, "dropout_bwd", inplace=True))


def _fill_lower(
    name: str, seed: Tensor, step: Tensor, shape: tuple[int, ...], pars: tuple[float, float], dtype: np.dtype
) -> Lowered:
    _counters(name, seed, step)
    if dtype not in FLOATS:
        raise DTypeError(f"[{name}] expected float32 or float64. Received: dtype={dtype}.")
    if any(d < 0 for d in shape):
        raise ShapeError(f"[{name}] expected dimensions of at least 0. Received: shape={shape}.")
    if not all(np.isfinite(pars)):
        raise ValueError(f"[{name}] expected finite parameters. Received: {pars}.")
    return Lowered((Spec(shape, dtype),), (size(shape),), pars, dtype)


def _fill_samples(r: Rng) -> Iterator[Sample]:
    for shape in ((5, 7), (1,), (1000,), (0, 3)):
        yield Sample((np.array([7]), np.array([3])), {"shape": shape})
    yield Sample((np.array([2**40 + 1]), np.array([2**33])), {"shape": (65,)})


@op("uniform", "uniform_fwd", differentiable=False)
class _Uniform:
    """y uniform in [low, high), in 2**24 steps."""

    def infer(
        seed: Tensor,
        step: Tensor,
        shape: tuple[int, ...],
        low: float = 0.0,
        high: float = 1.0,
        dtype: np.dtype = FLOATS[0],
    ) -> Lowered:
        if not low <= high:
            raise ValueError(f"[uniform] expected low <= high. Received: low={low}, high={high}.")
        return _fill_lower("uniform", seed, step, shape, (low, high), dtype)

    def ref(seed: np.ndarray, step: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        words = philox(size(shape), int(seed[0]), int(step[0]), 0)
        return ((words >> 8) / 2.0**24).astype(np.float32).reshape(shape)

    samples = _fill_samples

    def errors(r: Rng) -> Iterator[Any]:
        yield (np.array([7]), np.array([3])), {"shape": (3,), "low": 1.0, "high": 0.0}, ValueError, "low <= high"
        yield (np.array([7]), np.array([3])), {"shape": (-3,)}, ShapeError, "at least 0"


@op("normal", "normal_fwd", differentiable=False)
class _Normal:
    """y normally distributed (Box and Muller)."""

    def infer(
        seed: Tensor,
        step: Tensor,
        shape: tuple[int, ...],
        mean: float = 0.0,
        std: float = 1.0,
        dtype: np.dtype = FLOATS[0],
    ) -> Lowered:
        if std < 0:
            raise ValueError(f"[normal] expected std >= 0. Received: std={std}.")
        return _fill_lower("normal", seed, step, shape, (mean, std), dtype)

    def ref(seed: np.ndarray, step: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        n = size(shape)
        words = philox(-(-n // 64) * 64, int(seed[0]), int(step[0]), 0).reshape(-1, 2, 32)
        radius = np.sqrt(-2 * np.log((words[:, 0] + 0.5) / 2**32))
        turn = 2 * np.pi * words[:, 1] / 2**32
        y = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
        return y.reshape(-1)[:n].astype(np.float32).reshape(shape)

    samples = _fill_samples

    def errors(r: Rng) -> Iterator[Any]:
        yield (np.array([7]), np.array([3])), {"shape": (3,), "std": -1.0}, ValueError, "std >= 0"
        yield (np.array([7]), np.array([3])), {"shape": (3,), "dtype": INT64}, DTypeError, "float32 or float64"


@op("bernoulli", "bernoulli_fwd", inplace=True, differentiable=False)
class _Bernoulli:
    """y = 1 with probability p, else 0: y = [u < p], u uniform in [0, 1) in 2**24 steps."""

    def infer(p: Tensor, seed: Tensor, step: Tensor) -> Lowered:
        need_float("bernoulli", p)
        _counters("bernoulli", seed, step)
        return Lowered((Spec(p.shape, p.dtype),), (p.size,), dtype=p.dtype)

    def ref(p: np.ndarray, seed: np.ndarray, step: np.ndarray) -> np.ndarray:
        words = philox(p.size, int(seed[0]), int(step[0]), 0).reshape(p.shape)
        return ((words >> 8) / 2.0**24 < p).astype(p.dtype)

    def samples(r: Rng) -> Iterator[Sample]:
        for shape in ((5, 7), (1,), (1000,), (0, 3), (3, 65)):
            yield Sample((np.abs(np.sin(r(*shape))), np.array([7]), np.array([3])))
        certain = np.repeat([0.0, 1.0, -0.5, 1.5], 1030)
        yield Sample((certain, np.array([2**40 + 1]), np.array([2**33])))

    def errors(r: Rng) -> Iterator[Any]:
        yield (np.arange(3), np.array([7]), np.array([3])), {}, DTypeError, r"\[bernoulli\].*float32 or float64"
        yield (r(3), r(1), np.array([3])), {}, DTypeError, "one int64"


def _counter(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x
    return Tensor.state(np.array([integer("random", "seed and step", x, -MOST - 1)], np.int64))


def dropout(x: Any, rate: float, seed: Any = 0, step: Any = 0, salt: int = 0) -> Tensor:
    """Return x / (1 - rate) with probability 1 - rate, else 0 (Srivastava and others 2014).

    Parameters
    ----------
    x : Tensor, float32 or float64
    rate : float
        The share to drop, 0 <= rate < 1.
    seed : int or Tensor of int64 [1], default 0
        A tensor is read at every replay of a program.
    step : int or Tensor of int64 [1], default 0
        Other numbers at each step.
    salt : int, default 0
        Distinguishes the ops of one step.

    Raises
    ------
    ValueError
        If the rate is out of range.
    """
    attrs = {"rate": number("dropout", "rate", rate)}
    return execute(_Dropout, (as_tensor(x), _counter(seed), _counter(step)), attrs, salt=salt)[0]  # type: ignore[arg-type]


def _fill(card: Any, shape: Sequence[int], seed: Any, step: Any, salt: int, **attrs: Any) -> Tensor:
    attrs["shape"] = tuple(integer(card.name, "a size", d, -MOST - 1) for d in shape)
    attrs["dtype"] = as_dtype(attrs["dtype"])
    return execute(card, (_counter(seed), _counter(step)), attrs, salt=salt)[0]


def uniform(
    shape: Sequence[int], low: float = 0.0, high: float = 1.0, seed: Any = 0, step: Any = 0, salt: int = 0,
    dtype: Any = np.float32,
) -> Tensor:  # fmt: skip
    """Return uniform random numbers in [low, high); seed, step and salt as for dropout.

    Parameters
    ----------
    shape : sequence of int
    low : float, default 0.0
    high : float, default 1.0
    seed : int or Tensor of int64 [1], default 0
        A tensor is read at every replay of a program.
    step : int or Tensor of int64 [1], default 0
        Other numbers at each step.
    salt : int, default 0
        Tells draws of one step apart.
    dtype : dtype, default "float32"
    """
    return _fill(
        _Uniform,
        shape,
        seed,
        step,
        salt,
        low=number("uniform", "low", low),
        high=number("uniform", "high", high),
        dtype=dtype,
    )


def normal(
    shape: Sequence[int], mean: float = 0.0, std: float = 1.0, seed: Any = 0, step: Any = 0, salt: int = 0,
    dtype: Any = np.float32,
) -> Tensor:  # fmt: skip
    """Return normally distributed random numbers; seed, step and salt as for dropout.

    Parameters
    ----------
    shape : sequence of int
    mean : float, default 0.0
    std : float, default 1.0
        At least 0.
    seed : int or Tensor of int64 [1], default 0
        A tensor is read at every replay of a program.
    step : int or Tensor of int64 [1], default 0
        Other numbers at each step.
    salt : int, default 0
        Tells draws of one step apart.
    dtype : dtype, default "float32"
    """
    return _fill(
        _Normal,
        shape,
        seed,
        step,
        salt,
        mean=number("normal", "mean", mean),
        std=number("normal", "std", std),
        dtype=dtype,
    )


def bernoulli(p: Any, seed: Any = 0, step: Any = 0, salt: int = 0) -> Tensor:
    """Return ones with probability p, else zeros; seed, step and salt as for dropout.

    y = [u < p], with the u of :func:`uniform` of the same seed, step and salt. It has no gradient.

    Parameters
    ----------
    p : Tensor, float32 or float64
        The probability of each element. What is below 0, or NaN, gives 0; what is above 1 gives 1.
    seed : int or Tensor of int64 [1], default 0
        A tensor is read at every replay of a program.
    step : int or Tensor of int64 [1], default 0
        Other numbers at each step.
    salt : int, default 0
        Tells draws of one step apart.

    Raises
    ------
    DTypeError
        If p is not of real numbers.

    Examples
    --------
    >>> bernoulli([[0.0, 0.5, 1.0]] * 2, seed=3).tolist()
    [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    """
    return execute(_Bernoulli, (as_tensor(p), _counter(seed), _counter(step)), {}, salt=salt)[0]  # type: ignore[arg-type]


__all__ = ["bernoulli", "dropout", "normal", "uniform"]
