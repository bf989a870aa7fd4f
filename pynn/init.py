"""Initializers: the first values of weights and biases.

An initializer is called as ``initializer(shape, dtype=np.float32, seed=0)``. The same seed gives the same values, on
any number of threads; float32 values are the float64 ones, rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pynn.checks import choice, is_integer, is_number, plain_fields, written
from pynn.core.tensor import MOST_BYTES, as_dtype
from pynn.errors import DTypeError, ShapeError
from pynn.keywords import spelled
from pynn.names import Registry

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Normal",
    "Ones",
    "Orthogonal",
    "TruncatedNormal",
    "Uniform",
    "VarianceScaling",
    "Zeros",
    "fans",
    "get",
]

Seed = int | Sequence[int]
Doubles = NDArray[np.float64]

# Standard deviation of a standard normal variable that is truncated to [-2, 2].
TRUNCATED_STD = 0.8796256610342398


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return the number of inputs and of outputs of one unit, (n_in, n_out).

    Dense kernels are [in, out]; convolution kernels [kh, kw, c_in, c_out] count every tap:
    n_in = kh * kw * c_in, n_out = kh * kw * c_out. A vector of n has (n, n).

    Examples
    --------
    >>> fans((784, 100)), fans((3, 3, 16, 32))
    ((784, 100), (144, 288))
    """
    if not all(is_integer(n, 0) for n in shape):
        raise ValueError(f"[fans] expected sizes. Received: shape={written(shape)}.")
    if len(shape) == 0:
        return 1, 1
    if len(shape) == 1:
        return int(shape[0]), int(shape[0])
    taps = math.prod(shape[:-2])
    return taps * int(shape[-2]), taps * int(shape[-1])


class Initializer:
    """Base class. A subclass defines `draw(shape, rng)`, which returns float64 values.

    Examples
    --------
    >>> class Alternating(Initializer):
    ...     def draw(self, shape, rng):
    ...         return np.resize([1.0, -1.0], shape)
    >>> Alternating()((2, 2)).tolist()
    [[1.0, -1.0], [1.0, -1.0]]
    """

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Doubles:
        """Return float64 values of `shape`, with any randomness from `rng`."""
        raise NotImplementedError(f"[{type(self).__name__}] an initializer must define draw(shape, rng).")

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32, seed: Seed = 0) -> NDArray[Any]:
        """Return new values.

        Parameters
        ----------
        shape : sequence of int
            Dimensions, each >= 0.
        dtype : dtype, default float32
            float32 or float64.
        seed : int or sequence of int, default 0
            Key of the counter-based generator (Philox); each number in [0, 2**64).

        Returns
        -------
        ndarray
            C-contiguous array of `shape` and `dtype`.

        Raises
        ------
        ShapeError
            If a dimension is not a whole number >= 0, or all together are more than a machine can address.
        DTypeError
            If `dtype` is neither float32 nor float64.
        ValueError
            If the seed is out of range.
        """
        name = type(self).__name__
        shape = tuple(shape)
        if not all(is_integer(n, 0) for n in shape):
            raise ShapeError(
                f"[{name}] expected dimensions that are whole numbers >= 0. Received: shape={written(shape)}."
            )
        shape = tuple(map(int, shape))
        if math.prod(n or 1 for n in shape) * 8 > MOST_BYTES:  # NumPy counts a size of 0 as 1, too
            raise ShapeError(f"[{name}] expected a shape that fits into memory. Received: shape={written(shape)}.")
        dtype = as_dtype(dtype)
        if dtype not in (np.float32, np.float64):
            raise DTypeError(f"[{name}] expected dtype float32 or float64. Received: dtype={dtype}.")
        drawn = np.ascontiguousarray(self.draw(shape, _generator(name, seed)), dtype=dtype)
        return drawn.reshape(shape)  # ascontiguousarray gives a single number an axis

    def _require(self, ok: bool, wanted: str, **received: object) -> None:
        if not ok:
            came = ", ".join(f"{key}={value!r}" for key, value in received.items())
            raise ValueError(f"[{type(self).__name__}] expected {wanted}. Received: {came}.")


