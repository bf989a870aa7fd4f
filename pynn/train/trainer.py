"""What compile() makes: optimizer, loss, metrics, flat parameters, and the recorded steps of a model."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import numpy as np

from pynn import metrics, ops, optim
from pynn.checks import integer
from pynn.core._watch import Watch
from pynn.core.context import training
from pynn.core.flat import Flat, Slots
from pynn.core.program import ProgramCache
from pynn.core.state import gathered_losses, no_grad, trial
from pynn.core.tape import taped
from pynn.core.tensor import Tensor, to_array
from pynn.errors import DataError, ShapeError
from pynn.ops import pixels
from pynn.train import columns, stepping
from pynn.train.building import named, told_of, unbuilt_if_it_fails
from pynn.train.data import (
    Data,
    as_inputs,
    by_input,
    check_finite,
    input_count,
    mapped,
    warn_of_bytes_scaled_twice,
)
from pynn.train.network import Network
from pynn.train.segments import Segments
from pynn.train.several import head_for, looked_at
from pynn.train.train_fn import ShortCut
from pynn.train.turns import Ledger, Turns

__all__ = ["Trainer"]


class Trainer:
    """The compiled state of a model. One step is written once, in stepping.py.

    Run by hand it is eager execution; run once under a recorder it becomes a program, which every later batch of the
    same shape replays.
    """

    def __init__(
        self,
        model: Network,
        optimizer: Any,
        loss: Any,
        metric_list: Any,
        seed: int | None,
        run_eagerly: bool,
        loss_weights: Any = None,
    ):
        if isinstance(metric_list, (str, metrics.Metric)) or callable(metric_list):
            metric_list = [metric_list]
        if seed is not None:
            seed = integer("compile", "seed", seed)
        self._model = weakref.ref(model)
        self.optimizer = optim.get(optimizer)
        self.head: Any = head_for(model, loss, metric_list, loss_weights)
        self.rate_said: Any = self.optimizer._rate  # by the program; callbacks may change what it becomes
        self.rate_left: Any = None  # by the last fit()
        self.seed = int(model._seed[0] if seed is None else seed)
        self.run_eagerly = run_eagerly
        if not model.built:
            model.assign_seeds(self.seed)
            if model._given_seed is None:
                object.__setattr__(model, "_seed", [self.seed, *model._seed[1:]])
        self.ledger = Ledger(Slots(self.seed))  # of the training under way, or of the next one
        self.turns = Turns()
        self.after_loss: list[Callable[[Tensor, Tensor | None, int], Tensor]] = []  # of loss, weights and batch size
        self.before_update: list[Callable[[Tensor], None]] = []
        self.cache = ProgramCache()
        self.passes: Any = None  # of evaluations: predictor.logits()
        self.adds_losses = False  # whether modules add to the loss (add_loss)
        self.shortcut = ShortCut()  # of train_on_batch()
        self.flat: Flat | None = None
        self._flats: dict[Hashable, Flat] = {}  # of the parameters that are trained now, and of those before
        self._shapes: dict[Hashable, Any] = {}
        self.layout: tuple[Any, ...] = (
            0,
            False,
            False,
        )  # of the data that a step is made on: inputs, weights, predictions
        self._watch: Watch | None = None  # on what these shapes come from
        self.segments = Segments(1)  # of the batches of the training under way
        self.shared_points = False  # whether a process that trains with this one may write checkpoints
        self.plans: dict[Hashable, Any] = {}  # of steps in segments
        self.written: list[Tensor] = []  # states that the last forward pass of a training wrote to
        self.epochs = 0  # begun so far, in all calls of fit(): the next one has an order of samples of its own

    @property
    def model(self) -> Network:
        """The model, which holds this trainer and not the other way round."""
        model = self._model()
        assert model is not None, "the model is gone"
        return model

    @property
    def loss(self) -> Any:
        """What is minimized: a loss, or those of several outputs."""
        return self.head.loss

    @property
    def metrics(self) -> list[Any]:
        """The metrics of an evaluation."""
        return self.head.metrics

    # Of the training under way

    @property
    def slots(self) -> Slots:
        """What changes at every step."""
        return self.ledger.slots

    @property
    def sums(self) -> Tensor:
        """(loss * n, n) of the epoch so far."""
        return self.ledger.sums

    @property
    def losses(self) -> Tensor:
        """The losses of the last native call."""
        return self.ledger.losses

    @property
    def hits(self) -> Tensor:
        """(weight of right predictions, weight of all) of the epoch so far."""
        return self.ledger.hits

    @property
    def running(self) -> list[Any]:
        """The metrics of the epoch under way."""
        return self.head.running

    @property
    def batches_before(self) -> int:
        """Batches of this epoch before the data that slots.offset points into."""
        return self.ledger.batches_before

    @batches_before.setter
    def batches_before(self, count: int) -> None:
        self.ledger.batches_before = count

    # Preparation

    def inputs(self, x: Any, place: str) -> list[np.ndarray]:
        """Return the model's inputs as checked arrays."""
        if isinstance(x, Mapping):
            x = by_input(x, self.model, place)
        if isinstance(x, list) and len(x) > 1 and input_count(self.model) == 1:
            x = to_array(x, place)  # rows, also where each is an array
        if type(x) is not np.ndarray:
            columns.compare(self.model, x, place)
        xs = as_inputs(x, place, self.model)
        if hasattr(self.model, "check_inputs"):
            self.model.check_inputs(xs, place)
        return xs

    def data(
        self,
        x: Any,
        y: Any,
        weight: Any = None,
        class_weight: Any = None,
        place: str = "fit",
        whole: bool = False,
    ) -> Data:
        """Check and convert data, a batch or the `whole` of a training; builds the model if need be."""
        xs = self.inputs(x, place)
        pixels.check_range(xs, place, 128 if whole else 2)
        for i, a in enumerate(xs):
            check_finite(a, "x" if len(xs) == 1 else f"x[{i}]", place)
        n, dtype = len(xs[0]), self.model.dtype
        early = self.head if not self.head.several and not isinstance(y, (Mapping, tuple, list)) else None
        if early is not None:
            y = early.rows(y, n, dtype, place)
        with unbuilt_if_it_fails(self.model):
            with told_of(n, place):
                shape = mapped(lambda one: (n, *one[1:]), self.output_shape(xs))
            if early is not self.head:  # how many outputs there are may be known only now
                y = self.head.rows(y, n, dtype, place)
            with named(place):
                return Data(xs, *self.head.targets(y, weight, class_weight, shape, dtype, place))

    def output_shape(self, xs: list[np.ndarray]) -> Any:
        """Return the shape of the model's output for one row, or of several outputs, from a trial; builds the model.

        The trial also shows what the loss is to be computed from.
        """
        key = tuple((a.shape[1:], a.dtype.str) for a in xs)
        if self._watch is not None and not self._watch.unchanged():
            self._watch, self._shapes = None, {}
        if key in self._shapes:
            return self._shapes[key]
        rows = [Tensor.state(a[:1] if a.dtype != np.uint8 else a[:1].astype(self.model.dtype)) for a in xs]
        built = self.model.built
        added: list[Any] = []
        with no_grad(), training(False), trial(), gathered_losses(added):
            with taped() as tape:
                try:
                    out = self.model(*rows)
                except ShapeError as error:
                    if built:  # it ran before, maybe on a batch of another size
                        error.add_note(
                            "A network is tried on one sample before it is trained or evaluated. help: if a batch size "
                            "is built into this one, write x.shape[0] or -1 in its place."
                        )
                    raise
            self.head, out = looked_at(self.head, out, tape, self.model)
            warn_of_bytes_scaled_twice(self.model, xs, rows, tape)
        self.adds_losses = bool(added)
        self._watch, self._shapes = Watch(self.model, self.loss), {key: out}
        return out

    def flatten(self) -> None:
        """Find the parameters that are to be trained, each with the slots that it has from before.

        Raises
        ------
        DataError
            If there are none, or if the flags of a weight and of its layer differ.
        """
        for path, weight in self.model.named_parameters(trainable_only=True):
            if not weight.requires_grad:
                raise DataError(
                    f"[fit] expected weight {path!r} to have requires_grad=True, as its layer is trainable. "
                    "Received: False. help: freeze the layer, layer.trainable = False."
                )
        parameters = self.model.parameters()
        key = tuple(id(t) for t in parameters)
        if key not in self._flats:  # else a layer was frozen and is no longer, or the other way round
            if not parameters:
                raise DataError("[fit] the model has no trainable parameters. help: set layer.trainable = True.")
            self._flats = {k: flat for k, flat in self._flats.items() if flat is self.flat}
            self._flats[key] = Flat(parameters)
            self.cache.clear()
        self.flat = self._flats[key]
        self.optimizer.build(self.flat)

    # Averages of the parameters

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the model have the averages that its optimizer keeps, if it does, inside a ``with``."""
        with self.optimizer.averaged():
            self._limit()
            yield

    def take_averages(self) -> None:
        """Give the model the averages that its optimizer keeps, if it does."""
        self.optimizer.take_averages()
        self._limit()

    def _limit(self) -> None:
        """Hold averages to the constraints: they are made before a step's are applied."""
        if self.optimizer.use_ema:
            for constraint, weight in self.constraints():
                constraint.apply(weight)

    def constraints(self) -> list[tuple[Any, Tensor]]:
        """Return (constraint, weight) of all layers that are trained."""
        trained = [module for module in self.model.modules() if module._trainable]
        return [(limit, module._weights[key]) for module in trained for key, limit in module._constraints.items()]

    # One step

    def forward(self, xs: list[Tensor], train: bool = False, slots: Slots | None = None) -> Any:
        """Run the model; returns the Scores that the loss is computed from: logits, if the activation belongs to it."""
        with training(train, (slots or self.slots) if train else None):
            with taped() as tape:
                out = self.model(*xs)
            if train:
                self.written = [y for e in tape.entries if e.card.mutates for y in e.outs if y is not None]
            return self.head.scores(out, tape)

    def outputs(self, xs: list[Tensor]) -> Any:
        """Run the model as for a prediction; returns its output."""
        with training(False):
            return self.model(*xs)

    def penalties(self, loss: Tensor) -> Tensor:
        """Return the loss plus the regularizers of all trainable weights."""
        for module in self.model.modules():
            for key, regularizer in module._regularizers.items():
                loss = ops.add(loss, regularizer(module._weights[key]))
        return loss

    @property
    def counted(self) -> Any:
        """The metric that the program itself counts: plain accuracy of one row of scores per sample."""
        return self.head.counted

    @property
    def logged(self) -> list[Any]:
        """The metrics that are computed from all predictions at the end of an epoch."""
        return self.head.logged

    # Many steps

    def run_steps(
        self, data: Data, perm: np.ndarray, n: int, count: int, eagerly: bool, check: bool, again: bool = False,
        store: bool = True,
    ) -> None:  # fmt: skip
        """Make `count` updates on batches of n rows; see stepping.run_steps."""
        stepping.run_steps(self, data, perm, n, count, eagerly, check, again, store)
