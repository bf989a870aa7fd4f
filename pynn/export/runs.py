"""Forward passes on a few samples, recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.checks import is_integer
from pynn.core.context import training
from pynn.core.program import record
from pynn.core.state import no_grad, observed, trial
from pynn.core.tape import taped
from pynn.core.tensor import Tensor
from pynn.errors import CaptureError, DataError

__all__ = ["Run", "Samples", "described", "examples"]


def described(module: Any) -> str:
    """Return a layer's name and class, for messages.

    Examples
    --------
    >>> from pynn import nn
    >>> described(nn.Dense(3, name="head"))
    "layer 'head' (Dense)"
    """
    return f"layer {module.name!r} ({type(module).__name__})"


class Samples:
    """Inputs to run a model on: random numbers, and ids that it can look up."""

    def __init__(self, model: Any, input_shape: Any):
        self.examples = examples(model, input_shape)
        self.most = [1] * len(self.examples)

    def draw(self, n: int, seed: int = 0) -> list[Tensor]:
        """Return n samples."""
        rng, made = np.random.default_rng(seed), []
        for x, most in zip(self.examples, self.most, strict=True):
            shape = (n, *x.shape[1:])
            if x.dtype.kind == "f":
                made.append(Tensor.state(rng.normal(size=shape).astype(x.dtype)))
            else:
                made.append(Tensor.state(np.full(shape, most, x.dtype)))
        return made

    def first(self, model: Any) -> Run:
        """Return a run on three samples, and find the largest ids that the inputs can hold."""
        try:
            run = Run(model, self.draw(3))
        except IndexError:  # a vocabulary of padding alone
            self.most = [0] * len(self.most)
            run = Run(model, self.draw(3))
        for i, x in enumerate(run.inputs):
            sizes = [
                ran.inputs[0].shape[ran.attrs.get("axis", 0)]
                for ran in run.ops
                if ran.card.name in ("embedding", "take") and ran.inputs[1].buffer is x.buffer
            ]
            self.most[i] = min(sizes) - 1 if sizes else self.most[i]
        return run

    def other(self, base: list[Tensor], row: int) -> list[Tensor]:
        """Return the same samples but for one."""
        made = []
        for i, x in enumerate(base):
            array = x.numpy()
            if x.dtype.kind == "f":
                array[row] = self.draw(1, seed=1)[i].view()[0]
            elif self.most[i] > 1:
                array[row] = self.most[i] - 1
                array[row, ..., -1:] = 0  # where ids are padded, the length is another too
            made.append(Tensor.state(array))
        return made


def examples(model: Any, input_shape: Any = None) -> list[Any]:
    """Return inputs of zeros for one sample; builds the model for an input_shape if need be."""
    if hasattr(model, "examples") and input_shape is None:
        model._require_built("export")
        return model.examples()
    if input_shape is not None:
        given = input_shape if isinstance(input_shape, list) else [input_shape]
        shapes = [(int(s),) if is_integer(s) else tuple(s) for s in given]
    else:
        model._require_built("export")
        one = getattr(model, "_input", None) or model._built_for[1:]
        shapes = getattr(model, "input_shapes", None) or [one]
    whole = getattr(model, "_looked_up", lambda i: model.takes_integers)
    dtypes = [np.dtype("int32") if whole(i) else model.dtype for i in range(len(shapes))]
    made = [Tensor.state(np.zeros((1, *shape), dtype)) for shape, dtype in zip(shapes, dtypes, strict=True)]
    if not model.built:
        with no_grad(), training(False), trial():
            model(*made)
    return made


class Run:
    """One forward pass, recorded."""

    def __init__(self, model: Any, inputs: list[Tensor]):
        self.inputs = inputs
        self.done: list[tuple[Any, Any]] = []  # modules with what they returned
        look = observed(lambda module, out: self.done.append((module, out)))
        try:
            with look, no_grad(), training(False), trial(), record(), taped() as tape:
                self.out = model(*inputs)
        except CaptureError as error:
            before_it = [one for one in tape.entries if one.module is not None]
            where = f" behind {described(before_it[-1].module)}'s op {before_it[-1].card.name!r}" if before_it else ""
            raise DataError(f"[export] the forward pass cannot be recorded{where}: {error}") from error
        kept: list[int] = []
        for i, ran in enumerate(tape.entries):
            while kept and kept[-1] >= ran.start >= 0:  # a composite stands for what it is made of
                kept.pop()
            kept.append(i)
        self.ops = [tape.entries[i] for i in kept]
