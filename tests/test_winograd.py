"""Winograd's convolution: exactness, gradients, instruction sets, threads, programs, and where it gives way."""

import dataclasses
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

import pynn
from pynn import nn, ops, testing
from pynn._blocks import Held
from pynn.core import _core, config, program
from pynn.core.card import Sample
from pynn.core.kernels import conv2d as native
from pynn.core.state import state
from pynn.ops.conv_cards import CONV
from pynn.ops.elementwise import FUSED
from pynn.ops.window import Window

# Of one element, over the root mean square of all: with the points 0, +-2/3, +-3/2 and float32 the largest of a million
# is off by some 1e-5, and the mean by less than 1e-6. The usual points 0, +-1, +-2 would be off by 5e-5.
LARGEST, MEAN = 2e-5, 2e-6
ISAS = _core.isa_available()


CASES = [
    # n, h, w, c, outputs, padding, activation, bias
    (2, 8, 8, 16, 16, (0, 0, 0, 0), "linear", False),
    (1, 16, 16, 16, 32, (1, 1, 1, 1), "relu", True),
    (3, 15, 15, 17, 50, (1, 1, 1, 1), "relu", True),
    (2, 14, 9, 33, 16, (0, 0, 0, 0), "linear", True),
    (5, 7, 11, 24, 19, (1, 1, 1, 1), "tanh", True),
    (2, 12, 13, 40, 64, (1, 0, 0, 1), "leaky_relu", False),
    (2, 10, 10, 16, 16, (2, 2, 2, 2), "sigmoid", True),
    (1, 9, 10, 31, 33, (4, 3, 0, 5), "relu", True),  # padding wider than the kernel: outputs that see none of x
    (37, 6, 6, 16, 47, (1, 1, 1, 1), "relu", False),
    (4, 21, 20, 64, 130, (1, 1, 1, 1), "relu", True),
    (2, 12, 12, 330, 40, (1, 1, 1, 1), "linear", True),  # more terms than one block of k
    (1, 12, 12, 512, 40, (1, 1, 1, 1), "linear", False),  # rows of a multiple of 2 KB
    (3, 12, 12, 80, 1040, (1, 1, 1, 1), "linear", False),  # dw in several blocks of channels
]


def arrays(case, seed=0):
    n, h, w, c, o, *_ = case
    r = np.random.default_rng(seed)
    x = r.standard_normal((n, h, w, c), np.float32)
    kernel = r.standard_normal((3, 3, c, o), np.float32) / np.float32(np.sqrt(9 * c))
    return np.maximum(x, 0), kernel, r.standard_normal(o, np.float32) if case[7] else None


def options(case, algorithm):
    return {"padding": case[5], "activation": case[6], "algorithm": algorithm}


def backward(case, algorithm, dtype="float32", dy=None):
    """Return y, dx, dw and db of a case."""
    given = [None if a is None else pynn.tensor(a.astype(dtype), requires_grad=True) for a in arrays(case)]
    y = ops.conv2d(*given, **options(case, algorithm))
    dy = np.random.default_rng(9).standard_normal(y.shape, np.float32) if dy is None else dy
    y.backward(dy.astype(dtype))
    return [y.numpy(), *(t.grad.numpy() for t in given if t is not None)]


def close(y, true, largest=LARGEST, mean=MEAN):
    scale = np.sqrt(np.mean(true**2))
    assert np.sqrt(np.mean((y - true) ** 2)) <= mean * scale
    assert np.abs(y - true).max() <= largest * scale


def bits(found):
    return [a.tobytes() for a in found]


def instructions(case, algorithm):
    """Return the forward and the backward instruction of a case."""
    given = [None if a is None else pynn.tensor(a, requires_grad=True) for a in arrays(case)]
    with program.record() as recorder:
        ops.conv2d(*given, **options(case, algorithm)).sum().backward()
    found = [i for i in recorder.instrs if i.card.name.startswith("conv2d")]
    assert [i.card.name for i in found] == ["conv2d", "conv2d.grad"]
    return found


