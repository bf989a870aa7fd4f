"""Updates of weights that go with the products of their gradients, block by block while a block is in the cache.

An optimizer reads every gradient that backward() wrote. Where nobody else reads it, the kernel that makes it may do the
update, so that it needs no other pass over memory, and stores the gradient only in the last of the steps that one call
makes, for whoever looks at it afterwards. What comes out is the same to the bit, as an update looks at one element at
a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pynn.core import _core

__all__ = ["join_updates", "room"]

LEAST = 1 << 18  # elements of weights that are worth it: of fewer, what a layer takes stays in a second-level cache
MOST = 20  # weights for which the optimizer's kernel has room
# After a failure none of the weights may have changed: what comes between may be gradients, but for some, and ops that
# cannot fail. The tests read the kernels of all these.
SAFE = frozenset(
    ["abs", "add", "concat", "copy", "div", "exp", "log", "matmul", "maximum", "minimum", "mul", "neg", "relu",
     "sigmoid", "slice", "sqrt", "square", "sub", "sum", "tanh", "transpose", "uniform", "where"]
)  # fmt: skip
RISKY = frozenset(
    ("cross_entropy_probs.grad", "gru.grad", "jordan_rnn.grad", "lstm.grad", "simple_rnn.grad", "take.grad")
)


class _Span(NamedTuple):
    """Bytes of a buffer, from its root on."""

    root: int
    first: int
    end: int

    @classmethod
    def of(cls, buffer: Any) -> _Span:
        return cls(id(buffer.root()), buffer.offset, buffer.offset + buffer.nbytes)

    def meets(self, other: _Span) -> bool:
        return self.root == other.root and self.first < other.end and other.first < self.end

    def within(self, other: _Span) -> bool:
        return self.root == other.root and other.first <= self.first and self.end <= other.end


def room(elements: int) -> int:
    """Return the bytes that a product needs to pass on the gradient of so many weights."""
    return int(_core.gemm_room()) if elements >= LEAST else 0


def join_updates(instrs: list[Any]) -> None:
    """Let kernels of products update the weights whose gradients they make, where that is safe.

    It is where no other instruction reads the gradient, and none between the product and the optimizer's uses the
    weights or what belongs to them, changes the rate or the number of the step, or may fail and leave half of the
    weights changed.
    """
    for at, update in enumerate(instrs):
        list_at = update.card.updates
        if not list_at or not _simple(update):
            continue
        joined = sorted(_joined(instrs, at))[:MOST]
        for i, (first, end, product) in enumerate(joined):
            update.set_dim(list_at + 1 + 2 * i, first)
            update.set_dim(list_at + 2 + 2 * i, end)
            dim = instrs[product].card.carries[2]
            instrs[product].set_dim(dim, at - product)
            instrs[product].set_dim(dim + 1, 1)  # a run of several steps takes that away for all but the last
        update.set_dim(list_at, len(joined))


def _simple(update: Any) -> bool:
    """Tell whether an optimizer looks at one element at a time, all of them: no rows, no other numbers."""
    outs, inputs = update.buffers[: update.n_out], update.buffers[update.n_out :]
    return len(inputs) == 3 and outs[-1] is None and inputs[0] is not None


def _spans(instr: Any) -> list[_Span]:
    return [_Span.of(b) for b in instr.buffers if b is not None]


def _joined(instrs: list[Any], at: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first element, end, number of the product) of weights that instruction number `at` may leave to it."""
    update = instrs[at]
    specs = update.info.outs
    grads = _Span.of(update.buffers[update.n_out])
    item = specs[0][1].itemsize
    if update.buffers[0].nbytes < LEAST * item:
        return
    own = [_Span.of(b) for b, spec in zip(update.buffers, specs, strict=False) if spec == specs[0]]  # the weights first
    common = [span for span in _spans(update) if span not in (*own, grads)]
    elsewhere = [span for instr in (*instrs[:at], *instrs[at + 1 :]) for span in _spans(instr)]
    later: list[_Span] = []  # what is used between
    for i in range(at - 1, -1, -1):
        instr = instrs[i]
        if instr.card.carries and (dw := instr.buffers[instr.card.carries[0]]) is not None:
            w = instr.card.carries[1]
            others = [_Span.of(b) for k, b in enumerate(instr.buffers) if b is not None and b is not dw and k != w]
            made = _Span.of(dw)
            first, end = made.first - grads.first, made.end - grads.first
            parts = [_Span(whole.root, whole.first + first, whole.first + end) for whole in own]
            if (
                end - first >= LEAST * item
                and made.within(grads)
                and (w is None or _Span.of(instr.buffers[w]) == parts[0])
                and not any(span.meets(part) for span in (*others, *later) for part in parts)
                and sum(span.meets(made) for span in elsewhere) == 1
            ):
                yield first // item, end // item, i
        written = [_Span.of(b) for b in instr.buffers[: instr.n_out] if b is not None]
        if _may_fail(instr) or any(span.meets(c) for span in written for c in common):
            return
        later += _spans(instr)


def _may_fail(instr: Any) -> bool:
    """Tell whether an instruction might leave a program before its end."""
    card = instr.card
    if card.updates:
        return not _simple(instr)
    return "failure" in card.extra or not (
        card.name in SAFE or (card.name.endswith(".grad") and card.name not in RISKY)
    )
