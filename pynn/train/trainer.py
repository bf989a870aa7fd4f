"""What compile() makes: optimizer, loss, metrics, flat parameters, and the recorded steps of a model."""

from __future__ import annotations

import contextlib
import copy
import weakref
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from pynn import losses, metrics, ops, optim
from pynn.core import _predict, config
from pynn.core.context import training
from pynn.core.flat import STEPS_PER_CALL, Flat, Slots
from pynn.core.graph import failure
from pynn.core.program import ProgramCache, record
from pynn.core.state import no_grad, state, trial
from pynn.core.tensor import Tensor
from pynn.errors import DataError, NonFiniteError, ShapeError
from pynn.nn.module import unbuilt_if_it_fails
from pynn.ops import steps
from pynn.ops.activation import named
from pynn.train.data import Data, as_inputs, check_finite, external, sample_weights, to_dtype

__all__ = ["Trainer"]


class Trainer:
    """The compiled state of a model. One step is written once, in :meth:`_train_step`.

    Run by hand it is eager execution; run once under a recorder it becomes a program, which every later batch of the
    same shape replays.
    """

    def __init__(
        self, model: Any, optimizer: Any, loss: Any, metric_list: Sequence[Any], seed: int | None, run_eagerly: bool
    ):
        if isinstance(metric_list, (str, metrics.Metric)) or callable(metric_list):
            metric_list = [metric_list]
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
            raise ValueError(f"[compile] expected a seed that is an integer of at least 0. Received: seed={seed!r}.")
        self._model = weakref.ref(model)
        self.optimizer = optim.get(optimizer)
        self.loss = losses.get(loss)
        binary = self.loss.activation == "sigmoid"  # each output is a question of its own
        self.metrics = [
            metrics.BinaryAccuracy(name=m) if m == "accuracy" and binary else metrics.get(m) for m in metric_list
        ]
        self.running = copy.deepcopy(self.metrics)  # of the epoch under way, in which a callback may call evaluate()
        self.seed = int(model._seed[0] if seed is None else seed)
        self.run_eagerly = run_eagerly
        if not model.built:
            model.assign_seeds(self.seed)
            if model._given_seed is None:
                object.__setattr__(model, "_seed", [self.seed, *model._seed[1:]])
        self.slots = Slots(self.seed)
        self.cache = ProgramCache()
        self.flat: Flat | None = None
        self.flat_version = -1
        self.sums = Tensor.state(np.zeros(2))  # loss * n, n
        self.losses = Tensor.state(np.zeros(STEPS_PER_CALL))
        self.hits = Tensor.state(np.zeros(2))
        self._logits_layer: Any = None  # a weak reference
        self._shapes: dict[Hashable, tuple[int, ...]] = {}
        self.rank = 0  # of the output
        self._ready: dict[Hashable, Any] = {}  # programs of training steps, which hold while ...
        self._watch: Any = None  # ... nothing has changed that this watches
        self._last: Any = None  # the one of the last steps
        self.batches_before = 0  # of this epoch, before the data that slots.offset points into

    @property
    def model(self) -> Any:
        """The model, which holds this trainer and not the other way round."""
        return self._model()

    @property
    def logits_layer(self) -> Any:
        """The last layer, if its softmax or sigmoid belongs to the loss."""
        return self._logits_layer and self._logits_layer()

    # Preparation

    def inputs(self, x: Any, place: str) -> list[np.ndarray]:
        """Return the model's inputs as checked arrays."""
        xs = as_inputs(x, place, self.model.dtype, self.model.takes_integers)
        if hasattr(self.model, "check_inputs"):
            self.model.check_inputs(xs, place)
        return xs

    def data(self, x: Any, y: Any, weight: Any = None, class_weight: Any = None, place: str = "fit") -> Data:
        """Check and convert data; builds the model if need be."""
        xs = self.inputs(x, place)
        for i, a in enumerate(xs):
            check_finite(a, "x" if len(xs) == 1 else f"x[{i}]", place)
        if y is None:
            raise DataError(f"[{place}] expected targets. Received: y=None. help: call {place}(x, y).")
        n = len(xs[0])
        from pynn.core.tensor import to_array

        y_array = to_array(y, place)
        if y_array.ndim == 0 or len(y_array) != n:
            length = "a single number" if y_array.ndim == 0 else f"{len(y_array)} targets"
            raise ShapeError(f"[{place}] expected as many targets as samples. Received: {n} samples and {length}.")
        if y_array.dtype.kind == "f":
            y_array = to_dtype(y_array, self.model.dtype)
        check_finite(y_array, "y", place)
        with unbuilt_if_it_fails(self.model):
            shape = (n, *self.output_shape(xs)[1:])
            y_array = np.ascontiguousarray(self.loss.check_targets(y_array, shape))
            if y_array.dtype.kind == "f":
                y_array = to_dtype(y_array, self.model.dtype)
            w = sample_weights(weight, n, self.model.dtype, place)
            if class_weight is not None:
                by_class = losses.class_weights_to_sample_weights(y_array, class_weight).astype(self.model.dtype)
                w = by_class if w is None else w * by_class
            self.flatten()
        return Data(xs, y_array, w)

    def output_shape(self, xs: list[np.ndarray]) -> tuple[int, ...]:
        """Return the shape of the model's output for one row, from a trial run; builds the model.

        The trial also finds the layer whose softmax or sigmoid the loss is to apply.
        """
        key = (self.model.version(), *((a.shape[1:], a.dtype.str) for a in xs))
        if key in self._shapes:
            return self._shapes[key]
        seen: list[tuple[Any, Any]] = []
        rows = [Tensor.state(a[:1] if a.dtype != np.uint8 else a[:1].astype(self.model.dtype)) for a in xs]
        before, state.observer = state.observer, lambda module, y: seen.append((module, y))
        try:
            with no_grad(), training(False), trial():
                out = self.model(*rows)
        finally:
            state.observer = before
        if not isinstance(out, Tensor):
            raise TypeError(f"[fit] expected forward() to return a tensor. Received: {type(out).__name__}.")
        calls = [id(m) for m, _ in seen]  # a layer that is used before the end too must keep its activation there
        last = [m for m, y in seen if y is out and self._is_last_activation(m) and calls.count(id(m)) == 1]
        self._logits_layer = weakref.ref(last[0]) if last else None
        for m in (*self.metrics, *self.running):
            if hasattr(m, "from_logits"):
                m.from_logits = self.loss.from_logits and self.logits_layer is None
        key = (self.model.version(), *((a.shape[1:], a.dtype.str) for a in xs))
        self._shapes = {key: out.shape}
        self.rank = len(out.shape)
        return out.shape

    def _is_last_activation(self, module: Any) -> bool:
        name = getattr(module, "activation", None)
        function = getattr(module, "_function", None)  # one's own function may have the name too
        return name is not None and name == self.loss.activation and function is named(name)

    def flatten(self) -> None:
        """Move the trainable parameters to one buffer, again whenever the set of them changed."""
        version = self.model.version()
        if self.flat is not None and version == self.flat_version and self.flat.intact():
            return
        parameters = self.model.parameters()
        kept = self.flat is not None and [id(t) for t in parameters] == [id(t) for t in self.flat.tensors]
        if kept and not self.flat.intact():  # type: ignore[union-attr]
            # another model that shares layers moved them to a flat buffer of its own
            slots = self.optimizer.state()
            flat = Flat(parameters)
            self.optimizer.build(flat)
            self.optimizer.load_state(slots)
            self.flat = flat
        elif not kept:
            if not parameters:
                raise DataError("[fit] the model has no trainable parameters. help: set layer.trainable = True.")
            frozen = [w for _, w in self.model.named_parameters() if not any(w is p for p in parameters)]
            for weight in frozen:
                weight.requires_grad, weight._dest = False, None
            flat = Flat(parameters)
            self.optimizer.build(flat)
            self.flat = flat  # now that it has slots: memory may run out before
        self.flat_version = version
        self.cache.clear()
        self._ready.clear()

    # One step

    @contextlib.contextmanager
    def mode(self, train: bool) -> Iterator[None]:
        """Set the training flag and let the loss apply the last activation."""
        before, state.logits_of = state.logits_of, self.logits_layer
        try:
            with training(train, self.slots if train else None):
                yield
        finally:
            state.logits_of = before

    def forward(self, xs: list[Tensor], train: bool = False) -> Any:
        """Return the model's output (logits, if the loss applies the last activation)."""
        with self.mode(train):
            return self.model(*xs)

    def activate(self, z: Tensor) -> Tensor:
        """Apply the last activation, if the loss normally does."""
        if self.logits_layer is None:
            return z
        return self.logits_layer._function(z)

    def penalties(self, loss: Tensor) -> Tensor:
        """Return the loss plus the regularizers of all trainable weights."""
        for module in self.model.modules():
            for key, regularizer in module._regularizers.items():
                loss = ops.add(loss, regularizer(module._weights[key]))
        return loss

    def _train_step(self, tensors: list[Tensor], perm: Tensor, n: int, check: bool) -> None:
        """One training step: fetch, forward, loss, backward, update. Everything goes through execute()."""
        slots, dtype = self.slots, self.model.dtype
        data = self._named(tensors)
        xs = [steps.batch(x, perm, slots, n, dtype) for x in data["xs"]]
        y = steps.batch(data["y"], perm, slots, n, dtype) if data["y"].dtype != np.uint8 else data["y"]
        w = steps.batch(data["w"], perm, slots, n, dtype) if data["w"] is not None else None
        out = self.forward(xs, train=True)
        loss = self.penalties(self.loss(out, y, w))
        steps.log_loss(loss, n, slots, self.sums, self.losses, check)
        if self.counted is not None:
            kind, threshold = self._counting(out, y)
            steps.count_correct(out.detach(), y, w, self.hits, kind, threshold)
        if data["predictions"] is not None:
            with no_grad():
                steps.store_rows(self.activate(out.detach()), slots, data["predictions"])
        assert self.flat is not None
        for t in self.flat.tensors:
            t.grad = None
        loss.backward()
        for t in self.flat.tensors:
            if t.grad is None:  # this step did not use the parameter
                t.grad = ops.zeros(t.shape, t.dtype, out=t._dest)
        trained = [module for module in self.model.modules() if module._trainable]
        limits = [(limit, module._weights[key]) for module in trained for key, limit in module._constraints.items()]
        self.optimizer.apply(self.flat, slots)
        for constraint, weight in limits:
            constraint.apply(weight)
        steps.advance(slots, 1, n)

    def _eager_step(self, tensors: list[Tensor], n: int, check: bool) -> None:
        """Make a step by hand; if memory runs out, running statistics are as before (replayed, none is asked for)."""
        held = [module._weights[key] for module in self.model.modules() for key in module._frozen]
        before = [t.view().copy() for t in held]
        try:
            self._train_step(tensors[:-1], tensors[-1], n, check)
        except MemoryError:
            for t, values in zip(held, before, strict=True):
                t.view()[...] = values
            raise

    def _named(self, tensors: list[Tensor]) -> dict[str, Any]:
        """Name the input slots, which stand in the order of Data.arrays()."""
        layout, rest = self.layout, list(tensors)
        xs = [rest.pop(0) for _ in range(layout[0])]
        y = rest.pop(0)
        w = rest.pop(0) if layout[1] else None
        return {"xs": xs, "y": y, "w": w, "predictions": rest.pop(0) if layout[2] else None}

    @property
    def counted(self) -> Any:
        """The metric that the program itself counts: plain accuracy of one row of scores per sample."""
        kinds = (metrics.Accuracy, metrics.BinaryAccuracy) if self.loss.activation == "sigmoid" else (metrics.Accuracy,)
        plain = (m for m in self.running if type(m) in kinds and getattr(m, "threshold", 0.5) == 0.5)
        return next(plain, None) if self.rank <= 2 else None

    @property
    def logged(self) -> list[Any]:
        """The metrics that are computed from all predictions at the end of an epoch."""
        return [m for m in self.running if m is not self.counted]

    def _counting(self, out: Tensor, y: Tensor) -> tuple[int, float]:
        if y.dtype.kind == "i":
            return steps.ARGMAX_LABELS, 0.0
        if out.ndim > 1 and out.shape[-1] > 1 and type(self.counted) is metrics.Accuracy:
            return steps.ARGMAX_ROWS, 0.0
        logits = self.logits_layer is not None or self.loss.from_logits
        return steps.THRESHOLD, 0.0 if logits else 0.5

    # Many steps

    def key(self, kind: str, data: Data, n: int, *more: Hashable) -> Hashable:
        """Return all that a program depends on."""
        shapes = tuple((a.shape[1:], a.dtype.str) for a in data.arrays())
        return (
            kind,
            n,
            shapes,
            self.model.version(),
            tuple(w.buffer.address for _, w in self.model.named_parameters()),
            config.version(),
            self.optimizer.config(),
            self.loss.config(),
            *more,
        )

    def _layout(self, data: Data) -> tuple[int, bool, bool]:
        return len(data.xs), data.w is not None, data.predictions is not None

    def _shape_key(self, data: Data, perm: np.ndarray, n: int, check: bool) -> Hashable:
        """Return what a program of training steps depends on, but for what is watched."""
        shapes = tuple((a.shape[1:], a.dtype) for a in data.arrays())
        rows = 0 if data.predictions is None else len(perm)
        return n, check, self._layout(data), rows, shapes, self.optimizer.config(), self.loss.config()

    def run_steps(
        self, data: Data, perm: np.ndarray, n: int, count: int, eagerly: bool, check: bool, again: bool = False
    ) -> None:
        """Make `count` updates on batches of n rows, from slots.offset on; slots.rate holds the learning rates.

        `again` promises that data, n, check and the settings of loss and optimizer are those of the last call.
        """
        arrays = [*data.arrays(), perm]
        self.slots.set(cursor=0)
        try:
            if eagerly:
                self._last = None
                self.flatten()
                self.layout = self._layout(data)
                tensors = [external(a) for a in arrays]
                for _ in range(count):
                    self._eager_step(tensors, n, check)
                return
            if self._watch is None or not self._watch.unchanged():
                self._ready.clear()
                self._last = None
            if not again or self._last is None:
                shape_key = self._shape_key(data, perm, n, check)
                self._last = self._ready.get(shape_key)
            if self._last is None:
                program, made = self._recorded(data, arrays, n, check)
                count -= made
                self._replay(program, arrays, count)
                if not self._ready:
                    self._watch = _predict.Watch(self.model)
                self._ready[shape_key] = self._last = program
                return
            self._replay(self._last, arrays, count)
        except NonFiniteError:
            raise self._where_not_finite(data, perm, n) from None

    def _recorded(self, data: Data, arrays: list[np.ndarray], n: int, check: bool) -> tuple[Any, int]:
        """Return the program of training steps, and how many of them (0 or 1) were made to record it."""
        self.flatten()
        self.layout = self._layout(data)
        key = self.key("train", data, n, self.layout, check, len(arrays[-1]) if data.predictions is not None else 0)
        program = self.cache.get(key)
        if program is not None:
            return program, 0
        tensors = [external(a) for a in arrays]
        with record(*tensors) as recorder:
            self._eager_step(tensors, n, check)
        return self.cache.add(key, recorder), 1

    def _replay(self, program: Any, arrays: list[np.ndarray], count: int) -> None:
        try:
            for slot, array in enumerate(arrays):
                program.bind(slot, array)
            if count:
                _, status = self.cache.run(program, count)
                if status:
                    raise failure(status, program.instrs[program.failed_at])
        finally:
            program.release()

    def _where_not_finite(self, data: Data, perm: np.ndarray, n: int) -> NonFiniteError:
        """Find the layer: parameters are those before the bad batch, and random numbers are the same again."""
        start = self.slots.get("offset")
        found: list[str] = []

        def look(module: Any, out: Any) -> None:
            if not found and isinstance(out, Tensor) and not np.isfinite(out.view()).all():
                found.append(module.name)

        state.observer = look
        try:
            with no_grad(), trial():
                rows = perm[start : start + n]
                dtype = self.model.dtype
                xs = [(a[rows] / dtype.type(255)).astype(dtype) if a.dtype == np.uint8 else a[rows] for a in data.xs]
                self.forward([Tensor.state(a) for a in xs], train=True)
        finally:
            state.observer = None
        place = f"layer {found[0]!r}" if found else "the loss"
        return NonFiniteError(
            f"[fit] the loss is not finite in batch {self.batches_before + start // max(n, 1)}: {place} is the first "
            "place with a NaN or an infinite value. The update was not made. help: lower the learning rate, clip "
            "gradients (clip_norm=1.0), or scale the inputs; check_finite=False goes on regardless."
        )

    # Predictions

    def run_forward(self, xs: list[np.ndarray], batch_size: int, activate: bool, eagerly: bool = False) -> np.ndarray:
        """Return the outputs for all rows, computed in passes of batch_size."""
        n = len(xs[0])
        shape = self.output_shape(xs)
        activate = activate and self.logits_layer is not None
        out = np.zeros((n, *shape[1:]), self.model.dtype)
        perm = np.arange(n)
        before = self.slots.get("offset")  # a callback may predict in the middle of an epoch
        self.slots.set(offset=0, cursor=0)
        data = Data(xs, out)
        done = 0
        try:
            while done < n:
                rows = min(batch_size, n - done)
                count = max(1, (n - done) // batch_size) if rows == batch_size else 1
                self._forward_pass(data, perm, rows, count, activate, eagerly)
                done += rows * count
        finally:
            self.slots.set(offset=before)
        return out

    def _forward_step(self, tensors: list[Tensor], n: int, activate: bool) -> None:
        *xs, out, perm = tensors
        with no_grad():
            z = self.forward([steps.batch(x, perm, self.slots, n, self.model.dtype) for x in xs])
            steps.store_rows(self.activate(z) if activate else z, self.slots, out)
            steps.advance(self.slots, 0, n)

    def _forward_pass(self, data: Data, perm: np.ndarray, n: int, count: int, activate: bool, eagerly: bool) -> None:
        arrays = [*data.xs, data.y, perm]
        key = self.key("forward", data, n, activate)
        program = self.cache.get(key)
        if program is None or eagerly:
            tensors = [external(a) for a in arrays]
            if eagerly:
                for _ in range(count):
                    self._forward_step(tensors, n, activate)
                return
            with record(*tensors) as recorder:
                self._forward_step(tensors, n, activate)
            program = self.cache.add(key, recorder)
            count -= 1
        self._replay(program, arrays, count)
