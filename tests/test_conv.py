"""Convolution and pooling against PyTorch and scipy, layers, and what goes wrong."""

import inspect
import itertools

import numpy as np
import pytest

import pynn
from pynn import nn, ops, testing
from pynn.core import program
from pynn.core.card import CARDS
from pynn.core.graph import execute
from pynn.errors import ShapeError
from pynn.ops.window import Window, resolve_padding, same_padding

GRID = [
    # n, h, w, c, kernel, outputs, strides, padding (rows, columns), dilation, groups
    (2, 7, 9, 4, k, 6, s, p, d, g)
    for k, s, p, d, g in itertools.product(
        [(1, 1), (2, 3), (3, 3)], [(1, 1), (2, 1), (3, 2)], [(0, 0), (1, 2)], [(1, 1), (2, 1), (1, 3)], [1, 2]
    )
] + [
    (0, 5, 5, 2, (3, 3), 2, (1, 1), (1, 1), (1, 1), 1),
    (1, 1, 1, 3, (1, 1), 5, (1, 1), (0, 0), (1, 1), 1),
    (3, 5, 5, 6, (3, 3), 6, (1, 1), (1, 1), (1, 1), 6),
    (2, 6, 5, 3, (3, 2), 9, (2, 1), (1, 0), (1, 1), 3),
    (2, 8, 8, 17, (5, 5), 33, (1, 1), (2, 2), (1, 1), 1),
    (2, 4, 5, 3, (4, 5), 7, (1, 1), (0, 0), (1, 1), 1),
    (1, 20, 11, 1, (5, 1), 70, (2, 2), (0, 0), (1, 1), 1),
    (5, 12, 12, 1, (5, 5), 6, (1, 1), (2, 2), (1, 1), 1),  # few outputs: several pixels share a row of a product
    (3, 9, 17, 3, (3, 3), 3, (2, 2), (1, 1), (1, 1), 1),
    (3, 6, 5, 4, (3, 3), 8, (1, 1), (1, 1), (1, 1), 4),  # depthwise with several outputs for a channel
    (2, 9, 8, 5, (3, 2), 15, (2, 1), (1, 0), (1, 1), 5),
    (2, 9, 11, 2, (2, 3), 34, (1, 2), (1, 3), (2, 1), 2),
]


def _torch_conv(torch, x, w, b, strides, padding, dilation, groups):
    leaves = [torch.tensor(a, requires_grad=True) for a in (x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), b)]
    y = torch.nn.functional.conv2d(*leaves, strides, padding, dilation, groups)
    return leaves, y


@pytest.mark.parametrize("case", GRID, ids=lambda c: "-".join(str(v).replace(" ", "") for v in c))
def test_conv2d_equals_torch(case, rng):
    torch = pytest.importorskip("torch")
    n, h, w, c, kernel, outputs, strides, padding, dilation, groups = case
    x = rng.standard_normal((n, h, w, c))
    weights, b = rng.standard_normal((*kernel, c // groups, outputs)), rng.standard_normal(outputs)
    leaves, expected = _torch_conv(torch, x, weights, b, strides, padding, dilation, groups)
    given = [pynn.tensor(a, requires_grad=True) for a in (x, weights, b)]
    y = ops.conv2d(*given, strides, padding, dilation, groups)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-10, atol=1e-10)
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    for ours, theirs, axes in zip(given, leaves, ((0, 2, 3, 1), (2, 3, 1, 0), (0,)), strict=True):
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy().transpose(axes), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1)])
@pytest.mark.parametrize("more", [(0, 0), (0, 1)])
def test_conv2d_transpose_layer_equals_torch(strides, padding, more, rng):
    torch = pytest.importorskip("torch")
    if any(m >= s for m, s in zip(more, strides, strict=True)):
        pytest.skip("output padding must stay below the stride")
    layer = nn.Conv2DTranspose(4, (3, 2), strides, padding, output_padding=more).astype("float64")
    x = rng.standard_normal((2, 4, 5, 3))
    y = layer(x)
    w, b = (layer.w.numpy(), rng.standard_normal(4))
    layer.set_weights([w, b])
    y = layer(x)
    expected = torch.nn.functional.conv_transpose2d(
        torch.tensor(x.transpose(0, 3, 1, 2)),
        torch.tensor(w.transpose(3, 2, 0, 1)),
        torch.tensor(b),
        strides,
        padding,
        more,
    )
    np.testing.assert_allclose(y.numpy(), expected.numpy().transpose(0, 2, 3, 1), rtol=1e-10, atol=1e-10)


