"""The graph of TensorFlow 1: nodes that are computed by pynn's ops when a session asks for them."""

from __future__ import annotations

import numpy as np

import pynn
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor
from pynn.errors import DataError, ShapeError
from pynn.keras import ops
from pynn.keras.ops.arrays import convert_to_numpy, dtype_of, replaced, sizes, tensor_of

__all__ = ["Gradient", "Node", "Operation", "Placeholder", "Run", "Shape", "Variable", "variables"]

variables = []  # of the default graph, in the order of their creation


class Shape(tuple):
    """Sizes of axes, None where they are open, as TensorFlow's shapes are asked for them."""

    def as_list(self) -> list[int | None]:
        """Return the sizes as a list."""
        return list(self)

    @property
    def ndims(self) -> int:
        """The number of axes."""
        return len(self)


class Node:
    """A function and its arguments; the value is computed when a session runs it.

    Parameters
    ----------
    function : callable
    args, kwargs : arguments
        Nodes among them are computed first.
    """

    __array_priority__ = 1000  # array + node is a node
    __array_ufunc__ = None
    graph = None

    def __init__(self, function, args=(), kwargs=None):
        self.function, self.args, self.kwargs = function, tuple(args), dict(kwargs or {})
        self.name = f"{getattr(function, '__name__', 'op')}:0"

    def _deferred(self, function, args, kwargs):
        return Node(function, args, kwargs)

    def compute(self, run: Run):
        """Return the value."""
        return self.function(*replaced(self.args, run.value), **replaced(self.kwargs, run.value))

    def eval(self, feed_dict=None, session=None):
        """Return the value as an array, for these values of placeholders."""
        return Run(feed_dict).fetch(self)

    def numpy(self):
        """Return the value as an array; for nodes that need no placeholder."""
        return self.eval()

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.eval(), dtype)

    def __float__(self):
        return float(self.eval())

    def __int__(self):
        return int(self.eval())

    def __iter__(self):
        raise TypeError(f"[graph] {self!r} has no value before a session runs it: it cannot be walked through.")

    def __bool__(self):
        raise TypeError(f"[graph] {self!r} has no value before a session runs it. help: tf.cond, or session.run().")

    __hash__ = object.__hash__

    @property
    def shape(self) -> Shape:
        """The sizes of the axes, None for those that follow a placeholder's open ones."""
        one, two = (np.shape(Run({}, trial=n).fetch(self)) for n in (2, 3))
        return Shape(a if a == b else None for a, b in zip(one, two, strict=True))

    def get_shape(self) -> Shape:
        """Return the sizes of the axes."""
        return self.shape

    @property
    def dtype(self):
        """The dtype of the value."""
        return np.asarray(Run({}, trial=2).fetch(self)).dtype

    def __repr__(self):
        return f"<tf.Tensor '{self.name}'>"

    def __getitem__(self, key):
        return Node(_item, (self, key))


_OPERATORS = {
    "add": ops.add, "sub": ops.subtract, "mul": ops.multiply, "truediv": ops.divide, "pow": ops.power,
    "matmul": ops.matmul, "lt": ops.less, "le": ops.less_equal, "gt": ops.greater, "ge": ops.greater_equal,
}  # fmt: skip
for _name, _function in _OPERATORS.items():
    setattr(Node, f"__{_name}__", lambda self, other, f=_function: f(self, other))
    if _name in ("add", "sub", "mul", "truediv"):
        setattr(Node, f"__r{_name}__", lambda self, other, f=_function: f(other, self))
Node.__neg__ = ops.negative


def _item(x, key):
    return x[key]


class Operation(Node):
    """A node that does something and has no value: session.run gives None for it."""

    def run(self, feed_dict=None, session=None):
        """Do it, for these values of placeholders."""
        self.eval(feed_dict)

    def __repr__(self):
        return f"<tf.Operation '{self.name.removesuffix(':0')}'>"


