"""Augmentation: what it computes, and that its numbers depend on seed, step, salt and place alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import pynn
from pynn import config, nn
from pynn.core import _core
from pynn.core.state import state
from pynn.errors import ShapeError
from pynn.ops import augment, uniform

FUNCTIONS = {
    "affine": lambda x, **key: augment.affine(x, 0.1, 20.0, 0.2, 10.0, **key),
    "elastic": lambda x, **key: augment.elastic(x, 20.0, 3.0, **key),
    "flip": augment.flip,
    "crop": lambda x, **key: augment.crop(x, (20, 24), 3, **key),
    "erase": lambda x, **key: augment.erase(x, 0.8, **key),
    "color": lambda x, **key: augment.color(x, np.eye(3) + 0.25, 0.3, **key),
}
LAYERS = {
    "RandomAffine": lambda: nn.RandomAffine(shift=0.1, rotation=20.0, zoom=0.2, shear=10.0, fill="nearest"),
    "RandomShift": lambda: nn.RandomShift((0.1, 0.2)),
    "RandomRotation": lambda: nn.RandomRotation(rotation=15.0),
    "RandomZoom": lambda: nn.RandomZoom(zoom=0.2),
    "RandomShear": lambda: nn.RandomShear(shear=10.0),
    "RandomFlip": lambda: nn.RandomFlip(),
    "RandomCrop": lambda: nn.RandomCrop(padding=2),
    "RandomErasing": lambda: nn.RandomErasing(0.9),
    "ElasticDeformation": lambda: nn.ElasticDeformation(20.0, 3.0),
    "RandomPCAColor": lambda: nn.RandomPCAColor(0.2),
}


@pytest.fixture
def images(rng):
    return rng.random((40, 28, 26, 3), np.float32)


@pytest.mark.parametrize(("fill", "mode"), [("constant", "grid-constant"), ("nearest", "nearest")])
def test_warp_is_scipys_affine_transform_of_order_1(rng, fill, mode):
    x = rng.random((6, 19, 23, 2))
    m = np.array([[0.9, -0.3, 1.0], [0.25, 1.1, -2.0]]) + 0.1 * rng.standard_normal((6, 2, 3))
    y = augment.warp(x, m, fill=fill).numpy()
    for i, c in np.ndindex(6, 2):
        expected = ndimage.affine_transform(x[i, :, :, c], m[i, :, :2], m[i, :, 2], order=1, mode=mode)
        np.testing.assert_allclose(y[i, :, :, c], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.7, 4.0, 9.0])
def test_blur_is_scipys_gaussian_filter(rng, sigma):
    x = rng.random((2, 28, 17, 2))
    expected = ndimage.gaussian_filter(x, (0, sigma, sigma, 0), mode="constant")
    np.testing.assert_allclose(augment.blur(x, sigma).numpy(), expected, rtol=0, atol=1e-12)


def test_elastic_is_simards_recipe(rng):
    x = rng.random((3, 28, 28, 1))
    noise = uniform((3, 28, 28, 2), -1.0, 1.0, seed=5, step=2, salt=1, dtype="float64").numpy()
    field = 34.0 * ndimage.gaussian_filter(noise, (0, 4.0, 4.0, 0), mode="constant")
    assert 0.7 < field.std() < 2
    grid = np.mgrid[:28, :28].astype(float)
    y = augment.elastic(x, seed=5, step=2, salt=1).numpy()
    for i in range(3):
        at = grid + field[i].transpose(2, 0, 1)
        expected = ndimage.map_coordinates(x[i, :, :, 0], at, order=1, mode="grid-constant")
        np.testing.assert_allclose(y[i, :, :, 0], expected, rtol=0, atol=1e-10)


def test_each_part_of_affine_does_what_its_name_says():
    x = np.zeros((200, 41, 41, 1))
    x[:, 20, 30] = 1  # a point 10 pixels right of the middle
    for kind, value in (("shift", 0.1), ("rotation", 30.0), ("zoom", 0.3), ("shear", 30.0)):
        y = augment.affine(x, **{kind: value}, seed=1).numpy()[..., 0]
        down, across = ((y * axis).sum(axis=(1, 2)) / y.sum(axis=(1, 2)) - 20 for axis in np.mgrid[:41, :41])
        limits = {
            "shift": (4.1, 5.9, 14.1),
            "rotation": (5.2, 8.4, 10.2),
            "zoom": (0.2, 6.8, 13.2),
            "shear": (0.2, 9.8, 10.2),  # points of the middle row stay
        }[kind]
        assert np.abs(down).max() <= limits[0], kind
        assert limits[1] <= across.min() <= across.max() <= limits[2], kind
        if kind == "rotation":
            np.testing.assert_allclose(np.hypot(down, across), 10, atol=0.3)
            assert down.min() < -4 < 4 < down.max()


def test_shift_has_a_size_for_each_direction():
    x = np.zeros((50, 21, 21, 1))
    x[:, 10] = 1
    y = augment.affine(x, shift=(0.0, 0.3)).numpy()
    assert np.array_equal(y.max(axis=2)[:, :, 0] > 0, x[:, :, 0, 0] > 0)  # rows do not move


@pytest.mark.parametrize("options", [{}, {"shift": 0, "rotation": 0}])
def test_affine_of_nothing_changes_nothing(images, options):
    assert np.array_equal(augment.affine(images, **options).numpy(), images)


def test_flip_turns_the_share_that_was_asked_for(rng):
    x = rng.random((4000, 2, 3, 1), np.float32)
    for p in (0.0, 0.25, 1.0):
        y = augment.flip(x, p, seed=3).numpy()
        turned = (y == x[:, :, ::-1]).all(axis=(1, 2, 3))
        assert ((y == x).all(axis=(1, 2, 3)) | turned).all()
        assert abs(turned.mean() - p) < 0.03


def test_crop_reaches_every_place_alike():
    x = np.arange(1.0, 37.0).reshape(1, 6, 6, 1).repeat(5000, axis=0)
    y = augment.crop(x, (4, 5), seed=1).numpy()
    corners, counts = np.unique(y[:, 0, 0, 0], return_counts=True)
    assert corners.tolist() == [1, 2, 7, 8, 13, 14]
    assert counts.min() > 700
    for image in y[:20]:
        assert np.array_equal(image[..., 0] - image[0, 0, 0], 6 * np.arange(4)[:, None] + np.arange(5))


def test_erase_takes_the_area_that_was_asked_for():
    x = np.ones((3000, 32, 32, 2), np.float32)
    y = augment.erase(x, p=0.5, area=(0.1, 0.3), seed=2).numpy()
    gone = (y == 0).mean(axis=(1, 2, 3))
    hit = gone > 0
    assert abs(hit.mean() - 0.5) < 0.04
    assert 0.08 < gone[hit].min() < 0.13 < 0.27 < gone[hit].max() < 0.32
    for image in y[hit][:50]:  # one rectangle
        zero = image[..., 0] == 0
        assert zero.sum() == zero.any(axis=1).sum() * zero.any(axis=0).sum()
    assert (augment.erase(x[:9], p=1.0, value=0.5).numpy() == 0.5).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_depend_on_seed_step_salt_and_place_alone(images, name):
    f = FUNCTIONS[name]
    key = {"seed": 7, "step": 3, "salt": 2}
    y = f(images, **key).numpy()
    assert np.array_equal(f(images, **key).numpy(), y)
    assert np.array_equal(f(images[:11], **key).numpy(), y[:11])  # the other images do not matter
    for changed in ({"seed": 8}, {"step": 4}, {"salt": 1}, {"seed": 7 + 2**32}, {"step": 3 + 2**32}):
        assert not np.array_equal(f(images, **{**key, **changed}).numpy(), y)
    same = f(images[:1].repeat(40, axis=0), **key).numpy()
    assert len(np.unique(same.reshape(40, -1), axis=0)) > 1  # every image its own


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_bits_are_those_of_any_number_of_threads_and_any_instruction_set(rng, name):
    x = rng.random((300, 28, 26, 3), np.float32)
    results = []
    for isa in _core.isa_available():
        for threads in (1, 2, 4):
            pynn.set_num_threads(threads)
            with config.use_isa(isa):
                results.append(FUNCTIONS[name](x, seed=1).numpy())
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_uint8_images_are_scaled(rng):
    x = rng.integers(0, 256, (4, 9, 9, 3), np.uint8)
    y = augment.flip(x, 0.5)
    assert y.dtype == np.float32
    assert np.array_equal(y.numpy(), augment.flip(x.astype(np.float32) * np.float32(1 / 255), 0.5).numpy())


def test_huge_and_undefined_places_are_outside():
    x = np.ones((3, 5, 5, 1), np.float32)
    m = np.zeros((3, 2, 3), np.float32)
    m[:, 0, 2] = [1e30, -1e30, np.nan]
    assert (augment.warp(x, m).numpy() == 0).all()
    assert (augment.warp(x, m, fill="nearest").numpy() == 1).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda x: augment.affine(x, shift=1.5),
            r"\[affine\] expected shift to be a number in .*Received: shift=1.5",
        ),
        (lambda x: augment.affine(x, shift=(0.1, 0.1, 0.1)), "shift to be a number or two"),
        (lambda x: augment.affine(x, rotation=-1), r"rotation to be a number in \[0, 180\]. Received: rotation=-1"),
        (lambda x: augment.affine(x, rotation="left"), "rotation.*'left'"),
        (lambda x: augment.affine(x, zoom=1.0), r"zoom to be a number in \[0, 1\). Received: zoom=1.0"),
        (lambda x: augment.affine(x, shear=90), r"shear.*\[0, 89\]"),
        (lambda x: augment.affine(x, rotation=float("nan")), "rotation.*nan"),
        (lambda x: augment.affine(x, fill="wrap"), "'constant', 'nearest'. Received: fill='wrap'"),
        (lambda x: augment.elastic(x, alpha=-1), "alpha.*-1"),
        (lambda x: augment.elastic(x, sigma=0), "sigma above 0"),
        (lambda x: augment.flip(x, p=2), r"p to be a number in \[0, 1\]. Received: p=2"),
        (lambda x: augment.flip(x, p=True), "Received: p=True"),
        (lambda x: augment.erase(x, area=(0.5, 0.2)), r"area as \(least, largest\)"),
        (lambda x: augment.erase(x, aspect=(0, 1)), r"aspect.*\[0.01, 100\]"),
        (lambda x: augment.crop(x, (40, 4)), "at most 28 x 26.*40 x 4"),
        (lambda x: augment.flip(x[..., 0].copy()), r"\[N, H, W, C\].*\(40, 28, 26\).*x\[\.\.\., None\]"),
        (lambda x: augment.elastic(x[0, 0]), r"one image is a batch of one, x\[None\]"),
        (lambda x: augment.flip(pynn.tensor(x, requires_grad=True)), "before the first layer with weights"),
        (lambda x: nn.RandomAffine(zoom=-0.1), r"\[randomaffine\] expected zoom"),
        (lambda x: nn.RandomRotation(rotation=200), r"\[randomrotation\] expected rotation"),
        (lambda x: nn.RandomCrop(0), "size to be one or two positive integers. Received: size=0"),
        (lambda x: nn.RandomCrop((3, 3, 3)), "size to be one or two positive integers"),
        (lambda x: nn.RandomCrop(padding=-1), "padding to be an integer of at least 0. Received: padding=-1"),
        (lambda x: nn.RandomFlip("often"), "p to be a number"),
        (lambda x: nn.RandomErasing(area=2), "area to be a number"),
        (lambda x: nn.ElasticDeformation(sigma=-1), r"\[elasticdeformation\] expected sigma"),
        (lambda x: augment.color(x, np.eye(2)), r"components of shape \(3, 3\).*Received: \(2, 2\)"),
        (lambda x: augment.color(x, np.eye(3), -1), r"\[color\] expected scale.*Received: scale=-1"),
        (lambda x: nn.RandomPCAColor(-1), r"\[randompcacolor\] expected scale"),
        (lambda x: nn.RandomPCAColor(components=np.ones((2, 3))), r"components \[C, C\]. Received: \(2, 3\)"),
        (lambda x: nn.RandomPCAColor(components=np.eye(2))(x), "images of 2 channels.*28, 26, 3"),
        (lambda x: nn.RandomPCAColor().adapt(x[..., 0]), r"\[randompcacolor.adapt\] expected images"),
        (lambda x: nn.RandomPCAColor().adapt(x[:0]), "at least one pixel"),
        (lambda x: nn.RandomFlip()(x[..., 0].copy()), r"\[randomflip\] expected images \[N, H, W, C\]"),
        (lambda x: nn.Sequential([nn.Input((4, 4)), nn.RandomFlip()]).layers, "nn.Reshape"),
    ],
)
def test_bad_input_is_named(images, make, message):
    with pytest.raises(ValueError, match=message):
        make(images)


def test_images_in_the_wrong_rank_are_a_shape_error(images):
    with pytest.raises(ShapeError):
        augment.affine(images[0])


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_changes_images_only_while_training(images, name):
    layer = LAYERS[name]()
    assert np.array_equal(layer(images).numpy(), images)
    one, two = (layer(images, training=True).numpy() for _ in range(2))
    assert one.shape == images.shape
    assert not np.array_equal(one, images)
    assert not np.array_equal(one, two)  # every call draws others
    again = LAYERS[name]()
    assert np.array_equal(again(images, training=True).numpy(), one)
    assert name in repr(layer)


def test_crop_takes_the_middle_when_not_training(images):
    layer = nn.RandomCrop((20, 20))
    assert np.array_equal(layer(images).numpy(), images[:, 4:24, 3:23])
    assert layer(images, training=True).shape == (40, 20, 20, 3)


def test_layers_let_gradients_through_when_not_training(images):
    for layer in (nn.RandomAffine(shift=0.1), nn.RandomFlip(), nn.RandomCrop((20, 20)), nn.RandomErasing()):
        x = pynn.tensor(images, requires_grad=True)
        layer(x).sum().backward()
        assert x.grad.numpy().max() == 1
    with pytest.raises(ValueError, match="augmentation has no gradient"):
        nn.RandomFlip()(x, training=True)


def _model(**options):
    layers = [nn.Input((12, 14)), nn.Reshape((12, 14, 1)), *(make() for make in LAYERS.values())]
    model = nn.Sequential([*layers, nn.Flatten(), nn.Dense(3)])
    model.compile(pynn.optim.Adam(0.01), "cross_entropy", ["accuracy"], seed=5, **options)
    return model


def test_training_gives_the_same_bits_eagerly_as_a_program_and_with_any_number_of_threads(rng):
    x, y = rng.integers(0, 256, (150, 12, 14), np.uint8), rng.integers(0, 3, 150)
    weights = []
    for threads, eagerly in ((1, False), (2, False), (4, False), (1, True)):
        pynn.set_num_threads(threads)
        model = _model(run_eagerly=eagerly)
        model.fit(x, y, batch_size=64, epochs=2, verbose=0)
        weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    assert all(np.array_equal(weights[0], other) for other in weights[1:])


def test_every_step_draws_others(rng):
    """A network that sees one image in every step meets many variants of it."""
    seen = []

    class Watch(nn.Module):
        def forward(self, x):
            if state.training:
                seen.append(x.numpy())
            return x

    layers = [nn.Input((8, 8, 1)), nn.RandomAffine(shift=0.2, rotation=20.0), Watch(), nn.Flatten(), nn.Dense(2)]
    model = nn.Sequential(layers)
    model.compile("sgd", "cross_entropy", seed=1, run_eagerly=True)
    model.fit(rng.random((1, 8, 8, 1), np.float32), np.zeros(1, int), epochs=6, verbose=0, shuffle=False)
    assert len(seen) == len({image.tobytes() for image in seen}) == 6


def test_augmentation_above_weights_is_refused(rng):
    model = nn.Sequential([nn.Input((16,)), nn.Dense(16), nn.Reshape((4, 4, 1)), nn.RandomFlip(), nn.Flatten()])
    model.compile("sgd", "mse", seed=0)
    with pytest.raises(ValueError, match=r"\[randomflip\].*help: augmentation has no gradient"):
        model.fit(rng.random((4, 16), np.float32), rng.random((4, 16), np.float32), verbose=0)


def test_augmentation_helps_where_the_test_is_shifted(rng):
    """Ten patterns, learnt in place, are known a little out of place only by a network that saw them moved."""
    patterns = rng.random((10, 12, 12)).astype(np.float32)
    y = np.arange(400) % 10
    moved = augment.affine(patterns[y][..., None], shift=0.12, seed=99).numpy()
    accuracy = {}
    for name, layers in {"plain": [], "augmented": [nn.RandomShift(0.12)]}.items():
        hidden = [nn.Flatten(), nn.Dense(64, activation="relu"), nn.Dense(10)]
        model = nn.Sequential([nn.Input((12, 12, 1)), *layers, *hidden])
        model.compile(pynn.optim.Adam(0.003), "cross_entropy", ["accuracy"], seed=0)
        model.fit(patterns[y][..., None], y, batch_size=40, epochs=40, verbose=0)
        accuracy[name] = model.evaluate(moved, y)["accuracy"]
    assert accuracy["augmented"] > accuracy["plain"] + 0.1


# Colours


def test_colours_move_along_their_components(rng):
    p = np.array([[0.5, 0.2, 0.1], [0.0, 0.3, -0.1], [0.05, 0.0, 0.0]])
    x = rng.random((4000, 2, 1, 3))
    moved = augment.color(x, p, 0.1, seed=3).numpy() - x
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1, :1], moved.shape), atol=1e-12)
    found = np.cov(moved[:, 0, 0].T)
    np.testing.assert_allclose(found, 0.01 * p.T @ p, atol=3e-4)
    factors = np.linalg.solve(p.T, moved[:, 0, 0].T)
    np.testing.assert_allclose(factors.std(1), 0.1, rtol=0.05)


def test_components_are_those_of_the_data(rng):
    colors = rng.normal(size=(600, 3)) @ np.array([[0.3, 0.2, 0.1], [0.0, 0.1, -0.1], [0.0, 0.0, 0.05]]) + 0.5
    layer = nn.RandomPCAColor()
    layer.adapt(colors.reshape(6, 10, 10, 3), batch_size=4)
    p = layer.components.numpy().astype(float)
    np.testing.assert_allclose(p.T @ p, np.cov(colors.T, bias=True), atol=1e-6)
    np.testing.assert_allclose(p @ p.T, np.diag(np.diag(p @ p.T)), atol=1e-6)
    assert (np.diff(np.linalg.norm(p, axis=1)) < 0).all()
    batches = [(images[None], None) for images in colors.reshape(6, 10, 10, 3)]
    other = nn.RandomPCAColor()
    other.adapt(batches)
    np.testing.assert_allclose(np.abs(other.components.numpy()), np.abs(p), atol=1e-6)
    with pytest.raises(RuntimeError, match="components were given"):
        nn.RandomPCAColor(components=p).adapt(colors.reshape(6, 10, 10, 3))


def test_bytes_are_adapted_to_as_they_are_seen(rng):
    x = rng.integers(0, 256, (8, 5, 5, 3), np.uint8)
    layers = nn.RandomPCAColor(), nn.RandomPCAColor()
    layers[0].adapt(x)
    layers[1].adapt(x / 255)
    np.testing.assert_allclose(layers[0].components.numpy(), layers[1].components.numpy(), atol=1e-6)


def test_a_file_keeps_the_components(tmp_path, rng):
    x = rng.random((8, 5, 5, 3), np.float32)
    for first in (nn.RandomPCAColor(0.3), nn.RandomPCAColor(components=np.eye(3) / 4)):
        model = nn.Sequential([nn.Input((5, 5, 3)), first, nn.Flatten(), nn.Dense(2)], seed=0)
        if first._known is None:
            first.adapt(x)
        model.save(tmp_path / "a.pynn")
        found = pynn.load(tmp_path / "a.pynn").layers[-3]
        assert found.scale == first.scale
        np.testing.assert_array_equal(found.components.numpy(), first.components.numpy())