def scratch(case, algorithm):
    return [i.scratch_bytes for i in instructions(case, algorithm)]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_pass_is_as_exact_as_promised(case, isa):
    exact = backward(case, "direct", "float64")
    with config.use_isa(isa):
        found, direct = backward(case, "winograd"), backward(case, "direct")
    for name, y, true, plain in zip(("y", "dx", "dw", "db"), found, exact, direct, strict=False):
        if case[6] in ("relu", "leaky_relu") and name != "y":
            continue  # a value near 0 may round to the other side: see the next test
        close(y, true)
        if name != "db":
            assert (y != plain).any()  # it is not the direct convolution in disguise


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("case", [c for c in CASES if "relu" in c[6]], ids=str)
def test_gradients_of_kinked_activations_follow_the_output(case, isa):
    """The slope is taken from y as it was computed, so dz is known exactly, and dx, dw, db follow from it linearly."""
    with config.use_isa(isa):
        y, *found = backward(case, "winograd")
    dy = np.random.default_rng(9).standard_normal(y.shape, np.float32)
    slope = 0 if case[6] == "relu" else FUSED[case[6]][2]
    dz = np.where(y > 0, dy, slope * dy.astype("d"))
    linear = (*case[:6], "linear", case[7])
    for g, true in zip(found, backward(linear, "direct", "float64", dz)[1:], strict=True):
        close(g, true)


@pytest.mark.parametrize("channels", [64, 128])
def test_error_is_a_small_multiple_of_that_of_the_direct_convolution(channels):
    case = (2, 24, 24, channels, channels, (1, 1, 1, 1), "linear", False)
    exact = backward(case, "direct", "float64")
    for y, plain, true, most in zip(
        backward(case, "winograd"), backward(case, "direct"), exact, (4, 4, 8), strict=True
    ):  # direct sums of dw are the most exact
        assert np.linalg.norm(y - true) <= most * np.linalg.norm(plain - true)


def many(r):
    """Samples for the checks of every op that do not compare with its reference, whose tolerance is another."""
    for case in CASES[:9]:
        n, h, w, c, o, padding, activation, bias = case
        attrs = {"window": Window(padding=padding), "activation": activation, "algorithm": "winograd"}
        smooth = "relu" not in activation
        yield Sample((r(n, h, w, c), r(3, 3, c, o) / np.sqrt(9 * c), r(o) if bias else None), attrs, smooth=smooth)


@pytest.mark.parametrize("aspect", ["guards", "inplace", "threads", "program"])
def test_what_holds_for_every_op(aspect):
    testing.CHECKS[aspect](dataclasses.replace(CONV, name="conv2d winograd", samples=many))


@pytest.mark.parametrize("case", [CASES[9], CASES[12], (1, 56, 56, 32, 32, (1, 1, 1, 1), "relu", True)], ids=str)
def test_larger_layers_have_the_same_bits_for_any_number_of_threads(case):
    found = []
    for threads in (1, 2, 3, 4):
        pynn.set_num_threads(threads)
        found.append(bits(backward(case, "winograd")))
    assert found == found[:1] * 4


def test_instruction_sets_agree_bit_for_bit():
    for case in CASES[:5]:
        if case[6] not in ("linear", "relu"):
            continue
        found = []
        for isa in ISAS:
            with config.use_isa(isa):
                found.append(bits(backward(case, "winograd")[:2]))
        assert found == found[:1] * len(found)


FALLBACKS = [
    ((2, 12, 12, 32), (5, 5, 32, 32), {}),
    ((2, 12, 12, 32), (1, 3, 32, 32), {}),
    ((2, 13, 13, 32), (3, 3, 32, 32), {"strides": 2}),
    ((2, 13, 13, 32), (3, 3, 32, 32), {"strides": (1, 2)}),
    ((2, 13, 13, 32), (3, 3, 32, 32), {"dilation": 2}),
    ((2, 12, 12, 32), (3, 3, 16, 32), {"groups": 2}),
    ((2, 12, 12, 32), (3, 3, 1, 32), {"groups": 32}),
    ((2, 12, 12, 15), (3, 3, 15, 32), {}),  # few channels
    ((2, 12, 12, 32), (3, 3, 32, 15), {}),
    ((2, 5, 5, 32), (3, 3, 32, 32), {"padding": "same"}),  # tiles that lie mostly beyond the edge
    ((1, 4, 4, 32), (3, 3, 32, 32), {"padding": "same"}),  # one tile
    ((0, 12, 12, 32), (3, 3, 32, 32), {}),
]


def both(image, kernel, more, dtype="float32"):
    r = np.random.default_rng(1)
    x, w, dy = r.standard_normal(image), r.standard_normal(kernel), None
    found = []
    for algorithm in ("direct", "winograd"):
        given = [pynn.tensor(a.astype(dtype), requires_grad=True) for a in (x, w)]
        y = ops.conv2d(*given, algorithm=algorithm, **more)
        dy = r.standard_normal(y.shape).astype(dtype) if dy is None else dy
        y.backward(dy)
        found.append(bits([y.numpy(), *(t.grad.numpy() for t in given)]))
    return found


