"""DenseNet: each layer sees the maps of all before it in its block (Huang and others, 2016)."""

from __future__ import annotations

from pynn.keras import layers
from pynn.keras.applications.imagenet_utils import channels, network, normalized, of_mode

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]

GROWTH = 32


def _act(x, name, between="_"):
    x = normalized(x, f"{name}{between}bn", epsilon=1.001e-5)
    return layers.Activation("relu", name=f"{name}{between}relu")(x)


def _conv(x, units, size, name):
    return layers.Conv2D(units, size, padding="same", use_bias=False, name=name)(x)


def _body(*depths):
    def body(x):
        x = layers.ZeroPadding2D(3)(x)
        x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
        x = _act(x, "conv1")
        x = layers.MaxPooling2D(3, strides=2, name="pool1")(layers.ZeroPadding2D(1)(x))
        for i, depth in enumerate(depths, start=2):
            for j in range(1, depth + 1):
                name = f"conv{i}_block{j}"
                new = _conv(_act(x, f"{name}_0"), 4 * GROWTH, 1, f"{name}_1_conv")
                new = _conv(_act(new, f"{name}_1"), GROWTH, 3, f"{name}_2_conv")
                x = layers.Concatenate(axis=channels(), name=f"{name}_concat")([x, new])
            if i - 1 < len(depths):
                x = _conv(_act(x, f"pool{i}"), x.shape[channels()] // 2, 1, f"pool{i}_conv")
                x = layers.AveragePooling2D(2, strides=2, name=f"pool{i}_pool")(x)
        return _act(x, "", "")

    return body


def _named(depth, *blocks):
    return network(f"DenseNet{depth}", _body(*blocks), f"densenet{depth}_weights_tf_dim_ordering_tf_kernels")


DenseNet121, DenseNet169 = _named(121, 6, 12, 24, 16), _named(169, 6, 12, 32, 32)
DenseNet201 = _named(201, 6, 12, 48, 32)
preprocess_input, decode_predictions = of_mode("torch")
