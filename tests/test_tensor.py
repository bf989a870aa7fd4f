"""Tensors: making them, converting, operators, indexing, reductions and products, against NumPy."""

import inspect
import itertools
import operator
import sys
import warnings

import numpy as np
import pytest

import pynn
from pynn import ops
from pynn.core.tensor import DTYPE_INDEX, Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.activation import ELEMENTWISE
from pynn.ops.reduce import sum_to

DTYPES = [str(d) for d in DTYPE_INDEX]
NUMBERS = ["float32", "float64", "int32", "int64"]


@pytest.fixture
def nothing_said(monkeypatch):
    """Forget which conversions were already announced in this process."""
    monkeypatch.setattr(sys.modules["pynn.core.tensor"], "_noted", set())


# Making


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_keep_their_dtype_and_values(dtype):
    x = np.arange(6).reshape(2, 3).astype(dtype)
    t = pynn.tensor(x)
    assert (t.shape, t.dtype, t.ndim, t.size, t.nbytes) == (x.shape, x.dtype, x.ndim, x.size, x.nbytes)
    assert np.array_equal(t.numpy(), x)
    assert t.is_leaf
    assert t.node is None


def test_python_numbers_take_the_default_dtypes():
    assert pynn.tensor(1.5).dtype == np.float32
    assert pynn.tensor([1.0, 2.0]).dtype == np.float32
    assert pynn.tensor([[1, 2]]).dtype == np.int64
    assert pynn.tensor(True).dtype == np.bool_
    assert pynn.tensor([1, 2], dtype="float64").dtype == np.float64
    assert pynn.tensor([0.1], dtype="float64").item() == 0.1
    assert pynn.tensor([1, 2], dtype=np.float32).dtype == np.float32
    assert pynn.tensor(2.0).shape == ()
    assert pynn.tensor([]).shape == (0,)
    assert pynn.tensor(np.float64(2)).dtype == np.float64


def test_values_are_copied_in_and_out():
    x = np.ones(3, np.float32)
    t = pynn.tensor(x)
    x[0] = 5
    y = t.numpy()
    y[1] = 7
    assert t.tolist() == [1, 1, 1]
    other = pynn.tensor(t)
    other.view()[0] = 3
    assert t.tolist() == [1, 1, 1]


@pytest.mark.parametrize(("given", "kept"), [("int8", "int32"), ("int16", "int32"), ("uint16", "int32"),
                                             ("uint32", "int64"), ("uint64", "int64")])  # fmt: skip
def test_small_integers_are_widened(given, kept):
    t = pynn.tensor(np.array([1, 2, 3], given))
    assert t.dtype == kept
    assert t.tolist() == [1, 2, 3]


@pytest.mark.parametrize(("array", "said"), [
    (np.arange(6, dtype=np.float16).reshape(2, 3), "float16"),
    (np.arange(6, dtype=">f4").reshape(2, 3), "big-endian"),
    (np.arange(6, dtype=">i8").reshape(2, 3), "big-endian"),
])  # fmt: skip
def test_conversions_are_said_once(nothing_said, array, said):
    with pytest.warns(UserWarning, match=said) as seen:
        t = pynn.tensor(array)
    assert seen[0].filename == __file__
    assert np.array_equal(t.numpy(), array)
    assert t.numpy().flags.c_contiguous
    assert t.dtype.isnative
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(pynn.tensor(array).numpy(), array)


@pytest.mark.parametrize("array", [
    np.arange(12, dtype=np.float32).reshape(4, 3)[::2],
    np.arange(6, dtype=np.float32).reshape(3, 2).T,
    np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::-1],
])  # fmt: skip
def test_layouts_are_no_surprise(nothing_said, array):
    t = pynn.tensor(array)
    assert np.array_equal(t.numpy(), array)
    assert t.numpy().flags.c_contiguous


def test_an_explicit_dtype_is_not_a_surprise(nothing_said):
    assert pynn.tensor(np.ones(3, np.float16), dtype="float64").dtype == np.float64
    assert pynn.tensor(np.ones(3, np.uint8), dtype="float32").dtype == np.float32


