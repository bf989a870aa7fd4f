"""The kernels, one by one: every op that has a card on a sample made large, and products of the sizes that matter."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import pynn
from pynn.core.card import CARDS

from .kernels import (
    SEQUENCES,
    Timed,
    forward_and_backward,
    image_layers,
    product,
    recurrent,
    scaled_samples,
    timed_image_layer,
)
from .machine import fma_peak

# m, n, k. The last three are what the wide perceptron of bench.peers multiplies, forward and backward.
PRODUCTS = [(64, 64, 64), (32, 128, 784), (128, 512, 784), (512, 512, 512), (256, 1024, 1024), (1024, 1024, 256)]

CASES = {
    f"{card.name}-{direction}": (card, sample, direction)
    for card, sample in scaled_samples()
    for direction, _ in forward_and_backward(card, sample)
}

IMAGE_LAYERS = image_layers()


def measure(benchmark, timed):
    benchmark(timed.run)
    if benchmark.stats:  # absent with --benchmark-disable
        report(benchmark, timed)


def report(benchmark, timed):
    rates = timed.rates(benchmark.stats.stats.min)
    if "GFLOP/s" in rates and fma_peak():
        rates["part of FMA peak"] = rates["GFLOP/s"] / fma_peak()
    benchmark.extra_info.update(rates)


@pytest.mark.parametrize("name", CASES)
def test_op(benchmark, name):
    card, sample, direction = CASES[name]
    measure(benchmark, dict(forward_and_backward(card, sample))[direction])


@pytest.mark.parametrize("shape", PRODUCTS, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("side", ["pynn", "numpy"])
def test_product(benchmark, shape, side):
    benchmark.group = f"product {shape}"
    a, b = product(*shape)
    timed = Timed(lambda: pynn.ops.matmul(a, b))
    if side == "pynn":
        measure(benchmark, timed)
    else:
        left, right = a.numpy(), b.numpy()
        out = left @ right
        with threadpool_limits(pynn.get_num_threads()):
            benchmark(lambda: np.matmul(left, right, out=out))
        if benchmark.stats:
            report(benchmark, timed)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("name", IMAGE_LAYERS)
def test_image_layer(benchmark, name, direction):
    """The convolutions and poolings of bench.peers."""
    measure(benchmark, timed_image_layer(*IMAGE_LAYERS[name], direction))


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("shape", SEQUENCES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_recurrence(benchmark, kind, shape, direction):
    """The recurrent layers of bench.peers, N x T x I x H."""
    measure(benchmark, dict(forward_and_backward(CARDS[kind], recurrent(kind, shape)))[direction])
