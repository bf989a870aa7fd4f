"""The operators of ONNX that pynn runs, by family; each is written with pynn's own ops."""

from pynn.onnx.operators import (
    convolution,
    elementwise,
    normalization,
    pooling,
    products,
    recurrent,
    reductions,
    shapes,
)
from pynn.onnx.operators.registry import OPERATORS, Node

__all__ = ["OPERATORS", "Node"]
