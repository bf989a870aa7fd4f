"""MobileNetV2: blocks that widen, convolve in depth and narrow again (Sandler and others, 2018)."""

from __future__ import annotations

from pynn.keras import layers
from pynn.keras.applications.imagenet_utils import channels, network, normalized, of_mode

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

# Units, stride and how often, of blocks that widen sixfold; the very first does not widen.
BLOCKS = ((24, 2, 2), (32, 2, 3), (64, 2, 4), (96, 1, 3), (160, 2, 3), (320, 1, 1))


def _units(wanted):
    """Return the multiple of 8 that is nearest, and not a tenth below."""
    near = max(8, int(wanted + 4) // 8 * 8)
    return near + 8 if near < 0.9 * wanted else near


def _padded(x, name):
    """Return a symbol with zeros as strides of two need them: above and on the left too where a size is odd."""
    sizes = x.shape[1:3] if channels() == -1 else x.shape[2:]
    return layers.ZeroPadding2D(tuple((1 if n is not None and n % 2 else 0, 1) for n in sizes), name=name)(x)


def _normalized(x, name):
    return normalized(x, name, epsilon=1e-3, momentum=0.999)


def _block(x, units, stride, prefix, widens):
    short, wide = x, x.shape[channels()]
    if widens:
        wide *= 6
        x = layers.Conv2D(wide, 1, padding="same", use_bias=False, name=f"{prefix}expand")(x)
        x = layers.ReLU(6.0, name=f"{prefix}expand_relu")(_normalized(x, f"{prefix}expand_BN"))
    padding = "same"
    if stride == 2:
        x, padding = _padded(x, f"{prefix}pad"), "valid"
    x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False, name=f"{prefix}depthwise")(x)
    x = layers.ReLU(6.0, name=f"{prefix}depthwise_relu")(_normalized(x, f"{prefix}depthwise_BN"))
    x = layers.Conv2D(units, 1, padding="same", use_bias=False, name=f"{prefix}project")(x)
    x = _normalized(x, f"{prefix}project_BN")
    return layers.Add(name=f"{prefix}add")([short, x]) if stride == 1 and short.shape[channels()] == units else x


def _body(alpha):
    def body(x):
        x = layers.Conv2D(_units(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
        x = layers.ReLU(6.0, name="Conv1_relu")(_normalized(x, "bn_Conv1"))
        x = _block(x, _units(16 * alpha), 1, "expanded_conv_", False)
        number = 1
        for units, stride, times in BLOCKS:
            for k in range(times):
                x = _block(x, _units(units * alpha), stride if k == 0 else 1, f"block_{number}_", True)
                number += 1
        last = _units(1280 * alpha) if alpha > 1 else 1280
        x = _normalized(layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x), "Conv_1_bn")
        return layers.ReLU(6.0, name="out_relu")(x)

    return body


def MobileNetV2(input_shape=None, alpha=1.0, include_top=True, weights="imagenet", input_tensor=None, pooling=None,
                classes=1000, classifier_activation="softmax", name=None):  # fmt: skip
    """Return the network MobileNetV2; see VGG16 for what all networks take.

    Parameters
    ----------
    alpha : float, default 1.0
        Widens or narrows every layer; files of weights are for 0.35, 0.5, 0.75, 1, 1.3 and 1.4.
    """
    make = network("MobileNetV2", _body(alpha), f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_224",
                   called=f"mobilenetv2_{alpha:0.2f}_224", endings=("", "_no_top"))  # fmt: skip
    return make(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)


preprocess_input, decode_predictions = of_mode("tf")