@pytest.mark.parametrize("data", [
    np.array(["a", "b"]), ["a", "b"], np.array([1, None]), [None], None, "text", np.array([1j]), [1j],
    np.array(["2020-01-01"], "datetime64[D]"), {"a": 1}, [{}], np.zeros(2, [("a", "f4")]), b"bytes",
])  # fmt: skip
def test_what_is_not_a_number_is_refused(data):
    with pytest.raises(DTypeError, match=r"\[tensor\] expected numbers\. Received: .*help:"):
        pynn.tensor(data)


@pytest.mark.parametrize("data", [[[1, 2], [3]], [[1.0], 2.0], [[[1]], [[1, 2]]]])
def test_ragged_lists_are_refused(data):
    with pytest.raises(ShapeError, match="rectangular"):
        pynn.tensor(data)


def test_at_most_six_dimensions():
    assert pynn.tensor(np.zeros((1,) * 6)).ndim == 6
    with pytest.raises(ShapeError, match=r"at most 6 dimensions\. Received: shape=\(1, 1, 1, 1, 1, 1, 1\)"):
        pynn.tensor(np.zeros((1,) * 7))
    with pytest.raises(ShapeError, match="at most 6 dimensions"):
        pynn.tensor(np.zeros((1,) * 6))[None]
    with pytest.raises(ShapeError, match="at most 6 dimensions"):
        pynn.tensor(np.zeros(1)).reshape((1,) * 7)
    with pytest.raises(ShapeError, match="at most 6 dimensions"):
        ops.expand(pynn.tensor(np.zeros(1)), (1,) * 7)
    with pytest.raises(ShapeError, match="at most 6 dimensions"):
        ops.gather(pynn.tensor(np.zeros((1,) * 5)), np.zeros((1, 1, 1), int))
    with pytest.raises(ShapeError, match="at most 6 dimensions"):
        ops.zeros((1,) * 7)


@pytest.mark.parametrize("dtype", ["float16", "complex64", "str", "O", "uint16", "nonsense", 7])
def test_unknown_dtypes_are_refused(dtype):
    with pytest.raises(DTypeError, match=r"unknown dtype\. Received: .*float32"):
        pynn.tensor([1.0], dtype=dtype)
    with pytest.raises(DTypeError, match="unknown dtype"):
        pynn.tensor([1.0]).astype(dtype)


def test_only_floats_have_gradients():
    assert pynn.tensor([1.0], requires_grad=True).requires_grad
    for data in ([1], [True], np.zeros(1, np.uint8)):
        with pytest.raises(DTypeError, match="only floating-point"):
            pynn.tensor(data, requires_grad=True)


# Reading


def test_scalars_become_python_numbers():
    assert isinstance(pynn.tensor(1.5).item(), float)
    assert isinstance(pynn.tensor(3).item(), int)
    assert pynn.tensor(True).item() is True
    assert float(pynn.tensor([[2.5]])) == 2.5
    assert int(pynn.tensor(7.9)) == 7
    assert bool(pynn.tensor(0.0)) is False
    assert bool(pynn.tensor([3]))
    for read in (float, int, bool, Tensor.item):
        with pytest.raises(ShapeError, match=r"one element\. Received: shape=\(2,\)"):
            read(pynn.tensor([1.0, 2.0]))


def test_length_and_iteration():
    t = pynn.tensor([[1, 2], [3, 4], [5, 6]])
    assert len(t) == 3
    assert [row.tolist() for row in t] == [[1, 2], [3, 4], [5, 6]]
    a, b = pynn.tensor([1.0, 2.0])
    assert (a.item(), b.item()) == (1.0, 2.0)
    with pytest.raises(TypeError, match="no length"):
        len(pynn.tensor(1.0))
    with pytest.raises(TypeError):
        iter(pynn.tensor(1.0))


def test_numpy_takes_tensors():
    t = pynn.tensor([[1.0, 2.0]])
    assert np.array_equal(np.asarray(t), [[1, 2]])
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    assert np.array_equal(np.concatenate([t, t]), [[1, 2], [1, 2]])


def test_the_text_of_a_tensor():
    x = pynn.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "Tensor([1., 2.], dtype=float32, requires_grad=True)"
    assert "made by mul" in repr(x * x)
    assert len(repr(pynn.tensor(np.zeros(100_000)))) < 500


