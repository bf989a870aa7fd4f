"""The ten networks of figure 1.10 of Goodfellow, Bengio and Courville, Deep Learning (2016), at their full size.

Each is a function that returns a model which is not built: :func:`pynn.nn.count` tells its size without a weight in
memory. Where a paper's own layers were not at hand the text of the function says what stands for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pynn import init, nn, ops

__all__ = [
    "ANIMALS", "GOOGLENET", "TEN", "Network", "adaline", "alexnet", "cat_neuron", "cots", "dbm", "googlenet",
    "inception", "neocognitron", "perceptron", "two_stages", "unrolled_convolution",
]  # fmt: skip

Layers = Iterator[Any]


def adaline() -> nn.Sequential:
    """Return one linear unit over 4 x 4 switches (Widrow and Hoff 1960)."""
    return nn.Sequential([nn.Input((4, 4)), nn.Flatten(), nn.Dense(1)], name="adaline")


def neocognitron() -> nn.Sequential:
    """Return the S- and C-cells of Fukushima (1980), in planes of 16, 10, 8, 6, 2 and 1 rows and columns."""
    edge = (3, 4, 3, 4)
    return nn.Sequential(
        [
            nn.Input((16, 16, 1)),
            nn.SCells(24, 5, "same", selectivity=4.0),
            nn.CCells(5, 2, edge),
            nn.SCells(24, 5, 1),
            nn.CCells(5, 2, edge),
            nn.SCells(24, 5),
            nn.CCells(2),
            nn.Flatten(),
        ],
        name="neocognitron",
    )


def unrolled_convolution() -> nn.Sequential:
    """Return the network for handwriting of Simard and others (2003), which Chellapilla and others (2006) unrolled.

    From memory; the book counted another one.
    """
    return nn.Sequential(
        [
            nn.Input((29, 29, 1)),
            nn.Conv2D(5, 5, strides=2, activation="tanh"),
            nn.Conv2D(50, 5, strides=2, activation="tanh"),
            nn.Flatten(),
            nn.Dense(100, activation="tanh"),
            nn.Dense(10),
        ],
        name="unrolled_convolution",
    )


def dbm() -> nn.Sequential:
    """Return 784-500-1000 as one pass upwards, with the weights of Salakhutdinov and Hinton's machine (2009)."""
    layers = [nn.Input((784,)), nn.Dense(500, activation="sigmoid"), nn.Dense(1000, activation="sigmoid")]
    return nn.Sequential(layers, name="dbm")


def two_stages() -> nn.Sequential:
    """Return the network for Caltech-101 of Jarrett and others (2009): two stages and a classifier of 102 classes.

    Sizes from memory. A unit of the second stage sees 16 of the 64 maps below; groups stand for the random table.
    """

    def rectified() -> Layers:
        yield nn.Activation(ops.abs)
        yield nn.LocalContrastNormalization(9)

    return nn.Sequential(
        [
            nn.Input((151, 151, 1)),
            nn.LocalContrastNormalization(9),
            nn.Cropping2D(4),  # where the window of the normalization does not fit
            nn.Conv2D(64, 9, activation="tanh"),
            *rectified(),
            nn.AvgPool2D(10, strides=5),
            nn.Conv2D(256, 9, groups=4, activation="tanh"),
            *rectified(),
            nn.AvgPool2D(6, strides=4),
            nn.Flatten(),
            nn.Dense(102),
        ],
        name="two_stages",
    )


def perceptron() -> nn.Sequential:
    """Return 2500-2000-1500-1000-500-10 over 29 x 29 pixels (Ciresan and others 2010), with LeCun's scaled tanh."""

    def scaled(x: Any) -> Any:
        return 1.7159 * ops.tanh(0.6666 * x)

    widths = (2500, 2000, 1500, 1000, 500)
    hidden = [nn.Dense(n, activation=scaled, kernel_initializer=init.Uniform(-0.05, 0.05)) for n in widths]
    return nn.Sequential([nn.Input((841,)), *hidden, nn.Dense(10)], name="perceptron")