def test_transposed_convolution_enlarges_as_keras_does():
    x = np.ones((1, 5, 6, 2), "float32")
    for kernel, stride in ((3, 2), (2, 3), (4, 4), (5, 1)):
        assert nn.Conv2DTranspose(3, kernel, stride, "same")(x).shape == (1, 5 * stride, 6 * stride, 3)
        extra = max(kernel - stride, 0)
        assert nn.Conv2DTranspose(3, kernel, stride)(x).shape == (1, 5 * stride + extra, 6 * stride + extra, 3)


@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (3, 2)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 3)])
@pytest.mark.parametrize("padding", [0, 1])
def test_pooling_equals_torch(kernel, strides, padding, rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((2, 7, 8, 5))
    functional = torch.nn.functional
    for ours, theirs in (
        (ops.max_pool2d, functional.max_pool2d),
        (ops.avg_pool2d, lambda *a: functional.avg_pool2d(*a, count_include_pad=False)),
    ):
        leaf, given = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True), pynn.tensor(x, requires_grad=True)
        expected, y = theirs(leaf, kernel, strides, padding), ours(given, kernel, strides, padding)
        np.testing.assert_allclose(y.numpy(), expected.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-10, atol=1e-10)
        dy = rng.standard_normal(y.shape)
        y.backward(dy)
        expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
        np.testing.assert_allclose(given.grad.numpy(), leaf.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-10, atol=1e-10)


def test_max_pool_lets_nan_through_and_takes_the_first_of_equals():
    x = np.zeros((1, 2, 4, 1), "float32")
    x[0, 1, 0, 0] = np.nan
    given = pynn.tensor(x, requires_grad=True)
    y = ops.max_pool2d(given)
    assert np.isnan(y.numpy()[0, 0, 0, 0])
    assert y.numpy()[0, 0, 1, 0] == 0
    y.backward(np.ones(y.shape, "float32"))
    assert given.grad.numpy()[0, :, :, 0].tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 6, 16, 17])
@pytest.mark.parametrize(("kernel", "strides", "padding"), [(2, 2, 0), (2, 2, 1), (3, 2, 0), (3, 2, 1), (2, 1, 0)])
def test_max_pool_of_few_channels_treats_ties_and_nan_like_that_of_many(channels, kernel, strides, padding, rng):
    x = rng.integers(0, 3, (3, 7, 41, channels)).astype("float64")
    x[rng.random(x.shape) < 0.05] = np.nan
    results = []
    for dtype in ("float32", "float64"):  # plain C computes float64, one channel at a time
        given = pynn.tensor(x.astype(dtype), requires_grad=True)
        y = ops.max_pool2d(given, kernel, strides, padding)
        y.backward(np.arange(1.0, y.size + 1).reshape(y.shape).astype(dtype))
        results.append((y.numpy(), given.grad.numpy()))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b.astype("float32"))


