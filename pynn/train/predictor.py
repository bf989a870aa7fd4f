"""Prepared predictions: forward passes recorded once for each shape of input, then run natively by any thread."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np

from pynn import ops
from pynn.core import _predict
from pynn.core.program import plan, record
from pynn.core.state import no_grad
from pynn.ops import pixels
from pynn.train.data import external
from pynn.train.trainer import Trainer

__all__ = ["MOST_PREPARED", "ROWS", "Preparing", "runner"]

ROWS = 256  # rows per pass where the caller does not say
MOST_PREPARED = 32  # shapes that are kept prepared at a time


def runner(model: Any) -> Trainer:
    """Return what runs a model forward: its compiled state, or one made for the purpose."""
    trainer = model._trainer or model._runner
    if trainer is None:
        trainer = model._runner = Trainer(model, "sgd", "mse", (), None, False)
    return trainer


class Preparing(_predict.Predictor):
    """A callable from arrays to an array that prepares forward passes for the shapes that come along.

    Python is needed only where something is new or must be converted.

    Parameters
    ----------
    model : Module
        Built.
    rows : int
        Rows per pass: of more, every pass takes so many.
    place : str
        For messages. Only the model itself, whose predict() uses it, does without being kept alive by it.

    Attributes
    ----------
    keeps_state : bool
        Whether a prediction changes what the next one gives, so that nothing can be prepared.
    """

    def __init__(self, model: Any, rows: int, place: str):
        super().__init__()
        self._model = weakref.ref(model)
        self.kept = None if place == "predict" else model
        self.rows, self.place = rows, place
        self.lock = threading.RLock()
        self.count = 0
        self.keeps_state = any(getattr(module, "stateful", False) for module in model.modules())

    @property
    def model(self) -> Any:
        """The model that predicts."""
        return self._model()

    def refuse_state(self) -> None:
        """Raise RuntimeError, unless predict() asks: it can run such a model otherwise."""
        if self.keeps_state and self.place != "predict":
            raise RuntimeError(
                f"[{self.place}] expected a model whose output depends on its input alone. Received: one that changes "
                "state when it predicts, as a stateful layer does. help: call predict()."
            )

    def otherwise(self, x: Any) -> np.ndarray:
        """Check and convert the input, then predict pass by pass."""
        xs = runner(self.model).inputs(x, self.place)
        xs = [np.require(a, requirements=("C", "A")) for a in xs]  # copies a subclass, or what is not aligned
        n = len(xs[0])
        passes = [[a[i : i + self.rows] for a in xs] for i in range(0, n, self.rows)]
        outs = [self._one_pass(part[0] if len(part) == 1 else part) for part in passes]
        return outs[0] if len(outs) == 1 else np.concatenate(outs)

    def _one_pass(self, x: Any) -> np.ndarray:
        y = self.quick(x)
        return self._prepare(x) if y is None else y

    def _prepare(self, x: Any) -> np.ndarray:
        """Run the model on one pass's inputs under a recorder; keep the program and return the output."""
        xs = [x] if isinstance(x, np.ndarray) else x
        if len(xs) > _predict.LIMIT:
            raise ValueError(f"[{self.place}] expected at most {_predict.LIMIT} inputs. Received: {len(xs)}.")
        with self.lock:
            trainer = runner(self.model)
            trainer.output_shape(xs)
            if not self.fresh() or self.count == MOST_PREPARED:
                self.begin(_predict.Watch(self.model))
                self.count = 0
            out, program = self._record(trainer, xs)
            if any(instr.card.mutates for instr in program.instrs):
                self.keeps_state = True
                self.refuse_state()
                return out
            inputs = [(a.shape, a.dtype) for a in xs]
            self.add(_predict.Prepared(program, inputs, (out.shape, out.dtype)), len(xs[0]))
            self.count += 1
            return out

    def _record(self, trainer: Trainer, xs: list[np.ndarray]) -> tuple[np.ndarray, Any]:
        tensors = [external(a) for a in xs]
        with record(*tensors) as recorder, no_grad():
            y = trainer.outputs([pixels.real(t, self.model.dtype) for t in tensors])
            out = np.empty(y.shape, y.dtype)
            target = external(out)
            ops.copy(y, out=target)
        recorder.inputs = (*tensors, target)
        return out, plan(recorder)
