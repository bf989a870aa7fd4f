"""The tensor: a shaped handle on a buffer, with the node that made it."""

from __future__ import annotations

import types
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pynn.checks import written
from pynn.core import _core
from pynn.core.display import tensor_html
from pynn.core.foreign import to_numpy
from pynn.core.state import state
from pynn.errors import CaptureError, DataError, DTypeError, ShapeError, warn
from pynn.keywords import spelled

__all__ = ["DTYPE_INDEX", "FUNCTIONS", "Tensor", "as_dtype", "tensor"]

DTYPE_INDEX: dict[np.dtype, int] = {np.dtype(name): i for i, name in enumerate(_core.DTYPES)}
FLOATS = (np.dtype("float32"), np.dtype("float64"))
MAX_RANK = 6
MOST_BYTES = 2**47  # of one tensor: what a 64-bit processor addresses
# What the methods of Tensor call. A tensor knows no op: pynn.ops.operators puts the functions here, and
# pynn.core.gradients its backward().
FUNCTIONS: Any = types.SimpleNamespace()


def as_dtype(dtype: Any) -> np.dtype:
    """Return the numpy.dtype that is meant, or raise DTypeError if pynn does not have it."""
    try:
        found = np.dtype(dtype) if dtype is None or isinstance(dtype, (str, type, np.dtype)) else None
    except Exception:  # of NumPy's parser of texts: SyntaxError, ValueError, RecursionError ...
        found = None
    if found is None or found not in DTYPE_INDEX:
        raise DTypeError(
            f"[tensor] unknown dtype. Received: {written(dtype)}. help: pynn has {', '.join(_core.DTYPES)}."
        )
    return found


def _computes(other: Any) -> bool:
    """Tell whether the arithmetic of an operand's own class is to be used: it says so, to NumPy too."""
    return getattr(type(other), "__array_ufunc__", True) is None


