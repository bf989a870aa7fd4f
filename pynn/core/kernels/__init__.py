"""Kernels written in Cython; each module registers its own when it is imported."""