@pytest.mark.parametrize(("image", "kernel", "more"), FALLBACKS, ids=str)
def test_other_convolutions_are_direct(image, kernel, more):
    direct, winograd = both(image, kernel, more)
    assert direct == winograd


def test_float64_and_low_precision_are_direct():
    layer = (2, 12, 12, 32), (3, 3, 32, 32), {"padding": "same"}
    direct, winograd = both(*layer, "float64")
    assert direct == winograd
    before = pynn.get_precision()
    for unit, precision in itertools.product(_core.units_available(), ("high", "medium")):
        pynn.set_precision(precision)
        try:
            with config.use_matrix_unit(unit):
                if config.matrix_unit() is None:
                    continue  # another instruction set was chosen: float32
                direct, winograd = both(*layer)
                odd = both((2, 12, 12, 33), (3, 3, 33, 32), {})  # which no unit takes
        finally:
            pynn.set_precision(before)
        assert direct == winograd
        assert odd[0] == odd[1]


def test_each_gradient_is_judged_for_itself(rng):
    """With "valid" padding y of 6 x 6 has too few pixels in its tiles for some sizes, dx of 8 x 8 not."""
    x, w = rng.standard_normal((4, 7, 7, 32), np.float32), rng.standard_normal((3, 3, 32, 32), np.float32)
    found = {}
    for algorithm in ("direct", "winograd"):
        given = [pynn.tensor(a, requires_grad=True) for a in (x, w)]
        y = ops.conv2d(*given, algorithm=algorithm)
        assert y.shape == (4, 5, 5, 32)
        y.backward(np.ones(y.shape, "float32"))
        found[algorithm] = y.numpy(), given[0].grad.numpy(), given[1].grad.numpy()
    same = [a.tobytes() == b.tobytes() for a, b in zip(*found.values(), strict=True)]
    assert same == [True, False, True]
    np.testing.assert_allclose(found["winograd"][1], found["direct"][1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("needs", list(itertools.product([False, True], repeat=3))[1:], ids=str)
def test_any_choice_of_gradients(needs):
    case = CASES[2]
    given = [pynn.tensor(a, requires_grad=need) for a, need in zip(arrays(case), needs, strict=True)]
    y = ops.conv2d(*given, **options(case, "winograd"))
    y.backward(np.random.default_rng(9).standard_normal(y.shape, np.float32))
    for t, need, whole in zip(given, needs, backward(case, "winograd")[1:], strict=True):
        if not need:
            assert t.grad is None
        elif t is given[2]:  # alone it is added up as it is for direct convolutions
            np.testing.assert_allclose(t.grad.numpy(), whole, rtol=1e-4, atol=1e-4)
        else:
            np.testing.assert_array_equal(t.grad.numpy(), whole)


def test_scratch_memory_is_whole_cache_lines_and_does_not_grow_with_the_batch():
    small, large = ((n, 16, 16, 32, 48, (1, 1, 1, 1), "tanh", True) for n in (64, 512))
    assert scratch(small, "winograd") == scratch(large, "winograd")
    assert scratch(small, "winograd") != scratch(small, "direct")
    for case in CASES:
        assert all(size % 64 == 0 for size in scratch(case, "winograd"))
    dims = (64, 64, 64, 512, 3, 3, 512, 1, 1, 1, 1, 1, 1, 1, 64, 64, 0, 1)
    pynn.set_num_threads(1)
    assert native.fwd_scratch(dims, 4) < 48e6  # the transformed weights take 36/9 of the weights' 9.4 MB
    assert native.bwd_scratch(dims, 4, True, True, True) < 60e6


def small_network(algorithm):
    model = nn.Sequential([
        nn.Input((12, 12, 3)), nn.Conv2D(16, 3, padding="same", activation="relu", algorithm=algorithm),
        nn.Conv2D(24, 3, activation="tanh", algorithm=algorithm), nn.BatchNormalization(),
        nn.Conv2D(20, 3, padding="same", activation="relu", use_bias=False, algorithm=algorithm), nn.MaxPool2D(2),
        nn.Flatten(), nn.Dense(4),
    ])  # fmt: skip
    return model


def trained(algorithm, eager=False, threads=1):
    r = np.random.default_rng(3)
    x, y = r.standard_normal((48, 12, 12, 3), np.float32), r.integers(0, 4, 48)
    pynn.set_num_threads(threads)
    model = small_network(algorithm)
    model.compile("adam", "cross_entropy", seed=4, run_eagerly=eager)
    losses = model.fit(x, y, batch_size=16, epochs=6, verbose=0).history["loss"]
    return b"".join(w.tobytes() for w in model.get_weights()), losses


def test_eager_equals_the_program_and_threads_do_not_matter():
    weights, losses = trained("winograd")
    assert trained("winograd", eager=True) == (weights, losses)
    for threads in (2, 4):
        assert trained("winograd", threads=threads) == (weights, losses)


def test_training_follows_the_direct_one():
    (weights, losses), (others, direct) = trained("winograd"), trained("direct")
    assert weights != others
    np.testing.assert_allclose(losses, direct, rtol=1e-3)
    assert losses[-1] < 0.7 * losses[0]


def test_layer_shows_the_option_and_keeps_it_in_files(tmp_path):
    model = small_network("winograd")
    model.build((1, 12, 12, 3))
    assert "algorithm='winograd'" in repr(model.layers[0])
    assert "algorithm" not in repr(nn.Conv2D(16, 3))
    model.save(tmp_path / "model.pynn")
    loaded = pynn.load(tmp_path / "model.pynn")
    assert [layer.algorithm for layer in loaded.layers if isinstance(layer, nn.Conv2D)] == ["winograd"] * 3
    x = np.random.default_rng(0).standard_normal((5, 12, 12, 3), np.float32)
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    np.testing.assert_array_equal(model.predict_fn()(x), model.predict(x))
    loaded.layers[0].algorithm = "direct"
    loaded.save(tmp_path / "changed.pynn")
    again = pynn.load(tmp_path / "changed.pynn")
    assert [layer.algorithm for layer in again.layers if isinstance(layer, nn.Conv2D)] == ["direct"] + ["winograd"] * 2


def test_exports_do_not_know_the_option(tmp_path):
    pytest.importorskip("onnx")
    x = np.random.default_rng(0).standard_normal((4, 12, 12, 3), np.float32)
    model = small_network("winograd")
    model.build((1, 12, 12, 3))
    pynn.onnx.export(model, tmp_path / "model.onnx")
    read = pynn.onnx.load(tmp_path / "model.onnx")
    np.testing.assert_allclose(np.asarray(read(x)), model.predict(x), rtol=1e-4, atol=1e-4)


def test_profile_counts_the_operations_of_the_direct_convolution():
    n, h, w, c, o, *_ = CASES[2]
    forward = 2 * n * h * w * c * o * 9
    for algorithm in ("direct", "winograd"):
        assert [i.info.flops for i in instructions(CASES[2], algorithm)] == [forward, 2 * forward]


def test_second_derivative(rng):
    x, w = rng.standard_normal((2, 9, 9, 16), np.float32), rng.standard_normal((3, 3, 16, 16), np.float32) / 12

    def penalty(algorithm):
        given = pynn.tensor(x, requires_grad=True)
        slope = pynn.grad(lambda x: (ops.conv2d(x, w, None, padding="same", algorithm=algorithm) ** 3).sum())
        (slope(given) ** 2).sum().backward()
        return given.grad.numpy()

    true = penalty("direct")
    np.testing.assert_allclose(penalty("winograd"), true, rtol=0, atol=1e-4 * np.abs(true).max())


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.Conv2D(16, 3, algorithm="winogrd"),
        lambda: ops.conv2d(np.ones((1, 8, 8, 16)), np.ones((3, 3, 16, 16)), algorithm="winogrd"),
        lambda: ops.conv2d(np.ones((1, 8, 8, 16)), np.ones((1, 1, 16, 16)), algorithm="winogrd"),
    ],
)
def test_unknown_algorithm(call):
    with pytest.raises(ValueError, match=r"\[conv2d\] unknown algorithm.*'winogrd'.*did you mean 'winograd'"):
        call()


