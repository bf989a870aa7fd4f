"""Embedding: a vector for each token."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import init, ops, regularizers
from pynn.checks import positive
from pynn.core.tensor import Tensor
from pynn.nn.module import Module
from pynn.ops.embedding import check_ids

__all__ = ["Embedding"]


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
        Id 0 is padding, at the end of sequences: recurrent layers after this one stop there. A sequence of padding
        alone has length 0.
    sparse : bool, default False
        The optimizer updates only the rows that a step looked up: the moments and the weight decay of the others
        stand still (as in PyTorch's SparseAdam). By default every row is updated as by a dense gradient, which for
        rules with momentum differs: there a row moves on after the step that looked it up. With SGD without momentum
        and weight decay both are the same. A sparse table can be looked up once per step and takes no regularizer.
    name : str, optional
    seed : int, optional

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
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        *,
        mask_zero: bool = False,
        sparse: bool = False,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(name, seed)
        self.input_dim = positive("embedding", "input_dim", input_dim)
        self.output_dim = positive("embedding", "output_dim", output_dim)
        self.mask_zero = bool(mask_zero)
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
        """Raise DataError if an id of a whole data set lies outside the vocabulary."""
        check_ids(ids, self.input_dim, place)

    def forward(self, x: Tensor) -> Tensor:
        y = ops.embedding(x, self.w, sparse=self.sparse)
        if self.mask_zero:
            y.lengths = ops.sequence_lengths(x)
        return y

    def extra_repr(self) -> str:
        flags = "".join(f", {flag}=True" for flag in ("mask_zero", "sparse") if getattr(self, flag))
        return f"{self.input_dim}, {self.output_dim}{flags}"
