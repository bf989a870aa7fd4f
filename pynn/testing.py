"""The checks that every op passes. An op of your own gets the same ones: ``check("my_op")``, or one aspect at a time.

An op is given as a card, a composite, or the name of either. Inputs are those of its ``samples()``; a check raises
AssertionError, with the op, the sample and the values, where the op is wrong.

Examples
--------
>>> from pynn import testing
>>> testing.check("tanh")
>>> testing.gradcheck(lambda x: (x * x).sum(), [[1.0, 2.0]])
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import pynn.optim  # noqa: F401  (registers the cards of its rules)
from pynn import ops
from pynn.core import _core, config
from pynn.core.card import CARDS, COMPOSITES, Card, Composite, Grad, Sample
from pynn.core.gradients import gradients, pulled_back
from pynn.core.graph import Node, execute
from pynn.core.program import plan, record
from pynn.core.state import no_grad
from pynn.core.status import failure
from pynn.core.tensor import DTYPE_INDEX, FLOATS, Tensor, tensor
from pynn.errors import CaptureError
from pynn.ops import copy
from pynn.ops.common import Rng, size
from pynn.ops.steps import assign

ops.load_all()  # every card is to be checked, those of the optimizers too

__all__ = [
    "CHECKS", "TOLERANCE", "all_ops", "check", "check_bits", "check_errors", "check_gradients", "check_guards",
    "check_inplace", "check_isa", "check_program", "check_threads", "check_values", "gradcheck", "samples",
]  # fmt: skip

F32, F64 = FLOATS
#: dtype -> (relative, absolute) tolerance; the absolute one is multiplied by the largest expected magnitude, if over 1.
TOLERANCE = {F64: (1e-11, 1e-12), F32: (1e-5, 2e-6)}
THREADS = (1, 2, 4)
LARGE = 400_000  # elements from which even the cheapest kernels use a second thread

Op = Card | Composite | str


def all_ops() -> dict[str, Card | Composite]:
    """Return every op by name: cards that have samples, and composites."""
    return {name: card for name, card in CARDS.items() if card.samples is not None} | COMPOSITES


def _find(op: Op) -> Card | Composite:
    return all_ops()[op] if isinstance(op, str) else op


def samples(op: Op) -> list[Sample]:
    """Return the inputs on which an op is tested."""
    op = _find(op)
    return [] if op.samples is None else list(op.samples(Rng()))


def _is_float(x: Any) -> bool:
    return x is not None and not isinstance(x, Tensor) and np.asarray(x).dtype.kind == "f"


def _convert(x: Any, dtype: np.dtype) -> Any:
    """Return a sample's input as an array; floating ones in `dtype`, but for tensors."""
    if x is None:
        return None
    if isinstance(x, Tensor):
        return x.numpy()
    return np.asarray(x).astype(dtype) if _is_float(x) else np.asarray(x)


def _double(x: Any) -> Any:
    return x if x is None or x.dtype.kind != "f" else x.astype(F64)


def _floats(op: Op) -> tuple[np.dtype, ...]:
    """Return the floating dtypes that an op has a kernel for."""
    kernel = op.kernel if isinstance(op, Card) else ""
    return FLOATS if not kernel or _core.find_kernel(kernel, DTYPE_INDEX[F64], 0) else (F32,)


def _rounded(xs: Sequence[Any]) -> tuple[Any, ...]:
    """Return inputs that float32 represents exactly."""
    return tuple(x if isinstance(x, Tensor) else _convert(x, F32) for x in xs)


def _call(
    op: Card | Composite, inputs: Sequence[Any], attrs: dict[str, Any], state: Sequence[Any] = ()
) -> tuple[Any, ...]:
    if isinstance(op, Card):
        return execute(op, tuple(inputs), attrs, out=tuple(None if s is None else Tensor.state(s) for s in state))
    out = op.function(*inputs, **attrs)
    return out if isinstance(out, tuple) else (out,)


