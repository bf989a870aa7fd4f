"""Hands SciPy's BLAS to the kernels when it is imported."""
