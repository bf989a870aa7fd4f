"""VGG16: blocks of 3 x 3 convolutions between poolings (Simonyan and Zisserman, 2014)."""

from __future__ import annotations

from pynn.keras import layers
from pynn.keras.applications.imagenet_utils import network, of_mode

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]


def blocks(*depths: int):
    """Return the body of a VGG with so many convolutions in each block."""

    def body(x):
        for i, (depth, units) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), start=1):
            for j in range(1, depth + 1):
                x = layers.Conv2D(units, 3, padding="same", activation="relu", name=f"block{i}_conv{j}")(x)
            x = layers.MaxPooling2D(2, strides=2, name=f"block{i}_pool")(x)
        return x

    return body


def head(x, classes, activation):
    """Return the classifier's symbol: two hidden layers of 4,096 units."""
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)


VGG16 = network("VGG16", blocks(2, 2, 3, 3, 3), "vgg16_weights_tf_dim_ordering_tf_kernels", head=head)
preprocess_input, decode_predictions = of_mode("caffe")
