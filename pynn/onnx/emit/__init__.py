"""How ops are written as ONNX nodes, one module a family; they enter themselves."""

from pynn.onnx.emit import elementwise, image, norm, sequence, shapes

__all__ = ["elementwise", "image", "norm", "sequence", "shapes"]
