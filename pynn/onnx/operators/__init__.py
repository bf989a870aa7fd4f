"""The operators of ONNX that pynn runs, by family; each is written with pynn's own ops."""

from pynn.onnx.operators import (
    byte_weights,
    control,
    convolution,
    elementwise,
    indexing,
    learned,
    logic,
    normalization,
    pooling,
    products,
    quantized,
    recurrent,
    reductions,
    shapes,
)
from pynn.onnx.operators.registry import FUSED, OPERATORS, Body, Node

__all__ = ["FUSED", "OPERATORS", "Body", "Node"]