def test_tensors_can_be_keys():
    a, b = pynn.tensor(1.0), pynn.tensor(1.0)
    assert len({a, b, a}) == 2


# Operators


ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS)
def test_operators_with_numbers_arrays_and_lists(op, rng):
    x = rng.uniform(0.5, 2, (3, 4)).astype(np.float32)
    y = rng.uniform(0.5, 2, (3, 4)).astype(np.float32)
    t = pynn.tensor(x)
    for other in (y, y[0], 2.0, 3, np.float64(1.5), np.float32(1.5), np.int64(2), y.tolist(), tuple(y[0].tolist())):
        plain = np.asarray(other, np.float32)
        for got, expected in ((op(t, other), op(x, plain)), (op(other, t), op(plain, x))):
            assert isinstance(got, Tensor)
            assert got.dtype == expected.dtype
            np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(op(t, pynn.tensor(y)).numpy(), op(x, y), rtol=1e-6)


def test_an_array_on_the_left_gives_a_tensor_with_a_gradient():
    x = pynn.tensor([1.0, 2.0], requires_grad=True)
    y = np.array([3.0, 4.0], np.float32) * x + np.float32(1)
    assert isinstance(y, Tensor)
    y.sum().backward()
    assert x.grad.tolist() == [3, 4]


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integer_arithmetic(dtype):
    a = np.array([[7, -3, 0], [2, 100, -5]], dtype)
    b = np.array([2, -2, 5], dtype)
    s, t = pynn.tensor(a), pynn.tensor(b)
    for op in (operator.add, operator.sub, operator.mul, *COMPARISONS):
        expected = op(a, b)
        got = op(s, t)
        assert got.dtype == expected.dtype
        assert np.array_equal(got.numpy(), expected)
    assert (s + 1).dtype == dtype
    assert np.array_equal((1 - s).numpy(), 1 - a)
    assert np.array_equal((-s).numpy(), -a)
    assert np.array_equal(abs(s).numpy(), abs(a))
    assert np.array_equal(s.square().numpy(), a * a)
    assert np.array_equal(ops.maximum(s, t).numpy(), np.maximum(a, b))
    assert np.array_equal(s.sum(0).numpy(), a.sum(0))
    assert s.sum(0).dtype == dtype
    assert np.array_equal(s.max(1).numpy(), a.max(1))
    assert np.array_equal(s.argmax(1).numpy(), a.argmax(1))


def test_mixed_dtypes_are_refused():
    floats, doubles, ints = pynn.tensor([1.0]), pynn.tensor([1.0], "float64"), pynn.tensor([1])
    for op in ARITHMETIC + COMPARISONS:
        for a, b in itertools.permutations((floats, doubles, ints), 2):
            with pytest.raises(DTypeError, match=r"Received: .*help: convert"):
                op(a, b)
    with pytest.raises(DTypeError, match="float cannot join"):
        ints + 1.5
    with pytest.raises(DTypeError, match="float32 or float64"):
        ints / ints
    with pytest.raises(DTypeError, match="float32 or float64"):
        ints.exp()
    with pytest.raises(DTypeError, match="float32 or float64"):
        ints.mean()
    with pytest.raises(DTypeError, match="one dtype"):
        floats @ doubles
    with pytest.raises(DTypeError, match="one dtype"):
        ops.concat([floats, doubles])
    with pytest.raises(DTypeError, match="one dtype"):
        ops.where(pynn.tensor([True]), floats, doubles)
    for narrow in (pynn.tensor([True]), pynn.tensor(np.ones(1, np.uint8))):
        with pytest.raises(DTypeError, match="convert"):
            narrow + narrow
        with pytest.raises(DTypeError, match="convert"):
            narrow.sum()
    with pytest.raises(DTypeError, match="expected numbers"):
        floats + "a"
    with pytest.raises(DTypeError, match="expected numbers"):
        operator.eq(floats, None)


