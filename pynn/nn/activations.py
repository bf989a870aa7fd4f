"""Activations as layers of their own: a class for each function of the elementwise table that layers know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pynn import init, ops, regularizers
from pynn.checks import is_integer, number
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError, unknown_name
from pynn.nn.module import Module

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "HardSigmoid",
    "HardSwish",
    "LeakyReLU",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
]


class _Function(Module):
    """y = f(x), of an op and of those of the layer's settings that are the op's parameters."""

    function: ClassVar[Callable[..., Tensor]]
    settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, name: str | None = None):
        super().__init__(name)

    def forward(self, x: Tensor) -> Tensor:
        return type(self).function(x, **{key: getattr(self, key) for key in self.settings})

    def extra_repr(self) -> str:
        return ", ".join(f"{key}={getattr(self, key)!r}" for key in self.settings)


class Tanh(_Function):
    """y = tanh(x).

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Tanh()(np.array([[-2.0, 0.0, 2.0]], "float32")).numpy().round(3)
    array([[-0.964,  0.   ,  0.964]], dtype=float32)
    """

    function = staticmethod(ops.tanh)


class Sigmoid(_Function):
    """y = 1 / (1 + e**-x).

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Sigmoid()(np.array([[-2.0, 0.0, 2.0]], "float32")).numpy().round(3)
    array([[0.119, 0.5  , 0.881]], dtype=float32)
    """

    function = staticmethod(ops.sigmoid)


class ReLU6(_Function):
    """y = min(max(x, 0), 6).

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.ReLU6()(np.array([[-2.0, 3.0, 9.0]], "float32")).numpy().round(3)
    array([[0., 3., 6.]], dtype=float32)
    """

    function = staticmethod(ops.relu6)


class SELU(_Function):
    """y = s x where x > 0, else s a (e**x - 1), with the constants of self-normalizing networks.

    Parameters
    ----------
    name : str, optional

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter: Self-normalizing neural networks (NeurIPS 2017).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.SELU()(np.array([[-2.0, 0.0, 2.0]], "float32")).numpy().round(3)
    array([[-1.52 ,  0.   ,  2.101]], dtype=float32)
    """

    function = staticmethod(ops.selu)


class Softplus(_Function):
    """y = log(1 + e**x).

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Softplus()(np.array([[-2.0, 0.0, 2.0]], "float32")).numpy().round(3)
    array([[0.127, 0.693, 2.127]], dtype=float32)
    """

    function = staticmethod(ops.softplus)


class Softsign(_Function):
    """y = x / (1 + |x|).

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Softsign()(np.array([[-2.0, 0.0, 2.0]], "float32")).numpy().round(3)
    array([[-0.667,  0.   ,  0.667]], dtype=float32)
    """

    function = staticmethod(ops.softsign)


class SiLU(_Function):
    """y = x sigmoid(x), also called swish.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.SiLU()(np.array([[-2.0, 0.0, 2.0]], "float32")).numpy().round(3)
    array([[-0.238,  0.   ,  1.762]], dtype=float32)
    """

    function = staticmethod(ops.silu)


class Mish(_Function):
    """y = x tanh(log(1 + e**x)) (Misra 2019).

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Mish()(np.array([[-2.0, 0.0, 2.0]], "float32")).numpy().round(3)
    array([[-0.253,  0.   ,  1.944]], dtype=float32)
    """

    function = staticmethod(ops.mish)


class HardSigmoid(_Function):
    """y = min(max(x / 6 + 1/2, 0), 1).

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.HardSigmoid()(np.array([[-2.0, 0.0, 2.0]], "float32")).numpy().round(3)
    array([[0.167, 0.5  , 0.833]], dtype=float32)
    """

    function = staticmethod(ops.hardsigmoid)


class HardSwish(_Function):
    """y = x min(max(x / 6 + 1/2, 0), 1) (Howard and others 2019).

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.HardSwish()(np.array([[-2.0, 0.0, 2.0]], "float32")).numpy().round(3)
    array([[-0.333,  0.   ,  1.667]], dtype=float32)
    """

    function = staticmethod(ops.hardswish)


class ELU(_Function):
    """y = x where x > 0, else alpha (e**x - 1) (Clevert, Unterthiner and Hochreiter 2016).

    Parameters
    ----------
    alpha : float, default 1.0
        At least 0.
    name : str, optional

    Raises
    ------
    ValueError
        If `alpha` is not a finite number of at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.ELU()(np.array([0.0, 2.0], "float32")).numpy()
    array([0., 2.], dtype=float32)
    """

    function = staticmethod(ops.elu)
    settings = ("alpha",)

    def __init__(self, alpha: float = 1.0, *, name: str | None = None):
        super().__init__(name=name)
        self.alpha = number("elu", "alpha", alpha, 0)


class GELU(_Function):
    """y = x Phi(x), with the distribution function Phi of the normal distribution (Hendrycks and Gimpel 2016).

    Parameters
    ----------
    approximate : bool, default False
        Compute it through tanh, which is near it. PyTorch's "none" and "tanh" are taken too.
    name : str, optional

    Raises
    ------
    ValueError
        If approximate is another text.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.GELU()(np.array([[-2.0, 0.0, 2.0]], "float32")).numpy().round(3)
    array([[-0.046,  0.   ,  1.954]], dtype=float32)
    """

    function = staticmethod(ops.gelu)
    settings = ("approximate",)

    def __init__(self, approximate: bool | str = False, *, name: str | None = None):
        super().__init__(name=name)
        if isinstance(approximate, str) and approximate not in ("none", "tanh"):
            raise ValueError("[gelu] " + unknown_name("approximation", approximate, ["none", "tanh"]))
        self.approximate = approximate == "tanh" if isinstance(approximate, str) else bool(approximate)


class LeakyReLU(_Function):
    """y = x where x > 0, else negative_slope x.

    Parameters
    ----------
    negative_slope : float, default 0.3
        At least 0. The default is that of Keras's layer; the activation "leaky_relu" has 0.1.
    name : str, optional

    Raises
    ------
    ValueError
        If `negative_slope` is not a finite number of at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.LeakyReLU(0.5)(np.array([-1.0, 2.0], "float32")).numpy()
    array([-0.5,  2. ], dtype=float32)
    """

    function = staticmethod(lambda x, negative_slope: ops.leaky_relu(x, negative_slope))
    settings = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.3, *, name: str | None = None):
        super().__init__(name=name)
        self.negative_slope = number("leaky_relu", "negative_slope", negative_slope, 0)


class ReLU(_Function):
    """y = x where x >= threshold, else negative_slope (x - threshold); at most max_value.

    Parameters
    ----------
    max_value : float, optional
        By default there is no limit.
    negative_slope : float, default 0.0
    threshold : float, default 0.0
    name : str, optional

    Raises
    ------
    ValueError
        If a setting is not a finite number of at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.ReLU()(np.array([-1.0, 2.0], "float32")).numpy()
    array([0., 2.], dtype=float32)
    >>> nn.ReLU(max_value=1.5, negative_slope=0.5)(np.array([-1.0, 2.0], "float32")).numpy()
    array([-0.5,  1.5], dtype=float32)
    """

    settings = ("max_value", "negative_slope", "threshold")

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        *,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.max_value = None if max_value is None else number("relu", "max_value", max_value, 0)
        self.negative_slope = number("relu", "negative_slope", negative_slope, 0)
        self.threshold = number("relu", "threshold", threshold, 0)

    def forward(self, x: Tensor) -> Tensor:
        if self.threshold:
            below = ops.mul(ops.sub(x, self.threshold), self.negative_slope)
            y = ops.where(ops.less(x, self.threshold), below, x)
        elif self.negative_slope:
            y = ops.leaky_relu(x, self.negative_slope)
        elif self.max_value == 6:
            return ops.relu6(x)
        else:
            y = ops.relu(x)
        return y if self.max_value is None else ops.minimum(y, self.max_value)

    def extra_repr(self) -> str:
        plain = {"max_value": None, "negative_slope": 0, "threshold": 0}
        return ", ".join(f"{key}={getattr(self, key)}" for key, value in plain.items() if getattr(self, key) != value)


class PReLU(Module):
    """y = max(x, 0) + alpha min(x, 0), with a slope alpha that is learned.

    Parameters
    ----------
    alpha_initializer : str or initializer, default "zeros"
        PyTorch begins with ``pynn.init.Constant(0.25)``.
    alpha_regularizer : regularizer, optional
    alpha_constraint : constraint, optional
    shared_axes : int or sequence of int, optional
        Axes along which alpha is the same, such as ``(1, 2)`` for a slope per channel of images.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If shared_axes holds anything but numbers of axes; 0 is the batch. If the name of an initializer, regularizer
        or constraint is not known.

    Notes
    -----
    Weight ``alpha`` [...], of the shape of a sample, with 1 on shared axes.

    References
    ----------
    He, Zhang, Ren, Sun: Delving deep into rectifiers (ICCV 2015).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.PReLU(shared_axes=(1, 2))
    >>> layer(np.ones((1, 8, 8, 3), "float32")).shape, layer.alpha.shape
    ((1, 8, 8, 3), (1, 1, 3))
    """

    alpha: Tensor

    def __init__(
        self,
        alpha_initializer: str | Callable[..., Any] = "zeros",
        alpha_regularizer: str | Callable[..., Any] | None = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        *,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(name, seed)
        self._initializers = (init.get(alpha_initializer),)
        self._penalties = (regularizers.get(alpha_regularizer),)
        self._constraint = regularizers.constraint(alpha_constraint)
        axes = (shared_axes,) if is_integer(shared_axes) else tuple(shared_axes or ())  # type: ignore[arg-type]
        if not all(is_integer(axis) and axis != 0 for axis in axes):
            raise ValueError(f"[prelu] expected shared_axes other than 0, the batch. Received: {shared_axes!r}.")
        self.shared_axes = tuple(int(axis) for axis in axes) or None

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Declare a slope for every element of a sample, but along shared axes."""
        shape, rank = list(input_shape), len(input_shape)
        for axis in self.shared_axes or ():
            if not -rank < axis < rank:
                raise ShapeError(f"[prelu] expected an axis of x, shape {input_shape}. Received: shared_axes={axis}.")
            shape[axis] = 1
        self.add_weight(
            "alpha",
            tuple(shape[1:]),
            self._initializers[0],
            regularizer=self._penalties[0],
            constraint=self._constraint,
        )

    def forward(self, x: Tensor) -> Tensor:
        return ops.add(ops.relu(x), ops.mul(ops.minimum(x, 0.0), self.alpha))

    def extra_repr(self) -> str:
        return "" if self.shared_axes is None else f"shared_axes={self.shared_axes}"


