"""Embedding: a vector for each token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn import init, ops, regularizers
from pynn.checks import choice, positive
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.nn.module import Module
from pynn.ops.embedding import check_ids

__all__ = ["Embedding"]

PADDINGS = ("auto", "post", "any")


class Embedding(Module):
    """y[n, t] = w[x[n, t]]: look up the vector of each token id.

    Parameters
    ----------
    input_dim : int
        The size of the vocabulary: ids are 0 ... input_dim - 1.
    output_dim : int
        The size of a vector.
    embeddings_initializer : str or initializer, default "uniform"
    embeddings_regularizer : regularizer, optional
    mask_zero : bool, default False
        Id 0 is padding: recurrent layers after this one pass over it, means, losses and metrics leave it out.
    padding : {"auto", "post", "any"}, default "auto"
        Where padding stands: at the end ("post", which costs least), or anywhere, also in front. "auto" takes it to be
        at the end until `fit`, `evaluate`, `predict` or a call is given other sequences; from then on it is "any".
    sparse : bool, default False
        The optimizer updates only the rows that a step looked up: the moments and the weight decay of the others
        stand still (as in PyTorch's SparseAdam). By default every row is updated as by a dense gradient, which for
        rules with momentum differs: there a row moves on after the step that looked it up. With SGD without momentum
        and weight decay both are the same. A sparse table serves lookups alone, and takes no regularizer.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `input_dim` or `output_dim` is not a positive integer, or the name of an initializer or regularizer, or
        `padding`, is not known.

    Notes
    -----
    Input int32 or int64 [N, T] (or any shape), output [..., output_dim]; weight ``w`` [input_dim, output_dim].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Embedding(10, 4)(np.array([[1, 2, 3], [4, 0, 0]])).shape
    (2, 3, 4)
    """

    w: Tensor

    takes_integers = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: str | Callable[..., Any] = "uniform",
        embeddings_regularizer: str | Callable[..., Any] | None = None,
        *,
        mask_zero: bool = False,
        padding: str = "auto",
        sparse: bool = False,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(name, seed)
        self.input_dim = positive("embedding", "input_dim", input_dim)
        self.output_dim = positive("embedding", "output_dim", output_dim)
        self.mask_zero = bool(mask_zero)
        self.padding = choice("embedding", "padding", padding, PADDINGS)
        self.sparse = bool(sparse)
        if self.sparse and embeddings_regularizer is not None:
            raise ValueError(
                "[embedding] expected no embeddings_regularizer with sparse=True: its gradient touches every row. "
                "help: leave sparse=False."
            )
        self._initializers = (init.get(embeddings_initializer),)
        self._penalties = (regularizers.get(embeddings_regularizer),)

    def build(self, input_shape: tuple[int, ...]) -> None:
        shape = (self.input_dim, self.output_dim)
        self.add_weight("w", shape, self._initializers[0], regularizer=self._penalties[0])

    def check_ids(self, ids: np.ndarray, place: str) -> None:
        """Raise DataError if an id of a whole data set lies outside the vocabulary; see where its padding stands."""
        check_ids(ids, self.input_dim, place)
        self._look(ids)

    def _look(self, ids: np.ndarray) -> None:
        """Take in where the padding of sequences stands, if nobody has said it."""
        if self.mask_zero and self.padding == "auto" and ids.ndim == 2 and ids.shape[1] > 1:
            real = ids != 0
            if (real[:, 1:] & ~real[:, :-1]).any():
                self.padding = "any"

    def forward(self, x: Tensor) -> Tensor:
        y = ops.embedding(x, self.w, sparse=self.sparse)
        if not self.mask_zero:
            return y
        if state.recorder is None and self.padding == "auto" and not state.trial:
            self._look(x.view())
        if self.padding == "any" and x.ndim == 2:
            y.lengths = ops.not_equal(x, 0).astype(np.int32)
        else:
            y.lengths = ops.sequence_lengths(x)
        return y

    def extra_repr(self) -> str:
        flags = "".join(f", {flag}=True" for flag in ("mask_zero", "sparse") if getattr(self, flag))
        return f"{self.input_dim}, {self.output_dim}{flags}"
