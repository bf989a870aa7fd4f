"""What training and prediction ask of a model. Every pynn.nn.Module has it; this room knows no more of layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from pynn.core.tensor import Tensor

__all__ = ["Followed", "Network"]


class Followed(Protocol):
    """What callbacks follow: a Network, or anything else that is trained epoch by epoch."""

    stop_training: bool


class Network(Protocol):
    """A model: weights in a tree of such objects, and a call that computes.

    Attributes
    ----------
    built : bool
        Whether the weights exist.
    dtype : numpy.dtype
        Of its weights.
    takes_integers : bool
        Whether inputs are looked up, so that integers stay integers.
    stop_training : bool
    """

    name: str
    built: bool
    dtype: np.dtype
    stop_training: bool
    _trainable: bool
    _weights: dict[str, Tensor]
    _frozen: set[str]  # names of weights that no optimizer updates
    _regularizers: dict[str, Any]
    _constraints: dict[str, Any]
    _seed: list[int]
    _given_seed: int | None
    _built_for: tuple[int, ...]
    _trainer: Any
    _runner: Any
    _prepared: Any

    def takes_bytes(self, i: int = 0) -> bool:
        """Tell whether uint8 arrays are numbers as input i, so that images are not scaled before."""
        ...

    @property
    def optimizer(self) -> Any:
        """The optimizer that compile() was given."""
        ...

    @property
    def takes_integers(self) -> bool:
        """Whether inputs are looked up, so that integers stay integers."""
        ...

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Compute the output, a tensor or tuples, lists and dicts of them."""
        ...

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the output; what a class defines."""
        ...

    def modules(self) -> Iterator[Network]:
        """Yield this module and all below it, each once."""
        ...

    def named_parameters(self, trainable_only: bool = False) -> Iterator[tuple[str, Tensor]]:
        """Yield (path, tensor) of every weight."""
        ...

    def parameters(self) -> list[Tensor]:
        """Return the weights that are trained."""
        ...

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of all weights."""
        ...

    def set_weights(self, weights: Any) -> None:
        """Write all weights."""
        ...

    def assign_seeds(self, seed: int) -> None:
        """Seed the weights that are still to be built."""
        ...

    def _require_built(self, place: str) -> None:
        """Raise RuntimeError without weights."""
        ...

    def _need_trainer(self, place: str) -> Any:
        """Return what compile() made, or raise RuntimeError."""
        ...
