"""``tf.train`` of TensorFlow 1: optimizers whose step is a node of the graph."""

from __future__ import annotations

import functools
import inspect
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from pynn import optim
from pynn.core.tensor import Tensor
from pynn.errors import DataError, no_such_name
from pynn.files import write_whole
from pynn.keras.names import constructor
from pynn.keras.tensorflow import graph
from pynn.keras.tensorflow.graph import Gradient, Node, Operation, Variable

__all__ = [
    "AdadeltaOptimizer", "AdagradOptimizer", "AdamOptimizer", "GradientDescentOptimizer", "MomentumOptimizer",
    "Optimizer", "RMSPropOptimizer", "Saver", "exponential_decay",
]  # fmt: skip


class _Step(Operation):
    """One update of variables, by derivatives that are computed before any of them changes."""

    descends = True

    def __init__(self, rule, pairs, loss, count):
        super().__init__(lambda: None)
        self.rule, self.pairs, self.loss, self.count = rule, pairs, loss, count
        self.name = type(rule).__name__

    def compute(self, run):
        """Make the update."""
        if run.trial:
            return
        self.rule._bound([v for _, v in self.pairs], run)
        if self.loss is not None:
            loss = run.value(self.loss)
            if isinstance(loss, Tensor) and loss.node is not None:
                (loss if loss.shape == () else loss.sum()).backward()
        else:
            for gradient, variable in self.pairs:
                given = run.value(gradient)
                variable._tensor.grad = given if isinstance(given, Tensor) else Tensor.state(np.asarray(given))
        assert self.rule._optimizer is not None
        self.rule._optimizer.step()
        if self.count is not None:
            self.count._tensor.view()[...] += 1


class Optimizer:
    """A rule of descent.

    Parameters
    ----------
    learning_rate : float or Node
        A node is computed anew in each step.
    """

    def __init__(self, learning_rate=0.001, name=None, use_locking=False):
        self.learning_rate = learning_rate
        self._optimizer = None
        self._variables = []

    def _made(self, rate):
        return optim.SGD(rate)

    def _bound(self, variables, run):
        """Take the variables, when the first step is made, and set the rate."""
        rate = run.value(self.learning_rate)
        rate = float(rate.item() if isinstance(rate, Tensor) else rate)
        if self._optimizer is None:
            self._optimizer = self._made(rate)
            self._optimizer.bind([v._tensor for v in variables])
            self._variables = [id(v) for v in variables]
        elif self._variables != [id(v) for v in variables]:
            raise ValueError("[minimize] expected the same variables in each step of one optimizer. help: make two.")
        self._optimizer.learning_rate = rate

    def minimize(self, loss, global_step: Variable | None = None, var_list=None, name: str | None = None,
                 **options) -> Operation:  # fmt: skip
        """Return the node that makes one step downhill.

        Parameters
        ----------
        loss : Node
        global_step : Variable, optional
            Counts the steps.
        var_list : list of Variable, optional
            What is changed: all trainable variables that the loss depends on by default.
        name : str, optional
        **options
            What TensorFlow takes besides and has no effect here.
        """
        if not isinstance(loss, Node):
            raise TypeError(f"[minimize] expected a node of the graph. Received: {type(loss).__name__}.")
        wanted = _below(loss) if var_list is None else list(var_list)
        if not wanted:
            raise ValueError("[minimize] expected a loss that depends on a trainable variable. Received: none.")
        return _Step(self, [(None, v) for v in wanted], loss, global_step)

    def compute_gradients(self, loss, var_list=None, **options) -> list[tuple[Any, Variable]]:
        """Return the derivatives of a loss, each with its variable."""
        return [(Gradient(loss, v), v) for v in (_below(loss) if var_list is None else var_list)]

    def apply_gradients(self, grads_and_vars, global_step: Variable | None = None,
                        name: str | None = None) -> Operation:  # fmt: skip
        """Return the node that makes one step with these derivatives."""
        return _Step(self, [(g, v) for g, v in grads_and_vars if g is not None], None, global_step)


def _below(node):
    """Return the trainable variables that a node depends on, in the order of their creation."""
    found = set()
    seen = set()
    stack = [node]
    while stack:
        x = stack.pop()
        if isinstance(x, (list, tuple)):
            stack += x
        elif isinstance(x, dict):
            stack += x.values()
        elif isinstance(x, Node) and id(x) not in seen:
            seen.add(id(x))
            if isinstance(x, Variable) and x._tensor.requires_grad:
                found.add(id(x))
            stack += [x.args, x.kwargs, getattr(x, "of", None)]
    return [v for v in graph.variables if id(v) in found]


_MUST = inspect.Parameter.empty
_TAIL = {"use_locking": False, "name": None}


