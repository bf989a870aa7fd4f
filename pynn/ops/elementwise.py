"""Functions of one element: what is known of one is a row, and everything else reads the rows.

A row is a Python function under `elementwise`. Its body is the NumPy reference, and what an exported NumPy file holds;
its signature has the parameters with their defaults; its docstring is that of the public function, which the decorator
returns in its stead. The decorator has the rest: what C and ONNX write, the smooth derivative, further names. The
kernels are the row of the same name in csrc/elementwise.def, which also says what is fused and what the gradient reads.
"""

from __future__ import annotations

import ast
import functools
import inspect
import numbers
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec

import numpy as np

from pynn.checks import number
from pynn.core import _core
from pynn.core.card import Card, Grad, Lowered, Sample, like_forward, register
from pynn.core.graph import execute
from pynn.core.state import state
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DTypeError
from pynn.ops.common import Rng, as_tensor
from pynn.ops.common import elementwise as lowered

__all__ = [
    "ELEMENTWISE",
    "FUSED",
    "Elementwise",
    "Onnx",
    "activated",
    "backwards",
    "elementwise",
    "fused_name",
    "fuses",
    "linear",
    "reference",
]

P = ParamSpec("P")
Compose = Callable[..., str]  # (builder, value, **parameters) -> value

KERNELS: dict[str, tuple[int | None, str | None]] = _core.functions()


@dataclass(frozen=True)
class Onnx:
    """How ONNX writes a function.

    Attributes
    ----------
    op : str
        The operator; "" if there is none.
    attributes : dict
        Its attributes: numbers, texts, or names of the function's parameters.
    since : int
        The first operator set that has it.
    compose : callable, optional
        Writes it with other operators, where there is none: (builder, value, **parameters) -> value.
    """

    op: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    since: int = 13
    compose: Compose | None = None

    def write(self, b: Any, x: str, **parameters: Any) -> str:
        """Add the nodes to a builder of pynn.onnx and return the name of the result."""
        if self.op and (b.opset >= self.since or self.compose is None):
            return b.node(self.op, [x], **{key: parameters.get(v, v) for key, v in self.attributes.items()})
        assert self.compose is not None
        return self.compose(b, x, **parameters)


@dataclass(frozen=True, eq=False)
class Elementwise:
    """A row: all that is known of a function of one element.

    Attributes
    ----------
    name : str
    body : callable
        The NumPy reference, of an array and the parameters.
    parameters : dict of str to float
        Names and defaults (None: there is no default).
    c : str
        The value in C, an expression of ``v`` and the parameters; EXP and the like are <math.h>'s for ``real``.
    onnx : Onnx
    aliases : tuple of str
        Further names that layers know it by.
    layer : bool
        Whether layers know it by name.
    instead : dict
        Names of flags, and the row that stands in where one is given.
    act : int or None
        The code by which kernels fuse it.
    saves : "out", "in" or None
        What the gradient is made of; None if there is none.
    bounds : (float, float)
        Between which values its values lie.
    """

    name: str
    body: Callable[..., Any]
    card: Card
    parameters: dict[str, float | None]
    c: str
    onnx: Onnx
    aliases: tuple[str, ...]
    layer: bool
    instead: dict[str, Elementwise]
    act: int | None
    saves: str | None
    bounds: tuple[float, float]

    def chosen(self, options: Mapping[str, Any]) -> tuple[Elementwise, dict[str, float]]:
        """Return the row and all parameters that options such as ``slope=0.2`` or ``approximate=True`` come to.

        Raises
        ------
        TypeError
            If an option is not known, or one without a default is missing.
        """
        row, given = self, dict(options)
        for flag, other in self.instead.items():
            if given.pop(flag, False):
                row = other
        values: dict[str, Any] = {key: given.pop(key, default) for key, default in row.parameters.items()}
        if given or None in values.values():
            known = [*self.parameters, *self.instead]
            raise TypeError(f"[{self.name}] expected the options {known}. Received: {dict(options)}.")
        return row, {key: _real(row.name, key, value) for key, value in values.items()}

    @property
    def numpy_name(self) -> str | None:
        """The function of NumPy that it is, such as "np.tanh", if it is one."""
        found = re.search(r"\breturn (np\.\w+)\(x\)$", self.numpy_source())
        return found and found[1]

    @functools.cache  # noqa: B019  (rows live as long as the library)
    def numpy_source(self) -> str:
        """Return the source of a function of the same name that needs NumPy (and math) alone."""
        tree = ast.parse(inspect.getsource(self.body)).body[0]
        assert isinstance(tree, ast.FunctionDef)
        tree.decorator_list, tree.returns = [], None
        tree.body = [line for line in tree.body if not _is_text(line)]
        tree.args.args = [ast.arg(a.arg) for a in tree.args.args if a.arg not in self.instead]
        tree.args.defaults = []
        return ast.unparse(ast.fix_missing_locations(_Constants(self.body.__globals__).visit(tree)))