def _generator(name: str, seed: Seed) -> np.random.Generator:
    key = list(seed) if isinstance(seed, Sequence) else [seed]
    if not all(is_integer(k, 0, 2**64 - 1) for k in key):
        raise ValueError(f"[{name}] expected seed to be whole numbers in [0, 2**64). Received: seed={seed!r}.")
    # SeedSequence pads with zeros, so that 1 and [1, 0] would be one stream; the length keeps them apart.
    words = np.array([len(key), *key], dtype="<u8").view("<u4")
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words.tolist())))


@spelled
@dataclass(frozen=True)
class Constant(Initializer):
    """w = value.

    Parameters
    ----------
    value : float or array_like, default 0.0
        Finite. An array has the shape of the weights: vectors of words for an Embedding, for instance. A model's file
        holds its weights and not the array; what is loaded from it has Constant(0.0) in its place.

    Examples
    --------
    >>> Constant(0.5)((2,)).tolist()
    [0.5, 0.5]
    >>> Constant([[1.0, 2.0], [3.0, 4.0]])((2, 2)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """

    value: float | ArrayLike = 0.0

    def __post_init__(self) -> None:
        plain_fields(self)
        array = None
        if not is_number(self.value) and np.ndim(self.value):
            array = np.array(self.value)
            self._require(array.dtype.kind in "fiu" and bool(np.isfinite(array).all()), "finite numbers", value=array)
            object.__setattr__(self, "value", 0.0)
        self._require(is_number(self.value), "a finite value", value=self.value)
        object.__setattr__(self, "_array", None if array is None else array.astype(np.float64))

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Doubles:
        """Return the constant."""
        array: Doubles | None = self._array  # type: ignore[attr-defined]
        if array is None:
            return np.full(shape, float(self.value))  # type: ignore[arg-type]
        if array.shape != tuple(shape):
            raise ShapeError(
                f"[Constant] expected values of the weights' shape {tuple(shape)}. Received: an array of {array.shape}."
            )
        return array


@spelled
@dataclass(frozen=True)
class Zeros(Initializer):
    """w = 0, the usual choice for biases.

    Examples
    --------
    >>> Zeros()((2,)).tolist()
    [0.0, 0.0]
    """

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Doubles:
        """Return zeros."""
        return np.zeros(shape)


@spelled
@dataclass(frozen=True)
class Ones(Initializer):
    """w = 1.

    Examples
    --------
    >>> Ones()((2,)).tolist()
    [1.0, 1.0]
    """

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Doubles:
        """Return ones."""
        return np.ones(shape)


@spelled
@dataclass(frozen=True)
class Uniform(Initializer):
    """w ~ U[low, high].

    Parameters
    ----------
    low : float, default -0.05
        The bounds, finite, low <= high.
    high : float, default 0.05
        The bounds, finite, low <= high.

    Examples
    --------
    >>> w = Uniform(-1.0, 1.0)((1000,), seed=1)
    >>> bool(abs(w).max() <= 1.0), round(float(w.std()), 1)
    (True, 0.6)
    """

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        plain_fields(self)
        ok = is_number(self.low) and is_number(self.high) and self.low <= self.high
        self._require(ok, "finite low <= high", low=self.low, high=self.high)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Doubles:
        """Draw from the distribution above."""
        return rng.uniform(self.low, self.high, shape)


@spelled
@dataclass(frozen=True)
class Normal(Initializer):
    """w ~ N(mean, std^2).

    Parameters
    ----------
    mean : float, default 0.0
        The mean, finite.
    std : float, default 0.05
        The standard deviation, finite and >= 0.

    Examples
    --------
    >>> round(float(Normal(std=2.0)((10000,)).std()), 1)
    2.0
    """

    mean: float = 0.0
    std: float = 0.05

    def __post_init__(self) -> None:
        plain_fields(self)
        ok = is_number(self.mean) and is_number(self.std) and self.std >= 0
        self._require(ok, "a finite mean and a finite std >= 0", mean=self.mean, std=self.std)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Doubles:
        """Draw from the distribution above."""
        return self.mean + self.std * rng.standard_normal(shape)


