"""Lists of numbers out of a pickled NumPy array, read without unpickling.

A pickle is a program for a stack machine, which may call anything that can be imported. This reader knows just the
opcodes that NumPy's array of lists of integers needs, and stand-ins for the three names that occur in it; nothing is
imported or called, and everything else is an error. A pickle.Unpickler with find_class replaced would refuse the same
names, but not bound memory: nine bytes that keep an object under a large number make it ask for gigabytes.
"""

from __future__ import annotations

import struct
from typing import Any

__all__ = ["PickleError", "integer_lists"]

GLOBALS = {
    "numpy.core.multiarray _reconstruct": "reconstruct",
    "numpy._core.multiarray _reconstruct": "reconstruct",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",
}
MOST = 2**31  # ids are int32


class PickleError(ValueError):
    """A pickle that is damaged, or is not an array of lists of integers."""


class _Mark:
    """Where a list of arguments begins on the stack."""


class _Name(str):
    """A stand-in for something that a pickle would import."""


class _Made:
    """A stand-in for an array or dtype under construction: what kind, and the state it was given."""

    def __init__(self, kind: str):
        self.kind = kind
        self.state: Any = None


MARK = _Mark()


def integer_lists(data: bytes) -> list[list[int]]:
    """Return the lists of a pickled one-dimensional object array, whose elements are lists of ints below 2**31.

    Raises
    ------
    PickleError
        Saying what else is in the pickle, and at which byte.
    """
    machine = _Machine(data)
    try:
        made = machine.run()
        return _checked(made, len(data))
    except (IndexError, struct.error, KeyError, TypeError, UnicodeDecodeError) as error:
        raise PickleError(f"damaged at byte {machine.at}: {type(error).__name__}") from error


def _checked(made: Any, size: int) -> list[list[int]]:
    state = made.state if isinstance(made, _Made) and made.kind == "array" else None
    if not isinstance(state, tuple) or len(state) != 5:
        raise PickleError("no array")
    _, shape, dtype, fortran, rows = state
    objects = isinstance(dtype, _Made) and dtype.kind == "O"
    if not objects or fortran is not False or not isinstance(rows, list) or shape != (len(rows),):
        raise PickleError("no array [n] of objects")
    if any(type(row) is not list for row in rows):
        raise PickleError("elements that are no lists")
    if sum(map(len, rows)) > size:  # each number took a byte or more: less means that a list is there many times
        raise PickleError("lists that share their elements")
    for row in rows:
        if any(type(i) is not int for i in row) or (row and not 0 <= min(row) <= max(row) < MOST):
            raise PickleError(f"elements that are not integers from 0 to {MOST - 1}")
    return rows


class _Machine:
    """The stack machine, with the opcodes that are allowed."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        if count < 0 or len(taken) != count:
            raise PickleError(f"cut off at byte {len(self.data)}")
        self.at += count
        return taken

    def number(self, form: str) -> int:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return int(value)

    def line(self) -> str:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise PickleError(f"cut off at byte {len(self.data)}")
        return (self.take(end + 1 - self.at)[:-1]).decode("ascii")

    def since_mark(self) -> list[Any]:
        for start in range(len(self.stack) - 1, -1, -1):
            if self.stack[start] is MARK:
                items = self.stack[start + 1 :]
                del self.stack[start:]
                return items
        raise PickleError(f"an end without a beginning at byte {self.at}")

    def run(self) -> Any:
        """Run to the end and return what is on the stack."""
        data, push = self.data, self.stack.append
        while True:
            code = data[self.at]
            self.at += 1
            # The three that nearly all of the file consists of.
            if code == 0x4D:  # BININT2
                push(data[self.at] | data[self.at + 1] << 8)
                self.at += 2
            elif code == 0x4B:  # BININT1
                push(data[self.at])
                self.at += 1
            elif code == 0x4A:  # BININT
                push(self.number("<i"))
            elif code == 0x2E:  # STOP
                if len(self.stack) != 1 or self.at != len(data):
                    raise PickleError(f"an end at byte {self.at} that is none")
                return self.stack[0]
            else:
                self.step(bytes([code]))

    def step(self, code: bytes) -> None:
        """Run one of the rarer opcodes."""
        if code == b"(":
            self.stack.append(MARK)
        elif code in CONSTANTS:
            self.stack.append(CONSTANTS[code])
        elif code == b"]":
            self.stack.append([])
        elif code in b"ea":
            items = self.since_mark() if code == b"e" else [self.stack.pop()]
            self.top(list).extend(items)
        elif code == b"t":
            self.stack.append(tuple(self.since_mark()))
        elif code in b"\x85\x86\x87":
            count = code[0] - 0x84
            items = [self.stack.pop() for _ in range(count)]
            self.stack.append(tuple(reversed(items)))
        elif code in STRINGS:
            form, text = STRINGS[code]
            content = self.take(self.number(form))
            self.stack.append(content.decode("utf-8") if text else content)
        elif code == b"\x8a":
            self.stack.append(int.from_bytes(self.take(self.number("<B")), "little", signed=True))
        elif code in PUTS:
            self.memo[len(self.memo) if code == b"\x94" else self.number(PUTS[code])] = self.stack[-1]
        elif code in GETS:
            self.stack.append(self.memo[self.number(GETS[code])])
        elif code == b"c":
            self.name(self.line(), self.line())
        elif code == b"\x93":
            attribute, module = self.stack.pop(), self.stack.pop()
            self.name(module, attribute)
        elif code == b"R":
            arguments, function = self.stack.pop(), self.stack.pop()
            self.stack.append(self.call(function, arguments))
        elif code == b"b":
            state = self.stack.pop()
            self.top(_Made).state = state
        elif code == b"\x80":
            self.take(1)
        elif code == b"\x95":
            self.take(8)
        else:
            raise PickleError(f"the opcode 0x{code[0]:02x} at byte {self.at - 1}")

    def top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise PickleError(f"a step at byte {self.at} that does not fit")
        return self.stack[-1]

    def name(self, module: Any, attribute: Any) -> None:
        if not (isinstance(module, str) and isinstance(attribute, str)):
            raise PickleError(f"a name at byte {self.at} that is no text")
        name = f"{module} {attribute}"
        if name not in GLOBALS:
            raise PickleError(f"the name {name.replace(' ', '.')[:60]!r}")
        self.stack.append(_Name(GLOBALS[name]))

    def call(self, function: Any, arguments: Any) -> Any:
        """Return a stand-in for the result of one of the three calls that occur in a pickled array."""
        if isinstance(function, _Name) and isinstance(arguments, tuple):
            if function == "reconstruct" and arguments in (("ndarray", (0,), b"b"), ("ndarray", (0,), "b")):
                return _Made("array")
            if function == "dtype" and arguments in (("O8", False, True), ("O", False, True)):
                return _Made("O")
            if function == "encode" and arguments == ("b", "latin1"):
                return b"b"
        raise PickleError(f"a call at byte {self.at}")


CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False, b")": ()}
# Opcode -> how the length is stored, and whether it is text.
STRINGS = {
    b"X": ("<I", True),
    b"\x8c": ("<B", True),
    b"C": ("<B", False),
    b"B": ("<I", False),
    b"U": ("<B", True),  # Python 2's strings
    b"T": ("<i", True),
}
PUTS = {b"q": "<B", b"r": "<I", b"\x94": ""}
GETS = {b"h": "<B", b"j": "<I"}
