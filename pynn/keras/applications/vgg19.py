"""VGG19: VGG16 with a fourth convolution in each of the last three blocks (Simonyan and Zisserman, 2014)."""

from __future__ import annotations

from pynn.keras.applications.imagenet_utils import network
from pynn.keras.applications.vgg16 import blocks, decode_predictions, head, preprocess_input

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]

VGG19 = network("VGG19", blocks(2, 2, 4, 4, 4), "vgg19_weights_tf_dim_ordering_tf_kernels", head=head)
