"""Op cards: all that is known of an operation, in one place.

A card says what shapes an op takes and gives (`infer`, the only place that raises), which kernel computes it, how its
gradient is computed, what NumPy computes instead (`ref`), and on which inputs it is tested (`samples`, `errors`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pynn.core.state import state
from pynn.errors import ShapeError

if TYPE_CHECKING:
    from pynn.core.tensor import Tensor

__all__ = [
    "CARDS",
    "COMPOSITES",
    "Card",
    "Composite",
    "Fan",
    "Grad",
    "Laid",
    "Lowered",
    "Sample",
    "Spec",
    "composite",
    "like_forward",
    "op",
    "register",
]


class Spec(NamedTuple):
    """Shape and dtype of an output."""

    shape: tuple[int, ...]
    dtype: np.dtype


class Laid(NamedTuple):
    """What a kernel that is asked to (``keeping``) lays out of its weights once, so that later calls need not.

    Attributes
    ----------
    nbytes : int
    weights : tuple of int
        The operands that are laid out, counted from the first output.
    layout : tuple
        What the layout depends on beside the kernel: calls that agree in it share what is kept.
    """

    nbytes: int
    weights: tuple[int, ...]
    layout: tuple[Any, ...]


class Lowered(NamedTuple):
    """What `infer` returns: the outputs, and how the kernel is to be called.

    Attributes
    ----------
    outs : tuple of Spec
        The outputs. Those that are None are not wanted: the kernel receives NULL.
    dims : tuple of int
        The kernel's sizes and integer attributes.
    pars : tuple of float
        The kernel's real attributes.
    dtype : numpy.dtype, optional
        The dtype that selects the kernel; by default that of the first input.
    scratch : int
        Bytes of scratch memory.
    args : tuple of Tensor or None, optional
        The kernel's inputs, where they differ from the op's.
    laid : Laid, optional
        What of the weights predictions may keep.
    """

    outs: tuple[Spec | None, ...]
    dims: tuple[int, ...] = ()
    pars: tuple[float, ...] = ()
    dtype: np.dtype | None = None
    scratch: int = 0
    args: tuple[Any, ...] | None = None
    laid: Laid | None = None


class Fan(NamedTuple):
    """The units that an op computes, all rows of the batch together; see :func:`pynn.nn.count`.

    Attributes
    ----------
    units : int
        Sums that it computes.
    connections : int
        The terms of all these sums.
    products : int, optional
        Multiply-adds; by default as many as there are connections.
    pool : bool
        Whether they are pools, which have no weights.
    after : int, optional
        Operand whose units are these very units: sums that the op goes on with.
    steps : int
        Of a recurrence, in which the same units sum up again and again: how often.
    """

    units: int
    connections: int
    products: int | None = None
    pool: bool = False
    after: int | None = None
    steps: int = 1


class Sample(NamedTuple):
    """Inputs for a test: arrays (float ones take the dtype under test, and are differentiated) and attributes.

    A tensor among the inputs or the state keeps its dtype.
    """

    inputs: tuple[Any, ...]
    attrs: dict[str, Any] = {}  # noqa: RUF012  (never written)
    smooth: bool = True  # False: compare values only, not gradients (a kink is near)
    state: tuple[Any, ...] = ()  # what a mutating op updates, before it does; its ref takes these after the inputs


@dataclass
class Grad:
    """What a vjp sees: the forward call, and where its results may be written.

    Attributes
    ----------
    inputs, outs : tuple of Tensor
        The operands and the results of the forward call (results detached from the graph).
    attrs : dict
        The attributes of the forward call.
    needs : tuple of bool
        Which inputs need a gradient; the vjp returns None for the others.
    dest : tuple of Tensor or None
        Where each gradient should be written, if the op can write there.
    sofar : tuple of Tensor or None
        What the other uses of each input have given so far. It is added to what the vjp returns, but by the vjp itself
        where `adds` is true (a late card).
    adds : bool
        Whether the vjp itself adds `sofar` to what it returns.
    alone : tuple of bool
        Whether this call is all that an input's gradient comes from.
    """

    inputs: tuple[Any, ...]
    outs: tuple[Any, ...]
    attrs: dict[str, Any]
    needs: tuple[bool, ...]
    dest: tuple[Any, ...]
    sofar: tuple[Any, ...] = ()
    adds: bool = False
    alone: tuple[bool, ...] = ()


Call = tuple[Grad, Any]  # a forward call, and what came back to its output


@dataclass(eq=False)
class Card:
    """An operation. See the module's text for the parts."""

    name: str
    infer: Callable[..., Lowered]
    kernel: str = ""  # "" : an alias of the first input's memory (reshape)
    vjp: Callable[..., tuple[Tensor | None, ...]] | None = None
    bwd: Card | None = None  # instead of a vjp: dx of (dy, s), one kernel
    saves: str = "out"  # what s is there: the output, or the input ("in")
    smooth_vjp: Callable[..., tuple[Tensor | None, ...]] | None = (
        None  # made of differentiable ops; for 2nd derivatives
    )
    # For leaves alone: its vjp comes after all others, and adds to what they gave. A few samples in large layers
    # with penalties take 5 to 8 % less time by it, and less memory: test_penalty_gradients in bench/test_steps.py.
    late: bool = False
    # For ops of one input whose dx is zero but for a part: dx of all calls that share the input, formed when all have
    # come, of [(call, dy), ...], the memory for it (or None), and whether no other op has a share in it. One by one, T
    # parts take T passes over the whole.
    together: Callable[[list[Call], Tensor | None, bool], Tensor] | None = None
    inplace: bool | tuple[tuple[int, int], ...] = False  # see `overwrites`; True: the first output, the first input
    mutates: bool = False  # the "outputs" are existing state that the kernel updates
    differentiable: bool = True
    hidden: tuple[int, ...] = ()  # outputs kept for the gradient alone: none flows into them
    ref: Callable[..., Any] | None = None
    samples: Callable[..., Iterator[Sample]] | None = None
    errors: Callable[..., Iterator[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]]] | None = None
    flops: Callable[..., float] | None = None  # of a Lowered
    fan: Callable[..., Fan] | None = None  # of (inputs, outputs, attributes): the units that it computes
    needed: tuple[int, ...] = ()  # operands that may not be None
    doc: str = ""
    extents: dict[int, int] = field(default_factory=dict)  # operand of any length -> the dim that holds its bytes
    # (operand, buffer): the operand is a slot whose value is a place in the buffer, counted from the first output.
    places: tuple[tuple[int, int], ...] = ()
    # (operand, flag): the kernel relies on what it left in the operand while the flag is 1. Its buffer is int64 [2], of
    # which the second number tells how often the operand's memory had been written to then; see TouchedRows.
    left: tuple[int, int] | None = None
    # Of an optimizer's kernel: the dim from which on the elements stand that products update. Of a product's: the
    # gradient of weights, the weights (if it reads them, before), and the dim that says where the optimizer is. See
    # pynn.core.joining.
    updates: int = 0
    carries: tuple[int, int | None, int] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def has_gradient(self) -> bool:
        """Whether gradients flow through the op."""
        return self.differentiable and (self.vjp is not None or self.bwd is not None)

    @property
    def overwrites(self) -> tuple[tuple[int, int], ...]:
        """Pairs (output, input): a program may put the output where the kernel's input was, all pairs at once."""
        return ((0, 0),) if self.inplace is True else self.inplace or ()

    def __repr__(self) -> str:
        return f"<op {self.name}>"


