"""ResNet50, under the name of its module in Keras 2."""

from __future__ import annotations

from pynn.keras.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
