"""Values that nobody should pass, as source text, so that whatever fails can be printed as a program."""

from __future__ import annotations

from typing import Any

import numpy as np

import pynn
from pynn import nn

NUMBERS = (
    "0", "1", "-1", "2", "3", "7", "65536", "2**31-1", "2**31", "-2**31", "2**32", "2**61", "2**62", "2**63-1", "2**63",
    "-2**63", "2**64", "10**30", "-10**30", "10**400", "10**5000", "0.0", "-0.0", "0.5", "1.5", "-1.5", "1e-30",
    "1e308", "-1e308", "5e-324", "np.nan", "np.inf", "-np.inf", "1j", "True", "False", "None", "np.int8(3)",
    "np.int8(-1)", "np.uint8(200)", "np.int16(30000)", "np.uint16(60000)", "np.int32(2**31-1)", "np.uint32(2**32-1)",
    "np.int64(3)", "np.int64(2**62)", "np.uint64(2**64-1)", "np.float16(2)", "np.float32('nan')", "np.longdouble(2)",
    "np.bool_(True)", "np.array(3)", "np.array(2.5)", "np.complex64(1)",
)  # fmt: skip
TEXTS = (
    "''", "'relu'", "'linear'", "'same'", "'mean'", "'x' * 100_000", "'9' * 5000", "'\\x00'", "'\\ud800'",
    "'a\\nb\\x1b[31m'", "b'relu'", "'\\u6f22 \\xe9'", "'../..'", "'/'", "'.'", "'float32'", "'int8'", "'>f4'", "'O'",
    "np.str_('relu')", "'{0.__class__}'", "'%s%n'", "'<b>&\\''",
)  # fmt: skip
LISTS = (
    "()", "[]", "{}", "set()", "(1,)", "(1, 2)", "(0, 0)", "(-1, -1)", "(2, 2)", "(2**31, 2**31)", "(2**61, 3)",
    "(1, 2, 3)", "[[1, 2], [3]]", "[[1.0, 2.0], [3.0, 4.0]]", "[[]]", "(None, None)", "('a', 'b')", "['a', None, 1]",
    "{'a': 1}", "{0: 0.5}", "{1: [2]}", "nested(50)", "nested(5000)", "range(3)", "iter([1, 2])", "(1,) * 1000",
    "[1] * 100_000", "[np.nan, 1]", "[10**30]", "['9' * 5000]", "[[1, 2], [3, 4]]", "(np.uint8(200), np.int16(30000))",
    "itself()", "[object()]",
)  # fmt: skip
ARRAYS = (
    "np.zeros(())", "np.zeros(0)", "np.zeros((0, 3))", "np.zeros((3, 0))", "np.ones(1)", "np.ones(5)",
    "np.ones((2, 3), 'f4')", "np.ones((4, 3))", "np.ones((1, 4, 3), 'f4')", "np.ones((2, 5, 5, 3), 'f4')",
    "np.ones((2, 0, 5, 3), 'f4')", "np.ones((1,) * 20)", "np.ones((1,) * 64)", "np.full((4, 3), np.nan, 'f4')",
    "np.full((4, 3), np.inf)", "np.full(4, 1e300)", "np.arange(4)", "np.arange(12).reshape(4, 3)",
    "np.arange(24, dtype='f4').reshape(4, 6)[:, ::2]", "np.ones((4, 3), 'f4').T",
    "np.asfortranarray(np.ones((4, 3), 'f4'))", "np.ones((4, 3), '>f4')", "np.arange(4, dtype='>i8')",
    "np.ones((4, 3), 'f2')", "np.ones((4, 3), 'g')", "np.ones((4, 3), 'c8')", "np.ones((4, 3), bool)",
    "np.array([None, 1], object)", "np.ones((4, 3), object)", "np.array(['a', 'b'])", "np.array([b'a'])",
    "np.zeros(3, 'M8[s]')", "np.zeros(2, [('a', 'f4')])", "np.ma.masked_array(np.ones((4, 3), 'f4'), [[1, 0, 0]] * 4)",
    "locked(np.ones((4, 3), 'f4'))", "np.full(4, -1)", "np.full((4, 3), 2**62)", "np.full(4, 10**9)",
    "np.array([2**64 - 1], 'u8')", "np.broadcast_to(np.float32(1), (4, 3))",
    "np.broadcast_to(np.float32(1), (2**20, 2**20))", "np.zeros((0, 2**62), 'f4')", "np.zeros((2**40, 0), 'f4')",
    "np.matrix([[1.0, 2.0]])", "np.ones((4, 3), 'f4')[::-1]", "np.random.default_rng(0).normal(size=(4, 3))", "moved()",
)  # fmt: skip
OBJECTS = (
    "object()", "lambda *a, **k: 1", "lambda *a, **k: None", "int", "np.float32", "np", "...", "slice(None)",
    "NotImplemented", "Odd()", "pynn.tensor([1.0])", "pynn.tensor(np.zeros((0, 3)))", "pynn.tensor(np.ones((4, 3)))",
    "pynn.tensor([1, 2])", "pynn.tensor(1.0, requires_grad=True)", "nn.Dense(2)", "nn.Dense", "model()",
    "pynn.optim.SGD(0.1)", "print", "range(2**62)", "memoryview(b'abcd')", "bytearray(3)", "float", "Exception",
    "pynn.losses.MSE()", "pynn.init.Zeros()",
)  # fmt: skip
POOLS = (NUMBERS, NUMBERS, TEXTS, LISTS, ARRAYS, ARRAYS, OBJECTS)

