"""What all optimizers share: the learning rate, clipping, weight decay, and the slots that a rule keeps."""

from __future__ import annotations

import contextlib
import inspect
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pynn import ops
from pynn._blocks import Leaving
from pynn.checks import number, written
from pynn.core.card import Card
from pynn.core.flat import Flat, Slots
from pynn.core.graph import execute
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DTypeError, MissingAttributeError, ShapeError
from pynn.keywords import Spelled, meant, spelled
from pynn.ops.embedding import TouchedRows
from pynn.optim.averages import Averages
from pynn.optim.composed import EMA, update_composed
from pynn.optim.fused import Fused, card_of
from pynn.optim.slots import Part, Table
from pynn.schedules import Schedule

__all__ = ["Optimizer"]

COMMON = (
    "learning_rate", "weight_decay", "clip_value", "clip_norm", "use_ema", "ema_momentum", "ema_overwrite_frequency",
)  # fmt: skip
# What an optimizer has while it runs; all else that it keeps is a setting, which its programs hold.
RUNNING = frozenset({"iterations", "table", "_flat", "_own", "_names", "_used", "_rate"})


class Optimizer(Averages, Spelled):
    """A rule that updates all parameters at once.

    A rule of one's own writes :meth:`update` with tensors; it is recorded like all else. Those of the library have a
    kernel besides, which does the same in one pass over the parameters.

    Parameters
    ----------
    learning_rate : float or Schedule
        Finite and > 0, or one of :mod:`pynn.schedules`.
    weight_decay : float, default 0.0
        Decoupled: every parameter is multiplied by 1 - learning_rate * weight_decay before the update.
    clip_value : float, optional
        Gradients are limited to [-clip_value, clip_value] first.
    clip_norm : float, optional
        Gradients are scaled so that their norm, over all parameters, is at most clip_norm (after clip_value).
    use_ema : bool, default False
        Keep the average a = mu a + (1 - mu) w of every parameter over the updates (Polyak and Juditsky 1992), and give
        the parameters its values when ``fit`` ends and while it validates.
    ema_momentum : float, default 0.99
        mu, in [0, 1).
    ema_overwrite_frequency : int, optional
        Give the parameters the values of their averages after every so many updates, too.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range.

    References
    ----------
    Ruder, "An overview of gradient descent optimization algorithms", 2016. Loshchilov and Hutter, "Decoupled weight
    decay regularization", 2019. Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural
    networks", 2013 (clipping by norm). Polyak and Juditsky, "Acceleration of stochastic approximation by averaging",
    1992.

    Examples
    --------
    On its own, without a model:

    >>> import pynn
    >>> w = pynn.tensor([4.0], requires_grad=True)
    >>> optimizer = pynn.optim.SGD(0.25).bind([w])
    >>> for _ in range(3):
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> w.item()
    0.5
    """

    _unwatched: ClassVar[frozenset[str]] = RUNNING  # programs read rate and slots by pointer, or are keyed by them
    name: ClassVar[str] = "optimizer"  # by default the class's name in lower case
    reads_all = False  # whether more is read of gradients than what is updated, and their norm
    elementwise: ClassVar[bool] = False  # whether update() may see many parameters as one vector
    fused: ClassVar[Fused | None] = None  # a kernel that does what update() says
    card: ClassVar[Card]
    _arguments: ClassVar[tuple[str, ...]] = ()

    @spelled
    def __init__(
        self,
        learning_rate: float | Schedule,
        *,
        weight_decay: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ):
        self._rate: float | Schedule = self._checked_rate(learning_rate)
        self.weight_decay = number(self.name, "weight_decay", weight_decay, 0)
        self.clip_value = None if clip_value is None else number(self.name, "clip_value", clip_value, 0, open_low=True)
        self.clip_norm = None if clip_norm is None else number(self.name, "clip_norm", clip_norm, 0, open_low=True)
        self._set_average(use_ema, ema_momentum, ema_overwrite_frequency)
        self._begin()

    def _begin(self) -> None:
        self.iterations = 0
        self.table = Table()
        self._flat: Flat | None = None
        self._own: Slots | None = None
        self._names: Any = None  # of the slots that these parameters have
        self._used: dict[int, Tensor] = {}  # gradients that step() has applied

    if not TYPE_CHECKING:  # type checkers find slips by themselves

        def __getattr__(self, name: str) -> Any:
            raise MissingAttributeError(
                f"{type(self).__name__} has no attribute {name!r}.", lambda: "" if name[:1] == "_" else self._hint(name)
            )

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "lr":  # Keras's name of old; the rate would stay as it is, in silence
                raise AttributeError(
                    f"[{self.name}] expected learning_rate to be set. Received: lr={written(value)}. "
                    "help: optimizer.learning_rate = ..."
                )
            object.__setattr__(self, name, value)

    def _hint(self, name: str) -> str:
        """Return what may help where an attribute is missing."""
        near = meant(name, [known for known in dir(self) if not known.startswith("_")])
        return f" help: did you mean {near!r}?" if near else ""

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings: a copy, or what a pickle holds, has no parameters yet and begins at step 0."""
        left = RUNNING - {"_rate"}
        return {name: value for name, value in self.__dict__.items() if name not in left}

    def __setstate__(self, settings: dict[str, Any]) -> None:
        """Take what ``__getstate__`` returned."""
        self.__dict__.update(settings)
        self._begin()

    # What a rule defines

    def update(self, param: Tensor, grad: Tensor, rate: Tensor, step: Tensor, *args: Any, **slots: Any) -> Any:
        """Return what becomes of a parameter and of its slots; to be written by subclasses, in ops.

        It is recorded like a forward pass, so it must not read values.

        Parameters
        ----------
        param : Tensor
            Of one parameter, in its shape; vectors of many parameters in classes with ``elementwise = True``. Clipping
            and weight decay are done.
        grad : Tensor
            Of one parameter, in its shape; vectors of many parameters in classes with ``elementwise = True``. Clipping
            and weight decay are done.
        rate : Tensor, shape []
            The learning rate, of the parameter's dtype.
        step : Tensor, float64, shape []
            How many updates the parameter has had with this one: 1, 2, ... In double precision, since 1 - beta**step is
            a small difference at first; bring what comes of it to the parameter's dtype with ``.astype(param.dtype)``.
        **slots : Tensor
            The slots by name; see slot_names(). Those of number_names() are float64 of shape [].

        Returns
        -------
        Tensor, dict of str to Tensor
            The new parameter, and the new values of the slots that change.
        """
        raise NotImplementedError(
            f"[{self.name}] write update(self, param, grad, rate, step, **slots) in class {type(self).__name__}."
        )

    def hyper(self) -> dict[str, Any]:
        """Return the settings of the rule: the attributes that are named like its constructor's arguments."""
        for name in self._arguments:
            if not hasattr(self, name):
                raise AttributeError(
                    f"[{self.name}] expected the attribute {name!r}, which the constructor of {type(self).__name__} "
                    f"takes. help: keep it, self.{name} = {name}."
                )
        return {name: getattr(self, name) for name in self._arguments}

    def slot_names(self) -> tuple[str, ...]:
        """Return the names of what the rule keeps beside a parameter, in its shape."""
        return ()

    def number_names(self) -> tuple[str, ...]:
        """Return the names of what the rule keeps as one number for a whole parameter; float64."""
        return ()

    def first(self, name: str) -> float:
        """Return the first value of a slot or number, all over."""
        return 0.0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.name == Optimizer.name:
            cls.name = cls.__name__.lower()
        kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        arguments = list(inspect.signature(cls.__init__).parameters.values())[1:]
        cls._arguments = tuple(a.name for a in arguments if a.kind in kinds and a.name not in COMMON)
        if cls.__dict__.get("fused") is not None:
            cls.card = card_of(cls, cls.__dict__["fused"])
        elif "update" in cls.__dict__:  # another rule than the one whose kernel would be inherited
            cls.fused = None

    # The learning rate

    def _checked_rate(self, rate: Any) -> float | Schedule:
        if isinstance(rate, Schedule):
            return rate
        if isinstance(rate, str):
            raise ValueError(
                f"[{self.name}] expected a learning_rate that is a number or a Schedule. Received: {rate!r}."
            )
        return number(self.name, "learning_rate", rate, 0)  # 0 holds the weights still, as a schedule may

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step. A number can be set; a schedule sets itself."""
        return self._rate(self.iterations) if isinstance(self._rate, Schedule) else self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(self._rate, Schedule) and not isinstance(value, Schedule):
            raise ValueError(
                f"[{self.name}] the learning rate follows {self._rate!r} and cannot be set to {value!r}. "
                "help: compile with a number to set it by hand or by a callback, or set another Schedule."
            )
        self._rate = self._checked_rate(value)

    def rates(self, step: int, count: int) -> np.ndarray:
        """Return the learning rates of `count` steps from number `step` on, which are about to be made; float64."""
        self.iterations = step + count
        if isinstance(self._rate, Schedule):
            return self._rate.values(step, count)
        return np.full(count, self._rate)

    # State

    def build(self, flat: Flat) -> None:
        """Make the slots of parameters that have none yet."""
        names = self.kept_names(), self.number_names()
        if flat is not self._flat or names != self._names:
            with self._beginning(flat.tensors):
                self.table.add(flat.tensors, *names, self.first_of)
            self._flat, self._names = flat, names

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of the slots of the parameters that are trained now, by name, one after the other.

        ``step`` tells how often each of them was updated.

        Examples
        --------
        >>> import pynn
        >>> optimizer = pynn.optim.Adam().bind([pynn.tensor([1.0, 2.0]), pynn.tensor(3.0)])
        >>> {name: slot.shape for name, slot in optimizer.state().items()}
        {'m': (3,), 'v': (3,), 'step': (2,)}
        """
        whole = {} if self._flat is None else self.table.whole(self._flat.tensors)
        found: dict[str, list[np.ndarray]] = {}
        for name, slot, _, _ in self._kept():
            found.setdefault(name, []).append(whole.get(id(slot), slot.view()).ravel())
        return {name: np.concatenate(values) for name, values in found.items()}

    def _kept(self) -> Iterator[tuple[str, Tensor, int, int]]:
        """Yield name, slot, how many numbers it has in all, and the first one that is kept here."""
        for t in () if self._flat is None else self._flat.tensors:
            held = self.table[t]
            for name, slot in held.named().items():
                cut = held.share if name in held.slots else None
                yield (name, slot, slot.size, 0) if cut is None else (name, slot, t.size, cut[0])

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Write what `state` returned into the slots.

        Raises
        ------
        ValueError
            If names or shapes differ; nothing is written then.
        """
        if self._flat is None:
            raise ValueError(f"[{self.name}] expected parameters first. help: call compile and fit, or bind().")
        kept = list(self._kept())
        sizes: dict[str, int] = {}
        for name, _, size, _ in kept:
            sizes[name] = sizes.get(name, 0) + size
        if set(state) != set(sizes):
            raise ValueError(
                f"[{self.name}] expected the slots {sorted(sizes)}. Received: {sorted(state)}. "
                "help: load the state of an optimizer of the same kind and settings."
            )
        for name, total in sizes.items():
            if np.shape(state[name]) != (total,):
                raise ShapeError(
                    f"[{self.name}] expected {name} of shape {(total,)}. Received: {np.shape(state[name])}."
                )
        ahead = np.ravel(state["step"]) - np.concatenate([one.view() for name, one, _, _ in kept if name == "step"])
        self.table.version += bool(np.ptp(ahead))  # who was updated equally often has changed
        if self.table.gang is not None:
            self.table.changes += 1
            self.table.given = sha256(b"".join(np.asarray(state[name]).tobytes() for name in sizes)).hexdigest()
        at = dict.fromkeys(sizes, 0)
        for name, slot, size, first in kept:
            begin = at[name] + first
            slot.view()[...] = np.reshape(state[name][begin : begin + slot.size], slot.shape)
            at[name] += size
        if self._own is not None:
            self._own.set(step=int(np.max(state["step"])))

    # Updates

    def apply(self, flat: Flat, slots: Slots, share: tuple[Tensor, Callable[[], None]] | None = None) -> None:
        """Clip the gradients and update the parameters; all of it through execute().

        Parameters
        ----------
        flat : Flat
            Parameters and gradients.
        slots : Slots
            Learning rate (rate[cursor]) and step, read by pointer.
        share : (Tensor, callable), optional
            Where processes share the gradients, as in :func:`pynn.ops.clip_norm`.
        """
        self.build(flat)
        self._clip(flat, share)
        rows = {id(t): found for t in flat.tensors if (found := flat.into[id(t)].rows) and (found.sparse or found.live)}
        with self._whole(flat) if self.fused is None else contextlib.nullcontext():
            for part in self.table.parts(flat, frozenset(rows)):
                touched = rows.get(id(part.tensors[0]))
                if touched is None or touched.live:  # a sparse table that was not looked up is left alone
                    self._update(part, slots, touched)

    @property
    def divisible(self) -> bool:
        """Whether several processes may each update a part of the parameters, whatever shape they have."""
        one_by_one = self.fused is not None or (self.elementwise and not self.number_names())
        return one_by_one and type(self).apply is Optimizer.apply

    def _clip(self, flat: Flat, share: tuple[Tensor, Callable[[], None]] | None) -> None:
        """Clip the gradients as the settings say."""
        if self.clip_value is not None:
            ops.clip_value(flat.grads, self.clip_value)
        if self.clip_norm is not None:
            ops.clip_norm(flat.grads, self.clip_norm, share)

    def _whole(self, flat: Flat) -> Leaving:
        """Let all parameters be updated or, if a rule in Python fails at one of them, none."""
        views = [s.view() for t in flat.tensors for s in (t, *self.table[t].named().values())]
        return Leaving(*((operator.setitem, view, ..., view.copy()) for view in views), failed=True)

    def _update(self, part: Part, slots: Slots, touched: TouchedRows | None) -> None:
        """Execute the update of a part."""
        if self.fused is None:
            assert self._flat is not None
            update_composed(self, self.table, part, self._flat.into, slots, touched)
            return
        rows = () if touched is None else (touched.marked, touched.rows, touched.count)
        places = [part.slots.get(name) for name in (*self.fused.slots, "", "", "")[:3]]
        places.append(part.slots[EMA] if self.use_ema else None)
        average = {"ema": self.ema_momentum, "every": self.ema_overwrite_frequency or 0} if self.use_ema else {}
        attrs = {"slots": self.slot_names(), "numbers": self.number_names(), "k": len(part.tensors), **self.hyper()}
        execute(
            self.card,
            (part.grad, slots.rate, slots.cursor, *rows),
            {"decay": self.weight_decay, "lazy": touched is not None and touched.sparse, **average, **attrs},
            out=(part.param, *places, part.counts, *part.numbers.values()),
        )

    def bind(self, parameters: Iterable[Tensor]) -> Optimizer:
        """Take tensors to optimize, for use without a model. Their values move to one flat buffer.

        Parameters
        ----------
        parameters : iterable of Tensor
            Leaves of one floating dtype; ``requires_grad`` is switched on.

        Returns
        -------
        Optimizer
            This one.

        Raises
        ------
        TypeError, DTypeError
            If they are not tensors of one floating dtype.
        ValueError
            If there are none, or one was computed by an op.
        """
        tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        if not tensors:
            raise ValueError(
                f"[{self.name}] expected parameters. Received: none. "
                "help: a model has them once it has seen a shape: call it on a batch, or build((None, ...))."
            )
        for t in tensors:
            if not isinstance(t, Tensor):
                raise TypeError(f"[{self.name}] expected tensors. Received: {type(t).__name__}.")
            if t.node is not None:
                raise ValueError(
                    f"[{self.name}] expected leaves. Received: a tensor made by {t.node.card.name}. "
                    "help: make parameters with pynn.tensor(..., requires_grad=True)."
                )
        dtypes = sorted({str(t.dtype) for t in tensors})
        if len(dtypes) > 1 or tensors[0].dtype not in FLOATS:
            raise DTypeError(f"[{self.name}] expected parameters of one floating dtype. Received: {', '.join(dtypes)}.")
        self.build(Flat(tensors))
        self._own = self._own or Slots()
        return self

    def step(self) -> None:
        """Make one update with the gradients that backward() wrote.

        A gradient is used once: a parameter that no backward() reached since the last step has gradient 0.

        Raises
        ------
        RuntimeError
            Without bind().
        """
        if self._flat is None or self._own is None:
            raise RuntimeError(f"[{self.name}] step() needs parameters. help: call optimizer.bind(parameters) first.")
        if self.table.gang is not None:
            self.table.unite(self._flat.tensors)  # here each process updates all of them
        for t in self._flat.tensors:
            place = self._flat.into[id(t)]
            if t.grad is None or t.grad is self._used.get(id(t)):
                ops.zeros(t.shape, t.dtype, out=place)
                if place.rows is not None:
                    place.rows.live = False
                continue
            place.rows = t.grad.rows
            if t.grad.buffer is not place.buffer:
                ops.copy(t.grad, out=place)
            self._used[id(t)] = t.grad = t.grad.detach()  # it can still be read, and another one be written
        now = self._own.step.view()
        self._own.set(rate=self.rates(int(now[0]), 1), cursor=0)
        self.apply(self._flat, self._own)
        now += 1

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Tensor]]) -> None:
        """Make one update with gradients that are given, as those of :func:`pynn.grad`.

        Parameters
        ----------
        grads_and_vars : iterable of (gradient, parameter)
            Gradients are tensors or arrays of their parameters' shapes; None stands for 0. The parameters are those of
            every call; others begin anew, as with :meth:`bind`.

        Raises
        ------
        ValueError
            If there are no pairs.
        ShapeError
            If a gradient has another shape than its parameter.

        Examples
        --------
        >>> import pynn
        >>> w = pynn.tensor([1.0, 2.0], requires_grad=True)
        >>> pynn.optim.SGD(0.5).apply_gradients([(pynn.grad((w * w).sum(), w), w)])
        >>> w.numpy()
        array([0., 0.], dtype=float32)
        """
        pairs = list(grads_and_vars)
        if not pairs:
            raise ValueError(f"[{self.name}] expected pairs of a gradient and a parameter. Received: none.")
        if self._flat is None or self._own is None or {id(v) for _, v in pairs} != {id(t) for t in self._flat.tensors}:
            self.bind([v for _, v in pairs])
        for grad, v in pairs:
            if grad is not None and not isinstance(grad, Tensor):
                grad = Tensor.state(np.asarray(grad, v.dtype))
            if grad is not None and grad.shape != v.shape:
                raise ShapeError(f"[{self.name}] expected a gradient of shape {v.shape}. Received: {grad.shape}.")
            v.grad = grad
        self.step()

    def __repr__(self) -> str:
        own = {"learning_rate": self._rate, **self.hyper()}
        named = ("weight_decay", "clip_value", "clip_norm", *(COMMON[4:] if self.use_ema else ()))
        own |= {k: v for k in named if (v := getattr(self, k))}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in own.items())})"