def test_a_random_walk_through_broadcasting(rng):
    """Two hundred pairs of shapes with ones and missing axes, all ranks, every operand dtype."""
    functions = [(ops.add, np.add), (ops.sub, np.subtract), (ops.mul, np.multiply), (ops.maximum, np.maximum),
                 (ops.less, np.less), (ops.equal, np.equal)]  # fmt: skip
    for _ in range(200):
        full = rng.integers(1, 5, rng.integers(0, 7))
        shapes = []
        for _ in range(3):
            shape = np.where(rng.random(len(full)) < 0.4, 1, full)
            shapes.append(tuple(int(d) for d in shape[rng.integers(0, len(full) + 1) :]))
        dtype = str(rng.choice(NUMBERS))
        a, b = (rng.integers(-3, 4, s).astype(dtype) for s in shapes[:2])
        c = rng.random(shapes[2]) < 0.5
        for ours, numpys in functions:
            got = ours(pynn.tensor(a), pynn.tensor(b)).numpy()
            expected = numpys(a, b)
            assert got.dtype == expected.dtype
            assert np.array_equal(got, expected), (shapes, dtype, numpys)
        assert np.array_equal(ops.where(pynn.tensor(c), pynn.tensor(a), pynn.tensor(b)).numpy(), np.where(c, a, b))


def test_shapes_that_do_not_broadcast():
    with pytest.raises(ShapeError, match=r"\[add\] .*Received: \(2, 3\) and \(4,\)"):
        pynn.tensor(np.zeros((2, 3))) + np.zeros(4)


# Indexing


