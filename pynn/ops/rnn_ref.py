"""What NumPy computes instead of the recurrent ops, step by step, and the inputs on which they are tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pynn.core.card import Sample
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.ops.common import Rng
from pynn.ops.elementwise import ELEMENTWISE


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def act(name: str, x: np.ndarray) -> np.ndarray:
    """Return the activation of that name, of each element of x."""
    return x if name == "linear" else ELEMENTWISE[name].body(x)


def unrolled(x: np.ndarray, state: tuple[np.ndarray, ...], step: Callable[..., tuple[np.ndarray, ...]], reverse: bool,
              lengths: np.ndarray | None) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:  # fmt: skip
    """Run step(x[:, t], *state) -> state through time; state[0] is the output."""
    y = np.zeros((*x.shape[:2], state[0].shape[1]), x.dtype)
    for t in range(x.shape[1])[:: -1 if reverse else 1]:
        new = step(x[:, t], *state)
        on = np.ones((len(x), 1), bool) if lengths is None else t < lengths[:, None]
        state = tuple(np.where(on, a, b) for a, b in zip(new, state, strict=True))
        y[:, t] = np.where(on, state[0], 0)
    return y, state


def dropped(mask: np.ndarray | None, keep: float) -> Any:
    """Return what h is multiplied by where it meets u."""
    return 1.0 if mask is None else mask / keep


def lstm_ref(x: Any, w: Any, u: Any, b: Any, h0: Any, c0: Any, peep: Any, lengths: Any, mask: Any,
             reverse: bool = False, sequences: bool = True, keep: float = 1.0) -> tuple[Any, ...]:  # fmt: skip
    """Compute lstm step by step."""
    m, zero = dropped(mask, keep), np.zeros((len(x), len(u)), x.dtype)
    p = np.zeros((3, len(u))) if peep is None else peep

    def step(xt: Any, h: Any, c: Any) -> tuple[Any, Any]:
        i, f, g, o = np.split(xt @ w + (h * m) @ u + (0 if b is None else b), 4, axis=1)
        c = sigmoid(f + p[1] * c) * c + sigmoid(i + p[0] * c) * np.tanh(g)
        return sigmoid(o + p[2] * c) * np.tanh(c), c

    y, (h, c) = unrolled(x, (zero if h0 is None else h0, zero if c0 is None else c0), step, reverse, lengths)
    return y if sequences else None, h, c


def gru_ref(x: Any, w: Any, u: Any, b: Any, h0: Any, lengths: Any, mask: Any, reset_after: bool = True,
            reverse: bool = False, sequences: bool = True, keep: float = 1.0) -> tuple[Any, ...]:  # fmt: skip
    """Compute gru step by step."""
    m, size = dropped(mask, keep), len(u)
    b_in, b_rec = (0, 0) if b is None else b if reset_after else (b, 0)

    def step(xt: Any, h: Any) -> tuple[Any]:
        a = xt @ w + b_in
        q = (h * m) @ u + b_rec
        z, r = sigmoid(a[:, :size] + q[:, :size]), sigmoid(a[:, size : 2 * size] + q[:, size : 2 * size])
        inner = r * q[:, 2 * size :] if reset_after else (r * h * m) @ u[:, 2 * size :]
        return (z * h + (1 - z) * np.tanh(a[:, 2 * size :] + inner),)

    y, (h,) = unrolled(x, (np.zeros((len(x), size), x.dtype) if h0 is None else h0,), step, reverse, lengths)
    return y if sequences else None, h


def simple_rnn_ref(x: Any, w: Any, u: Any, b: Any, h0: Any, lengths: Any, mask: Any, activation: str = "tanh",
                   reverse: bool = False, sequences: bool = True, keep: float = 1.0) -> tuple[Any, ...]:  # fmt: skip
    """Compute simple_rnn step by step."""
    m = dropped(mask, keep)

    def step(xt: Any, h: Any) -> tuple[Any]:
        return (act(activation, xt @ w + (h * m) @ u + (0 if b is None else b)),)

    y, (h,) = unrolled(x, (np.zeros((len(x), len(u)), x.dtype) if h0 is None else h0,), step, reverse, lengths)
    return y if sequences else None, h


def variants(r: Rng, columns: int, bias: Callable[[int], Any], cells: int) -> Iterator[Sample]:
    """Yield inputs (x, w, u, b, h0, [c0, peep,] lengths, mask) with each option, over sizes that fill no vector."""
    for n, t, d, h, options in (
        (3, 4, 2, 3, ""), (3, 4, 2, 3, "state"), (4, 5, 3, 2, "reverse"), (4, 5, 3, 2, "lengths"),
        (4, 5, 3, 2, "lengths reverse state"), (3, 4, 2, 3, "mask"), (3, 4, 2, 5, "mask state lengths reverse last"),
        (3, 4, 2, 3, "last"), (3, 3, 2, 4, "plain"), (1, 1, 1, 1, ""), (0, 2, 3, 4, ""), (5, 1, 2, 3, "state"),
        (1, 6, 2, 3, "state"), (18, 3, 5, 17, "state lengths"), (7, 3, 9, 33, "mask reverse"),
    ):  # fmt: skip
        on = options.split()
        shape = (n, h)
        extra: tuple[Any, ...] = ()
        if cells:
            extra = (r(*shape) if "state" in on else None, r(3, h) if "state" in on else None)
        lengths = (r.integers(t, n) + 1).astype("int32") if "lengths" in on else None
        mask = r.integers(2, n, h, dtype="uint8") if "mask" in on else None
        inputs = (r(n, t, d), r(d, columns * h), r(h, columns * h) / np.sqrt(h), None if "plain" in on else bias(h),
                  r(*shape) if "state" in on else None, *extra, lengths, mask)  # fmt: skip
        attrs = {"reverse": "reverse" in on, "sequences": "last" not in on, "keep": 0.8 if "mask" in on else 1.0}
        yield Sample(inputs, attrs)


def bad(r: Rng, name: str, columns: int, middle: int) -> Iterator[Any]:
    """Yield operands that are refused, with the errors; `middle` operands stand between h0 and the lengths."""
    none = (None,) * middle
    x, w, u, b = r(2, 3, 4), r(4, columns * 5), r(5, columns * 5), None
    yield (r(3, 4), w, u, b, None, *none, None, None), {}, ShapeError, rf"\[{name}\].*\[N, T, features\].*Embedding"
    yield (x, r(3, columns * 5), u, b, None, *none, None, None), {}, ShapeError, r"input weights of shape \(4, "
    yield (x, w, r(5, 7), b, None, *none, None, None), {}, ShapeError, "recurrent weights"
    yield (x, w, u, r(3), None, *none, None, None), {}, ShapeError, "a bias of shape"
    yield (x, w, u, b, r(3, 5), *none, None, None), {}, ShapeError, r"initial state of shape \(2, 5\).*\(3, 5\)"
    yield (x, w, u, b, None, *none, np.ones(3, "int32"), None), {}, ShapeError, r"lengths of shape \(2,\)"
    yield (x, w, u, b, None, *none, np.ones(2), None), {}, DTypeError, "int32"
    yield (x, w, u, b, None, *none, np.array([1, 4], "int32"), None), {}, DataError, "0 to T"
    yield (x, w, u, b, None, *none, None, np.ones((2, 4), "uint8")), {}, ShapeError, r"mask of shape \(2, 5\)"
    yield (x, w, u, b, None, *none, None, r(2, 5)), {}, DTypeError, "uint8"
    yield (x, w, u, b, None, *none, None, None), {"keep": 0.0}, ValueError, r"keep to be a number in \(0, 1\]"