class Tensor:
    """A contiguous array of float32, float64, int32, int64, uint8 or bool that remembers how it was made.

    Make one with :func:`pynn.tensor`. Operators follow NumPy's broadcasting. Numbers and arrays, which are no tensors,
    take the tensor's dtype; two tensors of different dtypes are refused rather than silently converted (use
    :meth:`astype`).

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    requires_grad : bool
        Whether gradients flow to this tensor.
    grad : Tensor or None
        What the last :meth:`backward` wrote. It is written, not accumulated: there is nothing to zero.
    node : pynn.core.graph.Node or None
        The op and the inputs that made this tensor; None for one made from data.

    Examples
    --------
    >>> import pynn
    >>> x = pynn.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.numpy()
    array([2., 4.], dtype=float32)
    """

    __slots__ = (
        "__weakref__", "buffer", "dtype", "grad", "index", "lengths", "name", "node", "requires_grad", "rows", "shape",
    )  # fmt: skip

    def __init__(self, buffer: Any, shape: tuple[int, ...], dtype: np.dtype, requires_grad: bool = False):
        self.buffer = buffer
        self.shape = shape
        self.dtype = dtype
        self.requires_grad = requires_grad
        self.grad: Tensor | Any = None  # None before backward(), which type checkers need not ask about
        self.node: Any = None
        self.index = 0
        self.name = ""
        self.lengths: Tensor | None = None  # of padded sequences [N, T, ...], int32 [N]; or a mask [N, T]
        self.rows: Any = None  # of the gradient of a table: which of its rows are not 0 (pynn.ops.embedding)

    @classmethod
    def empty(cls, shape: tuple[int, ...], dtype: np.dtype, kind: int = _core.TEMP) -> Tensor:
        """Return a tensor with memory of its own and arbitrary values.

        Raises
        ------
        ShapeError
            If a size is negative, or all together are more bytes than a machine can address.
        """
        size = dtype.itemsize
        for n in shape:
            if n < 0:
                raise ShapeError(f"expected sizes of at least 0. Received: shape={tuple(shape)}.")
            size *= int(n)  # of a Python integer: NumPy's would wrap
        if size > MOST_BYTES:
            raise ShapeError(f"expected a tensor that fits into memory. Received: shape={tuple(shape)}, dtype={dtype}.")
        return cls(_core.Buffer.new(0 if state.shapes else size, kind), tuple(map(int, shape)), dtype)

    @classmethod
    def state(cls, array: Any) -> Tensor:
        """Return a tensor that programs never move, with a copy of the array's values."""
        array = np.asarray(array)
        made = cls(_core.Buffer.new(array.nbytes, _core.STATE), array.shape, array.dtype)
        made.view()[...] = array
        return made

    def detach(self) -> Tensor:
        """Return a tensor on the same memory that is no part of the graph."""
        return Tensor(self.buffer, self.shape, self.dtype)

    # Reading

    def view(self) -> np.ndarray:
        """Return a NumPy array on this tensor's own memory. For pynn itself: it bypasses the graph and recording."""
        return self.buffer.array(self.dtype, self.shape)

    def numpy(self) -> np.ndarray:
        """Return a copy of the values.

        Raises
        ------
        CaptureError
            While a program is being recorded: the value would be frozen into it.
        """
        if state.recorder is not None:
            raise CaptureError(
                "a value was read while a step was being recorded; it would be frozen into every later step. "
                "help: compute with tensors instead, or use run_eagerly=True."
            )
        if state.shapes:
            raise CaptureError(
                "a value was read while a model was run for its shapes alone. help: compute with tensors."
            )
        return self.view().copy()

    def item(self) -> float | int | bool:
        """Return the single value as a Python number."""
        if self.size != 1:
            raise ShapeError(f"[item] expected a tensor with one element. Received: shape={self.shape}.")
        return self.numpy().reshape(()).item()

    def tolist(self) -> Any:
        """Return the values as nested lists."""
        return self.numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return FUNCTIONS.ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        return FUNCTIONS.array_function(function, args, options)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor without dimensions has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        made = f", made by {self.node.card.name}" if self.node else ""
        grad = ", requires_grad=True" if self.requires_grad and not self.node else ""
        if state.recorder is not None:
            return f"Tensor(shape={self.shape}, dtype={self.dtype}{grad}{made}, recording)"
        values = np.array2string(self.view(), separator=", ", prefix="Tensor(", threshold=200)
        return f"Tensor({values}, dtype={self.dtype}{grad}{made})"

    def _repr_html_(self) -> str:
        return tensor_html(self)

    @property
    def size(self) -> int:
        """Number of elements."""
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.dtype.itemsize

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was made from data rather than by an op."""
        return self.node is None

    # The graph

    def backward(self, gradient: Any = None) -> None:
        """Write d(self)/d(leaf) into ``.grad`` of every leaf that requires a gradient.

        Parameters
        ----------
        gradient : array_like, optional
            The cotangent; by default 1, for which the tensor must have one element.
        """
        FUNCTIONS.backward(self, gradient)

    def retain_grad(self) -> Tensor:
        """Ask backward() to write ``.grad`` of this intermediate tensor too. Returns self."""
        if self.node is None:
            return self
        self.node.retained[self.index] = weakref.ref(self)
        return self

    # Ops: declared here, for readers and editors; pynn.ops says which function each one is

    def __add__(self, other: Any) -> Tensor:
        return NotImplemented if _computes(other) else FUNCTIONS.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return FUNCTIONS.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return NotImplemented if _computes(other) else FUNCTIONS.sub(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return FUNCTIONS.sub(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return NotImplemented if _computes(other) else FUNCTIONS.mul(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return FUNCTIONS.mul(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return NotImplemented if _computes(other) else FUNCTIONS.div(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return FUNCTIONS.div(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return NotImplemented if _computes(other) else FUNCTIONS.pow(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return FUNCTIONS.pow(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return NotImplemented if _computes(other) else FUNCTIONS.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return FUNCTIONS.matmul(other, self)

    def __neg__(self) -> Tensor:
        return FUNCTIONS.neg(self)

    def __abs__(self) -> Tensor:
        return FUNCTIONS.abs(self)

    def __lt__(self, other: Any) -> Tensor:
        return NotImplemented if _computes(other) else FUNCTIONS.less(self, other)

    def __le__(self, other: Any) -> Tensor:
        return NotImplemented if _computes(other) else FUNCTIONS.less_equal(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return NotImplemented if _computes(other) else FUNCTIONS.less(other, self)

    def __ge__(self, other: Any) -> Tensor:
        return NotImplemented if _computes(other) else FUNCTIONS.less_equal(other, self)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return FUNCTIONS.equal(self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return FUNCTIONS.not_equal(self, other)

    __hash__ = object.__hash__

    def __getitem__(self, key: Any) -> Tensor:
        return FUNCTIONS.slice(self, key)

    def exp(self) -> Tensor:
        """Return e**self."""
        return FUNCTIONS.exp(self)

    def log(self) -> Tensor:
        """Return the natural logarithm."""
        return FUNCTIONS.log(self)

    def sqrt(self) -> Tensor:
        """Return the square root."""
        return FUNCTIONS.sqrt(self)

    def sin(self) -> Tensor:
        """Return the sine, element by element; radians."""
        return FUNCTIONS.sin(self)

    def cos(self) -> Tensor:
        """Return the cosine, element by element; radians."""
        return FUNCTIONS.cos(self)

    def square(self) -> Tensor:
        """Return self * self."""
        return FUNCTIONS.square(self)

    def tanh(self) -> Tensor:
        """Return the hyperbolic tangent."""
        return FUNCTIONS.tanh(self)

    def sigmoid(self) -> Tensor:
        """Return 1 / (1 + e**-self)."""
        return FUNCTIONS.sigmoid(self)

    def relu(self) -> Tensor:
        """Return max(self, 0)."""
        return FUNCTIONS.relu(self)

    def sum(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """Return the sum over the axes (all by default)."""
        return FUNCTIONS.sum(self, axis, keepdims)

    def mean(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """Return the mean over the axes (all by default)."""
        return FUNCTIONS.mean(self, axis, keepdims)

    def max(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """Return the maximum over the axes (all by default)."""
        return FUNCTIONS.max(self, axis, keepdims)

    def min(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """Return the minimum over the axes (all by default)."""
        return FUNCTIONS.min(self, axis, keepdims)

    def var(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """Return the population variance over the axes (all by default)."""
        return FUNCTIONS.var(self, axis, keepdims)

    def argmax(self, axis: int = -1) -> Tensor:
        """Return the index of the first largest value along an axis, as int64."""
        return FUNCTIONS.argmax(self, axis)

    def clip(self, low: float, high: float) -> Tensor:
        """Return the values limited to [low, high]."""
        return FUNCTIONS.clip(self, low, high)

    def reshape(self, *shape: Any) -> Tensor:
        """Return the same memory with another shape; one size may be -1."""
        listed = len(shape) == 1 and not isinstance(shape[0], (int, np.integer))
        return FUNCTIONS.reshape(self, shape[0] if listed else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """Return a copy with permuted axes (reversed by default)."""
        listed = len(axes) == 1 and not isinstance(axes[0], (int, np.integer))
        return FUNCTIONS.transpose(self, axes[0] if listed else axes or None)

    @property
    def T(self) -> Tensor:
        """The transpose."""
        return FUNCTIONS.transpose(self, None)

    def astype(self, dtype: Any) -> Tensor:
        """Return a copy with another dtype."""
        return FUNCTIONS.cast(self, as_dtype(dtype))


_noted: set[str] = set()


def note_once(message: str) -> None:
    """Warn about a conversion, the first time only; the warning points at the first caller outside pynn."""
    if message in _noted:
        return
    _noted.add(message)
    warn(message)


def to_array(data: Any, place: str, dtype: np.dtype | None = None) -> np.ndarray:
    """Return data as a contiguous native array of a dtype that pynn has, converting what can be, said once.

    Raises
    ------
    DTypeError
        For strings, objects, complex numbers and the like.
    ShapeError
        For ragged nested lists.
    """
    if isinstance(data, Tensor):
        array = data.numpy()
    else:
        try:
            array = to_numpy(data, place)
        except (DataError, DTypeError):
            raise
        except ValueError as error:
            raise ShapeError(f"[{place}] expected a rectangular array. Received: ragged data ({error}).") from None
    given = array.dtype
    listed = not isinstance(data, (np.ndarray, np.generic, Tensor)) and not hasattr(data, "__array__")
    if not array.dtype.isnative:
        note_once(f"[{place}] a big-endian array was converted to native byte order.")
        array = array.astype(given.newbyteorder("="))
    if dtype is not None:
        if array.dtype != dtype and array.dtype.kind in "fiub":
            array = array.astype(dtype)
    elif array.dtype == np.float64 and listed:
        array = array.astype(np.float32)  # Python numbers are float32 by default
    elif array.dtype == np.float16:
        note_once(f"[{place}] a float16 array was converted to float32.")
        array = array.astype(np.float32)
    elif array.dtype in (np.dtype("int8"), np.dtype("int16"), np.dtype("uint16")):
        array = array.astype(np.int32)
    elif array.dtype in (np.dtype("uint32"), np.dtype("uint64")):
        array = array.astype(np.int64)
    if array.dtype not in DTYPE_INDEX:
        raise DTypeError(
            f"[{place}] expected numbers. Received: an array of dtype {given}. "
            "help: encode text or categories as numbers first (np.unique(..., return_inverse=True), one-hot)."
        )
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array).reshape(array.shape)
    return array


@spelled
def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Make a tensor from an array, a (nested) list or a number; the values are copied.

    Parameters
    ----------
    data : array_like
        Python floats become float32; arrays keep their dtype (float16 becomes float32, said once).
    dtype : dtype, optional
        float32, float64, int32, int64, uint8 or bool.
    requires_grad : bool, default False
        Whether gradients should be computed for it; for floating point only.

    Raises
    ------
    DTypeError
        If the data are not numbers, or a gradient is asked for integers.
    ShapeError
        If nested lists are ragged or there are more than 6 dimensions.

    Examples
    --------
    >>> import pynn
    >>> pynn.tensor([[1, 2], [3, 4]], dtype="float32").sum(axis=0)
    Tensor([4., 6.], dtype=float32)
    """
    array = to_array(data, "tensor", None if dtype is None else as_dtype(dtype))
    if array.ndim > MAX_RANK:
        raise ShapeError(f"[tensor] expected at most {MAX_RANK} dimensions. Received: shape={array.shape}.")
    if requires_grad and array.dtype not in FLOATS:
        raise DTypeError(f"[tensor] only floating-point tensors have gradients. Received: dtype={array.dtype}.")
    made = Tensor.empty(array.shape, array.dtype)
    made.view()[...] = array
    made.requires_grad = requires_grad
    return made
