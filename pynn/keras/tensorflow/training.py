"""``tf.train`` of TensorFlow 1: optimizers whose step is a node of the graph."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pynn import optim
from pynn.core.tensor import Tensor
from pynn.errors import DataError, no_such_name
from pynn.files import write_whole
from pynn.keras.tensorflow import graph
from pynn.keras.tensorflow.graph import Gradient, Node, Operation, Run, Variable

__all__ = [
    "AdadeltaOptimizer",
    "AdagradOptimizer",
    "AdamOptimizer",
    "GradientDescentOptimizer",
    "MomentumOptimizer",
    "Optimizer",
    "RMSPropOptimizer",
    "Saver",
    "exponential_decay",
]


class _Step(Operation):
    """One update of variables, by derivatives that are computed before any of them changes."""

    descends = True

    def __init__(self, rule: Optimizer, pairs: Sequence[tuple[Any, Variable]], loss: Any, count: Variable | None):
        super().__init__(lambda: None)
        self.rule, self.pairs, self.loss, self.count = rule, pairs, loss, count
        self.name = type(rule).__name__

    def compute(self, run: Run) -> None:
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

    def __init__(self, learning_rate: Any = 0.001, name: str | None = None, use_locking: bool = False):
        self.learning_rate = learning_rate
        self._optimizer: Any = None
        self._variables: list[int] = []

    def _made(self, rate: float) -> Any:
        return optim.SGD(rate)

    def _bound(self, variables: list[Variable], run: Run) -> None:
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

    def minimize(
        self,
        loss: Any,
        global_step: Variable | None = None,
        var_list: Any = None,
        name: str | None = None,
        **options: Any,
    ) -> Operation:
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

    def compute_gradients(self, loss: Any, var_list: Any = None, **options: Any) -> list[tuple[Any, Variable]]:
        """Return the derivatives of a loss, each with its variable."""
        return [(Gradient(loss, v), v) for v in (_below(loss) if var_list is None else var_list)]

    def apply_gradients(
        self, grads_and_vars: Any, global_step: Variable | None = None, name: str | None = None
    ) -> Operation:
        """Return the node that makes one step with these derivatives."""
        return _Step(self, [(g, v) for g, v in grads_and_vars if g is not None], None, global_step)


def _below(node: Any) -> list[Variable]:
    """Return the trainable variables that a node depends on, in the order of their creation."""
    found: set[int] = set()
    seen: set[int] = set()
    stack: list[Any] = [node]
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


class GradientDescentOptimizer(Optimizer):
    """w <- w - rate g."""

    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str | None = None):
        super().__init__(learning_rate)


class MomentumOptimizer(Optimizer):
    """Gradient descent that keeps a part of its last step."""

    def __init__(
        self, learning_rate: Any, momentum: float, use_locking: bool = False, name: str | None = None,
        use_nesterov: bool = False,
    ):  # fmt: skip
        super().__init__(learning_rate)
        self.momentum, self.nesterov = momentum, use_nesterov

    def _made(self, rate: float) -> Any:
        return optim.SGD(rate, momentum=self.momentum, nesterov=self.nesterov)


class AdamOptimizer(Optimizer):
    """Adam, with TensorFlow's epsilon."""

    def __init__(
        self, learning_rate: Any = 0.001, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8,
        use_locking: bool = False, name: str | None = None,
    ):  # fmt: skip
        super().__init__(learning_rate)
        self.betas, self.epsilon = (beta1, beta2), epsilon

    def _made(self, rate: float) -> Any:
        return optim.Adam(rate, beta_1=self.betas[0], beta_2=self.betas[1], eps=self.epsilon)


class RMSPropOptimizer(Optimizer):
    """RMSProp."""

    def __init__(
        self, learning_rate: Any, decay: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-10,
        use_locking: bool = False, centered: bool = False, name: str | None = None,
    ):  # fmt: skip
        super().__init__(learning_rate)
        self.settings: dict[str, Any] = {"rho": decay, "momentum": momentum, "eps": epsilon, "centered": centered}

    def _made(self, rate: float) -> Any:
        return optim.RMSprop(rate, **self.settings)


class AdagradOptimizer(Optimizer):
    """Adagrad."""

    def __init__(
        self, learning_rate: Any, initial_accumulator_value: float = 0.1, use_locking: bool = False,
        name: str | None = None,
    ):  # fmt: skip
        super().__init__(learning_rate)
        self.first = initial_accumulator_value

    def _made(self, rate: float) -> Any:
        return optim.Adagrad(rate, initial_accumulator=self.first)


class AdadeltaOptimizer(Optimizer):
    """Adadelta."""

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-8, use_locking: bool = False,
        name: str | None = None,
    ):  # fmt: skip
        super().__init__(learning_rate)
        self.settings: dict[str, Any] = {"rho": rho, "eps": epsilon}

    def _made(self, rate: float) -> Any:
        return optim.Adadelta(rate, **self.settings)


def exponential_decay(
    learning_rate: float, global_step: Any, decay_steps: int, decay_rate: float, staircase: bool = False,
    name: str | None = None,
) -> Any:  # fmt: skip
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

    def __init__(self, var_list: Any = None, **options: Any):
        self.var_list = var_list

    def _named(self) -> dict[str, Variable]:
        found = list(graph.variables if self.var_list is None else self.var_list)
        return {f"{i}/{v.name}": v for i, v in enumerate(found)}

    def save(self, session: Any, save_path: str, global_step: Any = None, **options: Any) -> str:
        """Write all values; returns the path, without its ending."""
        import io

        step = None if global_step is None else int(np.asarray(global_step))
        path = save_path if step is None else f"{save_path}-{step}"
        content = io.BytesIO()
        np.savez(content, **{name: v.eval() for name, v in self._named().items()})
        write_whole(Path(f"{path}.npz"), content.getvalue())
        write_whole(Path(path).parent / "checkpoint", json.dumps(os.path.basename(path)).encode())
        return path

    def restore(self, session: Any, save_path: str) -> None:
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


def __getattr__(name: str) -> Any:
    raise no_such_name("tf.train", name, __all__)
