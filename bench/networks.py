"""Networks of the set "wide" that are no chain of bench.workloads: in pynn here, in PyTorch in networks_torch."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .side import Side
from .workloads import EPSILON, LEARNING_RATE

WORDS = 5000
MOMENTUM, EPS = 0.9, 1e-5  # of batch norm: PyTorch's defaults


@dataclass(frozen=True)
class Network:
    """One training step of a network, named by how it is made.

    `shape` is that of one sample: (rows, columns, channels), or (steps,) of words. With `classes` the loss is softmax
    cross-entropy, without them the mean square of what differs from the sample itself.
    """

    name: str
    made: str
    shape: tuple[int, ...]
    batch: int
    optimizer: str
    classes: int = 0
    steps: int = 2
    target: float = 1.0
    learns: bool = False

    @property
    def tokens(self) -> int:
        return self.batch * self.shape[0] if len(self.shape) == 1 else 0

    @property
    def learning_rate(self) -> float:
        return LEARNING_RATE[self.optimizer]

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        shape = (self.steps * self.batch, *self.shape)
        x = rng.integers(0, WORDS, shape, np.int32) if self.tokens else rng.random(shape, np.float32)
        return x, rng.integers(0, self.classes, len(x)) if self.classes else x

    def sides(self, threads: int, skipped: Callable[[str, Exception], None]) -> Iterator[Side]:
        import pynn
        from pynn.convert.torch_weights import load_torch_weights

        pynn.set_num_threads(threads)
        model = built(self)
        try:
            from . import networks_torch
        except ImportError as error:
            skipped("torch", error)
            yield one_side(self, model)
            return
        other = networks_torch.built(self)
        with tempfile.TemporaryDirectory() as folder:
            networks_torch.save(other, file := Path(folder, "start.safetensors"))
            theirs = networks_torch.placed(other)
            load_torch_weights(model, file, dict(zip(placed(model), theirs, strict=True)), verbose=False)
        yield one_side(self, model)
        yield networks_torch.one_side(self, threads)


def one_side(network: Network, model: Any) -> Side:
    """pynn's, which starts from the weights that the model has now."""
    import pynn

    x, y = network.data()
    start = [w.copy() for w in model.get_weights()]
    stepper = pynn.train.steps(model, x, y, batch_size=network.batch)
    stepper.gradients = False  # as in calls of fit() but the last of an epoch
    stepper.perm = np.arange(len(x))
    optimizer, slots = model.optimizer, stepper.trainer.slots
    first = x[: network.batch], y[: network.batch]

    def reset() -> None:
        model.set_weights(start)
        optimizer.load_state({name: np.zeros_like(value) for name, value in optimizer.state().items()})
        slots.set(step=0)
        stepper.at = 0

    return Side("pynn", stepper.run, lambda: float(model.evaluate(*first, verbose=0)["loss"]), reset)


def built(network: Network) -> Any:
    """pynn's model, compiled and ready to train."""
    import pynn

    model = MODELS[network.made](network)
    rate = network.learning_rate
    optimizer = pynn.optim.SGD(rate) if network.optimizer == "sgd" else pynn.optim.Adam(rate, eps=EPSILON)
    model.compile(optimizer, "cross_entropy" if network.classes else "mse", seed=0)
    model.build((1, *network.shape))
    return model


def placed(model: Any) -> list[str]:
    """The names of convolutions and batch norms in their order: several have equal shapes."""
    from pynn import nn

    return [module.name for _, module in model.named_modules() if isinstance(module, nn.Conv2D | nn.BatchNormalization)]