# What an array argument is turned into; {} is the argument as it was.
TWISTS = (
    "np.asarray({})[::2]", "np.asfortranarray({})", "np.asarray({}).astype('>f4')", "np.asarray({}).astype(object)",
    "np.asarray({}).astype('f2')", "np.asarray({}).astype('c8')", "np.asarray({}).astype('i1')",
    "np.asarray({}).astype('f8')", "np.ma.masked_array({}, True)", "locked({})", "np.asarray({})[..., None]",
    "np.asarray({})[None]", "np.asarray({})[:0]", "np.asarray({}) * np.nan", "np.asarray({}) * 1e38",
    "np.asarray({}) - 5", "np.asarray({}).tolist()", "np.asarray({}).T", "np.asarray({})[..., :1]",
    "np.asarray({})[..., :0]", "np.asarray({}).ravel()", "np.concatenate([{0}, {0}])", "np.asarray({})[::-1]",
    "pynn.tensor({})", "np.asarray({}).astype(bool)", "np.asarray({}).astype(str)", "np.stack([{0}, {0}], -1)",
    "np.asarray({}).astype('u8')", "np.asarray({})[0]", "np.asarray({}) * 10**9",
)  # fmt: skip


def nested(levels: int) -> list[Any]:
    """Return a list in a list in a list."""
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


def itself() -> list[Any]:
    """Return a list that holds itself."""
    made: list[Any] = [1]
    made.append(made)
    return made


def locked(x: Any) -> np.ndarray:
    """Return a copy that cannot be written."""
    made = np.array(x)
    made.flags.writeable = False
    return made


def moved() -> np.ndarray:
    """Return an array that begins at an odd address."""
    return np.frombuffer(b"\0" * 49, "u1")[1:].view("f4").reshape(4, 3)


class Odd:
    """Says that it is anything, and is nothing."""

    shape, ndim, dtype = (3, -1), 2, "odd"

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Any:
        raise ValueError("an error of the object's own")

    def __getitem__(self, key: Any) -> Any:
        raise ValueError("an error of the object's own")

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise ValueError("an error of the object's own")

    def __index__(self) -> int:
        raise ValueError("an error of the object's own")

    def __float__(self) -> float:
        raise ValueError("an error of the object's own")


def model() -> Any:
    """Return a small model that is compiled and built."""
    made = nn.Sequential([nn.Input((3,)), nn.Dense(4, "relu"), nn.Dense(2, "softmax")])
    made.compile(pynn.optim.SGD(0.1), "cross_entropy", ["accuracy"], seed=0)
    made.build((None, 3))
    return made