KEYS = [
    0, -1, 3, np.int64(2), np.s_[:], np.s_[1:], np.s_[:-1], np.s_[::2], np.s_[::-1], np.s_[3:0:-2], np.s_[10:20],
    np.s_[2:2], np.s_[-100:100], np.s_[...], None, (), (0, 1), (0, -1, 2), (np.s_[1:3], 2), (2, np.s_[1:3]),
    (np.s_[:], np.s_[:], 1), (np.s_[::-1], np.s_[::-1], np.s_[::-1]), (np.s_[::2], np.s_[1::2], np.s_[::-2]),
    (..., 0), (0, ...), (..., np.s_[::2]), (1, ..., 2), (np.s_[1:], ..., np.s_[:1]), (None, 0), (0, None),
    (np.s_[:], None, 2), (..., None), (None, ..., None), (0, 0, 0), (0, 0, 0, ...), (np.s_[4:1], 0),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
def test_slices_are_those_of_numpy(key, dtype):
    x = (np.arange(4 * 5 * 6).reshape(4, 5, 6) * 7 % 251).astype(dtype)
    got, expected = pynn.tensor(x)[key], x[key]
    assert got.shape == expected.shape
    assert np.array_equal(got.numpy(), expected)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_the_gradient_of_a_slice_is_put_back(key):
    x = np.arange(4 * 5 * 6, dtype=np.float64).reshape(4, 5, 6)
    t = pynn.tensor(x, requires_grad=True)
    (t[key] * pynn.tensor(x[key].copy())).sum().backward()
    expected = np.zeros_like(x)
    expected[key] = x[key]
    assert np.array_equal(t.grad.numpy(), expected)


@pytest.mark.parametrize("index", [[0, 2, 2, -1], np.array([[1, 0], [3, 3]]), np.array([2], np.int32), np.zeros(0, int),
                                   pynn.tensor([3, 1]), [[0], [1]], []])  # fmt: skip
def test_rows_are_gathered(index):
    x = np.arange(20, dtype=np.float32).reshape(4, 5)
    plain = np.asarray(index.numpy() if isinstance(index, Tensor) else index, dtype=int)
    got = pynn.tensor(x)[index]
    assert got.shape == x[plain].shape
    assert np.array_equal(got.numpy(), x[plain])
    t = pynn.tensor(x, requires_grad=True)
    t[index].sum().backward()
    expected = np.zeros_like(x)
    np.add.at(expected, plain, 1)
    assert np.array_equal(t.grad.numpy(), expected)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_gather_along_an_axis(axis, rng):
    x = rng.standard_normal((3, 4, 5))
    index = np.array([[0, 2], [1, -1]])
    assert np.array_equal(ops.gather(pynn.tensor(x), index, axis).numpy(), np.take(x, index, axis))


def test_bad_indices():
    t = pynn.tensor(np.zeros((4, 5), np.float32))
    for key in (4, -5, (0, 5), (np.s_[:], -6)):
        with pytest.raises(IndexError, match="out of range"):
            t[key]
    with pytest.raises(IndexError, match="outside the table"):
        t[[0, 4]]
    with pytest.raises(IndexError, match="outside the table"):
        t[[-5]]
    with pytest.raises(ShapeError, match="too many indices"):
        t[0, 0, 0]
    with pytest.raises(ShapeError, match="too many indices"):
        t[..., 0, 0, 0]
    with pytest.raises(ShapeError, match="one ellipsis"):
        t[..., 0, ...]
    with pytest.raises(ShapeError, match="stand alone"):
        t[[0], [1]]
    with pytest.raises(TypeError, match="integers and slices"):
        t["a"]
    with pytest.raises(TypeError, match="integers and slices"):
        t[True]
    with pytest.raises(DTypeError, match=r"int32 or int64.*dtype=bool.*flatnonzero"):
        t[np.zeros(4, bool)]
    with pytest.raises(ValueError, match="zero"):
        t[::0]
    with pytest.raises(ShapeError, match="axis out of range"):
        ops.gather(t, [0], axis=2)


# Shapes


def test_reshape():
    x = np.arange(24, dtype=np.float32)
    t = pynn.tensor(x)
    for shape in [(4, 6), (2, -1), (-1,), (2, 3, 4), (1, 24, 1)]:
        assert np.array_equal(t.reshape(shape).numpy(), x.reshape(shape))
        assert np.array_equal(t.reshape(*shape).numpy(), x.reshape(shape))
    assert t.reshape([2, 12]).shape == (2, 12)
    assert t.reshape(np.int64(-1)).shape == (24,)
    assert pynn.tensor([[5.0]]).reshape().shape == ()
    assert pynn.tensor(np.zeros((0, 3))).reshape(3, 0).shape == (3, 0)
    for shape in [(5, 5), (-1, -1), (5, -1), (-2, 12), (0, -1)]:
        with pytest.raises(ShapeError, match=r"24 elements\. Received"):
            t.reshape(shape)


def test_transpose():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    t = pynn.tensor(x)
    assert np.array_equal(t.T.numpy(), x.T)
    assert np.array_equal(t.transpose().numpy(), x.T)
    for axes in itertools.permutations(range(3)):
        assert np.array_equal(t.transpose(*axes).numpy(), x.transpose(axes))
        assert np.array_equal(t.transpose(axes).numpy(), x.transpose(axes))
    assert np.array_equal(t.transpose(0, -1, 1).numpy(), x.transpose(0, -1, 1))
    for axes in [(0, 1), (0, 1, 1), (0, 1, 3), (0, 1, -4), (0, 1, 2, 3)]:
        with pytest.raises(ShapeError, match="permutation"):
            t.transpose(*axes)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat_of_thirty_pieces(axis, rng):
    shapes = [(2 + i % 3, 3) if axis == 0 else (2, 3 + i % 3) for i in range(30)]
    pieces = [rng.standard_normal(s) for s in shapes]
    tensors = [pynn.tensor(p, requires_grad=True) for p in pieces]
    y = ops.concat(tensors, axis)
    expected = np.concatenate(pieces, axis)
    assert np.array_equal(y.numpy(), expected)
    (y * pynn.tensor(expected)).sum().backward()
    for t, p in zip(tensors, pieces, strict=True):
        assert np.array_equal(t.grad.numpy(), p)


@pytest.mark.parametrize("dtype", DTYPES)
def test_concat_of_every_dtype(dtype):
    x = np.arange(6).reshape(2, 3).astype(dtype)
    assert np.array_equal(ops.concat([x, pynn.tensor(x)], 1).numpy(), np.concatenate([x, x], 1))


def test_concat_errors():
    with pytest.raises(ShapeError, match="at least one"):
        ops.concat([])
    with pytest.raises(ShapeError, match="axis out of range"):
        ops.concat([np.zeros(2)], 1)
    with pytest.raises(ShapeError, match="axis out of range"):
        ops.concat([1.0, 2.0])
    with pytest.raises(ShapeError, match="agree but for axis 0"):
        ops.concat([np.zeros((2, 3)), np.zeros((2, 3, 1))])


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("to", DTYPES)
def test_casts(source, to):
    x = np.array([0, 1, 2, 100]).astype(source)
    t = pynn.tensor(x).astype(to)
    assert t.dtype == to
    assert np.array_equal(t.numpy(), x.astype(to))


def test_a_cast_passes_gradients_between_floats():
    x = pynn.tensor([1.0, 2.0], requires_grad=True)
    y = (x.astype("float64") * 3.0).sum()
    assert y.dtype == np.float64
    y.backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [3, 3]
    assert not x.astype("int32").requires_grad


def test_zeros_ones_and_one_hot():
    assert ops.zeros((2, 3)).tolist() == [[0] * 3] * 2
    assert ops.zeros((2,), "int64").dtype == np.int64
    assert ops.ones((2,), "float64").tolist() == [1, 1]
    assert ops.eye_rows(pynn.tensor([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


# Reductions


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, 3, -1, (0, 1), (1, 2), (0, 2), (1, 3), (0, 3), (0, 1, 3), (-1, 0), ()])
def test_reductions_are_those_of_numpy(axis, keepdims, rng):
    x = rng.standard_normal((3, 4, 5, 2))
    t = pynn.tensor(x)
    for name in ("sum", "mean", "max", "min", "var"):
        got = getattr(t, name)(axis, keepdims=keepdims)
        expected = np.asarray(getattr(x, name)(axis, keepdims=keepdims))
        assert got.shape == expected.shape, name
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12, atol=1e-14, err_msg=name)
    if isinstance(axis, int):
        assert np.array_equal(t.argmax(axis).numpy(), x.argmax(axis))


def test_reductions_of_scalars_and_of_nothing():
    assert pynn.tensor(3.0).sum().item() == 3
    assert pynn.tensor(3.0).mean().item() == 3
    assert pynn.tensor(np.zeros((0, 3))).sum().item() == 0
    assert pynn.tensor(np.zeros((0, 3))).sum(0).tolist() == [0, 0, 0]
    assert pynn.tensor(np.zeros((0, 3))).sum(1).shape == (0,)
    assert pynn.tensor(np.zeros((0, 3))).max(1).shape == (0,)
    for name in ("mean", "max", "min", "var"):
        with pytest.raises(ShapeError, match="at least one element"):
            getattr(pynn.tensor(np.zeros((0, 3))), name)(0)


def test_bad_axes():
    t = pynn.tensor(np.zeros((2, 3)))
    for axis in (2, -3, (0, 2)):
        with pytest.raises(ShapeError, match="axis out of range"):
            t.sum(axis)
    with pytest.raises(ShapeError, match="each axis once"):
        t.sum((0, -2))
    with pytest.raises(ShapeError, match="axis out of range"):
        t.argmax(2)


def test_argmax_takes_the_first_of_equals():
    assert pynn.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]).argmax(1).tolist() == [1, 0]