@spelled
@dataclass(frozen=True)
class TruncatedNormal(Normal):
    """w ~ N(mean, std^2), drawn again while abs(w - mean) > 2 * std.

    The values have the standard deviation 0.8796 * std, as in Keras.

    Parameters
    ----------
    mean : float, default 0.0
        The mean, finite.
    std : float, default 0.05
        The standard deviation before truncation, finite and >= 0.

    Examples
    --------
    >>> bool(abs(TruncatedNormal(std=1.0)((10000,))).max() <= 2.0)
    True
    """

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Doubles:
        """Draw from the distribution above."""
        return self.mean + self.std * _truncated(shape, rng)


def _truncated(shape: tuple[int, ...], rng: np.random.Generator) -> Doubles:
    z = rng.standard_normal(math.prod(shape))
    outside = np.flatnonzero(np.abs(z) > 2.0)
    while outside.size:
        z[outside] = rng.standard_normal(outside.size)
        outside = outside[np.abs(z[outside]) > 2.0]
    return z.reshape(shape)


@spelled
@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Random values of mean 0 and variance scale / n, where n is n_in, n_out or their mean.

    ``"uniform"`` draws from U[-limit, limit] with limit = sqrt(3 * scale / n). ``"truncated_normal"`` draws from a
    normal distribution cut at two standard deviations and widened so that the variance is scale / n after the cut.

    Parameters
    ----------
    scale : float, default 1.0
        The variance times n, > 0.
    mode : {"fan_in", "fan_out", "fan_avg"}, default "fan_in"
        Which n; see `fans`.
    distribution : {"uniform", "truncated_normal"}, default "truncated_normal"
        The distribution.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> w = VarianceScaling(1.0, "fan_in", "uniform")((300, 10))
    >>> bool(abs(w).max() <= 0.1)
    True
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"

    def __post_init__(self) -> None:
        plain_fields(self)
        self._require(is_number(self.scale) and self.scale > 0, "a finite scale > 0", scale=self.scale)
        for kind, name, known in (
            ("fan mode", self.mode, ("fan_in", "fan_out", "fan_avg")),
            ("distribution", self.distribution, ("uniform", "truncated_normal")),
        ):
            choice(type(self).__name__, kind, name, known)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Doubles:
        """Draw from the distribution above."""
        n_in, n_out = fans(shape)
        n = {"fan_in": n_in, "fan_out": n_out, "fan_avg": (n_in + n_out) / 2}[self.mode]
        std = math.sqrt(self.scale / max(n, 1))
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * std
            return rng.uniform(-limit, limit, shape)
        return (std / TRUNCATED_STD) * _truncated(shape, rng)


class _Preset(VarianceScaling):
    """A variance scaling that has a name of its own."""

    choice: ClassVar[tuple[float, str, str]]

    def __init__(self) -> None:
        super().__init__(*self.choice)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class GlorotUniform(_Preset):
    """w ~ U[-limit, limit], limit = sqrt(6 / (n_in + n_out)). The default for weights.

    References
    ----------
    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010.

    Examples
    --------
    >>> bool(abs(GlorotUniform()((100, 50))).max() <= 0.2)
    True
    """

    choice = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Preset):
    """w ~ a truncated normal distribution of variance 2 / (n_in + n_out).

    References
    ----------
    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010.
    """

    choice = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Preset):
    """w ~ U[-limit, limit], limit = sqrt(6 / n_in), for layers followed by ReLU.

    References
    ----------
    He et al., Delving Deep into Rectifiers, 2015.
    """

    choice = (2.0, "fan_in", "uniform")


