"""Forward passes: recorded once for each shape of input, then run natively by any number of threads at once."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np

from pynn import ops
from pynn.core import _predict
from pynn.core._watch import Watch
from pynn.core.context import training
from pynn.core.program import ProgramCache, record, refuse_inside
from pynn.core.state import no_grad, trial
from pynn.core.tensor import Tensor
from pynn.distributed.joined import current
from pynn.errors import ShapeError
from pynn.ops import pixels
from pynn.train.data import external, mapped
from pynn.train.network import Network
from pynn.train.outputs import Form, by_rows, taken_apart
from pynn.train.padding import marked
from pynn.train.stepping import may_keep
from pynn.train.together import gathered, same_rows, shared_rows
from pynn.train.trainer import Trainer

__all__ = ["MOST_PREPARED", "ROWS", "Preparing", "logits", "runner"]

ROWS = 256  # rows per pass where the caller does not say
MOST_PREPARED = 32  # shapes that need no look into the cache
FEW_ROWS = 32  # predictions of few rows come in all numbers: nobody is warned of them
FEW = 4  # rows on which it is tried whether they can be computed apart
CLOSE = 1e-3  # how far, of the largest output, results of other numbers of rows may lie apart by rounding


def runner(model: Network) -> Trainer:
    """Return what runs a model forward: its compiled state, or one made for the purpose."""
    trainer = model._trainer or model._runner
    if trainer is None:
        trainer = model._runner = Trainer(model, "sgd", "mse", (), None, False)
    return trainer


def logits(trainer: Trainer) -> Preparing:
    """Return what gives the outputs that the loss takes: logits, where it applies the last activation itself."""
    if trainer.passes is None:
        trainer.passes = Preparing(trainer.model, ROWS, "evaluate", trainer)
    return trainer.passes


class Preparing(_predict.Predictor):
    """A callable from arrays to outputs that prepares forward passes for the shapes that come along.

    Python is needed only where something is new or must be converted.

    Parameters
    ----------
    model : Network
        Built.
    rows : int
        Rows per pass: of more, every pass takes so many.
    place : str
        For messages. Only the model itself, whose predict() uses it, does without being kept alive by it.
    trainer : Trainer, optional
        Whose loss takes what this is to give: logits, where the loss applies the last activation. Without it, outputs.
    raw : bool, default False
        Whether bytes are handed to the model as they are.

    Attributes
    ----------
    keeps_state : bool
        Whether a prediction changes what the next one gives: then one goes after the other, in order.
    """

    _unwatched = frozenset(  # by models that hold one and call it
        {"_apart", "_apart_watch", "_cache", "_model", "_trainer", "count", "keeps_state", "kept", "lock"}
    )

    def __init__(self, model: Network, rows: int, place: str, trainer: Trainer | None = None, raw: bool = False):
        super().__init__(rows)
        self._model = weakref.ref(model)
        self.kept = model if place == "predict_fn" else None
        self.rows, self.place, self.raw = rows, place, raw
        self._trainer = None if trainer is None else weakref.ref(trainer)
        self.lock = threading.RLock()
        self._cache = ProgramCache() if place not in ("predict", "evaluate") else None
        self.count = 0
        self.keeps_state = any(getattr(module, "stateful", False) for module in model.modules())
        self._apart: dict[Any, bool] = {}  # by shapes: whether rows can be computed apart
        self._apart_watch: Watch | None = None

    @property
    def model(self) -> Network:
        """The model that predicts."""
        model = self._model()
        assert model is not None, "the model is gone"
        return model

    def refuse_state(self) -> None:
        """Raise RuntimeError, unless predict() or evaluate() asks: they can run such a model."""
        if self.keeps_state and self.place == "predict_fn":
            raise RuntimeError(
                f"[{self.place}] expected a model whose output depends on its input alone. Received: one that changes "
                "state when it predicts, as a stateful layer does. help: call predict()."
            )

    @property
    def trainer(self) -> Trainer | None:
        """The trainer whose loss takes what this gives."""
        return None if self._trainer is None else self._trainer()

    @property
    def cache(self) -> ProgramCache:
        """The programs: the model's own, but for a function that was handed out."""
        return self._cache or (self.trainer or runner(self.model)).cache

    # Many rows

    def otherwise(self, x: Any) -> Any:
        """Check and convert the input, then predict pass by pass."""
        return self.outputs(runner(self.model).inputs(x, self.place), self.rows)

    def outputs(self, xs: list[np.ndarray], rows: int, eagerly: bool = False) -> Any:
        """Return the outputs for all rows of checked inputs, computed at most `rows` of them at a time."""
        gang = current() if self.place in ("predict", "evaluate") and len(xs[0]) > rows else None
        if gang is not None and not self.keeps_state and self._rows_are_apart(xs):
            same_rows(gang, len(xs[0]), rows, self.place)
            mine = shared_rows(gang, [*range(0, len(xs[0]), rows), len(xs[0])])[gang.rank]
            some = mine if len(mine) else range(1)  # of no pass the shapes must be known too
            found, form = self._whole([a[some.start : some.stop] for a in xs], rows, eagerly)
            if by_rows(found, len(some)):
                return form.build([*gathered(gang, [y[: len(mine)] for y in found], self.place)])
        found, form = self._whole(xs, rows, eagerly)
        return form.build(found)

    def _whole(self, xs: list[np.ndarray], rows: int, eagerly: bool) -> tuple[list[np.ndarray], Form]:
        """Return the outputs for all rows as a list, and how they are put together."""
        n, whole = len(xs[0]), []
        for start, count, found, form in self._passes(xs, rows, eagerly):
            if count == n:
                return found, form
            if not start:
                whole = [np.empty((n, *y.shape[1:]), y.dtype) for y in found]
            for to, y in zip(whole, found, strict=True):
                to[start : start + count] = y
        return whole, form

    def passes(self, xs: list[np.ndarray], rows: int, eagerly: bool = False) -> Iterator[tuple[int, Any]]:
        """Yield (number of the first row, outputs) pass by pass; nobody keeps them."""
        for start, _, found, form in self._passes(xs, rows, eagerly):
            yield start, form.build(found)

    def _passes(
        self, xs: list[np.ndarray], rows: int, eagerly: bool
    ) -> Iterator[tuple[int, int, list[np.ndarray], Form]]:
        xs = [np.require(a, requirements=("C", "A")) for a in xs]  # copies a subclass, or what is not aligned
        n = len(xs[0])
        rows = n if n <= rows or not self._rows_are_apart(xs) else rows
        if n % rows and any(getattr(module, "stateful", False) for module in self.model.modules()):
            raise ShapeError(
                f"[{self.place}] expected whole batches of {rows} samples, as stateful layers carry states from one to "
                f"the next. Received: {n} samples. help: choose a batch_size that divides their number."
            )
        start = 0
        shapes: list[tuple[int, ...]] = []
        while start < n:
            count = min(rows, n - start)
            try:
                found, form = self.one_pass([a[start : start + count] for a in xs], eagerly)
            except ShapeError as error:
                error.add_note(
                    f"This pass had {count} of {n} samples. help: batch_size=... if a number is built into the network."
                )
                raise
            if not by_rows(found, count):
                if not form.single and count == n:
                    yield 0, n, found, form  # of one pass, whatever the outputs are
                    return
                if start or count == 1 or not form.single:
                    raise self._not_by_rows(found, count)
                rows = 1  # a batch of one may be built into it: then each row on its own
                continue
            if start and shapes != [y.shape[1:] for y in found]:
                raise self._not_by_rows(found, count)
            shapes = [y.shape[1:] for y in found]
            yield start, count, found, form
            start += count
        if n > rows == self.most and not self.keeps_state and not eagerly and current() is None:
            self.join(xs, n, self._apart_watch)

    def _not_by_rows(self, found: list[np.ndarray], count: int) -> ShapeError:
        shapes = ", ".join(str(y.shape) for y in found)
        return ShapeError(
            f"[{self.place}] expected outputs whose first axis is that of the samples, and whose other axes do not "
            f"depend on how many there are. Received: {shapes} for {count} samples. help: a network that treats its "
            "samples together needs batch_size=len(x); model(x) gives outputs of any shape."
        )

    def _rows_are_apart(self, xs: list[np.ndarray]) -> bool:
        """Tell whether rows can be computed apart: tried on a few, once for each shape of rows."""
        if self.keeps_state:
            return True
        with self.lock:
            if self._apart_watch is None or not self._apart_watch.unchanged():
                self._apart, self._apart_watch = {}, Watch(self.model)
            key = tuple((a.shape[1:], a.dtype) for a in xs)
            if key not in self._apart:
                self._apart[key] = self._tried_apart([a[:FEW] for a in xs])
            return self._apart[key]

    def _tried_apart(self, xs: list[np.ndarray]) -> bool:
        half = len(xs[0]) // 2
        try:
            with trial():
                whole, *halves = (
                    self.one_pass(part, eagerly=True)[0]
                    for part in (xs, [a[:half] for a in xs], [a[half:] for a in xs])
                )
        except MemoryError:
            raise
        except Exception:  # it takes no such number of rows: the passes themselves will tell
            return True
        if not by_rows(whole, len(xs[0])):
            return True  # so will they here
        for y, one, other in zip(whole, *halves, strict=True):
            if y.shape[1:] != one.shape[1:] or y.shape[1:] != other.shape[1:] or len(one) + len(other) != len(y):
                return False
            apart = np.concatenate([one, other])
            if y.dtype.kind != "f":
                if not np.array_equal(y, apart):
                    return False
                continue
            limit = CLOSE * np.abs(y[np.isfinite(y)]).max(initial=0.0)
            if not np.allclose(y, apart, rtol=CLOSE, atol=limit, equal_nan=True):
                return False
        return True

    # One pass

    def one_pass(self, xs: list[np.ndarray], eagerly: bool = False) -> tuple[list[np.ndarray], Form]:
        """Return the list of outputs for these inputs as a whole, and how they are put together."""
        if eagerly:
            with no_grad():
                tensors, form = self._computed([external(a) for a in xs])
            return [t.numpy() for t in tensors], form
        shapes = tuple((a.shape, a.dtype) for a in xs)
        trainer = self.trainer
        key = "forward", shapes, trainer and (trainer.head.form, trainer.head.padded)
        if self.keeps_state:
            with self.lock:
                return self._found_or_made(xs, key)
        return self._found_or_made(xs, key)

    def _found_or_made(self, xs: list[np.ndarray], key: Hashable) -> tuple[list[np.ndarray], Form]:
        refuse_inside()
        recording = self.cache.find(key)
        if recording is None:
            with self.lock:  # of several threads that want the same, one records it
                recording = self.cache.find(key)
                if recording is None:
                    return self._made(xs, key)
        prepared, form = recording.prepared
        if isinstance(prepared, _predict.Prepared):
            self._at_hand(prepared, form, xs)
        return prepared.run(xs), form

    def _made(self, xs: list[np.ndarray], key: Hashable) -> tuple[list[np.ndarray], Form]:
        """Compute under a recorder; keep the program, and return the outputs."""
        watch = Watch(self.model)
        tensors = [external(a) for a in xs]
        with record(*tensors, cached=True) as recorder, no_grad():
            ys, form = self._computed(tensors)
            found = [np.empty(y.shape, y.dtype) for y in ys]
            targets = [external(a) for a in found]
            for y, target in zip(ys, targets, strict=True):
                ops.copy(y, out=target)
        recorder.inputs, recorder.direct = (*tensors, *targets), True
        if any(instr.card.mutates for instr in recorder.instrs):
            self.keeps_state = True
            self.forget()
            self.refuse_state()
        if not may_keep(watch, self.cache, self.model, self.place):
            return found, form
        few = self._cache is not None or xs[0].ndim == 0 or len(xs[0]) <= FEW_ROWS
        recording = self.cache.add(key, recorder, watch, counts=not few)
        inputs, outputs = ([(a.shape, a.dtype) for a in arrays] for arrays in (xs, found))
        recording.prepared = recording.passes(outputs), form
        if recording.prepared[0] is not None:
            return found, form
        kept = self.cache.kept(recording.program)
        prepared = _predict.Prepared(recording, inputs, outputs, None if form.single else form.build, kept)
        recording.prepared = prepared, form
        self._at_hand(prepared, form, xs)
        return found, form

    def _at_hand(self, prepared: _predict.Prepared, form: Form, xs: list[np.ndarray]) -> None:
        """Let calls with such inputs run at once, if what they give is what outputs() would."""
        shapes = prepared.output_shapes
        rows = len(xs[0]) if xs and xs[0].ndim else -1
        if self.keeps_state or (form.single and shapes[0][:1] != (rows,)):
            return
        if self.count == MOST_PREPARED:
            self.forget()
            self.count = 0
        self.add(prepared, rows)
        self.count += 1

    def _computed(self, tensors: list[Tensor]) -> tuple[list[Tensor], Form]:
        xs = tensors if self.raw else [pixels.real(t, self.model.dtype) for t in tensors]
        trainer = self.trainer
        with training(False):
            if trainer is None or not (trainer.head.several or trainer.head.form == "logits"):
                out = self.model(*xs)
            else:
                out = trainer.forward(xs).values
            if trainer is not None and (trainer.head.several or trainer.head.padded):
                out = mapped(marked, out)
            return taken_apart(out, self.place)