# Products


@pytest.mark.parametrize(("a", "b"), [
    ((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (2, 4, 5)), ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)), ((2, 3, 4), (4,)), ((4,), (2, 4, 5)), ((6, 2, 3, 4), (6, 2, 4, 1)), ((0, 4), (4, 5)),
    ((3, 0), (0, 5)), ((1, 1), (1, 1)), ((70, 90), (90, 40)), ((1, 500), (500, 1)), ((513, 3), (3, 700)),
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_those_of_numpy(a, b, dtype, rng):
    x, y = rng.standard_normal(a).astype(dtype), rng.standard_normal(b).astype(dtype)
    got = pynn.tensor(x) @ pynn.tensor(y)
    expected = np.asarray(x.astype("float64") @ y.astype("float64"))
    assert got.shape == expected.shape
    assert got.dtype == dtype
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(got.numpy(), expected, rtol=tolerance, atol=tolerance * 10)
    assert isinstance(x @ pynn.tensor(y), Tensor)


def test_products_that_do_not_fit():
    with pytest.raises(ShapeError, match="3 against 4"):
        pynn.tensor(np.zeros((2, 3))) @ np.zeros((4, 5))
    with pytest.raises(ShapeError, match="at least one dimension"):
        pynn.tensor(1.0) @ np.zeros(3, np.float32)
    with pytest.raises(ShapeError, match="equal stacks"):
        pynn.tensor(np.zeros((2, 3, 4))) @ np.zeros((3, 4, 5))
    with pytest.raises(DTypeError, match="float32 or float64"):
        pynn.tensor([[1]]) @ pynn.tensor([[1]])


def test_powers():
    x = np.array([0.5, 2.0, 3.0])
    t = pynn.tensor(x)
    for p in (2, 0.5, 3, -1, 0, 1.5):
        np.testing.assert_allclose((t**p).numpy(), x**p, rtol=1e-14)
    np.testing.assert_allclose((2.0**t).numpy(), 2.0**x, rtol=1e-14)
    assert np.array_equal((pynn.tensor([-2.0]) ** 3).numpy(), [-8])


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name != "clip"])
def test_activations_take_lists(name):
    assert getattr(ops, name)([1.0, 2.0]).shape == (2,)


