"""The unrolled convolution: loops, a matrix product, and pynn's own, timed; and the network of 2006 on digits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import pynn
from pynn import nn, ops, viz
from pynn.core import _core
from pynn.core.gradients import backward
from pynn.core.program import record
from pynn.recipes.direct import Direct, compiled
from pynn.recipes.images import cosine, pictures
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.runner import hold_out, train_classifier

__all__ = ["WAYS", "crossover", "layer_times", "unrolled_convolution"]

WAYS = ("direct loops", "unrolled product", "conv2d")
LENGTHS = (1, 2, 4, 8, 16, 32)  # maps in, and out: an inner product has 25 times as many terms
LAYERS = ((29, 1, 5), (13, 5, 50))  # of the network: pixels on a side, maps in, maps out
ROUNDS = 5


def layer_times(size: int, channels: int, filters: int, stride: int = 2, images: int = 32) -> dict[str, float]:
    """Return the seconds of a convolution of 5 x 5 by each way: forward, and the gradients of all three operands.

    Without a C compiler there are no direct loops. The least processor time of several rounds, in which the ways take
    turns, with one thread.

    Parameters
    ----------
    size : int
        Pixels on a side.
    channels, filters : int
        Maps that go in and come out.
    stride : int, default 2
    images : int, default 32
    """
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, size, size, channels), np.float32)
    w = rng.standard_normal((5, 5, channels, filters), np.float32)
    b = rng.standard_normal(filters).astype(np.float32)
    out = (size - 5) // stride + 1
    dy = rng.standard_normal((images, out, out, filters), np.float32)
    library = compiled()
    runs: dict[str, Callable[[], Any]] = {}
    if library is not None:
        loops = Direct(library, x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), b, stride)
        turned = np.ascontiguousarray(dy.transpose(0, 3, 1, 2))
        runs["direct loops"] = lambda: (loops.forward(), loops.backward(turned))
    tensors = [pynn.tensor(a, requires_grad=True) for a in (x, w, b)]
    weight = pynn.tensor(dy)

    def unrolled(x: Any, w: Any, b: Any) -> Any:
        rows = ops.patches2d(x, 5, stride)
        return ops.matmul(rows.reshape((-1, 25 * channels)), w.reshape((-1, filters))).reshape(dy.shape) + b

    def passes(convolution: Callable[..., Any]) -> Callable[[], Any]:
        def once() -> None:
            y = convolution(*tensors)
            backward(y, weight, targets=tensors)

        return _recorded(once)

    runs["unrolled product"] = passes(unrolled)
    runs["conv2d"] = passes(lambda x, w, b: ops.conv2d(x, w, b, strides=stride))
    found = dict.fromkeys(runs, float("inf"))
    threads = pynn.get_num_threads()
    pynn.set_num_threads(1)  # whose own time does not see what else the machine does
    try:
        for round_ in range(ROUNDS + 1):
            for name, run in runs.items():
                start = time.thread_time()
                run()
                if round_:  # the first one warms up
                    found[name] = min(found[name], time.thread_time() - start)
    finally:
        pynn.set_num_threads(threads)
    return found


def _recorded(function: Callable[[], Any]) -> Callable[[], Any]:
    """Return what runs the instructions of a function anew, without Python between them."""
    with record(holds=True) as recorder:
        function()
    places, total = [], 0
    for i, instr in enumerate(recorder.instrs):
        if instr.scratch_bytes:
            places.append((i, -1, total))
            total += -(-instr.scratch_bytes // 64) * 64
    run = _core.Program(recorder.instrs, places, [], total).start()
    return lambda: run.run(1)


def crossover(lengths: list[int], loops: list[float], product: list[float]) -> float:
    """Return the length of an inner product from which on the product is faster than loops, on a line of logarithms.

    Parameters
    ----------
    lengths : list of int
        Increasing.
    loops, product : list of float
        Seconds at each length.

    Examples
    --------
    >>> crossover([10, 1000], [1.0, 100.0], [10.0, 10.0])
    100.0
    >>> crossover([10, 100], [2.0, 3.0], [1.0, 1.0])
    0.0
    """
    gain = np.log(np.divide(loops, product))
    later = np.flatnonzero(gain > 0)
    if not len(later):
        return float("inf")
    first = int(later[0])
    if not first:
        return 0.0  # at every length
    (a, b), (lower, upper) = gain[first - 1 : first + 1], np.log(lengths[first - 1 : first + 1])
    return float(round(np.exp(lower + (upper - lower) * -a / (b - a)), 6))


@recipe(
    "unrolled-convolution",
    shows="a convolution as a matrix product, beside loops and pynn's own; the network of 2006 on digits",
    data="MNIST (11 MB: --data, PYNN_DATA, or a download)",
    expected=0.988,
    epochs=20,
    batch_size=64,
)
def unrolled_convolution(recipe: Recipe, options: Options) -> Result:
    """Time both layers of the network and layers of growing inner products by three ways; then train it with Adam.

    The network is that of Simard and others (2003): 5 and 50 filters of 5 x 5 with stride 2, and 100 units.
    """
    details = _times(options.quiet)
    train, test = pynn.datasets.mnist(options.data, progress=not options.quiet)
    train, validation = hold_out(*train)
    layers = [
        nn.Input((28, 28)),
        nn.Reshape((28, 28, 1)),
        nn.ZeroPadding2D(((0, 1), (0, 1))),
        nn.Conv2D(5, 5, strides=2, activation="tanh"),
        nn.Conv2D(50, 5, strides=2, activation="tanh"),
        nn.Flatten(),
        nn.Dense(100, activation="tanh"),
        nn.Dense(10, activation="softmax"),
    ]
    model = nn.Sequential(layers)
    optimizer = pynn.optim.AdamW(cosine(options, len(train[0]), 2e-3), weight_decay=0.05)
    model.compile(optimizer, "cross_entropy", ["accuracy"], seed=options.seed)
    curves = {name: (details["lengths"], seconds) for name, seconds in details["microseconds"].items()}
    drawn = pictures(model, test[0][0])
    drawn["times.png"] = lambda path: viz.plot_curves(
        {"forward and backward, 16 images of 12 x 12": curves},
        path,
        x="terms of an inner product",
        y="microseconds",
        dots=True,
        log_x=True,
        log_y=True,
    )
    return train_classifier(recipe, options, model, train, validation, test, details=details, pictures=drawn)


def _times(quiet: bool) -> dict[str, Any]:
    """Return the times of the network's layers and of growing ones, and what they come to."""
    network = [layer_times(size, *maps) for size, *maps in LAYERS]
    whole = {name: sum(times[name] for times in network) for name in network[0]}
    growing = [layer_times(12, maps, maps, stride=1, images=16) for maps in LENGTHS]
    lengths = [25 * maps for maps in LENGTHS]
    found: dict[str, Any] = {
        "network_microseconds": {name: round(1e6 * seconds, 1) for name, seconds in whole.items()},
        "lengths": lengths,
        "microseconds": {name: [round(1e6 * times[name], 1) for times in growing] for name in whole},
    }
    if WAYS[0] in whole:
        found["speedup"] = {name: round(whole[WAYS[0]] / whole[name], 2) for name in WAYS[1:]}
        loops, product = ([times[name] for times in growing] for name in WAYS[:2])
        found["crossover"] = round(crossover(lengths, loops, product), 1)
        found["speedup_of_the_longest"] = {name: round(loops[-1] / growing[-1][name], 2) for name in WAYS[1:]}
    elif not quiet:
        print("no C compiler here: the direct loops are left out")
    if not quiet:
        for name, seconds in whole.items():
            faster = (
                f", {found['speedup'][name]:.2f} times as fast as loops" if name in found.get("speedup", {}) else ""
            )
            print(f"both layers, 32 images, forward and backward, {name}: {1e6 * seconds:,.0f} microseconds{faster}")
    return found
