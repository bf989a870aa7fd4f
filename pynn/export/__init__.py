"""Trained networks for other programs: C, ONNX, Python with NumPy alone, and web pages."""

from pynn.export.c import c_source, to_c
from pynn.export.numpy_file import numpy_source, to_numpy
from pynn.export.plan import lower
from pynn.export.web import to_web

__all__ = ["c_source", "lower", "numpy_source", "to_c", "to_numpy", "to_web"]
