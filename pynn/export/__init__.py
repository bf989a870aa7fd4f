"""Trained networks for other programs: C, ONNX, and Python with NumPy alone."""

from pynn.export.c import c_source, to_c
from pynn.export.numpy_file import numpy_source, to_numpy
from pynn.export.plan import lower

__all__ = ["c_source", "lower", "numpy_source", "to_c", "to_numpy"]