def test_clip():
    assert pynn.tensor([-2.0, 0.5, 9.0]).clip(-1, 1).tolist() == [-1, 0.5, 1]
    with pytest.raises(ValueError, match="low <= high"):
        pynn.tensor([1.0]).clip(2, 1)


def test_maxout_errors():
    with pytest.raises(ShapeError, match="4 divides"):
        ops.maxout(np.zeros((2, 6)), 4)


@pytest.mark.parametrize("shape", [(3, 4), (1, 3, 4), (4,), (1, 1, 4), (1, 3, 1), (3, 1), (1, 1, 1), ()])
def test_a_sum_over_what_was_broadcast_is_written_where_it_is_wanted(shape):
    x = np.arange(24.0).reshape(2, 3, 4)
    expected = x.sum(tuple(i for i, n in enumerate((1,) * (3 - len(shape)) + shape) if n == 1)).reshape(shape)
    out = Tensor.state(np.full(shape, -1.0))
    np.testing.assert_array_equal(sum_to(pynn.tensor(x), shape, out).numpy(), expected)
    np.testing.assert_array_equal(out.numpy(), expected)
    np.testing.assert_array_equal(sum_to(pynn.tensor(x), shape).numpy(), expected)


@pytest.mark.parametrize("name", ["max", "mean", "min", "sum", "var", "argmax"])
def test_reductions_are_methods_too(name):
    x = np.random.default_rng(0).normal(size=(3, 4))
    t = pynn.tensor(x)
    np.testing.assert_array_equal(getattr(t, name)(1).numpy(), getattr(ops, name)(t, 1).numpy())
    np.testing.assert_allclose(getattr(t, name)(1).numpy(), getattr(np, name)(x, 1), rtol=1e-12)


@pytest.mark.parametrize("kinds", [(list, list), (list, pynn.tensor), (pynn.tensor, list), (np.array, np.array)])
def test_functions_of_two_operands_take_what_a_tensor_is_made_of(kinds):
    a, b = [1.5, 2.0, 3.0], [2.0, 2.0, 0.5]
    for op, function in {
        ops.add: np.add, ops.sub: np.subtract, ops.mul: np.multiply, ops.div: np.divide, ops.pow: np.power,
        ops.maximum: np.maximum, ops.minimum: np.minimum, ops.less: np.less, ops.less_equal: np.less_equal,
        ops.equal: np.equal, ops.not_equal: np.not_equal,
    }.items():  # fmt: skip
        found, expected = op(kinds[0](a), kinds[1](b)).numpy(), function(np.float32(a), np.float32(b))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_methods_have_the_defaults_of_the_functions_of_their_name():
    tried = set()
    for name in dir(pynn.Tensor):
        method, function = getattr(pynn.Tensor, name), getattr(ops, name, None)
        if name.startswith("_") or not callable(method) or function is None or name == "transpose":  # takes *axes
            continue
        of_method, of_function = (list(inspect.signature(f).parameters.values())[1:] for f in (method, function))
        assert [(p.name, p.default) for p in of_method] == [(p.name, p.default) for p in of_function], name
        tried.add(name)
    assert {"argmax", "max", "mean", "sum", "var", "clip"} <= tried
