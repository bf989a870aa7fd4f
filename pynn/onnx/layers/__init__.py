"""How each layer of pynn is written in ONNX, by family."""

from pynn.onnx.layers import basic, image, loops, network, norm, sequence

__all__ = ["basic", "image", "loops", "network", "norm", "sequence"]
