"""The layers of a feed-forward network: they hold parameters and compose ops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pynn import checks, ops, regularizers
from pynn.checks import is_integer, positive, written
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.nn.module import Module
from pynn.nn.symbol import Symbol
from pynn.ops import activation as activations
from pynn.ops.common import size
from pynn.ops.elementwise import fused_name

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "Maxout", "Reshape"]


class Activated:
    """A layer with an activation, which may be changed at any time."""

    _activation = "linear"
    _function: Callable[..., Any] = staticmethod(ops.linear)

    @property
    def activation(self) -> str:
        """The activation's name; set it to a name, a function of a tensor, or None for linear."""
        return self._activation

    @activation.setter
    def activation(self, value: str | Callable[..., Any] | None) -> None:
        self._function = activations.get(value)
        self._activation = value if isinstance(value, str) else getattr(self._function, "__name__", "custom")

    def without_activation(self) -> Any:
        """Return a layer of the same weights that leaves the activation out; this one may be in use elsewhere."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self), _function=lambda x, **_: x)
        return twin


class Input(Symbol):
    """The shape of one sample, without the batch axis.

    Stands first in :class:`Sequential`; or layers are called with it, to be made a :class:`Model`.

    Parameters
    ----------
    shape : tuple of int
    name : str, optional
        By which `fit` and the like find the input's array in a dict; see :class:`Model`.

    Examples
    --------
    >>> from pynn import nn
    >>> nn.Sequential([nn.Input((4,)), nn.Dense(2)]).count_parameters()
    10
    """

    def __init__(self, shape: Sequence[int] | int, *, name: str | None = None):
        super().__init__()
        if name is not None and (not isinstance(name, str) or not name):
            raise TypeError(f"[input] expected name to be a text. Received: name={name!r}.")
        self.name = name
        dims = tuple(shape) if isinstance(shape, Iterable) else (shape,)
        if not all(is_integer(d, 1) for d in dims):
            help = ""
            if None in dims:
                help = " help: give the sizes of most samples; others pass where all layers take them."
            raise ShapeError(
                f"[input] expected positive sizes without the batch axis. Received: shape={written(shape)}.{help}"
            )
        self.shape = tuple(int(d) for d in dims)

    def __repr__(self) -> str:
        return f"Input({self.shape})" if self.name is None else f"Input({self.shape}, name={self.name!r})"


class Dense(Activated, Module):
    """y = act(x w + b), with the activation fused into the product.

    Parameters
    ----------
    units : int
        Number of outputs.
    activation : str or callable, optional
        A name in ``pynn.ops.activation.NAMES``, such as "relu", "tanh", "sigmoid", "hardswish" (fused: see
        ``pynn.ops.elementwise.FUSED``), "gelu" or "softmax"; or a function of a tensor. None is linear.
    use_bias : bool, default True
    kernel_initializer : str or initializer, default "glorot_uniform"
        First values of ``w``; see :mod:`pynn.init`.
    bias_initializer : str or initializer, default "zeros"
        First values of ``b``.
    kernel_regularizer : regularizer, optional
        Penalty on ``w``; see :mod:`pynn.regularizers`.
    bias_regularizer : regularizer, optional
        Penalty on ``b``.
    kernel_constraint : constraint, optional
        A name such as "max_norm", or for instance ``pynn.regularizers.MaxNorm(3.0)``.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `units` is not a positive integer, or the name of an activation, initializer, regularizer or constraint
        is not known.
    ShapeError
        If the input is not a batch of vectors, [N, features].

    Notes
    -----
    Input [..., in], output [..., units]; weights ``w`` [in, units] and ``b`` [units].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.Dense(3, activation="relu")
    >>> layer(np.ones((2, 4), "float32")).shape, layer.w.shape
    ((2, 3), (4, 3))
    """

    w: Tensor
    b: Tensor

    def __init__(
        self,
        units: int,
        activation: str | Callable[..., Any] | None = None,
        use_bias: bool = True,
        kernel_initializer: str | Callable[..., Any] = "glorot_uniform",
        bias_initializer: str | Callable[..., Any] = "zeros",
        kernel_regularizer: str | Callable[..., Any] | None = None,
        bias_regularizer: str | Callable[..., Any] | None = None,
        *,
        kernel_constraint: Any = None,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(name, seed)
        self.units = positive("dense", "units", units)
        self.activation = activation
        self.use_bias = use_bias
        self._initializers = init_pair(kernel_initializer, bias_initializer)
        self._penalties = regularizers.get(kernel_regularizer), regularizers.get(bias_regularizer)
        self._kernel_constraint = regularizers.constraint(kernel_constraint)

    def build(self, input_shape: tuple[int, ...]) -> None:
        if len(input_shape) < 2:
            raise ShapeError(
                f"[dense] expected a batch of vectors, [N, features]. Received: x.shape={input_shape}. "
                "help: pass x[None] for one sample, x[:, None] for one feature."
            )
        kernel, bias = self._initializers
        self.add_weight(
            "w",
            (input_shape[-1], self.units),
            kernel,
            regularizer=self._penalties[0],
            constraint=self._kernel_constraint,
        )
        if self.use_bias:
            self.add_weight("b", (self.units,), bias, regularizer=self._penalties[1])

    def forward(self, x: Tensor) -> Tensor:
        b = self.b if self.use_bias else None
        if (fused := fused_name(self._function)) is not None:
            return ops.dense(x, self.w, b, fused)
        return self._function(ops.dense(x, self.w, b))

    def product_of_rows(self) -> tuple[int, int]:
        """Return its weights, and the numbers that it holds for a row (for pynn.train.segments)."""
        inputs, units = self.w.shape
        return inputs * units, inputs + 2 * units

    def extra_repr(self) -> str:
        return f"{self.units}, activation={self.activation!r}"


def init_pair(kernel: Any, bias: Any) -> tuple[Any, Any]:
    """Return two initializers, checked when the layer is made rather than when it is built."""
    from pynn import init

    return init.get(kernel), init.get(bias)


class Activation(Activated, Module):
    """y = f(x), element by element (softmax: over the last axis).

    Parameters
    ----------
    activation : str or callable
    name : str, optional
    **options : float
        Parameters of the function, for instance ``slope`` of "leaky_relu".

    Raises
    ------
    ValueError
        If the name of an activation is not known.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Activation("leaky_relu", slope=0.2)(np.array([[-2.0, 0.0, 2.0]], "float32")).numpy().round(3)
    array([[-0.4,  0. ,  2. ]], dtype=float32)
    """

    def __init__(self, activation: str | Callable[..., Any], *, name: str | None = None, **options: Any):
        super().__init__(name)
        self.activation = activation
        self._options = options

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x, **self._options)

    def extra_repr(self) -> str:
        return repr(self.activation)


class Dropout(Module):
    """While training, set each value to 0 with probability `rate` and scale the others by 1 / (1 - rate).

    Parameters
    ----------
    rate : float
        In [0, 1).
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `rate` is not a number in [0, 1).

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout (JMLR 2014).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.Dropout(0.5, seed=0)
    >>> layer(np.ones((1, 6), "float32"), training=True).numpy()
    array([[0., 2., 0., 2., 0., 2.]], dtype=float32)
    >>> layer(np.ones((1, 6), "float32")).numpy()
    array([[1., 1., 1., 1., 1., 1.]], dtype=float32)
    """

    def __init__(self, rate: float, *, name: str | None = None, seed: int | None = None):
        super().__init__(name, seed)
        self.rate = checks.rate("dropout", "rate", rate)

    def forward(self, x: Tensor) -> Tensor:
        if not state.training or self.rate == 0:
            return x
        return ops.dropout(x, self.rate, state.rng.seed, state.rng.step, state.rng.salt())

    def extra_repr(self) -> str:
        return str(self.rate)


class Flatten(Module):
    """Give each sample one axis: [N, ...] becomes [N, features], without copying.

    Parameters
    ----------
    name : str, optional
    seed : int, optional

    Raises
    ------
    ShapeError
        If the input is not a batch.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Flatten()(np.ones((2, 4, 3), "float32")).shape
    (2, 12)
    """

    def __init__(self, *, name: str | None = None, seed: int | None = None):
        super().__init__(name, seed)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 1:
            raise ShapeError(f"[flatten] expected a batch. Received: x.shape={x.shape}.")
        return ops.reshape(x, (x.shape[0], size(x.shape[1:])))


class Reshape(Module):
    """Give each sample another shape, without copying.

    Parameters
    ----------
    target_shape : tuple of int
        Without the batch axis; one size may be -1.
    name : str, optional

    Raises
    ------
    ValueError
        If `target_shape` is not sizes, one of which may be -1.
    ShapeError
        If the input is not a batch, or its samples have another number of elements.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Reshape((2, -1))(np.ones((5, 4, 3), "float32")).shape
    (5, 2, 6)
    """

    def __init__(self, target_shape: Sequence[int], *, name: str | None = None):
        super().__init__(name)
        sizes = tuple(target_shape) if isinstance(target_shape, Iterable) else (target_shape,)
        if not all(is_integer(d, -1) for d in sizes):
            raise ValueError(
                f"[reshape] expected target_shape to be sizes, one of which may be -1. Received: {target_shape!r}."
            )
        self.target_shape = tuple(int(d) for d in sizes)

    def forward(self, x: Tensor) -> Tensor:
        target = self.target_shape
        if x.ndim < 1:
            raise ShapeError(f"[reshape] expected a batch. Received: x.shape={x.shape}.")
        if x.shape[0] == 0:  # without rows the number of elements does not tell whether the shape fits
            count = math.prod(x.shape[1:])
            if target.count(-1) == 1:
                target = tuple(count // max(1, -math.prod(target)) if d == -1 else d for d in target)
            if math.prod(target) != count:
                raise ShapeError(
                    f"[reshape] expected a shape with {count} elements. "
                    f"Received: {self.target_shape} for samples of shape {x.shape[1:]}."
                )
        return ops.reshape(x, (x.shape[0], *target))

    def extra_repr(self) -> str:
        return str(self.target_shape)


class Maxout(Module):
    """y_j = max over k of (x w + b)_(j,k): the largest of several linear pieces.

    Parameters
    ----------
    units : int
        Number of outputs.
    pieces : int, default 2
        Linear pieces per output.
    kernel_initializer : str or initializer, default "glorot_uniform"
        First values of ``w``; see :mod:`pynn.init`.
    bias_initializer : str or initializer, default "zeros"
        First values of ``b``.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `units` or `pieces` is not a positive integer, or the name of an initializer is not known.
    ShapeError
        If the input is not a batch of vectors, [N, features].

    References
    ----------
    Goodfellow, Warde-Farley, Mirza, Courville, Bengio: Maxout networks (ICML 2013).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Maxout(3, pieces=4)(np.ones((2, 5), "float32")).shape
    (2, 3)
    """

    w: Tensor
    b: Tensor

    def __init__(
        self,
        units: int,
        pieces: int = 2,
        *,
        kernel_initializer: str | Callable[..., Any] = "glorot_uniform",
        bias_initializer: str | Callable[..., Any] = "zeros",
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(name, seed)
        self.units = positive("maxout", "units", units)
        self.pieces = positive("maxout", "pieces", pieces)
        self._initializers = init_pair(kernel_initializer, bias_initializer)

    def build(self, input_shape: tuple[int, ...]) -> None:
        if len(input_shape) < 2:
            raise ShapeError(f"[maxout] expected a batch of vectors, [N, features]. Received: x.shape={input_shape}.")
        kernel, bias = self._initializers
        self.add_weight("w", (input_shape[-1], self.units * self.pieces), kernel)
        self.add_weight("b", (self.units * self.pieces,), bias)

    def forward(self, x: Tensor) -> Tensor:
        return ops.maxout(ops.dense(x, self.w, self.b), self.pieces)

    def extra_repr(self) -> str:
        return f"{self.units}, pieces={self.pieces}"