def _untied(name: str, maps: tuple[int, int, int]) -> nn.Sequential:
    """Return three times: filters of 18 x 18 that are not shared, pools of 5 x 5 and local contrast normalization."""
    layers: list[Any] = [nn.Input((200, 200, 3))]
    for n in maps:
        layers += [
            nn.LocallyConnected2D(n, 18, use_bias=False),
            nn.L2Pool2D(5, strides=1),
            nn.LocalContrastNormalization(5),
        ]
    return nn.Sequential(layers, name=name)


def cat_neuron() -> nn.Sequential:
    """Return the encoder of Le and others (2012): 8 maps, 1.2 thousand million weights, 4.9 GB."""
    return _untied("cat_neuron", (8, 8, 8))


def cots() -> nn.Sequential:
    """Return a network of 11.1 thousand million weights, as large as the largest of Coates and others (2013).

    A stand-in: the layers of Le and others with 26 and 27 maps. The layers of the paper were not at hand.
    """
    return _untied("cots", (26, 26, 27))


def alexnet(classes: int = 1000) -> nn.Sequential:
    """Return the network of Krizhevsky, Sutskever and Hinton (2012), both columns as groups.

    Parameters
    ----------
    classes : int, default 1000
    """
    small = init.Normal(0.0, 0.01)

    def conv(filters: int, size: int, bias: float, **options: Any) -> Any:
        return nn.Conv2D(
            filters, size, activation="relu", kernel_initializer=small, bias_initializer=init.Constant(bias), **options
        )

    def dense() -> Layers:
        narrow = init.Normal(0.0, 0.005)
        yield nn.Dense(4096, activation="relu", kernel_initializer=narrow, bias_initializer=init.Constant(0.1))
        yield nn.Dropout(0.5)

    # Biases of 0.1, as Caffe's copy has them: with those of 1 of the paper the loss stays where it is at first.
    return nn.Sequential(
        [
            nn.Input((227, 227, 3)),
            conv(96, 11, 0.0, strides=4),
            nn.LocalResponseNormalization(),
            nn.MaxPool2D(3, strides=2),
            conv(256, 5, 0.1, padding="same", groups=2),
            nn.LocalResponseNormalization(),
            nn.MaxPool2D(3, strides=2),
            conv(384, 3, 0.0, padding="same"),
            conv(384, 3, 0.1, padding="same", groups=2),
            conv(256, 3, 0.1, padding="same", groups=2),
            nn.MaxPool2D(3, strides=2),
            nn.Flatten(),
            *dense(),
            *dense(),
            nn.Dense(classes, activation="softmax", kernel_initializer=small),
        ],
        name="alexnet",
    )


