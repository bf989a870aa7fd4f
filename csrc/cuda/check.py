"""What to run where a GPU can be had: everything that cannot be known without one, in at most eight minutes.

    python csrc/cuda/check.py [--minutes 8] [--quick] [--ops NAME ...] [--recipe NAME]
    python csrc/cuda/check.py --sanitized [--quick] [--ops NAME ...]

It needs pynn and pynn-dl-cuda, built of these sources. One after the other, each for at most its share of the time:
every kernel alone, on the samples of all ops, against the CPU, bit by bit; trainings against the CPU, bit by bit;
products at lower precisions, whose errors have bounds; some kernels again under compute-sanitizer; the recipes
mnist-cnn and char-rnn to their figures; the twelve rows beside PyTorch (python -m bench.peers --device cuda). The end
lists what failed and what was not run; it ends with status 1 if something failed. No GPU has run it.

--sanitized needs a C++ compiler and neither GPU nor package: it compiles the driver of the tests, which runs the
kernels on the CPU, with AddressSanitizer and UBSan, and has it compare every kernel and the trainings, threads in an
order drawn anew at each barrier. What they find ends it with their report.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import pynn
from pynn import nn, recipes, testing
from pynn.core import _core, graph, program
from pynn.core.device import described
from pynn.errors import DeviceError

ROOT = Path(__file__).resolve().parents[2]
FEW = ("add", "sum", "relu", "softmax", "dense", "matmul", "dropout")
SMALL = (*FEW, "conv2d", "max_pool2d", "group_norm", "layer_norm", "lstm", "embedding", "cross_entropy")
RECIPES = ("mnist-cnn", "char-rnn")
#: The largest relative errors of products of normal numbers at each precision (docs/guide/precision.md).
ERRORS = {"highest": 6e-7, "high": 6e-6, "medium": 3e-3}
#: Shares of the minutes: the last one has what is left.
SHARES = {"kernels": 0.15, "memcheck": 0.15, "racecheck": 0.1, "mnist-cnn": 0.15, "char-rnn": 0.25}


def bits(array):
    """Return the bytes of an array in which all NaN are one."""
    flat = np.array(array).reshape(-1)
    if flat.dtype.kind == "f":
        flat[np.isnan(flat)] = np.nan
    return flat.tobytes()


class Alone:
    """Runs each instruction on the device, as a program of one, with the operands that the CPU had before it."""

    def __init__(self):
        self.run = graph._run
        self.compared, self.different, self.without = {}, [], set()

    def __call__(self, card, low, outs, args, salt):
        """Take the place of what runs an instruction."""
        if card.left is not None:  # it knows of the call before; trainings compare it
            self.run(card, low, outs, args, salt)
            return
        tensors = {id(t.buffer.root()): t for t in (*outs, *args) if t is not None}
        before = [np.array(_whole(t)) for t in tensors.values()]
        try:
            with program.record(*tensors.values(), cached=True, holds=True) as recorder:
                self.run(card, low, outs, args, salt)
        except DeviceError:
            self.without.add(card.name)
            return
        found = program._kind(None, _placed(recorder.instrs, list(tensors)), None, None)
        found.run(before)
        found.device.forget()  # so that the next one's memory is of its size, and what lies behind is nobody's
        self.compared[card.kernel] = self.compared.get(card.kernel, 0) + 1
        for slot, t in enumerate(tensors.values()):
            if slot in found.written and not _same(t, before[slot]):
                self.different.append(f"{card.kernel} {low.dims[:8]}")
                return


def _placed(instrs, roots):
    """Return a program of these instructions, all of them, whose slots are these buffers."""
    places, inputs, total, offsets = [], [], 0, {}
    elsewhere = [set() for _ in instrs]
    for i, instr in enumerate(instrs):
        for k, b in enumerate(instr.buffers):
            root = b and b.root()
            if root is None or (id(root) not in roots and root.kind != _core.TEMP):
                continue  # absent, or a constant
            elsewhere[i].add(k)
            if id(root) in roots:
                dim = instr.card.extents.get(k, -1)
                inputs.append((i, k, roots.index(id(root)), b.offset, b.nbytes, dim))
            else:  # made in between
                if id(root) not in offsets:
                    offsets[id(root)] = total
                    total += -(-max(root.nbytes, 1) // 64) * 64
                places.append((i, k, offsets[id(root)] + b.offset))
        if instr.scratch_bytes:
            places.append((i, -1, total))
            total += -(-instr.scratch_bytes // 64) * 64
    for instr, operands in zip(instrs, elsewhere, strict=True):
        instr.forget(operands)
    return program.Placed(instrs, places, inputs, total)


def _whole(t):
    root = t.buffer.root()
    return root.array(np.dtype(np.uint8), (root.nbytes,))


def _same(t, array):
    root = t.buffer.root()
    dtype = t.dtype if root.nbytes % t.dtype.itemsize == 0 else np.dtype(np.uint8)
    return bits(_whole(t).view(dtype)) == bits(array.view(dtype))


def kernels(names, until):
    """Compare the kernels of these ops, of all by default; returns what differs, and what was not run."""
    every, look, left = testing.all_ops(), Alone(), []
    graph._run = look
    try:
        for name in names or every:
            if time.monotonic() > until:
                left.append(name)
                continue
            for sample in testing.samples(every[name]):
                testing._Case(every[name], sample, np.dtype("float32")).run()
    finally:
        graph._run = look.run
    print(f"kernels: {sum(look.compared.values())} runs of {len(look.compared)}, {len(look.different)} differ")
    if look.without:
        print(f"without a device version, in full or for some sizes: {', '.join(sorted(look.without))}")
    return look.different, [f"kernels of {name}" for name in left]


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


def precisions():
    """Compare products at lower precisions with those in float64; returns what is too far off."""
    rng, different = np.random.default_rng(0), []
    layers = {(300,): lambda: nn.Dense(70), (9, 9, 20): lambda: nn.Conv2D(70, 3)}
    before = pynn.get_precision()
    for shape, layer in layers.items():
        pynn.set_device("cpu")
        model, double = nn.Sequential([nn.Input(shape), layer()]), nn.Sequential([nn.Input(shape), layer()])
        for one in (model, double.astype("float64")):
            one.build((1, *shape))
        x, w = (rng.normal(size=size).astype(np.float32) for size in ((20, *shape), model.parameters()[0].shape))
        for one in (model, double):
            one.parameters()[0].view()[:] = w
        exact = double.predict(x.astype(np.float64))
        pynn.set_device("cuda")
        for precision, bound in ERRORS.items():
            pynn.set_precision(precision)
            model.predict(x)  # the first is the CPU's
            error = np.linalg.norm(model.predict(x) - exact) / np.linalg.norm(exact)
            print(f"{layer().__class__.__name__} at {precision}: relative error {error:.1e}")
            different += [] if error <= bound else [f"products at {precision}"]
    pynn.set_precision(before)
    return different


def figure(name, **options):
    """Run a recipe on the device; tell whether it reached its figure."""
    pynn.set_device("cuda")
    recipe, start = recipes.find(name), time.monotonic()
    result = recipe.run(recipes.Options(quiet=True, **options))
    value = result.test[recipe.measure.key]
    reached = recipe.measure.reached(value, recipe.expected)
    said = f"{recipe.measure.text(value)}, expected {recipe.measure.text(recipe.expected)}"
    print(f"{name}: {said}: {'reached' if reached else 'NOT REACHED'} ({time.monotonic() - start:.0f} s)")
    return reached


def started(command, seconds):
    """Run a program for so long at most; returns its exit status, or None if it could not be run to its end."""
    if seconds < 10 or shutil.which(command[0]) is None:
        return None
    try:
        return subprocess.run(command, cwd=ROOT, timeout=seconds, check=False).returncode
    except subprocess.TimeoutExpired:
        return None


def others(until, minutes):
    """Run what needs processes of its own; returns what failed, and what was not run."""
    own = [sys.executable, "-P", os.fspath(__file__)]
    sanitizer = "compute-sanitizer --error-exitcode 1 --tool"
    todo = {tool: [*sanitizer.split(), tool, *own, "--ops", *SMALL] for tool in ("memcheck", "racecheck")}
    todo |= {name: [*own, "--recipe", name] for name in RECIPES}
    todo["bench.peers"] = [sys.executable, "-m", "bench.peers", "--device", "cuda", "--rounds", "5"]
    failed, left = [], []
    for name, command in todo.items():
        seconds = min(until - time.monotonic(), 60 * minutes * SHARES.get(name, 1))
        status = started(command, seconds)
        if status is None:
            left.append(name)
        elif status:
            failed.append(name)
    return failed, left


def sanitized(arguments):
    """Do it again with the driver of the tests, under the sanitizers; returns the exit status."""
    sys.path.insert(0, os.fspath(ROOT / "tests"))
    import cuda_shim

    with tempfile.TemporaryDirectory() as folder:
        flags = ("-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
        library = cuda_shim.build(ROOT / "tests/cuda_fake.cpp", Path(folder, "libcuda_fake.so"), *flags)
        cuda_shim.packaged(folder, pynn.__version__)
        ask = [*cuda_shim.compiler(), "-print-file-name=libasan.so"]
        runtime = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
        paths = [folder, *filter(None, (os.environ.get("PYTHONPATH"), os.fspath(Path(pynn.__file__).parents[1])))]
        environment = {
            "LD_PRELOAD": runtime,
            "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYNN_CUDA_DRIVER": library,
            "PYTHONPATH": os.pathsep.join(paths),
            "FAKE_CUDA": os.environ.get("FAKE_CUDA", "order=1"),
        }
        command = [sys.executable, "-P", os.fspath(__file__), "--minutes", "inf", "--bits", *arguments]
        return subprocess.run(command, env=os.environ | environment, check=False).returncode


def main(argv=None):
    """Do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--quick", action="store_true", help="a few ops and one training, nothing else")
    parser.add_argument("--ops", nargs="+", metavar="NAME", help="the kernels of these ops, nothing else")
    parser.add_argument("--bits", action="store_true", help="kernels and trainings, nothing else")
    parser.add_argument("--sanitized", action="store_true", help="the same without a GPU, under the sanitizers")
    parser.add_argument("--recipe", metavar="NAME", help="train this recipe on the device, nothing else")
    options = parser.parse_args(argv)
    if options.sanitized:
        return sanitized([one for one in (sys.argv[1:] if argv is None else argv) if one != "--sanitized"])
    until = time.monotonic() + 60 * options.minutes
    print(f"CUDA: {described()}", flush=True)
    if options.recipe:
        return not figure(options.recipe)
    pynn.set_device("cuda")
    names = options.ops or (FEW if options.quick else None)
    share = 1 if names or options.bits else SHARES["kernels"]
    failed, left = kernels(names, time.monotonic() + 60 * options.minutes * share)
    if not options.ops:
        failed += [f"training of {name}" for name in trainings(["dense"] if options.quick else None)]
        failed += precisions()
    if not names and not options.bits:
        more, unfinished = others(until, options.minutes)
        failed, left = failed + more, left + unfinished
    for one in left:
        print(f"not run to its end: {one}")
    for one in failed:
        print(f"! {one}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