class Placeholder(Node):
    """A node whose value the feed of each run gives.

    Parameters
    ----------
    dtype : dtype
    shape : sequence of int or None, optional
    default : optional
        The value of a run that does not feed it.
    name : str, optional
    """

    def __init__(self, dtype, shape=None, default=None, name=None):
        super().__init__(lambda: None)
        self._dtype = dtype_of(dtype)
        self._shape = None if shape is None else Shape(None if n in (None, -1) else int(n) for n in shape)
        self.default, self.name, self.followed = default, f"{name or 'Placeholder'}:0", False

    @property
    def shape(self):
        """The sizes that were declared."""
        return self._shape

    def get_shape(self):
        """Return the sizes that were declared."""
        return self._shape

    @property
    def dtype(self):
        """The dtype that was declared."""
        return self._dtype

    def compute(self, run: Run):
        """Return what was fed."""
        if run.trial:
            fed = np.ones([run.trial if n is None else n for n in self._shape or ()], self._dtype)
        elif self in run.feeds:
            given = run.feeds[self]
            fed = given if isinstance(given, np.ndarray) else convert_to_numpy(given)
        elif self.default is not None:
            fed = convert_to_numpy(self.default)
        else:
            raise DataError(
                f"[session] expected a value for the placeholder {self.name!r}. Received: none. "
                "help: run(..., feed_dict={placeholder: array})."
            )
        array = np.asarray(fed)
        wanted = self._shape
        if wanted is not None and (
            array.ndim != len(wanted) or any(n not in (None, d) for n, d in zip(wanted, array.shape, strict=True))
        ):
            raise ShapeError(
                f"[session] expected values of shape {tuple(wanted)} for the placeholder {self.name!r}. "
                f"Received: shape={array.shape}."
            )
        x = Tensor.state(array.astype(self._dtype, copy=False))
        x.requires_grad = self.followed
        return x


class Variable(Node):
    """A node that keeps its value between runs; optimizers and assign() change it.

    Parameters
    ----------
    initial_value : array_like, Node, or callable that returns one
    trainable : bool, default True
    name : str, optional
    dtype : dtype, optional
        Of the initial value by default.
    """

    def __init__(self, initial_value=None, trainable=True, name=None, dtype=None, validate_shape=True, collections=None,
                 shape=None, caching_device=None):  # fmt: skip
        super().__init__(lambda: None)
        given = initial_value() if callable(initial_value) and not isinstance(initial_value, Node) else initial_value
        if isinstance(given, Node):
            given = given.eval()
        self.first = convert_to_numpy(tensor_of(given, dtype))
        self._tensor = Tensor.state(self.first)
        self._tensor.requires_grad = bool(trainable) and self.first.dtype.kind == "f"
        self.trainable, self.name = bool(trainable), f"{name or 'Variable'}:0"
        self._tensor.name = self.name
        variables.append(self)

    def compute(self, run: Run):
        """Return the tensor itself, so that derivatives by it can be had."""
        return self._tensor

    @property
    def shape(self):
        """The sizes of the axes."""
        return Shape(self._tensor.shape)

    def get_shape(self):
        """Return the sizes of the axes."""
        return self.shape

    @property
    def dtype(self):
        """The dtype of the value."""
        return self._tensor.dtype

    @property
    def initializer(self) -> Operation:
        """What gives the variable its first value again."""
        return Operation(self.load, (self.first,))

    def initialized_value(self):
        """Return the first value."""
        return tensor_of(self.first)

    def value(self) -> Node:
        """Return the node of the present value."""
        return self

    read_value = value

    def load(self, value, session=None):
        """Write a value, now."""
        new = convert_to_numpy(value)
        if np.shape(new) != self._tensor.shape:
            raise ShapeError(
                f"[variable] expected a value of shape {self._tensor.shape} for {self.name!r}. "
                f"Received: shape={np.shape(new)}."
            )
        self._tensor.view()[...] = new

    def assign(self, value, use_locking: bool = False, name: str | None = None) -> Node:
        """Return the node that writes a value and has it as its own. Without placeholders it is written now, too."""
        return _written(self, Node(_stored, (_Held(self), value)), value)

    def assign_add(self, delta, use_locking: bool = False, name: str | None = None) -> Node:
        """Return the node that adds to the value."""
        return _written(self, Node(_stored, (_Held(self), ops.add(self, delta))), delta)

    def assign_sub(self, delta, use_locking: bool = False, name: str | None = None) -> Node:
        """Return the node that subtracts from the value."""
        return _written(self, Node(_stored, (_Held(self), ops.subtract(self, delta))), delta)

    def __repr__(self):
        return f"<tf.Variable '{self.name}' shape={tuple(self.shape)} dtype={self.dtype}>"


