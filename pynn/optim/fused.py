"""Rules whose update is one kernel: one pass over the parameters, held to the rule's own update() by the tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn.checks import is_integer, written
from pynn.core.card import Card, Lowered, Sample, Spec, register
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.common import Rng, need_float, need_held
from pynn.optim.composed import EMA, PARAM, new_values

__all__ = ["Fused", "card_of"]

INT32, INT64, FLOAT64 = np.dtype("int32"), np.dtype("int64"), np.dtype("float64")
PLACES = 3  # for slots


@dataclass(frozen=True)
class Fused:
    """How a rule's kernel is called (csrc/kernels/optim.h).

    The kernel mutates (parameters, slot, slot, slot, average, counts, numbers); what a rule does not use is NULL. Its
    inputs are the gradients and the slots `rate` and `cursor` of :class:`pynn.core.flat.Slots`, all read by pointer.
    For the table of an embedding, `marked`, `rows` and `count` of :class:`pynn.ops.embedding.TouchedRows` follow: the
    gradient of other rows is 0 and is not read, and with `lazy` those rows are left alone.

    Parameters
    ----------
    kernel : str
    slots : tuple of str
        Which slots it takes, in order; those that the rule's settings do not ask for are left out.
    pars : tuple of str
        Which settings are its real attributes, after the weight decay and the momentum of the average.
    kind : str
        Which setting is its integer attribute.
    variants : tuple of dict
        Settings with which it is tested.
    """

    kernel: str
    slots: tuple[str, ...] = ()
    pars: tuple[str, ...] = ()
    kind: str = ""
    variants: tuple[dict[str, Any], ...] = ({},)


def card_of(rule: Any, fused: Fused) -> Card:
    """Register the update of a rule, a subclass of Optimizer, whose reference is its update() in double precision."""
    name = rule.name

    def infer(
        g: Tensor, rate: Tensor, cursor: Tensor, *touched: Tensor,
        decay: float, slots: tuple[str, ...], numbers: tuple[str, ...], lazy: bool = False, k: int = 1,
        ema: float | None = None, every: int = 0, **hyper: Any,
    ) -> Lowered:  # fmt: skip
        need_float(name, g)
        need_held(name, "learning rates", rate, FLOAT64)
        need_held(name, "the number of the step", cursor, INT64)
        if not is_integer(k, 1):
            raise ShapeError(f"[{name}] expected the number of parameters. Received: k={written(k)}.")
        made = rule(1.0, weight_decay=decay, **hyper)
        if (slots, numbers) != (made.slot_names(), made.number_names()):
            raise ShapeError(
                f"[{name}] expected the slots {made.slot_names()} and the numbers {made.number_names()}. "
                f"Received: {written(slots)} and {written(numbers)}."
            )
        rows = 0
        if touched:
            marked, listed, count = touched
            rows = marked.size
            need_held(name, "marks of rows", marked, INT32, (rows,))
            need_held(name, "a list of rows", listed, INT32, (rows,))
            need_held(name, "the number of rows", count, INT64)
        if rows and g.size % rows:
            raise ShapeError(f"[{name}] expected a table of {rows} rows. Received: {g.size} numbers.")
        like = Spec(g.shape, g.dtype)
        places = [like if slot in slots else None for slot in fused.slots]
        return Lowered(
            (
                like,
                *places,
                *[None] * (PLACES - len(places)),
                None if ema is None else like,
                Spec((k,), INT64),
                Spec((k,), FLOAT64) if numbers else None,
            ),
            (g.size, int(hyper.get(fused.kind, 0)), rows, g.size // rows if rows else 0, int(lazy), k, every),
            (decay, ema or 0.0, *(float(hyper[key]) for key in fused.pars)),
        )

    def ref(
        g: np.ndarray, rate: np.ndarray, cursor: np.ndarray, *rest: Any,
        decay: float, slots: tuple[str, ...], numbers: tuple[str, ...], lazy: bool = False, k: int = 1,
        ema: float | None = None, every: int = 0, **hyper: Any,
    ) -> tuple[Any, ...]:  # fmt: skip
        param, *state = rest[-4 - PLACES :]
        average, counts, kept = state[PLACES:]
        touched = np.ones(g.size, bool)
        if len(rest) > 4 + PLACES:
            touched = np.repeat(rest[0], g.size // len(rest[0])) > 0
            g = np.where(touched, g, 0)
        old = dict(zip(fused.slots, state, strict=False))
        old = {key: old[key] for key in slots} | {key: kept[0] for key in numbers}
        if ema is not None:
            old[EMA] = param if lazy and not counts[0] else average
        made = rule(1.0, weight_decay=decay, use_ema=ema is not None, ema_overwrite_frequency=every or None, **hyper)
        made.ema_momentum = ema
        new = new_values(
            made, _double(param), _double(g), _double(rate[cursor[0]]),
            _double(counts[0] + 1), {key: _double(value) for key, value in old.items()},
        )  # fmt: skip
        found = {key: old.get(key, param) for key in (PARAM, *old)} | {key: t.numpy() for key, t in new.items()}
        if lazy:
            before = {PARAM: param, **old}
            held = (PARAM, *slots) if ema is None else (PARAM, *slots, EMA)
            found.update({key: np.where(touched, found[key], before[key]) for key in held})
        places = [found.get(key) for key in fused.slots] + [None] * (PLACES - len(fused.slots))
        return (found[PARAM], *places, found.get(EMA), counts + 1, np.full(k, found[numbers[0]]) if numbers else None)

    def samples(r: Rng) -> Iterator[Sample]:
        rate, touched = Tensor.state(np.array([0.5, 0.01])), ([0, 1, 1, 0, 1, 0, 0], [4, 1, 2, 0, 0, 0, 0])
        for settings in fused.variants:
            for decay in (0.0, 0.1):
                made = rule(1.0, **settings)
                attrs = {"decay": decay, "slots": made.slot_names(), "numbers": made.number_names(), **made.hyper()}
                for n, k in ((70, 2), (1, 1)):
                    yield Sample((r(n), rate, np.array([1])), {**attrs, "k": k}, state=_state(r, n, k, attrs))
                rows = (*(Tensor.state(np.array(x, "int32")) for x in touched), Tensor.state(np.array([3])))
                for more in ({}, {"lazy": True}, {"ema": 0.9}, {"ema": 0.9, "lazy": True}):
                    yield Sample((r(70), rate, np.array([1]), *rows), {**attrs, **more},
                                 state=_state(r, 70, 1, attrs | more))  # fmt: skip
                for n, every, count in ((4199, 0, 4), (70, 5, 4), (70, 3, 4), (70, 0, 0)):
                    yield Sample((r(n), rate, np.array([1])), {**attrs, "ema": 0.9, "every": every},
                                 state=_state(r, n, 1, attrs | {"ema": 0.9}, count))  # fmt: skip
                first = attrs | {"ema": 0.9, "lazy": True}
                yield Sample((r(70), rate, np.array([1]), *rows), first, state=_state(r, 70, 1, first, 0))

    def _state(r: Rng, n: int, k: int, attrs: dict[str, Any], count: int = 4) -> tuple[Any, ...]:
        # An average of squares is above the square of an average, and nothing cancels out.
        first = {slot: (np.abs(r(n)) + 5) ** (2 if slot == "squares" else 1) for slot in attrs["slots"]}
        first.update({slot: value / 2 for slot, value in first.items() if slot == "average"})
        places = [first.get(slot) for slot in fused.slots]
        number = Tensor.state(np.full(k, 0.9)) if attrs["numbers"] else None
        average = r(n) if "ema" in attrs else None
        return (r(n), *places, *[None] * (PLACES - len(places)), average, np.full(k, count), number)

    return register(
        Card(
            name, infer, fused.kernel, mutates=True, differentiable=False, ref=ref, samples=samples, needed=(0, 1, 2),
            places=((2, PLACES + 5),), updates=7, extra={"failure": "expected a list of rows of the table"},
            doc=rule.__doc__.strip().partition("\n")[0],
        )
    )  # fmt: skip


def _double(x: Any) -> Tensor:
    return Tensor.state(np.asarray(x, np.float64))
