"""Inception-v3: modules with branches of convolutions side by side (Szegedy and others, 2015)."""

from __future__ import annotations

from pynn.keras import layers
from pynn.keras.applications.imagenet_utils import channels, network, normalized, of_mode

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]


def _conv(x, units, rows, columns, padding="same", strides=1):
    x = layers.Conv2D(units, (rows, columns), strides=strides, padding=padding, use_bias=False)(x)
    return layers.Activation("relu")(normalized(x, scale=False))


def _chain(x, *convolutions):
    """Return the end of a branch: each convolution is (units, rows, columns), and what differs."""
    for units, rows, columns, *more in convolutions:
        x = _conv(x, units, rows, columns, *more)
    return x


def _pooled(x, units):
    return _conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), units, 1, 1)


def _joined(branches, name=None):
    return layers.Concatenate(axis=channels(), name=name)(branches)


def _body(x):
    down = ("valid", 2)
    x = _chain(x, (32, 3, 3, *down), (32, 3, 3, "valid"), (64, 3, 3))
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = _chain(x, (80, 1, 1, "valid"), (192, 3, 3, "valid"))
    x = layers.MaxPooling2D(3, strides=2)(x)
    for i, units in enumerate((32, 64, 64)):
        x = _joined([_conv(x, 64, 1, 1), _chain(x, (48, 1, 1), (64, 5, 5)),
                     _chain(x, (64, 1, 1), (96, 3, 3), (96, 3, 3)), _pooled(x, units)], f"mixed{i}")  # fmt: skip
    x = _joined([_conv(x, 384, 3, 3, *down), _chain(x, (64, 1, 1), (96, 3, 3), (96, 3, 3, *down)),
                 layers.MaxPooling2D(3, strides=2)(x)], "mixed3")  # fmt: skip
    for i, n in enumerate((128, 160, 160, 192), start=4):
        x = _joined([_conv(x, 192, 1, 1), _chain(x, (n, 1, 1), (n, 1, 7), (192, 7, 1)),
                     _chain(x, (n, 1, 1), (n, 7, 1), (n, 1, 7), (n, 7, 1), (192, 1, 7)), _pooled(x, 192)],
                    f"mixed{i}")  # fmt: skip
    x = _joined([_chain(x, (192, 1, 1), (320, 3, 3, *down)),
                 _chain(x, (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3, *down)),
                 layers.MaxPooling2D(3, strides=2)(x)], "mixed8")  # fmt: skip
    for i in (9, 10):
        one = _conv(x, 320, 1, 1)
        three = _conv(x, 384, 1, 1)
        three = _joined([_conv(three, 384, 1, 3), _conv(three, 384, 3, 1)], f"mixed9_{i - 9}")
        double = _chain(x, (448, 1, 1), (384, 3, 3))
        double = _joined([_conv(double, 384, 1, 3), _conv(double, 384, 3, 1)])
        x = _joined([one, three, double, _pooled(x, 192)], f"mixed{i}")
    return x


FILES = "inception_v3_weights_tf_dim_ordering_tf_kernels"
InceptionV3 = network("InceptionV3", _body, FILES, 299, 75, called="inception_v3")
preprocess_input, decode_predictions = of_mode("tf")