CARDS: dict[str, Card] = {}


class Composite(NamedTuple):
    """An op that is a Python function of other ops; its gradient follows from theirs.

    Exporters write one that has `operands` as one op, the others as what they are made of. It takes all
    arguments of a call, and returns the tensors (None for those that are not given) and the attributes.
    """

    name: str
    function: Callable[..., Any]
    ref: Callable[..., Any]
    samples: Callable[..., Iterator[Sample]]
    errors: Callable[..., Iterator[Any]] | None = None
    operands: Callable[..., tuple[tuple[Any, ...], dict[str, Any]]] | None = None
    fan: Callable[..., Fan] | None = None

    @property
    def mutates(self) -> bool:
        """Whether it writes to its operands; the ops that it is made of say so for themselves."""
        return False

    def called(self, *args: Any, **options: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the operands and the attributes of a call."""
        given = inspect.signature(self.function).bind(*args, **options)
        given.apply_defaults()
        assert self.operands is not None
        return self.operands(*given.args, **given.kwargs)


COMPOSITES: dict[str, Composite] = {}


def register(card: Card) -> Card:
    """Add a card to the table."""
    if card.name in CARDS:
        raise ValueError(f"op {card.name!r} exists already")
    CARDS[card.name] = card
    return card


def op(name: str, kernel: str = "", bwd: str = "", saves: str = "out", **options: Any) -> Callable[[type], Card]:
    """Make a card of a class whose functions are `infer`, `vjp`, `ref`, `samples`, `errors` ..., and register it.

    An op with one floating input and one output of the same shape names its gradient kernel in `bwd`, which computes
    dx from (dy, s): s is the output (saves="out") or the input (saves="in"). That makes a second card, "name.grad".
    """

    def make(cls: type) -> Card:
        parts = {
            key: getattr(cls, key)
            for key in ("infer", "vjp", "smooth_vjp", "ref", "samples", "errors", "flops", "fan")
            if key in vars(cls)
        }
        extra: dict[str, Any] = {key: options.pop(key) for key in ("blas", "failure") if key in options}
        card = Card(name, kernel=kernel, saves=saves, doc=cls.__doc__ or "", extra=extra, **parts, **options)
        names = card.infer.__code__.co_varnames[: card.infer.__code__.co_argcount]
        kinds = card.infer.__annotations__  # texts; those of operands begin with Tensor
        card.needed = tuple(i for i, key in enumerate(names) if kinds.get(key) == "Tensor")
        if bwd:
            card.bwd = register(Card(f"{name}.grad", like_forward(card), bwd, inplace=True))
        return register(card)

    return make


def like_forward(card: Card) -> Callable[..., Lowered]:
    """Return the `infer` of a gradient kernel that is called as the forward one, for (dy, s)."""

    def infer(dy: Any, s: Any, **attrs: Any) -> Lowered:
        if dy.shape != s.shape or dy.dtype != s.dtype:
            raise ShapeError(
                f"[{card.name}.grad] expected a gradient of shape {s.shape} and dtype {s.dtype}. "
                f"Received: {dy.shape} and {dy.dtype}."
            )
        return card.infer(s, **attrs)

    return infer


def composite(
    ref: Callable[..., Any],
    samples: Callable[..., Iterator[Sample]],
    errors: Any = None,
    operands: Any = None,
    fan: Any = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of ops with its NumPy reference and its test inputs; see :class:`Composite`."""

    def make(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__
        made = COMPOSITES[name] = Composite(name, function, ref, samples, errors, operands, fan)

        if operands is None:
            return function

        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            return function(*args, **options) if state.tape is None else state.tape.composed(made, args, options)

        return call

    return make