def _rule(title, base, doc, names, known):
    """Return the class of a rule of pynn's with TensorFlow's arguments and defaults."""

    def make(self, given):
        Optimizer.__init__(self, given["learning_rate"])
        self.settings = {mine: given[theirs] for theirs, mine in names.items()}

    return type(title, (Optimizer,), {
        "__init__": constructor(known, make, title), "__doc__": doc, "__module__": __name__,
        "_made": lambda self, rate: base(rate, **self.settings),
    })  # fmt: skip


GradientDescentOptimizer = _rule(
    "GradientDescentOptimizer", optim.SGD, "w <- w - rate g.", {}, {"learning_rate": _MUST, **_TAIL}
)
MomentumOptimizer = _rule(
    "MomentumOptimizer", optim.SGD, "Gradient descent that keeps a part of its last step.",
    {"momentum": "momentum", "use_nesterov": "nesterov"},
    {"learning_rate": _MUST, "momentum": _MUST, **_TAIL, "use_nesterov": False},
)  # fmt: skip
AdamOptimizer = _rule(
    "AdamOptimizer", optim.Adam, "Adam, with TensorFlow's epsilon.",
    {"beta1": "beta_1", "beta2": "beta_2", "epsilon": "eps"},
    {"learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, **_TAIL},
)  # fmt: skip
RMSPropOptimizer = _rule(
    "RMSPropOptimizer", functools.partial(optim.RMSprop, eps_in_sqrt=True), "RMSProp.",
    {"decay": "rho", "momentum": "momentum", "epsilon": "eps", "centered": "centered"},
    {"learning_rate": _MUST, "decay": 0.9, "momentum": 0.0, "epsilon": 1e-10, "use_locking": False, "centered": False,
     "name": None},
)  # fmt: skip
AdagradOptimizer = _rule(
    "AdagradOptimizer", optim.Adagrad, "Adagrad.", {"initial_accumulator_value": "initial_accumulator"},
    {"learning_rate": _MUST, "initial_accumulator_value": 0.1, **_TAIL},
)  # fmt: skip
AdadeltaOptimizer = _rule(
    "AdadeltaOptimizer", optim.Adadelta, "Adadelta.", {"rho": "rho", "epsilon": "eps"},
    {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-8, **_TAIL},
)  # fmt: skip


def exponential_decay(learning_rate: float, global_step, decay_steps: int, decay_rate: float, staircase: bool = False,
                      name: str | None = None):  # fmt: skip
    """Return the node of rate * decay_rate ** (step / decay_steps)."""
    from pynn.keras import ops

    turns = ops.divide(ops.cast(global_step, "float32"), float(decay_steps))
    return ops.multiply(float(learning_rate), ops.power(float(decay_rate), ops.floor(turns) if staircase else turns))


class Saver:
    """Writes and reads the values of variables; the file is an .npz of arrays, which holds no objects.

    Parameters
    ----------
    var_list : list of Variable, optional
        All of the graph by default.
    **options
        What TensorFlow takes besides and has no effect here.
    """

    def __init__(self, var_list=None, **options):
        self.var_list = var_list

    def _named(self):
        found = list(graph.variables if self.var_list is None else self.var_list)
        return {f"{i}/{v.name}": v for i, v in enumerate(found)}

    def save(self, session, save_path: str, global_step=None, **options) -> str:
        """Write all values; returns the path, without its ending."""
        import io

        step = None if global_step is None else int(np.asarray(global_step))
        path = save_path if step is None else f"{save_path}-{step}"
        content = io.BytesIO()
        np.savez(content, **{name: v.eval() for name, v in self._named().items()})
        write_whole(Path(f"{path}.npz"), content.getvalue())
        write_whole(Path(path).parent / "checkpoint", json.dumps(os.path.basename(path)).encode())
        return path

    def restore(self, session, save_path: str):
        """Read all values; nothing changes if a name or shape differs."""
        named = self._named()
        with np.load(f"{save_path}.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if set(arrays) != set(named) or any(arrays[n].shape != tuple(v.shape) for n, v in named.items()):
            raise DataError(f"{save_path}.npz: expected the variables {sorted(named)}. Received: {sorted(arrays)}.")
        for name, variable in named.items():
            variable.load(arrays[name])


def latest_checkpoint(checkpoint_dir: str, latest_filename: str | None = None) -> str | None:
    """Return the path that was saved last in a folder, or None."""
    note = Path(checkpoint_dir) / (latest_filename or "checkpoint")
    return str(note.parent / json.loads(note.read_text())) if note.is_file() else None


def __getattr__(name):
    raise no_such_name("tf.train", name, __all__)
