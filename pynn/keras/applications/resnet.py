"""ResNet: blocks whose input is added to their output (He, Zhang, Ren and Sun, 2015)."""

from __future__ import annotations

from pynn.keras import layers
from pynn.keras.applications.imagenet_utils import network, normalized, of_mode

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]


def _normalized(x, name):
    return normalized(x, f"{name}_bn", epsilon=1.001e-5)


def _block(x, units, stride, name, widens):
    short = x
    if widens:
        short = _normalized(layers.Conv2D(4 * units, 1, strides=stride, name=f"{name}_0_conv")(x), f"{name}_0")
    for i, (width, size, step) in enumerate(((units, 1, stride), (units, 3, 1)), start=1):
        x = layers.Conv2D(width, size, strides=step, padding="same", name=f"{name}_{i}_conv")(x)
        x = layers.Activation("relu", name=f"{name}_{i}_relu")(_normalized(x, f"{name}_{i}"))
    x = _normalized(layers.Conv2D(4 * units, 1, name=f"{name}_3_conv")(x), f"{name}_3")
    x = layers.Add(name=f"{name}_add")([short, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _body(*depths):
    def body(x):
        x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
        x = layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)
        x = layers.Activation("relu", name="conv1_relu")(_normalized(x, "conv1"))
        x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(layers.ZeroPadding2D(1, name="pool1_pad")(x))
        for i, depth in enumerate(depths):
            for j in range(depth):
                stride = 2 if i and not j else 1
                x = _block(x, 64 << i, stride, f"conv{i + 2}_block{j + 1}", not j)
        return x

    return body


def _named(depth, *blocks):
    return network(f"ResNet{depth}", _body(*blocks), f"resnet{depth}_weights_tf_dim_ordering_tf_kernels")


ResNet50, ResNet101, ResNet152 = _named(50, 3, 4, 6, 3), _named(101, 3, 4, 23, 3), _named(152, 3, 8, 36, 3)
preprocess_input, decode_predictions = of_mode("caffe")