def test_same_padding_puts_the_odd_pixel_after():
    assert same_padding(5, 2, 1) == (0, 1)
    assert same_padding(7, 3, 2) == (1, 1)
    assert same_padding(8, 3, 2) == (0, 1)
    assert resolve_padding("x", ((1, 2), (3, 4)), (1, 9, 9, 1), (1, 1), (1, 1), (1, 1)) == (1, 2, 3, 4)
    for size, stride in itertools.product(range(1, 9), range(1, 4)):
        x = np.ones((1, size, size, 1), "float32")
        assert ops.conv2d(x, np.ones((3, 3, 1, 1), "float32"), None, stride, "same").shape[1] == -(-size // stride)


@pytest.mark.parametrize(("kernel", "ops_run"), [(1, ["dense"]), (6, ["dense"]), (3, ["conv2d"])])
def test_convolutions_that_are_products_are_computed_as_products(kernel, ops_run, rng):
    x, w = (pynn.tensor(rng.standard_normal(s)) for s in ((2, 6, 6, 3), (kernel, kernel, 3, 4)))
    with program.record() as recorder:
        ops.conv2d(x, w)
    assert [instr.card.name for instr in recorder.instrs if instr.card.kernel] == ops_run


def test_scratch_memory_does_not_grow_with_the_batch():
    def scratch(n):
        x, w = np.ones((n, 16, 16, 8), "float32"), np.ones((3, 3, 8, 16), "float32")
        x, w = pynn.tensor(x, requires_grad=True), pynn.tensor(w, requires_grad=True)
        with program.record() as recorder:
            ops.conv2d(x, w, padding="same", activation="tanh").sum().backward()
        return [i.scratch_bytes for i in recorder.instrs if i.card.name.startswith("conv2d")]

    most = scratch(512)
    assert len(most) == 2
    assert most == scratch(64)
    assert max(most) < 512 * 16 * 16 * 8 * 4 / 4  # a quarter of the batch, and patches would be nine times the batch


def test_convolutional_layers_show_all_they_take():
    for layer in (nn.Conv1D, nn.Conv2D, nn.Conv2DTranspose, nn.LocallyConnected2D):
        assert {"use_bias", "kernel_initializer", "kernel_constraint", "name", "seed"} <= set(
            inspect.signature(layer).parameters
        )
    assert "kernel_initializer" not in inspect.signature(nn.DepthwiseConv2D).parameters
    with pytest.raises(TypeError, match="kernel_initialiser"):
        nn.Conv2D(4, 3, kernel_initialiser="zeros")
    with pytest.raises(TypeError, match="kernel_initializer"):
        nn.DepthwiseConv2D(3, kernel_initializer="zeros")


def test_second_derivative_of_a_convolution(rng):
    w = rng.standard_normal((2, 2, 2, 3))
    window = {"strides": (2, 1), "padding": (1, 0)}

    def loss(x):
        y = ops.conv2d(x, w, None, **window)
        return (y * y * y).sum()

    x = rng.standard_normal((1, 4, 4, 2))
    v = rng.standard_normal(x.shape)
    testing.gradcheck(lambda x: (pynn.grad(loss)(x) * v).sum(), [x])


def test_second_derivative_of_unshared_kernels(rng):
    w, b = rng.standard_normal((6, 8, 3)), rng.standard_normal((3, 2, 3))

    def loss(x):
        y = ops.locally_connected2d(x, w, b, 2, (1, 2), (1, 0))
        return (y * y * y).sum()

    x = rng.standard_normal((2, 2, 4, 2))
    v = rng.standard_normal(x.shape)
    testing.gradcheck(lambda x: (pynn.grad(loss)(x) * v).sum(), [x])


def test_a_convolution_moves_with_its_image(rng):
    x, w = rng.standard_normal((1, 12, 12, 2)), rng.standard_normal((3, 3, 2, 4))
    moved = np.roll(x, (2, 3), axis=(1, 2))
    y, other = ops.conv2d(x, w).numpy(), ops.conv2d(moved, w).numpy()
    np.testing.assert_array_equal(y[:, :-2, :-3], other[:, 2:, 3:])


def test_grouped_and_depthwise_layers_agree(rng):
    x = rng.standard_normal((2, 6, 6, 3)).astype("float32")
    layer = nn.DepthwiseConv2D(3, depth_multiplier=2, padding="same")
    y = layer(x).numpy()
    w = layer.w.numpy()
    for c, q in itertools.product(range(3), range(2)):
        alone = ops.conv2d(x[..., c : c + 1].copy(), w[:, :, c : c + 1, q : q + 1].copy(), padding="same").numpy()
        np.testing.assert_allclose(y[..., 2 * c + q], alone[..., 0], rtol=1e-5, atol=1e-6)


def test_locally_connected_is_a_convolution_when_all_kernels_are_equal(rng):
    x = rng.standard_normal((2, 6, 5, 3)).astype("float32")
    layer = nn.LocallyConnected2D(4, (3, 2), strides=(1, 2), padding="same")
    layer(x)
    kernel = rng.standard_normal((3, 2, 3, 4)).astype("float32")
    shape = layer.w.shape
    layer.set_weights([np.broadcast_to(kernel.reshape(1, *shape[1:]), shape), np.zeros(layer.b.shape)])
    expected = ops.conv2d(x, kernel, None, (1, 2), "same").numpy()
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-5, atol=1e-5)