class HeNormal(_Preset):
    """w ~ a truncated normal distribution of variance 2 / n_in, for layers followed by ReLU.

    References
    ----------
    He et al., Delving Deep into Rectifiers, 2015.
    """

    choice = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Preset):
    """w ~ U[-limit, limit], limit = sqrt(3 / n_in).

    References
    ----------
    LeCun et al., Efficient BackProp, 1998.
    """

    choice = (1.0, "fan_in", "uniform")


class LecunNormal(_Preset):
    """w ~ a truncated normal distribution of variance 1 / n_in, for layers followed by SELU.

    References
    ----------
    LeCun et al., Efficient BackProp, 1998; Klambauer et al., Self-Normalizing Neural Networks, 2017.
    """

    choice = (1.0, "fan_in", "truncated_normal")


@spelled
@dataclass(frozen=True)
class Orthogonal(Initializer):
    """w.T @ w = gain^2 * I if the rows outnumber the columns, else w @ w.T = gain^2 * I; uniform among such matrices.

    The rows of w are all dimensions but the last one.

    Parameters
    ----------
    gain : float, default 1.0
        The factor, finite.

    Raises
    ------
    ShapeError
        If the shape has fewer than two dimensions.

    References
    ----------
    Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear networks, 2014.

    Examples
    --------
    >>> w = Orthogonal()((4, 3), dtype=np.float64)
    >>> np.allclose(w.T @ w, np.eye(3))
    True
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        plain_fields(self)
        self._require(is_number(self.gain), "a finite gain", gain=self.gain)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Doubles:
        """Draw from the distribution above."""
        if len(shape) < 2:
            raise ShapeError(f"[Orthogonal] expected a shape of two or more dimensions. Received: shape={shape}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q = _orthonormal_rows(rng.standard_normal((min(rows, columns), max(rows, columns))))
        return self.gain * (q if rows <= columns else q.T).reshape(shape)


def _orthonormal_rows(a: Doubles) -> Doubles:
    """Orthonormalise the rows of `a` in place by Gram-Schmidt, each one twice to stay orthogonal to rounding.

    Not np.linalg.qr: the last bits of a threaded BLAS depend on the number of threads. einsum does not use BLAS.
    """
    for i, row in enumerate(a):
        for _ in range(2):
            row -= np.einsum("i,ij->j", np.einsum("ij,j->i", a[:i], row), a[:i])
        row /= math.sqrt(np.einsum("j,j->", row, row))
    return a


def _drawing(given: Any) -> Callable[..., NDArray[Any]] | None:
    return given if callable(given) else None


NAMES: Registry[Callable[..., NDArray[Any]]] = Registry(
    "initializer",
    Initializer,
    {
        "zeros": Zeros,
        "ones": Ones,
        "constant": Constant,
        "uniform": Uniform,
        "normal": Normal,
        "truncated_normal": TruncatedNormal,
        "glorot_uniform": GlorotUniform,
        "glorot_normal": GlorotNormal,
        "he_uniform": HeUniform,
        "he_normal": HeNormal,
        "lecun_uniform": LecunUniform,
        "lecun_normal": LecunNormal,
        "orthogonal": Orthogonal,
    },
    convert=_drawing,
    expected="a name or an initializer object",
    place="init",
    remedy="pass for instance 'glorot_uniform' or pynn.init.Normal(std=0.01).",
)


def get(initializer: Any) -> Callable[..., NDArray[Any]]:
    """Return the initializer of a name or a class; anything that can be called as one is returned as it came.

    Raises
    ------
    ValueError
        If the name is not known; the message gives the nearest known one.
    TypeError
        If it is neither a name nor an initializer.

    Examples
    --------
    >>> get("he_normal"), get(HeNormal)
    (HeNormal(), HeNormal())
    >>> get(Constant(0.1))
    Constant(value=0.1)
    """
    return NAMES.resolve(initializer)