def normed(filters: int, size: int, stride: int = 1, activation: str | None = "relu") -> list[Any]:
    """A convolution with batch norm."""
    from pynn import nn

    layers = [
        nn.Conv2D(filters, size, strides=stride, padding=size // 2, use_bias=False),
        nn.BatchNormalization(momentum=MOMENTUM, epsilon=EPS),
    ]
    return [*layers, nn.Activation(activation)] if activation else layers


def small_normed(network: Network) -> Any:
    from pynn import nn

    body = [*normed(32, 3), *normed(32, 3), nn.MaxPool2D(2), *normed(64, 3), *normed(64, 3), nn.MaxPool2D(2)]
    return nn.Sequential([nn.Input(network.shape), *body, nn.Flatten(), nn.Dense(network.classes)])


def resnet18(network: Network) -> Any:
    """He et al. 2015: four stages of two blocks, each of two convolutions and what goes past them."""
    from pynn import nn

    def through(x: Any, layers: list[Any]) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    x = image = nn.Input(network.shape)
    x = nn.MaxPool2D(3, 2, padding=1)(through(x, normed(64, 7, 2)))
    for i, filters in enumerate((64, 128, 256, 512)):
        for stride in (1 if i == 0 else 2, 1):
            inner = through(x, [*normed(filters, 3, stride), *normed(filters, 3, activation=None)])
            past = through(x, normed(filters, 1, stride, None)) if stride > 1 else x
            x = nn.Activation("relu")(nn.Add()([inner, past]))
    return nn.Model(image, nn.Dense(network.classes)(nn.GlobalAvgPool()(x)))


def strided_autoencoder(network: Network) -> Any:
    """Two convolutions with stride 2, and their transposes."""
    from pynn import nn

    return nn.Sequential(
        [
            nn.Input(network.shape),
            nn.Conv2D(16, 3, strides=2, padding=1, activation="relu"),
            nn.Conv2D(32, 3, strides=2, padding=1, activation="relu"),
            nn.Conv2DTranspose(16, 4, strides=2, padding=1, activation="relu"),
            nn.Conv2DTranspose(network.shape[-1], 4, strides=2, padding=1),
        ]
    )


def gru(network: Network) -> Any:
    from pynn import nn

    return nn.Sequential([nn.Embedding(WORDS, 64), nn.GRU(128), nn.Dense(network.classes)])


def two_way_lstm(network: Network) -> Any:
    from pynn import nn

    return nn.Sequential([nn.Embedding(WORDS, 64), nn.Bidirectional(nn.LSTM(64)), nn.Dense(network.classes)])


MODELS: dict[str, Callable[[Network], Any]] = {
    "batch norm": small_normed, "ResNet-18": resnet18, "autoencoder": strided_autoencoder, "GRU": gru,
    "two-way LSTM": two_way_lstm,
}  # fmt: skip


@dataclass(frozen=True)
class Augmented:
    """So many images, each changed at random; what comes out differs with the order of random numbers."""

    name: str
    change: str
    shape: tuple[int, ...]
    count: int
    target: float = 1.0
    kind: str = "changed images"

    def sides(self, threads: int, skipped: Callable[[str, Exception], None]) -> Iterator[Side]:
        import pynn

        pynn.set_num_threads(threads)
        images, layer = np.random.default_rng(0).random((self.count, *self.shape), np.float32), layer_of(self.change)

        def changed(name: str, change: Callable[[], Any]) -> Side:
            return Side(name, lambda k: [change() for _ in range(k)] and None, lambda: 0.0)

        yield changed("pynn", lambda: layer(images, training=True).numpy())
        yield changed("scipy", with_scipy(self.change, images))
        try:
            yield changed("torchvision", with_torchvision(self.change, images, threads))
        except ImportError as error:
            skipped("torchvision", error)


ALPHA, SIGMA = 34.0, 4.0


def layer_of(change: str) -> Any:
    """pynn's."""
    from pynn import nn

    if change == "affine":
        return nn.RandomAffine(shift=0.1, rotation=15.0, zoom=0.1)
    return nn.ElasticDeformation(ALPHA, SIGMA)


def with_scipy(change: str, images: np.ndarray) -> Callable[[], Any]:
    """Bilinear, zero outside; channel by channel, as scipy has no other way."""
    from scipy import ndimage

    rng = np.random.default_rng(1)
    _, rows, columns, channels = images.shape
    middle = (np.array([rows, columns]) - 1) / 2
    grid = np.mgrid[:rows, :columns].astype(np.float32)

    def affine(image: np.ndarray) -> np.ndarray:
        turn, zoom = math.radians(rng.uniform(-15, 15)), rng.uniform(0.9, 1.1)
        matrix = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]) / zoom
        offset = middle - matrix @ (middle + rng.uniform(-0.1, 0.1, 2) * (rows, columns))
        parts = [ndimage.affine_transform(image[..., c], matrix, offset, order=1) for c in range(channels)]
        return np.stack(parts, axis=-1)

    def elastic(image: np.ndarray) -> np.ndarray:
        field = rng.random((2, rows, columns), np.float32) * 2 - 1
        place = grid + ALPHA * ndimage.gaussian_filter(field, (0, SIGMA, SIGMA), mode="constant")
        return np.stack([ndimage.map_coordinates(image[..., c], place, order=1) for c in range(channels)], axis=-1)

    one = affine if change == "affine" else elastic
    return lambda: np.stack([one(image) for image in images])


def with_torchvision(change: str, images: np.ndarray, threads: int) -> Callable[[], Any]:
    """Image by image: a batch would be changed in one way."""
    import torch
    from torchvision.transforms import InterpolationMode, v2

    torch.set_num_threads(threads)
    bilinear = InterpolationMode.BILINEAR
    made = {
        "affine": lambda: v2.RandomAffine(15, (0.1, 0.1), (0.9, 1.1), interpolation=bilinear),
        "elastic": lambda: v2.ElasticTransform(ALPHA, SIGMA, interpolation=bilinear),
    }[change]()
    rows = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return lambda: torch.stack([made(image) for image in rows])