def test_conv1d_is_causal(rng):
    layer = nn.Conv1D(4, 3, padding="causal", dilation_rate=2)
    x = rng.standard_normal((1, 12, 2)).astype("float32")
    y = layer(x).numpy()
    x[:, 7:] += 1
    np.testing.assert_array_equal(layer(x).numpy()[:, :7], y[:, :7])


def test_one_dimensional_layers_equal_loops(rng):
    x = rng.standard_normal((2, 9, 3)).astype("float32")
    layer = nn.Conv1D(5, 3, strides=2, padding="same", activation="tanh")
    y, w = layer(x).numpy(), layer.w.numpy()
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
    for t in range(5):
        expected = np.tanh(np.einsum("nkc,kcf->nf", padded[:, 2 * t : 2 * t + 3], w))
        np.testing.assert_allclose(y[:, t], expected, rtol=1e-4, atol=1e-5)
    assert nn.MaxPool1D(2)(x).numpy()[:, 0].tolist() == x[:, :2].max(1).tolist()
    np.testing.assert_allclose(nn.AvgPool1D(3, padding="same")(x).numpy()[:, 1], x[:, 3:6].mean(1), rtol=1e-6)


def test_global_pools_and_shapes(rng):
    x = rng.standard_normal((2, 4, 5, 3)).astype("float32")
    np.testing.assert_allclose(nn.GlobalAvgPool()(x).numpy(), x.mean((1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(nn.GlobalMaxPool(keepdims=True)(x).numpy(), x.max((1, 2), keepdims=True))
    assert nn.ZeroPadding2D(((1, 2), (3, 4)))(x).shape == (2, 7, 12, 3)
    np.testing.assert_array_equal(nn.Cropping2D(((1, 2), (0, 1)))(x).numpy(), x[:, 1:2, :4])
    assert nn.UpSampling2D((2, 3))(x).shape == (2, 8, 15, 3)


@pytest.mark.parametrize("factor", [(2, 2), (3, 1)])
def test_bilinear_enlarging_equals_torch(factor, rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((2, 5, 4, 3))
    expected = torch.nn.functional.interpolate(
        torch.tensor(x.transpose(0, 3, 1, 2)), scale_factor=factor, mode="bilinear", align_corners=False
    )
    y = ops.upsample2d(x, factor, "bilinear").numpy()
    np.testing.assert_allclose(y, expected.numpy().transpose(0, 2, 3, 1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_training_step_has_the_same_bits_for_any_number_of_threads(threads, rng):
    x, y = rng.standard_normal((32, 12, 12, 3)).astype("float32"), rng.integers(0, 4, 32)

    def train(n):
        pynn.set_num_threads(n)
        model = nn.Sequential([
            nn.Input((12, 12, 3)), nn.Conv2D(32, 3, padding="same", activation="relu"), nn.BatchNormalization(),
            nn.MaxPool2D(3, 2), nn.Conv2D(40, 3, strides=2, activation="tanh"), nn.Flatten(), nn.Dense(4),
        ])  # fmt: skip
        model.compile("adam", "cross_entropy", seed=1)
        model.fit(x, y, batch_size=16, epochs=2, verbose=0)
        return b"".join(w.tobytes() for w in model.get_weights())

    assert train(threads) == train(1)


def test_eager_and_program_agree_bit_for_bit(rng):
    x, y = rng.standard_normal((24, 9, 9, 2)).astype("float32"), rng.integers(0, 3, 24)
    results = []
    for eager in (True, False):
        model = nn.Sequential([
            nn.Input((9, 9, 2)), nn.ZeroPadding2D(1), nn.SeparableConv2D(6, 3), nn.BatchNormalization(),
            nn.Activation("relu"), nn.SpatialDropout2D(0.2), nn.Conv2DTranspose(4, 3, 2, "same"), nn.AvgPool2D(2),
            nn.LocalResponseNormalization(), nn.LocallyConnected2D(3, 3), nn.UpSampling2D(2, interpolation="bilinear"),
            nn.GroupNormalization(3), nn.MaxPool2D(3, 2, "same"), nn.GlobalAvgPool(), nn.Dense(3),
        ])  # fmt: skip
        model.compile("sgd", "cross_entropy", seed=4, run_eagerly=eager)
        model.fit(x, y, batch_size=10, epochs=2, verbose=0)
        results.append(b"".join(w.tobytes() for w in model.get_weights()))
    assert results[0] == results[1]


ERRORS = [
    (lambda x: nn.Conv2D(4, 9)(x), ValueError, r"\[conv2d\] the kernel does not fit.*9 rows.*image 6"),
    (lambda x: nn.Conv2D(4, 3, strides=0), ValueError, r"\[conv2d\].*strides.*positive.*strides=0"),
    (lambda x: nn.Conv2D(4, 3, groups=2)(x), ValueError, r"groups that divide the channels.*groups=2 for 3"),
    (lambda x: nn.Conv2D(5, 3, groups=2), ValueError, r"groups that divide the filters"),
    (lambda x: nn.Conv2D(4, 3, padding=-1), ValueError, r"padding of at least 0.*padding=-1"),
    (lambda x: nn.Conv2D(4, 3, padding="full"), ValueError, r"'valid', 'same' or integers.*'full'"),
    (lambda x: nn.Conv2D(4, 3)(x[..., 0].copy()), ValueError, r"x\[\.\.\., None\]"),
    (lambda x: nn.MaxPool2D(7)(x), ValueError, r"\[max_pool2d\] the kernel does not fit"),
    (lambda x: nn.MaxPool2D(2)(x[..., 0].copy()), ValueError, r"\[max_pool2d\].*x\[\.\.\., None\]"),
    (lambda x: nn.Cropping2D(3)(x), ValueError, r"\[crop2d\].*larger than the cropping"),
    (lambda x: nn.Conv1D(4, 3)(x), ValueError, r"\[conv1d\].*\[N, T, C\]"),
    (lambda x: nn.LocallyConnected2D(4, 9)(x), ValueError, r"\[locally_connected2d\] the kernel does not fit"),
    (lambda x: nn.UpSampling2D(2, interpolation="cubic"), ValueError, r"'nearest' or 'bilinear'"),
    (lambda x: nn.Conv2DTranspose(4, 3, 2, output_padding=2), ValueError, r"below the strides"),
    (lambda x: nn.Conv2DTranspose(4, 1, padding=3)(x), ValueError, r"\[conv2d_transpose\] the output would be empty"),
    (lambda x: nn.MaxPool2D(2, 0), ValueError, r"\[max_pool2d\].*strides.*positive.*strides=0"),
    (lambda x: nn.MaxPool2D(2, padding=-1), ValueError, r"\[max_pool2d\] expected padding of at least 0"),
    (lambda x: nn.ZeroPadding2D(-1), ValueError, r"\[zero_padding2d\] expected padding of at least 0"),
]


@pytest.mark.parametrize(("call", "kind", "pattern"), ERRORS, ids=range(len(ERRORS)))
def test_errors(call, kind, pattern):
    with pytest.raises(kind, match=pattern):
        call(np.ones((2, 6, 6, 3), "float32"))


def test_channels_first_images_get_a_hint():
    layer = nn.Conv2D(4, 3)
    layer(np.ones((2, 8, 8, 3), "float32"))
    with pytest.raises(ValueError, match=r"3 channels in the last axis.*np\.moveaxis\(x, 1, -1\)"):
        layer(np.ones((2, 3, 8, 8), "float32"))


def test_classic_filters(rng):
    signal = pytest.importorskip("scipy.signal")
    x = rng.standard_normal((9, 8))
    for name in ("identity", "shift", "box", "gaussian", "edge", "sobel_x", "sobel_y", "sharpen"):
        kernel = ops.image_filter(name)
        np.testing.assert_allclose(
            ops.correlate2d(x, kernel, "same").numpy(), signal.correlate2d(x, kernel, "same"), atol=1e-13
        )
    np.testing.assert_array_equal(ops.correlate2d(x, ops.image_filter("shift"), "same").numpy()[:, 1:], x[:, :-1])
    assert abs(ops.image_filter("gaussian", 7).sum() - 1) < 1e-14
    assert Window().strides == (1, 1)


@pytest.mark.parametrize("padding", [0, (1, 2), (1, 0, 2, 1), "same"])
@pytest.mark.parametrize("dilation", [1, (2, 1)])
def test_a_transposed_convolution_makes_the_smallest_image_that_fits(padding, dilation, rng):
    strides, kernel = (3, 2), (3, 4)
    x, w = rng.standard_normal((2, 4, 5, 2)), rng.standard_normal((*kernel, 3, 2))
    walk = {"strides": strides, "padding": padding, "dilation": dilation}
    y = ops.conv2d_transpose(x, w, **walk).numpy()
    if padding == "same":
        assert y.shape == (2, 4 * 3, 5 * 2, 3)
    else:
        for fewer in (0, 1), (1, 0):  # what is smaller gives fewer pixels than x has
            size = [n - k for n, k in zip(y.shape[1:3], fewer, strict=True)]
            assert ops.conv2d(np.ones((1, *size, 3)), w, **walk).shape != (1, 4, 5, 2)
    z = rng.standard_normal(y.shape)
    assert ops.conv2d(z, w, **walk).shape == x.shape
    assert (ops.conv2d(z, w, **walk).numpy() * x).sum() == pytest.approx((z * y).sum())
    given = ops.conv2d_transpose(x, w, y.shape[1:3], **walk)
    np.testing.assert_array_equal(given.numpy(), y)


@pytest.mark.parametrize("padding", ["valid", "same", (1, 0, 0, 2)])
def test_patches_are_what_a_convolution_sees(padding, rng):
    x, w = rng.standard_normal((2, 7, 6, 3)), rng.standard_normal((3, 2, 3, 4))
    rows = ops.patches2d(x, (3, 2), (2, 3), padding).numpy()
    np.testing.assert_allclose(rows @ w.reshape(18, 4), ops.conv2d(x, w, None, (2, 3), padding).numpy(), rtol=1e-12)


def numbers(layer, rng):
    """Give a built layer weights, the bias too, that are no zeros."""
    layer.set_weights([rng.standard_normal(a.shape).astype(a.dtype) for a in layer.get_weights()])
    return layer


SMOOTH = "smooth", lambda z: ops.tanh(z) * z, lambda z: np.tanh(z) * z
RELU = "relu", "relu", lambda z: np.maximum(z, 0)


@pytest.mark.parametrize(("name", "activation", "compute"), [SMOOTH, RELU])
def test_convolutional_layers_add_the_bias_and_apply_any_activation(name, activation, compute, rng):
    images, line = rng.standard_normal((2, 7, 6, 4)).astype("f4"), rng.standard_normal((2, 9, 4)).astype("f4")
    layers = [
        (nn.Conv2D(6, (3, 2), (2, 1), padding=(1, 0), dilation_rate=(1, 2), groups=2, activation=activation), images),
        (nn.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation=activation), images),
        (nn.Conv2DTranspose(3, 3, strides=2, activation=activation), images),
        (nn.Conv1D(6, 3, strides=2, padding=(2, 1), dilation_rate=2, groups=2, activation=activation), line),
    ]
    for layer, x in layers:
        layer(x)
        w, b = numbers(layer, rng).get_weights()
        got = layer(x).numpy()
        if isinstance(layer, nn.Conv1D):
            z = ops.conv2d(x[:, None], w[None], None, (1, 2), (0, 0, 2, 1), (1, 2), 2).numpy()[:, 0]
        elif isinstance(layer, nn.Conv2DTranspose):
            z = ops.conv2d_transpose(x, w, strides=2).numpy()
        elif isinstance(layer, nn.DepthwiseConv2D):
            z = ops.conv2d(x, w.reshape(3, 3, 1, 8), padding="same", groups=4).numpy()
        else:
            z = ops.conv2d(x, w, None, (2, 1), (1, 0), (1, 2), 2).numpy()
        np.testing.assert_allclose(got, compute(z + b), rtol=1e-5, atol=1e-5)


def test_the_pixels_that_convolutional_layers_see():
    layer = nn.Conv2D(1, (3, 4), (2, 1), dilation_rate=(2, 3))
    assert layer.window() == ((5, 10), (2, 1))
    assert nn.Conv1D(1, 3, 2, dilation_rate=4).window() == ((1, 9), (1, 2))


def test_a_maximum_beside_padding_can_be_negative(rng):
    """Padding counts for nothing, it is no zero: in the layer, and in what the card's samples show of it."""
    x = -1 - rng.random((2, 5, 4, 3)).astype("f4")
    y = nn.MaxPool2D(3, 2, padding="same")(x).numpy()
    assert y.max() <= -1
    assert nn.AvgPool2D(3, 2, padding="same")(x).numpy().max() <= -1
    shows = 0
    for sample in testing.samples("max_pool2d"):
        [image], window, kernel = sample.inputs, sample.attrs["window"], sample.attrs["kernel"]
        four = window.padding
        if any(four) and image.size:
            zeros = np.pad(image, ((0, 0), four[:2], four[2:], (0, 0)))
            with_zeros = ops.max_pool2d(zeros, kernel, window.strides).numpy()
            shows += not np.array_equal(with_zeros, ops.max_pool2d(image, kernel, window.strides, four).numpy())
    assert shows >= 2


def test_a_gradient_by_hand_is_held_to_what_forward_calls_take(rng):
    x, w = (pynn.tensor(rng.normal(size=shape).astype("float32")) for shape in ((1, 4, 4, 2), (3, 3, 2, 2)))
    y = ops.conv2d(x, w)
    for groups in (0, 3, 2**31 - 1):  # a loop over so many groups would take minutes
        with pytest.raises(ShapeError, match="groups"):
            execute(CARDS["conv2d.grad"], (y, y, x, w, None), {"needs": (True, True, False), "groups": groups})
    with pytest.raises(ShapeError, match=r"\[conv2d.grad\] expected outputs and gradients \(1, 2, 2, 2\)"):
        execute(CARDS["conv2d.grad"], (x, y, x, w, None), {"needs": (True, True, False)})
