"""Writes the cases of the witness: what the cards of all ops run on their samples, one instruction each.

A case is a kernel's name, dtype, dimensions, parameters and operands, so the driver (driver.c) needs to know nothing of
any kernel, and a new card brings its cases along. Samples are also stretched to sizes round the widths of vectors, and
once per op to a size that several threads share. Large floating operands are not stored: the driver draws them from the
range that the sample had, with a seed of their own.

    python -P tests/ports/record.py OUT.cases [--few]
"""

import contextlib
import re
import struct
import sys
import warnings
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

import pynn
from pynn import testing
from pynn.core import config, graph
from pynn.core.tensor import DTYPE_INDEX, FLOATS

CSRC = Path(__file__).resolve().parents[2] / "csrc"
WIDTHS = (1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 129, 257)  # of the last axis
ROWS = (1, 2, 5, 17, 65)  # of the first
STRETCHED = 2  # samples of an op, the largest of their kind
MOST = {np.dtype(np.float32): 40, np.dtype(np.float64): 16}  # cases of a kernel
MOST_OTHERS = 6  # of a kernel in another dtype
FEWER = 4  # with --few, this part of them
MOST_SHARED = 2  # of a kernel with so much work that threads share it
STORED = 256  # bytes of a floating operand that are stored as they are
SHARED = 50_000  # elements of the operands that threads share
THREADS = 4  # that scratch memory is booked for
NONE, STORED_BYTES, DRAWN, SAME = range(4)


class Cases:
    """The instructions that were run, each once, by kernel and dtype."""

    def __init__(self, names):
        self.names = names
        self.found = defaultdict(dict)
        self.label, self.shared = "", False
        self.overlapping = Counter()

    def note(self, card, low, outs, args, salt):
        """Take in an instruction that is about to run."""
        if card.kernel not in self.names:
            return
        dtype = low.dtype or next(x.dtype for x in (*args, *outs) if x is not None)
        key = (card.kernel, np.dtype(dtype))
        operands = self.operands(card, outs, args)
        if operands is None:
            self.overlapping[card.kernel] += 1
            return
        kind = tuple(head for head, _ in operands), tuple(low.dims), tuple(low.pars)
        if kind in self.found[key]:
            return
        shapes = " ".join(str(tuple(x.shape)).replace(" ", "") for x in args if x is not None)
        head = struct.pack(
            "<IIqIIII", DTYPE_INDEX[dtype], salt, low.scratch, len(outs), len(operands), len(low.dims), len(low.pars)
        )
        body = head + struct.pack(f"<{len(low.dims)}q{len(low.pars)}d", *low.dims, *low.pars)
        self.found[key][kind] = self.shared, f"{self.label}: {shapes}", body + b"".join(h + b for h, b in operands)

    def operands(self, card, outs, args):
        """Return each operand as its head and its content; None if two overlap without being the same."""
        rows, places = [], []
        for i, t in enumerate((*outs, *args)):
            if t is None:
                rows.append((struct.pack("<iiq", NONE, 0, 0), b""))
                places.append(None)
                continue
            first, last = t.buffer.address, t.buffer.address + t.nbytes
            same = next((j for j, p in enumerate(places) if p == (first, last)), None)
            touching = any(p is not None and p[0] < last and first < p[1] for p in places)
            places.append((first, last))
            if same is not None and first < last:
                rows.append((struct.pack("<iiq", SAME, DTYPE_INDEX[t.dtype], t.size), struct.pack("<q", same)))
            elif touching and first < last:
                return None
            else:
                rows.append(operand(t.view(), t.dtype, i, fresh=i < len(outs) and not card.mutates))
        return rows


def operand(array, dtype, index, fresh):
    """Return the head and the content of an operand; what a kernel only writes is drawn, or zero."""
    count, data = array.size, np.ascontiguousarray(array)
    seed = zlib.crc32(f"{index} {count}".encode())
    if fresh:
        if dtype in FLOATS:
            return struct.pack("<iiq", DRAWN, DTYPE_INDEX[dtype], count), struct.pack("<ddQ", -1.0, 1.0, seed)
        data = np.zeros(count, dtype)
    elif dtype in FLOATS and data.nbytes > STORED and np.isfinite(data).all():
        low, high = float(data.min()), float(data.max())
        return struct.pack("<iiq", DRAWN, DTYPE_INDEX[dtype], count), struct.pack("<ddQ", low, high, seed)
    content = data.tobytes()
    return struct.pack("<iiq", STORED_BYTES, DTYPE_INDEX[dtype], count), content + bytes(-len(content) % 8)


