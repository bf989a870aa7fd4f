"""Sessions of TensorFlow 1, and what is written around them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pynn import random
from pynn.keras.tensorflow import graph
from pynn.keras.tensorflow.graph import Gradient, Node, Operation, Placeholder, Run, Variable

__all__ = ["InteractiveSession", "Session"]


class Session:
    """Computes nodes of the graph. Values of variables belong to the variables, so all sessions see the same.

    Parameters
    ----------
    target : str
    graph : Graph, optional
    config : optional
        All three are taken and change nothing: threads are set by ``pynn.set_num_threads``.
    """

    def __init__(self, target="", graph=None, config=None):
        from pynn.keras.tensorflow.graph import graph_mode

        graph_mode[0] = True
        self.graph = graph or Graph()

    def run(self, fetches, feed_dict=None, options=None, run_metadata=None):
        """Return the values of nodes, in the structure in which they are asked for; None for what only does something.

        Parameters
        ----------
        fetches : node, or list, tuple or dict of nodes
        feed_dict : dict of placeholder to array_like, optional
        options, run_metadata : optional
            They change nothing.
        """
        return Run(feed_dict).fetch(fetches)

    def partial_run(self, *_, **__):
        """Refuse: a run is a whole one."""
        raise NotImplementedError("[session] expected run(). Received: partial_run().")

    def close(self):
        """Do nothing: there is nothing to give back."""

    def as_default(self):
        """Return itself, for a ``with`` statement."""
        return contextlib.nullcontext(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


InteractiveSession = Session


class Graph:
    """The default graph under another name: there is one alone."""

    def as_default(self):
        """Return itself, for a ``with`` statement."""
        return contextlib.nullcontext(self)

    def finalize(self):
        """Do nothing."""

    def as_graph_def(self):
        """Refuse."""
        raise NotImplementedError("[graph] a graph as a message of TensorFlow's. help: pynn.export writes models.")

    def get_operations(self) -> list[Any]:
        """Return the variables."""
        return list(graph.variables)


class Settings:
    """Settings of a session that mean nothing here: whatever is asked for is there and can be set."""

    def __init__(self, *_, **settings):
        self.__dict__.update(settings)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        self.__dict__[name] = Settings()
        return self.__dict__[name]


def placeholder(dtype, shape=None, name: str | None = None) -> Placeholder:
    """Return a node whose value each run is given."""
    graph.graph_mode[0] = True
    return Placeholder(dtype, shape, None, name)


def placeholder_with_default(input, shape=None, name: str | None = None) -> Placeholder:
    """Return a node whose value a run may be given."""
    graph.graph_mode[0] = True
    return Placeholder(np.asarray(input).dtype, shape, input, name)


def _initialize(variables):
    def initialize():
        for variable in variables:
            variable.load(variable.first)

    return Operation(initialize)


def global_variables_initializer() -> Operation:
    """Return what gives all variables their first values."""
    graph.graph_mode[0] = True
    return _initialize(list(graph.variables))


initialize_all_variables = global_variables_initializer


def variables_initializer(var_list, name: str | None = None) -> Operation:
    """Return what gives some variables their first values."""
    return _initialize(list(var_list))


initialize_variables = variables_initializer


def local_variables_initializer() -> Operation:
    """Return what does nothing: there are no local variables."""
    return _initialize([])


def trainable_variables(scope=None) -> list[Variable]:
    """Return the variables that optimizers change."""
    return [v for v in graph.variables if v.trainable]


def global_variables(scope=None) -> list[Variable]:
    """Return all variables."""
    return list(graph.variables)


all_variables = global_variables


def reset_default_graph():
    """Forget all variables."""
    graph.variables.clear()
    _shared.clear()
    _scopes.clear()


_shared = {}
_scopes = []


def get_variable(name: str, shape=None, dtype="float32", initializer=None, regularizer=None, trainable: bool = True,
                 **options) -> Variable:  # fmt: skip
    """Return the variable of a name, made if there is none: values by Glorot and Bengio by default."""
    full = "/".join([*_scopes, name])
    if full not in _shared:
        dims = graph.shape_of(() if shape is None else shape)
        if initializer is None:
            from pynn import init

            first = init.GlorotUniform()(dims, "float32", [len(_shared), 0]) if dims else np.zeros((), "float32")
        else:
            given = initializer() if isinstance(initializer, type) else initializer
            first = given(dims) if callable(given) and not isinstance(given, Node) else given
        _shared[full] = Variable(first, trainable, full, dtype)
    return _shared[full]


@contextlib.contextmanager
def variable_scope(name_or_scope=None, default_name: str | None = None, **options) -> Iterator[Any]:
    """Put a name before those of the variables that get_variable() makes inside."""
    _scopes.append(str(name_or_scope or default_name))
    try:
        yield _scopes[-1]
    finally:
        _scopes.pop()


@contextlib.contextmanager
def name_scope(name=None, default_name=None, values=None) -> Iterator[Any]:
    """Do nothing inside a ``with`` block: names of nodes are not kept apart."""
    yield name


@contextlib.contextmanager
def device(device_name=None) -> Iterator[None]:
    """Do nothing inside a ``with`` block: everything is computed by the processor."""
    yield


@contextlib.contextmanager
def control_dependencies(control_inputs) -> Iterator[None]:
    """Refuse what must be done first; nothing need be done for none."""
    if control_inputs:
        raise NotImplementedError("[control_dependencies] expected none. help: group() runs several steps in turn.")
    yield


def gradients(ys, xs, **options) -> list[Node]:
    """Return the derivatives of a node by others."""
    y = ys[0] if isinstance(ys, (list, tuple)) and len(ys) == 1 else ys
    return [Gradient(y, x) for x in (xs if isinstance(xs, (list, tuple)) else [xs])]


def group(*inputs, name: str | None = None) -> Operation:
    """Return what does several things, in turn."""
    flat = [x for part in inputs for x in (part if isinstance(part, (list, tuple)) else [part])]
    made = Operation(lambda *_: None, flat)
    made.descends = any(getattr(x, "descends", False) for x in flat)  # type: ignore[attr-defined]
    return made


def no_op(name: str | None = None) -> Operation:
    """Return what does nothing."""
    return Operation(lambda: None)


def assign(ref: Variable, value, **options) -> Node:
    """Return the node that writes a value into a variable."""
    return ref.assign(value)


def assign_add(ref: Variable, value, **options) -> Node:
    """Return the node that adds to a variable."""
    return ref.assign_add(value)


def set_random_seed(seed: int):
    """Set where random numbers begin."""
    from pynn.keras.making import set_random_seed as set_all

    set_all(int(seed))
    random.seed(int(seed))


def run_app(main: Callable[..., Any] | None = None, argv=None):
    """Call main(argv) and leave with what it returns."""
    if main is None:
        main = sys.modules["__main__"].main
    sys.exit(main(list(sys.argv if argv is None else argv)))