LAYERS = [
    # n, side, channels, outputs, whether dw is Winograd's
    (4, 32, 16, 16, False), (16, 32, 16, 16, True), (64, 8, 32, 32, False), (128, 8, 32, 32, False),
    (8, 32, 64, 64, True), (32, 15, 64, 128, True), (8, 8, 128, 128, False), (512, 8, 32, 32, True),
]  # fmt: skip


def passes(layer, algorithm, dtype="float32"):
    """Return y, dx and dw as a layer behind relu sees them: images of no negative number, half of the gradients 0."""
    n, side, c, o, _ = layer
    r = np.random.default_rng(5)
    x, w = np.maximum(r.standard_normal((n, side, side, c), np.float32), 0), r.standard_normal((3, 3, c, o), np.float32)
    dy = r.standard_normal((n, side, side, o), np.float32) * (r.random((n, side, side, o)) < 0.5)
    x, w = (pynn.tensor(a.astype(dtype), requires_grad=True) for a in (x, w))
    y = ops.conv2d(x, w, padding="same", algorithm=algorithm)
    y.backward(dy.astype(dtype))
    return [t.numpy() for t in (y, x.grad, w.grad)]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_auto_is_winograd_where_its_error_is_at_most_four_times_the_direct_one(layer):
    found = {algorithm: passes(layer, algorithm) for algorithm in ("auto", "direct", "winograd")}
    exact = passes(layer, "auto", "float64")
    for i, transformed in enumerate((True, True, layer[-1])):
        np.testing.assert_array_equal(found["auto"][i], found["winograd" if transformed else "direct"][i])
        wrong = {a: np.linalg.norm(found[a][i] - exact[i]) for a in ("auto", "direct")}
        assert wrong["auto"] <= 4 * wrong["direct"]