#: name -> row, in the order of their definition
ELEMENTWISE: dict[str, Elementwise] = {}
#: The activations that dense and its like fuse: name -> (code of csrc/act.h, the parameter, its default)
FUSED: dict[str, tuple[int, str | None, float]] = {"linear": (0, None, 0.0)}


def elementwise(
    *,
    c: str,
    onnx: Onnx,
    slope: Callable[..., Any] | None = None,
    aliases: tuple[str, ...] = (),
    layer: bool = True,
    least: Mapping[str, float] | None = None,
    check: Callable[..., None] | None = None,
    kinks: tuple[float, ...] = (0.0,),
    positive: bool = False,
    cases: tuple[dict[str, float], ...] = ({},),
    errors: tuple[tuple[dict[str, float], str], ...] = (),
    instead: Mapping[str, Callable[..., Tensor]] | None = None,
    integers: Callable[[Tensor], Tensor] | None = None,
    vjp: Callable[..., Any] | None = None,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Callable[[Callable[P, Any]], Callable[P, Tensor]]:
    """Make a row of the decorated reference; returns the public function, of a tensor or what can become one.

    Parameters
    ----------
    c, onnx, aliases, layer, bounds
        See :class:`Elementwise`.
    slope : callable, optional
        The derivative as a tensor (or a number), of x, y and the parameters, made of differentiable ops: second
        derivatives go through it.
    least : dict, optional
        The smallest value of a parameter.
    check : callable, optional
        Raises if parameters do not fit together.
    kinks : tuple of float
        Where the derivative jumps; gradients are not checked there.
    positive : bool
        Whether it is for x > 0 alone.
    cases : tuple of dict
        Parameters to test it with; the first on all samples.
    errors : tuple of (parameters, pattern)
        Parameters that it refuses, and with what message.
    instead : dict, optional
        Flags, and the function that each chooses.
    integers : callable, optional
        What it does with a tensor of integers, which it otherwise refuses.
    vjp : callable, optional
        The gradient (g, dy) instead of the kernel.
    """

    def make(body: Callable[P, Any]) -> Callable[P, Tensor]:
        name, signature = body.__name__, inspect.signature(body)
        rows = {flag: f.row for flag, f in (instead or {}).items()}  # type: ignore[attr-defined]
        defaults: dict[str, Any] = {
            key: None if p.default is p.empty else p.default for key, p in list(signature.parameters.items())[1:]
        }
        parameters = {key: default for key, default in defaults.items() if key not in rows}
        if name not in KERNELS:
            raise RuntimeError(f"{name} has no row in csrc/elementwise.def. help: python setup.py build_ext --inplace")
        act, saves = KERNELS[name]

        def infer(x: Tensor, **given: Any) -> Lowered:
            values = {key: given.get(key, default) for key, default in parameters.items()}
            for key, low in (least or {}).items():
                number(name, key, values[key], low)
            if check is not None:
                check(**values)
            return lowered(name, x, *values.values())

        def samples(r: Rng) -> Iterator[Sample]:
            wide = 1.0 + max(map(abs, kinks), default=0.0) / 2
            for shape in ((3, 5), (257,), (0, 4), (1, 1), ()):
                x = _away(r(*shape) * wide, kinks)
                yield Sample((np.abs(x) + 0.1 if positive else x,), cases[0])
            for case in cases[1:]:
                yield Sample((_away(r(3, 7) * wide, kinks),), case)

        def refused(r: Rng) -> Iterator[Any]:
            yield (np.arange(3),), cases[0], DTypeError, r"float32 or float64.*Received: dtype=int64.*astype"
            for case, pattern in errors:
                yield (r(3),), case, ValueError, pattern

        def smooth(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
            return (dy * slope(g.inputs[0], g.outs[0], **{**parameters, **g.attrs}),)

        card = Card(
            name, infer, f"{name}_fwd", vjp, saves=saves or "out", smooth_vjp=None if slope is None else smooth,
            inplace=True, differentiable=saves is not None or vjp is not None, ref=body, samples=samples,
            errors=refused, doc=body.__doc__ or "",
        )  # fmt: skip
        if saves is not None:
            card.bwd = register(Card(f"{name}.grad", like_forward(card), f"{name}_bwd", inplace=True))
        register(card)
        ELEMENTWISE[name] = row = Elementwise(
            name, body, card, parameters, c, onnx, tuple(aliases), layer, rows, act, saves, bounds
        )
        if act is not None:
            (parameter, default) = next(iter(parameters.items()), (None, 0.0))
            FUSED[name] = act, parameter, 0.0 if default is None else default

        def apply(x: Any, *args: Any, **options: Any) -> Tensor:
            t = as_tensor(x)
            if integers is not None and t.dtype not in FLOATS:
                return integers(t)
            if not defaults and not args and not options:
                return execute(card, (t,), {})[0]
            given = {**dict(zip(defaults, args, strict=False)), **options}
            if len(given) < len(args) + len(options) or not given.keys() <= defaults.keys():
                signature.bind(x, *args, **options)  # raises, as any function does
            chosen, attrs = row.chosen(given)
            return execute(chosen.card, (t,), attrs)[0]

        functools.update_wrapper(apply, body)
        apply.__signature__ = signature.replace(return_annotation="Tensor")  # type: ignore[attr-defined]
        apply.row = row  # type: ignore[attr-defined]
        return apply  # type: ignore[return-value]

    return make


def fused_name(function: Any) -> str | None:
    """Return the name by which kernels fuse an activation function; None if they do not."""
    row = getattr(function, "row", None)
    if row is None:
        return "linear" if function is linear else None
    return row.name if row.act is not None else None


def linear(x: Any) -> Tensor:
    """Return x."""
    return as_tensor(x)


def fuses(activation: str, *operands: Tensor | None) -> bool:
    """Tell whether a kernel shall apply an activation itself.

    A gradient that is made of the function's input needs what the kernel does not keep: then it is an op of its own.
    """
    row = ELEMENTWISE.get(activation) if isinstance(activation, str) and activation in FUSED else None
    if row is None or row.saves == "out" or not state.grad_enabled:
        return True
    return not any(t is not None and t.requires_grad for t in operands)


def activated(activation: str, par: float | None, z: Tensor) -> Tensor:
    """Return act(z) of an activation that can be fused, with its parameter or None for the default."""
    if activation == "linear":
        return z
    row = ELEMENTWISE[activation]
    return execute(row.card, (z,), _attrs(row, par))[0]


def backwards(activation: str, par: float | None, dy: Tensor, z: Tensor) -> Tensor:
    """Return dz = dy act'(z) of an activation whose gradient is made of its input."""
    row = ELEMENTWISE[activation]
    assert row.card.bwd is not None
    return execute(row.card.bwd, (dy, z), _attrs(row, par))[0]


def smooth_backwards(
    activation: str, par: float | None, dy: Tensor, z: Callable[[], Tensor], y: Tensor
) -> Tensor | None:
    """Return dz = dy act'(z), y = act(z), made of differentiable ops; None if the activation has no such gradient."""
    if activation == "linear":
        return dy
    row = ELEMENTWISE[activation]
    pull = row.card.smooth_vjp or row.card.vjp
    if pull is None:
        return None
    return pull(Grad((z(),), (y,), _attrs(row, par), (True,), (None,), (None,), False, (False,)), dy)[0]


def reference(activation: str, par: float | None, z: np.ndarray) -> np.ndarray:
    """Return what NumPy computes of a fused activation."""
    if activation == "linear":
        return z
    row = ELEMENTWISE[activation]
    return row.body(z, **_attrs(row, par))


def _attrs(row: Elementwise, par: float | None) -> dict[str, float]:
    return {
        key: default if par is None else float(par) for key, default in row.parameters.items() if default is not None
    }


def _real(name: str, key: str, value: Any) -> float:
    real = type(value) is float or (not isinstance(value, bool) and isinstance(value, numbers.Real))
    try:
        return float(value) if real else number(name, key, value)  # infinity may be a bound
    except OverflowError:
        return number(name, key, value)  # says so


def _away(x: np.ndarray, kinks: tuple[float, ...], gap: float = 0.05) -> np.ndarray:
    for kink in kinks:
        x = np.where(np.abs(x - kink) < gap, kink + np.where(x >= kink, 2 * gap, -2 * gap), x)
    return x


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


class _Constants(ast.NodeTransformer):
    """Puts the numbers in the place of a module's constants."""

    def __init__(self, names: Mapping[str, Any]):
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.names.get(node.id)
        return ast.Constant(value) if isinstance(value, float) else node
