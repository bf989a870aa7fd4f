"""Models read from files. What a file may name is known here: the layers, and the graphs of ONNX when one comes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pynn.nn  # noqa: F401  (its classes enter themselves into the registry)
from pynn.io import container, registry
from pynn.io.model_file import assemble
from pynn.keywords import spelled

if TYPE_CHECKING:
    from pynn.nn import Module

__all__ = ["load", "loads"]


def _network() -> None:
    import pynn.onnx.network  # noqa: F401  (registers itself)


registry.announce("onnx.Network", _network)


@spelled
def load(path: str | os.PathLike[str]) -> Module:
    """Read a model from a file that :meth:`pynn.nn.Module.save` or a ModelCheckpoint wrote.

    Only pynn's own classes and those that the program registered are made (:func:`pynn.register`); nothing is imported,
    evaluated or unpickled.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Module
        Built, with the weights and states of the file; compiled, unless the optimizer was left out.

    Raises
    ------
    DataError
        If it is no model file (the format that it seems to have is named), was written by a newer pynn, is damaged,
        lacks tensors or has others, or names a class that is not registered.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import numpy as np, pynn, tempfile
    >>> model = pynn.nn.Sequential([pynn.nn.Input((4,)), pynn.nn.Dense(3, activation="softmax")])
    >>> x = np.ones((2, 4), "float32")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.pynn")
    ...     again = pynn.load(f"{folder}/model.pynn")
    >>> bool((again.predict(x) == model.predict(x)).all())
    True
    """
    return assemble(container.read(path), os.fspath(path))


def loads(data: bytes) -> Module:
    """Return the model that the bytes of a file hold; see :func:`load`."""
    if not isinstance(data, (bytes, bytearray, memoryview)):  # bytes(2**40) would be so many zeros
        raise TypeError(f"[loads] expected the bytes of a file. Received: {type(data).__name__}.")
    return assemble(container.unpack(bytes(data), "bytes"), "bytes")
