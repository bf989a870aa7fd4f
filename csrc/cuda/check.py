"""What to run where a GPU can be had: everything that cannot be known without one, in at most eight minutes.

    python csrc/cuda/check.py [--minutes 8] [--quick]

It needs pynn and pynn-dl-cuda, built of these sources. One after the other, as time allows: each kernel alone, on the
samples of all ops, against the CPU, bit by bit; trainings against the CPU, bit by bit; a few of both again under
compute-sanitizer, where that is; the twelve rows beside PyTorch (python -m bench.peers --device cuda). It ends with
status 1 if bits differ. No GPU has run it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import pynn
from pynn import nn, testing
from pynn.core import graph
from pynn.core.device import described
from pynn.core.program import Placed

ROOT = Path(__file__).resolve().parents[2]


def bits(array):
    """Return the bytes of an array in which all NaN are one."""
    flat = np.array(array).reshape(-1)
    if flat.dtype.kind == "f":
        flat[np.isnan(flat)] = np.nan
    return flat.tobytes()


class Alone:
    """Runs each instruction on the device, as a program of one, with the operands that the CPU had before it."""

    def __init__(self, recording):
        self.recording, self.run = recording, graph._run
        self.compared, self.different = {}, []

    def __call__(self, card, low, outs, args, salt):
        """Take the place of what runs an instruction."""
        tensors = [t for t in (*outs, *args) if t is not None]
        before = {id(t.buffer.root()): np.array(_whole(t)) for t in tensors}
        with pynn.core.program.record() as recorder:
            self.run(card, low, outs, args, salt)
        [instr] = recorder.instrs
        if instr.launches() is None:
            return
        roots = {id(b.root()): b.root() for b in instr.buffers if b is not None}
        slots = {key: slot for slot, key in enumerate(roots)}
        inputs = [(0, k, slots[id(b.root())], b.offset, b.nbytes, card.extents.get(k, -1))
                  for k, b in enumerate(instr.buffers) if b is not None]  # fmt: skip
        places = [(0, -1, 0)] if instr.scratch_bytes else []
        instr.forget(set(range(len(instr.buffers))))
        found = self.recording(None, Placed([instr], places, inputs, instr.scratch_bytes), None, None)
        arrays = [before[key] for key in roots]
        found.run(arrays)
        self.compared[card.kernel] = self.compared.get(card.kernel, 0) + 1
        after = {id(t.buffer.root()): t for t in tensors}
        for key, slot in slots.items():
            if slot in found.written and not _same(after[key], arrays[slot]):
                self.different.append(f"{card.kernel} {low.dims[:8]}")
                return


def _whole(t):
    root = t.buffer.root()
    return root.array(np.dtype(np.uint8), (root.nbytes,))


def _same(t, array):
    root = t.buffer.root()
    dtype = t.dtype if root.nbytes % t.dtype.itemsize == 0 else np.dtype(np.uint8)
    return bits(_whole(t).view(dtype)) == bits(array.view(dtype))


def kernels(recording, names, until):
    """Compare the kernels of these ops; returns what differs."""
    every, look = testing.all_ops(), Alone(recording)
    graph._run = look
    try:
        for name in names or every:
            for sample in testing.samples(every[name]):
                if time.monotonic() < until:
                    testing._Case(every[name], sample, np.dtype("float32")).run()
    finally:
        graph._run = look.run
    print(f"kernels: {sum(look.compared.values())} runs of {len(look.compared)}, {len(look.different)} differ")
    return look.different


def networks():
    """Return networks by name, each with a batch of data."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (64, 16, 16, 3)).astype(np.uint8), rng.integers(0, 8, 64)
    rows, steps = rng.normal(size=(64, 40)).astype(np.float32), rng.normal(size=(64, 12, 8)).astype(np.float32)
    dense = [nn.Input((40,)), nn.Dense(100, activation="relu"), nn.Dropout(0.3), nn.Dense(8)]
    convolutions = [nn.Input((16, 16, 3)), nn.Conv2D(20, 3, activation="relu", padding="same"), nn.MaxPool2D(2)]
    convolutions += [nn.Conv2D(33, 3), nn.BatchNormalization(), nn.Flatten(), nn.Dense(8)]
    return {
        "dense": (dense, rows, labels),
        "convolutions": (convolutions, images, labels),
        "lstm": ([nn.Input((12, 8)), nn.LSTM(50), nn.Dense(8)], steps, labels),
    }


def trained(name, device, epochs=3):
    """Return weights and predictions after a training."""
    layers, x, y = networks()[name]
    pynn.set_device(device)
    model = nn.Sequential(layers)
    model.compile(optimizer="adam", loss="cross_entropy", seed=0)
    model.fit(x, y, epochs=epochs, batch_size=24, verbose=0)
    return [*(t.numpy() for t in model.parameters()), model.predict(x)]


def trainings(names=None):
    """Compare trainings; returns the names of those that differ."""
    pynn.config.set_convolution("direct")
    different = []
    for name in names or networks():
        start = time.monotonic()
        expected, found = trained(name, "cpu"), trained(name, "cuda")
        same = all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))
        print(f"training of {name}: {'equal' if same else 'DIFFERENT'} ({time.monotonic() - start:.1f} s)")
        different += [] if same else [name]
    return different


def started(command, until):
    """Run a program for as long as there is time; tell whether it ended well."""
    left = until - time.monotonic()
    if left < 10 or shutil.which(command[0]) is None:
        print(f"not run: {command[0]}")
        return True
    try:
        return subprocess.run(command, cwd=ROOT, timeout=left).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"cut short: {' '.join(command)}")
        return True


def main(argv=None):
    """Do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--quick", action="store_true", help="a few ops and one training, nothing else")
    options = parser.parse_args(argv)
    until = time.monotonic() + 60 * options.minutes
    print(f"CUDA: {described()}", flush=True)
    pynn.set_device("cuda")
    recording = pynn.core.program._kind
    few = ["add", "sum", "relu", "softmax", "dense", "matmul", "dropout"] if options.quick else None
    failures = kernels(recording, few, until) + trainings(["dense"] if options.quick else None)
    if not options.quick:
        own = [sys.executable, "-P", os.fspath(__file__), "--quick"]
        for tool in ("memcheck", "racecheck"):
            if not started(["compute-sanitizer", "--tool", tool, "--error-exitcode", "1", *own], until):
                failures.append(tool)
        started([sys.executable, "-m", "bench.peers", "--device", "cuda", "--rounds", "5"], until)
    for failure in failures:
        print(f"! {failure}")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