class _OverAxis(_Function):
    """A function over one axis, which a layer is given."""

    settings = ("axis",)

    def __init__(self, axis: int = -1, *, name: str | None = None):
        super().__init__(name=name)
        place = type(self).__name__.lower()
        if not is_integer(axis) or axis == 0:
            raise ValueError(f"[{place}] expected an axis other than 0, which is the batch. Received: axis={axis!r}.")
        self.axis = int(axis)

    def extra_repr(self) -> str:
        return "" if self.axis == -1 else f"axis={self.axis}"


class Softmax(_OverAxis):
    """y = e**x / (sum of e**x over an axis).

    At the end of a model with a cross-entropy it is computed together with the loss, as ``activation="softmax"`` is.

    Parameters
    ----------
    axis : int, default -1
        Any but 0, the batch.
    name : str, optional

    Raises
    ------
    ValueError
        If `axis` is 0, the batch.
    ShapeError
        If the input is not of at least one dimension.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Softmax()(np.zeros((1, 4), "float32")).numpy()
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    function = staticmethod(ops.softmax)


class LogSoftmax(_OverAxis):
    """y = x - log(sum of e**x over an axis).

    Parameters
    ----------
    axis : int, default -1
        Any but 0, the batch.
    name : str, optional

    Raises
    ------
    ValueError
        If `axis` is 0, the batch.
    ShapeError
        If the input is not of at least one dimension.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.LogSoftmax()(np.array([[-2.0, 0.0, 2.0]], "float32")).numpy().round(3)
    array([[-4.143, -2.143, -0.143]], dtype=float32)
    """

    function = staticmethod(ops.log_softmax)