# By module: 1 x 1 | reduction, 3 x 3 | reduction, 5 x 5 | 1 x 1 behind the pool; None is a pool that halves the sides.
GOOGLENET: tuple[tuple[int, ...] | None, ...] = (
    (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), None,
    (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128), None,
    (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
)  # fmt: skip
AUXILIARY = (3, 6)  # the modules 4a and 4d, that have a head of their own


def _conv(filters: int, size: int, strides: int = 1) -> Any:
    return nn.Conv2D(filters, size, strides, padding="same", activation="relu", bias_initializer=init.Constant(0.2))


def inception(x: Any, widths: tuple[int, ...], conv: Callable[[int, int], Any] = _conv) -> Any:
    """Return the four branches of a module side by side: 1 x 1, 3 x 3, 5 x 5, and a pool.

    Parameters
    ----------
    x : symbol
        What the module reads.
    widths : tuple of int
        Six of them, as in :data:`GOOGLENET`.
    conv : callable, optional
        Makes a convolution of filters and size, with what follows it; by default one with ReLU.
    """
    one, before3, three, before5, five, pooled = widths
    return nn.Concatenate()(
        [
            conv(one, 1)(x),
            conv(three, 3)(conv(before3, 1)(x)),
            conv(five, 5)(conv(before5, 1)(x)),
            conv(pooled, 1)(nn.MaxPool2D(3, strides=1, padding="same")(x)),
        ]
    )


def googlenet(classes: int = 1000, auxiliary: bool = False) -> nn.Model:
    """Return the network of Szegedy and others (2014).

    Parameters
    ----------
    classes : int, default 1000
    auxiliary : bool, default False
        Whether it has the two heads that help to train it. The outputs are then a dict: main, first and second, to be
        trained with the weights 1, 0.3 and 0.3.
    """
    image = nn.Input((224, 224, 3))
    x = nn.MaxPool2D(3, strides=2, padding="same")(_conv(64, 7, 2)(image))
    x = _conv(192, 3)(_conv(64, 1)(nn.LocalResponseNormalization()(x)))
    x = nn.MaxPool2D(3, strides=2, padding="same")(nn.LocalResponseNormalization()(x))
    heads = []
    for i, widths in enumerate(GOOGLENET):
        x = nn.MaxPool2D(3, strides=2, padding="same")(x) if widths is None else inception(x, widths)
        if auxiliary and i in AUXILIARY:
            y = _conv(128, 1)(nn.AvgPool2D(5, strides=3)(x))
            y = nn.Dropout(0.7)(nn.Dense(1024, activation="relu")(nn.Flatten()(y)))
            heads.append(nn.Dense(classes, activation="softmax")(y))
    y = nn.Dense(classes, activation="softmax")(nn.Dropout(0.4)(nn.GlobalAvgPool()(x)))
    if not auxiliary:
        return nn.Model(image, y, name="googlenet")
    return nn.Model(image, {"main": y, "first": heads[0], "second": heads[1]}, name="googlenet")


@dataclass(frozen=True)
class Network:
    """A network of the figure.

    Attributes
    ----------
    name : str
    year : int
        Of its paper.
    drawn : int
        Where the book draws it.
    build : callable
        Returns the model, not built.
    per_unit, units : float
        Connections per unit and number of units in the book: read off the figures, to 2 and 6 %.
    remark : str
        Why ours are other numbers.
    """

    name: str
    year: int
    drawn: int
    build: Callable[[], Any]
    per_unit: float
    units: float
    remark: str = ""


TEN = (
    Network("Adaline", 1960, 1960, adaline, 16, 1),
    Network("Neocognitron", 1980, 1980, neocognitron, 265, 1.1e4,
            "the units agree; 280 connections each if C-cells saw all 24 planes"),
    Network("Unrolled convolution", 2006, 2006, unrolled_convolution, 27.7, 2.5e4,
            "the book counted another network, which the figure does not tell"),
    Network("DBM", 2009, 2008, dbm, 596, 1.5e3),
    Network("Two stages", 2009, 2009, two_stages, 354, 1.6e6,
            "sizes from memory; not known whether the book took the connection table"),
    Network("Big MLP", 2010, 2010, perceptron, 1350, 9e3, "the dot is half hidden; 1,450 if inputs were units"),
    Network("Cat neuron", 2012, 2012, cat_neuron, 1000, 1.0e6,
            "the book divides a thousand million weights by a million units"),
    Network("AlexNet", 2012, 2013, alexnet, 92, 6.5e5,
            "92 is 60 million parameters by 650,000 units: shared weights once, not at every place"),
    Network("COTS", 2013, 2013, cots, 9050, 1.2e6,
            "a stand-in of as many weights: the paper's layers were not at hand"),
    Network("GoogLeNet", 2014, 2014, googlenet, 480, 3.1e6),
)  # fmt: skip
# Connections per neuron and neurons; the first read off the book's figure, the neurons as it was drawn after.
ANIMALS = {
    "fruit fly": (1.0e2, 1.0e5), "mouse": (1.29e3, 7.1e7), "cat": (1.0e4, 1.0e9), "human": (1.2e4, 8.6e10),
}  # fmt: skip
