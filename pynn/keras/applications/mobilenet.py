"""MobileNet: convolutions in depth, then across channels (Howard and others, 2017)."""

from __future__ import annotations

from pynn.keras import layers
from pynn.keras.applications.imagenet_utils import network, normalized, of_mode

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

# Units of each block, and its stride.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def _act(x, name):
    return layers.ReLU(6.0, name=f"{name}_relu")(normalized(x, f"{name}_bn"))


def _body(alpha, depth_multiplier):
    def body(x):
        x = layers.Conv2D(int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(x)
        x = _act(x, "conv1")
        for i, (units, stride) in enumerate(BLOCKS, start=1):
            padding = "same"
            if stride == 2:
                x, padding = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{i}")(x), "valid"
            x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, depth_multiplier=depth_multiplier,
                                       use_bias=False, name=f"conv_dw_{i}")(x)  # fmt: skip
            x = _act(x, f"conv_dw_{i}")
            x = layers.Conv2D(int(units * alpha), 1, padding="same", use_bias=False, name=f"conv_pw_{i}")(x)
            x = _act(x, f"conv_pw_{i}")
        return x

    return body


def _head(dropout):
    def head(x, classes, activation):
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Dropout(dropout, name="dropout")(x)
        x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
        return layers.Activation(activation, name="predictions")(layers.Reshape((classes,), name="reshape_2")(x))

    return head


def MobileNet(input_shape=None, alpha=1.0, depth_multiplier=1, dropout=1e-3, include_top=True, weights="imagenet",
              input_tensor=None, pooling=None, classes=1000, classifier_activation="softmax", name=None):  # fmt: skip
    """Return the network MobileNet; see VGG16 for what all networks take.

    Parameters
    ----------
    alpha : float, default 1.0
        Widens or narrows every layer; files of weights are for 0.25, 0.5, 0.75 and 1.
    depth_multiplier : int, default 1
        Maps that a convolution in depth makes of each.
    dropout : float, default 0.001
        Before the classifier.
    """
    told = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}.get(alpha, alpha)
    make = network("MobileNet", _body(alpha, depth_multiplier), f"mobilenet_{told}_224_tf", head=_head(dropout),
                   called=f"mobilenet_{alpha:0.2f}_224", endings=("", "_no_top"))  # fmt: skip
    return make(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)


preprocess_input, decode_predictions = of_mode("tf")
