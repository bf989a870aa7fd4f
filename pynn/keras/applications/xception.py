"""Xception: convolutions that are separable, and residual connections (Chollet, 2016)."""

from __future__ import annotations

from pynn.keras import layers
from pynn.keras.applications.imagenet_utils import network, normalized, of_mode

__all__ = ["Xception", "decode_predictions", "preprocess_input"]


def _act(x, name):
    return layers.Activation("relu", name=f"{name}_act")(x)


def _separable(x, units, name):
    return normalized(layers.SeparableConv2D(units, 3, padding="same", use_bias=False, name=name)(x), f"{name}_bn")


def _reduced(x, units, block, acts, last=None):
    """Return two separable convolutions and pooling, with a short cut; `acts` says before which an activation is."""
    short = normalized(layers.Conv2D(last or units, 1, strides=2, padding="same", use_bias=False)(x))
    for j, width in enumerate((units, last or units), start=1):
        name = f"block{block}_sepconv{j}"
        x = _separable(_act(x, name) if j in acts else x, width, name)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
    return layers.Add()([x, short])


def _body(x):
    for j, (units, stride) in enumerate(((32, 2), (64, 1)), start=1):
        name = f"block1_conv{j}"
        x = layers.Conv2D(units, 3, strides=stride, use_bias=False, name=name)(x)
        x = _act(normalized(x, f"{name}_bn"), name)
    x = _reduced(x, 128, 2, acts=(2,))
    x = _reduced(x, 256, 3, acts=(1, 2))
    x = _reduced(x, 728, 4, acts=(1, 2))
    for block in range(5, 13):
        short = x
        for j in (1, 2, 3):
            name = f"block{block}_sepconv{j}"
            x = _separable(_act(x, name), 728, name)
        x = layers.Add()([x, short])
    x = _reduced(x, 728, 13, acts=(1, 2), last=1024)
    for j, units in enumerate((1536, 2048), start=1):
        name = f"block14_sepconv{j}"
        x = _act(_separable(x, units, name), name)
    return x


Xception = network("Xception", _body, "xception_weights_tf_dim_ordering_tf_kernels", 299, 71)
preprocess_input, decode_predictions = of_mode("tf")