def stretched(sample, axis, n):
    """Return a sample whose operands have n places along an axis where its largest operand has most."""
    shapes = [np.shape(x) for x in (*sample.inputs, *sample.state) if x is not None]
    largest = max(shapes, key=lambda s: int(np.prod(s)), default=())
    if not largest or 0 in largest or (axis == 0 and len(largest) == 1):
        return None

    def to_size(x):
        shape = np.shape(x)
        if x is None or isinstance(x, pynn.Tensor) or not shape or shape[axis] != largest[axis]:
            return x
        return np.take(np.asarray(x), np.arange(n) % shape[axis], axis)

    return sample._replace(inputs=tuple(map(to_size, sample.inputs)), state=tuple(map(to_size, sample.state)))


def attempt(op, sample, dtype):
    """Run a sample forwards and backwards, as far as the op takes it."""
    # A size among the attributes may not have changed with the operands.
    with contextlib.suppress(ValueError, TypeError, IndexError, ArithmeticError):
        testing._Case(op, sample, dtype).run()


def record(cases, stretches=True):
    """Run every op on its samples, and on the largest ones stretched."""
    for name, op in sorted(testing.all_ops().items()):
        cases.label = name
        samples = testing.samples(op)
        for sample in samples:
            for dtype in FLOATS:
                attempt(op, sample, dtype)
        if not stretches:
            continue
        by_size = sorted(samples, key=lambda s: -max((np.size(x) for x in s.inputs if x is not None), default=0))
        for sample in by_size[:STRETCHED]:
            for axis, sizes in ((-1, WIDTHS), (0, ROWS)):
                for n in sizes:
                    longer = stretched(sample, axis, n)
                    for dtype in FLOATS if longer is not None and n in (7, 17, 65) else FLOATS[:1]:
                        if longer is not None:
                            attempt(op, longer, dtype)
        cases.shared = True
        for sample in by_size[:1]:
            for longer in testing._enlarged(op, sample):
                attempt(op, longer, FLOATS[0])
        cases.shared = False


def chosen(cases, share):
    """Yield the cases of each kernel that are kept: evenly many of all, and some that threads share."""
    for (name, dtype), found in sorted(cases.found.items(), key=lambda row: (row[0][0], str(row[0][1]))):
        rows = list(found.values())
        small = [row for row in rows if not row[0]]
        most = max(1, MOST.get(dtype, MOST_OTHERS) // share)
        kept = [small[i * len(small) // most] for i in range(most)] if len(small) > most else small
        for _, label, body in kept + [row for row in rows if row[0]][: max(1, MOST_SHARED // share)]:
            yield name, label, body


def kernels():
    """Return the names of the kernels in C, from the rows of kernels.def and elementwise.def."""
    listed = set(re.findall(r"^ +X\((\w+)\)", (CSRC / "kernels.def").read_text(), re.MULTILINE))
    rows = re.findall(r"^ +(ROW|VALUE)\(A, (\w+),", (CSRC / "elementwise.def").read_text(), re.MULTILINE)
    both = [f"{name}_{side}" for kind, name in rows for side in ("fwd", "bwd")[: 1 + (kind == "ROW")]]
    return sorted(listed | set(both))


@contextlib.contextmanager
def noting(cases):
    """Let the cases take in what is executed inside a ``with`` block."""
    run, large, threads = graph._run, testing.LARGE, config.get_num_threads()

    def noted(card, low, outs, args, salt):
        cases.note(card, low, outs, args, salt)
        run(card, low, outs, args, salt)

    graph._run, testing.LARGE = noted, SHARED
    config.set_num_threads(THREADS)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield cases
    finally:
        graph._run, testing.LARGE = run, large
        config.set_num_threads(threads)


def main(path, few):
    """Write the file."""
    with noting(Cases(set(kernels()))) as cases:
        record(cases)
    rows = list(chosen(cases, FEWER if few else 1))
    missing = cases.names - {name for name, _, _ in rows}
    if missing:
        raise SystemExit(f"record: no card runs {', '.join(sorted(missing))}")
    with open(path, "wb") as file:
        file.write(b"PNCASES1" + struct.pack("<q", len(rows)))
        for name, label, body in rows:
            for text in (name, label):
                data = text.encode()[:200]
                file.write(struct.pack("<I", len(data)) + data)
            file.write(body)
        size = file.tell() / 1e6
    isa = config.ISA_NAMES[config.isa()]
    print(f"{len(rows)} cases of {len(cases.names)} kernels, {size:.1f} MB, recorded with {isa}")
    if cases.overlapping:
        print("left out, as operands overlap:", dict(cases.overlapping))


if __name__ == "__main__":
    main(sys.argv[1], "--few" in sys.argv)
