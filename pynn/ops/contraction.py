"""Sums of products by letters for axes, as stacks of matrix products."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops import math as ops
from pynn.ops import reduce, shape
from pynn.ops.common import as_tensor, need_float

__all__ = ["einsum"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
EQUATION = re.compile(r"(?P<given>[A-Za-z.,]*)(->(?P<out>[A-Za-z.]*))?")


def einsum(equation: str, *operands: Any) -> Tensor:
    r"""Return y[out] = sum over the letters not in out of the operands' product, as NumPy's einsum does.

    ``einsum("nqd,nkd->nqk", q, k)`` is :math:`y_{nqk} = \sum_d q_{nqd} k_{nkd}`. A letter is an axis: one that the
    output lacks is summed over, one that operands share is the same axis of both, and one that an operand has twice is
    its diagonal. ``...`` stands for further axes, which broadcast. Each pair of operands, from left to right, is one
    stack of matrix products.

    Parameters
    ----------
    equation : str
        The operands' letters, with commas between, then ``->`` and the output's. Without ``->`` the output has the
        letters that occur once, in the order of the alphabet. Blanks do not count.
    *operands : Tensor
        As many as the equation says.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If the equation is none.
    ShapeError
        If an operand has another number of axes than letters, or a letter stands for axes of different sizes.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> q, k = np.ones((2, 3, 4)), np.ones((2, 5, 4))
    >>> ops.einsum("nqd,nkd->nqk", q, k).shape
    (2, 3, 5)
    >>> float(ops.einsum("ij->", np.eye(3)))
    3.0
    """
    tensors = [as_tensor(x) for x in operands]
    need_float("einsum", *tensors)
    given, out = _parsed(equation, tensors)
    sizes = _sizes(equation, given, tensors)
    parts = [_diagonal(letters, x) for letters, x in zip(given, tensors, strict=True)]
    letters, y = parts[0]
    for k, (others, x) in enumerate(parts[1:], 2):
        later = set(out).union(*(rest for rest, _ in parts[k:]))
        letters, y = _product(letters, y, others, x, later, sizes)
    return _arranged(letters, y, out)


def largest(equation: str, operands: Sequence[Any]) -> int:
    """Return the elements of the largest array that :func:`einsum` makes, at most."""
    tensors = [as_tensor(x) for x in operands]
    given, out = _parsed(equation, tensors)
    sizes = _sizes(equation, given, tensors)
    return math.prod(sizes[c] for c in (out if len(tensors) < 3 else sizes))


def _sizes(equation: str, given: list[str], tensors: list[Tensor]) -> dict[str, int]:
    """Return the size of each letter's axis."""
    sizes: dict[str, int] = {}
    for letters, x in zip(given, tensors, strict=True):
        for letter, size in zip(letters, x.shape, strict=True):
            known = sizes.setdefault(letter, size)
            if known != size and (letter in LETTERS or 1 not in (known, size)):
                raise ShapeError(
                    f"[einsum] expected axes of one size for {letter!r} in {equation!r}. "
                    f"Received: {known} and {size}, of {', '.join(str(t.shape) for t in tensors)}."
                )
            if known == 1:
                sizes[letter] = size
    return sizes


def _diagonal(letters: str, x: Tensor) -> tuple[str, Tensor]:
    """Keep what lies on the diagonals of letters that an operand has twice."""
    for letter in letters:
        while letters.count(letter) > 1:
            i, j = letters.index(letter), letters.rindex(letter)
            shape = [1] * x.ndim
            shape[i] = shape[j] = x.shape[i]
            on_it = as_tensor(np.eye(x.shape[i]).reshape(shape) > 0)
            letters, x = letters[:j] + letters[j + 1 :], reduce.sum(ops.where(on_it, x, 0.0), j)
    return letters, x


def _parsed(equation: str, tensors: list[Tensor]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the output; digits stand for the axes of an ellipsis."""
    found = EQUATION.fullmatch(equation.replace(" ", "")) if isinstance(equation, str) else None
    if found is None:
        raise ValueError(
            f"[einsum] expected letters, commas and one '->' as in 'ij,jk->ik'. Received: equation={equation!r}."
        )
    terms, out = found["given"].split(","), found["out"]
    if len(terms) != len(tensors):
        raise ValueError(f"[einsum] expected {len(terms)} operands for {equation!r}. Received: {len(tensors)}.")
    rank = max(
        (x.ndim - len(t.replace("...", "")) for t, x in zip(terms, tensors, strict=True) if "..." in t), default=0
    )
    given = []
    for term, x in zip(terms, tensors, strict=True):
        rest = x.ndim - len(term.replace("...", ""))
        spread = "".join(chr(ord("0") + i) for i in range(rank - rest, rank)) if rest > 0 else ""
        letters = term.replace("...", spread, 1)
        if "." in letters or len(letters) != x.ndim:
            raise ShapeError(f"[einsum] expected an operand of axes {term!r}. Received: one of shape {x.shape}.")
        given.append(letters)
    every = "".join(given)
    if out is None:
        out = "".join(sorted(set(every), key=lambda c: (c in LETTERS, c)))
        out = "".join(c for c in out if every.count(c) == 1 or c not in LETTERS)
    else:
        out = out.replace("...", "".join(chr(ord("0") + i) for i in range(rank)), 1)
    if "." in out or len(set(out)) != len(out) or not set(out) <= set(every):
        raise ValueError(f"[einsum] expected an output of letters of the operands, each once. Received: {equation!r}.")
    return given, out


def _product(a: str, x: Tensor, b: str, y: Tensor, later: set[str], sizes: dict[str, int]) -> tuple[str, Tensor]:
    """Multiply two operands and sum over the letters that no one needs any more; return the result and its letters."""
    a, x = _without(a, x, set(b) | later)
    b, y = _without(b, y, set(a) | later)
    both = [c for c in a if c in b]
    stack, summed = [c for c in both if c in later], [c for c in both if c not in later]
    mine, others = [c for c in a if c not in b], [c for c in b if c not in a]
    x = _as_matrices(a, x, stack, mine, summed, sizes)
    y = _as_matrices(b, y, stack, summed, others, sizes)
    z = ops.matmul(x, y)
    letters = [*stack, *mine, *others]
    return "".join(letters), z.reshape(tuple(sizes[c] for c in letters))


def _without(letters: str, x: Tensor, needed: set[str]) -> tuple[str, Tensor]:
    axes = tuple(i for i, c in enumerate(letters) if c not in needed)
    return "".join(c for c in letters if c in needed), reduce.sum(x, axes) if axes else x


def _as_matrices(
    letters: str, x: Tensor, stack: list[str], rows: list[str], columns: list[str], sizes: dict[str, int]
) -> Tensor:
    order = [*stack, *rows, *columns]
    x = _turned(x, [letters.index(c) for c in order])
    whole = tuple(sizes[c] for c in order)
    if x.shape != whole:  # axes of an ellipsis broadcast
        x = reduce.expand(x, whole)
    lead = (math.prod(sizes[c] for c in stack),) if stack else ()
    return x.reshape((*lead, math.prod(sizes[c] for c in rows), math.prod(sizes[c] for c in columns)))


def _arranged(letters: str, x: Tensor, out: str) -> Tensor:
    letters, x = _without(letters, x, set(out))
    return _turned(x, [letters.index(c) for c in out])


def _turned(x: Tensor, axes: list[int]) -> Tensor:
    return x if axes == sorted(axes) else shape.transpose(x, tuple(axes))