def test_a_segments_gradient_is_chosen_as_that_of_the_whole_batch():
    """It is a share of a sum, which is as exact as the sum is long; below 64 tiles it is too short to be faster."""
    r = np.random.default_rng(5)
    x, dy = (r.standard_normal((64, 16, 16, 32), np.float32) for _ in range(2))
    kernel = r.standard_normal((3, 3, 32, 32), np.float32)

    def gradient(algorithm, first, end, rows, dtype="float32"):
        w = pynn.tensor(kernel.astype(dtype), requires_grad=True)
        with Held(state, rows=rows):
            y = ops.conv2d(x[first:end].astype(dtype), w, padding="same", algorithm=algorithm)
            y.backward(dy[first:end].astype(dtype))
        return w.grad.numpy()

    def joined(algorithm):
        parts = [gradient(algorithm, s, s + 8, (s, s + 8, 64)) for s in range(0, 64, 8)]
        while len(parts) > 1:
            parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    cases = [(8, None, "direct"), (8, (0, 8, 64), "winograd"), (8, (0, 8, 24), "direct"), (3, (0, 3, 64), "direct")]
    for end, rows, chosen in cases:
        np.testing.assert_array_equal(gradient("auto", 0, end, rows), gradient(chosen, 0, end, None))
    exact = gradient("direct", 0, 64, None, "float64")
    wrong = {algorithm: np.linalg.norm(joined(algorithm) - exact) for algorithm in ("auto", "direct")}
    assert wrong["auto"] <= 4 * wrong["direct"]


def test_an_images_outputs_do_not_depend_on_the_others_of_the_batch():
    for side, c in ((8, 128), (8, 256), (8, 300), (4, 128), (4, 129), (28, 16)):
        model = nn.Sequential([nn.Input((side, side, c)), nn.Conv2D(c, 3, padding="same")])
        x = np.random.default_rng(2).standard_normal((9, side, side, c), np.float32)
        whole = model.predict(x)
        for some in (slice(0, 1), slice(2, 5)):
            np.testing.assert_array_equal(model.predict(x[some]), whole[some])


def test_the_process_chooses_for_layers_that_leave_it_open():
    model = small_network("auto")
    x = np.random.default_rng(3).standard_normal((8, 12, 12, 3), np.float32)
    found = {}
    try:
        for algorithm in ("direct", "winograd", "auto"):
            config.set_convolution(algorithm)
            assert pynn.config.info()["convolution"] == config.get_convolution() == algorithm
            found[algorithm] = model.predict(x).tobytes()
        with pytest.raises(
            ValueError, match=r"\[set_convolution\] unknown algorithm.*'winogrd'.*did you mean 'winograd'"
        ):
            config.set_convolution("winogrd")
        config.set_convolution("direct")
        for layer in model.layers:
            if isinstance(layer, nn.Conv2D):
                layer.algorithm = "winograd"
        assert model.predict(x).tobytes() == found["winograd"]
    finally:
        config.set_convolution("auto")
    assert found["direct"] != found["winograd"] == found["auto"]


def test_the_environment_chooses_too():
    program = "import pynn; print(pynn.config.get_convolution())"
    for given, said in (
        ("direct", "direct"),
        ("", "auto"),
        ("wino", "PYNN_CONVOLUTION: unknown algorithm. Received: 'wino'"),
    ):
        env = {**os.environ, "PYNN_CONVOLUTION": given}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env)
        assert said in done.stdout + done.stderr