class _Held:
    """A variable that is an argument as itself, not as its value."""

    def __init__(self, variable):
        self.variable = variable


def _stored(held, value):
    held.variable.load(value)
    return held.variable._tensor.detach()


graph_mode = [False]  # whether a placeholder or a session was asked for: then assign() waits for one


def _written(variable, node, value):
    if not graph_mode[0]:
        node.eval()
        return variable
    return node


class Gradient(Node):
    """The derivative of the sum of a node by another one."""

    def __init__(self, of, by):
        super().__init__(lambda: None)
        self.of, self.by, self.name = of, by, "gradients:0"
        if isinstance(by, Placeholder):
            by.followed = True

    def compute(self, run: Run):
        """Return the derivative."""
        by = run.value(self.by)
        y = run.value(self.of)
        return pynn.grad(y if y.shape == () else y.sum(), by)


class Run:
    """One run of a session: what is fed, and each value that was computed, once."""

    def __init__(self, feeds=None, trial=0):
        self.feeds = dict(feeds or {})
        self.trial = trial
        self.values = {}
        self.kept = []  # so that no id is used twice

    def value(self, x):
        """Return the value of a node, and anything else as it is."""
        if not isinstance(x, Node):
            return x
        if id(x) not in self.values:
            fed = x in self.feeds and not isinstance(x, Placeholder)
            self.values[id(x)] = tensor_of(self.feeds[x]) if fed else x.compute(self)
            self.kept.append(x)
        return self.values[id(x)]

    def fetch(self, fetches):
        """Return the values of nodes as arrays, in the structure in which they are asked for."""
        found = []
        replaced(fetches, lambda x: found.append(x) if isinstance(x, Node) else None)
        if any(_needs_gradients(x, set()) for x in found):
            for x in sorted(found, key=lambda x: isinstance(x, Operation)):  # values before what changes them
                self.value(x)
        else:
            with no_grad():
                for x in sorted(found, key=lambda x: isinstance(x, Operation)):
                    self.value(x)
        return replaced(fetches, self._told)

    def _told(self, x):
        if isinstance(x, str):
            raise TypeError(f"[session] expected nodes. Received: the name {x!r}. help: give run() the node itself.")
        if not isinstance(x, Node):
            return _plain(convert_to_numpy(x)) if isinstance(x, Tensor) else x
        value = self.values[id(x)]
        if isinstance(x, Operation) or value is None:
            return None
        return replaced(value, lambda part: _plain(convert_to_numpy(part)) if isinstance(part, Tensor) else part)


def _plain(array):
    return array[()] if array.ndim == 0 else array


def _needs_gradients(x, seen):
    if not isinstance(x, Node) or id(x) in seen:
        return False
    seen.add(id(x))
    if isinstance(x, Gradient) or getattr(x, "descends", False):
        return True
    found = []
    replaced((x.args, x.kwargs), found.append)
    return any(_needs_gradients(part, seen) for part in found)


def shape_of(shape) -> tuple[int, ...]:
    """Return sizes as integers."""
    return sizes(shape)