def _visible(op: Card | Composite, outs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the outputs through which gradients flow."""
    return tuple(y for i, y in enumerate(outs) if isinstance(op, Composite) or i not in op.hidden)


def _differentiable(op: Card | Composite) -> bool:
    return isinstance(op, Composite) or op.has_gradient


class _Case:
    """A sample made ready to run, forwards and backwards, as often as a check likes."""

    def __init__(self, op: Card | Composite, sample: Sample, dtype: np.dtype, backwards: bool = True):
        self.op, self.attrs = op, sample.attrs
        self.backwards = backwards and _differentiable(op)
        self.inputs: list[Any] = []
        for x in sample.inputs:
            t = None if x is None else Tensor.state(_convert(x, dtype))
            if t is not None and self.backwards and _is_float(x):
                t.requires_grad = True
            self.inputs.append(t)
        self.state = [_convert(s, dtype) for s in sample.state]
        self.cotangents: dict[int, Tensor] = {}
        self.generator = np.random.default_rng(7)

    def run(self) -> dict[str, Tensor]:
        """Return the outputs, and the gradient of each output by each input."""
        outs = _call(self.op, self.inputs, self.attrs, self.state)
        found = {f"output {i}": y for i, y in enumerate(outs) if y is not None}
        for i, y in enumerate(outs):
            if y is None or not y.requires_grad or not self.backwards:
                continue
            if i not in self.cotangents:
                self.cotangents[i] = Tensor.state(self.generator.standard_normal(y.shape).astype(y.dtype))
            given = gradients(y, self.cotangents[i])
            for j, x in enumerate(self.inputs):
                if id(x) in given:
                    found[f"gradient of output {i} by input {j}"] = given[id(x)][1]
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        return {key: t.numpy() for key, t in self.run().items()}


def _label(op: Card | Composite, sample: Sample, more: str = "") -> str:
    shapes = ", ".join("None" if x is None else str(np.shape(x)) for x in sample.inputs)
    return f"[{op.name}] inputs {shapes}, {sample.attrs}{more}"


def _assert_close(actual: np.ndarray, expected: Any, dtype: np.dtype, label: str) -> None:
    expected = np.asarray(expected)
    assert actual.shape == expected.shape, f"{label}: shape {actual.shape}, expected {expected.shape}"
    if actual.dtype.kind != "f":
        assert np.array_equal(actual, expected), f"{label}: {actual} is not {expected}"
        return
    rtol, atol = TOLERANCE[F32 if F32 in (dtype, actual.dtype) else F64]
    finite = np.abs(expected[np.isfinite(expected)])
    atol *= max(1.0, finite.max(initial=0.0))
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol, err_msg=label)


def _assert_same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray], label: str) -> None:
    assert one.keys() == other.keys(), f"{label}: {sorted(one)} against {sorted(other)}"
    for key, a in one.items():
        b = other[key]
        if a.shape != b.shape or a.tobytes() != b.tobytes():
            where = np.argwhere(a != b)[:3].tolist() if a.shape == b.shape else ""
            raise AssertionError(f"{label}: {key} is not the same bits: {a.shape} {b.shape} {where}")


def gradcheck(
    f: Callable[..., Any],
    inputs: Sequence[Any],
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    seed: int = 0,
    elements: int = 60,
) -> None:
    """Compare gradients with central differences in float64, under a random cotangent c.

    d/dx sum(c f(x)) = (sum(c f(x + eps)) - sum(c f(x - eps))) / (2 eps)

    Parameters
    ----------
    f : callable
        Takes tensors and returns a tensor or a tuple of them.
    inputs : sequence of array_like or None
        Floating inputs are differentiated; integers, bools and None are passed on.
    eps : float, default 1e-6
    rtol : float, default 1e-5
        |analytic - numeric| may be rtol * |numeric| + atol * max(1, largest |numeric|, norm of the gradient).
    atol : float, default 1e-7
        See rtol.
        |analytic - numeric| may be rtol * |numeric| + atol * max(1, largest |numeric|, norm of the gradient).
    seed : int, default 0
        Of the cotangent and the directions.
    elements : int, default 60
        An input with more elements is not moved element by element but in five random directions.

    Raises
    ------
    AssertionError
        Naming the input and the values.

    Examples
    --------
    >>> import pynn
    >>> pynn.testing.gradcheck(lambda x, w: (x @ w).tanh(), [[[1.0, 2.0]], [[0.5], [0.25]]])
    """
    arrays = [_convert(x, F64) for x in inputs]
    leaves = [None if x is None else tensor(x, requires_grad=x.dtype == F64) for x in arrays]

    def outputs() -> list[Tensor]:
        out = f(*leaves)
        return [y for y in (out if isinstance(out, tuple) else (out,)) if y is not None and y.dtype == F64]

    generator = np.random.default_rng(seed)
    analytic = {i: np.zeros(x.shape) for i, x in enumerate(arrays) if x is not None and x.dtype == F64}
    outs = outputs()
    cotangents = [generator.standard_normal(y.shape) for y in outs]
    for y, c in zip(outs, cotangents, strict=True):
        if y.requires_grad:
            found = gradients(y, tensor(c))
            for i in analytic:
                if id(leaves[i]) in found:
                    analytic[i] += found[id(leaves[i])][1].numpy()
    values = _again(outputs, outs)
    for i, given in analytic.items():
        memory = leaves[i].view()  # type: ignore[union-attr]
        at = memory.copy()
        analytic_slopes, slopes = [], []
        for direction in _directions(at.shape, elements, generator):
            sides = []
            for sign in (eps, -eps):
                memory[...] = at + sign * direction
                sides.append(values())
            memory[...] = at
            change = sum(np.vdot(p - m, c) for p, m, c in zip(*sides, cotangents, strict=True))
            slopes.append(change / (2 * eps))
            analytic_slopes.append(np.vdot(given, direction))
        scale = max(1.0, float(np.abs(slopes).max(initial=0.0)), float(np.sqrt(np.sum(given**2))))
        np.testing.assert_allclose(
            analytic_slopes, slopes, rtol=rtol, atol=atol * scale, err_msg=f"[gradcheck] gradient by input {i}"
        )


def _again(outputs: Callable[[], list[Tensor]], outs: list[Tensor]) -> Callable[[], list[np.ndarray]]:
    """Return what computes outputs once more from the numbers that are in their inputs then.

    It is recorded here and replayed, unless the function reads numbers, from which it may decide anything.
    """
    results = [Tensor.state(np.empty(y.shape)) for y in outs]

    def eager() -> list[np.ndarray]:
        with no_grad():
            return [y.numpy() for y in outputs()]

    def replay() -> list[np.ndarray]:
        _, status = run.run()
        if status:
            raise failure(status, program.instrs[run.failed_at])
        return [y.numpy() for y in results]

    try:
        with record() as recorder, no_grad():
            for y, result in zip(outputs(), results, strict=True):
                assign(y, result)
    except CaptureError:
        return eager
    program = plan(recorder)
    run = program.start()
    return replay


def _directions(shape: tuple[int, ...], elements: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield one unit vector per element, or a few random vectors of signs if there are many elements."""
    n = size(shape)
    if n > elements:
        for _ in range(5):
            yield generator.choice([-1.0, 1.0], shape)
        return
    for k in range(n):
        unit = np.zeros(n)
        unit[k] = 1.0
        yield unit.reshape(shape)


def check_values(op: Op) -> None:
    """Compare with the NumPy reference, in float64 and in float32, on every sample."""
    op = _find(op)
    if op.ref is None:
        return
    for sample in samples(op):
        for dtype in _floats(op):
            arrays = [_convert(x, dtype) for x in (*sample.inputs, *sample.state)]
            with np.errstate(all="ignore"):
                expected = op.ref(*(_double(x) for x in arrays), **sample.attrs)
            listed = expected if isinstance(expected, tuple) else (expected,)
            if all(y is None for y in listed):
                raise AssertionError(f"{_label(op, sample)}: the reference gives nothing to compare with.")
            got = _Case(op, sample, dtype, backwards=False).arrays()
            for i, y in enumerate(listed):
                if y is not None:
                    _assert_close(got[f"output {i}"], y, dtype, _label(op, sample, f", {dtype}, output {i}"))


def check_gradients(op: Op) -> None:
    """Check gradients by central differences, on every sample that is smooth."""
    op = _find(op)
    if not _differentiable(op):
        return
    for sample in samples(op):
        if sample.smooth:
            try:
                gradcheck(lambda *xs, s=sample: _visible(op, _call(op, xs, s.attrs)), sample.inputs)
            except AssertionError as error:
                raise AssertionError(f"{_label(op, sample)}: {error}") from None


def check_errors(op: Op) -> None:
    """Check that bad input raises the stated error with the stated message."""
    op = _find(op)
    if op.errors is None:
        return
    for inputs, attrs, kind, pattern in op.errors(Rng()):
        tensors = [None if x is None else tensor(_convert(x, F32)) for x in inputs]
        label = _label(op, Sample(inputs, attrs))
        try:
            _call(op, tensors, attrs)
        except kind as error:
            if not re.search(pattern, str(error)):
                raise AssertionError(f"{label}: the message {str(error)!r} lacks {pattern!r}") from None
        else:
            raise AssertionError(f"{label}: expected {kind.__name__}")


def check_guards(op: Op) -> None:
    """Check that no kernel writes outside its buffers or makes NaN of finite inputs, forwards and backwards."""
    op = _find(op)
    before = config.debug()
    config.set_debug(True)
    try:
        for sample in samples(op):
            for isa in _core.isa_available():
                with config.use_isa(isa):
                    _Case(op, sample, F32).run()
            if F64 in _floats(op):
                _Case(op, sample, F64).run()
    finally:
        config.set_debug(before)


def _nodes(t: Tensor, found: dict[int, Node]) -> None:
    if t.node is not None and t.node.id not in found:
        found[t.node.id] = t.node
        for x in t.node.inputs:
            if isinstance(x, Tensor):
                _nodes(x, found)


def _executed(op: Card | Composite, sample: Sample) -> Iterator[tuple[Card, tuple[Any, ...], dict[str, Any]]]:
    """Yield what a sample executes forwards, and what the fused gradients of that execute."""
    case = _Case(op, sample, F32)
    if isinstance(op, Card) and not _differentiable(op):
        yield op, tuple(case.inputs), case.attrs
        return
    found: dict[int, Node] = {}
    for y in _call(op, case.inputs, case.attrs):
        if y is not None:
            _nodes(y, found)
    for node in list(found.values()):
        if not node.card.has_gradient:
            continue
        outs = (None if i in node.card.hidden else y for i, y in enumerate(node.outs))
        dys = tuple(None if y is None else tensor(np.ones(y.shape, y.dtype)) for y in outs)
        for dy in dys:
            if dy is not None:
                dy.requires_grad = dy.dtype in FLOATS
        needs = tuple(isinstance(x, Tensor) and x.requires_grad for x in node.inputs)
        g = Grad(node.inputs, node.outs, node.attrs, needs, (None,) * len(needs))
        for dx in pulled_back(node.card, g, dys):
            if dx is not None:
                _nodes(dx, found)
    for node in found.values():
        yield node.card, node.inputs, node.attrs


def check_inplace(op: Op) -> None:
    """Check that a kernel may write over those inputs that its card names: the same bits either way."""
    op = _find(op)
    for sample in samples(op):
        for card, inputs, attrs in _executed(op, sample):
            if not card.overwrites:
                continue
            with no_grad():
                apart = execute(card, inputs, attrs)
                fresh = [Tensor.state(x.view()) if isinstance(x, Tensor) else x for x in inputs]
                out: list[Tensor | None] = [None] * len(apart)
                for to, source in card.overwrites:
                    y, x = apart[to], fresh[source]
                    if y is not None and isinstance(x, Tensor) and y.nbytes == x.nbytes:
                        out[to] = Tensor(x.buffer, y.shape, y.dtype)
                if not any(y is not None for y in out):
                    continue
                over = execute(card, tuple(fresh), attrs, out=tuple(out))
            _assert_same_bits(
                {f"output {i}": t.view() for i, t in enumerate(apart) if t is not None},
                {f"output {i}": t.view() for i, t in enumerate(over) if t is not None},
                _label(op, sample, f": {card.name} in place"),
            )


def check_isa(op: Op) -> None:
    """Compare values and gradients of every instruction set, in both dtypes, with float64 in plain C."""
    op = _find(op)
    for sample in samples(op):
        exact = sample._replace(inputs=_rounded(sample.inputs), state=_rounded(sample.state))
        with config.use_isa("generic"):
            expected = _Case(op, exact, _floats(op)[-1], backwards=sample.smooth).arrays()
        for isa in _core.isa_available():
            for dtype in _floats(op):
                with config.use_isa(isa):
                    got = _Case(op, exact, dtype, backwards=sample.smooth).arrays()
                for key, y in got.items():
                    _assert_close(y, expected[key], dtype, _label(op, sample, f", {dtype}, {isa}: {key}"))


def _resized(op: Card | Composite, sample: Sample, axis: int, only: bool, length: int) -> Sample | None:
    """Return the sample with one axis of its inputs repeated or cut to a length; None where the op does not take that.

    Of the inputs those change that are as long as the largest along the axis; with `only`, those that have its shape.
    """
    shapes = [np.shape(x) for x in (*sample.inputs, *sample.state) if x is not None]
    largest = max(shapes, key=lambda s: int(np.prod(s)), default=())
    if not largest or 0 in largest:
        return None

    def resize(x: Any) -> Any:
        shape = np.shape(x)
        if isinstance(x, Tensor) or not shape or shape[axis] != largest[axis] or (only and shape != largest):
            return x
        return np.take(x, np.arange(length) % shape[axis], axis)

    inputs, state = (tuple(None if x is None else resize(x) for x in xs) for xs in (sample.inputs, sample.state))
    other = sample._replace(inputs=inputs, state=state)
    try:
        if isinstance(op, Card):
            low = op.infer(*(None if x is None else tensor(_convert(x, F32)) for x in inputs), **sample.attrs)
            if any(y is not None and size(y.shape) > 4 * LARGE for y in low.outs):
                return None  # an outer product of large operands
            if any(
                y is not None and s is not None and y.shape != np.shape(s)
                for y, s in zip(low.outs, state, strict=False)
            ):
                return None  # a size among the attributes did not grow with the operands
        elif op.operands is not None:
            op.called(*(None if x is None else tensor(_convert(x, F32)) for x in inputs), **sample.attrs)
        return other
    except (ValueError, TypeError, IndexError):
        return None


def _enlarged(op: Card | Composite, sample: Sample) -> Iterator[Sample]:
    """Yield the sample with its inputs repeated along the first and along the last axis, where the op takes that."""
    shapes = [np.shape(x) for x in (*sample.inputs, *sample.state) if x is not None]
    largest = max(shapes, key=lambda s: int(np.prod(s)), default=())
    if not largest or 0 in largest:
        return
    times = -(-LARGE // int(np.prod(largest)))
    for axis, only in ((0, False), (0, True), (-1, False)):
        large = _resized(op, sample, axis, only, times * largest[axis])
        if large is not None:
            yield large
            if axis == 0 and not only and len(largest) == 1:
                return


def _small_and_large(op: Card | Composite) -> Iterator[Sample]:
    """Yield the samples and, once for each kind of them, enlarged ones."""
    seen = set()
    for sample in samples(op):
        kind = (repr(sample.attrs), tuple(np.ndim(x) for x in sample.inputs))
        yield sample
        if kind not in seen:
            larger = list(_enlarged(op, sample))
            if larger:
                seen.add(kind)
            yield from larger


def check_threads(op: Op) -> None:
    """Check that 1, 2 and 4 threads give the same bits, on samples and on enlarged ones, forwards and backwards."""
    op = _find(op)
    before = config.get_num_threads()
    try:
        for s in _small_and_large(op):
            case = _Case(op, s, F32)
            results = []
            for n in THREADS:
                config.set_num_threads(n)
                results.append({key: t.view() for key, t in case.run().items()})
            for n, other in zip(THREADS[1:], results[1:], strict=True):
                _assert_same_bits(results[0], other, _label(op, s, f": {n} threads"))
    finally:
        config.set_num_threads(before)


def _check_same_on_every_isa(op: Card | Composite, sample: Sample) -> None:
    isas, targets = _core.isa_available(), list(_core.targets())
    plain = _core.find_kernel("matmul", DTYPE_INDEX[F64], 0)
    vectors = [isa for isa in isas if _core.find_kernel("matmul", DTYPE_INDEX[F64], targets.index(isa)) != plain]
    for dtype, alike in ((F32, isas), (F64, vectors)):  # float64 in plain C is the oracle, with functions of its own
        if dtype not in _floats(op):
            continue
        case, results = _Case(op, sample, dtype), []
        for isa in alike:
            with config.use_isa(isa):
                results.append(case.arrays())
        for isa, other in zip(alike[1:], results[1:], strict=True):
            _assert_same_bits(results[0], other, _label(op, sample, f", {dtype}: {isa} beside {alike[0]}"))


def check_bits(op: Op, lengths: Sequence[int] = ()) -> None:
    """Check that every instruction set gives the same bits in float32, and every vector unit in float64, both ways.

    Parameters
    ----------
    op : str, Card or Composite
    lengths : sequence of int, default ()
        Of the first and of the last axis, to which samples are repeated or cut besides, where the op takes that.
    """
    op = _find(op)
    seen = set()
    for sample in samples(op):
        _check_same_on_every_isa(op, sample)
        kind = (repr(sample.attrs), tuple(np.ndim(x) for x in sample.inputs))
        if kind in seen:
            continue
        seen.add(kind)
        for length, axis, only in itertools.product(lengths, (0, -1), (False, True)):
            other = _resized(op, sample, axis, only, length)
            largest = max((np.size(x) for x in (other or sample).inputs if x is not None), default=0)
            if other is not None and largest <= LARGE // 10:
                with contextlib.suppress(ValueError, IndexError):  # values that do not fit the new size
                    _check_same_on_every_isa(op, other)


def check_program(op: Op) -> None:
    """Check that a recorded program of the op and its gradients gives the bits of eager, twice."""
    op = _find(op)
    if isinstance(op, Card) and op.mutates:
        return  # whole training steps are compared instead
    for sample in samples(op):
        case = _Case(op, sample, F32)
        case.run()  # makes the cotangents, which are no part of the program
        with record() as recorder:
            kept = {key: copy(t, out=Tensor.state(t.view())) for key, t in case.run().items()}
        eager = {key: t.numpy() for key, t in kept.items()}
        program = plan(recorder).start()
        for _ in range(2):
            for t in kept.values():
                t.view()[...] = 0
            done, status = program.run(1)
            assert (done, status) == (1, 0), _label(op, sample, f": status {status}")
            _assert_same_bits(eager, {key: t.numpy() for key, t in kept.items()}, _label(op, sample, ": program"))


#: aspect -> the function that checks it
CHECKS: dict[str, Callable[[Op], None]] = {
    "values": check_values,
    "gradients": check_gradients,
    "errors": check_errors,
    "guards": check_guards,
    "inplace": check_inplace,
    "isa": check_isa,
    "bits": check_bits,
    "threads": check_threads,
    "program": check_program,
}


def check(op: Op) -> None:
    """Run every check on an op.

    Parameters
    ----------
    op : Card, Composite or str
        With samples. What cannot be checked (gradients of an op without, errors of a card that names none) is left out.

    Raises
    ------
    AssertionError
    """
    for function in CHECKS.values():
        function(op)
