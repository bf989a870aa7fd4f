"""Weights from other libraries' files: Keras's and PyTorch's."""
